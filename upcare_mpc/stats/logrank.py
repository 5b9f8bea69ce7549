"""The log-rank test from individual follow-up times, in the clear.

Source: Mantel, Cancer Chemother. Rep. 50, 163-170, 1966; Peto and Peto, J. R. Stat. Soc. A 135,
185-207, 1972. With day-exact times this is ``survdiff`` of R; on an interval grid, those last
seen alive in an interval count for half of it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["LogRank", "logrank", "logrank_on_grid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRank:
    """A log-rank test.

    Attributes:
        statistic: Chi-square.
        df: Arms less one.
        observed: Deaths of each arm.
        expected: Deaths of each arm, had all arms the same hazard.
    """

    statistic: float
    df: int
    observed: tuple[int, ...]
    expected: tuple[float, ...]


def logrank(
    arm: Sequence[int],
    days: Sequence[int],
    died: Sequence[bool],
    stratum: Sequence[Hashable] | None = None,
) -> LogRank:
    """Compare the arms 0, 1, ... at each day on which somebody died, within strata if given."""
    patients = list(zip(arm, days, died, strict=True))
    arms = range(max(arm) + 1)
    moments = []
    for name in set(stratum or [None]):
        here = [p for p, s in zip(patients, stratum or [None] * len(arm), strict=True) if s == name]
        for day in sorted({t for _, t, dead in here if dead}):
            exposed = [float(sum(g == a and t >= day for g, t, _ in here)) for a in arms]
            deaths = [sum(g == a and t == day and dead for g, t, dead in here) for a in arms]
            moments.append((exposed, deaths))
    return _combined(moments)


def logrank_on_grid(
    arm: Sequence[int],
    days: Sequence[int],
    died: Sequence[bool],
    edges: Sequence[int],
    *,
    actuarial: bool = True,
) -> LogRank:
    """Compare the arms 0, 1, ... in each interval (edges[i], edges[i+1]]."""
    patients = list(zip(arm, days, died, strict=True))
    strata = []
    for number, (start, end) in enumerate(pairwise(edges)):
        exposed, deaths = [], []
        for a in range(max(arm) + 1):
            here = [(t, dead) for g, t, dead in patients if g == a and (t > start or number == 0)]
            leavers = sum(t <= end and not dead for t, dead in here)
            exposed.append(len(here) - (leavers / 2 if actuarial else 0))
            deaths.append(sum(t <= end and dead for t, dead in here))
        strata.append((exposed, deaths))
    return _combined(strata)


def _combined(strata: list[tuple[list[float], list[int]]]) -> LogRank:
    arms = len(strata[0][0])
    observed, expected = np.zeros(arms), np.zeros(arms)
    covariance = np.zeros((arms, arms))
    for exposed, deaths in strata:
        everybody, died = sum(exposed), sum(deaths)
        if not died:
            continue
        share = np.array(exposed) / everybody
        observed += deaths
        expected += died * share
        if everybody > 1:
            factor = died * max(everybody - died, 0.0) / (everybody - 1)
            covariance += factor * (np.diag(share) - np.outer(share, share))
    difference = (observed - expected)[:-1]
    statistic = float(difference @ np.linalg.solve(covariance[:-1, :-1], difference))
    return LogRank(
        statistic=statistic,
        df=arms - 1,
        observed=tuple(int(deaths) for deaths in observed),
        expected=tuple(float(deaths) for deaths in expected),
    )
