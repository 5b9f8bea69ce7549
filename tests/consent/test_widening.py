from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from said import DAYS, any_consent, any_terms, any_use, by_guardian, narrowed, no, permission

from upcare_mpc.consent import duo
from upcare_mpc.consent.gate import Gate, decide
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.consent.use import Use
from upcare_mpc.consent.widening import widens

BREAST = {"permission": duo.DS, "diseases": frozenset({"C50"})}
IN_GERMANY = {"limits": frozenset({duo.GS}), "regions": frozenset({"DE"})}


@pytest.mark.parametrize(
    ("before", "after", "wider"),
    [
        ({}, {}, True),
        (BREAST, {}, True),
        ({}, BREAST, False),
        ({"permission": duo.POA}, {}, False),
        ({"permission": duo.POA}, {"permission": duo.GRU}, True),
        (BREAST, BREAST | {"diseases": frozenset({"C50", "C61"})}, True),
        (BREAST | {"diseases": frozenset({"C50", "C61"})}, BREAST, False),
        (IN_GERMANY, {}, True),
        ({}, IN_GERMANY, False),
        (IN_GERMANY, IN_GERMANY | {"regions": frozenset({"DE", "FR"})}, True),
        (IN_GERMANY | {"regions": frozenset({"DE", "FR"})}, IN_GERMANY, False),
        ({"limits": frozenset({duo.NPUNCU})}, {"limits": frozenset({duo.NCU})}, True),
        ({"limits": frozenset({duo.NCU})}, {"limits": frozenset({duo.NPUNCU})}, False),
        (
            {"limits": frozenset({duo.NCU, duo.NPU})},
            {"limits": frozenset({duo.NPUNCU})},
            True,
        ),
        ({"limits": frozenset({duo.CC})}, {}, True),
        ({"last_day": date(2030, 1, 1)}, {"last_day": date(2031, 1, 1)}, True),
        ({"last_day": date(2030, 1, 1)}, {"last_day": date(2029, 1, 1)}, False),
        ({"last_day": date(2030, 1, 1)}, {}, True),
        ({}, {"last_day": date(2099, 1, 1)}, False),
        ({}, {"first_day": date(2026, 2, 1)}, False),
        ({}, {"first_day": date(2025, 2, 1)}, True),
    ],
)
def test_a_permission_is_wider_or_it_is_not(
    before: dict[str, Any], after: dict[str, Any], wider: bool
) -> None:
    assert widens(permission(version=2, **after), permission(**before)) == wider


def test_a_no_is_the_narrowest_answer() -> None:
    assert widens(permission(version=2), no())
    assert widens(no(Answer.REFUSED, version=2), no())
    assert not widens(no(version=2), permission())


def test_an_answer_of_ones_own_is_wider_than_a_parents() -> None:
    child = by_guardian(date(2031, 5, 1))

    assert widens(permission(version=2), child)
    assert not widens(replace(child, version=2), permission())
    assert not widens(by_guardian(date(2031, 4, 30), version=2), child)


@settings(deadline=None, max_examples=300)
@given(
    any_consent(activity=Activity.RECORDS, data_set="de-a"),
    any_consent(activity=Activity.RECORDS, data_set="de-a"),
    st.data(),
    any_use(activity=Activity.RECORDS),
    DAYS,
)
def test_what_the_old_answer_permitted_a_wider_one_permits(
    one: Consent, other: Consent, data: st.DataObject, asked: Use, day: date
) -> None:
    if one.terms is not None and data.draw(st.booleans()):
        other = replace(one, terms=data.draw(narrowed(one.terms)))
    for after, before in ((one, other), (other, one)):
        if widens(after, before):
            event("wider")
            if decide([before], asked, gate=Gate.CONSENT, day=day).permitted:
                event("wider and permitted")
                assert decide([after], asked, gate=Gate.CONSENT, day=day).permitted


@settings(deadline=None)
@given(any_terms(), st.data())
def test_a_step_back_from_a_narrower_permission_is_seen_as_wider(
    wide: Terms, data: st.DataObject
) -> None:
    narrow = data.draw(narrowed(wide))
    assume(narrow.first_day - wide.first_day < timedelta(days=31))

    assert widens(permission(terms=wide, version=2), permission(terms=narrow))
