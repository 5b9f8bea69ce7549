"""Cumulative incidence with competing causes, from noisy counts.

Aalen and Johansen (Scand. J. Stat. 5, 141-150, 1978) on the grid:

    F_c(k) = sum over j <= k of S(j-1) d_cj / exposed_j

with S the survival from all causes, as ``lifetable`` has it. Deaths of which the cause is unknown
are a cause of their own; they are not shared out. Deaths are repaired for each cause alone, so the
incidences of all causes and S add up to 1 without noise, and nearly so with it.

Intervals as for survival (``lifetable``): delta method in every noisy cell for the noise; for the
sampling, multinomial deaths among those exposed in each interval, as an effective number of
patients. With x_bj = dF_c(k) / d(d_bj / exposed_j) = [b = c] S(j-1) - (F_c(k) - F_c(j)) / (1 - h_j)
and h_j the hazard of all causes, that variance is the sum over j of
(sum_b h_bj x_bj^2 - (sum_b h_bj x_bj)^2) / exposed_j (Gaynor et al., J. Am. Stat. Assoc. 88,
400-409, 1993).
"""

from dataclasses import dataclass

import numpy as np

from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.kinds.repair import risen
from upcare_mpc.kinds.sums import noise_reach
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LEAST_EXPOSED, proportion_interval

__all__ = ["Incidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """Cumulative incidence by cause; every array is ``(..., c, n)``.

    Attributes:
        deaths: In the interval.
        incidence: Probability to have died of the cause by the end of the interval.
        dp, ci: Bounds between 0 and 1.
    """

    deaths: Floats
    incidence: Floats
    dp: tuple[Floats, Floats]
    ci: tuple[Floats, Floats]

    @classmethod
    def of(cls, exits: Exits, by_cause: Floats, noise: NoiseLaw) -> "Incidence":
        """Estimate; time and memory grow with the square of ``n``.

        Args:
            exits: ``(..., 1, 2n+1)`` noisy counts, deaths of all causes together.
            by_cause: ``(..., c, n)`` noisy deaths by cause, of which those are the sum.
            noise: Of one draw, in patients.
        """
        seen = exits.observed()
        deaths = risen(by_cause, exits.counts.sum(axis=(-2, -1)).clip(min=0)[..., None])
        causes, intervals = deaths.shape[-2:]
        exposed = np.maximum(seen.exposed, LEAST_EXPOSED)[..., None, :]
        hazards = np.minimum(deaths / exposed, 1)
        kept = np.clip(1 - seen.deaths[..., None, :] / exposed, 0, 1)  # (..., 1, n)
        survival = np.cumprod(kept, axis=-1)
        start = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
        incidence: Floats = np.minimum(np.cumsum(start * hazards, axis=-1), 1)  # (..., c, n)

        # All below: (..., c, k, j) or (..., c, b, k, j), of the cause c up to the interval k.
        so_far = np.tri(intervals, dtype=np.float64)  # j <= k
        rest = (incidence[..., :, None] - incidence[..., None, :]) / np.maximum(
            kept, 0.5 / exposed
        )[..., None, :]
        own = np.eye(causes)[:, :, None, None] * start[..., None, None, :]
        x = (own - rest[..., :, None, :, :]) * so_far
        of_cause = hazards[..., None, :, None, :]
        mean = (of_cause * x).sum(axis=-3)
        patients = exposed[..., None, :]
        sampling = (((of_cause * x**2).sum(axis=-3) - mean**2) / patients).sum(axis=-1)
        likely = incidence * (1 - incidence)
        informative = (sampling > 0) & (likely > 0)
        effective = np.where(informative, likely / np.where(informative, sampling, 1), exposed)

        by_exposed = -mean / patients
        death = x / exposed[..., None, None, :] + np.cumsum(by_exposed, axis=-1)[..., None, :, :]
        leaver = np.cumsum(by_exposed, axis=-1) - exits.share * by_exposed
        later = by_exposed.sum(axis=-1)
        squares, fourths = (
            (death**power).sum(axis=(-3, -1)) + (leaver**power).sum(axis=-1) + later**power
            for power in (2, 4)
        )
        draws = int(exits.draws[0, -1])  # behind each count of one cause, as behind the others
        error = noise_reach(noise, draws * squares, draws * fourths)
        return cls(
            deaths=deaths,
            incidence=incidence,
            dp=(np.clip(incidence - error, 0, 1), np.clip(incidence + error, 0, 1)),
            ci=proportion_interval(incidence, np.maximum(effective, LEAST_EXPOSED), error),
        )
