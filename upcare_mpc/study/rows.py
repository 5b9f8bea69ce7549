"""The in-memory engine: a study's measures, evaluated on records held as Python objects.

This is the plainest engine and the reference for the others. It never raises on a record and
never shows one: a record that is not well formed (``records.case``) or cannot be placed is left
out, and only counted, for the registry's own eyes.

Which tumours of a patient count is fixed before the answer is known: of the tumours for which
``where`` is TRUE, the first ``per_patient`` by ``sequence`` (ties by ``tumour_id``). A tumour
among them that has no position in the table still uses up its turn.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter, eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.records.case import Case, well_formed
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
from upcare_mpc.study.layout import Layout, Measures

__all__ = ["Tally", "Value", "compiled", "tabulate", "tally"]

Value: TypeAlias = int | str | bool | None
# A compiled expression. ``Any`` because the three types of the language meet here; the parser
# has already made sure that they are not mixed.
Evaluator: TypeAlias = Callable[[Case], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A registry's own table; secret, except that its shape is public.

    Attributes:
        vector: ``(cells,)`` counts in the order of the layout.
        matched: Tumours in the cohort, after the bound per patient.
        skipped: Of these, tumours without a position in the table.
        unusable: Records that are not well formed.
    """

    vector: npt.NDArray[np.int64]
    matched: int
    skipped: int
    unusable: int

    def __repr__(self) -> str:
        """Hide the counts: a traceback or a log line must not show them."""
        return f"Tally(<{len(self.vector)} cells hidden>)"


def tabulate(measures: Measures, layout: Layout, cases: Iterable[Case]) -> npt.NDArray[np.int64]:
    """Count the cases into the cells of the layout; ``(cells,)``, secret."""
    return tally(measures, layout, cases).vector


def tally(measures: Measures, layout: Layout, cases: Iterable[Case]) -> Tally:
    """Count the cases into the cells of the layout, and count what was left out."""
    if len(measures.axes) != len(layout.dimensions):
        raise StudyError(
            f"wanted one axis a dimension ({len(layout.dimensions)}), got {len(measures.axes)}"
        )
    matching, unusable = _matching(measures, cases)
    axes = [(compiled(axis), size) for axis, size in zip(measures.axes, layout.shape, strict=True)]
    positions: list[int] = []
    for case in matching:
        position = _position(axes, case)
        if position is not None:
            positions.append(position)
    vector = np.bincount(np.array(positions, dtype=np.int64), minlength=layout.cells)
    return Tally(
        vector=vector.astype(np.int64),
        matched=len(matching),
        skipped=len(matching) - len(positions),
        unusable=unusable,
    )


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


def _matching(measures: Measures, cases: Iterable[Case]) -> tuple[list[Case], int]:
    where = compiled(measures.where)
    by_patient: dict[str, list[Case]] = {}
    unusable = 0
    for case in cases:
        if not well_formed(case):
            unusable += 1
        elif where(case) is True:
            by_patient.setdefault(case.patient_id, []).append(case)
    kept: list[Case] = []
    for tumours in by_patient.values():
        tumours.sort(key=_turn)
        kept.extend(tumours[: measures.per_patient])
    return kept, unusable


def _turn(case: Case) -> tuple[int, str]:
    return case.sequence, case.tumour_id


def _position(axes: list[tuple[Evaluator, int]], case: Case) -> int | None:
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
