"""The oracles of regression against statsmodels, on drawn patients."""

import numpy as np
import pytest
import statsmodels.api as sm

from upcare_mpc.stats import regression

ROWS = np.column_stack([np.ones(600), np.random.default_rng(2).integers(0, 2, (600, 2))])


def test_logistic_against_statsmodels() -> None:
    outcome = np.random.default_rng(3).random(600) < 0.2 + 0.3 * ROWS[:, 1]

    found = regression.logistic(ROWS.tolist(), outcome.tolist())

    other = sm.GLM(outcome.astype(float), ROWS, family=sm.families.Binomial()).fit(tol=1e-12)
    assert found.coefficients == pytest.approx(tuple(other.params), abs=1e-9)
    assert found.errors == pytest.approx(tuple(other.bse), rel=1e-7)


def test_poisson_against_statsmodels() -> None:
    generator = np.random.default_rng(4)
    time = generator.uniform(1, 5, 600)
    events = generator.poisson(time * np.exp(ROWS @ [-1, 0.5, -0.4]))

    found = regression.poisson(ROWS.tolist(), events.tolist(), time.tolist())

    family = sm.families.Poisson()
    other = sm.GLM(events, ROWS, family=family, offset=np.log(time)).fit(tol=1e-12)
    assert found.coefficients == pytest.approx(tuple(other.params), abs=1e-9)
    assert found.errors == pytest.approx(tuple(other.bse), rel=1e-7)


def test_piecewise_hazards_come_near_to_cox() -> None:
    """On two months, the hazard ratio is within 1 % of that of the Cox model."""
    generator = np.random.default_rng(5)
    days = np.ceil(generator.exponential(1500 * np.exp(-ROWS @ [0, 0.7, 0])))
    end = generator.integers(300, 2500, 600)
    died = days <= end
    last = np.minimum(days, end).astype(int)

    edges = [61 * k for k in range(31)]
    found = regression.piecewise_hazards(ROWS[:, 1:].tolist(), last.tolist(), died.tolist(), edges)

    seen = died & (last <= edges[-1])
    cox = sm.PHReg(np.minimum(last, edges[-1]), ROWS[:, 1:], seen.astype(int)).fit()
    assert found.coefficients[-2:] == pytest.approx(tuple(cox.params), abs=0.01)
    assert found.errors[-2:] == pytest.approx(tuple(cox.bse), abs=0.005)
