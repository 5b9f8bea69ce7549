"""The conversion of rho is OpenDP's, and never below the truth."""

import functools
from fractions import Fraction

import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.privacy.concentrated import delta_at, epsilon_at, largest_rho


@functools.cache
def opendp_gaussian(scale: float) -> dp.Measurement:
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    return dp.m.make_gaussian(*space, scale=scale)


def opendp_profile(scale: float) -> dp.PrivacyProfile:
    return dp.c.make_zCDP_to_approxDP(opendp_gaussian(scale)).map(1.0)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("deviations", [0, Fraction(1, 2), 1, 2, 4, 6])
def test_delta_is_opendps_and_never_above(scale: float, deviations: Fraction) -> None:
    rho = 1 / (2 * Fraction(scale) ** 2)
    epsilon = rho + Fraction(deviations) / Fraction(scale)  # so many standard deviations out

    ours = delta_at(rho, epsilon)

    theirs = Fraction(opendp_profile(scale).delta(float(epsilon)))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
    assert ours <= theirs * (1 + Fraction(1, 10**9))


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("delta", [Fraction(1, 100), Fraction(1, 10**6), Fraction(1, 10**9)])
def test_epsilon_is_opendps(scale: float, delta: Fraction) -> None:
    ours = epsilon_at(1 / (2 * Fraction(scale) ** 2), delta)

    assert float(ours) == pytest.approx(opendp_profile(scale).epsilon(float(delta)), abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    rho=st.fractions(min_value=Fraction(1, 10**6), max_value=20, max_denominator=10**6),
    epsilon=st.fractions(min_value=0, max_value=60, max_denominator=1000),
    order=st.fractions(min_value=Fraction(101, 100), max_value=200, max_denominator=100),
)
def test_no_order_gives_less(rho: Fraction, epsilon: Fraction, order: Fraction) -> None:
    from math import exp, log

    a, r, e = float(order), float(rho), float(epsilon)
    by_order = (a - 1) * (a * r - e) + (a - 1) * log(a - 1) - a * log(a)

    assert float(delta_at(rho, epsilon)) <= min(1.0, exp(min(by_order, 0)) * (1 + 1e-9) + 1e-300)


@settings(max_examples=15, deadline=None)
@given(
    epsilon=st.fractions(min_value=Fraction(1, 100), max_value=20, max_denominator=100),
    exponent=st.integers(1, 12),
)
def test_the_largest_rho_is_admissible_and_one_step_more_is_not(
    epsilon: Fraction, exponent: int
) -> None:
    delta = Fraction(1, 10**exponent)

    rho = largest_rho(epsilon, delta)

    assert delta_at(rho, epsilon) <= delta
    assert delta_at(rho + Fraction(1, 2**48), epsilon) > delta
    assert epsilon_at(rho, delta) <= epsilon + Fraction(1, 2**32)


def test_without_any_delta_there_is_no_rho() -> None:
    assert largest_rho(Fraction(1), Fraction(0)) == 0


def test_a_delta_too_small_to_compute_is_rounded_up() -> None:
    assert delta_at(Fraction(1, 10**6), Fraction(5)) == Fraction(1, 2**1000)
