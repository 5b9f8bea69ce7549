"""The bell curve on the integers, enclosed: ``g(k) = e^(-k^2 / (2 sigma^2))``.

Both the thresholds of the discrete Gaussian and its privacy figures are ratios of sums of ``g``,
so its normalising constant never appears. In fixed point with every rounding directed outwards:

    g(k + 1) = g(k) * q^(2k + 1),        q = e^(-1 / (2 sigma^2)).

Limits: bits must cover the smallest value wanted; ``bits_for`` says how many that takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import ceil

from upcare_mpc.privacy.exponential import exp_minus

__all__ = ["Bell", "bell", "bits_for", "digit_coins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """Integers that enclose ``2^bits * g(k)`` for ``k = 0 .. top``.

    Attributes:
        low: Never above.
        high: Never below.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]


def bits_for(sigma_squared: Fraction, top: int, precision: int) -> int:
    """Fractional bits that leave ``g(top)`` about ``precision`` significant ones.

    ``3/4 > log2(e) / 2``; the error of ``g(k)`` grows at most like ``k^2`` on the way.
    """
    return precision + ceil(Fraction(3 * top * top, 4) / sigma_squared) + 2 * top.bit_length()


def bell(sigma_squared: Fraction, top: int, bits: int) -> Bell:
    """Enclose ``g(0) .. g(top)`` with ``bits`` fractional bits."""
    one = 1 << bits
    q = exp_minus(1 / (2 * sigma_squared), bits)
    low, high = [one], [one]
    step_low = ratio_low = int(q.low * one)
    step_high = ratio_high = int(q.high * one)
    square_low, square_high = step_low * step_low >> bits, _up(step_high * step_high, bits)
    for _ in range(top):
        low.append(low[-1] * ratio_low >> bits)
        high.append(_up(high[-1] * ratio_high, bits))
        ratio_low = ratio_low * square_low >> bits
        ratio_high = _up(ratio_high * square_high, bits)
    return Bell(low=tuple(low), high=tuple(high))


def digit_coins(
    curve: Bell, magnitude_bits: int, precision: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Enclose the ceilings of the ideal coins of the digits of ``|X|``, from the top.

    The digit of weight ``w``, below the higher digits ``h``, is 1 with probability

        M(2hw + w .. 2hw + 2w - 1) / M(2hw .. 2hw + 2w - 1),

    with ``M`` the mass of the magnitudes in a range: ``g(0)`` once and ``2 g(k)`` for the others.

    Yields:
        For each digit the ceilings of ``2^precision * p``, for p at the low and at the high end
        of its enclosure, by ``h``.
    """
    below_low, below_high = _mass_below(curve.low), _mass_below(curve.high)
    for digit in reversed(range(magnitude_bits)):
        width = 1 << digit
        lows, highs = [], []
        for start in range(0, 1 << magnitude_bits, 2 * width):
            middle, end = start + width, start + 2 * width
            lower_low = below_low[middle] - below_low[start]
            lower_high = below_high[middle] - below_high[start]
            upper_low = below_low[end] - below_low[middle]
            upper_high = below_high[end] - below_high[middle]
            lows.append(-(-(upper_low << precision) // (lower_high + upper_low)))
            highs.append(-(-(upper_high << precision) // (lower_low + upper_high)))
        yield lows, highs


def _mass_below(values: tuple[int, ...]) -> list[int]:
    """Mass of the magnitudes below ``m``, for ``m = 0 .. top + 1``."""
    return [0, *accumulate((values[0], *(2 * value for value in values[1:])))]


def _up(product: int, bits: int) -> int:
    return -(-product >> bits)
