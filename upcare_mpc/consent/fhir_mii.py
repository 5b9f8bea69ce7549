"""Broad consents of the German medical informatics initiative (MII), as far as they reach here.

A hospital exports them as FHIR Consent resources: the outer provision denies, nested ones permit
single policies, each with its period. Of these one matters: ``...24.5.3.8``, scientific use of
medical data (MDAT wissenschaftlich nutzen). It becomes a permission for health, medical and
biomedical research (DUO HMB) within the European Economic Area; that more may be permitted
(transfer to third countries, other modules) is left unused. Which activities it speaks of, the
registry says: where statistics rest on statute and objection, it is about records alone.

What kind of document it is, the OID in ``policy.uri`` says: consent, refusal or complete withdrawal
of versions 1.6d, 1.6f and 1.7.2, and the parents' form. A partial withdrawal lists what is taken
back and not what remains, so it is taken only as a ``consent-status`` resource, which states what
holds now. Whoever gets a refused document has to treat the patient as withdrawn until a person has
read it: the document may be a "no".

Sources: the profile ``mii-pr-consent-einwilligung`` with its examples, the policies of
``urn:oid:2.16.840.1.113883.3.1937.777.24.5.3`` (version 1.1.0) and the draft code system of
versions and modules (codes CC BY 4.0, TMF). XACML beside the provisions is an extension that may be
ignored, and is.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.consent.fhir_elements import (
    HARMLESS,
    LOINC,
    PRIVACY_CONSENT,
    Element,
    read_resource,
)
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.errors import InputError

__all__ = ["EEA", "read_broad_consent"]

EEA: Final = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE"),
        *("IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)
"""The countries of the European Economic Area (EU, Iceland, Liechtenstein, Norway)."""

_PROFILE: Final = (
    "https://www.medizininformatik-initiative.de/fhir/modul-consent/"
    "StructureDefinition/mii-pr-consent-einwilligung"
)
_OIDS: Final = "2.16.840.1.113883.3.1937.777.24"
_POLICIES: Final = f"urn:oid:{_OIDS}.5.3"
_SCIENTIFIC_USE: Final = f"{_OIDS}.5.3.8"
_BROAD_CONSENT: Final = f"{_OIDS}.2.184"
_MODULES: Final = (
    "https://www.medizininformatik-initiative.de/fhir/modul-consent/"
    "CodeSystem/mii-cs-consent-version-modules"
)
_CATEGORIES: Final = (
    "https://www.medizininformatik-initiative.de/fhir/modul-consent/"
    "CodeSystem/mii-cs-consent-consent_category"
)
_RESULT_TYPE: Final = "http://fhir.de/ConsentManagement/CodeSystem/ResultType"
_TEMPLATE_TYPE: Final = "http://fhir.de/ConsentManagement/CodeSystem/TemplateType"

_CONSENTS: Final = frozenset({"1790", "1791", "2079"})
_PARENTS: Final = frozenset({"3542"})
_REFUSALS: Final = frozenset({"4053", "4054"})
_WITHDRAWALS: Final = frozenset({"2718", "2720", "2722"})
_PARTIAL_WITHDRAWALS: Final = frozenset({"2719", "2721", "2723"})
_FORM = re.compile(re.escape(f"urn:oid:{_OIDS}.2.") + "([0-9]{1,9})", re.ASCII)


def read_broad_consent(
    document: bytes,
    *,
    pseudonym: Callable[[str], bytes],
    data_set: str,
    activities: Iterable[Activity],
    version: int,
    majority: date | None = None,
) -> tuple[Consent, ...]:
    """Read a broad consent, refusal or withdrawal.

    Args:
        document: Anything at all.
        pseudonym: Turns the patient's identifier in the document into this registry's pseudonym.
        data_set: Which data set it is taken to be about.
        activities: What it is taken to be about.
        version: The next of this patient's answers; documents are read in the order of their dates.
        majority: The day on which the patient comes of age; with the parents' form, and only then.

    Returns:
        One consent for each activity, in the order of their names.

    Raises:
        InputError: It is none, or says what a consent here cannot; the text names the element.
    """
    resource = read_resource(document)
    resource.only(
        *("resourceType", "meta", "identifier", "status", "scope", "category", "patient"),
        *("dateTime", "organization", "sourceAttachment", "sourceReference", "policy"),
        *("policyRule", "provision"),
        *HARMLESS,
    )
    _check_profile(resource.child("meta"))
    result_type = _result_type(resource.child("category"))
    policy = resource.child("policy").single()
    policy.only("uri")
    uri = policy.child("uri")
    form = _FORM.fullmatch(uri.text())
    number = form[1] if form else ""
    terms = _terms(resource.child("provision"))
    answer = _answer(number, resource.child("status"), uri, result_type, terms)
    parents = number in _PARENTS
    if (majority is not None) != parents:
        raise InputError(
            "broad consent: the day of majority is wanted with the parents' form alone"
        )
    patient = pseudonym(_patient(resource.child("patient")))
    return tuple(
        Consent(
            patient=patient,
            data_set=data_set,
            activity=activity,
            version=version,
            answer=answer,
            terms=terms if answer is Answer.PERMITTED else None,
            giver=Giver.GUARDIAN if parents else Giver.PATIENT,
            majority=majority,
            given=resource.child("dateTime").any_day(),
            form=uri.text(),
        )
        for activity in sorted(set(activities))
    )


def _check_profile(meta: Element) -> None:
    meta.only("profile", "versionId", "lastUpdated", "source")
    profile = meta.child("profile").single()
    if profile.text().partition("|")[0] != _PROFILE:
        raise profile.wrong(_PROFILE)


def _result_type(categories: Element) -> str:
    """Check what kind of document it says it is; return ``document`` or ``consent-status``."""
    found = {}
    for category in categories.items():
        coding = category.concept()
        known = {
            LOINC: (PRIVACY_CONSENT,),
            _MODULES: (_BROAD_CONSENT,),
            _CATEGORIES: (_BROAD_CONSENT,),
            _RESULT_TYPE: ("document", "consent-status"),
            _TEMPLATE_TYPE: (coding.code,),  # a label of the consent manager's own
        }
        if coding.code not in known.get(coding.system, ()):
            raise category.wrong("a category of the broad consent")
        found[coding.system] = coding.code
    if LOINC not in found or not found.keys() & {_MODULES, _CATEGORIES}:
        raise categories.wrong(f"{PRIVACY_CONSENT} of {LOINC}, and {_BROAD_CONSENT}")
    return found.get(_RESULT_TYPE, "document")


def _answer(
    number: str, status: Element, uri: Element, result_type: str, terms: Terms | None
) -> Answer:
    state = status.fixed("active", "inactive", "rejected")
    if number in _PARTIAL_WITHDRAWALS and result_type != "consent-status":
        raise uri.wrong("a consent-status resource, as this is a partial withdrawal")
    if number in _WITHDRAWALS | _REFUSALS:
        if terms is not None:
            raise InputError("FHIR Consent.provision: wanted no permit beside a refusal")
        return Answer.WITHDRAWN if number in _WITHDRAWALS else Answer.REFUSED
    if number not in _CONSENTS | _PARENTS | _PARTIAL_WITHDRAWALS:
        raise uri.wrong(f"a consent, refusal or withdrawal urn:oid:{_OIDS}.2.*")
    if state == "inactive":
        return Answer.WITHDRAWN
    return Answer.REFUSED if state == "rejected" or terms is None else Answer.PERMITTED


def _patient(patient: Element) -> str:
    """Return the identifier of a patient, or else the id of the resource."""
    patient.only("reference", "identifier", labels=("type", "display"))
    identifier = patient.maybe("identifier")
    if identifier is not None:
        identifier.only("value", "type", "period", "assigner", labels=("use", "system"))
        return identifier.child("value").text()
    reference = patient.child("reference")
    kind, _, name = reference.text().partition("/")
    if kind != "Patient" or not name or "/" in name:
        raise reference.wrong("a reference like Patient/1")
    return name


def _terms(provision: Element) -> Terms | None:
    """Return what is permitted of scientific use."""
    provision.only("type", "period", "provision")
    provision.child("type").fixed("deny")
    nested = provision.maybe("provision")
    found: list[tuple[date, date | None]] = []
    for permit in () if nested is None else nested.items():
        permit.only("type", "period", "code")
        permit.child("type").fixed("permit")
        if _SCIENTIFIC_USE in map(_policy, permit.child("code").items()):
            found.append(_period(permit.child("period"), provision.maybe("period")))
    if not found:
        return None
    if len(found) > 1:
        raise provision.child("provision").wrong(f"one permit of {_SCIENTIFIC_USE}")
    first_day, last_day = found[0]
    return Terms(
        permission=duo.HMB,
        limits=frozenset({duo.GS}),
        regions=EEA,
        first_day=first_day,
        last_day=last_day,
    )


def _policy(code: Element) -> str:
    coding = code.concept()
    if coding.system != _POLICIES:
        raise code.wrong(f"a policy of {_POLICIES}")
    return coding.code


def _period(inner: Element, outer: Element | None) -> tuple[date, date | None]:
    """Return the first and the last whole day that lie in both periods."""
    starts, ends = [], []
    for period in (inner, *([] if outer is None else [outer])):
        period.only("start", "end")
        start, end = period.maybe("start"), period.maybe("end")
        if start is not None:
            starts.append(start.whole_day(after=True))
        if end is not None:
            ends.append(end.whole_day(after=False))
    if not starts:
        raise inner.wrong("a start")
    return max(starts), min(ends, default=None)
