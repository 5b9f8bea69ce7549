"""Statistics beside the curves of a survival study: one number an arm, each with its intervals."""

import numpy as np

from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Statistic
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LifeTable
from upcare_mpc.kinds.survival.relative import Expected, MortalityRatio
from upcare_mpc.kinds.survival.restricted_mean import RestrictedMean, median_days

__all__ = ["dco_share", "medians", "mortality_ratios", "restricted_means"]


def medians(table: LifeTable, arms: tuple[str, ...], grid: Grid) -> dict[str, Statistic]:
    """Return the median survival of each arm; a bound that is not reached is None."""
    found: dict[str, Statistic] = {}
    dp, ci = table.dp_interval(), table.ci_interval()
    for number, arm in enumerate(arms):
        known = int(table.estimable[number].cumprod().sum())

        def reached(curve: Floats, number: int = number, known: int = known) -> float | None:
            line = curve[number, :known]
            falling = np.maximum.accumulate(line[::-1])[::-1]  # upper bounds need not fall
            return median_days(falling, grid)

        days = reached(table.survival)
        found[f"median: {arm}"] = {
            "days": days,
            "dp_low": reached(dp[0]),
            "dp_high": reached(dp[1]),
            "ci_low": reached(ci[0]),
            "ci_high": reached(ci[1]),
            "remark": None if days is not None else "survival stays above one half on the grid",
        }
    return found


def restricted_means(
    exits: Exits,
    table: LifeTable,
    noise: NoiseLaw,
    *,
    arms: tuple[str, ...],
    grid: Grid,
    until: int,
) -> dict[str, Statistic]:
    """Return the restricted mean of each arm, and the difference where there are two."""
    mean = RestrictedMean.of(exits, table, noise, grid=grid, until_days=until)
    known = table.estimable[:, : mean.last + 1].min(axis=-1)
    bounds = (*mean.dp_interval(), *mean.ci_interval())
    found = {
        f"restricted mean: {arm}": _days(
            float(mean.days[number]),
            [float(bound[number]) for bound in bounds],
            until=until,
            known=bool(known[number]),
        )
        for number, arm in enumerate(arms)
    }
    if len(arms) == 2:
        # Of two figures each bound differs by the root of both squared distances: Zou and Donner,
        # Stat. Med. 27, 1693-1702, 2008.
        difference = float(mean.days[0] - mean.days[1])
        reached = [
            float(np.hypot(mean.days[0] - one[0], mean.days[1] - other[1]))
            for one, other in zip(bounds, (bounds[1], bounds[0], bounds[3], bounds[2]), strict=True)
        ]
        found["restricted mean difference"] = _days(
            difference,
            [difference + way * far for way, far in zip((-1, 1, -1, 1), reached, strict=True)],
            until=until,
            known=bool(known.all()),
        )
    return found


def _days(days: float, bounds: list[float], *, until: int, known: bool) -> Statistic:
    """A figure with its dp_low, dp_high, ci_low, ci_high."""
    names = ("dp_low", "dp_high", "ci_low", "ci_high")
    if not known:
        missing = dict.fromkeys(("days", *names))
        return {**missing, "until_days": until, "remark": "nobody is left at risk before that day"}
    shown = dict(zip(names, bounds, strict=True))
    return {"days": days, **shown, "until_days": until, "remark": None}


def mortality_ratios(
    exits: Exits, table: LifeTable, expected: Expected, arms: tuple[str, ...]
) -> dict[str, Statistic]:
    """Return the standardised mortality ratio of each arm."""
    ratio = MortalityRatio.of(exits, table, expected)
    found: dict[str, Statistic] = {}
    for number, arm in enumerate(arms):

        def shown(values: Floats, number: int = number) -> float | None:
            return float(values[number]) if np.isfinite(values[number]) else None

        remark = None
        if not np.isfinite(ratio.ratio[number]):
            remark = "fewer deaths are expected than noise can tell from none"
        elif not np.isfinite(ratio.dp[1][number]):
            remark = "no upper limit: the noise could be all of the expected deaths"
        elif ratio.observed[number] < 0:
            remark = "the noise brought it below zero"
        found[f"SMR: {arm}"] = {
            "ratio": shown(ratio.ratio),
            "dp_low": shown(ratio.dp[0]),
            "dp_high": shown(ratio.dp[1]),
            "ci_low": shown(ratio.ci[0]),
            "ci_high": shown(ratio.ci[1]),
            "observed": float(ratio.observed[number]),
            "expected": float(ratio.expected[number]),
            "remark": remark,
        }
    return found


def dco_share(dco: Floats, exits: Exits, noise: NoiseLaw) -> Statistic:
    """Return how many tumours were known from a death certificate only, and their share."""
    count = float(dco.sum())
    total = count + float(exits.counts.sum())
    reach = float(noise.reach(1 / dco.size)) * dco.size**0.5
    return {
        "count": count,
        "dp_low": max(count - reach, 0.0),
        "dp_high": max(count + reach, 0.0),
        "share": min(max(count / total, 0.0), 1.0) if total >= 1 else None,
        "remark": None if total >= 1 else "nobody is in the cohort",
    }
