"""How a large discrete Gaussian is split into small ones: shifts, variances and digits.

A sum of n parts with factors ``c_j = 2^(shift_j)`` has the variances

    v_0 = kappa^2 c_1^2,     v_j = kappa^2 (c_{j+1}^2 - c_j^2) / c_j^2,     kappa^2 = 5/2,

so that ``s_{j-1}^2 = kappa^2 c_j^2``, and the last one is the exact rest: ``sigma^2 = sum c_j^2
v_j`` in rationals. As ``1/tau_j^2 = 1/kappa^2 + 1/v_j`` (``smoothing``), shifts 2 or more apart and
a last ``v_j >= 16`` give ``tau_j^2 >= 2.16``, and all ripples together less than ``2^-58``. A
smaller kappa would make a comb before it saved a digit.

Each part then gets the fewest digits that reach as far as ``smoothing`` wants for the study.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, pairwise
from math import ceil, isqrt
from typing import NamedTuple

from upcare_mpc.privacy.digits import MAX_DIGITS
from upcare_mpc.privacy.exponential import exp_minus
from upcare_mpc.privacy.smoothing import GaussianSum

__all__ = ["MAX_PARTS", "Summand", "ands", "most_digits", "splits"]

MAX_PARTS = 4

_KAPPA_SQUARED = Fraction(5, 2)
_LEAST_GAP = 2  # between shifts
_LEAST_LAST = 16  # least sigma^2 of the last part
_ADDER_ANDS = 24  # about what adding one more part costs


class Summand(NamedTuple):
    """The size of one part.

    Attributes:
        shift: Binary places by which it is moved up.
        sigma_squared: Its variance parameter before the shift.
        digits: Binary digits of its magnitude.
    """

    shift: int
    sigma_squared: Fraction
    digits: int


def ands(summands: tuple[Summand, ...], precision: int) -> int:
    """Count the ANDs of one cell: ``lam`` a digit, one-hot selectors, about 24 an adder."""
    selectors = sum(max(0, (1 << (part.digits - 1)) - 2) for part in summands)
    coins = sum(part.digits for part in summands) * precision
    return coins + selectors + _ADDER_ANDS * (len(summands) - 1)


def splits(
    sigma_squared: Fraction, *, moved: int, cells: int, target: Fraction
) -> Iterator[tuple[Summand, ...]]:
    """List all sums of two or more parts, with the digits that they need.

    Args:
        sigma_squared: What the parts sum to.
        moved: How far one patient can move one cell.
        cells: How many cells one patient can move.
        target: Delta of the release, of which truncation may take about half.
    """
    deviations = _deviations(target / cells)
    window = _window(sigma_squared, moved, deviations)
    furthest = (int(sigma_squared / (_LEAST_LAST + _KAPPA_SQUARED))).bit_length() // 2
    for further in range(1, MAX_PARTS):
        for shifts in combinations(range(_LEAST_GAP, furthest + 1), further):
            if any(after - before < _LEAST_GAP for before, after in pairwise(shifts)):
                continue
            variances = _variances(sigma_squared, shifts)
            if not _LEAST_LAST <= variances[-1] <= 4**MAX_DIGITS:
                continue
            parts = GaussianSum(variances, (0, *shifts))
            digits = [ceil(reach).bit_length() for reach in parts.reaches(window, deviations)]
            if max(digits) <= MAX_DIGITS:
                yield tuple(map(Summand, parts.shifts, variances, digits))


def most_digits(sigma_squared: Fraction, *, moved: int, cells: int, target: Fraction) -> int:
    """Return the digits with which a single part leaves truncation less than half of ``target``.

    Arguments as for ``splits``. More digits would not make the law better.
    """
    return ceil(_window(sigma_squared, moved, _deviations(target / cells))).bit_length()


def _window(sigma_squared: Fraction, moved: int, deviations: Fraction) -> Fraction:
    """Return about ``moved + deviations * sigma``."""
    return moved + deviations * isqrt(ceil(sigma_squared * 2**32)) / 2**16


def _variances(sigma_squared: Fraction, shifts: tuple[int, ...]) -> tuple[Fraction, ...]:
    """Return ``v_0, v_1, ..``; the last one may be negative, where the shifts are too large."""
    return (
        _KAPPA_SQUARED * 4 ** shifts[0],
        *(_KAPPA_SQUARED * (4 ** (after - before) - 1) for before, after in pairwise(shifts)),
        sigma_squared / 4 ** shifts[-1] - _KAPPA_SQUARED,
    )


@lru_cache(maxsize=64)
def _deviations(target: Fraction) -> Fraction:
    """Return the least z, in eighths, with ``4 e^(-z^2/2) <= target``.

    The tail outside the window is about ``e^(-z^2/2) / 10`` and the tails lost in one sum about
    ``e^(-z^2/2) / 2``, of which there are at most three.
    """
    eighths = 1
    while 4 * exp_minus(Fraction(eighths**2, 128), 256).high > target:
        eighths += 1
    return Fraction(eighths, 8)
