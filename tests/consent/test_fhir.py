"""Resources of our own profile; the models of fhir.resources are the second opinion."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B.consent import Consent as R4bConsent
from hypothesis import given, settings
from hypothesis import strategies as st
from said import PATIENT, any_consent, by_guardian, no, permission

from upcare_mpc.consent import duo
from upcare_mpc.consent.fhir import read_consent, write_consent
from upcare_mpc.consent.model import Consent
from upcare_mpc.errors import InputError

DUO = "http://purl.obolibrary.org/obo/duo.owl"
LIMIT = "urn:upcare:consent:limit"


def resource(consent: Consent | None = None) -> dict[str, Any]:
    said = consent or permission(
        permission=duo.DS,
        diseases=frozenset({"C50"}),
        limits=frozenset({duo.NCU, duo.GS}),
        regions=frozenset({"DE"}),
        last_day=date(2036, 1, 1),
    )
    content: dict[str, Any] = json.loads(write_consent(said))
    return content


def read(content: dict[str, Any]) -> Consent:
    return read_consent(json.dumps(content).encode())


@settings(deadline=None)
@given(any_consent())
def test_a_consent_reads_back_as_it_was_written(consent: Consent) -> None:
    assert read_consent(write_consent(consent)) == consent


@settings(deadline=None)
@given(any_consent())
def test_what_is_written_is_a_consent_of_r4b(consent: Consent) -> None:
    content = json.loads(write_consent(consent))
    model = R4bConsent.model_validate(content)

    assert json.loads(model.model_dump_json()) == content
    assert read_consent(model.model_dump_json().encode()) == consent


def test_the_second_opinion_can_say_no() -> None:
    content = resource() | {"status": 3, "stat": "active"}

    with pytest.raises(ValueError, match="status"):
        R4bConsent.model_validate(content)


def test_what_is_for_people_makes_no_difference() -> None:
    content = resource()
    labelled = content | {
        "id": "x1",
        "language": "de",
        "text": {"status": "generated", "div": "<div>Anna Muster</div>"},
        "extension": [{"url": "urn:other", "valueString": "x"}],
        "meta": content["meta"] | {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"},
    }
    labelled["category"][0]["coding"][0]["display"] = "Patient Consent"

    assert read(labelled) == read(content)


def test_a_limit_is_a_modifier_that_nobody_may_ignore() -> None:
    permit = resource()["provision"]["provision"][0]

    assert [extension["url"] for extension in permit["modifierExtension"]] == [LIMIT] * 4
    assert permit["purpose"] == [{"system": DUO, "code": duo.DS}]


@pytest.mark.parametrize(
    ("code", "read_as"), [("DUO:00000044", duo.NPOA), (duo.NPOA, duo.NPOA), (duo.NCU, duo.NCU)]
)
def test_the_typing_error_of_the_ontology_is_mended(code: str, read_as: str) -> None:
    content = resource(permission(limits=frozenset({duo.IRB})))
    content["provision"]["provision"][0]["modifierExtension"][0]["valueCoding"]["code"] = code
    consent = read(content)

    assert consent.terms is not None
    assert consent.terms.limits == {read_as}


def test_the_obsolete_general_use_with_care_is_both() -> None:
    content = resource(permission(limits=frozenset({duo.NCU})))
    content["provision"]["provision"][0]["purpose"][0]["code"] = "DUO:0000005"
    consent = read(content)

    assert consent.terms is not None
    assert (consent.terms.permission, consent.terms.limits) == (duo.GRU, {duo.CC, duo.NCU})


Alter = Callable[[dict[str, Any]], Any]


def at(*path: str | int, value: Any) -> Alter:
    """Set a place of the resource, or with ``...`` delete it."""

    def alter(content: dict[str, Any]) -> None:
        place: Any = content
        for step in path[:-1]:
            place = place[step]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return alter


PERMIT = ("provision", "provision", 0)
HOSTILE: list[tuple[Alter, str]] = [
    (at("resourceType", value="Patient"), "Consent.resourceType: wanted Consent"),
    (at("resourceType", value=...), "Consent.resourceType: missing"),
    (at("implicitRules", value="urn:rules"), "Consent.implicitRules: not supported"),
    (at("contained", value=[]), "Consent.contained: not supported"),
    (at("_status", value={"extension": []}), "Consent._status: not supported"),
    (at("verification", value=[{"verified": False}]), "Consent.verification: not supported"),
    (at("policyRule", value={"text": "x"}), "Consent.policyRule: not supported"),
    (at("na\u0301me of patient", value=1), "Consent.(no name of FHIR): not supported"),
    (at("modifierExtension", value=[{"url": "urn:x", "valueDate": "2030-01-01"}]), "url: wanted"),
    (at("modifierExtension", value=[{"url": "urn:x", "valueBoolean": True}]), "valueBoolean: not"),
    (at("modifierExtension", value=[]), "modifierExtension: wanted a list of one"),
    (at("modifierExtension", value=None), "modifierExtension: wanted a list of one"),
    (at(*PERMIT, "period", "end", value=None), "period.end: wanted a text"),
    (at("meta", "profile", value=["urn:upcare:fhir:consent:2"]), "meta.profile[0]: wanted urn"),
    (at("meta", "security", value=[{"code": "R"}]), "meta.security: not supported"),
    (at("status", value="draft"), "Consent.status: wanted active or rejected or inactive"),
    (at("status", value="entered-in-error"), "Consent.status: wanted active"),
    (at("status", value=["active"]), "Consent.status: wanted active"),
    (at("status", value="rejected"), "terms: wanted with the answer permitted"),
    (at("scope", "coding", 0, "code", value="patient-privacy"), "Consent.scope: wanted the code"),
    (at("category", 0, "coding", 0, "code", value="64300-7"), "Consent.category[0]: wanted"),
    (at("patient", "reference", value="Patient/1"), "Consent.patient.reference: not supported"),
    (at("patient", "identifier", "value", value="0123"), "value: wanted a pseudonym"),
    (at("patient", "identifier", "value", value="\u0660" * 32), "value: wanted a pseudonym"),
    (at("identifier", 0, "value", value="1.0"), "value: wanted a whole number"),
    (at("identifier", 0, "value", value="\u0661"), "value: wanted a whole number"),
    (at("identifier", 0, "value", value="9999999999"), "version: wanted a whole number"),
    (at("performer", value=[]), "Consent.performer: wanted a list of one"),
    (at("performer", 0, "type", value="Practitioner"), "type: wanted Patient or RelatedPerson"),
    (at("performer", 0, "type", value="RelatedPerson"), "majority: wanted with a guardian"),
    (at("dateTime", value="2026"), "Consent.dateTime: wanted a day"),
    (at("policy", 0, "authority", value="urn:x"), "policy[0].authority: not supported"),
    (at("provision", value=[]), "Consent.provision: wanted an object"),
    (at("provision", "type", value="permit"), "Consent.provision.type: wanted deny"),
    (at("provision", "action", value=...), "Consent.provision.action: missing"),
    (at("provision", "action", 0, "coding", 0, "code", value="disclose"), "action[0]: wanted use"),
    (at("provision", "period", value={}), "Consent.provision.period: not supported"),
    (at(*PERMIT, "type", value="deny"), "provision[0].type: wanted permit"),
    (at(*PERMIT, "provision", value=[{"type": "deny"}]), "provision[0].provision: not supported"),
    (at(*PERMIT, "actor", value=[]), "provision[0].actor: not supported"),
    (at(*PERMIT, "dataPeriod", value={}), "provision[0].dataPeriod: not supported"),
    (at(*PERMIT, "securityLabel", value=[]), "provision[0].securityLabel: not supported"),
    (at(*PERMIT, "class", value=[]), "provision[0].class: not supported"),
    (at(*PERMIT, "extension", value=[]), "provision[0].extension: not supported"),
    (at(*PERMIT, "period", value={"end": "2030-01-01"}), "period.start: missing"),
    (at(*PERMIT, "period", "end", value="2025-01-01"), "last_day: wanted a day not before"),
    (at(*PERMIT, "period", "end", value="2030-01-01T12:00:00Z"), "period.end: wanted a day"),
    (at(*PERMIT, "purpose", 0, "code", value="DUO:0000002"), "purpose[0]: wanted a permission"),
    (at(*PERMIT, "purpose", 0, "code", value=duo.NCU), "purpose[0]: wanted a permission"),
    (at(*PERMIT, "purpose", 0, "system", value="urn:x"), "purpose[0]: wanted a permission"),
    (at(*PERMIT, "purpose", 0, "extension", value=[]), "purpose[0].extension: not supported"),
    (at(*PERMIT, "modifierExtension", 0, "url", value="urn:x"), "modifierExtension[0].url: wanted"),
    (
        at(*PERMIT, "modifierExtension", 0, "valueCoding", "system", value="urn:x"),
        "modifierExtension[0].valueCoding: wanted a code of",
    ),
    (
        at(*PERMIT, "modifierExtension", 0, "valueCoding", "code", value="NCU"),
        "limits: wanted",
    ),
    (at(*PERMIT, "modifierExtension", value=...), "diseases: wanted with"),
    (at("provision", "provision", value=...), "terms: wanted with the answer permitted"),
    (at("provision", "provision", value=[{}, {}]), "provision.provision: wanted a list of one"),
]


@pytest.mark.parametrize(("alter", "told"), HOSTILE, ids=[told for _, told in HOSTILE])
def test_what_cannot_be_said_is_refused_by_its_place(alter: Alter, told: str) -> None:
    content = resource()
    alter(content)

    with pytest.raises(InputError) as refused:
        read(content)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert PATIENT.hex() not in str(refused.value)


@pytest.mark.parametrize(
    "consent",
    [
        permission(permission=duo.DS, diseases=frozenset({"C50"}), last_day=date(2036, 1, 1)),
        permission(limits=frozenset({duo.GS, duo.IRB}), regions=frozenset({"DE", "FR"})),
        by_guardian(date(2031, 5, 1)),
        no(),
    ],
)
def test_no_element_but_a_limit_can_be_left_out_unnoticed(consent: Consent) -> None:
    """A resource without an end or a limit is a wider consent; no other gap is taken for one."""
    written = write_consent(consent)

    def keys(part: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(part, dict):
                yield (*path, key)
            if isinstance(inner, dict | list):
                yield from keys(inner, (*path, key))

    for path in keys(json.loads(written), ()):
        if path[-1] in {"end", "modifierExtension", "display"}:
            continue
        content = json.loads(written)
        at(*path, value=...)(content)
        with pytest.raises(InputError):
            read(content)


def test_hostile_bytes_are_refused_in_one_line() -> None:
    deep: bytes = b'{"resourceType":' * 60_000
    for received in (b"", b"null", b"\xff", deep, b"[" * 10**6, b'{"resourceType":"Consent"}'):
        with pytest.raises(InputError):
            read_consent(received)


def test_a_guardians_answer_and_a_refusal_are_written_too() -> None:
    child = resource(by_guardian(date(2031, 5, 1)))
    refused = resource(no())

    assert child["performer"][0]["type"] == "RelatedPerson"
    assert child["modifierExtension"] == [
        {"url": "urn:upcare:consent:majority", "valueDate": "2031-05-01"}
    ]
    assert refused["status"] == "inactive"
    assert "provision" not in refused["provision"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("url"), inner, max_size=1),
    max_leaves=4,
)


@settings(deadline=None, max_examples=200)
@given(any_consent(), st.data())
def test_whatever_is_read_here_is_a_consent_of_r4b(consent: Consent, data: st.DataObject) -> None:
    """So the models of fhir.resources would refuse nothing that the reader lets pass."""
    content = json.loads(write_consent(consent))
    place: Any = content
    while isinstance(place, dict | list) and place:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place))))
        )
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    try:
        read(content)
    except InputError:
        return
    R4bConsent.model_validate(content)
