from calendar import monthrange
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from said import (
    LIMITS,
    any_consent,
    any_terms,
    any_use,
    by_guardian,
    limited,
    no,
    permission,
    use,
)

from upcare_mpc.abe import policy as abe
from upcare_mpc.consent import duo
from upcare_mpc.consent.compile import attributes, compile_policy, days_of
from upcare_mpc.consent.diseases import categories, terms_around, terms_within
from upcare_mpc.consent.gate import Gate, Reason, decide
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.consent.use import NON_COMMERCIAL, NOT_FOR_PROFIT, Use
from upcare_mpc.errors import InputError, RefusedError

EPOCH = "2026-11"
FIRST = date(2026, 11, 1)
EPOCHS = st.sampled_from(["2026-10", "2026-11", "2026-12", "2027-02"])


def text(*consents: Consent, epoch: str = EPOCH) -> str:
    return str(compile_policy(consents, data_set="de-a", site="de-a", day=days_of(epoch)[0]))


def days(epoch: str) -> list[date]:
    first, last = days_of(epoch)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def covering_last_month(terms: Terms) -> Terms:
    """The same terms, holding for long."""
    return Terms(
        permission=terms.permission,
        limits=terms.limits,
        diseases=terms.diseases,
        regions=terms.regions,
        first_day=date(2020, 1, 1),
        last_day=None if terms.last_day is None else date(2040, 1, 1),
    )


def test_a_permission_becomes_a_policy() -> None:
    assert text(permission()) == "and(epoch:2026-11,site:de-a,use:hmb)"
    assert text(
        permission(
            permission=duo.DS,
            diseases=categories(["C18-C21", "C50"]),
            limits=frozenset({duo.NPUNCU, duo.GS, duo.NMDS, duo.IRB}),
            regions=frozenset({"DE", "FR"}),
        )
    ) == (
        "and(epoch:2026-11,or(disease:c18-c21,disease:c50),or(region:de,region:fr),"
        "requester:not-for-profit,site:de-a,use:ds,use:irb,use:no-methods,use:non-commercial)"
    )


def test_a_use_becomes_the_attributes_of_a_key() -> None:
    asked = use(
        purposes=frozenset({duo.DS}),
        diseases=frozenset({"C50"}),
        claims=frozenset({NOT_FOR_PROFIT, NON_COMMERCIAL}),
        evidence=frozenset({duo.IRB}),
        region="FR",
    )

    assert " ".join(sorted(attributes(asked, site="de-a", epoch=EPOCH))) == (
        "disease:c00-c97 disease:c00-d48 disease:c50 epoch:2026-11 region:fr "
        "requester:not-for-profit site:de-a use:ds use:gru use:hmb use:irb use:no-ancestry "
        "use:no-methods use:non-commercial use:nres"
    )


@pytest.mark.parametrize(("limit", "asked", "reason"), LIMITS)
def test_a_policy_opens_within_each_limit_and_not_beyond_it(
    limit: str, asked: dict[str, Any], reason: Reason
) -> None:
    if reason is Reason.UNKNOWN_LIMIT:
        with pytest.raises(RefusedError, match=f"no policy can express the limit {limit}"):
            text(limited(limit))
        return
    policy = compile_policy([limited(limit)], data_set="de-a", site="de-a", day=FIRST)
    key = attributes(use(**asked), site="de-a", epoch=EPOCH)

    assert policy.holds_for(key) == (reason is Reason.CONSENTED)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(any_consent(), max_size=2),
    any_terms().map(covering_last_month) | any_terms(),
    any_use(activity=Activity.RECORDS),
    EPOCHS,
    st.none() | EPOCHS,
    st.integers(0, 27),
)
def test_whatever_the_policy_opens_the_gate_permits(
    others: list[Consent], terms: Terms, asked: Use, sealed: str, other: str | None, passed: int
) -> None:
    issued = other or sealed
    sealing_day = days(sealed)[passed]
    consents = [*others, permission(terms=terms, version=3)]
    try:
        policy = compile_policy(consents, data_set="de-a", site="de-a", day=sealing_day)
    except RefusedError:
        event("refused")
        return
    opens = policy.holds_for(attributes(asked, site="de-a", epoch=issued))
    event(f"opens: {opens}")
    if opens:
        assert sealed == issued
        for day in days(issued)[passed:]:
            assert decide(consents, asked, gate=Gate.CONSENT, day=day).permitted


@settings(deadline=None, max_examples=200)
@given(any_terms().map(covering_last_month), any_use(activity=Activity.RECORDS))
def test_whatever_the_gate_permits_the_policy_opens_if_it_can_say_so(
    terms: Terms, asked: Use
) -> None:
    """Can say so: one term inside the patient's diseases holds all of the project's."""
    said = permission(terms=terms)
    if terms.diseases is not None:
        assume(set(terms_within(terms.diseases)) & set(terms_around(asked.diseases)))
    permitted = all(
        decide([said], asked, gate=Gate.CONSENT, day=day).permitted for day in days(EPOCH)
    )
    if permitted:
        policy = compile_policy([said], data_set="de-a", site="de-a", day=FIRST)
        assert policy.holds_for(attributes(asked, site="de-a", epoch=EPOCH))
    event(f"permitted: {permitted}")


@settings(deadline=None)
@given(any_terms().map(covering_last_month))
def test_every_policy_is_canonical_and_names_its_site_and_its_month(terms: Terms) -> None:
    try:
        written = text(permission(terms=terms))
    except RefusedError:
        return
    parsed = abe.parse(written)

    assert str(parsed) == written
    assert {"site:de-a", f"epoch:{EPOCH}"} <= set(parsed.rows)
    for missing in ("site:de-a", f"epoch:{EPOCH}"):
        assert not parsed.holds_for(frozenset(parsed.rows) - {missing})


@settings(deadline=None)
@given(any_use(activity=Activity.RECORDS))
def test_every_attribute_has_the_form_of_one(asked: Use) -> None:
    for attribute in attributes(asked, site="de-a", epoch=EPOCH):
        assert abe.check_attribute(attribute) == attribute


def test_a_key_of_another_registry_or_month_opens_nothing() -> None:
    policy = compile_policy([permission()], data_set="de-a", site="de-a", day=FIRST)

    assert policy.holds_for(attributes(use(), site="de-a", epoch=EPOCH))
    assert not policy.holds_for(attributes(use(), site="fr-a", epoch=EPOCH))
    assert not policy.holds_for(attributes(use(), site="de-a", epoch="2026-12"))


BROKEN = "does not hold from 2026-11-01 to the month's end"
SCATTERED = categories(f"C{n:02}" for n in range(0, 98, 2)) | categories(
    f"D{n:02}" for n in range(0, 49, 2)
)
MANY = frozenset(f"{a}{b}" for a in "ABCDEFGH" for b in "ABCDEFGH")


@pytest.mark.parametrize(
    ("consents", "told"),
    [
        ([], "there is no permission"),
        ([no()], "there is no permission"),
        ([permission(), no(version=2)], "there is no permission"),
        ([permission(), no(Answer.REFUSED)], "there is no permission"),
        ([permission(), permission(permission=duo.GRU)], "there is no permission"),
        ([permission(activity=Activity.STATISTICS)], "there is no permission"),
        ([permission(data_set="fr-b")], "there is no permission"),
        (
            [permission(last_day=date(2026, 11, 29))],
            BROKEN,
        ),
        (
            [permission(last_day=date(2026, 10, 31))],
            BROKEN,
        ),
        (
            [permission(first_day=date(2026, 11, 2))],
            BROKEN,
        ),
        ([by_guardian(date(2026, 11, 30))], BROKEN),
        ([permission(permission=duo.DS, diseases=SCATTERED)], "a policy has at most 64"),
        ([permission(limits=frozenset({duo.GS}), regions=MANY)], "a policy has at most 64"),
    ],
)
def test_what_no_policy_can_say_is_refused(consents: list[Consent], told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        compile_policy(consents, data_set="de-a", site="de-a", day=FIRST)


@pytest.mark.parametrize(
    "said",
    [
        permission(last_day=date(2026, 11, 30)),
        permission(first_day=date(2026, 11, 1)),
        by_guardian(date(2026, 12, 1)),
        permission(permission=duo.DS, diseases=categories(["C00-D48"])),
    ],
)
def test_what_holds_on_every_day_is_said(said: Consent) -> None:
    assert text(said).startswith("and(")


def test_a_permission_counts_from_the_day_on_which_it_begins() -> None:
    said = permission(first_day=date(2026, 11, 20))
    with pytest.raises(RefusedError, match="does not hold from 2026-11-19"):
        compile_policy([said], data_set="de-a", site="de-a", day=date(2026, 11, 19))
    policy = compile_policy([said], data_set="de-a", site="de-a", day=date(2026, 11, 20))
    assert str(policy) == "and(epoch:2026-11,site:de-a,use:hmb)"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epoch": "2026-13"}, "epoch: wanted a month"),
        ({"epoch": "2026-1"}, "epoch: wanted a month"),
        ({"epoch": "2026-11-01"}, "epoch: wanted a month"),
        ({"epoch": "20\u0662\u0666-11"}, "epoch: wanted a month"),
        ({"site": "DE-A"}, "site: wanted"),
        ({"site": "de-a,use:gru"}, "site: wanted"),
        ({"site": "d\u0435-a"}, "site: wanted"),
    ],
)
def test_a_site_or_month_that_is_none_is_refused(changes: dict[str, Any], told: str) -> None:
    where = {"site": "de-a", "epoch": EPOCH} | changes
    with pytest.raises(InputError, match=told):
        attributes(use(), **where)
    if "site" in changes:
        with pytest.raises(InputError, match=told):
            compile_policy([permission()], data_set="de-a", site=changes["site"], day=FIRST)


def test_no_key_is_issued_for_statistics() -> None:
    with pytest.raises(InputError, match="wanted a use of records"):
        attributes(use(activity=Activity.STATISTICS), site="de-a", epoch=EPOCH)


@pytest.mark.parametrize("epoch", ["2026-11", "2028-02", "2026-12"])
def test_a_month_has_all_its_days(epoch: str) -> None:
    year, month = map(int, epoch.split("-"))

    assert len(days(epoch)) == monthrange(year, month)[1]
