"""Rational enclosures of the exponential function; no float is used anywhere.

Thresholds of noise coins must be the same integers on every host, and a privacy figure must
never be rounded to the flattering side. So ``e^(-x)`` is computed as a pair of integers that
provably encloses it, in fixed point with every single rounding directed outwards:

    e^(y) for 0 <= y <= 1:   1 + y + ... + y^N/N!  <=  e^y  <=  1 + ... + y^N/N! + 2 y^N/N!
    e^(-x) = (1 / e^(x/2^h))^(2^h)

The remainder of the series after term ``N >= 1`` is ``y^N/N! * (y/(N+1) + ...) <= y^N/N!``,
because ``y <= 1``; the factor 2 is slack. The enclosure certifies itself: callers who need it
narrower ask for more bits.

Limits: time grows with the bits asked for; made for a few hundred bits.
"""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Enclosure", "exp_above", "exp_below", "exp_minus"]

_GUARD_BITS = 128


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A real number known to lie in ``[low, high]``."""

    low: Fraction
    high: Fraction


def exp_minus(x: Fraction, bits: int) -> Enclosure:
    """Enclose ``e^(-x)`` for ``x >= 0`` in fixed point with ``bits`` fractional bits.

    The width is about ``2^-bits`` times a small multiple of ``max(1, x)``.
    """
    if x < 0:
        raise ValueError(f"exp_minus wants x >= 0, got {x}")
    halvings = max(0, -(-x.numerator // x.denominator) - 1).bit_length()
    low, high = _exp_of_unit(x / 2**halvings, bits)
    one = 1 << bits
    low, high = (one << bits) // high, _ceil_div(one << bits, low)
    for _ in range(halvings):
        low, high = (low * low) >> bits, _ceil_div(high * high, one)
    return Enclosure(Fraction(low, one), Fraction(high, one))


def exp_below(x: Fraction) -> Fraction:
    """Return a number just below ``e^x``, ``x >= 0``; relative error at most about 2^-120."""
    return 1 / exp_minus(x, _relative_bits(x)).high


def exp_above(x: Fraction) -> Fraction:
    """Return a number just above ``e^x``, ``x >= 0``; relative error at most about 2^-120."""
    return 1 / exp_minus(x, _relative_bits(x)).low


def _relative_bits(x: Fraction) -> int:
    """Fractional bits that leave ``_GUARD_BITS`` significant ones: 3/2 > log2(e)."""
    return _GUARD_BITS + _ceil_div(3 * x.numerator, 2 * x.denominator)


def _exp_of_unit(y: Fraction, bits: int) -> tuple[int, int]:
    """Enclose ``e^y * 2^bits`` for ``0 <= y <= 1`` between two integers."""
    low = high = term_low = term_high = 1 << bits
    n = 0
    while term_high > 1:
        n += 1
        term_low = term_low * y.numerator // (y.denominator * n)
        term_high = _ceil_div(term_high * y.numerator, y.denominator * n)
        low += term_low
        high += term_high
    return low, high + 2 * term_high


def _ceil_div(a: int, b: int) -> int:
    """Divide and round up."""
    return -(-a // b)
