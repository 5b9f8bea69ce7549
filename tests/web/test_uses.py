"""Studies and projects: listed if they ask about the patient, matched as the policy says."""

from datetime import date, timedelta
from typing import Any

import pytest
from house import NOW, Browser, House, words

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.fhir_mii import EEA
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.web.language import language
from upcare_mpc.web.uses import ProjectUse

FIRST = date(2026, 1, 1)


def permission(house: House, **changes: Any) -> Consent:
    terms = {"permission": duo.HMB, "first_day": FIRST} | changes
    return Consent(
        patient=house.patient(),
        data_set="de-a",
        activity=Activity.RECORDS,
        version=1,
        answer=Answer.PERMITTED,
        terms=Terms(**terms),
        given=FIRST,
        form="urn:oid:1.2.3",
    )


def withdrawal(house: House) -> Consent:
    return Consent(
        patient=house.patient(),
        data_set="de-a",
        activity=Activity.RECORDS,
        version=2,
        answer=Answer.WITHDRAWN,
        given=FIRST,
        form="urn:oid:1.2.3",
    )


def project(house: House) -> ProjectUse:
    (found,) = house.registry.projects(house.registry.dossier(house.patient()), language("en"))
    return found


@pytest.fixture
def inside(house: House) -> Browser:
    browser = house.browser()
    browser.enter(house.code())
    return browser


def test_a_study_is_listed_if_it_asks_about_her_group(house: House, inside: Browser) -> None:
    house.agree("On breasts", "site = 'C50' and age >= 18")
    house.agree("On lungs", "site = 'C34'")
    house.agree("On the old", "site = 'C50' and age >= 70")
    house.agree("On what is not known", "grade = '1'")

    text = words(inside.get("/en/uses"))

    assert "On breasts research on certain illnesses Agreed to on 22 November 2026." in text
    assert "Registries: de-a, de-b, de-c" in text
    for other in ("On lungs", "On the old", "On what is not known"):
        assert other not in text


def test_a_project_is_listed_from_its_approval_on(house: House, inside: Browser) -> None:
    filing = house.file(title="Project <b>one</b>")
    assert "None so far." in words(inside.get("/en/uses"))

    house.journal("access.approve", filing)
    approved = inside.get("/en/uses")
    house.now += timedelta(days=1)
    house.journal("access.issued", filing, authors=["de-a", "de-b"])
    house.journal("access.fetched", filing, edition=7)
    browser = house.browser()
    browser.enter(house.code())
    fetched = words(browser.get("/en/uses"))

    assert "Project &lt;b&gt;one&lt;/b&gt;" in approved.text
    assert "No key is known to have been given." in words(approved)
    assert "The researcher was given a key on 23 November 2026." in fetched
    assert "were fetched, as seen on 23 November 2026." in fetched


def test_a_project_on_the_records_of_others_is_not_hers(house: House) -> None:
    filing = house.file(registries=("de-b", "de-c"))
    house.journal("access.approve", filing)

    assert house.registry.projects(house.registry.dossier(house.patient()), language("en")) == ()


@pytest.mark.parametrize(
    ("changes", "matched"),
    [
        ({}, True),
        ({"permission": duo.GRU}, True),
        ({"permission": duo.POA}, False),
        ({"permission": duo.DS, "diseases": categories(["C50"])}, True),
        ({"permission": duo.DS, "diseases": categories(["C34"])}, False),
        ({"limits": frozenset({duo.NCU})}, True),
        ({"limits": frozenset({duo.NPU})}, False),
        ({"limits": frozenset({duo.IRB})}, True),
        ({"limits": frozenset({duo.PUB})}, False),
        ({"limits": frozenset({duo.GS}), "regions": EEA}, True),
        ({"limits": frozenset({duo.GS}), "regions": frozenset({"FR"})}, False),
        ({"limits": frozenset({"DUO:0000026"})}, False),  # no policy says it, nothing is sealed
        ({"last_day": date(2026, 11, 15), "limits": frozenset({duo.TS})}, False),
        ({"first_day": date(2026, 11, 30)}, True),
        ({"first_day": date(2026, 12, 1)}, False),
    ],
)
def test_a_key_matches_if_its_attributes_open_the_policy(
    house: House, changes: dict[str, Any], matched: bool
) -> None:
    house.record(permission(house, **changes))
    filing = house.file()
    house.journal("access.approve", filing)

    assert project(house).matched is matched


def test_without_an_answer_no_key_matches(house: House) -> None:
    house.journal("access.approve", house.file())

    assert not project(house).matched


@pytest.mark.parametrize(
    ("allowed", "taken_back", "matched"),
    [
        (timedelta(days=-60), timedelta(days=-40), False),  # before the month of the key
        (timedelta(days=-60), timedelta(days=-10), True),  # within it: it may have been sealed
        (timedelta(days=-60), timedelta(days=20), True),
        (timedelta(days=20), timedelta(days=21), False),  # recorded after the month
    ],
)
def test_a_permission_that_was_taken_back_in_the_month_may_have_matched(
    house: House, allowed: timedelta, taken_back: timedelta, *, matched: bool
) -> None:
    """Her record may have been sealed under it, and the page must not say that it was not."""
    house.journal("access.approve", house.file())
    house.now = NOW + allowed
    house.record(permission(house))
    house.now = NOW + taken_back
    house.record(withdrawal(house))

    assert project(house).matched is matched


def test_the_permission_of_another_patient_is_not_hers(house: House) -> None:
    house.record(permission(house))
    house.journal("access.approve", house.file())

    other = house.registry.dossier(house.patient("P-2"))

    (found,) = house.registry.projects(other, language("en"))
    assert not found.matched
