"""The counts that a report is made of, and where a variable is expected to be known.

They are exact functions of the records: secret, and the registry's own.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from upcare_mpc.records.variables import VARIABLES

__all__ = ["EXPECTED", "MEASURED", "PAIRED", "Counts", "Group"]

_OPTIONAL: Final = frozenset({"recurrence_days"})  # unknown also means that there was none
_IMPLIED: Final = frozenset({"age_group", "nuts1"})  # known whenever age, region is

MEASURED: Final = tuple(name for name in VARIABLES if name not in _OPTIONAL | _IMPLIED)
"""The variables whose completeness is measured."""

PAIRED: Final = "site in ('C50', 'C56', 'C62', 'C64', 'C65', 'C66', 'C69')"
"""Of the study language: whether a tumour is of a paired organ whose side is mostly stated."""

EXPECTED: Final[Mapping[str, str]] = {
    "cause": "vital_status = dead",
    "cause_group": "vital_status = dead",
    "death_by_tumour": "vital_status = dead",
    "laterality": PAIRED,
}
"""Of which tumours a variable is expected to be known; if it is not here, of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The tumours of one format and one year of diagnosis.

    Attributes:
        format: What they were reported in.
        year: ``None`` if it is unknown.
        tumours: How many.
        expected: By variable of `MEASURED`, of how many it is expected.
        known: By variable of `MEASURED`, of how many of these it is known.
        found: By check, how many have that combination of values; 0 may be missing.
        figures: By figure, how many; 0 may be missing.
        with_error: How many have at least one error.
        with_warning: How many have at least one warning.
    """

    format: str
    year: int | None
    tumours: int
    expected: Mapping[str, int]
    known: Mapping[str, int]
    found: Mapping[str, int]
    figures: Mapping[str, int]
    with_error: int
    with_warning: int

    def __add__(self, other: "Group") -> "Group":
        """Both together; the format and year are those of the first."""
        return Group(
            format=self.format,
            year=self.year,
            tumours=self.tumours + other.tumours,
            expected=Counter(self.expected) + Counter(other.expected),
            known=Counter(self.known) + Counter(other.known),
            found=Counter(self.found) + Counter(other.found),
            figures=Counter(self.figures) + Counter(other.figures),
            with_error=self.with_error + other.with_error,
            with_warning=self.with_warning + other.with_warning,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted in a snapshot.

    Attributes:
        patients: Different patients.
        groups: All tumours, by format and year, unknown years last.
    """

    patients: int
    groups: tuple[Group, ...]
