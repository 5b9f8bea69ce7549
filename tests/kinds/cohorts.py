"""Simulated cohorts: the answer of a survival study, drawn directly, and what would be true.

Nothing here uses the study language or the estimators. Hazards are constant, years have 365.25
days, an interval is a year. Patients are placed in the cells with numpy alone.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from gbsg2 import laplace, study

from upcare_mpc import kinds
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.kinds.survival import Survival

Counts = npt.NDArray[np.int64]


def survival_kind(options: str) -> Survival:
    kind = kinds.of(study("survival", options))
    assert isinstance(kind, Survival)
    return kind


def law_of(kind: Survival, epsilon: float) -> NoiseLaw:
    """The noise of a release at this epsilon."""
    scale = kind.layout().sensitivity.d1 / Fraction(epsilon).limit_denominator(1000)
    return NoiseLaw.of(laplace(scale))


@dataclass(frozen=True)
class Deaths:
    """When patients leave, in years, and of what: 0 alive, else the number of the cause."""

    years: npt.NDArray[np.float64]
    cause: Counts

    @classmethod
    def drawn(
        cls,
        generator: np.random.Generator,
        hazards: npt.NDArray[np.float64],
        longest: npt.NDArray[np.float64] | float,
    ) -> "Deaths":
        """``hazards`` ``(patients, causes)`` a year; ``longest`` is the end of follow-up."""
        times = generator.exponential(1 / hazards)
        first = times.min(axis=1)
        cause = np.where(first < longest, times.argmin(axis=1) + 1, 0)
        return cls(np.minimum(first, longest), cause)


def exits(deaths: Deaths, intervals: int, causes: int = 1) -> Counts:
    """The number of the cell that each patient leaves by."""
    ways = causes + 1
    way = np.where(deaths.cause > 0, deaths.cause - 1, causes)
    cell: Counts = np.floor(deaths.years).astype(np.int64) * ways + way
    return np.minimum(cell, intervals * ways)


def table(shape: tuple[int, ...], *positions: Counts) -> Counts:
    """Count patients into cells."""
    flat = np.ravel_multi_index(positions, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def answered(
    kind: Survival, vector: Counts, noise: NoiseLaw, generator: np.random.Generator
) -> Result:
    drawn = noise.draws(vector.shape, generator).astype(np.int64)
    return kind.finish(vector + drawn, noise)


def covered(low: object, truth: float, high: object) -> bool:
    """Whether an interval holds the truth; no interval is no cover."""
    return low is not None and high is not None and float(low) <= truth <= float(high)  # type: ignore[arg-type]


AGE_SHARES = (0.1, 0.15, 0.25, 0.3, 0.2)  # of the ICSS age groups
CHANCES = np.array([5, 10, 20, 40, 120])  # to die in a year, in thousandths
EXCESS = np.array([0.06, 0.08, 0.1, 0.12, 0.15])  # hazard of the cancer itself, a year


@dataclass(frozen=True)
class Aged:
    """Patients in five age groups, with an excess hazard; ``relative`` is what is true."""

    group: Counts
    deaths: Deaths

    @classmethod
    def drawn(
        cls, generator: np.random.Generator, patients: int, excess: npt.NDArray[np.float64]
    ) -> "Aged":
        group = generator.choice(5, patients, p=AGE_SHARES)
        hazards = excess[group] - np.log1p(-CHANCES[group] / 1000)
        return cls(
            group,
            Deaths.drawn(generator, hazards[:, None], generator.uniform(3, 8, patients)),
        )

    def vector(self, kind: Survival) -> Counts:
        """The exact answer to a relative survival study of one arm, by age group or not."""
        tables = kind.layout().tables
        group = self.group if kind.strata else np.zeros_like(self.group)
        arm = np.zeros_like(group)
        shape = (1, 5 if kind.strata else 1)
        cells = table((*shape, 2 * kind.grid.intervals + 1), arm, group, self._exits(kind))
        parts = [cells.ravel() * tables[0].weight]
        for number in range(kind.grid.intervals):
            here = self.deaths.years > number
            due = np.zeros(shape, dtype=np.int64)
            np.add.at(due, (arm[here], group[here]), CHANCES[self.group[here]])
            parts.append(due.ravel())
        return np.concatenate(parts)

    def _exits(self, kind: Survival) -> Counts:
        return exits(self.deaths, kind.grid.intervals)


def windowed(
    generator: np.random.Generator, kind: Survival, patients: int, hazard: float
) -> Counts:
    """The exact answer to a study in a period window that ends with 2019, of patients since 2000.

    Everybody is followed to death; the window ends it. Months are counted from January 2000.
    """
    assert kind.period is not None
    diagnosis = generator.integers(0, 240, patients) + 0.5
    death = diagnosis + 12 * generator.exponential(1 / hazard, patients)
    start, end = 12 * (kind.period.first_year - 2000), 240
    seen = death > start
    entry = np.floor(np.maximum(start - diagnosis, 0) / 12).astype(np.int64)
    died = death < end
    years = (np.minimum(death, end) - diagnosis) / 12
    n = kind.grid.intervals
    way = np.minimum(2 * np.floor(years).astype(np.int64) + ~died, 2 * n)
    seen &= entry < n
    zero = np.zeros(int(seen.sum()), dtype=np.int64)
    return table((1, n, 2 * n + 1), zero, entry[seen], way[seen]).ravel()
