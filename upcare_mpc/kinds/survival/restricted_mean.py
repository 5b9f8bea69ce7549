"""Summaries of a survival curve: restricted mean and median, with intervals that know the noise.

Restricted mean to ``tau``: the area under the curve up to there (Irwin 1949; Royston and Parmar,
Stat. Med. 30, 2409-2421, 2011), in days. On a one-day grid the curve is a step and the area that
of R's ``survmean``; on longer intervals it is taken as straight between the ends of intervals. The
area is linear in the curve: with A_j the area after interval j, its variance V is the sum of
A_j^2 d_j / (exposed_j (exposed_j - d_j)), and its derivatives in the noisy cells follow from those
of log survival.

Interval: deaths are rare events of which each costs its own number of days, so the days lost to
death have the interval of a weighted sum of Poisson counts (Fay and Feuer, Stat. Med. 16, 791-801,
1997): a gamma law with the mean and V, and for the upper limit one death more, where it costs most.
With deaths that cost the same it is the exact one of a Poisson count (Garwood 1936), also for none;
with many it comes to 1.96 roots of V. Noise widens each side by the root of the sum of squares (Zou
and Donner, Stat. Med. 27, 1693-1702, 2008).

Median: where the curve reaches one half; on longer intervals, by straight interpolation. Its
bounds are where the bounds of the curve do so (Brookmeyer and Crowley, Biometrics 38, 29-41, 1982).
"""

from dataclasses import dataclass

import numpy as np

from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.kinds.sums import noise_reach
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LEAST_EXPOSED, LifeTable

__all__ = ["RestrictedMean", "median_days"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedMean:
    """Mean survival time up to a day; every array is ``(...)``, one value an arm.

    Attributes:
        days: Estimate.
        noise_error: 95 % of the noise moves it by no more than this.
        longest: What it is if nobody dies.
        variance: Of sampling alone.
        one_death: Days that one death costs where it costs most.
        last: Interval in which the curve is cut off.
    """

    days: Floats
    noise_error: Floats
    longest: float
    variance: Floats
    one_death: Floats
    last: int

    @classmethod
    def of(
        cls, exits: Exits, table: LifeTable, noise: NoiseLaw, *, grid: Grid, until_days: int
    ) -> "RestrictedMean":
        """Estimate the area under each curve from the start of the grid to ``until_days`` on it."""
        weights = _weights(grid, until_days)
        parts = weights[1:] * table.survival
        after = np.cumsum(parts[..., ::-1], axis=-1)[..., ::-1]  # moves with log survival in j
        exposed = np.maximum(table.exposed, LEAST_EXPOSED)
        survivors = np.maximum(exposed - table.deaths, LEAST_EXPOSED)
        hazard_slope = table.deaths / (exposed * survivors)
        slopes = exits.slopes(by_exposed=after * hazard_slope, by_deaths=-after / survivors)
        squares, fourths = exits.power_sums(slopes, 2), exits.power_sums(slopes, 4)
        return cls(
            days=weights[0] + parts.sum(axis=-1),
            noise_error=noise_reach(noise, squares, fourths),
            longest=float(weights.sum()),
            variance=(after**2 * hazard_slope).sum(axis=-1),
            one_death=(after / exposed).max(axis=-1),
            last=int(np.searchsorted(grid.edges[1:], until_days)),
        )

    def dp_interval(self) -> tuple[Floats, Floats]:
        """Where the noiseless estimate lies, 19 times in 20 over the noise."""
        low, high = self.days - self.noise_error, self.days + self.noise_error
        return np.clip(low, 0, self.longest), np.clip(high, 0, self.longest)

    def ci_interval(self) -> tuple[Floats, Floats]:
        """Where the mean in the population lies, 19 times in 20 over patients and noise."""
        lost = np.maximum(self.longest - self.days, 0)
        least = _gamma_quantile(lost, self.variance, 0.025)
        most = _gamma_quantile(lost + self.one_death, self.variance + self.one_death**2, 0.975)
        low = self.days - np.hypot(most - lost, self.noise_error)
        high = self.days + np.hypot(lost - least, self.noise_error)
        return np.clip(low, 0, self.longest), np.clip(high, 0, self.longest)


def _gamma_quantile(mean: Floats, variance: Floats, probability: float) -> Floats:
    """Return a quantile of the gamma law with this mean and variance; the mean if that is 0."""
    from scipy.special import gammaincinv  # noqa: PLC0415  nodes load kinds but never finish

    spread = (mean > 0) & (variance > 0)
    scale = np.where(spread, variance, 1) / np.where(spread, mean, 1)
    shape = np.where(spread, mean, 1) / scale
    quantile: Floats = np.where(spread, scale * gammaincinv(shape, probability), mean)
    return quantile


def _weights(grid: Grid, until_days: int) -> Floats:
    """Return the weight of survival at each edge in the area under the curve; ``(n+1,)``."""
    edges = np.array(grid.edges, dtype=np.float64)
    weights = np.zeros(len(edges))
    for number in range(len(edges) - 1):
        start, end = edges[number], edges[number + 1]
        length = min(until_days, end) - start
        if length <= 0:
            break
        bent = 0.0 if grid.interval_days == 1 else length**2 / (2 * (end - start))
        weights[number] += length - bent
        weights[number + 1] += bent
    return weights


def median_days(curve: Floats, grid: Grid) -> float | None:
    """Return the day on which a falling curve ``(n,)`` reaches one half; None if it does not."""
    below = np.flatnonzero(curve <= 0.5)
    if not len(below):
        return None
    number = int(below[0])
    start, end = grid.edges[number], grid.edges[number + 1]
    if grid.interval_days == 1:
        return float(end)
    before = 1.0 if number == 0 else float(curve[number - 1])
    drop = before - float(curve[number])
    return start + (end - start) * (before - 0.5) / drop if drop > 0 else float(start)
