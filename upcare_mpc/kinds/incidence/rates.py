"""Rates and ratios from noisy cases and noisy person-years, with intervals that know the noise.

Every figure is a sum ``Y = sum k_a d_a`` over age groups of the noisy cases ``d_a``, with ``k_a`` a
function of the person-years. It is linear in the noise on the cases, so it is not biased by it, and
nothing is repaired or clipped before. The person-years carry noise too, of a few people among
thousands; it enters the intervals by the delta method.

Intervals. Noise alone: ``Y`` plus or minus the reach of the noise. Cases and noise: the values
``mu`` for which ``(Y - mu)^2 <= z^2 kappa mu + reach^2``: the score interval of a Poisson count,
with ``kappa = sum k^2 d / sum k d`` to fit a weighted sum, widened by the noise. It takes its
variance at the value that it tests, so it holds for few cases too. The gamma interval of Fay and
Feuer (Stat. Med. 16, 791-801, 1997), which scales exact Poisson limits by the same ``kappa``, has
no place for noise or for a negative sum. ``kappa`` is taken from repaired cases, with one case
more that is spread as the person-years are.
"""

from dataclasses import dataclass

import numpy as np

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw
from upcare_mpc.kinds.repair import repaired

__all__ = ["Figures", "crude", "enough", "exact", "indirect", "internal", "standardised"]

_ENOUGH_SD = 15.0  # of the noise; it reaches further less than once in 10^8 cells
_ENOUGH_PEOPLE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Estimates with intervals; all arrays of one shape.

    Attributes:
        estimate: Not biased by the noise; can be negative.
        dp_low, dp_high: Where the noiseless estimate lies, 19 times in 20 over the noise.
        ci_low, ci_high: Where the value in the population lies, over cases and noise.
    """

    estimate: Floats
    dp_low: Floats
    dp_high: Floats
    ci_low: Floats
    ci_high: Floats


def enough(people: Floats, noise: NoiseLaw) -> "np.typing.NDArray[np.bool_]":
    """Say where person-years stand out from the noise; elsewhere nobody may live."""
    return people > max(_ENOUGH_PEOPLE, _ENOUGH_SD * noise.sd)


def standardised(
    cases: Floats, people: Floats, weights: Floats, noise: NoiseLaw, people_noise: NoiseLaw
) -> Figures:
    """Directly standardised rates per person-year: ``sum w_a d_a / p_a / sum w_a``.

    Args:
        cases: ``(..., a)`` noisy cases by age group.
        people: ``(..., a)`` noisy person-years, ``enough`` wherever the weight is not 0.
        weights: ``(a,)`` of the standard population. With one age group: its own rate.
        noise: Of the cases.
        people_noise: Of the person-years.

    Returns:
        Figures of the shape ``(...)``. Without noise, the variance that the interval stands on is
        ``sum w^2 d / p^2`` at the estimate.
    """
    shares = weights / weights.sum()
    factor = np.divide(shares, people, out=np.zeros(people.shape), where=shares > 0)
    slope = np.divide(factor * cases, people, out=np.zeros(people.shape), where=shares > 0)
    return _figures(cases, factor, slope, _spread(factor, people, cases), noise, people_noise)


def crude(cases: Floats, people: Floats, noise: NoiseLaw, people_noise: NoiseLaw) -> Figures:
    """Crude rates per person-year: all cases over all person-years.

    Age groups of 0 person-years, where nobody lives, are left out.
    """
    return indirect(cases, people, np.ones(people.shape), noise, people_noise)


def indirect(
    cases: Floats, people: Floats, rates: Floats, noise: NoiseLaw, people_noise: NoiseLaw
) -> Figures:
    """Standardised incidence ratios ``sum d_a / sum p_a R_a`` against known rates.

    Args:
        cases: ``(..., a)``.
        people: ``(..., a)``; 0 where nobody lives, and some somewhere.
        rates: ``(..., a)`` per person-year; the expected cases are positive.
        noise: Of the cases.
        people_noise: Of the person-years.
    """
    factor = (people > 0) / (people * rates).sum(axis=-1, keepdims=True)
    total = (factor * cases).sum(axis=-1, keepdims=True)
    slope = total * factor * rates
    return _figures(cases, factor, slope, factor.max(axis=-1), noise, people_noise)


def internal(
    cases: Floats, people: Floats, noise: NoiseLaw, people_noise: NoiseLaw
) -> tuple[Figures, Floats]:
    """Standardised incidence ratios of strata against all of them together.

    The rates of all are computed from the same noisy cases; the interval counts that noise, and
    takes these rates for known otherwise, as is usual.

    Args:
        cases: ``(..., g, a)``: the strata of a group, by age.
        people: ``(..., g, a)``; 0 where nobody lives.
        noise: Of the cases.
        people_noise: Of the person-years.

    Returns:
        Figures and expected cases, of the shape ``(..., g)``. Where no positive number of cases is
        expected, the figures mean nothing.
    """
    here = people > 0
    counted = np.where(here, cases, 0)
    everybody = np.where(here.any(axis=-2, keepdims=True), people.sum(-2, keepdims=True), 1)
    rates = counted.sum(axis=-2, keepdims=True) / everybody
    expected = (people * rates).sum(axis=-1, keepdims=True)
    safe = np.where(expected > 0, expected, 1)
    total = counted.sum(axis=-1, keepdims=True)
    # How a ratio follows a case of its own stratum, and, the other way, one of any stratum.
    own, shared = here / safe, total / safe**2 * people / everybody
    others = here.sum(axis=-2, keepdims=True) - here
    squares = ((own - shared * here) ** 2 + others * shared**2).sum(axis=-1)
    fourths = ((own - shared * here) ** 4 + others * shared**4).sum(axis=-1)
    concentration = np.divide(fourths, squares**2, out=np.ones(squares.shape), where=squares > 0)
    drift = people_noise.variance * ((total * rates / safe**2 * here) ** 2).sum(axis=-1)
    reach = np.hypot(squares**0.5 * noise.reach(concentration), Z95 * drift**0.5)
    alone = np.hypot(squares**0.5 * noise.farthest(concentration), Z95 * drift**0.5)
    return _around((total / safe)[..., 0], 1 / safe[..., 0], reach, alone), expected[..., 0]


def exact(cases: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Return the exact 95 % limits of ``cases / expected`` (Garwood 1936), if there is no noise."""
    from scipy import stats  # noqa: PLC0415  nodes never finish

    few = np.maximum(cases, 0.5)  # of none the lower limit is 0
    low = np.where(cases > 0, stats.chi2.ppf(0.025, 2 * few) / 2, 0)
    return low / expected, stats.chi2.ppf(0.975, 2 * cases + 2) / 2 / expected


def _spread(factor: Floats, people: Floats, cases: Floats) -> Floats:
    """The variance of a weighted sum of cases, as a multiple of its mean."""
    living = np.maximum(people, 0)
    likely = repaired(cases) + living / np.maximum(living.sum(axis=-1, keepdims=True), 1e-9)
    first, second = (factor * likely).sum(axis=-1), (factor**2 * likely).sum(axis=-1)
    spread: Floats = np.divide(second, first, out=np.zeros(first.shape), where=first > 0)
    return spread


def _figures(
    cases: Floats,
    factor: Floats,
    slope: Floats,
    spread: Floats,
    noise: NoiseLaw,
    people_noise: NoiseLaw,
) -> Figures:
    """Intervals of ``sum factor * cases``, whose derivative by person-years is ``-slope``."""
    squares, fourths = (factor**2).sum(axis=-1), (factor**4).sum(axis=-1)
    concentration = np.divide(fourths, squares**2, out=np.ones(squares.shape), where=squares > 0)
    drift = people_noise.variance * (slope**2).sum(axis=-1)
    reach = np.hypot(squares**0.5 * noise.reach(concentration), Z95 * drift**0.5)
    alone = np.hypot(squares**0.5 * noise.farthest(concentration), Z95 * drift**0.5)
    return _around((factor * cases).sum(axis=-1), spread, reach, alone)


def _around(estimate: Floats, spread: Floats, reach: Floats, alone: Floats) -> Figures:
    """Both intervals, from the reach of the noise beside sampling, and alone."""
    middle = estimate + Z95**2 * spread / 2
    inside = Z95**2 * spread * estimate + (Z95**2 * spread / 2) ** 2 + reach**2
    half = np.maximum(inside, 0) ** 0.5
    none = Z95**2 * spread  # the upper limit if it were known that there is no case
    return Figures(
        estimate=estimate,
        dp_low=np.maximum(estimate - alone, 0),
        dp_high=np.maximum(estimate + alone, 0),
        ci_low=np.maximum(middle - half, 0),
        ci_high=np.maximum(middle + half, none),
    )
