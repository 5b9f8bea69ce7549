"""What is ticked becomes a consent, and a consent is ticked again, without loss."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS, categories
from upcare_mpc.consent.fhir_mii import EEA
from upcare_mpc.consent.gate import Gate, decide
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver
from upcare_mpc.consent.use import Use
from upcare_mpc.consent.widening import widens
from upcare_mpc.web.choices import (
    LIMITS_OF,
    SCOPES,
    Choice,
    choice_of,
    limit_words,
    next_consent,
    read_choice,
)

TODAY = date(2026, 11, 22)
ILLNESS = categories(["C50"])
PATIENT = bytes(16)
RECORDS = Activity.RECORDS


def choices(activity: Activity) -> st.SearchStrategy[Choice]:
    days = st.dates(TODAY + timedelta(days=1), date(2199, 12, 31))
    majorities = st.dates(TODAY + timedelta(days=1), date(2044, 12, 31))
    yes = st.builds(
        Choice,
        scope=st.sampled_from(sorted(SCOPES)),
        limits=st.frozensets(st.sampled_from(LIMITS_OF[activity])),
        last_day=st.none() | days,
        majority=st.none() | majorities,
    )
    return yes | st.builds(Choice, scope=st.none(), majority=st.none() | majorities)


def form_of(choice: Choice) -> dict[str, list[str]]:
    """The form that a browser sends."""
    return {
        "scope": [choice.scope or "no"],
        "limit": sorted(choice.limits),
        "until": [choice.last_day.isoformat() if choice.last_day else ""],
        "who": ["guardian" if choice.majority else "patient"],
        "majority": [choice.majority.isoformat() if choice.majority else ""],
    }


def said(
    choice: Choice, *before: Consent, today: date = TODAY, activity: Activity = RECORDS
) -> Consent | None:
    return next_consent(
        before,
        choice,
        patient=PATIENT,
        data_set="de-a",
        activity=activity,
        illness=ILLNESS,
        today=today,
        form="urn:upcare:patient-page:1:en",
    )


def recorded(choice: Choice, *before: Consent, **changes: Any) -> Consent:
    consent = said(choice, *before, **changes)
    assert consent is not None
    return consent


@pytest.mark.parametrize("activity", Activity)
@given(data=st.data())
def test_what_is_ticked_is_read_recorded_and_ticked_again(
    activity: Activity, data: st.DataObject
) -> None:
    choice = data.draw(choices(activity))

    read = read_choice(form_of(choice), activity=activity, illness=ILLNESS, today=TODAY)
    assert read == choice
    consent = recorded(choice, activity=activity)

    assert Consent.from_canonical(consent.canonical()) == consent
    assert choice_of(consent, ILLNESS) == choice
    assert said(choice, consent, activity=activity) is None


@given(
    st.dictionaries(
        st.sampled_from(["scope", "limit", "until", "who", "majority", "x"]),
        st.lists(st.text(max_size=12) | st.sampled_from(["no", "any", "patient", ""]), max_size=3),
    )
)
def test_whatever_is_sent_is_a_choice_or_a_complaint(form: dict[str, list[str]]) -> None:
    read = read_choice(form, activity=RECORDS, illness=ILLNESS, today=TODAY)

    if isinstance(read, Choice):
        assert recorded(read).terms == read.terms(ILLNESS, TODAY)
    else:
        assert read


@given(choice=choices(RECORDS), limit=st.sampled_from(LIMITS_OF[RECORDS]))
def test_each_tick_allows_less(choice: Choice, limit: str) -> None:
    if choice.scope is None:
        return
    more = replace(choice, limits=choice.limits | {limit})
    use = Use(activity=RECORDS, data_set="de-a", purposes=frozenset({duo.DS}), diseases=ILLNESS)

    def permitted(one: Choice) -> bool:
        return decide([recorded(one)], use, gate=Gate.CONSENT, day=TODAY).permitted

    assert permitted(choice) >= permitted(more)


@pytest.mark.parametrize("place", range(1, len(SCOPES)))
def test_each_scope_holds_those_before_it(place: int) -> None:
    smaller, larger = list(SCOPES)[place - 1 : place + 1]

    assert widens(recorded(Choice(scope=larger)), recorded(Choice(scope=smaller)))
    assert not widens(recorded(Choice(scope=smaller)), recorded(Choice(scope=larger)))


def test_the_scopes_mean_what_they_say() -> None:
    meant = {scope: Choice(scope=scope).terms(ILLNESS, TODAY) for scope in SCOPES}

    assert {
        scope: terms and (terms.permission, terms.diseases) for scope, terms in meant.items()
    } == {
        "illness": (duo.DS, ILLNESS),
        "cancer": (duo.DS, NEOPLASMS),
        "health": (duo.HMB, None),
        "any": (duo.GRU, None),
    }
    europe = Choice(scope="any", limits=frozenset({"europe"})).terms(ILLNESS, TODAY)
    assert europe is not None
    assert europe.regions == EEA


def test_a_permission_that_goes_on_keeps_its_first_day() -> None:
    """Otherwise its record could not be opened for the rest of the month."""
    first = recorded(Choice(scope="illness"))
    later = TODAY + timedelta(days=100)

    wider = recorded(Choice(scope="health"), first, today=later)

    assert wider.terms is not None
    assert (wider.terms.first_day, wider.given, wider.version) == (TODAY, later, 2)
    assert widens(wider, first)


def test_a_permission_that_has_ended_begins_anew() -> None:
    first = recorded(Choice(scope="illness", last_day=TODAY + timedelta(days=9)))
    later = TODAY + timedelta(days=100)

    again = recorded(Choice(scope="illness"), first, today=later)

    assert again.terms is not None
    assert again.terms.first_day == later


def test_a_no_after_a_permission_is_a_withdrawal_and_before_it_a_refusal() -> None:
    no = Choice(scope=None)
    refusal = recorded(no)
    permission = recorded(Choice(scope="any"), refusal)

    assert refusal.answer is Answer.REFUSED
    assert recorded(no, refusal, permission).answer is Answer.WITHDRAWN
    assert said(no, refusal) is None


def test_of_age_a_patient_takes_over_what_a_guardian_has_said() -> None:
    by_guardian = recorded(Choice(scope=None, majority=date(2030, 5, 4)))

    own = recorded(Choice(scope=None), by_guardian, today=date(2030, 6, 1))

    assert (by_guardian.giver, own.giver, own.version) == (Giver.GUARDIAN, Giver.PATIENT, 2)


def test_after_answers_that_contradict_each_other_a_new_one_replaces_both() -> None:
    one, other = recorded(Choice(scope="any")), recorded(Choice(scope="health"))

    third = recorded(Choice(scope="any"), one, other)

    assert third.version == 2


def test_my_illness_cannot_be_chosen_where_nobody_knows_it() -> None:
    form = form_of(Choice(scope="illness"))

    assert read_choice(form, activity=RECORDS, illness=frozenset(), today=TODAY) == {
        "scope": "Please choose one of the answers."
    }
    assert choice_of(recorded(Choice(scope="illness")), frozenset()) is None


def test_every_limit_has_words() -> None:
    texts = [limit_words(name) for name in LIMITS_OF[RECORDS]]

    assert len(set(texts)) == len(texts)
    assert set(LIMITS_OF[Activity.STATISTICS]) < set(LIMITS_OF[RECORDS])
