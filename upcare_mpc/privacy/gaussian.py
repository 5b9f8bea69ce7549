"""The exact law of the discrete Gaussian noise that the registries draw together.

The ideal law (Canonne, Kamath and Steinke, NeurIPS 2020) is ``P*(k) ~ g(k) = e^(-k^2/(2 sigma^2))``
on the integers. The protocol draws the magnitude digit by digit from the top, and then a sign:

    |X| = sum over i < K of 2^i d_i,       d_i = [u_i < T_i(d_{K-1} .. d_{i+1})],

with a fresh uniform word ``u_i`` of ``lam`` bits (``precision``) that nobody knows, and a public
table of thresholds for each digit, chosen by the digits above it. The coins are those of the
FOLDED law (0 counts once, ``k`` and ``-k`` together), so that a uniform sign makes ``X`` symmetric
and the sign of 0 does not matter. This law differs from the ideal one in two ways, and this
module computes with the law that results:

* ``|X| <= R = 2^K - 1``;
* each coin is rounded UP to a multiple of ``2^-lam``. Every step away from 0 passes through coins
  that are 1, and these are never too rare. A coin that is 0 has ideal probability 1/3 or more (the
  worst: ``|X| = 0`` against ``|X| = 1`` at large sigma) and loses at most ``3 * 2^-lam`` of it.
  Rounded down, the outermost coins would become 0, and with them every value beyond.

**Guarantee.** Move a cell by ``s > 0``. Let ``I = [s - R, R]`` be what both data sets can produce,
``A`` the ideal law conditioned on ``I``, and ``B`` the moved ideal law conditioned on ``I``.

1. *Conditioning costs no rho:* ``D_alpha(A || B) <= alpha rho`` for all ``alpha > 1``, with
   ``rho = s^2 / (2 sigma^2)``; likewise with A and B exchanged, as they are mirror images about
   ``s/2``. Proof: completing the square, ``(alpha - 1) (D_alpha - rho) = ln E_A[e^(-tX)]`` with
   ``t = (alpha - 1) s / sigma^2 > 0``. If ``s > R``, ``I`` is positive, and that is below 0. Else
   ``I`` has both signs of the magnitudes up to ``R - s``, and of those above, up to ``R``, the
   positive one, for which ``e^(-tX) <= 1``. So ``E_A[e^(-tX)] <= E_A[cosh(tX)]``. Relative to the
   folded law, A gives magnitudes the weights 1, 1/2, 0, which fall, while cosh rises, so this is
   at most ``E*[cosh(tX)] = E*[e^(tX)] <= e^(t^2 sigma^2 / 2)``, the discrete Gaussian being
   subgaussian (Canonne et al.). As ``t^2 sigma^2 / 2 = (alpha - 1)^2 rho``, we have ``D_alpha <=
   rho + (alpha - 1) rho = alpha rho``.
2. *The law contains A:* with ``1 - delta = min over |k| <= R of P(k)/A(k)``, ``P = (1 - delta) A +
   delta (rest)``; the moved law contains B in the same way, with the same delta by symmetry.

So the cell is delta-approximate rho-zCDP (Bun and Steinke, TCC 2016, definition 8.1): the ideal
rho, and next to it a delta that no ``e^epsilon`` multiplies. Independent cells add both. For cells
moved by ``s_1 .. s_n``, ``rho = sum s_j^2 / (2 sigma^2)``, OpenDP's map of ``make_gaussian``.

No float is used, so that all hosts get the same tables, and the same digest of them.

Limits: sigma from 1/50; tables of at most 4095 thresholds, so ``K <= 12`` and sigma up to about
550; coins of at most 63 bits; cells moved by at most 50 sigma.

No study can ask for this law yet; ``upcare bench noise --mechanism gaussian`` draws it.
"""

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.bell import bell, bits_for, digit_coins
from upcare_mpc.privacy.spread import worst_spread
from upcare_mpc.study.layout import Sensitivity

__all__ = [
    "MAX_DIGITS",
    "MAX_PRECISION",
    "MIN_SIGMA",
    "TARGET_DELTA",
    "SampledGaussian",
    "gaussian_delta",
    "rounded_gaussian",
    "sample_gaussian",
    "squared_sensitivity",
]

MIN_SIGMA = Fraction(1, 50)
MAX_DIGITS = 12
MIN_PRECISION = 40  # no coin is further than 2^-40 from the ideal one
MAX_PRECISION = 63
MAX_STEPS = 50  # sigmas by which one patient may move one cell of the pooled vector
TARGET_DELTA = Fraction(1, 2**40)

_DIGEST_TAG = b"upcare/law/discrete-gaussian-by-digits/v1\n"
_GUARD_BITS = 64


@dataclass(frozen=True, kw_only=True)
class SampledGaussian:
    """The law of one noise value as the protocol draws it; everything about it is public.

    Attributes:
        sigma_squared: Variance parameter ``sigma^2`` of the ideal law.
        precision: Bits ``lam`` of the uniform word behind each coin.
        magnitude_bits: Binary digits ``K`` of ``|X|``.
        tables: Thresholds in the order of drawing: ``tables[j]`` is for the digit of weight
            ``2^(K-1-j)``, and ``tables[j][h]`` for higher digits that read ``h`` in binary, so it
            has ``2^j`` entries. A coin is 1 with probability ``T / 2^precision``.
    """

    sigma_squared: Fraction
    precision: int
    magnitude_bits: int
    tables: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Check the parameters against each other."""
        _check_sigma(self.sigma_squared)
        if not 1 <= self.precision <= MAX_PRECISION:
            raise PrivacyError(f"coins have 1 to {MAX_PRECISION} bits, got {self.precision}")
        if not 1 <= self.magnitude_bits <= MAX_DIGITS:
            raise PrivacyError(f"tables are for 1 to {MAX_DIGITS} digits: {self.magnitude_bits}")
        sizes = [len(table) for table in self.tables]
        if sizes != [1 << j for j in range(self.magnitude_bits)]:
            raise PrivacyError(f"{self.magnitude_bits} digits need tables of 1, 2, 4, ..: {sizes}")
        if not all(0 <= t < 2**self.precision for table in self.tables for t in table):
            raise PrivacyError(f"thresholds lie in [0, 2^{self.precision})")

    @property
    def support(self) -> int:
        """Largest absolute value that can be drawn, ``R = 2^K - 1``."""
        return (1 << self.magnitude_bits) - 1

    @property
    def entries(self) -> int:
        """Number of thresholds in all tables."""
        return self.support

    def pmf(self, k: int) -> Fraction:
        """Return ``P(X = k)``, exactly."""
        if abs(k) > self.support:
            return Fraction(0)
        return Fraction(self.masses[self.support + k], self.mass_unit)

    def within(self, k: int) -> Fraction:
        """Return ``P(|X| <= k)``, exactly."""
        if k < 0:
            return Fraction(0)
        return Fraction(self._below[min(k, self.support) + 1], self.mass_unit // 2)

    def error(self, probability: Fraction) -> int:
        """Return the smallest ``k`` with ``P(|X| <= k) >= probability``."""
        return bisect_left(range(self.support), probability, key=self.within)

    @cached_property
    def variance(self) -> Fraction:
        """Variance of ``X``, exactly; slightly more or less than ``sigma_squared``."""
        second = sum(m * m * mass for m, mass in enumerate(self._folded))
        return Fraction(second, self.mass_unit // 2)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the parameters; compared by the registries before they draw."""
        tables = ";".join(",".join(map(str, table)) for table in self.tables)
        text = (
            f"sigma_squared={self.sigma_squared.numerator}/{self.sigma_squared.denominator}\n"
            f"precision={self.precision}\n"
            f"magnitude_bits={self.magnitude_bits}\n"
            f"tables={tables}\n"
        )
        return hashlib.sha256(_DIGEST_TAG + text.encode("ascii")).digest()

    @property
    def mass_unit(self) -> int:
        """What ``masses`` sum to: ``2^(lam K + 1)``."""
        return 2 << (self.precision * self.magnitude_bits)

    @cached_property
    def masses(self) -> tuple[int, ...]:
        """Probabilities of ``-R .. R`` in units of ``1 / mass_unit``."""
        zero, *outward = self._folded
        return (*reversed(outward), 2 * zero, *outward)

    def delta(self, shift: int) -> Fraction:
        """Return the delta next to ``rho = shift^2 / (2 sigma^2)`` of one cell moved by ``shift``.

        The module's argument, evaluated: ``1 - G * min P(k)/g(k)`` with ``G`` the sum of ``g``
        over the values that both data sets can produce. Rounded up, by less than ``2^-100``.
        """
        shift, top = abs(shift), self.support
        if shift == 0:
            return Fraction(0)
        mass, ratio, unit = self._contained
        if shift <= top:
            common = mass[top + 1] + mass[top + 1 - shift]
        else:
            common = max(0, mass[top + 1] - mass[min(shift - top, top + 1)])
        return Fraction(max(0, 2 * unit - common * ratio), 2 * unit)

    @cached_property
    def _folded(self) -> tuple[int, ...]:
        """Probabilities of ``|X| = 0 .. R`` in units of ``2^-(lam K)``."""
        one = 1 << self.precision
        masses = [1]
        for table in self.tables:
            masses = [
                part
                for mass, threshold in zip(masses, table, strict=True)
                for part in (mass * (one - threshold), mass * threshold)
            ]
        return tuple(masses)

    @cached_property
    def _below(self) -> tuple[int, ...]:
        """``P(|X| < m)`` for ``m = 0 .. R + 1``, in the same units."""
        return (0, *accumulate(self._folded))

    @cached_property
    def _contained(self) -> tuple[tuple[int, ...], int, int]:
        """Lower sums of ``g`` by magnitude, the least ``P/g`` rounded down, and their unit.

        ``mass[m]`` is the sum of ``g`` over ``|k| < m`` in some unit and ``ratio`` is ``P/g`` in
        another; the unit returned is the product of the two.
        """
        bits = bits_for(self.sigma_squared, self.support, 2 * _GUARD_BITS)
        curve = bell(self.sigma_squared, self.support, bits)
        extra = bits + 2 * _GUARD_BITS
        weights = (1, *(2 for _ in range(self.support)))
        ratio = min(
            (mass << extra) // (weight * high)
            for mass, weight, high in zip(self._folded, weights, curve.high, strict=True)
        )
        sums = accumulate(weight * low for weight, low in zip(weights, curve.low, strict=True))
        return (0, *sums), ratio, 1 << (extra + self.precision * self.magnitude_bits)


def rounded_gaussian(
    sigma_squared: Fraction, precision: int, magnitude_bits: int
) -> SampledGaussian:
    """Build the law of a given size, each threshold rounded up.

    The curve is enclosed until both ends of the enclosure have the same thresholds, which are
    therefore the same integers on every host.
    """
    _check_sigma(sigma_squared)
    top = (1 << magnitude_bits) - 1
    bits = bits_for(sigma_squared, top, precision + _GUARD_BITS)
    while True:
        curve = bell(sigma_squared, top, bits)
        coins = list(digit_coins(curve, magnitude_bits, precision))
        if all(lows == highs for lows, highs in coins):
            return SampledGaussian(
                sigma_squared=sigma_squared,
                precision=precision,
                magnitude_bits=magnitude_bits,
                tables=tuple(tuple(highs) for _, highs in coins),
            )
        bits *= 2


def sample_gaussian(
    sigma_squared: Fraction, sensitivity: Sensitivity, *, target: Fraction = TARGET_DELTA
) -> SampledGaussian:
    """Choose the cheapest law whose whole release stays within ``target``.

    Args:
        sigma_squared: Variance parameter of the ideal law.
        sensitivity: What one patient can change in the POOLED vector, so with the number of
            registries that may know her already in it (``Sensitivity.times(overlap)``).
        target: Largest delta of the release, next to its rho.

    Returns:
        The law with the fewest digits that the finest coins can make good, with three quarters
        of ``target`` left to truncation, and for them the fewest bits a coin.

    Raises:
        PrivacyError: Sigma or sensitivity is out of range.
    """
    _check_sigma(sigma_squared)
    if sensitivity.dinf**2 > MAX_STEPS**2 * sigma_squared:
        raise PrivacyError(
            f"one patient may move a cell by at most {MAX_STEPS} sigma, "
            f"got {sensitivity.dinf} at sigma {float(sigma_squared) ** 0.5:g}"
        )
    digits = next(
        (
            digits
            for digits in range(1, MAX_DIGITS + 1)
            if _fits(sigma_squared, MAX_PRECISION, digits, sensitivity, target * 3 / 4)
        ),
        None,
    )
    if digits is None:
        raise PrivacyError(
            f"noise of sigma {float(sigma_squared) ** 0.5:g} does not fit in tables of "
            f"{2**MAX_DIGITS - 1} thresholds"
        )
    precision = bisect_left(
        range(MAX_PRECISION),
        True,
        lo=MIN_PRECISION,
        key=lambda bits: _fits(sigma_squared, bits, digits, sensitivity, target),
    )
    return rounded_gaussian(sigma_squared, precision, digits)


def gaussian_delta(law: SampledGaussian, sensitivity: Sensitivity) -> Fraction:
    """Bound the delta, next to rho, of a whole vector: the worst way to spread one's changes.

    Rounded up to a multiple of 2^-128. Proof: cells are independent, so the release contains the
    product of the ideal laws conditioned as above with weight ``prod (1 - delta_j)``, which is at
    least ``1 - sum delta_j``.
    """
    deltas = [law.delta(shift) for shift in range(1, sensitivity.dinf + 1)]
    return worst_spread(deltas, sensitivity)


def squared_sensitivity(sensitivity: Sensitivity) -> int:
    """Return ``D2^2``, the largest sum of squares of one patient's changes.

    Squares are convex, so the worst spread moves as many cells as it can by ``dinf``, and one more
    by what is left; there are enough cells, since ``d1 <= d0 * dinf``.
    """
    cells, rest = divmod(sensitivity.d1, sensitivity.dinf)
    return cells * sensitivity.dinf**2 + rest**2


def _fits(
    sigma_squared: Fraction,
    precision: int,
    digits: int,
    sensitivity: Sensitivity,
    target: Fraction,
) -> bool:
    if (1 << digits) <= sensitivity.dinf:
        return False
    law = rounded_gaussian(sigma_squared, precision, digits)
    return gaussian_delta(law, sensitivity) <= target


def _check_sigma(sigma_squared: Fraction) -> None:
    if sigma_squared < MIN_SIGMA**2:
        raise PrivacyError(
            f"sigma must be at least {MIN_SIGMA}, got sigma^2 = {float(sigma_squared):g}"
        )
