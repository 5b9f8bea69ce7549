"""Who lives and dies where a registry is: its population and its life table.

Official statistics, no patient's data: adding or removing a patient's record changes nothing here.
They still stay at the registry, since each has its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, floor
from typing import Final

from upcare_mpc.errors import DataError

__all__ = [
    "LAST_YEAR",
    "NOTHING",
    "OLDEST",
    "DeathProbability",
    "LifeTable",
    "Reference",
    "Residents",
    "Stratum",
    "in_order",
    "years_within",
]

YEAR_DAYS: Final = 365.25
OLDEST: Final = 120
LAST_YEAR: Final = 2100
"""The last age at diagnosis, and the last year of it, that are looked up."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One year, sex, age and region.

    Attributes:
        year: Calendar year.
        sex: ``female`` or ``male``.
        first_age, last_age: Completed years, both included; ``last_age`` is ``None`` if open.
        region: NUTS code, or ``None`` for the whole area of the file.
    """

    year: int
    sex: str
    first_age: int
    last_age: int | None
    region: str | None


@dataclass(frozen=True, slots=True)
class Residents:
    """How many people lived in a stratum, as the file counts them."""

    stratum: Stratum
    count: float


def in_order(population: Iterable[Residents]) -> tuple[Residents, ...]:
    """Put the rows of a population file in order.

    Raises:
        DataError: People are counted twice: an age in two groups, or a region within another.
    """
    ordered = tuple(sorted(population, key=_place))
    for one, other in pairwise(group.stratum for group in ordered):
        same = (one.year, one.sex, one.region) == (other.year, other.sex, other.region)
        if same and (one.last_age is None or one.last_age >= other.first_age):
            raise DataError(
                f"population file: it has age {other.first_age} of {other.sex} "
                f"in {other.year} twice"
            )
    regions = sorted({group.stratum.region or "" for group in ordered})
    for region, within in pairwise(regions):
        if within.startswith(region):
            raise DataError(
                "population file: wanted regions side by side, got "
                f"{within} within {region or 'the whole area'}"
            )
    return ordered


def _place(group: Residents) -> tuple[int, str, str, int]:
    stratum = group.stratum
    return stratum.year, stratum.sex, stratum.region or "", stratum.first_age


@dataclass(frozen=True, slots=True)
class DeathProbability:
    """The probability, 0 to 1, to die of any cause within a year in a stratum."""

    stratum: Stratum
    probability: float


@dataclass(frozen=True, slots=True)
class LifeTable:
    """Yearly probabilities of death by sex, year and single year of age.

    Attributes:
        yearly: (sex, year) to the probabilities for the ages 0, 1, 2, ...; the last one also holds
            for all later ages.
    """

    yearly: Mapping[tuple[str, int], tuple[float, ...]]

    @classmethod
    def of(cls, rows: Iterable[DeathProbability]) -> "LifeTable":
        """Put the rows of a life table in order.

        Ages may come in groups. Above the last age its probability holds.

        Raises:
            DataError: It is of several regions, or lacks age 0, or an age or a year between
                others, or states an age twice.
        """
        spans: dict[tuple[str, int], list[tuple[int, int | None, float]]] = {}
        for row in rows:
            stratum = row.stratum
            if stratum.region is not None:
                raise DataError("life table: wanted one for the whole area, got regions")
            spans.setdefault((stratum.sex, stratum.year), []).append(
                (stratum.first_age, stratum.last_age, row.probability)
            )
        yearly: dict[tuple[str, int], tuple[float, ...]] = {}
        for (sex, year), ages in sorted(spans.items()):
            if (sex, year - 1) not in yearly and any(of_sex == sex for of_sex, _ in yearly):
                raise DataError(f"life table: it lacks the year {year - 1} of {sex}")
            line: list[float] = []
            for first, last, probability in sorted(ages, key=lambda span: span[0]):
                if first > len(line):
                    raise DataError(f"life table: it lacks age {len(line)} of {sex} in {year}")
                if first < len(line):
                    raise DataError(f"life table: it has age {first} of {sex} in {year} twice")
                line += [probability] * ((first if last is None else last) - first + 1)
            yearly[sex, year] = tuple(line)
        return cls(yearly)

    def years(self, sex: str) -> range:
        """The years of the table for a sex; empty if it has none."""
        years = [year for of_sex, year in self.yearly if of_sex == sex]
        return range(min(years), max(years) + 1) if years else range(0)

    def expected_deaths(self, start_days: int, end_days: int) -> dict[tuple[str, int], list[int]]:
        """Return the chance to die between two days after diagnosis, alive at the first.

        A patient is a year older, and a calendar year later, on each anniversary of 365.25 days;
        within a year the force of mortality is constant. After the last year of the table its last
        one holds, for diagnoses too; before its first nothing is known.

        Returns:
            (sex, year of diagnosis) to thousandths, rounded to the nearest, for the ages from 0 to
            ``OLDEST`` at diagnosis. The years are those from the table's first to ``LAST_YEAR``.
        """
        parts = [
            (passed, min(passed + 1, end_days / YEAR_DAYS) - max(passed, start_days / YEAR_DAYS))
            for passed in years_within(start_days, end_days)
        ]
        found: dict[tuple[str, int], list[int]] = {}
        for sex in {sex for sex, _ in self.yearly}:
            years = self.years(sex)
            for year in years:
                found[sex, year] = self._expected(sex, year, years[-1], parts)
            for year in range(years[-1] + 1, LAST_YEAR + 1):
                found[sex, year] = found[sex, years[-1]]
        return found

    def _expected(
        self, sex: str, year: int, last: int, parts: list[tuple[int, float]]
    ) -> list[int]:
        alive = [1.0] * (OLDEST + 1)
        for passed, years in parts:
            line = self.yearly[sex, min(year + passed, last)]
            for age in range(OLDEST + 1):
                alive[age] *= (1 - line[min(age + passed, len(line) - 1)]) ** years
        return [floor(1000 * (1 - still) + 0.5) for still in alive]


def years_within(start_days: int, end_days: int) -> range:
    """The years since diagnosis, each counted from its anniversary, that a span of days touches."""
    return range(floor(start_days / YEAR_DAYS), ceil(end_days / YEAR_DAYS))


@dataclass(frozen=True, slots=True)
class Reference:
    """What a registry has beside its cases."""

    residents: tuple[Residents, ...] = ()
    life_table: LifeTable = field(default_factory=lambda: LifeTable({}))

    def described(self) -> str:
        """Say in some words what there is; empty if there is nothing."""
        kinds = {
            "population": [group.stratum.year for group in self.residents],
            "life table": [year for _, year in self.life_table.yearly],
        }
        return " and ".join(
            f"{name} of {min(years)}-{max(years)}" for name, years in kinds.items() if years
        )


NOTHING: Final = Reference()
"""Of a registry that has neither file."""
