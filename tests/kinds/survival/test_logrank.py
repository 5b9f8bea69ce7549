"""The level of the noise-aware test under a true null, and that the plain one does not hold it."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from gbsg2 import EXACT, cases, gaussian, laplace, survival
from scipy.special import chdtri

from upcare_mpc.kinds.chi_square import ChiSquare
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LifeTable
from upcare_mpc.kinds.survival.logrank import log_rank, scores
from upcare_mpc.privacy.guarantee import Guarantee
from upcare_mpc.study.rows import tabulate


def rejections(release: Guarantee, sizes: tuple[int, ...], repeats: int) -> tuple[float, float]:
    """Share of true nulls rejected at 5 %, by the plain and by the noise-aware test.

    All arms are drawn from the survival of the 686 women together.
    """
    kind = survival(365, 7)
    pooled = tabulate(kind.measures(), kind.layout(), cases()).reshape(2, 15).sum(axis=0)
    generator = np.random.default_rng(30)
    tables = np.stack([generator.multinomial(n, pooled / 686, repeats) for n in sizes], axis=1)
    noisy, law = tables + NoiseLaw.of(release).draws(tables.shape, generator), NoiseLaw.of(release)

    exits = Exits.plain(noisy, actuarial=True)
    score, sampling, added = scores(exits, LifeTable.of(exits, law), law)

    limit = chdtri(len(sizes) - 1, 0.05)
    return _rejected(score, sampling, limit), _rejected(score, sampling + added, limit)


def logrank_of(table: npt.NDArray[np.int64], law: NoiseLaw) -> ChiSquare | None:
    exits = Exits.plain(table, actuarial=True)
    return log_rank(exits, LifeTable.of(exits, law), law)


def _rejected(
    score: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], limit: float
) -> float:
    solved = np.linalg.solve(variance, score[..., None])[..., 0]
    return float(((score * solved).sum(axis=-1) > limit).mean())


@pytest.mark.parametrize("sizes", [(246, 440), (343, 343), (229, 229, 228)])
@pytest.mark.parametrize(
    "release",
    [laplace(Fraction(1, 50)), laplace(1), laplace(Fraction(10, 3)), gaussian(4), gaussian(1)],
    ids=lambda r: f"{r.mechanism} {float(r.scale):.3g}",
)
@pytest.mark.parametrize(
    ("repeats", "band"),
    [
        (2000, (0.03, 0.065)),
        pytest.param(40_000, (0.04, 0.056), marks=pytest.mark.statistical),
    ],
)
def test_the_noise_aware_test_holds_its_level(
    sizes: tuple[int, ...],
    release: Guarantee,
    repeats: int,
    band: tuple[float, float],
) -> None:
    _, aware = rejections(release, sizes, repeats)

    assert band[0] <= aware <= band[1]


def test_the_plain_test_rejects_a_true_null_too_often() -> None:
    """Why p_noise_aware exists: at epsilon 0.3 every fifth true null is rejected."""
    plain, aware = rejections(laplace(Fraction(10, 3)), (246, 440), 5000)

    assert plain > 0.15
    assert aware < 0.065


def test_without_noise_both_p_values_agree() -> None:
    kind = survival(365, 7)
    table = tabulate(kind.measures(), kind.layout(), cases()).reshape(2, 15)

    test = logrank_of(table, EXACT)

    assert test is not None
    assert test.p == pytest.approx(test.p_noise_aware)
    assert test.p == pytest.approx(0.10215, abs=1e-5)


def test_the_order_of_the_arms_does_not_change_the_test() -> None:
    law = NoiseLaw.of(laplace(2))
    table = np.random.default_rng(1).integers(-3, 60, (3, 15))
    orders = ([0, 1, 2], [2, 0, 1])

    tests = [logrank_of(table[order], law) for order in orders]

    assert tests[0] is not None
    assert tests[1] is not None
    assert tests[0].statistic == pytest.approx(tests[1].statistic)
    assert tests[0].p_noise_aware == pytest.approx(tests[1].p_noise_aware)


def test_no_deaths_give_no_test() -> None:
    table = np.zeros((2, 15), dtype=np.int64)
    table[:, 14] = 100

    assert logrank_of(table, EXACT) is None
