"""What a study wants of a registry's population file and life table that they do not have.

A function of the study's text and of official statistics, never of a record: a registry says it
before anything is spent. An answer without it would be wrong and not only wider: people who are not
counted make a rate too high, patients without an expected death make relative survival biased.

**Population.** Wanted is, in every year and for each sex that the study asks, and in every region
of the file, each single age that has a place in the study's table. A group of ages in the file must
not lie in two groups of the study. If the study asks about regions, the file must have regions, and
none that holds a region that the study names.

**Life table.** Wanted is every sex that the study's condition leaves possible, from the first year
of diagnosis that the study asks. After the last year of the table its last one holds.

A side on which the study leaves the years open asks for all years of the language, and is lacking:
the study has to say from when to when.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from upcare_mpc.errors import DataError, RefusedError
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import OLDEST, LifeTable, Reference, Residents
from upcare_mpc.study.coverage import years_of
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.expression import (
    Between,
    Comparison,
    Expression,
    Field,
    InList,
    Text,
    children,
    fields,
)
from upcare_mpc.study.layout import ExpectedDeath, Layout, Measure, Measures, Table, pairs
from upcare_mpc.study.residents import REGIONS, count_residents, placing

__all__ = ["check_reference"]

_SEXES: Final = ("female", "male")


def check_reference(measures: Measures, layout: Layout, reference: Reference) -> None:
    """Refuse a study that a registry's population file or life table cannot serve.

    Raises:
        RefusedError: What it lacks; reads on after the registry's name.
    """
    for table, measure in pairs(layout, measures):
        if measure.of == "residents":
            _check_population(measures.where, table, measure, reference.residents)
        elif any(isinstance(factor.value, ExpectedDeath) for factor in measure.factors):
            _check_life_table(measures.where, measure, reference.life_table)


def _check_population(
    where: Expression, table: Table, measure: Measure, residents: tuple[Residents, ...]
) -> None:
    if not residents:
        raise RefusedError("has no population file")
    _check_regions((where, *measure.axes), {group.stratum.region for group in residents})
    for year, sex, region, ages in _missing(where, table, measure, residents):
        whole = len(ages) > OLDEST
        people = f"{sex} residents in {year}" + (f" in {region}" if region else "")
        some = people if whole else f"ages {ages[0]}-{ages[-1]} of {people}"
        raise RefusedError(f"has a population file without {some}")
    try:
        count_residents(where, table, measure, residents)
    except DataError as error:
        raise RefusedError(f"cannot answer, for {error}") from None


def _missing(
    where: Expression, table: Table, measure: Measure, residents: tuple[Residents, ...]
) -> Iterator[tuple[int, str, str | None, list[int]]]:
    """Year, sex and region, and ages that a cell wants and the file does not have."""
    asked = years_of(where, measure)
    if asked is None:
        return
    known: dict[tuple[int, str, str | None], set[int]] = {}
    for group in residents:
        of = group.stratum
        last = OLDEST if of.last_age is None else of.last_age
        ages = range(of.first_age, last + 1)
        known.setdefault((of.year, of.sex, of.region), set()).update(ages)
    regions = sorted({region for _, _, region in known}, key=str)
    place = placing(where, table, measure)
    for year in range(asked[0], asked[1] + 1):
        for sex, region in product(_SEXES, regions):
            here = known.get((year, sex, region), set())
            cells = {
                age: place(year, sex, age, region) for age in range(OLDEST + 1) if age not in here
            }
            wanted = [age for age, cell in cells.items() if cell is not None]
            if wanted:
                same = [age for age in wanted if not here or cells[age] == cells[wanted[0]]]
                yield year, sex, region, same if here else list(range(OLDEST + 1))


def _check_regions(read: Iterable[Expression], regions: set[str | None]) -> None:
    for expression in read:
        if None in regions and fields(expression) & REGIONS:
            raise RefusedError("has a population file without regions")
        for code in _named_regions(expression):
            for region in regions:
                if region is not None and region != code and code.startswith(region):
                    raise RefusedError(f"has a population file of {region}, not of {code} in it")


def _named_regions(expression: Expression) -> Iterator[str]:
    """The codes that a region is compared with."""
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        parts = children(part)
        if isinstance(part, Comparison | InList | Between) and any(
            isinstance(side, Field) and side.name in REGIONS for side in parts
        ):
            yield from (side.value for side in parts if isinstance(side, Text))
        waiting += parts


def _check_life_table(where: Expression, measure: Measure, life_table: LifeTable) -> None:
    asked = years_of(where, measure)
    condition = compiled(where)
    for sex in _SEXES:
        patient = Case(patient_id="", tumour_id="", sequence=1, sex=sex)
        if asked is None or condition(patient) is False:
            continue
        years = life_table.years(sex)
        if not years:
            raise RefusedError(f"has no life table of {sex} residents")
        if asked[0] < years[0]:
            raise RefusedError(
                f"has a life table of {sex} residents from {years[0]}, not from {asked[0]}"
            )
