"""The variables a study may name: type, codes or range, and one sentence of meaning.

This catalogue is the contract between the study language and the records: an expression may
use exactly these names, with exactly these codes. It is public and the same at every registry.
"""

import re
from dataclasses import dataclass

from upcare_mpc.records.ages import AGE_GROUPS
from upcare_mpc.records.site_groups import SITE_GROUPS

__all__ = ["VARIABLES", "Code", "Number", "Pattern", "Variable"]


@dataclass(frozen=True, slots=True)
class Code:
    """A variable whose values are a short list of codes."""

    values: tuple[str, ...]

    def accepts(self, value: str) -> bool:
        """Say whether ``value`` is one of the codes."""
        return value in self.values

    def wanted(self) -> str:
        """Describe the accepted values for an error text."""
        return "one of " + ", ".join(self.values)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A variable whose values are codes of a large classification."""

    pattern: str
    example: str

    def accepts(self, value: str) -> bool:
        """Say whether ``value`` has the form of the classification."""
        return re.fullmatch(self.pattern, value, re.ASCII) is not None

    def wanted(self) -> str:
        """Describe the accepted values for an error text."""
        return f"a code like {self.example}"


@dataclass(frozen=True, slots=True)
class Number:
    """An integer variable with an inclusive range and a unit."""

    low: int
    high: int
    unit: str

    def accepts(self, value: int) -> bool:
        """Say whether ``value`` lies in the range."""
        return self.low <= value <= self.high

    def wanted(self) -> str:
        """Describe the accepted values for an error text."""
        return f"a whole number of {self.unit} from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One name of the study language."""

    name: str
    type: Code | Pattern | Number
    meaning: str


_YES_NO = Code(("yes", "no"))

_CATALOGUE = (
    Variable(
        name="site",
        type=Pattern(r"[A-Z][0-9]{2}", "C50"),
        meaning="Three-character site, from ICD-O topography, else from ICD-10.",
    ),
    Variable(
        name="site_group",
        type=Code(tuple(SITE_GROUPS)),
        meaning="Cancers that are reported together, from ICD-10 if stated, else from ICD-O.",
    ),
    Variable(
        name="icd10",
        type=Pattern(r"[A-Z][0-9]{2}(\.[0-9]{1,2})?", "C50.9"),
        meaning="ICD-10 code as reported.",
    ),
    Variable(
        name="topography",
        type=Pattern(r"C[0-9]{2}\.[0-9]", "C50.9"),
        meaning="ICD-O-3 topography.",
    ),
    Variable(name="morphology", type=Pattern(r"[0-9]{4}", "8500"), meaning="ICD-O-3 morphology."),
    Variable(name="behaviour", type=Code(("0", "1", "2", "3")), meaning="ICD-O-3 behaviour."),
    Variable(name="sex", type=Code(("female", "male", "other")), meaning="Sex as registered."),
    Variable(name="age", type=Number(0, 120, "years"), meaning="Completed years at diagnosis."),
    Variable(
        name="age_group",
        type=Code(AGE_GROUPS),
        meaning="Five years of age; has no order, compare `age` instead.",
    ),
    Variable(
        name="diagnosis_year",
        type=Number(1900, 2100, "years"),
        meaning="Calendar year of diagnosis.",
    ),
    Variable(
        name="diagnosis_month",
        type=Number(1, 12, "months"),
        meaning="Calendar month of diagnosis.",
    ),
    Variable(
        name="diagnosis_precision",
        type=Code(("day", "month", "year", "estimated")),
        meaning="How much of the date of diagnosis is stated; `estimated` is none of it.",
    ),
    Variable(name="stage", type=Code(("0", "1", "2", "3", "4")), meaning="UICC stage group."),
    Variable(name="grade", type=Code(("1", "2", "3", "4")), meaning="Differentiation grade."),
    Variable(name="t", type=Code(("is", "0", "1", "2", "3", "4")), meaning="T category."),
    Variable(name="n", type=Code(("0", "1", "2", "3")), meaning="N category."),
    Variable(name="m", type=Code(("0", "1")), meaning="M category."),
    Variable(
        name="tnm_edition",
        type=Code(("4", "5", "6", "7", "8")),
        meaning="Edition of the TNM classification.",
    ),
    Variable(
        name="basis",
        type=Code(("0", "1", "2", "4", "5", "6", "7", "8")),
        meaning="Most valid basis of diagnosis; 0 is death certificate only.",
    ),
    Variable(
        name="laterality",
        type=Code(("left", "right", "both", "median", "none")),
        meaning="Side of a paired organ; not in ENCR files.",
    ),
    Variable(
        name="region",
        type=Pattern(r"[A-Z]{2}[0-9A-Z]{1,3}", "FRF11"),
        meaning="NUTS code of residence at diagnosis.",
    ),
    Variable(
        name="nuts1",
        type=Pattern(r"[A-Z]{2}[0-9A-Z]", "FRF"),
        meaning="NUTS 1 region: the first three characters of `region`.",
    ),
    Variable(
        name="nuts2",
        type=Pattern(r"[A-Z]{2}[0-9A-Z]{2}", "FRF1"),
        meaning="NUTS 2 region: the first four characters of `region`.",
    ),
    Variable(
        name="sequence",
        type=Number(1, 99, "tumours"),
        meaning="1 for a patient's first tumour, then 2, 3, ...",
    ),
    Variable(name="tx_surgery", type=_YES_NO, meaning="Surgery within 12 months."),
    Variable(name="tx_radio", type=_YES_NO, meaning="Radiotherapy within 12 months."),
    Variable(name="tx_chemo", type=_YES_NO, meaning="Chemotherapy within 12 months."),
    Variable(name="tx_targeted", type=_YES_NO, meaning="Targeted therapy within 12 months."),
    Variable(name="tx_immuno", type=_YES_NO, meaning="Immunotherapy within 12 months."),
    Variable(name="tx_hormone", type=_YES_NO, meaning="Hormone therapy within 12 months."),
    Variable(name="tx_transplant", type=_YES_NO, meaning="Stem-cell transplant within 12 months."),
    Variable(
        name="vital_status",
        type=Code(("alive", "dead")),
        meaning="Vital status at the end of follow-up.",
    ),
    Variable(
        name="follow_up_days",
        type=Number(0, 60_000, "days"),
        meaning="Days from diagnosis to death or last contact.",
    ),
    Variable(
        name="recurrence_days",
        type=Number(0, 60_000, "days"),
        meaning="Days from diagnosis to the first recurrence; unknown does not mean none.",
    ),
    Variable(
        name="cause",
        type=Pattern(r"[A-Z][0-9]{2}(\.[0-9]{1,2})?", "C50.9"),
        meaning="Underlying cause of death, ICD-10.",
    ),
    Variable(
        name="cause_group",
        type=Code(("cancer", "other")),
        meaning="Death by cancer: as the source judges, else whether `cause` is a C code.",
    ),
    Variable(
        name="death_by_tumour",
        type=_YES_NO,
        meaning="Whether the source judges that the patient died of the tumour.",
    ),
)

VARIABLES: dict[str, Variable] = {variable.name: variable for variable in _CATALOGUE}
