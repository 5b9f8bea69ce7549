"""What a study wants of a registry's population file and life table that they do not have.

A function of the study's text and of official statistics, never of a record: a registry says it
before anything is spent. An answer without it would be wrong and not only wider: people who are not
counted make a rate too high, patients without an expected death make relative survival biased.

**Population.** Wanted is, in every year and for each sex that the study asks, and in every region
of the file, each single age that has a place in the study's table. A group of ages in the file must
not lie in two groups of the study. If the study reads ``nuts1``, ``nuts2`` or ``region``, every
region of the file has to be as fine: 3, 4 or 5 characters of NUTS.

**Life table.** Wanted is every sex that the study's text leaves possible, from the first year
of diagnosis that the study asks. After the last year of the table its last one holds.

A side on which the study leaves the years open asks for all years of the language, and is lacking:
the study has to say from when to when.

Not seen here: a region that the file does not have at all although tumours live there. Cost: at
most `MOST_STEPS`, so that a registry can ask it of every study, also of a hostile one.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import product
from operator import and_, or_
from typing import Final

from upcare_mpc.errors import DataError, RefusedError
from upcare_mpc.records.reference import OLDEST, LifeTable, Reference, Residents
from upcare_mpc.study.coverage import years_of
from upcare_mpc.study.expression import (
    And,
    Choose,
    Comparison,
    Expression,
    Field,
    InList,
    Or,
    Text,
    fields,
)
from upcare_mpc.study.layout import ExpectedDeath, Layout, Measure, Measures, Table, pairs
from upcare_mpc.study.residents import count_residents, placing, placing_steps

__all__ = ["MOST_STEPS", "check_reference"]

MOST_STEPS: Final = 10_000_000
"""Of placing people, for one table: a study that could take more is refused by its text."""

_SEXES: Final = frozenset({"female", "male"})
_FINENESS: Final = {"nuts1": 3, "nuts2": 4, "region": 5}
"""Characters of a NUTS code without which a variable is unknown or coarser elsewhere."""


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
    steps = placing_steps(where, measure, residents)
    if steps > MOST_STEPS:
        raise RefusedError(
            f"cannot hold the study against its population file in {MOST_STEPS} steps, for it "
            f"wants {steps}: ask fewer years, or shorter conditions"
        )
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
        for sex, region in product(sorted(_SEXES), regions):
            here = known.get((year, sex, region), set())
            cells = {
                age: place(year, sex, age, region) for age in range(OLDEST + 1) if age not in here
            }
            wanted = [age for age, cell in cells.items() if cell is not None]
            if wanted:
                same = [age for age in wanted if not here or cells[age] == cells[wanted[0]]]
                yield year, sex, region, same if here else list(range(OLDEST + 1))


def _check_regions(read: Iterable[Expression], regions: set[str | None]) -> None:
    names = frozenset[str]().union(*map(fields, read)) & _FINENESS.keys()
    for name in sorted(names, key=_FINENESS.__getitem__):
        if None in regions:
            raise RefusedError("has a population file without regions")
        for region in sorted(filter(None, regions)):
            if len(region) < _FINENESS[name]:
                raise RefusedError(
                    f"has a population file of {region}, which is too coarse for {name}"
                )


def _check_life_table(where: Expression, measure: Measure, life_table: LifeTable) -> None:
    asked = years_of(where, measure)
    if asked is None:
        return
    for sex in sorted(reduce(and_, map(_sexes, measure.axes), _sexes(where))):
        years = life_table.years(sex)
        if not years:
            raise RefusedError(f"has no life table of {sex} residents")
        if asked[0] < years[0]:
            raise RefusedError(
                f"has a life table of {sex} residents from {years[0]}, not from {asked[0]}"
            )


def _sexes(expression: Expression) -> frozenset[str]:
    """Sexes for which a condition can be true, or a position known; at least these.

    Read off the text, as the years are (``coverage``): what does not compare the sex with a code,
    joined by ``and`` and ``or``, narrows nothing.
    """
    match expression:
        case And(terms):
            return reduce(and_, map(_sexes, terms))
        case Or(terms):
            return reduce(or_, map(_sexes, terms))
        case Choose(branches, None):
            return reduce(or_, (_sexes(when) & _sexes(then) for when, then in branches))
        case Comparison(("=" | "!=") as operator, Field("sex"), Text(sex)):
            return _SEXES & {sex} if operator == "=" else _SEXES - {sex}
        case InList(Field("sex"), values):
            return _SEXES & {value.value for value in values if isinstance(value, Text)}
        case _:
            return _SEXES
