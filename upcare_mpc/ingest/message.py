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

from upcare_mpc.ingest.dates import Moment
from upcare_mpc.records.case import Case

__all__ = ["Category", "Finding", "Message", "Origin", "Rejected", "Standing", "Therapy", "Tumour"]


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


@dataclass(frozen=True, slots=True)
class Category:
    """One TNM category or the stage: ``component`` is ``t``, ``n``, ``m`` or ``stage``."""

    component: str
    standing: Standing
    value: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one document says about the tumour at diagnosis."""

    origin: Origin
    topography: str | None
    basis: str | None
    morphology: str | None
    behaviour: str | None
    grade: str | None
    categories: tuple[Category, ...]


@dataclass(frozen=True, slots=True)
class Therapy:
    """One therapy: ``kind`` is a ``tx_*`` variable without its prefix; ``begun`` may be unknown."""

    kind: str
    begun: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message on one tumour of one patient.

    Attributes:
        key: ``(Melder_ID, Meldung_ID)``; a later message with the same key replaces this one.
            ``None`` if either is missing: such a message replaces nothing.
        patient_id: Empty if missing.
        tumour_id: ``None`` if missing.
        diagnosed: Date of diagnosis, as this message repeats it.
        seen: The latest date on which this message shows the patient alive.
        died, death: Whether the message reports the death, and its date if known.
    """

    key: tuple[str, str] | None
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
    died: bool
    death: Moment | None

    def __repr__(self) -> str:
        """Hide the message: a traceback must not show a patient."""
        return "Message(<hidden>)"


@dataclass(frozen=True, slots=True)
class Tumour:
    """A case that still lacks its place in the patient's history, and the day that decides it."""

    onset: date
    case: Case


@dataclass(frozen=True, slots=True)
class Rejected:
    """Messages that could not be used, and why; the reason holds no value."""

    reason: str
    messages: int = 1
