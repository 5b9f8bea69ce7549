"""The logarithm is enclosed."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.privacy.logarithm import ln


@given(
    st.fractions(min_value=Fraction(1, 10**12), max_value=10**12, max_denominator=10**12),
    st.sampled_from([64, 128, 192]),
)
def test_the_logarithm_lies_in_a_narrow_enclosure(y: Fraction, bits: int) -> None:
    with localcontext() as context:
        context.prec = 90
        true = Fraction((Decimal(y.numerator) / Decimal(y.denominator)).ln())

    found = ln(y, bits)

    slack = Fraction(1, 10**80)
    assert found.low - slack <= true <= found.high + slack
    assert found.high - found.low <= Fraction(1 << 14, 1 << bits)


def test_the_logarithm_of_a_power_of_two_near_its_border_is_not_off_by_a_factor() -> None:
    below = ln(Fraction(2**70 - 1, 2**70), 128)

    assert below.high < 0 < ln(Fraction(2**70 + 1, 2**70), 128).low


@pytest.mark.parametrize("y", [Fraction(0), Fraction(-1)])
def test_only_positive_numbers_have_one(y: Fraction) -> None:
    with pytest.raises(ValueError, match="y > 0"):
        ln(y, 64)
