"""A life table from noisy counts, with intervals that know the noise.

Letters: ``g`` arms, ``n`` intervals. Counts are repaired and added up by ``followup``.

1. Curve. ``survival = prod(1 - deaths / exposed)``.
2. Noise. By the delta method: the derivative of log survival in every noisy cell, of which a
   curve at interval k has 2n+1, times the variance of one draw.
3. Sampling. Greenwood's variance, as an effective number of patients (Rothman, J. Chronic Dis.
   31, 557-560, 1978).
4. Intervals. ``dp``: estimate +- reach of the noise. ``ci``: all p for which the distance from the
   estimate is within 1.96 standard errors, both variances added, the sampling one taken at p:
   ``(s - p)^2 = z^2 (p (1-p) / effective + noise variance)``. Without noise this is Wilson's
   interval at the effective number, which behaves near 0 and 1.

Measured coverage: see ``tests/kinds/survival/test_lifetable.py``, which simulates it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw
from upcare_mpc.kinds.sums import noise_reach
from upcare_mpc.kinds.survival.followup import Exits

__all__ = ["LEAST_EXPOSED", "LifeTable", "proportion_interval"]

LEAST_EXPOSED: Final = 0.5  # below half a patient a fraction says nothing


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
    def of(cls, exits: Exits, noise: NoiseLaw) -> "LifeTable":
        """Estimate from noisy counts, in patients, and the noise of one draw in that unit."""
        seen = exits.observed()
        exposed = np.maximum(seen.exposed, LEAST_EXPOSED)
        survivors = np.maximum(exposed - seen.deaths, LEAST_EXPOSED)
        kept = np.clip(1 - seen.deaths / exposed, 0, 1)
        survival: Floats = np.cumprod(kept, axis=-1, dtype=np.float64)
        hazard_slope = seen.deaths / (exposed * survivors)
        greenwood = np.cumsum(hazard_slope, axis=-1)  # also d log survival / d (patients at risk)

        informative = (greenwood > 0) & (survival > 0)
        variance = np.where(informative, survival * greenwood, 1)
        effective = np.where(informative, (1 - survival) / variance, exposed)

        squares, fourths = (
            exits.curve_power_sums(power, by_exposed=hazard_slope, by_deaths=-1 / survivors)
            for power in (2, 4)
        )
        floored: Floats = np.cumprod(np.minimum(survivors / exposed, 1), axis=-1, dtype=np.float64)
        return cls(
            at_risk=seen.at_risk,
            deaths=seen.deaths,
            exposed=seen.exposed,
            survival=survival,
            effective=np.maximum(effective, LEAST_EXPOSED),
            noise_error=floored * noise_reach(noise, squares, fourths),
        )

    @property
    def estimable(self) -> npt.NDArray[np.bool_]:
        """Whether anybody is left at risk."""
        return self.at_risk >= LEAST_EXPOSED

    def dp_interval(self) -> tuple[Floats, Floats]:
        """Where the noiseless estimate lies, 19 times in 20 over the noise."""
        low, high = self.survival - self.noise_error, self.survival + self.noise_error
        return np.clip(low, 0, 1), np.clip(high, 0, 1)

    def ci_interval(self) -> tuple[Floats, Floats]:
        """Where the survival in the population lies, 19 times in 20 over patients and noise."""
        return proportion_interval(self.survival, self.effective, self.noise_error)


def proportion_interval(
    estimate: Floats, effective: Floats, noise_error: Floats
) -> tuple[Floats, Floats]:
    """Wilson's interval of a proportion, widened by the noise; 4 in the module's text."""
    # (1 + w) p^2 - (2 s + w) p + s^2 - e^2 = 0, w = z^2 / effective, e = reach of the noise
    width = Z95**2 / effective
    middle = 2 * estimate + width
    constant = estimate**2 - noise_error**2
    root = np.sqrt(np.maximum(middle**2 - 4 * (1 + width) * constant, 0))
    low, high = (middle - root) / (2 * (1 + width)), (middle + root) / (2 * (1 + width))
    return np.clip(low, 0, estimate), np.clip(high, estimate, 1)
