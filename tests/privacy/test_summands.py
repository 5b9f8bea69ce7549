"""How a large Gaussian is split: the variances add up exactly and the digits reach far enough."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.privacy.smoothing import GaussianSum
from upcare_mpc.privacy.summands import Summand, ands, splits

TARGET = Fraction(1, 2**40)


@settings(max_examples=10, deadline=None)
@given(
    sigma=st.fractions(min_value=20, max_value=10**6, max_denominator=1000),
    cells=st.integers(1, 50),
)
def test_the_variances_of_every_split_add_up_exactly(sigma: Fraction, cells: int) -> None:
    found = list(splits(sigma**2, moved=1, cells=cells, target=TARGET))

    assert found
    for parts in found:
        assert sum(4**part.shift * part.sigma_squared for part in parts) == sigma**2
        assert parts[0].shift == 0
        assert 2 <= len(parts) <= 4


@settings(max_examples=10, deadline=None)
@given(sigma=st.fractions(min_value=20, max_value=10**6, max_denominator=1000))
def test_every_cheap_split_is_good_before_its_coins_are_rounded(sigma: Fraction) -> None:
    every = splits(sigma**2, moved=1, cells=1, target=TARGET)
    for parts in sorted(every, key=lambda parts: ands(parts, 46))[:20]:
        ideal = GaussianSum(
            tuple(part.sigma_squared for part in parts), tuple(part.shift for part in parts)
        )

        kept = ideal.kept([2**part.digits - 1 for part in parts], 1)

        assert kept >= 1 - TARGET / 2


def test_a_small_sigma_has_no_split() -> None:
    assert list(splits(Fraction(36), moved=1, cells=1, target=TARGET)) == []


def test_the_ands_of_one_part_and_of_a_sum() -> None:
    one, other = Summand(0, Fraction(100), 7), Summand(3, Fraction(200), 8)

    assert ands((one,), 45) == 7 * 45 + 2**6 - 2
    assert ands((one, other), 45) == 15 * 45 + 2**6 + 2**7 - 4 + 24
    assert ands((Summand(0, Fraction(1, 100), 1),), 40) == 40
