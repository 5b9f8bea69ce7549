"""Privacy-loss distributions of the releases that the ledger knows, and their sum for the report.

Each function returns a distribution whose curve is nowhere below the true one, in either direction
(``distribution``): one patient more, or one patient less, whatever the signs of her changes.

* ``of_cell``: one cell, from the exact masses of the law of its noise.
* ``of_release``: a vector of cells, for the worst way in which one patient can spread her changes.
* ``of_response``: any (epsilon, delta) release. It is at most *leaky randomised response*, which
  with probability delta tells the data set, and else tells it truly with odds ``e^epsilon``
  (Kairouz, Oh and Viswanath, ICML 2015):

      delta(x) = delta + (1 - delta) max(0, (e^epsilon - e^x) / (1 + e^epsilon)).

* ``of_concentrated``: any delta-approximate rho-zCDP release. A Gaussian of the same rho does NOT
  dominate these: rho bounds moments of the loss, and there are rho-zCDP releases with more delta
  than the Gaussian (randomised response, at epsilon 0). What holds for all of them, at every
  epsilon >= 0, is

      delta(x) <= delta + (1 - delta) min over alpha of the bound in ``concentrated``,

  in both directions, since rho-zCDP is symmetric and the hockey-stick divergence jointly convex.
  An upper bound on the curve is all that a distribution is built from, so this one is sound. It
  pays for the conversion before it is composed, so rho is added up first.

``reported_epsilon`` adds up what a ledger holds. *Order does not matter.* Let all prices be fixed
beforehand. Each Laplace release can be drawn from the answer of its own randomised response,
given what was released before it (Kairouz, Oh and Viswanath). Draw those answers first. Given
them, all Gaussian releases together are one delta-approximate rho-zCDP mechanism with the sums as
parameters (Bun and Steinke, TCC 2016, section 8). Hence the convolution of the responses with one
``of_concentrated`` bounds everything.

Public inputs and results. The adversary sees all releases. Not for enforcement: prices that were
chosen after seeing earlier answers are what ``accountant`` is for.

Limits: laws of at most 2^14 values on either side; at most 32 ways to spread.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import reduce
from itertools import islice
from math import ceil, gcd, isqrt, lcm
from typing import Protocol

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.accountant import Loss, Spent
from upcare_mpc.privacy.concentrated import epsilon_at
from upcare_mpc.privacy.distribution import CURVE_BITS, LossDistribution, compose, of_curve
from upcare_mpc.privacy.exponential import exp_below, exp_minus
from upcare_mpc.privacy.logarithm import ln
from upcare_mpc.privacy.loss import spreads
from upcare_mpc.study.layout import Sensitivity

__all__ = [
    "Law",
    "of_cell",
    "of_concentrated",
    "of_release",
    "of_response",
    "reported_epsilon",
]

_ONE = 1 << CURVE_BITS
_MOST_VALUES = 1 << 14
_MOST_SPREADS = 32
_LEAST_POINTS = 2048  # between loss 0 and the largest loss of a report
_FAR = Fraction(1, 1 << 60)  # delta of a concentrated loss beyond which it counts as infinite
_ORDER_UNITS = 1 << 20
_LN_BITS = 128


class Law(Protocol):
    """Noise on the integers, at most ``support`` in size, with exact probabilities."""

    @property
    def support(self) -> int:
        """Largest absolute value that can be drawn."""

    def pmf(self, k: int, /) -> Fraction:
        """Return the probability of ``k``."""


def of_cell(law: Law, shift: int, step: Fraction, reach: Fraction) -> LossDistribution:
    """Bound the loss of one cell that one patient moves by ``shift``, up or down.

    The curve at the grid points is exact, but for ``e^epsilon`` rounded down by at most 2^-100 of
    itself. The law need not be symmetric: it is the larger of both directions.

    Args:
        law: Noise of the cell.
        shift: At least 1.
        step: Of the grid.
        reach: Larger losses count as infinite.

    Raises:
        PrivacyError: The law has too many values to enumerate.
    """
    if law.support > _MOST_VALUES:
        raise PrivacyError(
            f"a law of at most {_MOST_VALUES} values a side can be enumerated, got {law.support}"
        )
    exact = [law.pmf(k) for k in range(-law.support, law.support + 1)]
    unit = lcm(*(probability.denominator for probability in exact))
    masses = [probability.numerator * (unit // probability.denominator) for probability in exact]
    empty = [0] * shift
    still, moved = [*masses, *empty], [*empty, *masses]
    ratios = _powers_below(step, ceil(reach / step))
    up, down = _excess(still, moved, ratios), _excess(moved, still, ratios)
    worse = (max(pair) for pair in zip(up, down, strict=True))
    return of_curve(step, [-(-excess // unit) for excess in worse])


def of_release(law: Law, pooled: Sensitivity, step: Fraction, reach: Fraction) -> LossDistribution:
    """Bound the loss of cells with independent noise, for the worst spread of one patient.

    Args:
        law: Noise of every cell.
        pooled: What one patient can change in the pooled vector.
        step: Of the grid.
        reach: Larger losses count as infinite.

    Raises:
        PrivacyError: The law has too many values, or there are too many ways to spread.
    """
    ways = list(islice(spreads(pooled), _MOST_SPREADS + 1))
    if len(ways) > _MOST_SPREADS:
        raise PrivacyError(f"more than {_MOST_SPREADS} ways to spread one patient's changes")
    cells = {s: of_cell(law, s, step, reach) for s in {shift for way in ways for shift in way}}
    last = ceil(reach / step)
    curves = [compose(cells[shift] for shift in way).curve(last) for way in ways]
    return of_curve(step, [max(deltas) for deltas in zip(*curves, strict=True)])


def of_response(epsilon: Fraction, delta: Fraction, step: Fraction) -> LossDistribution:
    """Bound the loss of any (epsilon, delta) release; exact where ``step`` divides epsilon."""
    last = ceil(epsilon / step)
    below = 1 + exp_minus(epsilon, CURVE_BITS).low
    fall = int(exp_minus(step, CURVE_BITS).low * _ONE)
    ratio = int(exp_minus(epsilon - (last - 1) * step, CURVE_BITS).low * _ONE)
    gaps = [0]  # 1 - e^(x - epsilon) from the last point downwards
    for _ in range(last):
        gaps.append(_ONE - ratio)
        ratio = ratio * fall >> CURVE_BITS
    scale, leak = (1 - delta) / below, ceil(delta * _ONE)
    return of_curve(step, [leak + ceil(gap * scale) for gap in reversed(gaps)])


def of_concentrated(rho: Fraction, delta: Fraction, step: Fraction) -> LossDistribution:
    """Bound the loss of any delta-approximate rho-zCDP release, or of many with these sums."""
    last = ceil(epsilon_at(rho, _FAR) / step)
    leak = ceil(delta * _ONE)
    return of_curve(
        step,
        [leak + ceil((1 - delta) * _converted(rho, i * step) * _ONE) for i in range(last + 1)],
    )


def reported_epsilon(losses: Iterable[Loss], delta: Fraction) -> Fraction:
    """State what was released as (epsilon, delta); rounded up to a multiple of 2^-32.

    The least of the sum of epsilons, the conversion of the sum of rhos, and the convolution of the
    privacy-loss distributions. The grid divides the Laplace epsilons if their common divisor is
    not too fine; the convolution of Laplace prices is then exact (Kairouz, Oh and Viswanath's
    optimal composition).

    Args:
        losses: Of all releases, in any order; prices fixed beforehand.
        delta: More than the samplers' own deltas together.

    Raises:
        PrivacyError: The samplers' own deltas alone come to ``delta``.
    """
    losses = tuple(losses)
    if not losses:
        return Fraction(0)
    spent = Spent.on(losses)
    best = spent.epsilon_at(delta)
    responses = [(loss.epsilon, loss.delta) for loss in losses if loss.epsilon is not None]
    if not responses:
        return best
    farthest = epsilon_at(spent.rho, _FAR)
    reach = farthest if spent.epsilon is None else min(farthest, spent.epsilon)
    step = _step([epsilon for epsilon, _ in responses], reach)
    known = {price: of_response(*price, step) for price in set(responses)}
    parts = [known[price] for price in responses]
    rest = Spent.on(loss for loss in losses if loss.epsilon is None)
    if rest.rho:
        parts.append(of_concentrated(rest.rho, rest.delta, step))
    together = compose(parts)
    return min(best, together.epsilon_at(delta)) if together.leaks <= delta else best


def _step(epsilons: Sequence[Fraction], reach: Fraction) -> Fraction:
    """Choose a step that divides all epsilons, or one of the 2048-th part of ``reach``."""
    common = reduce(_common_divisor, epsilons)
    parts = int(common * _LEAST_POINTS / reach)
    return common / parts if parts else reach / _LEAST_POINTS


def _common_divisor(a: Fraction, b: Fraction) -> Fraction:
    unit = lcm(a.denominator, b.denominator)
    return Fraction(gcd(int(a * unit), int(b * unit)), unit)


def _powers_below(step: Fraction, last: int) -> list[int]:
    """Return ``e^(i step)`` for ``i = 0 .. last`` in units of 2^-160, rounded down."""
    ratio = exp_below(step)
    powers = [_ONE]
    for _ in range(last):
        powers.append(powers[-1] * ratio.numerator // ratio.denominator)
    return powers


def _excess(here: Sequence[int], there: Sequence[int], ratios: Sequence[int]) -> list[int]:
    """Return ``sum of max(0, P - a P')`` for each ratio ``a``, in units of 2^-160 of a mass.

    An outcome counts for the ratios below its own. Those are found by bisection, and the masses
    added up from the last ratio backwards.
    """
    mass, other = [0] * (len(ratios) + 1), [0] * (len(ratios) + 1)
    for p, q in zip(here, there, strict=True):
        counts_for = bisect_left(ratios, p << CURVE_BITS, key=q.__mul__)
        mass[counts_for] += p
        other[counts_for] += q
    sums, p_sum, q_sum = [], 0, 0
    for at in range(len(ratios), 0, -1):
        p_sum, q_sum = p_sum + mass[at], q_sum + other[at]
        sums.append((p_sum << CURVE_BITS) - ratios[at - 1] * q_sum)
    sums.reverse()
    return sums


def _converted(rho: Fraction, epsilon: Fraction) -> Fraction:
    """Bound delta at ``epsilon`` by the formula of ``concentrated`` at one order near the best.

    Every order above 1 gives a valid bound. The best one, with ``u = 2 alpha - 1``, is the root of
    ``rho u - epsilon - 2 artanh(1/u)``, near that of ``rho u^2 - epsilon u - 2``.
    """
    root = isqrt(int((epsilon**2 + 8 * rho) * _ORDER_UNITS**2))
    u = Fraction(int((epsilon * _ORDER_UNITS + root) / (2 * rho)), _ORDER_UNITS)
    alpha = max((1 + u) / 2, Fraction(65, 64))
    exponent = (alpha - 1) * (alpha * rho - epsilon + ln(1 - 1 / alpha, _LN_BITS).high)
    exponent -= ln(alpha, _LN_BITS).low
    return Fraction(1) if exponent >= 0 else exp_minus(-exponent, CURVE_BITS).high
