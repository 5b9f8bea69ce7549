"""Zero-concentrated differential privacy (zCDP) in terms of (epsilon, delta).

A ``rho``-zCDP release is ``(epsilon, delta)``-private for every epsilon > 0 with

    delta = min over alpha > 1 of e^((alpha-1)(alpha rho - epsilon)) (1 - 1/alpha)^alpha / (alpha-1)

(Canonne, Kamath and Steinke, NeurIPS 2020, corollary 13), the map of OpenDP's
``make_zCDP_to_approxDP``. The logarithm is convex in alpha, with derivative ``(2 alpha - 1) rho -
epsilon + ln(1 - 1/alpha)``, whose zero is found by bisection on a grid. Every alpha gives a valid
bound; the one found is then evaluated with each rounding to the side of more delta, and never
below 2^-1000.

Directions: delta up, epsilon up to a multiple of 2^-32, the largest admissible rho down to a
multiple of 2^-48. No float is used, so that all hosts get the same figures.
"""

from fractions import Fraction
from functools import lru_cache
from math import ceil

from upcare_mpc.privacy.exponential import exp_minus
from upcare_mpc.privacy.logarithm import ln

__all__ = ["delta_at", "epsilon_at", "largest_rho"]

_BITS = 192
_ALPHA_BITS = 40
_EPSILON_UNITS = 1 << 32
_RHO_UNITS = 1 << 48
_NEGLIGIBLE = Fraction(1, 1 << 1000)  # what smaller deltas are rounded up to
_NEGLIGIBLE_EXPONENT = 700  # e^-700 < 2^-1000


@lru_cache(maxsize=1024)
def delta_at(rho: Fraction, epsilon: Fraction) -> Fraction:
    """Return a delta such that ``rho``-zCDP implies ``(epsilon, delta)``; rounded up.

    Args:
        rho: At least 0.
        epsilon: At least 0.
    """
    if rho < 0 or epsilon < 0:
        raise ValueError(f"wanted rho and epsilon >= 0, got {rho} and {epsilon}")
    if rho == 0:
        return Fraction(0)
    alpha = _best_order(rho, epsilon)
    exponent = (alpha - 1) * (alpha * rho - epsilon + ln(1 - 1 / alpha, _BITS).high) - ln(
        alpha, _BITS
    ).low
    if exponent >= 0:
        return Fraction(1)
    if exponent <= -_NEGLIGIBLE_EXPONENT:
        return _NEGLIGIBLE
    exponent = Fraction(ceil(exponent * (1 << _BITS)), 1 << _BITS)
    return exp_minus(-exponent, _BITS + ceil(-2 * exponent)).high


@lru_cache(maxsize=1024)
def epsilon_at(rho: Fraction, delta: Fraction) -> Fraction:
    """Return the smallest epsilon, in steps of 2^-32, with ``delta_at(rho, epsilon) <= delta``."""
    if delta <= 0:
        raise ValueError(f"wanted delta > 0, got {delta}")
    bad, good = -1, _EPSILON_UNITS
    while delta_at(rho, Fraction(good, _EPSILON_UNITS)) > delta:
        bad, good = good, 2 * good
    while good - bad > 1:
        middle = (bad + good) // 2
        if delta_at(rho, Fraction(middle, _EPSILON_UNITS)) <= delta:
            good = middle
        else:
            bad = middle
    return Fraction(good, _EPSILON_UNITS)


@lru_cache(maxsize=1024)
def largest_rho(epsilon: Fraction, delta: Fraction) -> Fraction:
    """Return the largest rho, in steps of 2^-48, with ``delta_at(rho, epsilon) <= delta``.

    May be 0.
    """
    if not 0 <= delta < 1:
        raise ValueError(f"wanted 0 <= delta < 1, got {delta}")
    good, bad = 0, 1
    while delta_at(Fraction(bad, _RHO_UNITS), epsilon) <= delta:
        good, bad = bad, 2 * bad
    while bad - good > 1:
        middle = (good + bad) // 2
        if delta_at(Fraction(middle, _RHO_UNITS), epsilon) <= delta:
            good = middle
        else:
            bad = middle
    return Fraction(good, _RHO_UNITS)


def _best_order(rho: Fraction, epsilon: Fraction) -> Fraction:
    """Return the alpha of least delta on a grid, as a multiple of 2^-40 above 1.

    At ``(epsilon + 1) / (2 rho) + 2`` the derivative is positive: ``ln(1 - 1/alpha) > -1``.
    """
    low, high = (1 << _ALPHA_BITS) + 1, ceil(((epsilon + 1) / (2 * rho) + 2) * (1 << _ALPHA_BITS))
    while high - low > 1 + (low >> 36):
        middle = (low + high) // 2
        alpha = Fraction(middle, 1 << _ALPHA_BITS)
        if (2 * alpha - 1) * rho - epsilon + ln(1 - 1 / alpha, 96).low < 0:
            low = middle
        else:
            high = middle
    return Fraction(low, 1 << _ALPHA_BITS)
