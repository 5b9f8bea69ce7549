"""The exact law of the discrete Laplace noise that the registries draw together.

The ideal law (Ghosh, Roughgarden and Sundararajan, STOC 2009) of scale ``b`` is

    P*(k) = (1 - q) / (1 + q) * q^|k|,        q = e^(-1/b).

The protocol draws it from independent coins, each of the form ``[u < T]`` with ``u`` a uniform
word of ``lam`` bits (``precision``) that nobody knows:

    X = G if s = 0, -1 - G if s = 1,          G = sum over i < K of 2^i * g_i
    P*(s = 1) = q / (1 + q),                  P*(g_i = 1) = q^(2^i) / (1 + q^(2^i)).

With ideal coins and ``K`` infinite this is exact: ``q^G`` is a product over the binary digits of
``G``, so they are independent (Dwork, Kenthapadi, McSherry, Mironov and Naor, EUROCRYPT 2006,
section 4), and ``P(-1 - G) : P(G)`` is to be ``q^(1 + G) : q^G``, the same for every G. In two's
complement ``-1 - G`` is the complement of ``G``, so the sign costs no gate. What the protocol draws
differs in two ways, and this module computes with the law that results, not with the ideal one:

* ``G`` has only ``K`` digits (``magnitude_bits``), so that ``-2^K <= X < 2^K``;
* each coin has probability ``T / 2^lam`` with ``T = ceil(2^lam * p)``; ``coins`` says why.

**Delta.** One cell moved by ``shift`` is ``(shift/b, delta(shift))``-indistinguishable, where
``delta`` is the hockey-stick divergence (Barthe and Olmedo, ICALP 2013; Balle, Barthe and
Gaboardi, NeurIPS 2018): ``sum over k of max(0, P(k) - e^(shift/b) P(k - shift))``, or the same with
``k + shift``, whichever is more. It is summed exactly where the support is small, with
``e^(shift/b)`` rounded down; elsewhere it is bounded (``delta_bound``).

No float is used, so that all hosts get the same thresholds, and the same digest of them.

Limits: scales from 1/50 to 10^6, cells moved by at most 4096, coins of at most 63 bits. Where
the sum is too long to take, a loss of more than about ten in one cell is refused.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.coins import ideal_coins, thresholds_above
from upcare_mpc.privacy.exponential import exp_above, exp_below, exp_minus
from upcare_mpc.privacy.spread import worst_spread
from upcare_mpc.study.layout import Sensitivity

__all__ = [
    "MAX_PRECISION",
    "MAX_SCALE",
    "MAX_SHIFT",
    "MIN_SCALE",
    "TARGET_DELTA",
    "SampledLaplace",
    "release_delta",
    "rounded_law",
    "sample_law",
]

MIN_SCALE = Fraction(1, 50)
MAX_SCALE = Fraction(10**6)
MIN_PRECISION = 40  # no coin is further than 2^-40 from the ideal one
MAX_PRECISION = 63
MAX_SHIFT = 4096  # how far one patient may move one cell of the pooled vector
TARGET_DELTA = Fraction(1, 2**40)

_DIGEST_TAG = b"upcare/law/discrete-laplace-by-coins/v2\n"
_EXACT_BITS = 15  # largest magnitude_bits for which one hockey-stick sum is taken term by term
_EXACT_TERMS = 2**18  # most terms summed for all shifts of one release


@dataclass(frozen=True, kw_only=True)
class SampledLaplace:
    """The law of one noise value as the protocol draws it; everything about it is public.

    Attributes:
        scale: Scale ``b`` of the ideal law.
        precision: Bits ``lam`` of the uniform word behind each coin.
        magnitude_bits: Binary digits ``K`` of ``G``.
        thresholds: ``(T_s, T_0, ..., T_{K-1})``; a coin is 1 with probability
            ``T / 2^precision``.
    """

    scale: Fraction
    precision: int
    magnitude_bits: int
    thresholds: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the parameters against each other."""
        _check_scale(self.scale)
        if not 1 <= self.precision <= MAX_PRECISION:
            raise PrivacyError(f"coins have 1 to {MAX_PRECISION} bits, got {self.precision}")
        if self.magnitude_bits < 1 or len(self.thresholds) != self.magnitude_bits + 1:
            raise PrivacyError(
                f"K >= 1 digits need K + 1 thresholds, "
                f"got {self.magnitude_bits} and {len(self.thresholds)}"
            )
        if not all(0 <= threshold < 2**self.precision for threshold in self.thresholds):
            raise PrivacyError(f"thresholds lie in [0, 2^{self.precision})")

    @property
    def support(self) -> int:
        """Largest absolute value that can be drawn, ``2^K``, which is negative."""
        return 1 << self.magnitude_bits

    def pmf(self, k: int) -> Fraction:
        """Return ``P(X = k)``, exactly."""
        outward = k if k >= 0 else -1 - k
        if outward >= self.support:
            return Fraction(0)
        probability = self._coin(0) if k < 0 else 1 - self._coin(0)
        for digit in range(self.magnitude_bits):
            coin = self._coin(digit + 1)
            probability *= coin if outward >> digit & 1 else 1 - coin
        return probability

    def within(self, k: int) -> Fraction:
        """Return ``P(|X| <= k)``, exactly, in ``2K`` steps."""
        if k < 0:
            return Fraction(0)
        sign = self._coin(0)
        return (1 - sign) * self._below(k + 1) + sign * self._below(k)

    def error(self, probability: Fraction) -> int:
        """Return the smallest ``k`` with ``P(|X| <= k) >= probability``."""
        return bisect_left(range(self.support), probability, key=self.within)

    @property
    def variance(self) -> Fraction:
        """Variance of ``X``, exactly: the digits of ``G`` are independent."""
        coins = [self._coin(digit + 1) for digit in range(self.magnitude_bits)]
        mean = sum((2**i * p for i, p in enumerate(coins)), Fraction(0))
        spread = sum((4**i * p * (1 - p) for i, p in enumerate(coins)), Fraction(0))
        sign = self._coin(0)
        # X is G or -1 - G: the spread of G, and that of two points 2 mean + 1 apart
        return spread + sign * (1 - sign) * (2 * mean + 1) ** 2

    @property
    def digest(self) -> bytes:
        """SHA-256 of the parameters; compared by the registries before they draw."""
        text = (
            f"scale={self.scale.numerator}/{self.scale.denominator}\n"
            f"precision={self.precision}\n"
            f"magnitude_bits={self.magnitude_bits}\n"
            f"thresholds={','.join(map(str, self.thresholds))}\n"
        )
        return hashlib.sha256(_DIGEST_TAG + text.encode("ascii")).digest()

    def delta(self, shift: int) -> Fraction:
        """Bound the delta of one cell moved by ``shift``, at epsilon ``shift / scale``.

        The exact sum where the support is small, ``delta_bound`` elsewhere. Both round up.
        """
        if self.magnitude_bits <= _EXACT_BITS:
            return self.delta_exact(shift)
        return self.delta_bound(shift)

    def delta_exact(self, shift: int) -> Fraction:
        """Sum the hockey-stick divergence over the support.

        Its one rounding is that of ``e^(shift/b)``, downwards by at most 2^-120.
        """
        shift = abs(shift)
        if shift == 0:
            return Fraction(0)
        ratio = exp_below(shift / self.scale)
        up, down = ratio.numerator, ratio.denominator

        def excess(masses: Sequence[int]) -> int:
            total = down * sum(masses[:shift])  # these have no counterpart inside the support
            for here, there in zip(masses[shift:], masses, strict=False):
                gap = down * here - up * there
                if gap > 0:
                    total += gap
            return total

        worse = max(excess(self._masses), excess(self._masses[::-1]))
        return Fraction(worse, down << (self.precision * len(self.thresholds)))

    def delta_bound(self, shift: int) -> Fraction:
        """Bound delta by ``(1 + e^(shift/b)) * TV``, for supports too large to sum.

        Proof: with ``TV`` the total variation between this law and the ideal one, for any set S
        ``P(S) <= P*(S) + TV <= e^eps P*(S - shift) + TV <= e^eps P(S - shift) + (1+e^eps) TV``.
        """
        shift = abs(shift)
        if shift == 0:
            return Fraction(0)
        return min(Fraction(1), (1 + exp_above(shift / self.scale)) * self._total_variation)

    def _below(self, k: int) -> Fraction:
        """``P(G < k)``, in ``K`` steps."""
        if k >= self.support:
            return Fraction(1)
        below, prefix = Fraction(0), Fraction(1)  # prefix: P(higher digits of G = those of k)
        for digit in reversed(range(self.magnitude_bits)):
            coin = self._coin(digit + 1)
            if k >> digit & 1:
                below += prefix * (1 - coin)
                prefix *= coin
            else:
                prefix *= 1 - coin
        return below

    @cached_property
    def _masses(self) -> tuple[int, ...]:
        """Probabilities of ``-2^K .. 2^K - 1`` in units of ``2^-(precision * (K + 1))``."""
        one = 1 << self.precision
        outward = [1]
        for threshold in self.thresholds[1:]:
            outward = [m * (one - threshold) for m in outward] + [m * threshold for m in outward]
        sign = self.thresholds[0]
        return (*(m * sign for m in reversed(outward)), *(m * (one - sign) for m in outward))

    @cached_property
    def _total_variation(self) -> Fraction:
        """Bound the total variation to the ideal law, by coupling coin with coin.

        Two coins with probabilities p and p' can be tossed to differ with probability |p - p'|;
        the two laws differ at most where some coin does. The ideal digits beyond the ``K``-th
        are not all zero with probability ``q^(2^K)``.
        """
        tail = exp_minus(self.support / self.scale, 128).high
        enclosures = ideal_coins(self.scale, self.magnitude_bits, self.precision + 64)
        return tail + sum(
            (
                max(abs(self._coin(i) - ideal.low), abs(ideal.high - self._coin(i)))
                for i, ideal in enumerate(enclosures)
            ),
            Fraction(0),
        )

    def _coin(self, index: int) -> Fraction:
        """Probability of coin ``index`` (0 is ``s``, ``i + 1`` is ``g_i``)."""
        return Fraction(self.thresholds[index], 1 << self.precision)


def rounded_law(scale: Fraction, precision: int, magnitude_bits: int) -> SampledLaplace:
    """Build the law of a given size, each threshold rounded up."""
    _check_scale(scale)
    return SampledLaplace(
        scale=scale,
        precision=precision,
        magnitude_bits=magnitude_bits,
        thresholds=thresholds_above(scale, precision, magnitude_bits),
    )


def sample_law(
    scale: Fraction, sensitivity: Sensitivity, *, target: Fraction = TARGET_DELTA
) -> SampledLaplace:
    """Choose the cheapest law whose whole release stays within ``target``.

    Args:
        scale: Scale ``b``, from 1/50 to 10^6.
        sensitivity: What one patient can change in the POOLED vector, so with the number of
            registries that may know her already in it (``Sensitivity.times(overlap)``).
        target: Largest delta of the release.

    Returns:
        The law with the fewest digits that leave half of ``target`` to truncation, and for
        them the fewest bits a coin; see ``release_delta``.

    Raises:
        PrivacyError: Scale or sensitivity is out of range, or no 63-bit coin is fine enough.
    """
    _check_scale(scale)
    if sensitivity.dinf > MAX_SHIFT:
        raise PrivacyError(
            f"one patient may move a cell by at most {MAX_SHIFT}, got {sensitivity.dinf}"
        )
    digits = _digits(scale, sensitivity, target)
    precision = bisect_left(
        range(MAX_PRECISION + 1),
        True,
        lo=MIN_PRECISION,
        key=lambda bits: release_delta(rounded_law(scale, bits, digits), sensitivity) <= target,
    )
    if precision > MAX_PRECISION:
        raise PrivacyError(
            f"no noise of scale {float(scale):g} made of {MAX_PRECISION}-bit coins keeps delta "
            f"below {float(target):.2g} when one patient can move a cell by "
            f"{sensitivity.dinf}; ask for a smaller epsilon or a tighter bound per patient"
        )
    return rounded_law(scale, precision, digits)


def release_delta(law: SampledLaplace, sensitivity: Sensitivity) -> Fraction:
    """Bound the delta of a whole vector: the worst way one patient can spread her changes.

    The cells have independent noise, so a spread ``s_1, ..., s_n`` is
    ``(sum s_j / b, sum delta(s_j))``-indistinguishable by basic composition. All sums are taken
    exactly where that is at most 2^18 terms.
    """
    terms = sensitivity.dinf << law.magnitude_bits
    exact = law.magnitude_bits <= _EXACT_BITS and terms <= _EXACT_TERMS
    delta = law.delta_exact if exact else law.delta_bound
    return worst_spread([delta(shift) for shift in range(1, sensitivity.dinf + 1)], sensitivity)


def _digits(scale: Fraction, sensitivity: Sensitivity, target: Fraction) -> int:
    """Smallest ``K`` whose truncation costs at most about ``target / 2``.

    A cell moved by ``s`` loses the mass of the ``s`` outermost values on one side, less than
    ``q^(2^K - s)``; n cells lose at most n times that. So ``2^K >= s + b ln(2n/target)``, with
    ``ln 2 < 25/36``. What it really costs is in ``release_delta``.
    """
    loss_bits = (ceil(2 * sensitivity.d0 / target) - 1).bit_length()
    reach = sensitivity.dinf + ceil(scale * loss_bits * Fraction(25, 36))
    return (reach - 1).bit_length()


def _check_scale(scale: Fraction) -> None:
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise PrivacyError(
            f"noise scale must lie between {MIN_SCALE} and {MAX_SCALE}, got {float(scale):g}"
        )
