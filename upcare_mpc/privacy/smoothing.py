"""Sums of shifted discrete Gaussians: nearly Gaussian at EVERY value, with a proved bound.

Let ``S_0 = Y_0`` and ``S_j = S_{j-1} + c_j Y_j`` with independent ``Y_j``, factors ``c_j =
2^(shift_j)``, parameters ``v_j`` (the sigma^2 of ``Y_j``) and ``s_j^2 = s_{j-1}^2 + c_j^2 v_j``,
and let ``g_v(k) = e^(-k^2/(2v))``. Peikert (CRYPTO 2010) and Micciancio and Walter (CRYPTO 2017)
add discrete Gaussians in this way; here the parts are truncated and rounded, and the bound is
pointwise, which is what "the law contains the conditioned ideal pair" (``gaussian``) needs.

**Claim.** If ``P(Y_j = k) >= w_j g(k) / sum g`` on ``|k| <= R_j`` (sum over the same values), then

    P(S_j = x) >= h_j g(x) / (s_j sqrt(2 pi))      for all |x| <= W_j,       g = g_{s_j^2},
    h_0 = w_0 / (1 + e(v_0)),
    h_j = h_{j-1} w_j (1 - e(tau_j^2) - l_j) / (1 + e(v_j)),

with ``tau_j^2 = s_{j-1}^2 v_j / s_j^2``, the ripple ``e(v) = 2 sum over n >= 1 of e^(-2 pi^2 n^2
v)``, and for any ``d_j > 0`` the lost tails ``l_j`` and the windows ``W_j``, where ``W_0 <= R_0``
and for each j >= 1

    l_j = 2 e^(-d_j^2 / (2 tau_j^2)) / ((1 - e^(-d_j / tau_j^2)) tau_j sqrt(2 pi)),
    W_j c_j v_j / s_j^2 + d_j <= R_j,         W_j s_{j-1}^2 / s_j^2 + c_j d_j <= W_{j-1}.

Proof by induction. (1) *Poisson:* for every real mu, ``sum over all integers k of
e^(-(k - mu)^2/(2v))`` is ``sqrt(2 pi v) (1 + 2 sum_n e^(-2 pi^2 n^2 v) cos(2 pi n mu))``, so it is
within a factor ``1 - e(v)`` to ``1 + e(v)`` of ``sqrt(2 pi v)``, and at least that at ``mu = 0``.
Hence ``sum g_{v_j} <= (1 + e(v_j)) sqrt(2 pi v_j)``, which is the claim at j = 0. (2) *Step:*
completing the square,

    g_{s_{j-1}^2}(x - c_j k) g_{v_j}(k) = g_{s_j^2}(x) e^(-(k - mu)^2/(2 tau_j^2)),
    mu = c_j x v_j / s_j^2.

For ``|x| <= W_j`` and ``|k - mu| <= d_j`` the two conditions give ``|k| <= R_j`` and
``|x - c_j k| <= W_{j-1}``, where the claims for ``Y_j`` and ``S_{j-1}`` hold. So P(S_j = x) is at
least the sum of their product over these k. Over all k the last factor sums to ``tau_j sqrt(2 pi)
(1 - e(tau_j^2))`` or more by (1). A tail that begins at a distance ``d' >= d_j`` is at most ``sum_i
e^(-(d'+i)^2/(2 tau_j^2)) <= e^(-d_j^2/(2 tau_j^2)) / (1 - e^(-d_j/tau_j^2))``, twice that is
``tau_j sqrt(2 pi) l_j``. With ``tau_j / (s_{j-1} sqrt(v_j)) = 1 / s_j`` the constants are those of
the claim.

``tau_j^2 >= 2`` makes ``e`` less than 2^-55. Where ``c_j`` is too large for ``s_{j-1}``, tau is
small and ``S_j`` is a comb with teeth ``c_j`` apart: ``e`` is then near 1 or above, and the bound
is bad.

Everything is rational, and each rounding lowers the bound. Choices (``d_j``, the last window) need
no rounding direction: any choice gives a valid bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import isqrt

from upcare_mpc.privacy.exponential import exp_minus

__all__ = ["GaussianSum"]

_BITS = 192
_ARGUMENT_BITS = 64
_ROOT_BITS = 32
_TWO_PI_SQUARED = Fraction(19739, 1000)  # from below
_ROOT_OF_TWO_PI = Fraction(25066, 10000)  # from below


@dataclass(frozen=True)
class GaussianSum:
    """The ideal summands; nothing of their tables.

    Attributes:
        variances: ``v_0, v_1, ..``; two or more.
        shifts: ``0 = shift_0 < shift_1 < ..``.
    """

    variances: tuple[Fraction, ...]
    shifts: tuple[int, ...]

    def reaches(self, window: Fraction, deviations: Fraction) -> list[Fraction]:
        """Return the least ``R_0, R_1, ..`` for a last window, with ``d_j = deviations * tau_j``.

        Linear in both arguments, which also need not be positive.
        """
        found = []
        for j in range(len(self.shifts) - 1, 0, -1):
            factor, before, after = 1 << self.shifts[j], self._totals[j - 1], self._totals[j]
            distance = deviations * self._roots[j]
            found.append(window * factor * self.variances[j] / after + distance)
            window = window * before / after + factor * distance
        return [window, *reversed(found)]

    def kept(self, tops: Sequence[int], shift: int) -> Fraction:
        """Bound from below the weight of the ideal law, conditioned on ``[shift - W, W]``.

        Args:
            tops: Largest magnitude ``R_j`` of each part.
            shift: How far the cell is moved, at least 0.

        Returns:
            ``h / (w_0 w_1 ..)`` times the share of the ideal law in that interval; 0 if there is no
            good window. The caller multiplies by the ``w_j``.
        """
        window, deviations = self._window(tops, shift)
        if window <= shift:
            return Fraction(0)
        kept = 1 - self._outside(window, shift)
        for variance in self.variances:
            kept /= 1 + _ripple(variance)
        for j in range(1, len(self.shifts)):
            square = self._tau_squared[j]
            kept *= max(
                Fraction(0), 1 - _ripple(square) - _lost(deviations * self._roots[j], square)
            )
        return _down(max(Fraction(0), kept), _BITS)

    @property
    def sigma_squared(self) -> Fraction:
        """``sigma^2`` of the whole."""
        return self._totals[-1]

    def _window(self, tops: Sequence[int], shift: int) -> tuple[int, Fraction]:
        """Choose the last window W, and ``d_j / tau_j`` as large as it allows.

        Lost tails and the tail outside the window are about equal when ``W - shift`` is as many
        sigmas as ``d_j`` is taus.
        """
        by_window = self.reaches(Fraction(1), Fraction(0))
        by_deviation = self.reaches(Fraction(0), Fraction(1))
        sigma = _root(self.sigma_squared)
        window = int(
            min(
                (top + b * shift / sigma) / (a + b / sigma)
                for top, a, b in zip(tops, by_window, by_deviation, strict=True)
            )
        )
        return window, min(
            (top - a * window) / b for top, a, b in zip(tops, by_window, by_deviation, strict=True)
        )

    def _outside(self, window: int, shift: int) -> Fraction:
        """Bound the ideal probability of ``k > W`` or ``k < shift - W``, for ``W > shift``."""
        square = self.sigma_squared
        return sum(
            (_tail(Fraction(start), square) for start in (window + 1, window + 1 - shift)),
            Fraction(0),
        )

    @cached_property
    def _totals(self) -> list[Fraction]:
        """``s_0^2, s_1^2, ..``."""
        totals = [Fraction(0)]
        for shift, variance in zip(self.shifts, self.variances, strict=True):
            totals.append(totals[-1] + 4**shift * variance)
        return totals[1:]

    @cached_property
    def _tau_squared(self) -> list[Fraction]:
        """``tau_j^2``; 0 at j = 0, where there is none."""
        totals = self._totals
        return [
            Fraction(0),
            *(totals[j - 1] * self.variances[j] / totals[j] for j in range(1, len(totals))),
        ]

    @cached_property
    def _roots(self) -> list[Fraction]:
        """About ``tau_j``."""
        return [_root(square) for square in self._tau_squared]


def _ripple(variance: Fraction) -> Fraction:
    """Bound ``e(v) = 2 (q + q^4 + q^9 + ..) <= 2 q / (1 - q)``, ``q = e^(-2 pi^2 v)``."""
    q = _exp_above(_TWO_PI_SQUARED * variance)
    return 2 * q / (1 - q)


def _lost(distance: Fraction, square: Fraction) -> Fraction:
    """Bound ``l``: both tails beyond ``distance``, relative to ``tau sqrt(2 pi)``."""
    return 2 * _tail(distance, square)


def _tail(distance: Fraction, square: Fraction) -> Fraction:
    """Bound one tail that begins at ``distance > 0``, relative to ``sqrt(2 pi square)``."""
    first = _exp_above(distance * distance / (2 * square))
    ratio = _exp_above(distance / square)
    return first / ((1 - ratio) * _root(square) * _ROOT_OF_TWO_PI)


def _exp_above(x: Fraction) -> Fraction:
    """Return a number above ``e^(-x)`` and below 1, for ``x`` well above ``2^-64``."""
    return exp_minus(_down(x, _ARGUMENT_BITS), _BITS).high


def _root(square: Fraction) -> Fraction:
    """Return a number just below the square root."""
    return Fraction(isqrt(int(square * 4**_ROOT_BITS)), 1 << _ROOT_BITS)


def _down(x: Fraction, bits: int) -> Fraction:
    return Fraction((x.numerator << bits) // x.denominator, 1 << bits)
