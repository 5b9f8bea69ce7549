"""Loss distributions of our releases against enumeration, closed forms, and dp-accounting."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from math import comb, erf, exp, prod, sqrt

import pytest
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.pld.common import DifferentialPrivacyParameters
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.accountant import Loss, Spent
from upcare_mpc.privacy.concentrated import delta_at
from upcare_mpc.privacy.distribution import compose
from upcare_mpc.privacy.dominating import (
    of_cell,
    of_concentrated,
    of_release,
    of_response,
    reported_epsilon,
)
from upcare_mpc.privacy.gaussian import sample_gaussian
from upcare_mpc.privacy.laplace import rounded_law, sample_law
from upcare_mpc.privacy.loss import delta_exactly
from upcare_mpc.study.layout import Sensitivity

TINY = Fraction(1, 2**40)
SLACK = Fraction(1, 2**75)
DELTA = Fraction(1, 10**6)


@dataclass(frozen=True)
class Table:
    """A law given by its masses from ``-support`` on."""

    weights: tuple[int, ...]

    @property
    def support(self) -> int:
        return len(self.weights) // 2

    def pmf(self, k: int, /) -> Fraction:
        if abs(k) > self.support:
            return Fraction(0)
        return Fraction(self.weights[k + self.support], sum(self.weights))


SKEWED = Table((1, 4, 9, 20, 30, 15, 6, 2, 1))


def one_cell(shift: int) -> Sensitivity:
    return Sensitivity(d0=1, d1=shift, dinf=shift)


def e_to(x: Fraction) -> Fraction:
    with localcontext(prec=60):
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).exp())


def true_delta(law: Table, moves: tuple[int, ...], epsilon: Fraction) -> Fraction:
    """Enumerate all cells; a move may have either sign. One direction of adjacency."""
    reach = range(-law.support - max(map(abs, moves)), law.support + max(map(abs, moves)) + 1)
    ratio = e_to(epsilon)
    return sum(
        (
            max(
                Fraction(0),
                prod(law.pmf(k) for k in outcome)
                - ratio * prod(law.pmf(k - m) for k, m in zip(outcome, moves, strict=True)),
            )
            for outcome in product(reach, repeat=len(moves))
        ),
        Fraction(0),
    )


@pytest.mark.parametrize("shift", [1, 2])
def test_a_laplace_cell_has_the_delta_of_the_law_at_its_epsilon(shift: int) -> None:
    law = sample_law(Fraction(2), one_cell(shift))
    epsilon = shift / law.scale

    found = of_cell(law, shift, epsilon / 100, 2 * epsilon)

    assert 0 <= found.delta_at(epsilon) - law.delta(shift) < SLACK
    assert found.delta_at(epsilon / 2) > law.delta(shift)


@pytest.mark.parametrize("moves", [(1,), (-1,), (2,), (-2,), (1, 2), (1, -2), (-1, -2)])
def test_a_skewed_law_is_bounded_in_both_directions_and_for_mixed_signs(
    moves: tuple[int, ...],
) -> None:
    step = Fraction(1, 50)
    found = compose(of_cell(SKEWED, abs(move), step, Fraction(5)) for move in moves)

    for tenth in range(0, 30, 3):
        epsilon = Fraction(tenth, 10)
        truth = true_delta(SKEWED, moves, epsilon)
        assert truth <= found.delta_at(epsilon)


def test_one_direction_alone_would_be_too_little_for_a_skewed_law() -> None:
    epsilon = Fraction(1, 2)

    up, down = true_delta(SKEWED, (1,), epsilon), true_delta(SKEWED, (-1,), epsilon)

    found = of_cell(SKEWED, 1, Fraction(1, 50), Fraction(5)).delta_at(epsilon)
    assert up != down
    assert 0 <= found - max(up, down) < SLACK


def test_losses_beyond_the_reach_count_as_certain() -> None:
    near, far = (of_cell(SKEWED, 1, Fraction(1, 10), Fraction(r, 2)) for r in (1, 10))

    assert abs(near.leaks - far.delta_at(Fraction(1, 2))) < SLACK
    assert near.leaks > far.leaks > 0
    assert near.delta_at(Fraction(3)) == near.leaks


def test_a_release_is_bounded_for_every_spread_and_tight_for_the_worst() -> None:
    law = sample_gaussian(Fraction(1), Sensitivity(d0=2, d1=3, dinf=2))

    found = of_release(law, Sensitivity(d0=2, d1=3, dinf=2), Fraction(1, 64), Fraction(16))

    for epsilon in (Fraction(1), Fraction(3)):
        worst = max(delta_exactly(law, way, epsilon) for way in ((2, 1), (1, 1), (2,)))
        assert worst <= found.delta_at(epsilon) < worst * Fraction(1001, 1000)


def test_a_law_too_large_to_enumerate_and_too_many_spreads_are_refused() -> None:
    law = rounded_law(Fraction(1000), 50, 15)

    with pytest.raises(PrivacyError, match="at most 16384 values a side"):
        of_cell(law, 1, Fraction(1, 100), Fraction(1))
    with pytest.raises(PrivacyError, match="more than 32 ways"):
        of_release(SKEWED, Sensitivity(d0=6, d1=30, dinf=9), Fraction(1, 100), Fraction(1))


def optimal(epsilon: Fraction, delta: Fraction, times: int, at: int) -> Fraction:
    """Kairouz, Oh and Viswanath's closed form: the delta at epsilon ``at * epsilon``."""
    odds = e_to(epsilon)
    gap = sum(
        comb(times, lies) * (odds ** (times - lies) - e_to(at * epsilon) * odds**lies)
        for lies in range((times - at) // 2 + 1)
    )
    return 1 - (1 - delta) ** times * (1 - gap / (1 + odds) ** times)


@pytest.mark.parametrize(("epsilon", "times"), [(Fraction(1, 10), 50), (Fraction(1, 3), 9)])
def test_responses_compose_to_the_optimal_composition(epsilon: Fraction, times: int) -> None:
    together = compose([of_response(epsilon, TINY, epsilon)] * times)

    for at in range(times % 2, times, 4):
        excess = together.delta_at(at * epsilon) - optimal(epsilon, TINY, times, at)
        assert 0 <= excess < SLACK


@settings(max_examples=30, deadline=None)
@given(
    st.fractions(min_value=Fraction(1, 50), max_value=4, max_denominator=50),
    st.fractions(min_value=0, max_value=6, max_denominator=50),
)
def test_a_response_is_bounded_between_grid_points_too(epsilon: Fraction, at: Fraction) -> None:
    found = of_response(epsilon, TINY, Fraction(1, 17))

    truth = TINY + (1 - TINY) * max(Fraction(0), (e_to(epsilon) - e_to(at)) / (1 + e_to(epsilon)))
    assert found.delta_at(at) >= truth - Fraction(1, 10**50)


def test_the_response_bounds_the_implemented_laplace_law() -> None:
    law, step = sample_law(Fraction(2), one_cell(1)), Fraction(1, 100)

    cell = of_cell(law, 1, step, Fraction(1))
    response = of_response(Fraction(1, 2), law.delta(1), step)

    for k in range(100):
        assert cell.delta_at(k * step) <= response.delta_at(k * step)
    assert compose([cell] * 20).epsilon_at(DELTA) < compose([response] * 20).epsilon_at(DELTA)


@pytest.mark.parametrize("rho", [Fraction(1, 200), Fraction(1, 2), Fraction(5)])
def test_a_concentrated_release_is_bounded_by_its_conversion(rho: Fraction) -> None:
    found = of_concentrated(rho, TINY, Fraction(1, 50))

    for k in range(0, 200, 9):
        epsilon = Fraction(k, 50)
        wanted = delta_at(rho, epsilon)
        assert wanted * (1 - TINY) <= found.delta_at(epsilon)
        assert found.delta_at(epsilon) < wanted * Fraction(110, 100) + 2 * TINY


def test_a_gaussian_of_the_same_rho_would_be_too_little() -> None:
    # randomised response at epsilon 1 is 1/2-zCDP (Bun and Steinke), as is N(0, 1) moved by 1
    response = (exp(1) - 1) / (exp(1) + 1)
    gaussian = erf(1 / sqrt(8))

    assert gaussian < 0.39 < 0.46 < response
    assert of_concentrated(Fraction(1, 2), Fraction(0), Fraction(1, 50)).delta_at(
        Fraction(0)
    ) >= Fraction(response)


def test_a_report_on_both_mechanisms_is_not_below_their_own_laws() -> None:
    gauss, laplace = (
        sample_gaussian(Fraction(25), one_cell(1)),
        sample_law(Fraction(4), one_cell(1)),
    )
    step = Fraction(1, 256)
    exact = compose(
        [of_cell(laplace, 1, step, Fraction(1))] * 4 + [of_cell(gauss, 1, step, Fraction(3))] * 2
    )

    stated = reported_epsilon(
        [Loss.pure(Fraction(1, 4), TINY)] * 4 + [Loss.concentrated(Fraction(1, 50), TINY)] * 2,
        DELTA,
    )

    assert exact.epsilon_at(DELTA) < stated < exact.epsilon_at(DELTA) * Fraction(3, 2)


PURE = st.builds(
    Loss.pure,
    st.fractions(min_value=Fraction(1, 100), max_value=1, max_denominator=100),
    st.just(TINY),
)
LOSSES = st.lists(
    st.one_of(
        PURE,
        st.builds(
            Loss.concentrated,
            st.fractions(Fraction(1, 1000), Fraction(1, 10), max_denominator=1000),
            st.just(TINY),
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=8, deadline=None)
@given(LOSSES)
def test_a_report_never_says_more_than_the_sums_and_ignores_the_order(losses: list[Loss]) -> None:
    stated = reported_epsilon(losses, DELTA)

    assert 0 < stated <= Spent.on(losses).epsilon_at(DELTA)
    assert reported_epsilon(losses[::-1], DELTA) == stated


@settings(max_examples=8, deadline=None)
@given(LOSSES, PURE)
def test_one_more_release_is_never_less(losses: list[Loss], more: Loss) -> None:
    # the grid changes with the releases: its error is what may differ
    before, after = reported_epsilon(losses, DELTA), reported_epsilon([*losses, more], DELTA)

    assert after > before * Fraction(999, 1000)


@pytest.mark.parametrize(
    ("losses", "at_most"),
    [
        ([Loss.pure(Fraction(1, 50), TINY)] * 500, Fraction(199, 100)),  # sums: 2.142
        (
            [Loss.pure(Fraction(1), TINY)] * 3 + [Loss.concentrated(Fraction(1, 2000), TINY)],
            Fraction(313, 100),  # sums: 9.85
        ),
    ],
)
def test_a_report_says_less_than_the_sums(losses: list[Loss], at_most: Fraction) -> None:
    assert reported_epsilon(losses, DELTA) < at_most < Spent.on(losses).epsilon_at(DELTA)


def test_hundreds_of_different_prices_differ_little_from_the_nearest_equal_ones() -> None:
    odd = [Loss.pure(Fraction(1, 50) + Fraction(i, 10**6 + 3), TINY) for i in range(-100, 101)]

    stated = reported_epsilon(odd, DELTA)

    even = reported_epsilon([Loss.pure(Fraction(1, 50), TINY)] * 201, DELTA)
    assert even * Fraction(9999, 10000) < stated < even * Fraction(1001, 1000)


def test_nothing_released_costs_nothing_and_spent_deltas_leave_nothing_to_state() -> None:
    assert reported_epsilon([], DELTA) == 0
    with pytest.raises(PrivacyError, match="have delta 1e-06 by themselves"):
        reported_epsilon([Loss.pure(Fraction(1), DELTA / 10)] * 10, DELTA)


# ------------------------------------------------------- second opinion: dp-accounting (Google)

# Its figures are in doubles with truncated tails, so it is asked for both of its estimates and we
# must lie between the lower one and the upper one, with 10^-6 of room on either side.


def lies_between(ours: Fraction, low: float, high: float) -> bool:
    return low * (1 - 1e-6) <= ours <= high * (1 + 1e-6)


@pytest.mark.parametrize(("scale", "shift", "times"), [(2, 1, 30), (2, 2, 10), (20, 1, 100)])
def test_laplace_cells_agree_with_dp_accounting(scale: int, shift: int, times: int) -> None:
    law, step = sample_law(Fraction(scale), one_cell(shift)), Fraction(shift, 64 * scale)

    ours = compose([of_cell(law, shift, step, 2 * 64 * step)] * times).epsilon_at(DELTA)

    low, high = (
        pld.from_discrete_laplace_mechanism(
            1 / scale,
            shift,
            value_discretization_interval=float(step),
            pessimistic_estimate=pessimistic,
            use_connect_dots=pessimistic,
        )
        .self_compose(times)
        .get_epsilon_for_delta(float(DELTA))
        for pessimistic in (False, True)
    )
    assert lies_between(ours, low, high)


@pytest.mark.parametrize(("variance", "shift", "times"), [(100, 1, 30), (25, 2, 5)])
def test_gaussian_cells_agree_with_dp_accounting(variance: int, shift: int, times: int) -> None:
    law, step = sample_gaussian(Fraction(variance), one_cell(shift)), Fraction(1, 1000)

    ours = compose([of_cell(law, shift, step, Fraction(6))] * times).epsilon_at(DELTA)

    low, high = (
        pld.from_discrete_gaussian_mechanism(
            sqrt(variance),
            shift,
            value_discretization_interval=float(step),
            pessimistic_estimate=pessimistic,
            use_connect_dots=pessimistic,
        )
        .self_compose(times)
        .get_epsilon_for_delta(float(DELTA))
        for pessimistic in (False, True)
    )
    assert lies_between(ours, low, high)


@pytest.mark.parametrize(("epsilon", "times"), [(Fraction(1, 10), 100), (Fraction(1, 50), 500)])
def test_reports_on_equal_prices_agree_with_dp_accounting(epsilon: Fraction, times: int) -> None:
    ours = reported_epsilon([Loss.pure(epsilon, TINY)] * times, DELTA)

    theirs = (
        pld.from_privacy_parameters(
            DifferentialPrivacyParameters(float(epsilon), float(TINY)),
            value_discretization_interval=float(epsilon),
        )
        .self_compose(times)
        .get_epsilon_for_delta(float(DELTA))
    )
    assert lies_between(ours, theirs, theirs)


def test_a_concentrated_report_is_not_below_the_continuous_gaussian_of_dp_accounting() -> None:
    ours = of_concentrated(Fraction(1, 200) * 30, Fraction(0), Fraction(1, 1000)).epsilon_at(DELTA)

    theirs = (
        pld.from_gaussian_mechanism(10.0, value_discretization_interval=1e-3)
        .self_compose(30)
        .get_epsilon_for_delta(float(DELTA))
    )
    assert theirs < ours < 1.1 * theirs
