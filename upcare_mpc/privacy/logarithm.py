"""Rational enclosures of the natural logarithm; no float is used anywhere.

With ``y = 2^n z``, ``1 <= z < 2`` and ``w = (z - 1) / (z + 1) < 1/3``,

    ln y = n ln 2 + 2 (w + w^3/3 + w^5/5 + ...),        ln 2 = the same series at w = 1/3,

in fixed point, every rounding directed outwards. What is left of the series after a term below one
unit is less than one unit, since ``w^2 <= 1/9``.
"""

from fractions import Fraction
from functools import cache

from upcare_mpc.privacy.exponential import Enclosure

__all__ = ["ln"]


def ln(y: Fraction, bits: int) -> Enclosure:
    """Enclose ``ln y`` for ``y > 0``; the width is a few hundred units of ``2^-bits``."""
    if y <= 0:
        raise ValueError(f"ln wants y > 0, got {y}")
    power = y.numerator.bit_length() - y.denominator.bit_length()
    if y < Fraction(2) ** power:
        power -= 1
    z = y / Fraction(2) ** power
    low, high = _twice_artanh(z.numerator - z.denominator, z.numerator + z.denominator, bits)
    two_low, two_high = _twice_artanh(1, 3, bits)
    if power < 0:
        two_low, two_high = two_high, two_low
    one = 1 << bits
    return Enclosure(Fraction(low + power * two_low, one), Fraction(high + power * two_high, one))


@cache
def _of_third(bits: int) -> tuple[int, int]:
    return _series(1, 3, bits)


def _twice_artanh(numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    """Enclose ``2^bits * 2 artanh(w)`` between two integers."""
    if (numerator, denominator) == (1, 3):
        return _of_third(bits)
    return _series(numerator, denominator, bits)


def _series(numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    low = power_low = (numerator << bits) // denominator
    high = power_high = -((-numerator << bits) // denominator)
    square_low, square_high = low * low >> bits, -(-high * high >> bits)
    odd = 1
    while power_high > 1:
        odd += 2
        power_low = power_low * square_low >> bits
        power_high = -(-power_high * square_high >> bits)
        low += power_low // odd
        high += -(-power_high // odd)
    return 2 * low, 2 * high + 4
