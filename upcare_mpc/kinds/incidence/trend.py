"""The annual percentage change of incidence, from noisy cases by year and age.

Model: Poisson regression of the cases with a level for each age group and one slope over the years,
``E d_ya = p_ya exp(alpha_a + beta t_y)``; APC is ``100 (e^beta - 1)``. The levels drop out: with
``m_a`` the mean year of age group a, weighted by ``p_ya e^(beta t)``, beta solves

    U(beta) = sum_a sum_y (t_y - m_a) d_ya = 0

which without noise is the maximum-likelihood estimate of the generalised linear model with age as
a factor. U is linear in the cases, so the noise does not bias the equation, and negative noisy
cells do no harm. Its variance is the information ``I = sum_a D_a Var_a(t)`` from the cases plus
``sum (t - m_a)^2`` of the noise; that of beta is this over ``I^2``. Intervals are normal on the
scale of beta.

Limits: the cases vary as Poisson counts around a straight line in the logarithm. Where years
differ by more than that, the interval is too short.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.incidence.rates import enough
from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw

__all__ = ["Trend", "trend"]

_STEPS: Final = 60
_STEEPEST: Final = 1.0  # of beta: incidence that grows by more than 172 % a year
_CLEAR: Final = 5.0  # standard errors of the noise by which the information has to stand out


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Annual percentage changes; all arrays of one shape.

    Attributes:
        estimate: In percent a year.
        dp_low, dp_high: Where the noiseless estimate lies, 19 times in 20 over the noise.
        ci_low, ci_high: Where the value in the population lies, over cases and noise.
        standard_error: Of beta, over cases and noise.
        found: Whether there is an estimate; the rest means nothing where not.
    """

    estimate: Floats
    dp_low: Floats
    dp_high: Floats
    ci_low: Floats
    ci_high: Floats
    standard_error: Floats
    found: npt.NDArray[np.bool_]


def trend(cases: Floats, people: Floats, noise: NoiseLaw, people_noise: NoiseLaw) -> Trend:
    """Estimate the change from one year to the next.

    Args:
        cases: ``(..., y, a)`` noisy cases of consecutive years by age group.
        people: ``(..., y, a)`` noisy person-years; cells without ``enough`` are left out.
        noise: Of the cases.
        people_noise: Of the person-years.
    """
    years = np.arange(cases.shape[-2], dtype=np.float64)[:, None]
    years -= years.mean()
    here = enough(people, people_noise)
    living = np.where(here, people, 0)
    counted = np.where(here, cases, 0)
    by_age = counted.sum(axis=-2, keepdims=True)
    beta = np.zeros(cases.shape[:-2])
    for _ in range(_STEPS):
        away, share = _away(beta, years, living)
        score = (counted * away).sum(axis=(-2, -1))
        information = (by_age * share * away**2).sum(axis=(-2, -1))
        step = np.divide(score, information, out=np.zeros(beta.shape), where=information > 0)
        beta = np.clip(beta + np.clip(step, -0.3, 0.3), -_STEEPEST, _STEEPEST)
    away, share = _away(beta, years, living)
    weights = np.where(here, away, 0)
    information = (by_age * share * away**2).sum(axis=(-2, -1))
    unsure = (noise.variance * (here * (share * away**2).sum(-2, keepdims=True) ** 2)).sum((-2, -1))
    settled = abs((counted * weights).sum(axis=(-2, -1))) <= 1e-6 * np.maximum(information, 1e-9)
    found = settled & (information > _CLEAR * unsure**0.5) & (abs(beta) < _STEEPEST)
    safe = np.where(found, information, 1)

    squares, fourths = (weights**2).sum(axis=(-2, -1)), (weights**4).sum(axis=(-2, -1))
    concentration = np.divide(fourths, squares**2, out=np.ones(squares.shape), where=squares > 0)
    per_person = np.divide(share, living, out=np.zeros(living.shape), where=here)
    drift = people_noise.variance * ((by_age * per_person * away) ** 2).sum(axis=(-2, -1))
    reach = np.hypot(squares**0.5 * noise.reach(concentration), Z95 * drift**0.5)
    half = np.hypot(Z95 * safe**0.5, reach) / safe
    return Trend(
        estimate=_percent(beta),
        dp_low=_percent(beta - reach / safe),
        dp_high=_percent(beta + reach / safe),
        ci_low=_percent(beta - half),
        ci_high=_percent(beta + half),
        standard_error=(safe + noise.variance * squares + drift) ** 0.5 / safe,
        found=found,
    )


def _away(beta: Floats, years: Floats, living: Floats) -> tuple[Floats, Floats]:
    """How far each year is from the mean of its age group, and its share in that mean."""
    grown = living * np.exp(beta[..., None, None] * years)
    total = grown.sum(axis=-2, keepdims=True)
    share = np.divide(grown, total, out=np.zeros(grown.shape), where=total > 0)
    away: Floats = years - (share * years).sum(axis=-2, keepdims=True)
    return away, share


def _percent(beta: Floats) -> Floats:
    changed: Floats = 100 * np.expm1(np.clip(beta, -50, 50))
    return changed
