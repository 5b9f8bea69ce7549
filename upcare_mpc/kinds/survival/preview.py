"""What to expect of a survival study before it is asked: how far the noise alone moves its figures.

The estimators are run on cohorts that are spread evenly over all cells of the table, where each
patient's chance to die in an interval is 50 in a thousand, and say how far the noise reaches.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from upcare_mpc.kinds.kind import COHORTS, Expected, Floats, NoiseLaw, Preview
from upcare_mpc.kinds.survival.lifetable import LifeTable
from upcare_mpc.kinds.survival.relative import Relative
from upcare_mpc.kinds.survival.restricted_mean import RestrictedMean
from upcare_mpc.kinds.survival.result import Opened, incidence_of, standardised_curve

if TYPE_CHECKING:
    from upcare_mpc.kinds.survival.kind import Survival

__all__ = ["evenly", "of"]

FIVE_YEARS_DAYS: Final = 1826
TOLERABLE: Final = 0.1  # ten percentage points
DROWNED: Final = 0.5
CHANCE: Final = 0.05
_PATIENTS: Final = 1000  # in advice


def of(survival: "Survival", noise: NoiseLaw) -> Preview:
    """Return the expected errors and what would make them smaller; looks at no record."""
    errors = [_errors(survival, noise, patients) for patients in COHORTS]
    figures = tuple(
        Expected(
            figure,
            unit,
            tuple(_shown(error[figure][1], unit, survival) for error in errors),  # type: ignore[arg-type]
        )
        for figure, (unit, _) in errors[0].items()
    )
    return Preview(figures, _advice(survival, noise))


def evenly(survival: "Survival", patients: float) -> Floats:
    """Return the answer ``(cells,)`` of a cohort that is spread evenly, without noise."""
    layout = survival.layout()
    first = layout.tables[0]
    cells = np.ones(first.shape)
    if survival.dco == "count":
        cells[..., -1] = 0
    if survival.period is not None:
        cells *= survival.period.possible()
    cells *= patients / cells.sum()
    vector = np.concatenate(
        [cells.ravel() * first.weight, *(np.zeros(t.cells) for t in layout.tables[1:])]
    )
    if survival.expected_at_most is not None:
        exact = NoiseLaw(variance=0, quantile95=0, scale=0)
        at_risk = Opened.of(survival, vector, exact).exits.observed().at_risk  # (s, g, n)
        chances = np.moveaxis(at_risk * 1000 * CHANCE, (0, 1, 2), (2, 1, 0))  # (n, g, s)
        vector[first.cells :] = chances.ravel()
    return vector


def _errors(survival: "Survival", noise: NoiseLaw, patients: float) -> dict[str, tuple[str, float]]:
    """Return how far 95 % of the noise moves each figure of the first arm, with its unit."""
    opened = Opened.of(survival, evenly(survival, patients), noise)
    exits, edges = opened.exits.summed(0), survival.grid.edges[1:]
    table = LifeTable.of(exits, opened.noise)
    last = len(edges) - 1
    five = int(np.argmin(np.abs(np.array(edges) - FIVE_YEARS_DAYS)))
    found: dict[str, tuple[str, float]] = {}
    for number in sorted({five, last}):
        figure = f"survival at day {edges[number]}"
        found[figure] = ("probability", float(table.noise_error[0, number]))
    if survival.restricted_mean_days is not None:
        until = survival.restricted_mean_days
        mean = RestrictedMean.of(exits, table, opened.noise, grid=survival.grid, until_days=until)
        found[f"restricted mean to day {until}"] = ("days", float(mean.noise_error[0]))
    end = edges[last]
    if opened.expected is not None:
        relative = Relative.of(exits, table, opened.expected.summed(0))
        found[f"relative survival at day {end}"] = ("probability", _upper(relative, last))
    if survival.age_standard is not None:
        whole = standardised_curve(survival.age_standard, opened)
        reach = float(whole.dp[1][0, last] - whole.estimate[0, last])
        found[f"age-standardised survival at day {end}"] = ("probability", reach)
    if opened.by_cause is not None:
        incidence = incidence_of(0, exits, opened.by_cause, opened.noise)
        for number, cause in enumerate(survival.cause_labels):
            reach = float(incidence.dp[1][number, last] - incidence.incidence[number, last])
            found[f"incidence of {cause} at day {end}"] = ("probability", reach)
    return found


def _upper(relative: Relative, last: int) -> float:
    return float(relative.dp[1][0, last] - relative.relative[0, last])


def _shown(error: float, unit: str, survival: "Survival") -> float | None:
    most = DROWNED if unit == "probability" else DROWNED * float(survival.restricted_mean_days or 0)
    return error if error <= most else None


def _advice(survival: "Survival", noise: NoiseLaw) -> tuple[str, ...]:
    """Propose fewer intervals where the noise would drown the end of the curve."""
    grid = survival.grid
    end = f"survival at day {grid.edges[-1]}"
    if _errors(survival, noise, _PATIENTS)[end][1] <= TOLERABLE:
        return ()
    said = (
        f"With {_PATIENTS:,} patients the noise moves survival at the end of the grid by more than "
        f"{100 * TOLERABLE:.0f} percentage points: "
    )
    groups = len(survival.arms) * int(np.prod([len(axis.labels) for axis in survival.strata]))
    for parts in range(2, grid.intervals + 1):
        if grid.intervals % parts:
            continue
        coarser = replace(
            grid, interval_days=grid.interval_days * parts, intervals=grid.intervals // parts
        )
        period = survival.period and replace(survival.period, grid=coarser)
        asked = replace(
            survival, grid=coarser, period=period, restricted_mean_days=None, age_standard=None
        )
        # Relative survival has a clamp for each interval, so the noise is less by itself; that the
        # same epsilon then gives less noise is left out here.
        if _errors(asked, noise, _PATIENTS)[f"survival at day {coarser.edges[-1]}"][1] <= TOLERABLE:
            shape = f"interval_days = {coarser.interval_days}, intervals = {coarser.intervals}"
            return (f"{said}{shape} would do.",)
    more = f", fewer than {groups} arms and strata" if groups > 1 else ""
    return (f"{said}ask for fewer intervals{more}, or a larger epsilon.",)
