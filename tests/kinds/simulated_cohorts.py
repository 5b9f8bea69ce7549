"""Simulated cohorts: the answer of a survival study, drawn directly, and what would be true.

Nothing here uses the study language or the estimators. Hazards are constant, years have 365.25
days, an interval is a year. Patients are placed in the cells with numpy alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from gbsg2 import EXACT, laplace, study

from upcare_mpc import kinds
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.kinds.survival.kind import Survival

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


Figure = Mapping[str, Any]
"""An estimate with dp_low, dp_high, ci_low and ci_high, and its own name."""


@dataclass(frozen=True)
class Coverage:
    """Share of simulated studies in which an interval held what it should.

    Attributes:
        ci: The truth, in the interval of patients and noise.
        dp: The noiseless estimate, in the interval of the noise.
        unaware: The truth, in the interval that takes the noisy counts for exact.
        bias: Mean distance of the estimate from the truth.
    """

    ci: float
    dp: float
    unaware: float
    bias: float


def coverage(
    kind: Survival,
    draw: Callable[[np.random.Generator], Counts],
    *,
    epsilon: float,
    read: Callable[[Result], tuple[float | None, Figure]],
    truth: float,
    studies: int,
) -> Coverage:
    """Simulate studies; ``draw`` gives an exact answer, ``read`` a figure and its bounds."""
    noise, generator = law_of(kind, epsilon), np.random.default_rng(17)
    ci, dp, unaware, missed = [], [], [], []
    for _ in range(studies):
        vector = draw(generator)
        noisy = vector + noise.draws(vector.shape, generator).astype(np.int64)
        exact, _bounds = read(kind.finish(vector, EXACT))
        found, bounds = read(kind.finish(noisy, noise))
        _same, narrow = read(kind.finish(noisy, EXACT))
        if found is None or exact is None:  # said to be not estimable
            continue
        ci.append(covered(bounds["ci_low"], truth, bounds["ci_high"]))
        dp.append(covered(bounds["dp_low"], exact, bounds["dp_high"]))
        unaware.append(covered(narrow["ci_low"], truth, narrow["ci_high"]))
        missed.append(found - truth)
    assert len(ci) > 0.9 * studies
    return Coverage(*(float(np.mean(values)) for values in (ci, dp, unaware, missed)))


def at(interval: int, name: str = "") -> Callable[[Result], tuple[float | None, Figure]]:
    """Read a curve at the end of an interval: survival, or a column with bounds of its own."""

    def read(result: Result) -> tuple[float | None, Figure]:
        row = result.rows.iloc[interval]
        prefix = f"{name}_" if name else ""
        bounds = {k: row[prefix + k] for k in ("dp_low", "dp_high", "ci_low", "ci_high")}
        return row[name or "survival"], bounds

    return read


def statistic(name: str, key: str) -> Callable[[Result], tuple[float | None, Figure]]:
    """Read a statistic and its bounds."""

    def read(result: Result) -> tuple[float | None, Figure]:
        found = result.statistics[name]
        return found[key], found  # type: ignore[return-value]

    return read


def covered(low: float | None, truth: float, high: float | None) -> bool:
    """Whether an interval holds the truth; a bound that is not reached holds everything."""
    return (low is None or low - 1e-9 <= truth) and (high is None or truth <= high + 1e-9)


def plain(
    generator: np.random.Generator, kind: Survival, patients: int, hazards: tuple[float, ...]
) -> Counts:
    """The exact answer of one arm; several hazards are of causes 1, 2, ... and none unknown."""
    deaths = Deaths.drawn(
        generator, np.tile(hazards, (patients, 1)), generator.uniform(3, 8, patients)
    )
    causes = max(len(kind.cause_labels), 1)
    return table(
        kind.layout().tables[0].shape,
        np.zeros(patients, dtype=np.int64),
        exits(deaths, kind.grid.intervals, causes),
    ).ravel()


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
    entry = np.where(diagnosis < start, np.floor((start - diagnosis) / 12) + 1, 0).astype(np.int64)
    died = death < end
    years = (np.minimum(death, end) - diagnosis) / 12
    n = kind.grid.intervals
    way = np.minimum(2 * np.floor(years).astype(np.int64) + ~died, 2 * n)
    seen &= entry <= n
    zero = np.zeros(int(seen.sum()), dtype=np.int64)
    return table((1, n + 1, 2 * n + 1), zero, entry[seen], way[seen]).ravel()
