"""The exact law of the sampled discrete Gaussian: it is a law, it is nearly the ideal one, and it
contains an ideal release with all but the stated delta of its mass."""

import itertools
import json
import math
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.digits import Part, rounded_part
from upcare_mpc.privacy.gaussian import (
    MAX_SIGMA,
    TARGET_DELTA,
    SampledGaussian,
    gaussian_delta,
    sample_gaussian,
    squared_sensitivity,
)
from upcare_mpc.study.layout import Sensitivity

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "gaussian.json").read_text())
ONE = Sensitivity(d0=1, d1=1, dinf=1)
SMALL_SIGMAS = st.fractions(min_value=Fraction(1, 50), max_value=20, max_denominator=1000)
SIGMAS = st.fractions(min_value=Fraction(1, 2), max_value=10**6, max_denominator=1000)


@st.composite
def small_laws(draw: st.DrawFn, most_parts: int = 3) -> SampledGaussian:
    """Laws of any shape, with thresholds that need not approximate anything."""
    shift, parts = 0, []
    for _ in range(draw(st.integers(1, most_parts))):
        digits = draw(st.integers(1, 3))
        sigma_squared = draw(
            st.fractions(min_value=Fraction(1, 10), max_value=9, max_denominator=20)
        )
        tables = tuple(
            tuple(draw(st.lists(st.integers(0, 15), min_size=2**j, max_size=2**j)))
            for j in range(digits)
        )
        parts.append(
            Part(
                shift=shift,
                sigma_squared=sigma_squared,
                precision=4,
                magnitude_bits=digits,
                tables=tables,
            )
        )
        shift += draw(st.integers(1, 3))
    return SampledGaussian(parts=tuple(parts))


def single(sigma: Fraction | int, precision: int, digits: int) -> SampledGaussian:
    return SampledGaussian(parts=(rounded_part(Fraction(sigma) ** 2, precision, digits),))


def probabilities(law: SampledGaussian) -> dict[int, Fraction]:
    """The law of a sum by the definition: all combinations of the parts' values."""
    total = {0: Fraction(1)}
    for part in law.parts:
        found: dict[int, Fraction] = {}
        for (x, p), (k, mass) in itertools.product(
            total.items(), enumerate(part.masses, -part.top)
        ):
            value = x + (k << part.shift)
            found[value] = found.get(value, Fraction(0)) + p * Fraction(mass, part.mass_unit)
        total = found
    return total


def draw(law: SampledGaussian, draws: int, uniform: np.random.Generator) -> np.ndarray:
    """The sampler as the protocol runs it, in the clear."""
    total = np.zeros(draws, np.int64)
    for part in law.parts:
        magnitude = np.zeros(draws, np.int64)
        for table in part.tables:
            u = uniform.integers(0, 1 << part.precision, draws, dtype=np.uint64)
            digit = u < np.array(table, np.uint64)[magnitude]
            magnitude = 2 * magnitude + digit
        total += (magnitude * (1 - 2 * uniform.integers(0, 2, draws))) << part.shift
    return total


def bell_curve(sigma_squared: Fraction, k: int) -> Fraction:
    """``e^(-k^2 / (2 sigma^2))`` to 80 digits, by another route than the code's."""
    with localcontext() as context:
        context.prec = 80
        x = Fraction(k * k) / (2 * sigma_squared)
        return Fraction((-Decimal(x.numerator) / Decimal(x.denominator)).exp())


# -- probabilities ------------------------------------------------------------------------------


@settings(deadline=None)
@given(small_laws())
def test_the_probabilities_are_those_of_all_sums_of_the_parts(law: SampledGaussian) -> None:
    expected = probabilities(law)
    values = range(-law.support - 3, law.support + 4)

    assert [law.pmf(k) for k in values] == [expected.get(k, Fraction(0)) for k in values]
    assert [Fraction(mass, law.mass_unit) for mass in law.masses] == [
        expected.get(k, Fraction(0)) for k in range(-law.support, law.support + 1)
    ]


@settings(deadline=None)
@given(small_laws(), st.integers(-1, 100))
def test_within_and_variance_agree_with_the_probabilities(law: SampledGaussian, k: int) -> None:
    expected = probabilities(law)

    assert law.within(k) == sum((p for v, p in expected.items() if abs(v) <= k), Fraction(0))
    assert law.variance == sum(v * v * p for v, p in expected.items())


@settings(deadline=None)
@given(small_laws(), st.fractions(min_value=0, max_value=1, max_denominator=100))
def test_the_error_is_the_smallest_bound_that_holds(law: SampledGaussian, level: Fraction) -> None:
    k = law.error(level)

    assert law.within(k) >= level
    assert k == 0 or law.within(k - 1) < level


@pytest.mark.parametrize("sigma", [10, 100, 3_000, 10**5, 10**6])
def test_the_law_is_close_to_the_ideal_one_out_to_six_sigma(sigma: int) -> None:
    law = sample_gaussian(Fraction(sigma) ** 2, ONE)
    peak = 1 / (sigma * math.sqrt(2 * math.pi))  # the discrete one differs by less than 1e-100

    for k in range(-6 * sigma, 6 * sigma + 1, 1 + 6 * sigma // 17):
        ideal = peak * math.exp(-k * k / (2 * sigma * sigma))
        assert float(law.pmf(k)) == pytest.approx(ideal, rel=1e-8)
    assert float(law.variance) == pytest.approx(sigma**2, rel=1e-9)
    assert law.error(Fraction(95, 100)) == pytest.approx(1.96 * sigma, rel=0.03)


# -- the guarantee ------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(sigma=SMALL_SIGMAS, shift=st.integers(1, 3))
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
@given(law=small_laws(most_parts=1), shift=st.integers(1, 16))
def test_any_law_of_one_part_contains_the_conditioned_ideal_pair_with_all_but_delta(
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

    law = sample_gaussian(sigma**2, patient)

    assert law.sigma_squared == sigma**2
    assert 0 < gaussian_delta(law, patient) <= TARGET_DELTA


@pytest.mark.parametrize("sigma", [10, 1_000, 10**6])
@pytest.mark.parametrize("patient", [Sensitivity(3000, 3000, 1), Sensitivity(40, 500, 300)])
def test_a_patient_in_many_cells_or_far_off_is_charged_for_all(
    sigma: int, patient: Sensitivity
) -> None:
    law = sample_gaussian(Fraction(sigma) ** 2, patient)

    delta = gaussian_delta(law, patient)

    assert delta <= TARGET_DELTA
    assert delta >= patient.d0 * law.delta(patient.dinf)


@pytest.mark.parametrize("sigma", [Fraction(1, 50), Fraction(1), Fraction(10), Fraction(30)])
def test_the_law_is_the_smallest_that_meets_the_target(sigma: Fraction) -> None:
    target = Fraction(1, 2**44)
    law = sample_gaussian(sigma**2, ONE, target=target)
    (part,) = law.parts

    coarser = single(sigma, part.precision - 1, part.magnitude_bits)
    digits = part.magnitude_bits - 1
    narrower = single(sigma, 63, digits) if digits else None

    assert gaussian_delta(law, ONE) <= target
    assert gaussian_delta(coarser, ONE) > target
    assert narrower is None or gaussian_delta(narrower, ONE) > target * 3 / 4


def test_rounding_the_outermost_coins_to_zero_would_cost_delta() -> None:
    law = sample_gaussian(Fraction(1), ONE)
    (part,) = law.parts
    cut = SampledGaussian(parts=(replace(part, tables=((0,), *part.tables[1:])),))

    assert law.delta(1) <= TARGET_DELTA
    assert cut.delta(1) == 1


def test_a_coin_that_is_wrong_by_a_tenth_does_not_meet_the_target() -> None:
    (part,) = sample_gaussian(Fraction(9), ONE).parts
    last = part.tables[-1]
    tables = (*part.tables[:-1], (last[0] * 11 // 10, *last[1:]))

    wrong = SampledGaussian(parts=(replace(part, tables=tables),))

    assert wrong.delta(1) > Fraction(1, 100)


def test_the_worst_sum_of_squares_is_found() -> None:
    def brute(patient: Sensitivity) -> int:
        moves = itertools.product(range(patient.dinf + 1), repeat=patient.d0)
        return max(sum(s * s for s in move) for move in moves if sum(move) <= patient.d1)

    for d0, dinf in itertools.product(range(1, 5), range(1, 5)):
        for d1 in range(max(d0, dinf), d0 * dinf + 1):
            patient = Sensitivity(d0=d0, d1=d1, dinf=dinf)
            assert squared_sensitivity(patient) == brute(patient)


# -- known answers and bad input ----------------------------------------------------------------


def test_the_vectors_say_what_they_are() -> None:
    assert VECTORS["version"] == 1
    assert "SHA-256" in VECTORS["about"]


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["name"])
def test_laws_match_the_vectors(case: dict) -> None:
    law = sample_gaussian(Fraction(case["sigma"]) ** 2, Sensitivity(*case["sensitivity"]))

    shape = [[part.shift, part.magnitude_bits, part.precision] for part in law.parts]
    assert shape == case["parts"]
    assert law.error(Fraction(95, 100)) == case["error95"]
    assert law.digest.hex() == case["digest"]


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_what_the_vectors_call_bad_is_refused_in_words(case: dict) -> None:
    with pytest.raises(PrivacyError, match=case["error"]):
        sample_gaussian(Fraction(case["sigma"]) ** 2, Sensitivity(*case["sensitivity"]))


def test_the_thresholds_of_one_law_are_pinned() -> None:
    (part,) = sample_gaussian(Fraction(1, 4), ONE.times(2)).parts

    assert part.tables == ((1,), (2321087130, 1), (936845294088, 199661939, 66983, 23))


def test_every_parameter_is_in_the_digest() -> None:
    def part(shift: int, square: int, precision: int, *tables: tuple[int, ...]) -> Part:
        return Part(
            shift=shift,
            sigma_squared=Fraction(square),
            precision=precision,
            magnitude_bits=len(tables),
            tables=tables,
        )

    first = part(0, 1, 8, (1,), (2, 3))
    laws = [
        (first,),
        (part(0, 2, 8, (1,), (2, 3)),),
        (part(0, 1, 9, (1,), (2, 3)),),
        (part(0, 1, 8, (1,)),),
        (part(0, 1, 8, (1,), (3, 2)),),
        (part(0, 1, 8, (12,), (2, 3)),),
        (part(0, 1, 8, (1,), (22, 3)),),
        (first, part(1, 1, 8, (1,), (2, 3))),
        (first, part(2, 1, 8, (1,), (2, 3))),
        (first, part(1, 1, 8, (1,), (2, 3)), part(2, 1, 8, (1,), (2, 3))),
    ]

    assert len({SampledGaussian(parts=parts).digest for parts in laws}) == len(laws)


@pytest.mark.parametrize("square", [Fraction(1, 2501), Fraction(0), -1, MAX_SIGMA**2 + 1])
def test_a_sigma_out_of_range_is_refused_in_words(square: Fraction) -> None:
    with pytest.raises(PrivacyError, match="sigma must lie between 1/50 and 1000000"):
        sample_gaussian(Fraction(square), ONE)


@pytest.mark.parametrize("shifts", [(), (1,), (0, 3, 3), (0, 4, 2), (0, 1, 2, 3, 4)])
def test_parts_that_are_no_law_are_refused(shifts: tuple[int, ...]) -> None:
    parts = tuple(rounded_part(Fraction(1), 8, 2, shift=shift) for shift in shifts)

    with pytest.raises(PrivacyError, match="wanted"):
        SampledGaussian(parts=parts)


# -- draws --------------------------------------------------------------------------------------


@pytest.mark.statistical
@pytest.mark.parametrize("sigma", [Fraction(3, 10), 1, 10, 100, 1_000, 10**5, 980_000])
def test_draws_follow_the_law_and_no_neighbouring_law(sigma: Fraction | int) -> None:
    """Chi-square of 1e6 draws in classes with 20 or more expected; false alarms 1e-6.

    Up to sigma 10 every value is a class; beyond, every 20th part of sigma is.
    """
    from scipy.stats import chi2

    draws = 1_000_000
    sigma = Fraction(sigma)
    law = sample_gaussian(sigma**2, ONE)
    sample = draw(law, draws, np.random.default_rng(20261122))
    width = max(1, int(sigma / 20)) | 1
    classes = min(law.support, int(6 * sigma + 6)) // width + 1
    counts = np.bincount(
        np.clip((sample + width // 2) // width, -classes, classes) + classes,
        minlength=2 * classes + 1,
    )

    def p_value(supposed: SampledGaussian) -> float:
        ends = [float(supposed.within(width // 2 + width * place)) for place in range(classes)]
        one_side = np.diff([*ends, 1]) / 2
        expected = draws * np.array([*one_side[::-1], ends[0], *one_side])
        often = expected >= 20
        rest, others = draws - expected[often].sum(), draws - counts[often].sum()
        statistic = ((counts - expected) ** 2 / np.maximum(expected, 1e-9))[often].sum()
        statistic += (others - rest) ** 2 / max(rest, 1)
        return float(chi2.sf(statistic, int(often.sum())))

    assert p_value(law) > 1e-6
    assert p_value(sample_gaussian((sigma * Fraction(98, 100)) ** 2, ONE)) < 1e-6
    assert p_value(sample_gaussian((sigma * Fraction(102, 100)) ** 2, ONE)) < 1e-6


@pytest.mark.statistical
def test_the_low_bits_of_a_sum_are_uniform_and_those_of_a_comb_are_not() -> None:
    """Chi-square of 1e6 draws modulo 16; false alarms 1e-6. The classes have equal probability
    within 2^-40 where the parts smooth each other."""
    from scipy.stats import chi2

    uniform = np.random.default_rng(20261123)
    comb = SampledGaussian(
        parts=(rounded_part(Fraction(9), 46, 5), rounded_part(Fraction(36), 46, 6, shift=4))
    )

    def p_value(law: SampledGaussian) -> float:
        counts = np.bincount(draw(law, 1_000_000, uniform) % 16, minlength=16)
        return float(chi2.sf(((counts - 62_500) ** 2 / 62_500).sum(), 15))

    assert p_value(sample_gaussian(Fraction(500**2), ONE)) > 1e-6
    assert p_value(comb) < 1e-6
