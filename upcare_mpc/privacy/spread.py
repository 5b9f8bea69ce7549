"""The worst way in which one patient can spread her changes over the cells of a release.

A patient changes at most ``d0`` cells, each by at most ``dinf``, and all together by at most
``d1``. If a cell moved by ``s`` costs ``delta(s)``, a release costs at most

    max  delta(s_1) + ... + delta(s_n)   over   n <= d0,  1 <= s_j <= dinf,  sum s_j <= d1.

This is a knapsack. It is solved by dynamic programming, in ``d0 * d1 * dinf`` steps, on deltas
rounded UP to multiples of ``2^-128``.

Limits: a patient who may change thousands of units makes it slow; then the two constraints are
taken one at a time, which is never less.
"""

from collections.abc import Sequence
from fractions import Fraction

from upcare_mpc.study.layout import Sensitivity

__all__ = ["worst_spread"]

_UNITS = 1 << 128
_MOST_STEPS = 2_000_000


def worst_spread(deltas: Sequence[Fraction], sensitivity: Sensitivity) -> Fraction:
    """Return the largest sum of deltas that one patient can cause, rounded up.

    Args:
        deltas: ``delta(1), ..., delta(dinf)``.
        sensitivity: What one patient can change in the release.
    """
    costs = [-(-_UNITS * delta.numerator // delta.denominator) for delta in deltas]
    if sensitivity.d0 * sensitivity.d1 * len(costs) > _MOST_STEPS:
        by_cells = sensitivity.d0 * max(costs)
        by_mass = max(-(-sensitivity.d1 * cost // shift) for shift, cost in enumerate(costs, 1))
        return Fraction(min(by_cells, by_mass), _UNITS)
    best = [0] * (sensitivity.d1 + 1)  # best[mass]: worst sum with the cells so far
    for _ in range(sensitivity.d0):
        best = [
            max([best[mass], *(best[mass - s] + cost for s, cost in enumerate(costs[:mass], 1))])
            for mass in range(sensitivity.d1 + 1)
        ]
    return Fraction(best[-1], _UNITS)
