"""Mean, standard deviation and correlation from noisy sums, with intervals that know the noise.

Letters: ``N`` patients, ``S`` sum, ``Q`` squares, ``C`` products, all in units from the middle of
the bounds (``means.Bounded``) and noisy; ``m = S / N``. All are linear in the cells, so nothing is
repaired first.

1. Mean: ``m``. Its interval holds every mu with ``|S - mu N| <= q sd(S - mu N)`` (Fieller, Suppl.
   J. R. Stat. Soc. 7, 1-64, 1940), since the count is noisy too.
2. Variance: ``V = (Q / N - m^2) N / (N - 1)``, less ``(unit^2 - 1) / 12`` for the rounding to units
   (Sheppard, Proc. London Math. Soc. 29, 353-380, 1898; here for whole numbers). Noise by the delta
   method; sampling variance ``2 V^2 / (N - 1)``, which is that of a normal variable. A standard
   deviation whose variance the noise could have made is not kept back, since those that noise has
   made large would be left: its intervals begin at 0 and end where noise carries ``max(V, 0)``.
3. Correlation: covariance over both standard deviations. Its interval holds every rho that is no
   further from ``r`` than noise (delta method) and patients would carry it if rho were true; the
   sampling variance is ``(1 - rho^2)^2 / (N - 1)``, that of two normal variables.

``q sd`` is how far noise and normal sampling reach together (``sums.reach``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.kinds.sums import reach_of

__all__ = ["Estimates", "Noisy", "correlation", "mean", "standard_deviation", "variance"]

_NOTHING: Final = 1e-9  # a variance in squared units, of rounding errors of floats
_ROUNDS: Final = 20  # to where a bound and the error at it agree


@dataclass(frozen=True, slots=True)
class Noisy:
    """Sums of a table, ``(...)``, and the variance of the noise in each."""

    value: Floats
    variance: float


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates with their intervals; all arrays alike.

    What is not ``known`` means nothing. Of variances, those ``drowned`` are not known, but have an
    upper bound.
    """

    value: Floats
    dp_low: Floats
    dp_high: Floats
    ci_low: Floats
    ci_high: Floats
    known: npt.NDArray[np.bool_]
    drowned: npt.NDArray[np.bool_] | None = None

    def each(self, function: Callable[[Floats], Floats]) -> "Estimates":
        """The same function, which has to rise, of the estimates and their bounds."""
        return Estimates(
            function(self.value),
            function(self.dp_low),
            function(self.dp_high),
            function(self.ci_low),
            function(self.ci_high),
            self.known,
            self.drowned,
        )


def mean(count: Noisy, total: Noisy, spread: Floats, noise: NoiseLaw) -> Estimates:
    """Estimate the mean.

    Args:
        count: Patients.
        total: Their sum.
        spread: Variance among patients, not negative; for ``ci`` alone.
        noise: The law of a draw.
    """
    n, s = count.value, total.value
    known = n > 0
    m = np.divide(s, n, out=np.zeros_like(s), where=known)

    def interval(sampling: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        """The roots of (s - mu n)^2 = q^2 (variance of s + mu^2 variance of n + sampling)."""
        variances = (np.full_like(m, total.variance), m**2 * count.variance)
        all_variance = np.maximum(sum(variances) + sampling, np.finfo(float).tiny)
        q2 = reach_of(noise, variances, sampling) ** 2 / all_variance
        leading = n**2 - q2 * count.variance  # not positive: mu may be anything
        leading_or_one = np.where(leading > 0, leading, 1)
        constant = s**2 - q2 * (total.variance + sampling)
        root = np.sqrt(np.maximum((s * n) ** 2 - leading * constant, 0))
        return (s * n - root) / leading_or_one, (s * n + root) / leading_or_one, leading > 0

    dp_low, dp_high, dp_known = interval(np.zeros_like(m))
    ci_low, ci_high, ci_known = interval(np.maximum(n, 0) * spread)
    return Estimates(m, dp_low, dp_high, ci_low, ci_high, known & dp_known & ci_known)


def variance(
    count: Noisy, total: Noisy, squares: Noisy, noise: NoiseLaw, *, rounding: float
) -> Estimates:
    """Estimate the variance among patients; it may come out negative.

    It is known if it is more than the reach of its noise, and at least thrice what rounding adds,
    from where on the correction for rounding holds. It is drowned if it is not known, but noise may
    have taken so much from it.

    Args:
        count: Patients.
        total: Their sum.
        squares: Their sum of squares.
        noise: The law of a draw.
        rounding: What rounding to units adds to the variance.
    """
    n = np.maximum(count.value, 2)
    m, raw = total.value / n, squares.value / n - (total.value / n) ** 2
    value = raw * n / (n - 1) - rounding
    value = np.where(abs(value) < _NOTHING, 0, value)
    variances = (
        np.full_like(n, squares.variance) / n**2,
        (2 * m / n) ** 2 * total.variance,
        ((raw - m**2) / n) ** 2 * count.variance,
    )
    dp = reach_of(noise, variances, 0.0)
    ci = reach_of(noise, variances, 2 * value**2 / (n - 1))
    known = (count.value >= 2) & (value >= np.maximum(dp, 3 * rounding))
    drowned = (count.value >= 2) & ~known & (np.maximum(value, 0) + dp >= 3 * rounding)
    return Estimates(value, value - dp, value + dp, value - ci, value + ci, known, drowned)


def standard_deviation(variances: Estimates) -> Estimates:
    """The root of a variance and of its bounds; from 0 on if the variance is drowned."""
    value, drowned = np.maximum(variances.value, 0), variances.drowned
    if drowned is None:
        drowned = np.zeros_like(variances.known)
    more = value - variances.value
    return Estimates(
        value,
        np.where(drowned, 0, variances.dp_low),
        variances.dp_high + more,
        np.where(drowned, 0, variances.ci_low),
        variances.ci_high + more,
        variances.known | drowned,
        drowned,
    ).each(lambda values: np.sqrt(np.maximum(values, 0)))


def correlation(
    count: Noisy,
    totals: tuple[Noisy, Noisy],
    squares: tuple[Noisy, Noisy],
    products: Noisy,
    noise: NoiseLaw,
    *,
    roundings: tuple[float, float],
) -> Estimates:
    """Estimate the correlation of two variables.

    Args:
        count: Patients.
        totals: Their sum, of both.
        squares: Their sum of squares.
        products: Their sum of products.
        noise: The law of a draw.
        roundings: As for ``variance``.
    """
    n = np.maximum(count.value, 4)
    means = [total.value / n for total in totals]
    raws = [square.value / n - m**2 for square, m in zip(squares, means, strict=True)]
    spreads = [
        variance(count, t, q, noise, rounding=rounding)
        for t, q, rounding in zip(totals, squares, roundings, strict=True)
    ]
    known = (count.value >= 4) & spreads[0].known & spreads[1].known
    known &= (spreads[0].value > 0) & (spreads[1].value > 0)
    x, y = (np.where(known, spread.value, 1) * (n - 1) / n for spread in spreads)
    covariance = products.value / n - means[0] * means[1]
    scale = np.sqrt(x * y)
    r = covariance / scale
    known &= abs(r) < 1

    def moved(rho: Floats, sampling: float) -> Floats:
        """How far r strays if rho is true: d covariance / scale - rho / 2 (d x / x + d y / y)."""
        by_count = means[0] * means[1] / scale - rho
        by_count += rho / 2 * ((raws[0] - means[0] ** 2) / x + (raws[1] - means[1] ** 2) / y)
        variances = [
            (1 / (n * scale)) ** 2 * products.variance,
            (by_count / n) ** 2 * count.variance,
        ]
        for number, own in enumerate((x, y)):
            by_total = rho * means[number] / own - means[1 - number] / scale
            variances.append((by_total / n) ** 2 * totals[number].variance)
            variances.append((rho / (2 * own * n)) ** 2 * squares[number].variance)
        chance = np.asarray(sampling * (1 - rho**2) ** 2 / (n - 1))
        return reach_of(noise, variances, chance)

    def bound(side: int, sampling: float) -> Floats:
        rho: Floats = r
        for _ in range(_ROUNDS):
            rho = np.clip(r + side * moved(rho, sampling), -1, 1)
        return rho

    return Estimates(r, bound(-1, 0), bound(1, 0), bound(-1, 1), bound(1, 1), known)
