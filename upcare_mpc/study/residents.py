"""How many people live in each cell of a table, from a registry's population file.

A stratum of the file (year, sex, age, region) is placed by the same expressions as a tumour, with
``diagnosis_year`` for its year. It counts unless the study's condition is FALSE for it: what a
stratum cannot know, such as a site, keeps nobody out, and ``sex = female`` keeps men out.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import DataError
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import OLDEST, Residents
from upcare_mpc.study.evaluation import compiled, position_of
from upcare_mpc.study.expression import Expression, fields
from upcare_mpc.study.layout import Layout, Measure, Measures, Table, pairs

__all__ = ["REGIONS", "Placing", "count_residents", "placing", "resident_vector"]

Placing: TypeAlias = Callable[[int, str, int, str | None], int | None]

REGIONS: Final = frozenset({"region", "nuts1", "nuts2"})
"""Variables that say where people live."""

_MOST: Final = 2**34
"""People in all years of a file; weighted, those of 64 registries fit into the field."""


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
    sums = np.zeros(table.cells)
    for group in residents:
        of = group.stratum
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
    condition = compiled(where)
    read = fields(where).union(*map(fields, measure.axes))
    regional = not read.isdisjoint(REGIONS)
    axes = [(compiled(axis), size) for axis, size in zip(measure.axes, table.shape, strict=True)]

    @cache
    def place_of(year: int, sex: str, age: int, region: str | None) -> int | None:
        person = Case(
            patient_id="",
            tumour_id="",
            sequence=1,
            sex=sex,
            age=age,
            diagnosis_year=year,
            region=region,
        )
        return None if condition(person) is False else position_of(axes, person)

    def place(year: int, sex: str, age: int, region: str | None) -> int | None:
        return place_of(year, sex, age, region if regional else None)

    return place
