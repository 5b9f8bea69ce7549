"""A life table from noisy counts, with intervals that know the noise.

Letters: ``g`` arms, ``n`` intervals; counts come as ``(g, 2n+1)``: deaths and leavers of each
interval in turn, then those still alive when the grid ends. All arrays here are public.

1. Repair. Noise makes counts negative. The nearest table (least squares) that is non-negative
   and keeps each arm's total replaces it, jointly for all cells of an arm. Setting negative cells
   to zero one by one would add patients: at scale 10 it adds 17 deaths to the 56 of an arm with
   seven intervals, the joint repair adds 7.
2. Curve. ``survival = prod(1 - deaths / exposed)``; exposed are those at risk at the start, less
   half of the leavers in an actuarial table.
3. Noise. By the delta method: the derivative of log survival in every noisy cell, of which a
   curve at interval k has 2n+1, times the variance of one draw.
4. Sampling. Greenwood's variance, as an effective number of patients (Rothman, J. Chronic Dis.
   31, 557-560, 1978).
5. Intervals. ``dp``: estimate +- reach of the noise. ``ci``: all p for which the distance from the
   estimate is within 1.96 standard errors, both variances added, the sampling one taken at p:
   ``(s - p)^2 = z^2 (p (1-p) / effective + noise variance)``. Without noise this is Wilson's
   interval at the effective number, which behaves near 0 and 1.

Measured coverage: see ``tests/kinds/test_lifetable.py``, which simulates it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw

__all__ = ["LifeTable", "repaired"]

_LEAST_EXPOSED: Final = 0.5  # below half a patient a fraction says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeTable:
    """Estimates for each arm and interval; every array is ``(..., g, n)``.

    Attributes:
        at_risk: Patients under observation when the interval starts.
        deaths: Deaths in the interval.
        exposed: Patients that deaths are divided by.
        survival: Probability of living beyond the end of the interval.
        effective: Number of patients that carry this much information on ``survival``.
        noise_error: 95 % of the noise moves ``survival`` by no more than this.
    """

    at_risk: Floats
    deaths: Floats
    exposed: Floats
    survival: Floats
    effective: Floats
    noise_error: Floats

    @classmethod
    def of(
        cls, counts: npt.NDArray[np.generic], noise: NoiseLaw, *, actuarial: bool
    ) -> "LifeTable":
        """Estimate from noisy counts.

        Args:
            counts: ``(..., g, 2n+1)`` noisy counts.
            noise: The law of the noise in each.
            actuarial: Whether leavers count for half of the interval.
        """
        table = repaired(counts)
        deaths, leavers = table[..., 0:-1:2], table[..., 1:-1:2]
        at_risk = np.cumsum(table[..., ::-1], axis=-1)[..., ::-1][..., 0:-1:2]
        share = 0.5 if actuarial else 0.0
        exposed = np.maximum(at_risk - share * leavers, 0)
        survival, effective, noise_error = _curve(deaths, exposed, noise, share)
        return cls(
            at_risk=at_risk,
            deaths=deaths,
            exposed=exposed,
            survival=survival,
            effective=effective,
            noise_error=noise_error,
        )

    @property
    def estimable(self) -> npt.NDArray[np.bool_]:
        """Whether anybody is left at risk."""
        return self.at_risk >= _LEAST_EXPOSED

    def dp_interval(self) -> tuple[Floats, Floats]:
        """Where the noiseless estimate lies, 19 times in 20 over the noise."""
        low, high = self.survival - self.noise_error, self.survival + self.noise_error
        return np.clip(low, 0, 1), np.clip(high, 0, 1)

    def ci_interval(self) -> tuple[Floats, Floats]:
        """Where the survival in the population lies, 19 times in 20 over patients and noise."""
        # (1 + w) p^2 - (2 s + w) p + s^2 - e^2 = 0, w = z^2 / effective, e = reach of the noise
        width = Z95**2 / self.effective
        middle = 2 * self.survival + width
        constant = self.survival**2 - self.noise_error**2
        root = np.sqrt(np.maximum(middle**2 - 4 * (1 + width) * constant, 0))
        low, high = (middle - root) / (2 * (1 + width)), (middle + root) / (2 * (1 + width))
        return np.clip(low, 0, self.survival), np.clip(high, self.survival, 1)


def repaired(counts: npt.NDArray[np.generic]) -> Floats:
    """Return the nearest non-negative counts with the same total along the last axis.

    The projection onto a simplex (Held, Wolfe and Crowder 1974): the same amount is taken off
    every cell and what would be negative becomes zero. A negative total becomes zero.
    """
    values = counts.astype(np.float64)
    if (values >= 0).all():
        return values
    total = np.maximum(values.sum(axis=-1, keepdims=True), 0)
    falling = -np.sort(-values, axis=-1)
    excess = np.cumsum(falling, axis=-1) - total
    kept = np.arange(1, values.shape[-1] + 1)
    # The largest k for which the k-th cell stays positive; it is 0 only if the total is.
    last = np.maximum((falling - excess / kept > 0).sum(axis=-1, keepdims=True), 1)
    amount = np.take_along_axis(excess, last - 1, axis=-1) / last
    nearest: Floats = np.maximum(values - amount, 0)
    return nearest


def _curve(
    deaths: Floats, exposed: Floats, noise: NoiseLaw, share: float
) -> tuple[Floats, Floats, Floats]:
    """Return survival, effective number and reach of the noise, each ``(..., g, n)``."""
    exposed = np.maximum(exposed, _LEAST_EXPOSED)
    survival: Floats = np.cumprod(np.clip(1 - deaths / exposed, 0, 1), axis=-1, dtype=np.float64)
    survivors = np.maximum(exposed - deaths, _LEAST_EXPOSED)
    hazard_slope = deaths / (exposed * survivors)
    greenwood = np.cumsum(hazard_slope, axis=-1)  # also d log survival / d (patients at risk)

    informative = (greenwood > 0) & (survival > 0)
    variance = np.where(informative, survival * greenwood, 1)
    effective = np.where(informative, (1 - survival) / variance, exposed)

    # d log S_k / d cell: a death in j <= k, a leaver in j <= k, and any exit after k.
    death = greenwood - 1 / survivors
    leaver = greenwood - share * hazard_slope
    intervals = deaths.shape[-1]
    after = 2 * (intervals - 1 - np.arange(intervals)) + 1

    def power_sum(power: int) -> Floats:
        total: Floats = np.cumsum(death**power + leaver**power, axis=-1)
        total += after * greenwood**power
        return total

    squares = power_sum(2)
    reach = noise.reach(power_sum(4) / squares**2)
    floored: Floats = np.cumprod(np.minimum(survivors / exposed, 1), axis=-1, dtype=np.float64)
    return survival, np.maximum(effective, _LEAST_EXPOSED), floored * np.sqrt(squares) * reach
