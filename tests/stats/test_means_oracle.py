"""The oracle for means against values worked out by hand and against numpy."""

import numpy as np
import pytest

from upcare_mpc.stats.means import clamped, correlation, mean, standard_deviation

AGES, DAYS = [40, 50, 60, 90], [10, 30, 20, 60]


def test_by_hand() -> None:
    assert clamped([17, 18, 60, 101], 18, 100) == [18, 18, 60, 100]
    assert mean(AGES) == 60
    assert standard_deviation(AGES) == pytest.approx((1400 / 3) ** 0.5)
    assert correlation(AGES, DAYS) == pytest.approx(1300 / (1400 * 1400) ** 0.5)


def test_against_numpy() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(60, 12, 500)
    y = x + generator.normal(0, 9, 500)

    assert standard_deviation(list(x)) == pytest.approx(float(np.std(x, ddof=1)), rel=1e-12)
    assert correlation(list(x), list(y)) == pytest.approx(float(np.corrcoef(x, y)[0, 1]), rel=1e-12)
