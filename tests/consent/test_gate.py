from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from said import (
    DAYS,
    LIMITS,
    PATIENT,
    TODAY,
    UNKNOWN,
    any_consent,
    any_terms,
    any_use,
    by_guardian,
    limited,
    narrowed,
    no,
    permission,
    use,
)

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.gate import (
    Decision,
    Gate,
    Reason,
    Selection,
    Status,
    decide,
    last_words,
    select,
    status,
)
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import InputError

CONSENTS = st.lists(any_consent(), max_size=5)
GATES = st.sampled_from(Gate)
BOTH = [Gate.OBJECTION, Gate.CONSENT]
BREAST = frozenset({"C50"})
LUNG = frozenset({"C34"})
CANCER = categories(["C00-C97"])


def reason(consent: Consent, of: Use, gate: Gate = Gate.CONSENT, day: date = TODAY) -> Reason:
    return decide([consent], of, gate=gate, day=day).reason


# --- silence, yes and no ----------------------------------------------------------------------

OTHER = {
    Activity.RECORDS: Activity.STATISTICS,
    Activity.STATISTICS: Activity.RECORDS,
}
TABLE: dict[str, tuple[list[Consent], Reason, Reason]] = {
    # what was said on one activity: at the objection gate, at the consent gate
    "nothing": ([], Reason.NO_OBJECTION, Reason.NO_CONSENT),
    "yes": ([permission()], Reason.CONSENTED, Reason.CONSENTED),
    "no": ([no(Answer.REFUSED)], Reason.REFUSED, Reason.REFUSED),
    "withdrawn": ([permission(), no(version=2)], Reason.WITHDRAWN, Reason.WITHDRAWN),
    "yes again": (
        [permission(), no(version=2), permission(version=3)],
        Reason.CONSENTED,
        Reason.CONSENTED,
    ),
    "yes, but to something else": (
        [permission(permission=duo.POA)],
        Reason.PURPOSE,
        Reason.PURPOSE,
    ),
    "yes, later": (
        [permission(first_day=TODAY + timedelta(1))],
        Reason.NO_OBJECTION,
        Reason.NOT_YET,
    ),
    "yes, until yesterday": (
        [permission(last_day=TODAY - timedelta(1))],
        Reason.NO_OBJECTION,
        Reason.EXPIRED,
    ),
    "a parent's yes, and now of age": ([by_guardian(TODAY)], Reason.NO_OBJECTION, Reason.OF_AGE),
    "a parent's yes": ([by_guardian(TODAY + timedelta(1))], Reason.CONSENTED, Reason.CONSENTED),
    "a parent's no, and now of age": (
        [no(giver=Giver.GUARDIAN, majority=TODAY)],
        Reason.WITHDRAWN,
        Reason.WITHDRAWN,
    ),
    "yes and no at once": (
        [permission(), no(Answer.REFUSED)],
        Reason.CONTRADICTORY,
        Reason.CONTRADICTORY,
    ),
    "yes twice": (
        [permission(), permission(permission=duo.GRU)],
        Reason.CONSENTED,
        Reason.CONSENTED,
    ),
    "the same twice": ([permission(), permission()], Reason.CONSENTED, Reason.CONSENTED),
    "yes to the other activity": (
        [permission(activity=Activity.STATISTICS)],
        Reason.NO_OBJECTION,
        Reason.NO_CONSENT,
    ),
    "no for other data": ([no(data_set="fr-b")], Reason.NO_OBJECTION, Reason.NO_CONSENT),
}
PERMITTING = {Reason.NO_OBJECTION, Reason.CONSENTED}


@pytest.mark.parametrize("said", list(TABLE))
def test_the_two_gates_differ_in_what_silence_means_for_statistics(said: str) -> None:
    consents, objection, consent = TABLE[said]
    of_statistics = [replace(one, activity=OTHER[one.activity]) for one in consents]
    statistics = use(activity=Activity.STATISTICS)

    for gate, expected in ((Gate.OBJECTION, objection), (Gate.CONSENT, consent)):
        decision = decide(of_statistics, statistics, gate=gate, day=TODAY)
        assert decision.reason is expected
        assert decision.permitted == (expected in PERMITTING)


@settings(deadline=None)
@given(CONSENTS, any_use(activity=Activity.RECORDS), DAYS)
def test_records_are_opened_with_consent_alone_whatever_the_gate(
    consents: list[Consent], asked: Use, day: date
) -> None:
    at_objection = decide(consents, asked, gate=Gate.OBJECTION, day=day)

    assert at_objection == decide(consents, asked, gate=Gate.CONSENT, day=day)


@pytest.mark.parametrize("gate", BOTH)
def test_a_period_holds_on_its_first_and_last_day(gate: Gate) -> None:
    said = permission(first_day=date(2026, 3, 1), last_day=date(2026, 3, 31))

    assert reason(said, use(), gate, date(2026, 3, 1)) is Reason.CONSENTED
    assert reason(said, use(), gate, date(2026, 3, 31)) is Reason.CONSENTED
    assert decide([said], use(), gate=Gate.CONSENT, day=date(2026, 2, 28)) == Decision(
        permitted=False,
        activity=Activity.RECORDS,
        reason=Reason.NOT_YET,
        day=date(2026, 3, 1),
    )
    assert reason(said, use(), Gate.CONSENT, date(2026, 4, 1)) is Reason.EXPIRED


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", BOTH)
@pytest.mark.parametrize(("limit", "asked", "expected"), LIMITS)
def test_each_modifier_is_held_against_the_use(
    gate: Gate, limit: str, asked: dict[str, Any], expected: Reason
) -> None:
    decision = decide([limited(limit)], use(**asked), gate=gate, day=TODAY)

    assert decision.reason is expected
    assert decision.permitted == (expected is Reason.CONSENTED)
    if not decision.permitted:
        assert decision.codes == (limit,)


@pytest.mark.parametrize(
    ("given_for", "studied", "permitted"),
    [
        (CANCER, LUNG, True),
        (LUNG, CANCER, False),
        (LUNG, LUNG, True),
        (LUNG, BREAST, False),
        (LUNG | BREAST, LUNG | BREAST, True),
        (LUNG | BREAST, LUNG | BREAST | {"C61"}, False),
    ],
)
def test_a_lung_study_may_use_what_was_given_for_cancer_and_not_the_other_way_round(
    given_for: frozenset[str], studied: frozenset[str], permitted: bool
) -> None:
    said = permission(permission=duo.DS, diseases=given_for)
    asked = use(purposes=frozenset({duo.DS}), diseases=studied)

    for gate in BOTH:
        assert decide([said], asked, gate=gate, day=TODAY).permitted == permitted


def test_a_study_that_names_no_disease_is_about_all_of_them() -> None:
    said = permission(permission=duo.DS, diseases=CANCER)

    assert reason(said, use(purposes=frozenset({duo.DS}))) is Reason.DISEASE


@pytest.mark.parametrize("gate", BOTH)
@pytest.mark.parametrize(
    "purposes", [frozenset(), frozenset({UNKNOWN}), frozenset({duo.DS, UNKNOWN})]
)
@pytest.mark.parametrize("consents", [[], [permission(permission=duo.NRES)]])
def test_an_unknown_purpose_is_never_permitted(
    gate: Gate, purposes: frozenset[str], consents: list[Consent]
) -> None:
    decision = decide(consents, use(purposes=purposes), gate=gate, day=TODAY)

    assert (decision.permitted, decision.reason) == (False, Reason.UNKNOWN_PURPOSE)


# --- laws -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(CONSENTS, any_use(), GATES, DAYS)
def test_every_case_is_decided_and_permission_has_a_permitting_reason(
    consents: list[Consent], asked: Use, gate: Gate, day: date
) -> None:
    decision = decide(consents, asked, gate=gate, day=day)

    assert decision.permitted == (decision.reason in PERMITTING)
    assert decision.activity is asked.activity


@settings(deadline=None)
@given(CONSENTS, any_use(), GATES, DAYS, st.randoms())
def test_order_and_repetition_make_no_difference(
    consents: list[Consent], asked: Use, gate: Gate, day: date, random: Any
) -> None:
    other = [*consents, *consents[:2]]
    random.shuffle(other)

    assert decide(other, asked, gate=gate, day=day) == decide(consents, asked, gate=gate, day=day)


@settings(deadline=None, max_examples=300)
@given(st.data(), CONSENTS, any_terms(), any_use(), GATES, DAYS)
def test_narrowing_a_permission_never_permits_more(
    data: st.DataObject, others: list[Consent], wide: Terms, asked: Use, gate: Gate, day: date
) -> None:
    """And so widening one never denies: a step is the other one backwards."""
    version = data.draw(st.integers(1, 3))
    narrow = wide
    for _ in range(2):
        narrow = data.draw(narrowed(narrow))
    on_it = {"data_set": "de-a", "activity": asked.activity, "version": version}
    with_wide = [*others, permission(terms=wide, **on_it)]
    with_narrow = [*others, permission(terms=narrow, **on_it)]

    permitted = decide(with_narrow, asked, gate=gate, day=day).permitted
    event(f"permitted: {permitted}, narrower: {narrow != wide}")
    if permitted:
        assert decide(with_wide, asked, gate=gate, day=day).permitted


@settings(deadline=None)
@given(CONSENTS, any_use(), DAYS)
def test_the_consent_gate_permits_no_more_than_the_objection_gate(
    consents: list[Consent], asked: Use, day: date
) -> None:
    if decide(consents, asked, gate=Gate.CONSENT, day=day).permitted:
        assert decide(consents, asked, gate=Gate.OBJECTION, day=day).permitted


@settings(deadline=None)
@given(CONSENTS, any_use(), GATES, DAYS, st.sampled_from([Answer.REFUSED, Answer.WITHDRAWN]))
def test_a_no_wins_over_every_older_answer(
    consents: list[Consent], asked: Use, gate: Gate, day: date, answer: Answer
) -> None:
    refusal = no(answer, version=4, activity=asked.activity)

    assert not decide([*consents, refusal], asked, gate=gate, day=day).permitted


@settings(deadline=None)
@given(CONSENTS, any_use(), GATES, DAYS, any_consent(version=4, data_set="de-a"))
def test_an_answer_replaces_all_before_it(
    consents: list[Consent], asked: Use, gate: Gate, day: date, last: Consent
) -> None:
    last = replace(last, activity=asked.activity)

    assert decide([*consents, last], asked, gate=gate, day=day) == decide(
        [last], asked, gate=gate, day=day
    )


@settings(deadline=None)
@given(CONSENTS, any_use(), GATES, DAYS)
def test_contradicting_answers_permit_what_each_of_them_does(
    consents: list[Consent], asked: Use, gate: Gate, day: date
) -> None:
    last = last_words(consents, data_set=asked.data_set, activity=asked.activity)
    each = [decide([one], asked, gate=gate, day=day).permitted for one in last]

    if last:
        assert decide(consents, asked, gate=gate, day=day).permitted == all(each)


# --- a whole data set -------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(any_consent() | any_consent(patient=b"B" * 16) | any_consent(patient=b"C" * 16)),
    any_use(),
    GATES,
    DAYS,
)
def test_a_selection_is_the_decision_on_each_patient(
    consents: list[Consent], asked: Use, gate: Gate, day: date
) -> None:
    selection = select(consents, asked, gate=gate, day=day)

    for patient in (PATIENT, b"B" * 16, b"C" * 16, b"never said a word"[:16]):
        own = [consent for consent in consents if consent.patient == patient]
        assert selection.holds(patient) == decide(own, asked, gate=gate, day=day).permitted


def test_an_objection_is_an_exception_and_so_is_a_consent() -> None:
    statistics = use(activity=Activity.STATISTICS)
    objection = no(activity=Activity.STATISTICS)
    agreed = permission(activity=Activity.STATISTICS, patient=b"B" * 16)
    both = [objection, agreed]

    assert select(both, statistics, gate=Gate.OBJECTION, day=TODAY) == Selection(
        silent=True, exceptions=frozenset({PATIENT})
    )
    assert select(both, statistics, gate=Gate.CONSENT, day=TODAY) == Selection(
        silent=False, exceptions=frozenset({b"B" * 16})
    )


def test_a_selection_does_not_show_whom_it_names() -> None:
    statistics = use(activity=Activity.STATISTICS)
    objection = no(activity=Activity.STATISTICS)
    shown = repr(select([objection], statistics, gate=Gate.OBJECTION, day=TODAY))

    assert shown == "Selection(silent=True, <exceptions hidden>)"


def test_consents_of_two_patients_are_not_one_patients() -> None:
    with pytest.raises(InputError, match="of one patient"):
        decide([no(), permission(patient=b"B" * 16)], use(), gate=Gate.OBJECTION, day=TODAY)


# --- what has become of a consent -------------------------------------------------------------


def test_a_consent_has_a_status() -> None:
    first, second = permission(last_day=TODAY), no(version=2)

    assert status(first, [], day=TODAY) is Status.PERMITTED
    assert status(first, [], day=TODAY + timedelta(1)) is Status.EXPIRED
    assert status(first, [], day=date(2025, 12, 31)) is Status.NOT_YET
    assert status(first, [second], day=TODAY) is Status.SUPERSEDED
    assert status(second, [first], day=TODAY) is Status.WITHDRAWN
    assert status(no(Answer.REFUSED), [], day=TODAY) is Status.REFUSED
    assert status(by_guardian(TODAY), [], day=TODAY) is Status.EXPIRED
