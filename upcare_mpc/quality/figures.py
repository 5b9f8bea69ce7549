"""Counts of tumours by a condition of the study language, and those that describe a registry.

A tumour counts if the condition is TRUE of it; what is unknown makes it unknown. The figures are
the usual indicators of validity of a cancer registry (Bray and Parkin, Parkin and Bray, European
Journal of Cancer 45, 2009), as far as one registry's records show them.
"""

from dataclasses import dataclass
from typing import Final

from upcare_mpc.study import language
from upcare_mpc.study.expression import Expression, Field, IsKnown, children

__all__ = ["FIGURES", "Figure", "absent_fields"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A count of tumours.

    Attributes:
        name: Stable; in JSON and in texts.
        meaning: What is counted, in a sentence.
        source: Who counts it, or what it follows from.
        condition: Of the study language.
    """

    name: str
    meaning: str
    source: str
    condition: str

    @property
    def expression(self) -> Expression:
        """The condition, read."""
        return language.parse(self.condition, place=self.name)


def absent_fields(expression: Expression) -> frozenset[str]:
    """The variables whose being unknown an expression asks about (``x is unknown``).

    Of a format that states none of them the expression says nothing.
    """
    if isinstance(expression, IsKnown) and isinstance(expression.item, Field):
        return frozenset() if expression.known else frozenset({expression.item.name})
    return frozenset[str]().union(*map(absent_fields, children(expression)))


FIGURES: Final = (
    Figure(
        name="microscopically verified",
        meaning="Cytology, histology or genetics is the basis of diagnosis.",
        source="Bray and Parkin 2009",
        condition="basis in (5, 6, 7, 8)",
    ),
    Figure(
        name="death certificate only",
        meaning="A death certificate is the only basis of diagnosis.",
        source="Parkin and Bray 2009",
        condition="basis = 0",
    ),
    Figure(
        name="primary site unknown",
        meaning="The site is unknown or ill defined.",
        source="Bray and Parkin 2009",
        condition="site in ('C26', 'C39', 'C48', 'C76', 'C80')",
    ),
    Figure(
        name="morphology unspecified",
        meaning="The morphology says only neoplasm or malignant cells.",
        source="ENCR",
        condition="morphology between '8000' and '8005'",
    ),
)
"""What registries compare by year."""
