"""Broad consents as hospitals export them; the examples follow those of the profile."""

import json
from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B.consent import Consent as R4bConsent
from said import PATIENT, TODAY, use

from upcare_mpc.consent import duo
from upcare_mpc.consent.fhir_mii import EEA, read_broad_consent
from upcare_mpc.consent.gate import Gate, Reason, decide
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver
from upcare_mpc.errors import InputError

OIDS = "2.16.840.1.113883.3.1937.777.24"
SITE = "https://www.medizininformatik-initiative.de/fhir/modul-consent"
PERIOD = {"start": "2020-09-01", "end": "2050-08-31"}


def permit(*policies: int, period: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "type": "permit",
        "period": period or PERIOD,
        "code": [
            {"coding": [{"system": f"urn:oid:{OIDS}.5.3", "code": f"{OIDS}.5.3.{policy}"}]}
            for policy in policies
        ],
    }


def broad_consent(oid: int = 1791, *permits: dict[str, Any], **changes: Any) -> dict[str, Any]:
    nested = list(permits) if permits else [permit(6, 7), permit(8), permit(20, 22)]
    return {
        "resourceType": "Consent",
        "id": "89f494a3",
        "meta": {"profile": [f"{SITE}/StructureDefinition/mii-pr-consent-einwilligung"]},
        "text": {"status": "generated", "div": "<div>Max Mustermann</div>"},
        "extension": [
            {
                "url": "http://fhir.de/ConsentManagement/StructureDefinition/DomainReference",
                "extension": [
                    {"url": "domain", "valueReference": {"reference": "ResearchStudy/1"}}
                ],
            }
        ],
        "status": "active",
        "scope": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                    "code": "research",
                }
            ]
        },
        "category": [
            {"coding": [{"system": system, "code": code}]}
            for system, code in (
                ("http://loinc.org", "57016-8"),
                (f"{SITE}/CodeSystem/mii-cs-consent-version-modules", f"{OIDS}.2.184"),
                ("http://fhir.de/ConsentManagement/CodeSystem/ResultType", "document"),
                ("http://fhir.de/ConsentManagement/CodeSystem/TemplateType", "CONSENT-OPT-IN"),
            )
        ],
        "patient": {"reference": "Patient/9b4a702d"},
        "dateTime": "2020-09-01",
        "organization": [{"display": "Klinikum Musterstadt"}],
        "policy": [{"uri": f"urn:oid:{OIDS}.2.{oid}"}],
        "policyRule": {
            "extension": [
                {
                    "url": "http://fhir.de/ConsentManagement/StructureDefinition/Xacml",
                    "valueBase64Binary": "TUlJ",
                }
            ],
            "text": "siehe eingebettetes XACML",
        },
        "provision": {"type": "deny", "period": PERIOD, "provision": nested},
    } | changes


def denied(oid: int, **changes: Any) -> dict[str, Any]:
    return broad_consent(oid, **{"provision": {"type": "deny", "period": PERIOD}, **changes})


def status_of(content: dict[str, Any]) -> dict[str, Any]:
    """The same as a statement of what holds now."""
    categories = [
        {"coding": [category["coding"][0] | {"code": "consent-status"}]}
        if "ResultType" in category["coding"][0]["system"]
        else category
        for category in content["category"]
    ]
    return content | {"category": categories}


def read_all(content: dict[str, Any], **changes: Any) -> tuple[Consent, ...]:
    return read_broad_consent(
        json.dumps(content).encode(),
        **{
            "pseudonym": {"9b4a702d": PATIENT, "PSN-1": PATIENT}.__getitem__,
            "data_set": "de-a",
            "activities": [Activity.RECORDS],
            "version": 1,
            **changes,
        },
    )


def read(content: dict[str, Any], **changes: Any) -> Consent:
    (consent,) = read_all(content, **changes)
    return consent


def test_a_broad_consent_permits_biomedical_research_in_europe() -> None:
    consent = read(broad_consent())

    assert consent.answer is Answer.PERMITTED
    assert consent.terms is not None
    assert (consent.terms.permission, consent.terms.limits) == (duo.HMB, {duo.GS})
    assert consent.terms.regions == EEA
    assert len(EEA) == 30
    assert (consent.terms.first_day, consent.terms.last_day) == (
        date(2020, 9, 1),
        date(2050, 8, 31),
    )
    assert consent.form == f"urn:oid:{OIDS}.2.1791"
    in_france = decide([consent], use(region="FR"), gate=Gate.CONSENT, day=TODAY)
    assert in_france.reason is Reason.CONSENTED
    assert not decide([consent], use(region="US"), gate=Gate.CONSENT, day=TODAY).permitted


def test_the_examples_here_are_resources_of_r4b() -> None:
    for content in (broad_consent(), denied(2720), status_of(broad_consent(2721))):
        assert R4bConsent.model_validate(content).status == "active"


def test_it_speaks_of_what_the_registry_takes_it_for() -> None:
    both = read_all(broad_consent(), activities=[Activity.STATISTICS, Activity.RECORDS])

    assert [consent.activity for consent in both] == [Activity.RECORDS, Activity.STATISTICS]
    assert read_all(broad_consent(), activities=[]) == ()


def test_a_patient_is_named_by_an_identifier_or_by_the_resource() -> None:
    named = {"identifier": {"system": "urn:psn", "value": "PSN-1"}}

    assert read(broad_consent(patient=named)).patient == PATIENT
    assert read(broad_consent()).patient == PATIENT


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        *((broad_consent(oid), Answer.PERMITTED) for oid in (1790, 1791, 2079)),
        *((denied(oid), Answer.REFUSED) for oid in (4053, 4054)),
        *((denied(oid), Answer.WITHDRAWN) for oid in (2718, 2720, 2722)),
        (broad_consent(status="inactive"), Answer.WITHDRAWN),
        (broad_consent(status="rejected"), Answer.REFUSED),
        (broad_consent(1791, permit(6, 7), permit(20)), Answer.REFUSED),
        (denied(1791), Answer.REFUSED),
        (denied(2720, status="inactive"), Answer.WITHDRAWN),
        (status_of(broad_consent(2721)), Answer.PERMITTED),
        (status_of(broad_consent(2721, permit(6))), Answer.REFUSED),
        (status_of(denied(1791)), Answer.REFUSED),
    ],
)
def test_the_form_says_what_kind_of_answer_it_is(content: dict[str, Any], answer: Answer) -> None:
    assert read(content).answer is answer


def test_parents_answer_until_the_day_of_majority() -> None:
    consent = read(broad_consent(3542), majority=date(2031, 5, 1))

    assert (consent.giver, consent.majority) == (Giver.GUARDIAN, date(2031, 5, 1))
    after = decide([consent], use(region="DE"), gate=Gate.CONSENT, day=date(2031, 5, 1))
    assert after.reason is Reason.OF_AGE


@pytest.mark.parametrize(
    ("inner", "first_day", "last_day"),
    [
        ({"start": "2021-01-01", "end": "2022-01-01"}, date(2021, 1, 1), date(2022, 1, 1)),
        ({"start": "2019-01-01"}, date(2020, 9, 1), date(2050, 8, 31)),
        ({"start": "2021-01-01", "end": "2060-01-01"}, date(2021, 1, 1), date(2050, 8, 31)),
        ({"start": "2021-01-01T08:00:00+01:00"}, date(2021, 1, 2), date(2050, 8, 31)),
        (
            {"start": "2021-01-01", "end": "2022-01-01T23:59:59Z"},
            date(2021, 1, 1),
            date(2021, 12, 31),
        ),
    ],
)
def test_it_holds_on_whole_days_that_both_periods_have(
    inner: dict[str, str], first_day: date, last_day: date
) -> None:
    terms = read(broad_consent(1791, permit(8, period=inner))).terms

    assert terms is not None
    assert (terms.first_day, terms.last_day) == (first_day, last_day)


DENY = {**permit(8), "type": "deny"}
NESTED = {**permit(8), "provision": [DENY]}
OTHER_CODE = {
    "type": "permit",
    "period": PERIOD,
    "code": [{"coding": [{"system": "urn:x", "code": "8"}]}],
}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (broad_consent(1791, permit(8), DENY), "provision.provision[1].type: wanted permit"),
        (broad_consent(1791, NESTED), "provision.provision[0].provision: not supported"),
        (broad_consent(1791, permit(8), permit(8)), "wanted one permit of"),
        (broad_consent(1791, OTHER_CODE), "code[0]: wanted a policy of"),
        (
            broad_consent(1791, permit(8, period={"start": "2040-01-01", "end": "2030-01-01"})),
            "last_day: wanted a day not before",
        ),
        (broad_consent(1791, permit(8, period={"start": "2021"})), "start: wanted a day"),
        (broad_consent(1791, permit(8, period={"start": "9999-12-31T01:00:00Z"})), "usual year"),
        (broad_consent(1791, permit(8, period={"end": "0001-01-01T01:00:00Z"})), "usual year"),
        (broad_consent(2721), "wanted a consent-status resource"),
        (broad_consent(2720), "wanted no permit beside a refusal"),
        (broad_consent(3543), "wanted a consent, refusal or withdrawal"),
        (broad_consent(4055), "wanted a consent, refusal or withdrawal"),
        (broad_consent(4037), "wanted a consent, refusal or withdrawal"),
        (broad_consent(policy=[{"uri": "urn:oid:1.2.3"}]), "policy[0].uri: wanted a consent"),
        (broad_consent(policy=[]), "Consent.policy: wanted a list of one"),
        (broad_consent(3542), "the day of majority is wanted"),
        (broad_consent(status="draft"), "Consent.status: wanted active"),
        (broad_consent(status="entered-in-error"), "Consent.status: wanted active"),
        (broad_consent(category=broad_consent()["category"][:1]), "Consent.category: wanted"),
        (broad_consent(category=broad_consent()["category"][1:]), "Consent.category: wanted"),
        (broad_consent(modifierExtension=[{"url": "urn:x"}]), "modifierExtension: not supported"),
        (broad_consent(implicitRules="urn:x"), "implicitRules: not supported"),
        (broad_consent(verification=[{"verified": False}]), "verification: not supported"),
        (broad_consent(meta={"profile": ["urn:other"]}), "meta.profile[0]: wanted https"),
        (broad_consent(patient={"reference": "Group/1"}), "patient.reference: wanted"),
        (broad_consent(patient={"reference": "Patient/1/2"}), "patient.reference: wanted"),
        (broad_consent(provision={"type": "permit"}), "Consent.provision.type: wanted deny"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_its_place(
    content: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as refused:
        read(content)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "Muster" not in str(refused.value)


def test_majority_is_for_the_parents_form_alone() -> None:
    with pytest.raises(InputError, match="the day of majority is wanted"):
        read(broad_consent(), majority=date(2031, 5, 1))
