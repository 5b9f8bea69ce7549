"""The answer to a survival study: rows, log-rank test, and the sentences that go with them."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import NoiseLaw, Result, Statistic
from upcare_mpc.kinds.lifetable import LifeTable
from upcare_mpc.kinds.logrank import LogRank

__all__ = ["of"]


def of(
    counts: npt.NDArray[np.int64], noise: NoiseLaw, *, arms: tuple[str, ...], grid: Grid
) -> Result:
    """Estimate from the noisy counts.

    Args:
        counts: ``(g, 2n+1)`` noisy counts; public.
        noise: The law of the noise in each.
        arms: The ``g`` labels.
        grid: The time grid, of ``n`` intervals.
    """
    table = LifeTable.of(counts, noise, actuarial=grid.actuarial)
    notes = [_about(grid)]
    if not table.estimable.all():
        notes.extend(_not_estimable(table, arms, grid))
    logrank, note = _logrank(counts, table, noise, grid)
    notes.append(note)
    curve: Statistic = {"estimator": grid.estimator, "landmark_days": grid.landmark_days}
    return Result(
        rows=_rows(table, arms, grid),
        statistics={"logrank": logrank, "curve": curve},
        notes=tuple(notes),
    )


def _rows(table: LifeTable, arms: tuple[str, ...], grid: Grid) -> pd.DataFrame:
    dp_low, dp_high = table.dp_interval()
    ci_low, ci_high = table.ci_interval()
    columns: dict[str, object] = {
        "arm": np.repeat(np.array(arms, dtype=object), grid.intervals),
        "start_days": np.tile(grid.edges[:-1], len(arms)),
        "end_days": np.tile(grid.edges[1:], len(arms)),
        "at_risk": table.at_risk.ravel(),
        "events": table.deaths.ravel(),
    }
    estimable = table.estimable.ravel()
    for name, values in (
        ("survival", table.survival),
        ("dp_low", dp_low),
        ("dp_high", dp_high),
        ("ci_low", ci_low),
        ("ci_high", ci_high),
    ):
        columns[name] = values.ravel()
        if not estimable.all():
            pairs = zip(values.ravel().tolist(), estimable.tolist(), strict=True)
            columns[name] = pd.Series([v if known else None for v, known in pairs], dtype=object)
    return pd.DataFrame(columns)


def _logrank(
    counts: npt.NDArray[np.int64], table: LifeTable, noise: NoiseLaw, grid: Grid
) -> tuple[Statistic, str]:
    """Return the test as a statistic, and what it says in a sentence."""
    arms = len(counts)
    nothing: Statistic = {"statistic": None, "df": arms - 1, "p": None, "p_noise_aware": None}
    if arms == 1:
        return nothing, "No log-rank test: there is one arm only."
    test = LogRank.of(counts, table, noise, actuarial=grid.actuarial)
    if test is None:
        return nothing, "No log-rank test: too few deaths, or an arm with nobody in it."
    values: Statistic = {
        "statistic": test.statistic,
        "df": test.df,
        "p": test.p,
        "p_noise_aware": test.p_noise_aware,
    }
    shown = f"log-rank p = {test.p_noise_aware:.3f} with the noise accounted for"
    if test.p_noise_aware < 0.05:
        return values, f"The arms differ in survival: {shown}."
    return values, f"No evidence of a difference between the arms at this budget: {shown}."


def _about(grid: Grid) -> str:
    length = grid.edges[1] - grid.edges[0]
    unit = f"{length} day{'s' if length > 1 else ''}"
    if grid.edges[-1] != grid.interval_days * grid.intervals or grid.interval_days % 365 == 0:
        years = grid.interval_days // 365
        unit = f"{years} year{'s' if years > 1 else ''} (of 365.25 days)"
    start = f"day {grid.landmark_days}" if grid.landmark_days else "diagnosis"
    return f"Estimated by {grid.estimator}, in intervals of {unit}; time starts at {start}."


def _not_estimable(table: LifeTable, arms: tuple[str, ...], grid: Grid) -> list[str]:
    notes = []
    for arm, estimable in zip(arms, table.estimable, strict=True):
        if not estimable.all():
            day = grid.edges[int(np.argmin(estimable))]
            notes.append(f"No estimate for {arm} after day {day}: nobody is left at risk.")
    return notes
