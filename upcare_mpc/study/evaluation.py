"""Expressions of the study language as functions of one record, held as a Python object.

The plainest engine and the reference for the others. ``None`` is unknown.
"""

from collections.abc import Callable
from operator import attrgetter, eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

from upcare_mpc.records.case import Case
from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    InList,
    Integer,
    IsKnown,
    Not,
    Or,
    Text,
    Truth,
)

__all__ = ["Evaluator", "Value", "compiled", "position_of"]

Value: TypeAlias = int | str | bool | None
# A compiled expression. ``Any`` because the three types of the language meet here; the parser
# has already made sure that they are not mixed.
Evaluator: TypeAlias = Callable[[Case], Any]


def compiled(expression: Expression) -> Evaluator:
    """Turn an expression into a function of one record; ``None`` is unknown."""
    match expression:
        case Field(name):
            return attrgetter(name)
        case Integer(value) | Text(value) | Truth(value):
            return lambda _case: value
        case Comparison(operator, left, right):
            return _strict(_COMPARE[operator], compiled(left), compiled(right))
        case Arithmetic(operator, left, right):
            return _strict(_COMPUTE[operator], compiled(left), compiled(right))
        case InList(item, values):
            wanted = frozenset(literal.value for literal in values)
            return _member(compiled(item), wanted)
        case Between(item, low, high):
            return _between(compiled(item), compiled(low), compiled(high))
        case And(terms):
            return _all(tuple(map(compiled, terms)))
        case Or(terms):
            return _any(tuple(map(compiled, terms)))
        case Not(term):
            return _not(compiled(term))
        case IsKnown(item, known):
            return _known(compiled(item), known)
        case Choose(branches, otherwise):
            ways = tuple((compiled(when), compiled(then)) for when, then in branches)
            return _first(ways, compiled(otherwise) if otherwise is not None else None)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "//": lambda left, right: left // right,
    "min": min,
    "max": max,
}


def position_of(axes: list[tuple[Evaluator, int]], case: Case) -> int | None:
    """Return the cell of a record, the last axis fastest; None if it has none."""
    flat = 0
    for axis, size in axes:
        index = axis(case)
        if index is None or not 0 <= index < size:
            return None
        flat = flat * size + int(index)
    return flat


def _strict(function: Callable[[Any, Any], Any], left: Evaluator, right: Evaluator) -> Evaluator:
    def evaluate(case: Case) -> Any:
        a, b = left(case), right(case)
        return None if a is None or b is None else function(a, b)

    return evaluate


def _between(item: Evaluator, low: Evaluator, high: Evaluator) -> Evaluator:
    """``low <= item and item <= high``, with every part evaluated once, as ``size`` counts them."""

    def evaluate(case: Case) -> bool | None:
        value, least, most = item(case), low(case), high(case)
        if value is None:
            return None
        above = None if least is None else value >= least
        below = None if most is None else value <= most
        if above is False or below is False:
            return False
        return None if above is None or below is None else True

    return evaluate


def _member(item: Evaluator, wanted: frozenset[int | str]) -> Evaluator:
    def evaluate(case: Case) -> bool | None:
        value = item(case)
        return None if value is None else value in wanted

    return evaluate


def _all(terms: tuple[Evaluator, ...]) -> Evaluator:
    def evaluate(case: Case) -> bool | None:
        result: bool | None = True
        for term in terms:
            value = term(case)
            if value is False:
                return False
            if value is None:
                result = None
        return result

    return evaluate


def _any(terms: tuple[Evaluator, ...]) -> Evaluator:
    def evaluate(case: Case) -> bool | None:
        result: bool | None = False
        for term in terms:
            value = term(case)
            if value is True:
                return True
            if value is None:
                result = None
        return result

    return evaluate


def _not(term: Evaluator) -> Evaluator:
    def evaluate(case: Case) -> bool | None:
        value = term(case)
        return None if value is None else not value

    return evaluate


def _known(item: Evaluator, known: bool) -> Evaluator:
    return lambda case: (item(case) is not None) is known


def _first(ways: tuple[tuple[Evaluator, Evaluator], ...], otherwise: Evaluator | None) -> Evaluator:
    def evaluate(case: Case) -> Any:
        for when, then in ways:
            if when(case) is True:
                return then(case)
        return None if otherwise is None else otherwise(case)

    return evaluate
