"""How many people live in each cell of a table, from a registry's population file.

A stratum of the file (year, sex, age, region) is placed by the same expressions as a tumour, with
``diagnosis_year`` for its year. It counts unless the study's condition is FALSE for it: what a
stratum cannot know, such as a site or which tumour of a patient it is, keeps nobody out, and
``sex = female`` keeps men out.

Cost: each axis, and each term of the condition, is evaluated once for each combination of what it
reads of year, sex, age and region. `placing_steps` bounds it by the text and the size of the file.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import DataError
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import OLDEST, Residents
from upcare_mpc.study.coverage import years_of
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.expression import And, Expression, fields, size
from upcare_mpc.study.layout import Layout, Measure, Measures, Table, pairs

__all__ = [
    "REGIONS",
    "Placing",
    "count_residents",
    "placing",
    "placing_steps",
    "resident_vector",
]

Placing: TypeAlias = Callable[[int, str, int, str | None], int | None]

REGIONS: Final = frozenset({"region", "nuts1", "nuts2"})
"""Variables that say where people live."""

_MOST: Final = 2**34
"""People in all years of a file; weighted, those of 64 registries fit into the field."""

_READ: Final = (frozenset({"diagnosis_year"}), frozenset({"sex"}), frozenset({"age", "age_group"}))
_SEXES: Final = 2


def resident_vector(
    measures: Measures, layout: Layout, residents: Iterable[Residents]
) -> npt.NDArray[np.int64]:
    """Return a vector with the tables of residents filled in, and 0 elsewhere; ``(cells,)``.

    Raises:
        StudyError: Layout and measures do not belong together.
        DataError: As `count_residents`.
    """
    people = tuple(residents)
    tables = [
        np.zeros(table.cells, np.int64)
        if measure.of == "tumours"
        else count_residents(measures.where, table, measure, people)
        for table, measure in pairs(layout, measures)
    ]
    return np.concatenate(tables)


def count_residents(
    where: Expression, table: Table, measure: Measure, residents: Iterable[Residents]
) -> npt.NDArray[np.int64]:
    """Count people into the cells of a table; ``(cells,)``, rounded to whole people.

    Raises:
        DataError: A group of ages in the file lies in two groups of the study, or there are more
            people than there can be.
    """
    place = placing(where, table, measure)
    asked = years_of(where, measure)
    sums = np.zeros(table.cells)
    for group in residents:
        of = group.stratum
        if asked is None or not asked[0] <= of.year <= asked[1]:
            continue  # no tumour of that year can count
        last = OLDEST if of.last_age is None else of.last_age
        first_cell, *other_cells = (
            place(of.year, of.sex, age, of.region)
            for age in dict.fromkeys((min(of.first_age, OLDEST), *range(of.first_age, last + 1)))
        )
        if any(cell != first_cell for cell in other_cells):
            ages = f"{of.first_age}+" if of.last_age is None else f"{of.first_age}-{last}"
            raise DataError(
                f"the ages {ages} of its population file are not all in one group of the study"
            )
        if first_cell is not None:
            sums[first_cell] += group.count
    if sums.sum() > _MOST:
        raise DataError(f"its population file has more than {_MOST} people")
    return np.rint(sums * table.weight).astype(np.int64)


def placing(where: Expression, table: Table, measure: Measure) -> Placing:
    """Return the cell of people by year, sex, age and region; None if they are not asked for."""
    terms = [_remembered(term) for term in _terms(where)]
    axes = [
        (_remembered(axis), labels) for axis, labels in zip(measure.axes, table.shape, strict=True)
    ]

    def place(year: int, sex: str, age: int, region: str | None) -> int | None:
        if any(term(year, sex, age, region) is False for term in terms):
            return None
        flat = 0
        for axis, labels in axes:
            index = axis(year, sex, age, region)
            if index is None or not 0 <= index < labels:
                return None
            flat = flat * labels + int(index)
        return flat

    return place


def placing_steps(where: Expression, measure: Measure, residents: Iterable[Residents]) -> int:
    """Most steps of placing everybody whom a measure may ask for, in the file or not.

    A function of the study's text and of the years, ages and regions of the file.
    """
    asked = years_of(where, measure)
    if asked is None:
        return 0
    regions = len({group.stratum.region for group in residents})
    sizes = (asked[1] - asked[0] + 1, _SEXES, OLDEST + 1, regions)
    parts = (*_terms(where), *measure.axes)
    evaluated = sum(
        size(part) * prod(number for number, read in zip(sizes, _reads(part), strict=True) if read)
        for part in parts
    )
    return evaluated + prod(sizes) * (1 + len(parts))


def _terms(where: Expression) -> Iterator[Expression]:
    """Conditions of which one that is FALSE makes the whole FALSE, and which else is not."""
    if isinstance(where, And):
        for term in where.terms:
            yield from _terms(term)
    else:
        yield where


def _reads(expression: Expression) -> tuple[bool, bool, bool, bool]:
    """Whether an expression reads year, sex, age and region."""
    read = fields(expression)
    year, sex, age, region = (not read.isdisjoint(names) for names in (*_READ, REGIONS))
    return year, sex, age, region


def _remembered(expression: Expression) -> Callable[[int, str, int, str | None], Any]:
    """Evaluate an expression on people, once for each combination of what it reads."""
    evaluate = compiled(expression)
    by_year, by_sex, by_age, by_region = _reads(expression)

    @cache
    def value(year: int | None, sex: str | None, age: int | None, region: str | None) -> Any:
        return evaluate(
            Case(
                patient_id="",
                tumour_id="",
                sequence=None,  # type: ignore[arg-type]  # people have none, as they have no site
                sex=sex,
                age=age,
                diagnosis_year=year,
                region=region,
            )
        )

    def of(year: int, sex: str, age: int, region: str | None) -> Any:
        return value(
            year if by_year else None,
            sex if by_sex else None,
            age if by_age else None,
            region if by_region else None,
        )

    return of
