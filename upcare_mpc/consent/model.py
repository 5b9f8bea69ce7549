"""What a patient has said: one answer, on one activity, for one data set.

    activity    statistics           counted in joint statistics, which are all that leaves
                records              the sealed record may be opened by a researcher
    answer      permitted            within terms: purposes, diseases, countries, a period, ...
                refused, withdrawn   no; without terms, and without an end

A consent states the whole of what holds for its activity. The one with the highest version
replaces all before it, so a partial withdrawal is a new permission with narrower terms, and an
objection is a refusal. Answers of equal version that differ contradict each other, and the gate
permits only what all of them do.

Who is under age does not sign alone: a guardian's permission ends on the day of majority, and the
patient is asked anew. A guardian's refusal stays until the patient says otherwise.

Encoding: canonical JSON in ASCII (``journal.canonical_json``) with ``"upcare_consent": 1``; one
consent has one text, at most ``MAX_BYTES``. A consent is secret, and never leaves its registry: it
holds a pseudonym, and that a patient is known there.
"""

import hashlib
import re
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

from upcare_mpc.consent import diseases as icd
from upcare_mpc.consent.duo import DS, GS, PERMISSIONS, TS, is_code
from upcare_mpc.consent.json_text import read_json
from upcare_mpc.errors import InputError
from upcare_mpc.journal import Json, canonical_json

__all__ = ["MAX_BYTES", "PSEUDONYM_BYTES", "Activity", "Answer", "Consent", "Giver", "Terms"]

MAX_BYTES: Final = 8192
PSEUDONYM_BYTES: Final = 16
MAX_VERSION: Final = 2**31 - 1
MAX_LIMITS: Final = 32
MAX_REGIONS: Final = 64

_VERSION: Final = 1
_TAG: Final = b"upcare/v1/consent\0"
_DATA_SET = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)
_REGION = re.compile(r"[A-Z]{2}", re.ASCII)
_FORM = re.compile(r"[a-z][a-z0-9+.-]{1,15}:[!-~]{1,110}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_Kind = TypeVar("_Kind", bound=StrEnum)


class Activity(StrEnum):
    """What is done with the data."""

    STATISTICS = "statistics"
    RECORDS = "records"


class Answer(StrEnum):
    """What the patient has answered."""

    PERMITTED = "permitted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Giver(StrEnum):
    """Who has answered."""

    PATIENT = "patient"
    GUARDIAN = "guardian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Within what a use is permitted; each attribute narrows it further.

    Attributes:
        permission: DUO permission.
        limits: DUO modifiers, by their codes; one that the gate cannot check permits nothing.
        diseases: ICD-10 categories, of which a study's diseases must all be; None does not limit.
            With the permission DS, and with no other.
        regions: Countries (ISO 3166, ``DE``) in which the data may be used; None does not limit.
            With the modifier GS, and not without.
        first_day: First day on which it holds.
        last_day: Last day on which it holds; None is without end. With the modifier TS it is there.
    """

    permission: str
    limits: frozenset[str] = frozenset()
    diseases: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    first_day: date
    last_day: date | None = None

    def __post_init__(self) -> None:
        if self.permission not in PERMISSIONS:
            raise InputError(f"consent: permission: wanted one of {', '.join(PERMISSIONS)}")
        if len(self.limits) > MAX_LIMITS or not all(map(is_code, self.limits)):
            raise InputError(f"consent: limits: wanted at most {MAX_LIMITS} codes like DUO:0000046")
        if (self.diseases is not None) != (self.permission == DS):
            raise InputError(f"consent: diseases: wanted with {DS}, and with no other permission")
        if self.diseases is not None and not (self.diseases and self.diseases <= icd.NEOPLASMS):
            raise InputError("consent: diseases: wanted categories of ICD-10's chapter II")
        if (self.regions is not None) != (GS in self.limits):
            raise InputError(f"consent: regions: wanted with the limit {GS}, and not without")
        if self.regions is not None and not (
            0 < len(self.regions) <= MAX_REGIONS and all(map(_REGION.fullmatch, self.regions))
        ):
            raise InputError(f"consent: regions: wanted 1 to {MAX_REGIONS} countries like DE")
        if TS in self.limits and self.last_day is None:
            raise InputError(f"consent: last_day: wanted with the limit {TS}")
        if self.last_day is not None and self.last_day < self.first_day:
            raise InputError("consent: last_day: wanted a day not before first_day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One answer of a patient.

    Attributes:
        patient: Pseudonym at this registry, 16 bytes. Secret.
        data_set: Name of the data set it is about.
        activity: What it is about.
        version: 1, 2, ... of this patient's answers on this activity.
        answer: What was answered.
        terms: Within what it is permitted; None if it is not.
        giver: Who has answered.
        majority: The day on which the patient comes of age, with a guardian's answer.
        given: The day of the answer.
        form: URI of the text that was answered, with its version and language.
    """

    patient: bytes
    data_set: str
    activity: Activity
    version: int
    answer: Answer
    terms: Terms | None = None
    giver: Giver = Giver.PATIENT
    majority: date | None = None
    given: date
    form: str

    def __post_init__(self) -> None:
        if len(self.patient) != PSEUDONYM_BYTES:
            raise InputError(f"consent: patient: wanted a pseudonym of {PSEUDONYM_BYTES} bytes")
        if not _DATA_SET.fullmatch(self.data_set):
            raise InputError("consent: data_set: wanted a name like de-a")
        if not 1 <= self.version <= MAX_VERSION:
            raise InputError(f"consent: version: wanted a whole number from 1 to {MAX_VERSION}")
        if (self.terms is not None) != (self.answer is Answer.PERMITTED):
            raise InputError("consent: terms: wanted with the answer permitted, and with no other")
        if (self.majority is not None) != (self.giver is Giver.GUARDIAN):
            raise InputError(
                "consent: majority: wanted with a guardian's answer, and with no other"
            )
        if not _FORM.fullmatch(self.form):
            raise InputError("consent: form: wanted a URI of at most 126 characters")

    def __repr__(self) -> str:
        """Hide whose it is."""
        return f"Consent(<patient hidden>, {self.activity}, version {self.version})"

    def canonical(self) -> bytes:
        """Return the bytes that stand for this consent. Secret."""
        return canonical_json(
            {
                "upcare_consent": _VERSION,
                "patient": self.patient.hex(),
                "data_set": self.data_set,
                "activity": self.activity.value,
                "version": self.version,
                "answer": self.answer.value,
                "terms": None if self.terms is None else _encoded(self.terms),
                "giver": self.giver.value,
                "majority": None if self.majority is None else self.majority.isoformat(),
                "given": self.given.isoformat(),
                "form": self.form,
            }
        ).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated. Secret: a guess can be tested."""
        return hashlib.sha256(_TAG + self.canonical()).digest()

    @classmethod
    def from_canonical(cls, received: bytes) -> "Consent":
        """Read canonical bytes.

        Raises:
            InputError: The bytes are not exactly what ``canonical()`` would give.
        """
        content = read_json(received, name="consent", max_bytes=MAX_BYTES)
        version = content.get("upcare_consent")
        if type(version) is not int or version != _VERSION:
            raise InputError(f"consent: wanted canonical bytes of version {_VERSION}")
        if content.keys() != {"upcare_consent", *_names(cls)}:
            raise InputError("consent: wanted the keys of version 1, got others")
        number = content["version"]
        if type(number) is not int:
            raise InputError("consent: version: wanted a whole number")
        consent = cls(
            patient=_pseudonym(_text(content, "patient")),
            data_set=_text(content, "data_set"),
            activity=_one_of(Activity, content, "activity"),
            version=number,
            answer=_one_of(Answer, content, "answer"),
            terms=_terms(content["terms"]),
            giver=_one_of(Giver, content, "giver"),
            majority=None if content["majority"] is None else _day(content, "majority"),
            given=_day(content, "given"),
            form=_text(content, "form"),
        )
        if consent.canonical() != received:
            raise InputError("consent: wanted canonical bytes, got another spelling of a consent")
        return consent


def _encoded(terms: Terms) -> dict[str, Json]:
    return {
        "permission": terms.permission,
        "limits": sorted(terms.limits),
        "diseases": None if terms.diseases is None else icd.ranges(terms.diseases),
        "regions": None if terms.regions is None else sorted(terms.regions),
        "first_day": terms.first_day.isoformat(),
        "last_day": None if terms.last_day is None else terms.last_day.isoformat(),
    }


def _terms(content: Any) -> Terms | None:
    if content is None:
        return None
    if not isinstance(content, dict) or content.keys() != _names(Terms):
        raise InputError("consent: terms: wanted the keys of version 1, got others")
    diseases, regions = content["diseases"], content["regions"]
    return Terms(
        permission=_text(content, "permission"),
        limits=frozenset(_texts(content, "limits")),
        diseases=None if diseases is None else icd.categories(_texts(content, "diseases")),
        regions=None if regions is None else frozenset(_texts(content, "regions")),
        first_day=_day(content, "first_day"),
        last_day=None if content["last_day"] is None else _day(content, "last_day"),
    )


def _names(kind: type[Consent | Terms]) -> set[str]:
    return {field.name for field in fields(kind)}


def _text(content: dict[str, Any], key: str) -> str:
    value = content[key]
    if not isinstance(value, str):
        raise InputError(f"consent: {key}: wanted a text")
    return value


def _texts(content: dict[str, Any], key: str) -> list[str]:
    value = content[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"consent: {key}: wanted a list of texts")
    return value


def _one_of(kind: type[_Kind], content: dict[str, Any], key: str) -> _Kind:
    try:
        return kind(_text(content, key))
    except ValueError:
        raise InputError(f"consent: {key}: wanted {' or '.join(kind)}") from None


def _pseudonym(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{32}", text, re.ASCII):
        raise InputError(f"consent: patient: wanted a pseudonym of {PSEUDONYM_BYTES} bytes in hex")
    return bytes.fromhex(text)


def _day(content: dict[str, Any], key: str) -> date:
    text = _text(content, key)
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:  # there is no such day
        pass
    raise InputError(f"consent: {key}: wanted a day like 2026-11-22")
