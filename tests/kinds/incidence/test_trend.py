"""The annual change: equal to Poisson regression, covered, and refused where noise drowns it."""

from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from gbsg2 import EXACT, laplace

from upcare_mpc.kinds.incidence.trend import trend
from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.stats.incidence import annual_change

PEOPLE = 1e4 * np.array([5, 5, 5, 5.5, 6, 6, 6.5, 7, 7, 7.5, 8, 7, 6.5, 5.5, 5, 4, 3, 3])


def expected(years: int, beta: float, total: float) -> Floats:
    time = np.arange(years) - (years - 1) / 2
    cases: Floats = np.exp(beta * time)[:, None] * PEOPLE * np.exp(0.35 * np.arange(18))
    return cases * (total / float(cases.sum()))


def test_without_noise_it_is_poisson_regression_with_age_as_a_factor() -> None:
    cases = np.random.default_rng(3).poisson(expected(9, 0.03, 900)).astype(float)
    people = np.tile(PEOPLE, (9, 1)) * np.linspace(1, 1.4, 9)[:, None]
    found = trend(cases, people, EXACT, EXACT)

    kept = cases.sum(axis=0) > 0  # an age without a case has no level
    year, age = np.meshgrid(np.arange(9.0), np.arange(18), indexing="ij")
    levels = (age[:, kept].ravel()[:, None] == np.flatnonzero(kept)).astype(float)
    model = sm.GLM(
        cases[:, kept].ravel(),
        np.column_stack([year[:, kept].ravel(), levels]),
        family=sm.families.Poisson(),
        offset=np.log(people[:, kept].ravel()),
    ).fit(tol=1e-12)

    assert found.found
    assert np.log1p(found.estimate / 100) == pytest.approx(model.params[0], rel=1e-7)
    assert found.standard_error == pytest.approx(model.bse[0], rel=1e-6)
    low, high = np.expm1(model.conf_int()[0]) * 100
    assert [found.ci_low, found.ci_high] == pytest.approx([low, high], rel=1e-6)


def test_without_noise_it_is_the_oracle() -> None:
    cases = np.random.default_rng(4).poisson(expected(5, -0.05, 200))
    slope, error = annual_change(
        [(2000 + y, a) for (y, a), count in np.ndenumerate(cases) for _ in range(count)],
        {(2000 + y, a): PEOPLE[a] for y in range(5) for a in range(18)},
    )

    found = trend(cases.astype(float), np.tile(PEOPLE, (5, 1)), EXACT, EXACT)

    assert np.log1p(found.estimate / 100) == pytest.approx(slope, rel=1e-9)
    assert found.standard_error == pytest.approx(error, rel=1e-9)


@pytest.mark.statistical
@pytest.mark.parametrize("epsilon", [None, 5, 1, 0.5])
@pytest.mark.parametrize(("years", "total"), [(9, 1000), (9, 3000), (15, 1000)])
def test_it_is_covered_19_times_in_20(years: int, total: float, epsilon: float | None) -> None:
    """2,000 studies: a coverage of 95 % leaves 93-97 % about once in 10^4 runs."""
    generator = np.random.default_rng(16)
    noise = EXACT if epsilon is None else NoiseLaw.of(laplace(1 / Fraction(epsilon)))
    size = (2000, years, 18)
    cases = generator.poisson(expected(years, 0.02, total), size) + noise.draws(size, generator)
    people = PEOPLE + noise.per(100).draws(size, generator)

    found = trend(cases, people, noise, noise.per(100))
    truth = 100 * np.expm1(0.02)
    inside = (found.ci_low <= truth) & (truth <= found.ci_high)

    assert found.found.all()
    assert 0.93 <= inside.mean() <= 0.97
    assert abs(found.estimate.mean() - truth) < 4.5 * found.estimate.std() / 2000**0.5 + 0.05
    if epsilon == 0.5:
        ignoring = trend(cases, people, EXACT, EXACT)
        assert np.mean((ignoring.ci_low <= truth) & (truth <= ignoring.ci_high)) < 0.93


def test_a_few_cases_under_much_noise_have_no_trend() -> None:
    generator, noise = np.random.default_rng(17), NoiseLaw.of(laplace(2))
    size = (500, 9, 18)
    cases = generator.poisson(expected(9, 0.02, 10), size) + noise.draws(size, generator)

    found = trend(cases, np.tile(PEOPLE, (500, 9, 1)), noise, noise.per(100))

    assert found.found.mean() < 0.01
    assert np.isfinite(found.estimate).all()


def test_one_year_with_people_has_no_trend() -> None:
    people = np.zeros((5, 18))
    people[2] = PEOPLE

    assert not trend(np.full((5, 18), 40.0), people, EXACT, EXACT).found
