"""The exact law of the sampled discrete Gaussian: it is a law, it is nearly the ideal one, and it
contains an ideal release with all but the stated delta of its mass."""

import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.gaussian import (
    TARGET_DELTA,
    SampledGaussian,
    gaussian_delta,
    rounded_gaussian,
    sample_gaussian,
    squared_sensitivity,
)
from upcare_mpc.study.layout import Sensitivity

ONE = Sensitivity(d0=1, d1=1, dinf=1)
SIGMAS = st.fractions(min_value=Fraction(1, 50), max_value=20, max_denominator=1000)

PINNED_TABLES = ((1,), (2321087130, 1), (936845294088, 199661939, 66983, 23))
PINNED_DIGEST = "736a9ef5a7943a0e193d705e27995bcf5fb7f7432239d8e7b631a40c9abf9975"


def small_laws() -> st.SearchStrategy[SampledGaussian]:
    """Laws of any shape, with thresholds that need not approximate anything."""
    return st.integers(1, 3).flatmap(
        lambda digits: st.builds(
            SampledGaussian,
            sigma_squared=st.fractions(min_value=Fraction(1, 10), max_value=9, max_denominator=20),
            precision=st.just(4),
            magnitude_bits=st.just(digits),
            tables=st.tuples(*[st.tuples(*[st.integers(0, 15)] * 2**j) for j in range(digits)]),
        )
    )


def draw(law: SampledGaussian, draws: int, uniform: np.random.Generator) -> np.ndarray:
    """The sampler as the protocol runs it, in the clear."""
    magnitude = np.zeros(draws, np.int64)
    for table in law.tables:
        u = uniform.integers(0, 1 << law.precision, draws, dtype=np.uint64)
        digit = u < np.array(table, np.uint64)[magnitude]
        magnitude = 2 * magnitude + digit
    return magnitude * (1 - 2 * uniform.integers(0, 2, draws))


def bell_curve(sigma_squared: Fraction, k: int) -> Fraction:
    """``e^(-k^2 / (2 sigma^2))`` to 80 digits, by another route than the code's."""
    with localcontext() as context:
        context.prec = 80
        x = Fraction(k * k) / (2 * sigma_squared)
        return Fraction((-Decimal(x.numerator) / Decimal(x.denominator)).exp())


@given(small_laws())
def test_the_probabilities_sum_to_one_and_are_symmetric(law: SampledGaussian) -> None:
    values = range(-law.support - 3, law.support + 4)

    assert sum(law.pmf(k) for k in values) == 1
    assert all(law.pmf(k) == law.pmf(-k) for k in values)


@given(small_laws())
def test_the_probabilities_are_those_of_all_coin_tosses_counted(law: SampledGaussian) -> None:
    expected: dict[int, Fraction] = {}
    for sign, digits in itertools.product(
        (-1, 1), itertools.product((0, 1), repeat=law.magnitude_bits)
    ):
        weight, magnitude = Fraction(1, 2), 0
        for digit, table in zip(digits, law.tables, strict=True):
            coin = Fraction(table[magnitude], 16)
            weight *= coin if digit else 1 - coin
            magnitude = 2 * magnitude + digit
        expected[sign * magnitude] = expected.get(sign * magnitude, Fraction(0)) + weight

    assert {k: law.pmf(k) for k in expected} == expected


@given(small_laws(), st.integers(-1, 10))
def test_within_and_variance_agree_with_the_probabilities(law: SampledGaussian, k: int) -> None:
    values = range(-law.support, law.support + 1)

    assert law.within(k) == sum((law.pmf(v) for v in values if abs(v) <= k), Fraction(0))
    assert law.variance == sum(v * v * law.pmf(v) for v in values)


@given(small_laws(), st.fractions(min_value=0, max_value=1, max_denominator=100))
def test_the_error_is_the_smallest_bound_that_holds(law: SampledGaussian, level: Fraction) -> None:
    k = law.error(level)

    assert law.within(k) >= level
    assert k == 0 or law.within(k - 1) < level


@settings(max_examples=25, deadline=None)
@given(sigma=SIGMAS)
def test_no_coin_is_below_the_ideal_one_or_more_than_a_unit_above(sigma: Fraction) -> None:
    law = sample_gaussian(sigma**2, ONE)
    folded = [bell_curve(sigma**2, m) * (2 if m else 1) for m in range(law.support + 1)]

    for j, table in enumerate(law.tables):
        width = 1 << (law.magnitude_bits - j)
        for h, threshold in enumerate(table):
            cells = folded[h * width : (h + 1) * width]
            ideal = sum(cells[width // 2 :]) / sum(cells) * 2**law.precision
            assert threshold - ideal >= -Fraction(1, 10**20)
            assert threshold - ideal < 1
            assert 0 < threshold < 2**law.precision


@settings(max_examples=25, deadline=None)
@given(sigma=SIGMAS, shift=st.integers(1, 3))
def test_no_value_that_the_data_can_move_has_an_outward_neighbour_without_mass(
    sigma: Fraction, shift: int
) -> None:
    if shift > 50 * sigma:
        return
    law = sample_gaussian(sigma**2, Sensitivity(d0=1, d1=shift, dinf=shift))

    assert law.support >= shift
    assert all(law.pmf(k) > 0 for k in range(law.support + 1))
    assert sum(law.pmf(k) for k in range(law.support - shift + 1, law.support + 1)) <= TARGET_DELTA


@settings(max_examples=30, deadline=None)
@given(law=small_laws(), shift=st.integers(1, 16))
def test_any_law_contains_the_conditioned_ideal_pair_with_all_but_delta(
    law: SampledGaussian, shift: int
) -> None:
    common = range(shift - law.support, law.support + 1)
    curve = {k: bell_curve(law.sigma_squared, k) for k in range(-law.support, law.support + 1)}
    whole = sum(curve[k] for k in common)

    kept = 1 - law.delta(shift)

    for k in common:  # both data sets, each in its own frame
        assert law.pmf(k) >= kept * curve[k] / whole - Fraction(1, 10**30)
        assert law.pmf(k - shift) >= kept * curve[k - shift] / whole - Fraction(1, 10**30)
    if not common:
        assert law.delta(shift) == 1


@settings(max_examples=60, deadline=None)
@given(
    sigma=st.floats(0.2, 5),
    reach=st.integers(1, 15),
    shift=st.integers(1, 12),
    order=st.floats(1.0001, 60),
)
def test_conditioning_on_the_common_values_costs_no_rho(
    sigma: float, reach: int, shift: int, order: float
) -> None:
    common = range(shift - reach, reach + 1)
    if not common:
        return
    with localcontext() as context:
        context.prec = 60
        spread = 2 * Decimal(sigma) ** 2
        here = [(-Decimal(k * k) / spread).exp() for k in common]
        there = [(-Decimal((k - shift) ** 2) / spread).exp() for k in common]
        total_here, total_there = sum(here), sum(there)
        moment = sum(
            (p / total_here) ** Decimal(order) * (q / total_there) ** (1 - Decimal(order))
            for p, q in zip(here, there, strict=True)
        )
        divergence = moment.ln() / (Decimal(order) - 1)

        assert divergence <= Decimal(order) * shift**2 / spread + Decimal("1e-40")


@settings(max_examples=25, deadline=None)
@given(sigma=SIGMAS, d0=st.integers(1, 4), dinf=st.integers(1, 3), slack=st.integers(0, 5))
def test_every_release_meets_its_target(sigma: Fraction, d0: int, dinf: int, slack: int) -> None:
    patient = Sensitivity(d0=d0, d1=min(d0 * dinf, max(d0, dinf) + slack), dinf=dinf)
    if dinf > 50 * sigma:
        return

    law = sample_gaussian(sigma**2, patient)

    assert 0 < gaussian_delta(law, patient) <= TARGET_DELTA


@pytest.mark.parametrize("sigma", [Fraction(1, 50), Fraction(1), Fraction(10), Fraction(30)])
def test_the_law_is_the_smallest_that_meets_the_target(sigma: Fraction) -> None:
    target = Fraction(1, 2**44)
    law = sample_gaussian(sigma**2, ONE, target=target)

    coarser = rounded_gaussian(sigma**2, law.precision - 1, law.magnitude_bits)
    digits = law.magnitude_bits - 1
    narrower = rounded_gaussian(sigma**2, 63, digits) if digits else None

    assert gaussian_delta(law, ONE) <= target
    assert gaussian_delta(coarser, ONE) > target
    assert narrower is None or gaussian_delta(narrower, ONE) > target * 3 / 4


@pytest.mark.parametrize(
    ("sigma", "precision", "digits"),
    [
        (Fraction(3, 10), 40, 2),
        (Fraction(1), 42, 4),
        (Fraction(3), 43, 5),
        (Fraction(10), 43, 7),
        (Fraction(30), 44, 8),
        (Fraction(100), 43, 10),
    ],
)
def test_the_size_of_the_circuit_for_one_cell(sigma: Fraction, precision: int, digits: int) -> None:
    law = sample_gaussian(sigma**2, ONE)

    assert (law.precision, law.magnitude_bits) == (precision, digits)
    assert law.entries == 2**digits - 1 == sum(map(len, law.tables))


def test_the_law_for_ten_patients_is_close_to_the_ideal_one() -> None:
    law = sample_gaussian(Fraction(100), ONE)
    total = sum(math.exp(-k * k / 200) for k in range(-300, 301))

    for k in range(-60, 61):
        assert float(law.pmf(k)) == pytest.approx(math.exp(-k * k / 200) / total, rel=1e-9)
    assert float(law.variance) == pytest.approx(100, rel=1e-9)
    assert law.error(Fraction(95, 100)) == 20


def test_rounding_the_outermost_coins_to_zero_would_cost_delta() -> None:
    law = sample_gaussian(Fraction(1), ONE)
    cut = SampledGaussian(
        sigma_squared=law.sigma_squared,
        precision=law.precision,
        magnitude_bits=law.magnitude_bits,
        tables=((0,), *law.tables[1:]),
    )

    assert law.delta(1) <= TARGET_DELTA
    assert cut.delta(1) == 1


def test_a_coin_that_is_wrong_by_a_tenth_does_not_meet_the_target() -> None:
    law = sample_gaussian(Fraction(9), ONE)
    wrong = SampledGaussian(
        sigma_squared=law.sigma_squared,
        precision=law.precision,
        magnitude_bits=law.magnitude_bits,
        tables=(*law.tables[:-1], (law.tables[-1][0] * 11 // 10, *law.tables[-1][1:])),
    )

    assert wrong.delta(1) > Fraction(1, 100)


def test_thresholds_do_not_depend_on_how_closely_they_were_enclosed() -> None:
    coarse = rounded_gaussian(Fraction(49, 9), 40, 5)

    fine = rounded_gaussian(Fraction(49, 9), 60, 5)

    assert coarse.tables == tuple(tuple(-(-t // 2**20) for t in table) for table in fine.tables)


def test_the_thresholds_of_one_law_are_pinned() -> None:
    law = sample_gaussian(Fraction(1, 4), ONE.times(2))

    assert law.tables == PINNED_TABLES
    assert law.digest.hex() == PINNED_DIGEST


def test_every_parameter_is_in_the_digest() -> None:
    def law(square: int, precision: int, *tables: tuple[int, ...]) -> SampledGaussian:
        return SampledGaussian(
            sigma_squared=Fraction(square),
            precision=precision,
            magnitude_bits=len(tables),
            tables=tables,
        )

    laws = [
        law(1, 8, (1,), (2, 3)),
        law(2, 8, (1,), (2, 3)),
        law(1, 9, (1,), (2, 3)),
        law(1, 8, (1,)),
        law(1, 8, (1,), (3, 2)),
        law(1, 8, (12,), (2, 3)),
        law(1, 8, (1,), (22, 3)),
    ]

    assert len({one.digest for one in laws}) == len(laws)


def test_the_worst_sum_of_squares_is_found() -> None:
    def brute(patient: Sensitivity) -> int:
        moves = itertools.product(range(patient.dinf + 1), repeat=patient.d0)
        return max(sum(s * s for s in move) for move in moves if sum(move) <= patient.d1)

    for d0, dinf in itertools.product(range(1, 5), range(1, 5)):
        for d1 in range(max(d0, dinf), d0 * dinf + 1):
            patient = Sensitivity(d0=d0, d1=d1, dinf=dinf)
            assert squared_sensitivity(patient) == brute(patient)


@pytest.mark.parametrize("square", [Fraction(1, 2501), Fraction(0), Fraction(-1)])
def test_a_sigma_out_of_range_is_refused_in_words(square: Fraction) -> None:
    with pytest.raises(PrivacyError, match="sigma must be at least 1/50"):
        sample_gaussian(square, ONE)


def test_a_sigma_too_large_for_tables_is_refused_in_words() -> None:
    with pytest.raises(PrivacyError, match="sigma 1000 does not fit in tables of 4095 thresholds"):
        sample_gaussian(Fraction(10**6), ONE)


def test_a_patient_who_moves_a_cell_too_far_is_refused_in_words() -> None:
    with pytest.raises(PrivacyError, match="by at most 50 sigma, got 51 at sigma 1"):
        sample_gaussian(Fraction(1), Sensitivity(d0=1, d1=51, dinf=51))


def test_tables_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(PrivacyError, match="2 digits need tables"):
        SampledGaussian(
            sigma_squared=Fraction(1), precision=8, magnitude_bits=2, tables=((1,), (1,))
        )


@pytest.mark.statistical
@pytest.mark.parametrize("sigma", [Fraction(3, 10), Fraction(1), Fraction(10), Fraction(100)])
def test_draws_follow_the_law_and_no_neighbouring_law(sigma: Fraction) -> None:
    """Chi-square of 1e6 draws on the cells with 20 or more expected; false alarms 1e-6."""
    from scipy.stats import chi2

    draws = 1_000_000
    law = sample_gaussian(sigma**2, ONE)
    sample = draw(law, draws, np.random.default_rng(20261122))

    def p_value(supposed: SampledGaussian) -> float:
        values = range(-law.support, law.support + 1)
        expected = np.array([float(supposed.pmf(k)) * draws for k in values])
        counts = np.bincount(sample + law.support, minlength=len(expected)).astype(float)
        often = expected >= 20
        rest, others = draws - expected[often].sum(), draws - counts[often].sum()
        statistic = ((counts - expected) ** 2 / expected)[often].sum()
        statistic += (others - rest) ** 2 / max(rest, 1)
        return float(chi2.sf(statistic, int(often.sum())))

    assert p_value(law) > 1e-6
    assert p_value(sample_gaussian((sigma * Fraction(98, 100)) ** 2, ONE)) < 1e-6
    assert p_value(sample_gaussian((sigma * Fraction(102, 100)) ** 2, ONE)) < 1e-6
