"""What a reader hands to the reducer: one reported message, already without names.

A message is what one reporter said about one tumour at one time. It carries patient facts (sex,
birth), tumour facts with their origin, therapies, and dates on which the patient was seen. The
reader has translated every code (`ingest.codes`) and date (`ingest.dates`); whatever it could not
translate is ``None``. What the messages of one tumour mean together is decided in `ingest.reduce`
alone.
"""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Final, NamedTuple

from upcare_mpc.ingest.dates import Moment
from upcare_mpc.records.case import Case

__all__ = [
    "DELETED",
    "Category",
    "Finding",
    "Message",
    "Origin",
    "Rejected",
    "Standing",
    "Therapy",
    "Tumour",
]

DELETED: Final = "on the deletion list"


class Origin(IntEnum):
    """The document that a finding comes from; smaller is believed first."""

    DIAGNOSIS = 0
    SURGERY = 1
    PATHOLOGY = 2
    ASSIGNMENT = 3


class Standing(IntEnum):
    """How a TNM category was found; smaller is believed first."""

    PATHOLOGICAL = 0
    CLINICAL = 1
    AFTER_TREATMENT = 2


class Category(NamedTuple):
    """One part of a TNM classification: ``t``, ``n``, ``m``, ``stage`` or ``edition``."""

    component: str
    standing: Standing
    value: str


class Finding(NamedTuple):
    """What one document says about the tumour at diagnosis."""

    origin: Origin
    topography: str | None
    basis: str | None
    morphology: str | None
    behaviour: str | None
    grade: str | None
    categories: tuple[Category, ...]


class Therapy(NamedTuple):
    """One therapy: ``kind`` is a ``tx_*`` variable without its prefix; ``begun`` may be unknown.

    Attributes:
        days: Days from diagnosis to its begin, where the source states them itself.
    """

    kind: str
    begun: Moment | None
    days: int | None = None


class Message(NamedTuple):
    """One message on one tumour of one patient.

    Attributes:
        key: ``(Melder_ID, Meldung_ID)``; a later message with the same key replaces this one.
            ``None`` if either is missing: such a message replaces nothing. A tumour of an oBDS-RKI
            delivery has a key of three parts, from patient and tumour.
        patient_id: Empty if missing.
        tumour_id: ``None`` if missing.
        diagnosed: Date of diagnosis, as this message repeats it.
        seen: The latest date on which this message shows the patient alive.
        died: Whether the patient has died; ``None`` if the source would say so, but does not.
        death: The date of death, if known.
        cause: ICD-10 code of the underlying cause of death.
        death_days: Days from diagnosis to death, where the source states them itself.
        death_by_tumour: ``yes`` or ``no``, as the reporter judges.
        recurred: The earliest date of a recurrence in this message.
        age: Completed years at diagnosis, where the source states them itself.
        region: NUTS code of residence at diagnosis.
        remarks: What was noticed while it was read (`ingest.remarks`); each kind once.
    """

    key: tuple[str, ...] | None
    patient_id: str
    sex: str | None
    birth: Moment | None
    tumour_id: str | None
    diagnosed: Moment | None
    icd10: str | None
    laterality: str | None
    findings: tuple[Finding, ...]
    therapies: tuple[Therapy, ...]
    seen: Moment | None
    died: bool | None
    death: Moment | None
    cause: str | None = None
    death_days: int | None = None
    death_by_tumour: str | None = None
    recurred: Moment | None = None
    age: int | None = None
    region: str | None = None
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Hide the message: a traceback must not show a patient."""
        return "Message(<hidden>)"


@dataclass(frozen=True, slots=True)
class Tumour:
    """A case that still lacks its place in the patient's history, and the day that decides it.

    Attributes:
        onset: The day.
        case: The case; ``sequence`` is 1.
        remarks: What was noticed about its messages and rejects nothing; holds no value.
    """

    onset: date
    case: Case
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Messages that could not be used, and why; the reason holds no value."""

    reason: str
    messages: int = 1
