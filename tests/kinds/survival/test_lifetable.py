"""The joint repair, intervals without noise, and coverage measured by simulation."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from gbsg2 import EXACT, ONE, cases, gaussian, laplace, survival
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.kinds.kind import Z95, NoiseLaw
from upcare_mpc.kinds.repair import repaired
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LifeTable
from upcare_mpc.privacy.guarantee import Guarantee, gaussian_release, laplace_release
from upcare_mpc.study.rows import tabulate

CELLS = st.lists(st.integers(-50, 50), min_size=3, max_size=15)


@given(CELLS)
def test_repair_keeps_the_total_and_leaves_nothing_negative(cells: list[int]) -> None:
    table = repaired(np.array(cells))

    assert (table >= 0).all()
    assert table.sum() == pytest.approx(max(sum(cells), 0))


@given(CELLS)
def test_repair_leaves_proper_counts_alone(cells: list[int]) -> None:
    assert repaired(np.abs(cells)).tolist() == [abs(cell) for cell in cells]


@given(CELLS, st.lists(st.floats(0, 1), min_size=15, max_size=15))
def test_no_other_proper_table_of_that_total_is_nearer(
    cells: list[int], weights: list[float]
) -> None:
    noisy = np.array(cells)
    table = repaired(noisy)
    total = table.sum()
    other = np.array(weights[: len(cells)]) + 1e-9
    other *= total / other.sum()

    assert ((table - noisy) ** 2).sum() <= ((other - noisy) ** 2).sum() + 1e-6


@given(st.lists(CELLS.filter(lambda c: len(c) == 5), min_size=2, max_size=4))
def test_arms_are_repaired_one_by_one(arms: list[list[int]]) -> None:
    together = repaired(np.array(arms))

    for arm, alone in zip(together, arms, strict=True):
        assert arm == pytest.approx(repaired(np.array(alone)))


def test_without_noise_the_noise_interval_is_the_estimate() -> None:
    table = LifeTable.of(_plain(_women()), EXACT)

    low, high = table.dp_interval()

    assert low == pytest.approx(table.survival, abs=1e-8)
    assert high == pytest.approx(table.survival, abs=1e-8)


def test_the_interval_of_everything_encloses_the_interval_of_the_noise() -> None:
    table = LifeTable.of(_plain(_women()), NoiseLaw.of(laplace(3)))

    (low, high), (dp_low, dp_high) = table.ci_interval(), table.dp_interval()

    assert (low <= dp_low).all()
    assert (dp_high <= high).all()


def test_more_noise_gives_wider_intervals() -> None:
    widths = []
    for release in (laplace(Fraction(1, 50)), laplace(1), gaussian(1)):
        law = NoiseLaw.of(release)
        low, high = LifeTable.of(_plain(_women()), law).ci_interval()
        widths.append((high - low).mean())

    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 2


def test_the_joint_repair_adds_fewer_deaths_than_clipping() -> None:
    noisy = _women() + _noise(laplace(10), (2000, 2, 15))

    clipped = np.maximum(noisy, 0)[..., 0:-1:2].sum(axis=-1).mean() - 171 / 2
    jointly = repaired(noisy)[..., 0:-1:2].sum(axis=-1).mean() - 171 / 2

    assert 0 <= jointly < 0.6 * clipped


@pytest.mark.parametrize("repeats", [300, pytest.param(20_000, marks=pytest.mark.statistical)])
@pytest.mark.parametrize(
    "release",
    [laplace(Fraction(1, 50)), laplace(1), laplace(Fraction(10, 3)), gaussian(4), gaussian(1)],
    ids=lambda r: f"{r.mechanism} {float(r.scale):.3g}",
)
def test_intervals_cover_19_times_in_20(release: Guarantee, repeats: int) -> None:
    """The population is the 686 women themselves; tables are drawn from it, then noise added.

    Measured with 20,000 repeats, mean over arms and intervals (lowest): ci .950 (.931) without
    noise, .960 (.949) at scale 1, .965 (.951) at 10/3, .976 (.959) at 10; dp .965 (.960) at
    scale 1, .963 (.952) at 10/3, .975 (.958) at 10. With Gaussian noise ci .958 (.947) and dp .965
    (.961) at sigma 1.6, ci .966 (.954) and dp .964 (.951) at 5.8.
    """
    law = NoiseLaw.of(release)
    women = _women()
    tables = _resampled(women / women.sum(axis=1, keepdims=True), repeats)
    truth = LifeTable.of(_plain(women), EXACT).survival
    noiseless = LifeTable.of(_plain(tables), EXACT).survival
    estimate = LifeTable.of(_plain(tables + _noise(release, tables.shape)), law)

    (low, high), (dp_low, dp_high) = estimate.ci_interval(), estimate.dp_interval()
    ci = ((low <= truth) & (truth <= high)).mean(axis=0)
    dp = ((dp_low - 1e-8 <= noiseless) & (noiseless <= dp_high + 1e-8)).mean(axis=0)

    assert 0.94 <= ci.mean() <= 0.98
    assert ci.min() >= 0.9
    assert dp.mean() >= 0.945


@pytest.mark.statistical
@pytest.mark.parametrize("patients", [300, 3000])
@pytest.mark.parametrize("hazard", [0.02, 0.15])
@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
@pytest.mark.parametrize("epsilon", [1, 5, 10])
def test_noise_is_covered_in_every_interval_however_little_there_is(
    epsilon: int, mechanism: str, overlap: int, hazard: float, patients: int
) -> None:
    """4,000 tables of six years: a true .95 is found below .94 once in 500 figures.

    The form rejected is that of the normal law, which forgets that a draw is a whole number.
    """
    if mechanism == "laplace":
        law = NoiseLaw.of(laplace_release(Fraction(epsilon), ONE, overlap)[1])
    else:
        law = NoiseLaw.of(gaussian_release(Fraction(epsilon), Fraction(1, 10**9), ONE, overlap)[1])
    generator, die = np.random.default_rng(23), 1 - np.exp(-hazard)
    chances, there = [], 1.0
    for _ in range(6):
        chances += [there * die, there * (1 - die) * 0.08]
        there *= (1 - die) * 0.92
    tables = generator.multinomial(patients, [*chances, there], 4000)
    noiseless = LifeTable.of(_plain(tables), EXACT).survival
    found = LifeTable.of(_plain(tables + law.draws(tables.shape, generator)), law)

    low, high = found.dp_interval()
    inside = (low - 1e-8 <= noiseless) & (noiseless <= high + 1e-8)

    assert inside[found.estimable].mean() >= 0.945
    for number in range(6):
        assert inside[found.estimable[:, number], number].mean() >= 0.94
    if (mechanism, epsilon, overlap, hazard) == ("laplace", 5, 2, 0.02):
        normal = Z95 * law.sd / found.exposed[:, 0]  # a death in the first interval, nothing else
        assert (np.abs(found.survival - noiseless)[:, 0] <= normal).mean() < 0.9


def _women() -> npt.NDArray[np.int64]:
    """``(2, 15)`` true counts of seven yearly intervals."""
    kind = survival(365, 7)
    return tabulate(kind.measures(), kind.layout(), cases()).reshape(2, 15)


def _resampled(law: npt.NDArray[np.float64], repeats: int) -> npt.NDArray[np.int64]:
    generator = np.random.default_rng(20)
    sizes = (246, 440)
    return np.stack(
        [generator.multinomial(n, p, repeats) for n, p in zip(sizes, law, strict=True)], axis=1
    )


def _noise(release: Guarantee, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return NoiseLaw.of(release).draws(shape, np.random.default_rng(21))


def _plain(counts: npt.NDArray[np.int64]) -> Exits:
    return Exits.plain(counts, actuarial=True)
