"""Enclosures of the exponential: they enclose, and they are tight."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.privacy.exponential import exp_above, exp_below, exp_minus

ARGUMENTS = st.fractions(min_value=0, max_value=200, max_denominator=10**6)


def decimal_exp(x: Fraction) -> Fraction:
    """An independent e^x, correct to about 90 digits."""
    with localcontext() as context:
        context.prec = 100
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).exp())


@given(x=ARGUMENTS, bits=st.integers(min_value=64, max_value=256))
def test_the_enclosure_holds_the_value_and_is_narrow(x: Fraction, bits: int) -> None:
    enclosure = exp_minus(x, bits)

    assert enclosure.low <= decimal_exp(-x) <= enclosure.high
    assert enclosure.high - enclosure.low <= Fraction(64 * (1 + int(x)), 2**bits)


@given(x=ARGUMENTS)
def test_rounding_goes_the_way_the_name_says(x: Fraction) -> None:
    truth = decimal_exp(x)

    assert exp_below(x) <= truth * (1 + Fraction(1, 10**80))
    assert exp_above(x) >= truth * (1 - Fraction(1, 10**80))
    assert exp_above(x) <= exp_below(x) * (1 + Fraction(1, 2**110))


def test_zero_is_exact() -> None:
    assert exp_minus(Fraction(0), 64).low == exp_minus(Fraction(0), 64).high == 1


def test_a_negative_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="x >= 0"):
        exp_minus(Fraction(-1), 64)
