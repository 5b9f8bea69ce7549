"""The in-memory engine: a study's measures, evaluated on records held as Python objects.

This is the plainest engine and the reference for the others. It never raises on a record and
never shows one: a record that is not well formed (``records.case``) or cannot be placed is left
out, and only counted, for the registry's own eyes.

Which tumours of a patient count is fixed before the answer is known: of the tumours for which
``where`` is TRUE, the first ``per_patient`` by ``sequence`` (ties by ``tumour_id``, then by every
recorded variable, unknown last: tumours that still tie are alike). A tumour among them that has no
position in the table still uses up its turn.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.records.derived import DERIVED
from upcare_mpc.records.reference import NOTHING, OLDEST, LifeTable, Reference
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.study.evaluation import Evaluator, compiled, position_of
from upcare_mpc.study.expression import Expression
from upcare_mpc.study.layout import ExpectedDeath, Layout, Measure, Measures, Table, pairs
from upcare_mpc.study.residents import count_residents

__all__ = ["Tally", "tabulate", "tally", "turn"]

_RECORDED: Final = tuple(name for name in VARIABLES if name not in DERIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A registry's own table; secret, except that its shape is public.

    Attributes:
        vector: ``(cells,)`` counts in the order of the layout.
        matched: Tumours in the cohort, after the bound per patient.
        skipped: Of these, tumours without a position in the first table.
        unusable: Records that are not well formed.
    """

    vector: npt.NDArray[np.int64]
    matched: int
    skipped: int
    unusable: int

    def __repr__(self) -> str:
        """Hide the counts: a traceback or a log line must not show them."""
        return f"Tally(<{len(self.vector)} cells hidden>)"


def tabulate(
    measures: Measures, layout: Layout, cases: Iterable[Case], reference: Reference = NOTHING
) -> npt.NDArray[np.int64]:
    """Count the cases into the cells of the layout; ``(cells,)``, secret."""
    return tally(measures, layout, cases, reference).vector


def tally(
    measures: Measures, layout: Layout, cases: Iterable[Case], reference: Reference = NOTHING
) -> Tally:
    """Count the cases into the cells of the layout, and count what was left out.

    Args:
        measures: What is counted.
        layout: Where it belongs.
        cases: The registry's records.
        reference: Its population and its life table.

    Raises:
        StudyError: Layout and measures do not belong together.
        DataError: The population file does not fit the study (``study.residents``).
    """
    paired = pairs(layout, measures)
    matching, unusable = _matching(measures, cases)
    tables: list[npt.NDArray[np.int64]] = []
    placed = 0
    for number, (table, measure) in enumerate(paired):
        if measure.of == "residents":
            tables.append(count_residents(measures.where, table, measure, reference.residents))
            continue
        positions, amounts = _placed(table, measure, matching, reference.life_table)
        sums = np.zeros(table.cells, np.int64)
        np.add.at(sums, positions, np.array(amounts, dtype=np.int64) * table.weight)
        tables.append(sums)
        placed = placed if number else len(positions)
    return Tally(
        vector=np.concatenate(tables),
        matched=len(matching),
        skipped=len(matching) - placed,
        unusable=unusable,
    )


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
        tumours.sort(key=turn)
        kept.extend(tumours[: measures.per_patient])
    return kept, unusable


def turn(case: Case) -> tuple[Any, ...]:
    """What decides the order of a patient's tumours; only those that are alike share it.

    Args:
        case: Well formed.
    """
    values = [getattr(case, name) for name in _RECORDED]
    return case.sequence, case.tumour_id, *((value is None, value) for value in values)


def _placed(
    table: Table, measure: Measure, cases: list[Case], life_table: LifeTable
) -> tuple[list[int], list[int]]:
    """Return the cells that cases belong to, and what each adds."""
    axes = [(compiled(axis), size) for axis, size in zip(measure.axes, table.shape, strict=True)]
    factors = [(_factor(f.value, life_table), f.low, f.high) for f in measure.factors]
    positions: list[int] = []
    amounts: list[int] = []
    for case in cases:
        position, amount = position_of(axes, case), _product(factors, case)
        if position is not None and amount is not None:
            positions.append(position)
            amounts.append(amount)
    return positions, amounts


def _product(factors: list[tuple[Evaluator, int, int]], case: Case) -> int | None:
    amount = 1
    for factor, low, high in factors:
        value = factor(case)
        if value is None:
            return None
        amount *= min(max(value, low), high)
    return amount


def _factor(value: Expression | ExpectedDeath, life_table: LifeTable) -> Evaluator:
    if not isinstance(value, ExpectedDeath):
        return compiled(value)
    expected = life_table.expected_deaths(value.start_days, value.end_days)

    def evaluate(case: Case) -> int | None:
        if case.sex is None or case.age is None or case.diagnosis_year is None:
            return None
        by_age = expected.get((case.sex, case.diagnosis_year))
        return None if by_age is None or not 0 <= case.age <= OLDEST else by_age[case.age]

    return evaluate
