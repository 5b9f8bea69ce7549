"""The delta of the implemented Gaussian release: exact where it can be, never above OpenDP's."""

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.privacy.concentrated import delta_at
from upcare_mpc.privacy.digits import rounded_part
from upcare_mpc.privacy.gaussian import (
    SampledGaussian,
    gaussian_delta,
    sample_gaussian,
    squared_sensitivity,
)
from upcare_mpc.privacy.loss import (
    converted_delta,
    delta_by_grid,
    delta_exactly,
    release_delta_at,
    spreads,
)
from upcare_mpc.study.layout import Sensitivity

ONE = Sensitivity(d0=1, d1=1, dinf=1)


def law_of(*parts: tuple[int, Fraction, int], precision: int) -> SampledGaussian:
    """Parts ``(shift, sigma^2, digits)``."""
    return SampledGaussian(
        parts=tuple(
            rounded_part(square, precision, digits, shift=shift) for shift, square, digits in parts
        )
    )


def hockey_stick(law: SampledGaussian, moves: tuple[int, ...], epsilon: Fraction) -> Fraction:
    """The definition, over a box that holds both supports."""
    with localcontext() as context:
        context.prec = 60
        ratio = Fraction((Decimal(epsilon.numerator) / Decimal(epsilon.denominator)).exp())
    reach = law.support + max(map(abs, moves))
    masses = {k: law.pmf(k) for k in range(-2 * reach, 2 * reach + 1)}
    total = Fraction(0)
    for point in itertools.product(range(-reach, reach + 1), repeat=len(moves)):
        here = there = Fraction(1)
        for value, move in zip(point, moves, strict=True):
            here *= masses[value]
            there *= masses[value - move]
        total += max(Fraction(0), here - ratio * there)
    return total


@settings(max_examples=20, deadline=None)
@given(
    sigma=st.fractions(min_value=Fraction(1, 2), max_value=3, max_denominator=10),
    moves=st.lists(st.integers(-3, 3).filter(bool), min_size=1, max_size=2),
    epsilon=st.fractions(min_value=0, max_value=5, max_denominator=100),
)
def test_the_sum_is_the_definition_whatever_the_signs(
    sigma: Fraction, moves: list[int], epsilon: Fraction
) -> None:
    law = law_of((0, sigma**2, 3), precision=12)

    found = delta_exactly(law, [abs(move) for move in moves], epsilon)

    assert abs(found - hockey_stick(law, tuple(moves), epsilon)) < Fraction(1, 10**30)


def test_the_sum_is_the_definition_for_a_law_of_two_parts() -> None:
    law = law_of((0, Fraction(3), 3), (1, Fraction(2), 3), precision=12)

    for moves, epsilon in [((1,), Fraction(1, 2)), ((3,), Fraction(1)), ((1, 2), Fraction(3, 2))]:
        found = delta_exactly(law, moves, epsilon)
        assert abs(found - hockey_stick(law, moves, epsilon)) < Fraction(1, 10**30)


@pytest.mark.parametrize("epsilon", [Fraction(1, 50), Fraction(1, 20)])
def test_the_grid_is_above_the_exact_sum_for_a_law_of_two_parts(epsilon: Fraction) -> None:
    """Beyond what its parts can make of a value, such a law falls off a cliff: huge losses, with
    next to no mass, that the grid must not make room for."""
    law = sample_gaussian(Fraction(100**2), ONE)
    assert len(law.parts) == 2

    exact, grid = (each(law, (1,), epsilon) for each in (delta_exactly, delta_by_grid))

    assert exact <= grid <= exact * Fraction(11, 10) + Fraction(1, 2**45)


@pytest.mark.parametrize("spread", [(1,), (3,), (1, 1), (2, 1), (1, 1, 1)])
@pytest.mark.parametrize("epsilon", [Fraction(0), Fraction(1, 2), Fraction(2), Fraction(5)])
def test_the_grid_is_above_the_exact_sum_and_close(
    spread: tuple[int, ...], epsilon: Fraction
) -> None:
    law = sample_gaussian(Fraction(2), Sensitivity(d0=3, d1=9, dinf=3))

    exact, grid = (each(law, spread, epsilon) for each in (delta_exactly, delta_by_grid))

    assert exact <= grid <= exact * Fraction(11, 10) + Fraction(1, 2**45)


@settings(max_examples=25, deadline=None)
@given(
    sigma=st.fractions(min_value=Fraction(1, 4), max_value=20, max_denominator=20),
    patient=st.sampled_from([ONE, ONE.times(2), Sensitivity(d0=3, d1=3, dinf=1)]),
    deviations=st.integers(0, 6),
)
def test_delta_is_never_above_opendps_conversion_and_the_samplers_own(
    sigma: Fraction, patient: Sensitivity, deviations: int
) -> None:
    law = sample_gaussian(sigma**2, patient)
    rho = squared_sensitivity(patient) / (2 * sigma**2)
    epsilon = rho + Fraction(deviations * patient.dinf) / sigma

    found = release_delta_at(law, patient, epsilon)

    assert found <= delta_at(rho, epsilon) + gaussian_delta(law, patient)


def test_for_one_cell_the_exact_delta_is_four_times_below_the_conversion() -> None:
    law = sample_gaussian(Fraction(100), ONE)
    epsilon = Fraction(43, 100)

    found = release_delta_at(law, ONE, epsilon)

    assert found == delta_exactly(law, (1,), epsilon)
    assert float(found) == pytest.approx(2.26e-7, rel=0.01)
    assert found * 4 < converted_delta(law, ONE, epsilon) < Fraction(1, 10**6)


def test_every_way_to_move_two_cells_is_covered() -> None:
    patient = Sensitivity(d0=2, d1=3, dinf=2)
    law = law_of((0, Fraction(1), 4), precision=40)

    stated = release_delta_at(law, patient, Fraction(3))

    for moves in [(1,), (2,), (1, 1), (1, -1), (2, 1), (-2, 1)]:
        assert hockey_stick(law, moves, Fraction(3)) <= stated + Fraction(1, 10**30)


def test_only_spreads_to_which_no_cell_can_be_added_are_listed() -> None:
    assert list(spreads(Sensitivity(d0=3, d1=3, dinf=1))) == [(1, 1, 1)]
    assert list(spreads(Sensitivity(d0=2, d1=3, dinf=2))) == [(2, 1), (1, 1)]
    assert list(spreads(Sensitivity(d0=2, d1=2, dinf=2))) == [(2,), (1, 1)]


def test_a_release_with_too_many_cells_states_the_conversion() -> None:
    patient = Sensitivity(d0=40, d1=40, dinf=1)
    law = sample_gaussian(Fraction(100), patient)

    assert release_delta_at(law, patient, Fraction(3)) == converted_delta(law, patient, Fraction(3))


@pytest.mark.parametrize("sigma", [2_000, 10**6])
def test_a_release_with_much_noise_states_the_conversion(sigma: int) -> None:
    law = sample_gaussian(Fraction(sigma) ** 2, ONE)
    epsilon = Fraction(5, sigma)

    stated = release_delta_at(law, ONE, epsilon)

    assert stated == converted_delta(law, ONE, epsilon)
    assert 0 < stated < Fraction(1, 1000)
