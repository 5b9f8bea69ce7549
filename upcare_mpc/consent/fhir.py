"""Consents as HL7 FHIR resources (Consent, R4 and R4B), written and read back without loss.

    meta.profile        urn:upcare:fhir:consent:1, the version of this mapping
    identifier          the version of the answer
    status              active, rejected, inactive = permitted, refused, withdrawn
    patient.identifier  the pseudonym
    performer           who has answered: patient, or guardian
    organization        the data set
    policy.uri          the form
    dateTime            the day of the answer
    provision           deny, with the activity as action (use = statistics, access = records)
      .provision        permit, with the period, and the DUO permission as purpose

Limits change the meaning of a permission, so they are modifier extensions: whoever does not know
them has to refuse the resource. ``urn:upcare:consent:limit`` is a Coding: a DUO modifier, a disease
(ICD-10) or a country (ISO 3166). ``urn:upcare:consent:majority`` is the day of majority.

Reading takes what writing gives, and FHIR's narrative, ids and labels beside it. Anything else is
refused by its place: nested denials, actors, data periods, unknown modifiers, implicit rules. Two
spellings of the ontology are mended: ``DUO:00000044`` (its own typing error) is NPOA, and the
obsolete ``DUO:0000005`` is GRU with CC.
"""

import json
from typing import Any, Final, TypeVar

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.fhir_elements import (
    CONSENT_SCOPE,
    HARMLESS,
    LOINC,
    PRIVACY_CONSENT,
    Coding,
    Element,
    read_resource,
)
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms

__all__ = ["PROFILE", "read_consent", "write_consent"]

PROFILE: Final = "urn:upcare:fhir:consent:1"

_VERSION: Final = "urn:upcare:consent:version"
_PSEUDONYM: Final = "urn:upcare:pseudonym"
_DATA_SET: Final = "urn:upcare:data-set"
_LIMIT: Final = "urn:upcare:consent:limit"
_MAJORITY: Final = "urn:upcare:consent:majority"
_DUO: Final = "http://purl.obolibrary.org/obo/duo.owl"
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_COUNTRY: Final = "urn:iso:std:iso:3166"
_ACTION: Final = "http://terminology.hl7.org/CodeSystem/consentaction"

_STATUS: Final = {
    Answer.PERMITTED: "active",
    Answer.REFUSED: "rejected",
    Answer.WITHDRAWN: "inactive",
}
_ACTIONS: Final = {Activity.STATISTICS: "use", Activity.RECORDS: "access"}
_PERFORMERS: Final = {Giver.PATIENT: "Patient", Giver.GUARDIAN: "RelatedPerson"}
_MENDED: Final = {"DUO:00000044": duo.NPOA}
_GRU_CC: Final = "DUO:0000005"
_Kind = TypeVar("_Kind")


def write_consent(consent: Consent) -> bytes:
    """Return a consent as a FHIR resource, in JSON. Secret, as the consent is."""
    resource: dict[str, Any] = {
        "resourceType": "Consent",
        "meta": {"profile": [PROFILE]},
        "identifier": [{"system": _VERSION, "value": str(consent.version)}],
        "status": _STATUS[consent.answer],
        "scope": _concept(CONSENT_SCOPE, "research"),
        "category": [_concept(LOINC, PRIVACY_CONSENT)],
        "patient": {"identifier": {"system": _PSEUDONYM, "value": consent.patient.hex()}},
        "dateTime": consent.given.isoformat(),
        "performer": [{"type": _PERFORMERS[consent.giver], "display": consent.giver.value}],
        "organization": [{"identifier": {"system": _DATA_SET, "value": consent.data_set}}],
        "policy": [{"uri": consent.form}],
        "provision": {"type": "deny", "action": [_concept(_ACTION, _ACTIONS[consent.activity])]},
    }
    if consent.majority is not None:
        resource["modifierExtension"] = [
            {"url": _MAJORITY, "valueDate": consent.majority.isoformat()}
        ]
    if consent.terms is not None:
        resource["provision"]["provision"] = [_permit(consent.terms)]
    return json.dumps(resource, indent=2, ensure_ascii=True).encode("ascii")


def read_consent(document: bytes) -> Consent:
    """Read a resource that ``write_consent`` wrote, here or elsewhere.

    Args:
        document: Anything at all.

    Raises:
        InputError: It is none, or says what a consent here cannot; the text names the element.
    """
    resource = read_resource(document)
    resource.only(
        *("resourceType", "meta", "identifier", "status", "scope", "category", "patient"),
        *("dateTime", "performer", "organization", "policy", "provision", "modifierExtension"),
        *HARMLESS,
    )
    _check_profile(resource.child("meta"))
    category = resource.child("category").single()
    if category.concept() != Coding(LOINC, PRIVACY_CONSENT):
        raise category.wrong(f"the code {PRIVACY_CONSENT} of {LOINC}")
    provision = resource.child("provision")
    provision.only("type", "action", "provision")
    provision.child("type").fixed("deny")
    permits = provision.maybe("provision")
    performer = resource.child("performer").single()
    performer.only("type", labels=("display",))
    policy = resource.child("policy").single()
    policy.only("uri")
    majority = resource.maybe("modifierExtension")
    return Consent(
        patient=_pseudonym(resource.child("patient")),
        data_set=_identified(resource.child("organization").single(), _DATA_SET).text(),
        activity=_activity(provision.child("action").single()),
        version=_version(resource.child("identifier").single()),
        answer=_named(_STATUS, resource.child("status")),
        terms=None if permits is None else _terms(permits.single()),
        giver=_named(_PERFORMERS, performer.child("type")),
        majority=None if majority is None else _extension(majority.single(), _MAJORITY).day(),
        given=resource.child("dateTime").day(),
        form=policy.child("uri").text(),
    )


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _permit(terms: Terms) -> dict[str, Any]:
    period = {"start": terms.first_day.isoformat()}
    if terms.last_day is not None:
        period["end"] = terms.last_day.isoformat()
    permit: dict[str, Any] = {
        "type": "permit",
        "period": period,
        "purpose": [{"system": _DUO, "code": terms.permission}],
    }
    limits = (
        *((_DUO, code) for code in sorted(terms.limits)),
        *((_ICD10, category) for category in sorted(terms.diseases or ())),
        *((_COUNTRY, region) for region in sorted(terms.regions or ())),
    )
    extensions = [
        {"url": _LIMIT, "valueCoding": {"system": system, "code": code}} for system, code in limits
    ]
    return permit | ({"modifierExtension": extensions} if extensions else {})


def _check_profile(meta: Element) -> None:
    meta.only("profile", "versionId", "lastUpdated", "source")
    meta.child("profile").single().fixed(PROFILE)


def _identified(reference: Element, system: str) -> Element:
    """Return the value of a reference by an identifier of a system."""
    reference.only("identifier", labels=("display",))
    identifier = reference.child("identifier")
    identifier.only("system", "value")
    identifier.child("system").fixed(system)
    return identifier.child("value")


def _pseudonym(patient: Element) -> bytes:
    value = _identified(patient, _PSEUDONYM)
    text = value.text()
    if len(text) != 32 or not set(text) <= set("0123456789abcdef"):  # 16 bytes
        raise value.wrong("a pseudonym of 16 bytes in hex")
    return bytes.fromhex(text)


def _version(identifier: Element) -> int:
    identifier.only("system", "value")
    identifier.child("system").fixed(_VERSION)
    value = identifier.child("value")
    text = value.text()
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and text[0] != "0"):
        raise value.wrong("a whole number from 1 on")
    return int(text)


def _named(names: dict[_Kind, str], element: Element) -> _Kind:
    """Return the key of a name."""
    name = element.fixed(*names.values())
    return next(key for key, known in names.items() if known == name)


def _activity(action: Element) -> Activity:
    coding = action.concept()
    for activity, code in _ACTIONS.items():
        if coding == Coding(_ACTION, code):
            return activity
    raise action.wrong(f"use or access of {_ACTION}")


def _terms(permit: Element) -> Terms:
    permit.only("type", "period", "purpose", "modifierExtension")
    permit.child("type").fixed("permit")
    period = permit.child("period")
    period.only("start", "end")
    end = period.maybe("end")
    purpose = permit.child("purpose").single()
    permission = purpose.coding()
    if permission.system != _DUO or permission.code not in {*duo.PERMISSIONS, _GRU_CC}:
        raise purpose.wrong(f"a permission of {_DUO}")
    gru_cc = permission.code == _GRU_CC
    limits, diseases, regions = _limits(permit.maybe("modifierExtension"))
    return Terms(
        permission=duo.GRU if gru_cc else permission.code,
        limits=limits | {duo.CC} if gru_cc else limits,
        diseases=categories(diseases) if diseases else None,
        regions=regions or None,
        first_day=period.child("start").day(),
        last_day=None if end is None else end.day(),
    )


def _limits(
    extensions: Element | None,
) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    found: dict[str, set[str]] = {_DUO: set(), _ICD10: set(), _COUNTRY: set()}
    for extension in () if extensions is None else extensions.items():
        value = _extension(extension, _LIMIT)
        coding = value.coding()
        if coding.system not in found:
            raise value.wrong(f"a code of {', '.join(found)}")
        found[coding.system].add(_MENDED.get(coding.code, coding.code))
    return frozenset(found[_DUO]), frozenset(found[_ICD10]), frozenset(found[_COUNTRY])


def _extension(extension: Element, url: str) -> Element:
    """Return the value of a modifier extension that is known."""
    value = "valueDate" if url == _MAJORITY else "valueCoding"
    extension.only("url", value)
    extension.child("url").fixed(url)
    return extension.child(value)
