"""One part of Gaussian noise: it is a law, and no coin is below the ideal one."""

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.digits import Part, rounded_part

SIGMAS = st.fractions(min_value=Fraction(1, 50), max_value=20, max_denominator=1000)


def small_parts() -> st.SearchStrategy[Part]:
    """Parts of any shape, with thresholds that need not approximate anything."""
    return st.integers(1, 3).flatmap(
        lambda digits: st.builds(
            Part,
            shift=st.just(0),
            sigma_squared=st.fractions(min_value=Fraction(1, 10), max_value=9, max_denominator=20),
            precision=st.just(4),
            magnitude_bits=st.just(digits),
            tables=st.tuples(*[st.tuples(*[st.integers(0, 15)] * 2**j) for j in range(digits)]),
        )
    )


def bell_curve(sigma_squared: Fraction, k: int) -> Fraction:
    """``e^(-k^2/(2 sigma^2))`` to 80 digits, by another route than the code's."""
    with localcontext() as context:
        context.prec = 80
        x = Fraction(k * k) / (2 * sigma_squared)
        return Fraction((-Decimal(x.numerator) / Decimal(x.denominator)).exp())


@given(small_parts())
def test_the_masses_are_those_of_all_coin_tosses_counted(part: Part) -> None:
    expected = [Fraction(0)] * (2 * part.top + 1)
    for sign, digits in itertools.product(
        (-1, 1), itertools.product((0, 1), repeat=part.magnitude_bits)
    ):
        weight, magnitude = Fraction(1, 2), 0
        for digit, table in zip(digits, part.tables, strict=True):
            coin = Fraction(table[magnitude], 16)
            weight *= coin if digit else 1 - coin
            magnitude = 2 * magnitude + digit
        expected[part.top + sign * magnitude] += weight

    assert [Fraction(mass, part.mass_unit) for mass in part.masses] == expected
    assert part.below[-1] == part.mass_unit
    assert part.variance == sum(k * k * p for k, p in enumerate(expected, -part.top))


@settings(max_examples=25, deadline=None)
@given(sigma=SIGMAS, precision=st.integers(40, 50))
def test_no_coin_is_below_the_ideal_one_or_more_than_a_unit_above(
    sigma: Fraction, precision: int
) -> None:
    digits = int(8 * sigma).bit_length() or 1
    part = rounded_part(sigma**2, precision, digits)
    folded = [bell_curve(sigma**2, m) * (2 if m else 1) for m in range(part.top + 1)]

    for j, table in enumerate(part.tables):
        width = 1 << (digits - j)
        for h, threshold in enumerate(table):
            cells = folded[h * width : (h + 1) * width]
            ideal = sum(cells[width // 2 :]) / sum(cells) * 2**precision
            assert threshold - ideal >= -Fraction(1, 10**20)
            assert threshold - ideal < 1
            assert 0 < threshold < 2**precision


@settings(max_examples=30, deadline=None)
@given(part=small_parts(), shift=st.integers(0, 16))
def test_any_part_contains_the_conditioned_ideal_law_with_the_weight_kept(
    part: Part, shift: int
) -> None:
    common = range(shift - part.top, part.top + 1)
    curve = {k: bell_curve(part.sigma_squared, k) for k in range(-part.top, part.top + 1)}
    whole = sum(curve[k] for k in common)

    kept = part.kept(shift)

    for k in common:
        assert Fraction(part.masses[part.top + k], part.mass_unit) >= (
            kept * curve[k] / whole - Fraction(1, 10**30)
        )
    if not common:
        assert kept == 0


def test_thresholds_do_not_depend_on_how_closely_they_were_enclosed() -> None:
    coarse = rounded_part(Fraction(49, 9), 40, 5)

    fine = rounded_part(Fraction(49, 9), 60, 5)

    assert coarse.tables == tuple(tuple(-(-t // 2**20) for t in table) for table in fine.tables)


def test_tables_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(PrivacyError, match="2 digits need tables"):
        Part(shift=0, sigma_squared=Fraction(1), precision=8, magnitude_bits=2, tables=((1,), (1,)))


def test_a_threshold_that_is_no_probability_is_refused() -> None:
    with pytest.raises(PrivacyError, match=r"thresholds lie in \[0, 2\^8\)"):
        Part(shift=0, sigma_squared=Fraction(1), precision=8, magnitude_bits=1, tables=((256,),))


@pytest.mark.parametrize("shift", [-1, 25])
def test_a_shift_out_of_range_is_refused(shift: int) -> None:
    with pytest.raises(PrivacyError, match="a part moves by 0 to 24 places"):
        rounded_part(Fraction(1), 40, 3, shift=shift)
