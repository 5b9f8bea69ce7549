"""The filter: what it admits stays within the cap, whatever is asked next."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import BudgetExceeded, PrivacyError
from upcare_mpc.privacy.accountant import Cap, Loss, Spent
from upcare_mpc.privacy.concentrated import delta_at, epsilon_at, largest_rho

CAP = Cap.of_epsilon(Fraction(3), Fraction(1, 10**6))
TINY = Fraction(1, 2**40)

LOSSES = st.one_of(
    st.builds(
        Loss.pure,
        st.fractions(min_value=Fraction(1, 100), max_value=1, max_denominator=100),
        st.just(TINY),
    ),
    st.builds(
        Loss.concentrated,
        st.fractions(
            min_value=Fraction(1, 10**4), max_value=Fraction(1, 10), max_denominator=10**4
        ),
        st.just(TINY),
    ),
)


def run(cap: Cap, asked: list[Loss]) -> tuple[list[Loss], Spent]:
    """Ask one by one; what is refused is dropped and the rest goes on."""
    spent, admitted = Spent(), []
    for loss in asked:
        try:
            spent = cap.check(spent, loss)
        except PrivacyError:
            continue
        admitted.append(loss)
    return admitted, spent


@settings(max_examples=60, deadline=None)
@given(st.lists(LOSSES, max_size=40))
def test_whatever_is_admitted_is_within_epsilon_and_delta_by_one_of_the_two_sums(
    asked: list[Loss],
) -> None:
    admitted, spent = run(CAP, asked)

    assert spent == Spent.on(admitted)
    sampler = sum((loss.delta for loss in admitted), Fraction(0))
    rho = sum((loss.rho for loss in admitted), Fraction(0))
    plain = all(loss.epsilon is not None for loss in admitted)
    by_sum = plain and sum(loss.epsilon or Fraction(0) for loss in admitted) <= 3
    assert by_sum or delta_at(rho, Fraction(3)) + sampler <= Fraction(1, 10**6)
    assert sampler <= Fraction(1, 2 * 10**6)


def test_laplace_studies_are_admitted_up_to_the_plain_sum() -> None:
    third = Loss.pure(Fraction(1), TINY)

    admitted, spent = run(CAP, [third] * 4)

    assert len(admitted) == 3
    assert spent.epsilon == 3


def test_many_small_laplace_studies_are_admitted_beyond_the_plain_sum() -> None:
    small = Loss.pure(Fraction(1, 50), TINY)

    admitted, spent = run(CAP, [small] * 1000)

    assert len(admitted) == int(CAP.rho / small.rho) > 150  # 150 by the plain sum
    assert spent.epsilon is not None
    assert spent.epsilon > 3
    assert spent.epsilon_at(Fraction(1, 10**6)) <= 3


def test_gaussian_studies_are_admitted_up_to_the_largest_rho() -> None:
    rho = largest_rho(Fraction(3), Fraction(1, 2 * 10**6))
    tenth = Loss.concentrated(rho / 10, TINY)

    admitted, _ = run(CAP, [tenth] * 12)

    assert len(admitted) == 10
    assert CAP.rho == rho


def test_one_gaussian_study_ends_the_plain_sum() -> None:
    large = Loss.pure(Fraction(2), TINY)
    spent = CAP.check(Spent(), Loss.concentrated(Fraction(1, 1000), TINY))

    assert CAP.check(Spent(), large).epsilon == 2
    with pytest.raises(BudgetExceeded, match=r"epsilon 2 asked, 0\.5"):
        CAP.check(spent, large)


def test_a_cap_without_delta_admits_laplace_studies_without_delta_alone() -> None:
    cap = Cap.of_epsilon(Fraction(1), Fraction(0))

    assert cap.check(Spent(), Loss.pure(Fraction(1), Fraction(0))).epsilon == 1
    with pytest.raises(BudgetExceeded, match="rho"):
        cap.check(Spent(), Loss.concentrated(Fraction(1, 10**9), Fraction(0)))


def test_the_deltas_of_the_samplers_are_capped_by_half() -> None:
    cap = Cap.of_epsilon(Fraction(10), 6 * TINY)

    admitted, _ = run(cap, [Loss.pure(Fraction(1), TINY)] * 5)

    assert len(admitted) == 3
    with pytest.raises(BudgetExceeded, match=r"delta 9\.09495e-13 asked, 0 left"):
        cap.check(Spent.on(admitted), Loss.pure(Fraction(1), TINY))


def test_a_laplace_study_too_many_says_what_is_left() -> None:
    spent = Spent.on([Loss.pure(Fraction(5, 2), TINY)])

    with pytest.raises(BudgetExceeded, match=r"epsilon 1 asked, 0\.5 left under the cap for all"):
        CAP.check(spent, Loss.pure(Fraction(1), TINY))


STEP = Fraction(1, 10**9)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([CAP, Cap.of_rho(Fraction(1, 5), Fraction(1, 10**6))]),
    st.lists(LOSSES, max_size=30),
)
def test_what_is_left_is_the_most_that_is_admitted(cap: Cap, asked: list[Loss]) -> None:
    _, spent = run(cap, asked)
    epsilon, rho = cap.epsilon_left(spent), cap.rho_left(spent)
    for loss in (Loss.pure(epsilon + STEP, TINY), Loss.concentrated(rho + STEP, TINY)):
        with pytest.raises(BudgetExceeded):
            cap.check(spent, loss)

    if epsilon > 0:
        assert cap.check(spent, Loss.pure(epsilon, TINY))
    if rho > 0:
        assert cap.check(spent, Loss.concentrated(rho, TINY))


def test_under_a_cap_that_was_lowered_nothing_is_left() -> None:
    spent = Spent.on([Loss.pure(Fraction(2), TINY)])
    lowered = Cap.of_epsilon(Fraction(1), TINY)

    left = (lowered.epsilon_left(spent), lowered.rho_left(spent), lowered.delta_left(spent))

    assert left == (0, 0, 0)


def test_a_refusal_names_its_cap_and_what_is_asked_and_left_in_the_measure_asked() -> None:
    cap = Cap.of_rho(Fraction(1, 50), Fraction(1, 10**6))

    for asked, words in (
        (Loss.concentrated(Fraction(3, 100), TINY), "rho 0.03 asked, 0.02 left"),
        (Loss.pure(Fraction(1), TINY), "epsilon 1 asked, 0.2 left"),
        (Loss.pure(Fraction(1, 10), Fraction(1, 1000)), "delta 0.001 asked, 1e-06 left"),
    ):
        with pytest.raises(BudgetExceeded) as refused:
            cap.check(Spent(), asked, account="purpose DUO:0000007")
        assert str(refused.value) == (
            f"privacy budget exceeded: {words} under the cap for purpose DUO:0000007"
        )


def test_a_cap_on_rho_counts_laplace_as_half_epsilon_squared() -> None:
    cap = Cap.of_rho(Fraction(1), Fraction(1, 10**6))

    spent = cap.check(Spent(), Loss.pure(Fraction(1), TINY))

    assert spent.rho == Fraction(1, 2)
    assert cap.check(spent, Loss.concentrated(Fraction(1, 2), TINY)).rho == 1
    with pytest.raises(BudgetExceeded, match=r"rho 0\.51 asked, 0\.5 left"):
        cap.check(spent, Loss.concentrated(Fraction(51, 100), TINY))


def test_what_was_spent_is_shown_by_the_better_sum() -> None:
    delta = Fraction(1, 10**6)
    one, many = Loss.pure(Fraction(1), TINY), Loss.pure(Fraction(1, 100), TINY)

    assert Spent.on([one]).epsilon_at(delta) == 1
    assert Spent.on([many] * 100).epsilon_at(delta) == epsilon_at(
        Fraction(1, 200), delta - 100 * TINY
    )
    assert Spent.on([many] * 100).epsilon_at(delta) < 1
    with pytest.raises(PrivacyError, match="by themselves"):
        Spent.on([one]).epsilon_at(TINY)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Loss.pure(Fraction(0), TINY),
        lambda: Loss.pure(Fraction(-1), TINY),
        lambda: Loss.concentrated(Fraction(0), TINY),
        lambda: Loss.concentrated(Fraction(1), Fraction(1)),
        lambda: Cap.of_epsilon(Fraction(0), TINY),
        lambda: Cap.of_rho(Fraction(1), Fraction(-1)),
    ],
)
def test_prices_and_caps_out_of_range_are_refused(build: object) -> None:
    with pytest.raises(PrivacyError, match="got"):
        build()  # type: ignore[operator]  # a list of lambdas
