"""The exact law of the discrete Gaussian noise that the registries draw together.

The ideal law (Canonne, Kamath and Steinke, NeurIPS 2020) is ``P*(k) ~ g(k) = e^(-k^2/(2 sigma^2))``
on the integers. The protocol draws

    X = sum over parts i of 2^(shift_i) Y_i,       sigma^2 = sum 4^(shift_i) sigma_i^2 exactly,

with independent ``Y_i``, each from coins by digits from the top (``digits``). Up to sigma about 70
one part is cheapest; beyond, a sum takes fewer ANDs (``summands``). Its factors are powers of two,
since a shift costs nothing on bits. The law that results differs from the ideal one in what
``digits`` cuts off and rounds and, for a sum, by what ``smoothing`` bounds. This module computes
with the law that results.

**Guarantee.** Move a cell by ``s > 0``. Let ``I = [s - W, W]``, with ``W = R`` the largest value
for one part, and any W for a sum. Let ``A`` be the ideal law conditioned on ``I``, and ``B`` the
moved ideal law conditioned on ``I``.

1. *Conditioning costs no rho:* ``D_alpha(A || B) <= alpha rho`` for all ``alpha > 1``, with
   ``rho = s^2 / (2 sigma^2)``; likewise with A and B exchanged, as they are mirror images about
   ``s/2``. Proof: completing the square, ``(alpha - 1) (D_alpha - rho) = ln E_A[e^(-tX)]`` with
   ``t = (alpha - 1) s / sigma^2 > 0``. If ``s > W``, ``I`` is positive, and that is below 0. Else
   ``I`` has both signs of the magnitudes up to ``W - s``, and of those above, up to ``W``, the
   positive one, for which ``e^(-tX) <= 1``. So ``E_A[e^(-tX)] <= E_A[cosh(tX)]``. Relative to the
   folded law, A gives magnitudes the weights 1, 1/2, 0, which fall, while cosh rises, so this is
   at most ``E*[cosh(tX)] = E*[e^(tX)] <= e^(t^2 sigma^2 / 2)``, the discrete Gaussian being
   subgaussian (Canonne et al.). As ``t^2 sigma^2 / 2 = (alpha - 1)^2 rho``, we have ``D_alpha <=
   rho + (alpha - 1) rho = alpha rho``.
2. *The law contains A:* with ``1 - delta = min over |k| <= W of P(k)/A(k)``, ``P = (1 - delta) A +
   delta (rest)``; the moved law contains B in the same way, with the same delta by symmetry. For
   one part the minimum is computed from all values of P. For a sum, ``smoothing`` proves
   ``P(k) >= h g(k) / (sigma sqrt(2 pi))`` for ``|k| <= W``. The sum of g over all integers is at
   least ``sigma sqrt(2 pi)``, so over I at least ``sigma sqrt(2 pi) (1 - T)``, with T the sum of g
   outside, relative to the same. Hence ``1 - delta >= h (1 - T)``. What a sum loses for large
   ``|k|``, where its parts end, lowers h or lies outside W; the choice of W trades one for the
   other.

So the cell is delta-approximate rho-zCDP (Bun and Steinke, TCC 2016, definition 8.1): the ideal
rho, and next to it a delta that no ``e^epsilon`` multiplies. Independent cells add both. For cells
moved by ``s_1 .. s_n``, ``rho = sum s_j^2 / (2 sigma^2)``, OpenDP's map of ``make_gaussian``.

Probabilities of a sum are exact too: those of ``S_j``, the sum of the parts up to j, follow from
those of ``S_(j-1)`` at points that differ by multiples of ``2^(shift_j)``, of which few lie within
reach, at every sigma.

No float is used, so that all hosts get the same tables, and the same digest of them.

Limits: sigma from 1/50 to 10^6; cells moved by at most 50 sigma.
"""

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import ceil, prod

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.digits import (
    MAX_DIGITS,
    MAX_PRECISION,
    Part,
    rounded_part,
)
from upcare_mpc.privacy.smoothing import GaussianSum
from upcare_mpc.privacy.spread import worst_spread
from upcare_mpc.privacy.summands import MAX_PARTS, Summand, ands, most_digits, splits
from upcare_mpc.study.layout import Sensitivity

__all__ = [
    "MAX_SIGMA",
    "MIN_SIGMA",
    "TARGET_DELTA",
    "SampledGaussian",
    "gaussian_delta",
    "sample_gaussian",
    "squared_sensitivity",
]

MIN_SIGMA = Fraction(1, 50)
MAX_SIGMA = Fraction(10**6)
MIN_PRECISION = 40  # no coin is further than 2^-40 from the ideal one
MAX_STEPS = 50  # sigmas by which one patient may move one cell of the pooled vector
TARGET_DELTA = Fraction(1, 2**40)

_DIGEST_TAG = b"upcare/law/discrete-gaussian-by-digits/v2\n"
_TYPICAL_PRECISION = 46  # what shapes are compared at
_MOST_STEPS = 10_000  # of the search for the worst spread
_DELTA_UNITS = 1 << 128


@dataclass(frozen=True, kw_only=True)
class SampledGaussian:
    """The law of one noise value as the protocol draws it; everything about it is public.

    Attributes:
        parts: The independent summands, by rising shift, the first one not shifted.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        """Check the parts against each other."""
        shifts = [part.shift for part in self.parts]
        if not 1 <= len(shifts) <= MAX_PARTS or shifts[0] != 0:
            raise PrivacyError(f"wanted 1 to {MAX_PARTS} parts, the first at shift 0, got {shifts}")
        if any(before >= after for before, after in pairwise(shifts)):
            raise PrivacyError(f"wanted parts by rising shift, got {shifts}")
        _check_sigma(self.sigma_squared)

    @cached_property
    def sigma_squared(self) -> Fraction:
        """Variance parameter ``sigma^2`` of the ideal law."""
        return sum((4**part.shift * part.sigma_squared for part in self.parts), Fraction(0))

    @property
    def support(self) -> int:
        """Largest absolute value that can be drawn."""
        return sum(part.top << part.shift for part in self.parts)

    def pmf(self, k: int) -> Fraction:
        """Return ``P(X = k)``, exactly."""
        at_most: dict[tuple[int, int], int] = {}
        last = len(self.parts) - 1
        mass = self._at_most(last, k, at_most) - self._at_most(last, k - 1, at_most)
        return Fraction(mass, self.mass_unit)

    def within(self, k: int) -> Fraction:
        """Return ``P(|X| <= k)``, exactly."""
        if k < 0:
            return Fraction(0)
        above = self.mass_unit - self._at_most(len(self.parts) - 1, k, {})
        return 1 - Fraction(2 * above, self.mass_unit)

    def error(self, probability: Fraction) -> int:
        """Return the smallest ``k`` with ``P(|X| <= k) >= probability``."""
        return bisect_left(range(self.support), probability, key=self.within)

    @cached_property
    def variance(self) -> Fraction:
        """Variance of ``X``, exactly; slightly more or less than ``sigma_squared``."""
        return sum((4**part.shift * part.variance for part in self.parts), Fraction(0))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the parameters; compared by the registries before they draw."""
        text = f"parts={len(self.parts)}\n" + "".join(part.canonical for part in self.parts)
        return hashlib.sha256(_DIGEST_TAG + text.encode("ascii")).digest()

    @property
    def mass_unit(self) -> int:
        """What ``masses`` sum to: the product of the parts' units."""
        return prod(part.mass_unit for part in self.parts)

    @cached_property
    def masses(self) -> tuple[int, ...]:
        """Probabilities of ``-support .. support`` in units of ``1 / mass_unit``.

        For a large sigma this takes long; ``pmf`` computes a single one.
        """
        known: dict[tuple[int, int], int] = {}
        last = len(self.parts) - 1
        below = [self._at_most(last, k, known) for k in range(-self.support - 1, 1)]
        *outward, zero = (after - before for before, after in pairwise(below))
        return (*outward, zero, *reversed(outward))

    def delta(self, shift: int) -> Fraction:
        """Return the delta next to ``rho = shift^2 / (2 sigma^2)`` of one cell moved by ``shift``.

        The module's argument, evaluated. For one part it is the exact value, rounded up by less
        than ``2^-100``; for a sum it is the bound of ``smoothing``.
        """
        shift = abs(shift)
        if shift == 0:
            return Fraction(0)
        if len(self.parts) == 1:
            return 1 - self.parts[0].kept(shift)
        ideal = GaussianSum(
            tuple(part.sigma_squared for part in self.parts),
            tuple(part.shift for part in self.parts),
        )
        return 1 - prod(
            (part.kept(0) for part in self.parts),
            start=ideal.kept([part.top for part in self.parts], shift),
        )

    def _at_most(self, level: int, x: int, known: dict[tuple[int, int], int]) -> int:
        """Return ``P(S_level <= x)`` in units of the parts summed; ``known`` remembers."""
        part = self.parts[level]
        if level == 0:
            return part.below[min(max(x + part.top + 1, 0), 2 * part.top + 1)]
        if (level, x) in known:
            return known[level, x]
        inner = self.parts[:level]
        reach = sum(one.top << one.shift for one in inner)
        # Before ``first`` the parts within are surely at most x - c k, after ``last`` surely not.
        first = min(max(-(-(x - reach) >> part.shift), -part.top), part.top + 1)
        last = min((x + reach) >> part.shift, part.top)
        found = part.below[first + part.top] * prod(one.mass_unit for one in inner)
        for k in range(first, last + 1):
            found += part.masses[k + part.top] * self._at_most(
                level - 1, x - (k << part.shift), known
            )
        known[level, x] = found
        return found


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
        The shape with the fewest ANDs at coins of 46 bits, and for it the fewest bits a coin. A
        single part has the fewest digits that the finest coins can make good, with three quarters
        of ``target`` left to truncation. In a sum, each part has the fewest that leave half of it.

    Raises:
        PrivacyError: Sigma or sensitivity is out of range, or no law is good enough.
    """
    _check_sigma(sigma_squared)
    if sensitivity.dinf**2 > MAX_STEPS**2 * sigma_squared:
        raise PrivacyError(
            f"one patient may move a cell by at most {MAX_STEPS} sigma, "
            f"got {sensitivity.dinf} at sigma {float(sigma_squared) ** 0.5:g}"
        )
    moved, cells = sensitivity.dinf, sensitivity.d0
    sums = splits(sigma_squared, moved=moved, cells=cells, target=target)
    shape = min(sums, key=_typical_ands, default=None)
    most = most_digits(sigma_squared, moved=moved, cells=cells, target=target)
    for digits in range(1, min(most, MAX_DIGITS) + 1):
        single = (Summand(0, sigma_squared, digits),)
        if shape is not None and _typical_ands(single) > _typical_ands(shape):
            break
        if _good(single, MAX_PRECISION, sensitivity, target * 3 / 4):
            shape = single
            break
    if shape is None or not _good(shape, MAX_PRECISION, sensitivity, target):
        raise PrivacyError(
            f"no noise of sigma {float(sigma_squared) ** 0.5:g} has a delta of {float(target):g} "
            f"where one patient moves {cells} cells by up to {moved}"
        )
    precision = bisect_left(
        range(MAX_PRECISION),
        True,
        lo=MIN_PRECISION,
        key=lambda bits: _good(shape, bits, sensitivity, target),
    )
    return _law(shape, precision)


def gaussian_delta(law: SampledGaussian, sensitivity: Sensitivity) -> Fraction:
    """Bound the delta, next to rho, of a whole vector: the worst way to spread one's changes.

    Rounded up to a multiple of 2^-128. Proof: cells are independent, so the release contains the
    product of the ideal laws conditioned as above with weight ``prod (1 - delta_j)``, which is at
    least ``1 - sum delta_j``. A cell moved by less than ``dinf`` keeps more of the ideal mass in
    its interval with the same W, so ``delta(dinf)`` is valid for it too. Where there are too many
    spreads to search, each of the ``d0`` cells is charged that.
    """
    steps = sensitivity.d0 * sensitivity.d1 * sensitivity.dinf
    if sensitivity.dinf == 1 or steps > _MOST_STEPS:
        every = sensitivity.d0 * law.delta(sensitivity.dinf)
        return Fraction(ceil(every * _DELTA_UNITS), _DELTA_UNITS)
    deltas = [law.delta(shift) for shift in range(1, sensitivity.dinf + 1)]
    return worst_spread(deltas, sensitivity)


def squared_sensitivity(sensitivity: Sensitivity) -> int:
    """Return ``D2^2``, the largest sum of squares of one patient's changes.

    Squares are convex, so the worst spread moves as many cells as it can by ``dinf``, and one more
    by what is left; there are enough cells, since ``d1 <= d0 * dinf``.
    """
    cells, rest = divmod(sensitivity.d1, sensitivity.dinf)
    return cells * sensitivity.dinf**2 + rest**2


def _typical_ands(shape: tuple[Summand, ...]) -> int:
    return ands(shape, _TYPICAL_PRECISION)


def _good(
    shape: tuple[Summand, ...], precision: int, sensitivity: Sensitivity, target: Fraction
) -> bool:
    """Whether the law of this shape meets the target; not built if it is plainly too narrow."""
    if sum(((1 << part.digits) - 1) << part.shift for part in shape) < sensitivity.dinf:
        return False
    return gaussian_delta(_law(shape, precision), sensitivity) <= target


def _law(shape: tuple[Summand, ...], precision: int) -> SampledGaussian:
    return SampledGaussian(
        parts=tuple(
            rounded_part(part.sigma_squared, precision, part.digits, shift=part.shift)
            for part in shape
        )
    )


def _check_sigma(sigma_squared: Fraction) -> None:
    if not MIN_SIGMA**2 <= sigma_squared <= MAX_SIGMA**2:
        raise PrivacyError(
            f"sigma must lie between {MIN_SIGMA} and {MAX_SIGMA}, "
            f"got {float(sigma_squared) ** 0.5:g}"
        )
