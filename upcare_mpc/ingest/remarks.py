"""What is noticed in a record that is used all the same: kinds for the quality report, no values.

A remark says that a source contradicts itself or states what cannot be; nothing is repaired and no
record is left out for it. What a date or a code that is noted here does to the record, the readers
and ``reduce`` say.
"""

from dataclasses import dataclass, field
from typing import Final

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.dates import Moment, unreadable
from upcare_mpc.ingest.message import Category
from upcare_mpc.ingest.staging import Staging

__all__ = [
    "BIRTH_AFTER_DIAGNOSIS",
    "CONTACT_BEFORE_DIAGNOSIS",
    "DEATH_BEFORE_DIAGNOSIS",
    "IMPOSSIBLE_AGE",
    "OTHER_DIAGNOSIS_DATE",
    "OTHER_SEX",
    "RECURRENCE_BEFORE_DIAGNOSIS",
    "THERAPY_BEFORE_DIAGNOSIS",
    "THERAPY_LEAD_DAYS",
    "UNREADABLE_DATE",
    "Notes",
    "no_code",
]

THERAPY_LEAD_DAYS: Final = 90
"""The operation that finds a tumour may precede its diagnosis; by so much, no therapy does."""

BIRTH_AFTER_DIAGNOSIS: Final = "birth after diagnosis"
CONTACT_BEFORE_DIAGNOSIS: Final = "last contact before diagnosis"
DEATH_BEFORE_DIAGNOSIS: Final = "death before diagnosis"
IMPOSSIBLE_AGE: Final = "age that cannot be"
OTHER_DIAGNOSIS_DATE: Final = "diagnosis date stated differently"
OTHER_SEX: Final = "sex stated differently"
RECURRENCE_BEFORE_DIAGNOSIS: Final = "recurrence before diagnosis"
THERAPY_BEFORE_DIAGNOSIS: Final = f"therapy more than {THERAPY_LEAD_DAYS} days before diagnosis"
UNREADABLE_DATE: Final = "a date that cannot be read"


def no_code(variable: str) -> str:
    """The remark on a value of a coded variable that is no code of its list."""
    return f"{variable}: not a code"


@dataclass(slots=True)
class Notes:
    """What a reader writes down on its way through one message.

    Attributes:
        contacts: Days on which the patient was seen.
        remarks: Kinds of remarks, as often as they were noticed.
    """

    contacts: list[Moment | None] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def coded(self, variable: str, text: str | None) -> str | None:
        """Translate a value of a German format."""
        value, odd = codes.german(variable, text)
        if odd:
            self.remarks.append(no_code(variable))
        return value

    def therapies(self, text: str | None) -> tuple[str, ...]:
        """Translate a ``Therapieart``."""
        kinds, odd = codes.german_therapies(text)
        if odd:
            self.remarks.append(no_code("therapy"))
        return kinds

    def staged(self, found: Staging) -> tuple[Category, ...]:
        """Pass on the categories of a TNM classification."""
        self.remarks += map(no_code, found.no_codes)
        return found.categories

    def undated(self, text: str | None) -> None:
        """Note a text that gave no date, if it was meant to be one."""
        if unreadable(text):
            self.remarks.append(UNREADABLE_DATE)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The remarks, each kind once."""
        return tuple(dict.fromkeys(self.remarks)) if self.remarks else ()
