"""What of a study a registry cannot answer, by what it states about its data.

A function of the study's text and the registry's public statement. It warns and decides nothing:
a registry without a variable has it unknown in all cases.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal, TypeAlias

from upcare_mpc.records.availability import Availability
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.study.expression import (
    And,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    InList,
    Integer,
    Or,
    fields,
)
from upcare_mpc.study.layout import Measure, Measures

__all__ = ["Gaps", "Years", "asked_years", "gaps", "years_of"]

_YEAR: Final = "diagnosis_year"
_NUMBER = VARIABLES[_YEAR].type
assert isinstance(_NUMBER, Number)
_FIRST, _LAST = _NUMBER.low, _NUMBER.high

Years: TypeAlias = tuple[int, int]
_FLIPPED: Final[dict[str, Literal["=", "<", "<=", ">", ">="]]] = {
    "=": "=",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}


@dataclass(frozen=True, slots=True)
class Gaps:
    """What a registry does not have of what a study reads.

    Attributes:
        variables: Names, in the order of the data dictionary.
        years: Years of diagnosis, as pairs of first and last.
    """

    variables: tuple[str, ...]
    years: tuple[Years, ...]


def gaps(measures: Measures, stated: Availability) -> Gaps:
    """Hold what a study reads (cohort, dimensions, arms) against a registry's statement."""
    read = frozenset[str]().union(*map(fields, measures.expressions))
    asked = asked_years(measures)
    return Gaps(
        variables=tuple(name for name in VARIABLES if name in read - stated.variables),
        years=() if asked is None else _outside(asked, stated.years),
    )


def asked_years(measures: Measures) -> Years | None:
    """First and last year of diagnosis that a case of the table can have.

    At least as wide as the truth: what does not compare the year with numbers, joined by ``and``
    and ``or``, narrows nothing. ``None`` if no year is left.
    """
    return reduce(_hull, (years_of(measures.where, measure) for measure in measures.tables))


def years_of(where: Expression, measure: Measure) -> Years | None:
    """As `asked_years`, for one table."""
    return reduce(_meet, map(_years, measure.axes), _years(where))


def _outside(asked: Years, covered: Years) -> tuple[Years, ...]:
    """The asked years that are not covered; a side that the study leaves open is not counted."""
    (low, high), (first, last) = asked, covered
    if high < first or low > last:
        return (asked,)
    before = [(low, first - 1)] if _FIRST < low < first else []
    after = [(last + 1, high)] if last < high < _LAST else []
    return (*before, *after)


def _years(expression: Expression) -> Years | None:
    """Years for which a condition can be true, or a position known."""
    match expression:
        case And(terms):
            return reduce(_meet, map(_years, terms))
        case Or(terms):
            return reduce(_hull, map(_years, terms))
        case Choose(branches, None):
            return reduce(_hull, (_meet(_years(when), _years(then)) for when, then in branches))
        case Comparison(operator, Field(name), Integer(year)) if name == _YEAR:
            return _compared(operator, year)
        case Comparison(operator, Integer(year), Field(name)) if name == _YEAR:
            return _compared(_FLIPPED.get(operator, operator), year)
        case Between(Field(name), Integer(low), Integer(high)) if name == _YEAR:
            return low, high
        case InList(Field(name), values) if name == _YEAR:
            listed = [value.value for value in values if isinstance(value, Integer)]
            return min(listed), max(listed)
        case _:
            return _FIRST, _LAST


def _compared(operator: str, year: int) -> Years | None:
    ranges = {
        "=": (year, year),
        "<": (_FIRST, year - 1),
        "<=": (_FIRST, year),
        ">": (year + 1, _LAST),
        ">=": (year, _LAST),
    }
    return _meet(ranges.get(operator, (_FIRST, _LAST)), (_FIRST, _LAST))


def _meet(one: Years | None, other: Years | None) -> Years | None:
    if one is None or other is None:
        return None
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def _hull(one: Years | None, other: Years | None) -> Years | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
