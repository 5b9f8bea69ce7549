"""Derivatives in noisy cells, against differences; with and without late entry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.kinds.sums import noise_reach
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LifeTable
from upcare_mpc.kinds.survival.period import Period

NONE = NoiseLaw(variance=0, quantile95=0, scale=0)
GRID = Grid(interval_days=365, intervals=4, landmark_days=0)


def exits_of(kind: str, *, actuarial: bool) -> Exits:
    generator = np.random.default_rng(4)
    possible = np.ones((1, 9), dtype=np.int64)
    if kind == "period":
        possible = Period(GRID, 2015, 2016).possible()
    counts = generator.integers(20, 60, possible.shape) * possible
    return Exits(counts=counts.astype(np.float64), draws=possible, actuarial=actuarial)


def log_survival(exits: Exits) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = np.log(
        LifeTable.of(exits, NONE).survival
    )
    return values


@pytest.mark.parametrize("kind", ["plain", "period"])
@pytest.mark.parametrize("actuarial", [True, False])
def test_slopes_are_the_derivatives_of_log_survival(kind: str, actuarial: bool) -> None:
    exits = exits_of(kind, actuarial=actuarial)
    seen = exits.observed()
    survivors = seen.exposed - seen.deaths
    by_exposed, by_deaths = seen.deaths / (seen.exposed * survivors), -1 / survivors

    differences = np.zeros((*exits.draws.shape, 4))
    for cell in zip(*np.nonzero(exits.draws), strict=True):
        up, down = exits.counts.copy(), exits.counts.copy()
        up[cell] += 1e-4
        down[cell] -= 1e-4
        higher = Exits(counts=up, draws=exits.draws, actuarial=actuarial)
        lower = Exits(counts=down, draws=exits.draws, actuarial=actuarial)
        differences[cell] = (log_survival(higher) - log_survival(lower)) / 2e-4

    at_end = exits.slopes(by_exposed=by_exposed, by_deaths=by_deaths)
    assert at_end == pytest.approx(differences[..., -1], abs=1e-7)
    for power in (2, 4):
        sums = exits.curve_power_sums(power, by_exposed=by_exposed, by_deaths=by_deaths)
        assert sums == pytest.approx((differences**power).sum(axis=(0, 1)), rel=1e-5)


def test_a_sum_of_strata_carries_the_noise_of_all() -> None:
    one = Exits.plain(np.arange(9), actuarial=True)
    both = Exits.plain(np.stack([np.arange(9), np.arange(9)]), actuarial=True).summed(0)

    assert both.counts.tolist() == (2 * one.counts).tolist()
    assert both.draws.tolist() == (2 * one.draws).tolist()


@given(st.lists(st.integers(-40, 40), min_size=9, max_size=9))
def test_nobody_is_exposed_who_is_not_there(counts: list[int]) -> None:
    seen = Exits.plain(np.array(counts), actuarial=True).observed()

    assert (seen.at_risk >= 0).all()
    assert (np.diff(seen.at_risk) <= 1e-9).all()
    assert (seen.exposed <= seen.at_risk + 1e-9).all()
    assert (seen.deaths >= 0).all()


@pytest.mark.parametrize("scale", [0.02, 0.2, 0.3, 1, 5])
@pytest.mark.parametrize("draws", [1, 13, 60])
def test_the_reach_holds_at_least_19_in_20_draws(scale: float, draws: int) -> None:
    """40,000 draws: a share of .95 is found below .945 once in 400,000 runs."""
    noise = law(scale)
    drawn = noise.draws((40_000, draws), np.random.default_rng(6)).sum(axis=-1)

    farthest = noise_reach(noise, np.float64(draws), np.float64(draws))

    assert (abs(drawn) <= farthest + 1e-9).mean() >= 0.945


def law(scale: float) -> NoiseLaw:
    q = np.exp(-1 / scale)
    tails = {k: 2 * q ** (k + 1) / (1 + q) for k in range(20)}
    return NoiseLaw(
        variance=float(2 * q / (1 - q) ** 2),
        quantile95=min(k for k, tail in tails.items() if tail <= 0.05),
        scale=scale,
    )
