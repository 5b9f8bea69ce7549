"""The bound on sums of Gaussians: never better than the truth, nearly as good, and no friend of
combs."""

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import pytest

from upcare_mpc.privacy.bell import bell, bits_for
from upcare_mpc.privacy.digits import rounded_part
from upcare_mpc.privacy.gaussian import TARGET_DELTA, SampledGaussian, sample_gaussian
from upcare_mpc.privacy.smoothing import GaussianSum
from upcare_mpc.study.layout import Sensitivity


def law_of(*parts: tuple[int, Fraction | int, int], precision: int = 60) -> SampledGaussian:
    """A sum of parts ``(shift, sigma, digits)`` that nothing has chosen well."""
    return SampledGaussian(
        parts=tuple(
            rounded_part(Fraction(sigma) ** 2, precision, digits, shift=shift)
            for shift, sigma, digits in parts
        )
    )


def exact_delta(law: SampledGaussian, shift: int) -> Fraction:
    """``1 - G min P/g`` over all values, for the best window: what the bound bounds.

    All values of P by exact convolution; g enclosed to about 2^-190.
    """
    square = law.sigma_squared
    reach = min(law.support, int(14 * float(square) ** 0.5) + shift)
    bits = bits_for(square, reach, 192)
    curve = bell(square, reach, bits)
    below = [0, *accumulate((2 if k else 1) * low for k, low in enumerate(curve.low))]
    best, least = Fraction(1), None
    for window in range(reach + 1):
        ratio = (law.masses[law.support + window] << bits) // curve.high[window]
        least = ratio if least is None else min(least, ratio)
        if window >= shift:
            whole = below[window + 1] + below[window + 1 - shift]
            best = min(best, 1 - Fraction(whole * least, 2 * law.mass_unit << bits))
    return best


@pytest.mark.parametrize(
    ("sigma", "shift"), [(100, 1), (100, 90), (130, 2), (300, 50), (Fraction(4321, 9), 1)]
)
def test_a_chosen_sum_has_a_bound_above_the_exact_delta_and_within_twice(
    sigma: Fraction | int, shift: int
) -> None:
    law = sample_gaussian(Fraction(sigma) ** 2, Sensitivity(d0=1, d1=shift, dinf=shift))
    assert len(law.parts) > 1

    bound, exact = law.delta(shift), exact_delta(law, shift)

    assert exact <= bound <= TARGET_DELTA
    assert bound < exact * Fraction(11, 5)


@pytest.mark.parametrize("digits", [5, 6, 7])
def test_a_sum_of_three_has_a_bound_above_the_exact_delta(digits: int) -> None:
    """With 5 digits the parts end too early."""
    law = law_of((0, 6, digits), (2, 6, digits), (4, 7, digits))

    assert 0 < exact_delta(law, 1) <= law.delta(1)
    assert (law.delta(1) < TARGET_DELTA) == (digits > 5)


@pytest.mark.parametrize(
    ("first", "worse_than"), [(2, Fraction(1, 2)), (4, Fraction(1, 100)), (8, Fraction(1, 2**28))]
)
def test_a_shift_too_large_for_the_smoothing_makes_a_comb_that_is_refused(
    first: int, worse_than: Fraction
) -> None:
    """Teeth 8 apart, each of width ``first``: a patient who moves a cell by 1 may be seen.

    With ``first`` = 10 and more the same sum is good.
    """
    comb = law_of((0, first, 7), (3, 8, 7))
    good = law_of((0, 10, 7), (3, 8, 7))

    assert comb.delta(1) >= exact_delta(comb, 1) > worse_than > TARGET_DELTA
    assert good.delta(1) < TARGET_DELTA


@pytest.mark.parametrize(
    "parts",
    [
        ((0, 10, 7), (3, 17, 7)),  # the last part ends too early
        ((0, 17, 7), (3, 8, 7)),  # the first one does
        ((0, 12, 7), (3, Fraction(3, 2), 7)),  # the last one is too narrow to be smooth
        ((0, 10, 5), (3, 8, 7)),
        ((0, 10, 7), (3, 8, 4)),
    ],
)
def test_a_badly_chosen_sum_has_a_bound_above_the_exact_delta(
    parts: tuple[tuple[int, Fraction | int, int], ...],
) -> None:
    law = law_of(*parts)

    assert exact_delta(law, 1) <= law.delta(1)
    assert law.delta(1) > Fraction(1, 2**37)


def test_coins_that_are_wrong_are_part_of_the_bound() -> None:
    good = law_of((0, 10, 7), (3, 8, 7))
    first, last = good.parts
    tables = (*last.tables[:-1], (last.tables[-1][0] * 9 // 10, *last.tables[-1][1:]))
    wrong = SampledGaussian(parts=(first, replace(last, tables=tables)))

    assert wrong.delta(1) >= exact_delta(wrong, 1) > Fraction(1, 1000)


def test_the_reaches_are_linear_and_shares_of_the_window_add_up_to_it() -> None:
    parts = GaussianSum((Fraction(40), Fraction(150), Fraction(200)), (0, 2, 5))

    by_window = parts.reaches(Fraction(1), Fraction(0))
    by_deviation = parts.reaches(Fraction(0), Fraction(1))

    assert sum(share * 2**shift for share, shift in zip(by_window, (0, 2, 5), strict=True)) == 1
    assert parts.reaches(Fraction(70), Fraction(3)) == [
        70 * a + 3 * b for a, b in zip(by_window, by_deviation, strict=True)
    ]


def test_a_cell_moved_further_than_the_window_keeps_nothing() -> None:
    parts = GaussianSum((Fraction(100), Fraction(64)), (0, 3))

    assert parts.kept([127, 127], 1) > 1 - TARGET_DELTA
    assert parts.kept([127, 127], 1143) == 0
