"""The audit's bound is honest and worth having, on mechanisms whose epsilon is known."""

from math import exp

import numpy as np
import pytest
from bounds import _at_least, epsilon_at_least, rho_at_least
from laws import Sample
from scipy.stats import binom

RELEASES = 20_000


def laplace(
    random: np.random.Generator, epsilon: float, shift: int, count: int = RELEASES
) -> Sample:
    chance = 1 - exp(-epsilon)
    noise = random.geometric(chance, count) - random.geometric(chance, count)
    return noise.astype(np.int64) + shift


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_the_bound_is_below_the_true_epsilon_and_near_it(epsilon: float) -> None:
    random = np.random.default_rng(1)

    bound = epsilon_at_least(laplace(random, epsilon, 1), laplace(random, epsilon, 0), delta=0)

    assert 0.4 * epsilon < bound < epsilon


def test_it_is_wrong_as_rarely_as_it_says() -> None:
    """1000 audits at an error of 5 %: more than 85 wrong ones would be a chance below 10^-5."""
    random = np.random.default_rng(2)

    def audit() -> float:
        present, absent = laplace(random, 1, 1, 1000), laplace(random, 1, 0, 1000)
        return epsilon_at_least(present, absent, delta=0, error=0.05)

    wrong = sum(audit() > 1 for _ in range(1000))

    assert wrong <= 85
    assert binom.sf(85, 1000, 0.05) < 1e-5


def test_it_finds_the_side_on_which_the_patient_shows() -> None:
    """Here her absence alone gives itself away: the cell reads 0 only without her."""
    random = np.random.default_rng(3)
    present = np.ones(RELEASES, np.int64)
    absent = random.integers(0, 2, RELEASES)

    assert epsilon_at_least(present, absent, delta=0) > 2
    assert epsilon_at_least(present, absent, delta=0.6) == 0  # a delta that large excuses it


@pytest.mark.parametrize("rho", [0.5, 2.0])
def test_the_bound_on_rho_is_below_the_true_rho_and_near_it(rho: float) -> None:
    random = np.random.default_rng(5)
    sigma = 50.0
    shift = round(sigma * (2 * rho) ** 0.5)
    absent, present = (np.rint(random.normal(0, sigma, RELEASES)).astype(np.int64) for _ in "ab")

    assert 0.4 * rho < rho_at_least(present + shift, absent) < rho


def test_equal_releases_give_no_bound() -> None:
    random = np.random.default_rng(4)

    assert epsilon_at_least(laplace(random, 1, 0), laplace(random, 1, 0), delta=0) == 0
    assert rho_at_least(laplace(random, 1, 0), laplace(random, 1, 0)) == 0


@pytest.mark.parametrize(("count", "trials", "wanted"), [(0, 10, 0.0), (10, 10, 0.05 ** (1 / 10))])
def test_clopper_and_pearson_at_the_ends(count: int, trials: int, wanted: float) -> None:
    assert _at_least(count, trials, 0.05) == pytest.approx(wanted)
