"""The delta of a Gaussian release at a given epsilon, from the exact law of its noise.

rho says little about one release at one epsilon: its conversion to (epsilon, delta) gives away a
factor of 3 to 5 of delta. Here delta is the hockey-stick divergence of the implemented law,

    delta = sum over outcomes of max(0, P - e^epsilon P'),

for the worst way in which one patient can spread her changes over cells with independent noise:

* all outcomes of all moved cells are enumerated where they are few (always for one cell);
* otherwise the privacy losses ``ln(P/P')`` of the cells are rounded UP to a grid, their
  distributions convolved, and the loss that results is integrated; masses are rounded up too
  (Koskela, Jalko and Honkela, AISTATS 2020; Meiser and Mohammadi, CCS 2018). The convolution is one
  multiplication of long integers (Kronecker substitution), so it is exact.

Rounding up a loss never lowers delta: ``max(0, 1 - e^(epsilon - loss))`` grows with the loss.
Independent noise and its symmetry make the signs of the changes irrelevant.

The result is never above ``rho``'s conversion plus the sampler's own delta, since it is the smaller
of the two. Losses found so are for reporting ONE release; what composes is rho (``accountant``).

Limits: up to 12 cells, 8 ways to spread, and noise of at most 8192 in size (sigma up to about 900);
beyond that the conversion is what is reported.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, islice, product
from math import ceil, prod

from upcare_mpc.privacy.concentrated import delta_at
from upcare_mpc.privacy.exponential import exp_below, exp_minus
from upcare_mpc.privacy.gaussian import SampledGaussian, gaussian_delta, squared_sensitivity
from upcare_mpc.privacy.logarithm import ln
from upcare_mpc.study.layout import Sensitivity

__all__ = ["converted_delta", "delta_by_grid", "delta_exactly", "release_delta_at", "spreads"]

_MOST_CELLS = 12
_MOST_SPREADS = 8
_MOST_OUTCOMES = 1 << 16
_MOST_SUPPORT = 1 << 13
_GRID_STEPS = 1024  # steps of the grid from loss 0 to the largest loss of one cell
_MASS_BITS = 72
_LOSS_BITS = 96
_TRIMMED = 1 << 16  # masses that no list needs to keep
_COEFFICIENT_BYTES = 20  # holds a sum of 2^14 products of two masses of at most 2^73


def release_delta_at(law: SampledGaussian, pooled: Sensitivity, epsilon: Fraction) -> Fraction:
    """Return the delta of the implemented release at ``epsilon``; rounded up.

    Args:
        law: Noise of every cell.
        pooled: What one patient can change in the pooled vector.
        epsilon: At least 0.
    """
    bound = converted_delta(law, pooled, epsilon)
    if pooled.d0 > _MOST_CELLS or law.support > _MOST_SUPPORT:
        return bound
    listed = list(islice(spreads(pooled), _MOST_SPREADS + 1))
    if len(listed) > _MOST_SPREADS:
        return bound
    worst = Fraction(0)
    for spread in listed:
        if worst >= bound:
            return bound
        few = prod(2 * law.support + 1 + shift for shift in spread) <= _MOST_OUTCOMES
        exact = few or len(spread) == 1
        worst = max(worst, (delta_exactly if exact else delta_by_grid)(law, spread, epsilon))
    return min(bound, worst)


def converted_delta(law: SampledGaussian, pooled: Sensitivity, epsilon: Fraction) -> Fraction:
    """Return OpenDP's delta for the ideal noise, plus that of the sampler."""
    rho = squared_sensitivity(pooled) / (2 * law.sigma_squared)
    return min(Fraction(1), delta_at(rho, epsilon) + gaussian_delta(law, pooled))


def spreads(pooled: Sensitivity) -> Iterator[tuple[int, ...]]:
    """List the changes one patient can make, by size; cells that do not move are left out.

    One more moved cell is never less, whatever the law (leave it out of the outcome), so only
    those are listed to which no cell can be added. A cell moved FURTHER need not be more for an
    arbitrary law, so smaller moves are listed too.
    """
    for spread in _descending(pooled.d0, pooled.d1, pooled.dinf):
        if spread[-1] > 0 or sum(spread) == pooled.d1:
            yield tuple(shift for shift in spread if shift)


def delta_exactly(law: SampledGaussian, spread: Sequence[int], epsilon: Fraction) -> Fraction:
    """Sum over all outcomes of the cells moved by ``spread``; ``e^epsilon`` rounded down."""
    ratio = exp_below(epsilon)
    up, down = ratio.numerator, ratio.denominator
    excess = 0
    for outcome in product(*(_pairs(law, shift) for shift in spread)):
        gap = down * prod(here for here, _ in outcome) - up * prod(there for _, there in outcome)
        if gap > 0:
            excess += gap
    return Fraction(excess, down * law.mass_unit ** len(spread))


def delta_by_grid(law: SampledGaussian, spread: Sequence[int], epsilon: Fraction) -> Fraction:
    """Bound ``delta_exactly`` from above, by losses rounded up to a grid."""
    step = _step(law, max(spread))
    cells = {shift: _losses(law, shift, step) for shift in set(spread)}
    total, offset, certain = [1 << _MASS_BITS], 0, 0
    for shift in spread:
        masses, lowest, outside = cells[shift]
        total, cut, above = _trimmed(_convolved(total, masses))
        offset += lowest + cut
        certain += outside + above
    excess, one = certain << _MASS_BITS, 1 << _MASS_BITS
    first = max(0, epsilon // step + 1 - offset)  # the first loss above epsilon
    if first < len(total):
        falling = int(exp_minus((first + offset) * step - epsilon, _MASS_BITS).low * one)
        by = int(exp_minus(step, _MASS_BITS).low * one)
        for mass in total[first:]:
            excess += mass * (one - falling)
            falling = falling * by >> _MASS_BITS
    return min(Fraction(1), Fraction(excess, 1 << 2 * _MASS_BITS))


def _pairs(law: SampledGaussian, shift: int) -> list[tuple[int, int]]:
    """Masses of each outcome under both data sets, in units of ``1 / mass_unit``."""
    empty = (0,) * shift
    here, there = (*law.masses, *empty), (*empty, *law.masses)
    return [(p, q) for p, q in zip(here, there, strict=True) if p]


def _losses(law: SampledGaussian, shift: int, step: Fraction) -> tuple[list[int], int, int]:
    """Distribute the loss of one cell over the grid.

    Returns:
        Masses by grid point in units of ``2^-72``, the first grid point, and the mass of the
        outcomes that only one data set can produce. All rounded up.
    """
    unit = law.mass_unit
    buckets: dict[int, int] = {}
    certain = 0
    for here, there in _pairs(law, shift):
        mass = -(-(here << _MASS_BITS) // unit)
        if there == 0:
            certain += mass
        else:
            point = ceil(ln(Fraction(here, there), _LOSS_BITS).high / step)
            buckets[point] = buckets.get(point, 0) + mass
    if not buckets:
        return [0], 0, certain
    points = sorted(buckets)
    kept, cut, above = _trimmed([buckets[point] for point in points])
    points = points[cut : cut + len(kept)]
    buckets = dict(zip(points, kept, strict=True))
    masses = [buckets.get(point, 0) for point in range(points[0], points[-1] + 1)]
    return masses, points[0], certain + above


def _trimmed(masses: list[int]) -> tuple[list[int], int, int]:
    """Cut off both ends, each of less than ``2^-56``, so that long tails do not make long lists.

    Returns:
        The masses kept, how many were cut off below, and the mass cut off above. What is below
        moves up to the first one kept, and what is above counts as lost: delta only rises.
    """
    sums = list(accumulate(masses))
    first = bisect_left(sums, _TRIMMED)
    last = bisect_right(sums, sums[-1] - _TRIMMED, lo=first)
    if last >= len(sums):
        return masses, 0, 0
    return [sums[first], *masses[first + 1 : last + 1]], first, sums[-1] - sums[last]


def _convolved(a: list[int], b: list[int]) -> list[int]:
    """Convolve two lists of masses in units of ``2^-72``; rounded up."""
    packed = _packed(a) * _packed(b)
    size = len(a) + len(b) - 1
    raw = packed.to_bytes(size * _COEFFICIENT_BYTES, "little")
    return [
        -(-int.from_bytes(raw[at : at + _COEFFICIENT_BYTES], "little") >> _MASS_BITS)
        for at in range(0, len(raw), _COEFFICIENT_BYTES)
    ]


def _packed(masses: list[int]) -> int:
    words = (mass.to_bytes(_COEFFICIENT_BYTES, "little") for mass in masses)
    return int.from_bytes(b"".join(words), "little")


def _step(law: SampledGaussian, shift: int) -> Fraction:
    """Grid step: a power of two near the 1024-th part of the largest ideal loss of one cell."""
    largest = shift * law.support / law.sigma_squared
    power = (largest / _GRID_STEPS).numerator.bit_length()
    power -= (largest / _GRID_STEPS).denominator.bit_length()
    return Fraction(2) ** power


def _descending(cells: int, mass: int, most: int) -> Iterator[tuple[int, ...]]:
    """Non-increasing tuples of ``cells`` values from ``most`` to 0 that sum to ``mass`` or less."""
    if cells == 0:
        yield ()
        return
    for first in range(min(most, mass), -1, -1):
        for rest in _descending(cells - 1, mass - first, first):
            yield (first, *rest)
