"""The exact law of the sampled discrete Laplace: it is a law, it is nearly the ideal one, and its
delta is what the definition says."""

import itertools
import random
from decimal import Decimal, localcontext
from fractions import Fraction
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.coins import thresholds_above
from upcare_mpc.privacy.laplace import (
    TARGET_DELTA,
    SampledLaplace,
    release_delta,
    rounded_law,
    sample_law,
)
from upcare_mpc.study.layout import Sensitivity

ONE = Sensitivity(d0=1, d1=1, dinf=1)
SCALES = st.fractions(min_value=Fraction(1, 50), max_value=60, max_denominator=1000)


def small_laws() -> st.SearchStrategy[SampledLaplace]:
    """Laws of any shape, with thresholds that need not approximate anything."""
    return st.integers(1, 4).flatmap(
        lambda digits: st.builds(
            SampledLaplace,
            scale=st.fractions(min_value=Fraction(1, 10), max_value=10, max_denominator=20),
            precision=st.just(5),
            magnitude_bits=st.just(digits),
            thresholds=st.tuples(*[st.integers(0, 31)] * (digits + 1)),
        )
    )


def draw(law: SampledLaplace, uniform: random.Random) -> int:
    """The sampler as the protocol runs it, in the clear."""
    sign, *digits = [uniform.getrandbits(law.precision) < t for t in law.thresholds]
    outward = sum(digit << i for i, digit in enumerate(digits))
    return -1 - outward if sign else outward


@given(small_laws())
def test_the_probabilities_sum_to_one(law: SampledLaplace) -> None:
    assert sum(law.pmf(k) for k in range(-law.support - 3, law.support + 4)) == 1


@given(small_laws())
def test_the_probabilities_are_those_of_all_coin_tosses_counted(law: SampledLaplace) -> None:
    expected: dict[int, Fraction] = {}
    coins = [Fraction(t, 32) for t in law.thresholds]
    for tosses in itertools.product((0, 1), repeat=len(coins)):
        sign, *digits = tosses
        outward = sum(digit << i for i, digit in enumerate(digits))
        value = -1 - outward if sign else outward
        weight = Fraction(1)
        for toss, coin in zip(tosses, coins, strict=True):
            weight *= coin if toss else 1 - coin
        expected[value] = expected.get(value, Fraction(0)) + weight

    assert {k: law.pmf(k) for k in expected} == expected


@given(small_laws(), st.integers(-1, 20))
def test_within_and_variance_agree_with_the_probabilities(law: SampledLaplace, k: int) -> None:
    values = range(-law.support, law.support + 1)

    assert law.within(k) == sum((law.pmf(v) for v in values if abs(v) <= k), Fraction(0))
    mean = sum(v * law.pmf(v) for v in values)
    assert law.variance == sum((v - mean) ** 2 * law.pmf(v) for v in values)


@given(small_laws(), st.fractions(min_value=0, max_value=1, max_denominator=100))
def test_the_error_is_the_smallest_bound_that_holds(law: SampledLaplace, level: Fraction) -> None:
    k = law.error(level)

    assert law.within(k) >= level
    assert k == 0 or law.within(k - 1) < level


@given(small_laws(), st.integers(-40, 40))
def test_delta_is_the_hockey_stick_sum_in_both_directions(law: SampledLaplace, shift: int) -> None:
    values = range(-law.support - 40, law.support + 41)
    with localcontext() as context:
        context.prec = 60
        step = abs(shift) / law.scale
        ratio = Fraction((Decimal(step.numerator) / Decimal(step.denominator)).exp())

    sums = [
        sum(max(Fraction(0), law.pmf(k) - ratio * law.pmf(k - moved)) for k in values)
        for moved in (shift, -shift)
    ]

    assert abs(law.delta_exact(shift) - max(sums)) < Fraction(1, 10**30)


@settings(max_examples=40)
@given(small_laws(), st.integers(-3, 3))
def test_the_bound_for_large_supports_is_never_below_the_exact_delta(
    law: SampledLaplace, shift: int
) -> None:
    assert law.delta_bound(shift) >= law.delta_exact(shift)


@settings(max_examples=30, deadline=None)
@given(scale=SCALES)
def test_no_coin_is_below_the_ideal_one_or_more_than_a_unit_above(scale: Fraction) -> None:
    law = sample_law(scale, ONE)

    with localcontext() as context:
        context.prec = 80
        for index, threshold in enumerate(law.thresholds):
            step = 2 ** max(0, index - 1) / scale
            q = Fraction((-Decimal(step.numerator) / Decimal(step.denominator)).exp())
            ideal = q / (1 + q) * 2**law.precision
            assert threshold - ideal >= -Fraction(1, 10**40)
            assert threshold - ideal < 1
            assert 0 < threshold < 2**law.precision


@settings(max_examples=30, deadline=None)
@given(scale=SCALES, d0=st.integers(1, 4), dinf=st.integers(1, 3), slack=st.integers(0, 5))
def test_every_release_meets_its_target(scale: Fraction, d0: int, dinf: int, slack: int) -> None:
    patient = Sensitivity(d0=d0, d1=min(d0 * dinf, max(d0, dinf) + slack), dinf=dinf)

    law = sample_law(scale, patient)

    assert release_delta(law, patient) <= TARGET_DELTA


@settings(max_examples=25, deadline=None)
@given(small_laws())
def test_no_way_to_move_two_cells_is_worse_than_the_stated_delta(law: SampledLaplace) -> None:
    patient = Sensitivity(d0=2, d1=3, dinf=2)
    values = range(-law.support, law.support + 1)
    masses = {k: law.pmf(k) for k in values}
    with localcontext() as context:
        context.prec = 60
        step = patient.d1 / law.scale
        ratio = Fraction((Decimal(step.numerator) / Decimal(step.denominator)).exp())

    stated = release_delta(law, patient)

    spreads = [(1, 0), (2, 0), (1, 1), (1, -1), (2, 1), (-2, 1)]
    for a, b in [*spreads, *[(-a, -b) for a, b in spreads]]:
        joint = sum(
            max(
                Fraction(0),
                masses[x] * masses[y]
                - ratio * masses.get(x - a, Fraction(0)) * masses.get(y - b, Fraction(0)),
            )
            for x in values
            for y in values
        )
        assert joint <= stated + Fraction(1, 10**30)


@pytest.mark.parametrize("scale", [Fraction(1, 50), Fraction(1), Fraction(10), Fraction(10**6)])
def test_the_law_is_the_smallest_that_meets_the_target(scale: Fraction) -> None:
    target = Fraction(1, 2**48)
    law = sample_law(scale, ONE, target=target)

    coarser = rounded_law(scale, law.precision - 1, law.magnitude_bits)
    narrower = rounded_law(scale, law.precision, law.magnitude_bits - 1) if scale >= 1 else None

    assert release_delta(law, ONE) <= target
    assert release_delta(coarser, ONE) > target
    assert narrower is None or release_delta(narrower, ONE) > target / 4


def test_the_law_for_ten_patients_is_close_to_the_ideal_one() -> None:
    law = sample_law(Fraction(10), ONE)
    q = exp(-0.1)

    assert (law.precision, law.magnitude_bits) == (40, 9)
    for k in range(-200, 201):
        assert float(law.pmf(k)) == pytest.approx((1 - q) / (1 + q) * q ** abs(k), rel=1e-8)
    assert float(law.variance) == pytest.approx(2 * q / (1 - q) ** 2, rel=1e-8)
    assert law.error(Fraction(95, 100)) == 30


def test_at_the_smallest_scale_a_coin_that_is_never_one_would_give_the_count_away() -> None:
    scale = Fraction(1, 50)
    never = SampledLaplace(scale=scale, precision=63, magnitude_bits=1, thresholds=(0, 0))

    law = sample_law(scale, ONE)

    assert never.pmf(0) == 1
    assert never.delta(1) == 1
    assert law.thresholds == (1, 1)
    assert law.pmf(1) == law.pmf(-1) == Fraction(1, 2**40) * (1 - Fraction(1, 2**40))
    assert law.delta(1) <= TARGET_DELTA


@pytest.mark.parametrize("sign", [0, 1, 5, 31])
def test_a_sign_coin_that_is_wrong_shows_in_delta_whichever_way_it_leans(sign: int) -> None:
    """The law need not be symmetric: delta is the worse of the two directions."""
    scale = Fraction(1, 2) / Fraction(693147, 1000000)  # q = 1/4, about
    even = SampledLaplace(
        scale=scale, precision=5, magnitude_bits=2, thresholds=(6, 6, 2)
    ).delta_exact(1)

    leaning = SampledLaplace(
        scale=scale, precision=5, magnitude_bits=2, thresholds=(sign, 6, 2)
    ).delta_exact(1)

    assert leaning > even + Fraction(1, 20)


def test_a_coin_that_is_wrong_by_a_tenth_does_not_meet_the_target() -> None:
    law = sample_law(Fraction(10), ONE)
    first, second, *rest = law.thresholds
    wrong = SampledLaplace(
        scale=law.scale,
        precision=law.precision,
        magnitude_bits=law.magnitude_bits,
        thresholds=(first, second * 11 // 10, *rest),
    )

    assert wrong.delta(1) > Fraction(1, 1000)


def test_thresholds_do_not_depend_on_how_closely_they_were_enclosed() -> None:
    coarse = thresholds_above(Fraction(7, 3), 40, 8)

    fine = thresholds_above(Fraction(7, 3), 60, 8)

    assert coarse == tuple(-(-threshold // 2**20) for threshold in fine)


def test_the_thresholds_of_one_law_are_pinned() -> None:
    law = sample_law(Fraction(2), ONE.times(2))

    assert law.thresholds == (
        415110355302,
        415110355302,
        295704219987,
        131064998829,
        19776046993,
        368721368,
        123734,
    )
    assert law.digest.hex() == "3b1d1e55bc63dd9230cab1ed9d21265ec87342788db768937902bf98557c2389"


def test_every_parameter_is_in_the_digest() -> None:
    laws = [
        SampledLaplace(scale=Fraction(2), precision=8, magnitude_bits=1, thresholds=(1, 2)),
        SampledLaplace(scale=Fraction(3), precision=8, magnitude_bits=1, thresholds=(1, 2)),
        SampledLaplace(scale=Fraction(2), precision=9, magnitude_bits=1, thresholds=(1, 2)),
        SampledLaplace(scale=Fraction(2), precision=8, magnitude_bits=2, thresholds=(1, 2, 0)),
        SampledLaplace(scale=Fraction(2), precision=8, magnitude_bits=1, thresholds=(1, 3)),
        SampledLaplace(scale=Fraction(2), precision=8, magnitude_bits=1, thresholds=(12, 2)),
    ]

    assert len({law.digest for law in laws}) == len(laws)


@pytest.mark.parametrize("scale", [Fraction(1, 51), Fraction(10**6 + 1), Fraction(0), Fraction(-1)])
def test_a_scale_out_of_range_is_refused_in_words(scale: Fraction) -> None:
    with pytest.raises(PrivacyError, match="noise scale must lie between 1/50 and 1000000"):
        sample_law(scale, ONE)


def test_a_threshold_that_is_always_reached_is_refused() -> None:
    with pytest.raises(PrivacyError, match="thresholds lie in"):
        SampledLaplace(scale=Fraction(1), precision=8, magnitude_bits=1, thresholds=(256, 1))


@pytest.mark.parametrize(("digits", "thresholds"), [(0, (1,)), (1, (1,)), (2, (1, 2)), (-1, ())])
def test_a_number_of_thresholds_that_does_not_fit_the_digits_is_refused(
    digits: int, thresholds: tuple[int, ...]
) -> None:
    with pytest.raises(PrivacyError, match=f"got {digits} and {len(thresholds)}"):
        SampledLaplace(scale=Fraction(1), precision=8, magnitude_bits=digits, thresholds=thresholds)


def test_a_patient_who_moves_a_cell_too_far_is_refused_in_words() -> None:
    with pytest.raises(PrivacyError, match="by at most 4096, got 4097"):
        sample_law(Fraction(2000), Sensitivity(d0=1, d1=4097, dinf=4097))


def test_a_loss_too_large_for_the_bound_is_refused_in_words() -> None:
    with pytest.raises(PrivacyError, match="no noise of scale 100 made of 63-bit coins"):
        sample_law(Fraction(100), Sensitivity(d0=1, d1=4000, dinf=4000))


@pytest.mark.statistical
@pytest.mark.parametrize("scale", [Fraction(1, 2), Fraction(3)])
def test_tosses_follow_the_law_and_no_neighbouring_law(scale: Fraction) -> None:
    """Chi-square of 200,000 draws on the cells with 20 or more expected; false alarms 1e-6."""
    from scipy.stats import chi2

    uniform = random.Random(20261122)
    law, draws = sample_law(scale, ONE), 200_000
    counts: dict[int, int] = {}
    for _ in range(draws):
        value = draw(law, uniform)
        counts[value] = counts.get(value, 0) + 1

    def p_value(supposed: SampledLaplace) -> float:
        expected = {k: float(supposed.pmf(k)) * draws for k in range(-200, 201)}
        cells = [k for k in expected if expected[k] >= 20]
        rest = draws - sum(expected[k] for k in cells)
        others = draws - sum(counts.get(k, 0) for k in cells)
        statistic = sum((counts.get(k, 0) - expected[k]) ** 2 / expected[k] for k in cells)
        return float(chi2.sf(statistic + (others - rest) ** 2 / rest, len(cells)))

    assert p_value(law) > 1e-6
    assert p_value(sample_law(scale * Fraction(95, 100), ONE)) < 1e-6
    assert p_value(sample_law(scale * Fraction(105, 100), ONE)) < 1e-6
