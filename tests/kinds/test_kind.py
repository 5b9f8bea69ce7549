from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from gbsg2 import gaussian, laplace

from upcare_mpc.kinds.kind import Z95, NoiseLaw, Result
from upcare_mpc.privacy.guarantee import Guarantee

RELEASES = [
    *(laplace(scale) for scale in (Fraction(1, 5), 1, 10, 300)),
    *(gaussian(epsilon) for epsilon in (10, 1, Fraction(1, 10))),
]


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: f"{r.mechanism} {float(r.scale):g}")
def test_the_noise_of_an_estimator_is_that_of_the_release(release: Guarantee) -> None:
    """A million draws; each bound is five standard errors wide: passed once in 10^6 runs."""
    law = NoiseLaw.of(release)
    drawn = abs(NoiseLaw.of(release).draws((1_000_000,), np.random.default_rng(3)))
    squares = drawn**2.0

    assert squares.mean() == pytest.approx(law.variance, abs=5 * squares.std() / 1000)
    assert np.mean(drawn <= law.quantile95) >= 0.95 - 0.0011
    assert np.mean(drawn <= law.quantile95 - 1) < 0.95 + 0.0011


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: f"{r.mechanism} {float(r.scale):g}")
@pytest.mark.parametrize("cells", [1, 2, 5, 100])
def test_a_sum_of_draws_stays_within_its_reach_19_times_in_20(
    release: Guarantee, cells: int
) -> None:
    law = NoiseLaw.of(release)
    total = NoiseLaw.of(release).draws((200_000, cells), np.random.default_rng(4)).sum(axis=1)

    inside = np.mean(abs(total) <= np.ceil(cells**0.5 * law.reach(1 / cells)))

    assert inside >= 0.948  # 0.95 falls below once in 10^5 runs


def _coverage_of_a_sum(law: NoiseLaw, cells: int, reached: float) -> float:
    """The chance that a sum of draws of Laplace noise lies within, from its exact law."""
    success = -np.expm1(-1 / law.scale)
    values = np.arange(-400, 401)
    alone = success / (2 - success) * (1 - success) ** np.abs(values)
    whole = np.ones(1)
    for _ in range(cells):
        whole = np.convolve(whole, alone)
    distance = np.abs(np.arange(len(whole)) - len(whole) // 2)
    return float(whole[distance <= reached + 1e-9].sum())


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 5, 8, 20])
@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("epsilon", [Fraction(1, 5), 1, 5, 10])
def test_the_noise_alone_stays_within_its_farthest(
    epsilon: Fraction | int, overlap: int, cells: int
) -> None:
    law = NoiseLaw.of(laplace(Fraction(overlap) / epsilon))

    covered = _coverage_of_a_sum(law, cells, cells**0.5 * float(law.farthest(1 / cells)))

    assert covered >= 0.94


def test_a_reach_that_forgets_that_noise_is_whole_covers_too_little() -> None:
    law = NoiseLaw.of(laplace(Fraction(2, 5)))  # epsilon 5, overlap 2

    assert _coverage_of_a_sum(law, 5, 5**0.5 * float(law.reach(1 / 5))) < 0.89


def test_one_draw_reaches_to_its_exact_quantile_and_many_to_the_normal_one() -> None:
    law = NoiseLaw.of(laplace(10))

    assert law.reach(1) == law.quantile95 == 30
    assert law.reach(0) == pytest.approx(Z95 * law.variance**0.5) == pytest.approx(27.7, abs=0.1)


def test_records_are_plain_values_without_nan() -> None:
    rows = pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": ["x", None]})

    records = Result(rows=rows, statistics={}, notes=()).records()

    assert records == [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": None, "c": None}]
    assert type(records[0]["a"]) is int
