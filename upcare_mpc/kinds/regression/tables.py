"""From the noisy vector of a regression to what ``glm`` fits: events, size, and the design."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.kinds.regression.glm import Table

if TYPE_CHECKING:
    from upcare_mpc.kinds.regression.kind import Regression

__all__ = [
    "INTERCEPT",
    "INTERVAL",
    "Column",
    "baseline",
    "columns",
    "reference_columns",
    "table_of",
]

INTERCEPT: Final = "(intercept)"
INTERVAL: Final = "interval"
_YEAR: Final = 365.25


@dataclass(frozen=True, slots=True)
class Column:
    """A coefficient.

    Attributes:
        term: Names of the covariates, ``sex x age group``.
        level: Of the category, ``male x 65+``.
        reference: What it is compared with; empty for an intercept or an interval.
        values: ``(r,)`` 1 in the rows that it is about, 0 elsewhere.
    """

    term: str
    level: str
    reference: str
    values: Floats


def table_of(regression: "Regression", noisy: npt.NDArray[np.generic]) -> Table:
    """Read the vector.

    Raises:
        StudyError: It has another number of cells.
    """
    layout = regression.layout()
    if noisy.shape != (layout.cells,):
        raise StudyError(f"regression: wanted {layout.cells} cells, got {noisy.shape}")
    first, *others = layout.split(noisy)
    if regression.grid is not None:
        return _exits(first, regression.grid)
    if regression.outcome is not None:
        yes, no = first.reshape(-1, 2).T

        def two(by_events: Floats, by_size: Floats) -> Floats:
            return np.concatenate([by_events + by_size, by_size])

        return Table(events=yes, size=yes + no, pull=two, link="logistic")
    events = first.reshape(-1)
    if not others:
        return Table(events=events, size=np.ones_like(events), pull=_alone, link="log")
    weight = layout.tables[1].weight

    def with_people(by_events: Floats, by_size: Floats) -> Floats:
        return np.concatenate([by_events, by_size / weight])

    return Table(events=events, size=others[0].reshape(-1), pull=with_people, link="log")


def _alone(by_events: Floats, by_size: Floats) -> Floats:
    return by_events + 0 * by_size


def _exits(counts: Floats, grid: Grid) -> Table:
    """Deaths and person-years of each interval: those who leave in it count for half of it."""
    n = grid.intervals
    cells = counts.reshape(-1, 2 * n + 1)
    years = np.diff(np.array(grid.edges)) / _YEAR
    deaths, leavers = cells[:, 0:-1:2], cells[:, 1:-1:2]
    gone = deaths + leavers
    after = np.cumsum(np.concatenate([cells[:, -1:], gone[:, :0:-1]], axis=1), axis=1)[:, ::-1]

    def pull(by_events: Floats, by_size: Floats) -> Floats:
        wide = by_events.shape[-1]
        by_death = by_events.reshape(-1, n, wide)
        timed = by_size.reshape(-1, n, wide) * years[:, None]
        leaver = np.cumsum(timed, axis=1) - timed / 2
        exits = np.stack([leaver + by_death, leaver], axis=2).reshape(-1, 2 * n, wide)
        later = timed.sum(axis=1, keepdims=True)
        return np.concatenate([exits, later], axis=1).reshape(-1, wide)

    person_years = (after + gone / 2) * years
    return Table(events=deaths.reshape(-1), size=person_years.reshape(-1), pull=pull, link="log")


def baseline(regression: "Regression", table: Table, noise: NoiseLaw) -> list[slice]:
    """Return the intervals that share a hazard.

    Each has its own where there is no noise. Else they are joined in turn until their deaths are
    twice what the noise reaches: a hazard for each short interval would cost more than it tells.
    """
    if regression.grid is None:
        return [slice(0, 1)]
    intervals = regression.grid.intervals
    deaths = table.events.reshape(-1, intervals)
    if noise.variance == 0:
        return [slice(number, number + 1) for number in range(intervals)]
    groups: list[slice] = []
    start = 0
    for end in range(1, intervals + 1):
        draws = len(deaths) * (end - start)
        beyond = 2 * draws**0.5 * float(noise.reach(1 / draws))
        if deaths[:, start:end].sum() > beyond:
            groups.append(slice(start, end))
            start = end
    last = slice(groups.pop().start if groups else 0, intervals)
    return [*groups, last]


def columns(regression: "Regression", shared: list[slice]) -> list[Column]:
    """Return the coefficients of the model, in their order.

    Args:
        regression: The question.
        shared: The intervals that share a hazard.
    """
    intervals = 1 if regression.grid is None else regression.grid.intervals
    codes = _codes(regression, intervals)
    rows = codes.shape[1]
    if regression.grid is None:
        found = [Column(INTERCEPT, "", "", np.ones(rows))]
    else:
        edges, interval = regression.grid.edges, np.arange(rows) % intervals
        found = [
            Column(
                INTERVAL,
                f"{edges[group.start]}-{edges[group.stop]}",
                "",
                ((group.start <= interval) & (interval < group.stop)).astype(np.float64),
            )
            for group in shared
        ]
    for term in regression.terms:
        axes = [regression.covariates[number] for number in term]
        references = [regression.references[number] for number in term]
        name = " x ".join(axis.name for axis in axes)
        reference = " x ".join(a.labels[r] for a, r in zip(axes, references, strict=True))
        others = [
            [code for code in range(len(axis.labels)) if code != left_out]
            for axis, left_out in zip(axes, references, strict=True)
        ]
        for levels in product(*others):
            inside = np.all(
                [codes[i] == code for i, code in zip(term, levels, strict=True)], axis=0
            )
            level = " x ".join(a.labels[code] for a, code in zip(axes, levels, strict=True))
            found.append(Column(name, level, reference, inside.astype(np.float64)))
    return found


def reference_columns(regression: "Regression") -> list[Column]:
    """Return the rows of the reference of each covariate in the model."""
    intervals = 1 if regression.grid is None else regression.grid.intervals
    codes = _codes(regression, intervals)
    used = sorted({number for term in regression.terms for number in term})
    found = []
    for number in used:
        axis, reference = regression.covariates[number], regression.references[number]
        values = (codes[number] == reference).astype(np.float64)
        found.append(Column(axis.name, axis.labels[reference], "", values))
    return found


def _codes(regression: "Regression", intervals: int) -> npt.NDArray[np.int64]:
    """The category of each row on each covariate; ``(covariates, r)``."""
    shape = regression.shape
    codes = np.indices(shape).reshape(len(shape), -1)
    return np.repeat(codes, intervals, axis=1)
