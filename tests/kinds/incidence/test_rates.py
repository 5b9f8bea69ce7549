"""Intervals of rates cover what they should, over cases and noise; estimates are not biased."""

from fractions import Fraction

import numpy as np
import pytest
from gbsg2 import EXACT, gaussian, laplace

from upcare_mpc.kinds.incidence.rates import (
    Figures,
    crude,
    enough,
    exact,
    indirect,
    internal,
    standardised,
)
from upcare_mpc.kinds.incidence.standards import STANDARDS
from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw

WORLD = np.array(STANDARDS["world"], dtype=float)
PEOPLE = 1e4 * np.array([5, 5, 5, 5.5, 6, 6, 6.5, 7, 7, 7.5, 8, 7, 6.5, 5.5, 5, 4, 3, 3])
STEEP = np.exp(0.35 * np.arange(18))  # as most cancers
HUMP = np.exp(-0.5 * ((np.arange(18) - 12) / 3) ** 2) + 0.01
STUDIES = 4000


def law(epsilon: float | None) -> NoiseLaw:
    return EXACT if epsilon is None else NoiseLaw.of(laplace(1 / Fraction(epsilon)))


def expected(shape: Floats, total: float) -> Floats:
    cases: Floats = PEOPLE * shape
    return cases * (total / float(cases.sum()))


def noisy(cases: Floats, noise: NoiseLaw, generator: np.random.Generator) -> tuple[Floats, Floats]:
    drawn = generator.poisson(cases, (STUDIES, *cases.shape)) + noise.draws(
        (STUDIES, *cases.shape), generator
    )
    people = PEOPLE + noise.per(100).draws((STUDIES, *cases.shape), generator)
    return drawn, people


def coverage(figures: Figures, truth: float) -> float:
    return float(np.mean((figures.ci_low <= truth) & (truth <= figures.ci_high)))


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", [None, 5, 1, 0.5])
@pytest.mark.parametrize("total", [30, 300, 3000])
@pytest.mark.parametrize("shape", [STEEP, HUMP], ids=["steep", "hump"])
def test_rates_are_covered_19_times_in_20(
    shape: Floats, total: float, epsilon: float | None
) -> None:
    """4,000 studies: a coverage of 95 % leaves 93-97 % less than once in 10^7 runs."""
    generator, noise = np.random.default_rng(11), law(epsilon)
    cases = expected(shape, total)
    drawn, people = noisy(cases, noise, generator)
    per = noise.per(100)

    whole = coverage(crude(drawn, people, noise, per), total / PEOPLE.sum())
    truth = float((WORLD * cases / PEOPLE).sum() / WORLD.sum())
    world = coverage(standardised(drawn, people, WORLD, noise, per), truth)
    ratio = coverage(indirect(drawn, people, 2 * cases / PEOPLE, noise, per), 0.5)

    assert all(0.93 <= covered <= 0.97 for covered in (whole, world, ratio))


@pytest.mark.statistical
@pytest.mark.parametrize("release", [laplace(2), gaussian(1)], ids=["Laplace", "Gaussian"])
def test_intervals_that_ignore_the_noise_fail_the_same_test(release: object) -> None:
    """So a coverage of 93-97 % is not had by accident."""
    generator, noise = np.random.default_rng(12), NoiseLaw.of(release)  # type: ignore[arg-type]
    cases = expected(STEEP, 300)
    drawn, people = noisy(cases, noise, generator)
    truth = float((WORLD * cases / PEOPLE).sum() / WORLD.sum())

    knowing = coverage(standardised(drawn, people, WORLD, noise, noise.per(100)), truth)
    ignoring = coverage(standardised(drawn, people, WORLD, EXACT, EXACT), truth)

    assert 0.93 <= knowing <= 0.97
    assert ignoring < 0.9


@pytest.mark.statistical
def test_few_cases_and_much_noise_do_not_bias_a_rate_but_clipped_cells_would() -> None:
    """Means of 4,000 studies within 4.5 standard errors: fails by chance once in 10^5 runs."""
    generator, noise = np.random.default_rng(13), law(0.5)
    cases = expected(STEEP, 20)
    drawn, people = noisy(cases, noise, generator)
    truth = float((WORLD * cases / PEOPLE).sum() / WORLD.sum())

    honest = standardised(drawn, people, WORLD, noise, noise.per(100)).estimate
    clipped = standardised(np.maximum(drawn, 0), people, WORLD, noise, noise.per(100)).estimate

    error = honest.std() / STUDIES**0.5
    assert abs(honest.mean() - truth) < 4.5 * error
    assert clipped.mean() - truth > 20 * error


@pytest.mark.statistical
def test_the_noise_alone_is_covered_as_stated() -> None:
    """As above; the truth here is the ratio without noise, of 5 strata to all of them."""
    generator, noise = np.random.default_rng(14), law(1)
    cases = generator.poisson(
        np.array([expected(STEEP, total) for total in (20, 50, 90, 200, 400)])
    )
    drawn = cases + noise.draws((STUDIES, 5, 18), generator)
    people = PEOPLE + noise.per(100).draws((STUDIES, 5, 18), generator)
    truth = internal(cases.astype(float), np.tile(PEOPLE, (5, 1)), EXACT, EXACT)[0].estimate

    found = internal(drawn, people, noise, noise.per(100))[0]
    inside = ((found.dp_low <= truth) & (truth <= found.dp_high)).mean(axis=0)

    assert ((inside >= 0.93) & (inside <= 0.97)).all()


def test_exact_limits_are_those_of_the_poisson_law() -> None:
    from scipy import stats

    low, high = exact(np.array([7.0]), np.array([1.0]))

    assert stats.poisson.sf(6, low[0]) == pytest.approx(0.025)
    assert stats.poisson.cdf(7, high[0]) == pytest.approx(0.025)
    assert exact(np.array([0.0]), np.array([2.0]))[0] == 0


def test_a_population_of_nobody_does_not_stand_out() -> None:
    generator, noise = np.random.default_rng(15), law(0.5).per(100)

    assert not enough(noise.draws((1_000_000,), generator), noise).any()
    assert enough(np.array([10.0]), noise).all()


def test_a_count_that_the_noise_brought_below_zero_still_has_an_upper_limit() -> None:
    """Without noise, none of n cases is compatible with 3.84; noise cannot make that less."""
    cases, people = np.array([[-40.0]]), np.array([[1000.0]])
    law = NoiseLaw.of(laplace(1))

    figures = crude(cases, people, law, law.per(100))

    assert figures.ci_low[0] == 0
    assert figures.ci_high[0] == pytest.approx(3.8415 / 1000, rel=1e-4)


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", [4, 5])
def test_rare_noise_is_covered_19_times_in_20_too(epsilon: float) -> None:
    """4,000 studies; where most cells carry none, the normal law covered 79 % at epsilon 5."""
    noise, cases = law(epsilon), np.rint(expected(STEEP, 300))
    drawn = cases + noise.draws((STUDIES, *cases.shape), np.random.default_rng(31))
    people = np.broadcast_to(PEOPLE, drawn.shape)

    figures = crude(drawn, people, noise, EXACT)

    truth = cases.sum() / PEOPLE.sum()
    covered = np.mean((figures.dp_low <= truth + 1e-12) & (truth - 1e-12 <= figures.dp_high))
    normal = Z95 * (len(cases) * noise.variance) ** 0.5
    blind = np.mean(abs(drawn.sum(axis=-1) - cases.sum()) <= normal)
    assert covered >= 0.95
    assert blind < covered
