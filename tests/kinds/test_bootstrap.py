"""Intervals by simulation cover what they should, and the same answer has the same interval."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from upcare_mpc.kinds.bootstrap import bootstrap
from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.privacy.guarantee import laplace_release
from upcare_mpc.study.layout import Sensitivity

NOISE = NoiseLaw.of(laplace_release(Fraction(1), Sensitivity(1, 1, 1), 2)[1])
TRUTH = np.array([60.0, 240.0])


def share(tables: Sequence[Floats]) -> Floats:
    """The first cell over the sum, which is curved in both."""
    (table,) = tables
    return table[..., :1] / table.sum(axis=-1, keepdims=True)


def interval(noisy: Floats, noise: NoiseLaw = NOISE) -> tuple[bool, bool, bool]:
    found = bootstrap(share, [noisy], [np.maximum(noisy, 0)], [noise], repeats=400)
    goal = TRUTH[0] / TRUTH.sum()
    ordered = found.ci_low < found.dp_low < found.estimate < found.dp_high < found.ci_high
    return (
        bool(found.ci_low <= goal <= found.ci_high),
        bool(ordered),
        bool(found.dp_low <= goal <= found.dp_high),
    )


def test_the_same_answer_has_the_same_interval_everywhere() -> None:
    noisy = np.array([61.0, 235.0])

    one, other = (bootstrap(share, [noisy], [noisy], [NOISE], repeats=50) for _ in range(2))

    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__slots__)
    changed = bootstrap(share, [noisy + np.array([0.0, 1.0])], [noisy], [NOISE], repeats=50)
    assert not np.array_equal(changed.dp_low, one.dp_low)


def test_without_noise_only_sampling_widens_the_interval() -> None:
    none = NoiseLaw(variance=0, quantile95=0, scale=0)

    found = bootstrap(share, [TRUTH], [TRUTH], [none], repeats=50)

    assert found.dp_low == found.dp_high == found.estimate
    assert found.ci_low < found.estimate < found.ci_high


@pytest.mark.statistical
def test_nominal_95_percent_cover_93_to_97() -> None:
    """2000 studies. Between 93 and 97 % if the law is right: false alarm about 1 in 20,000."""
    generator = np.random.default_rng(17)
    population, noise_only, blind = [], [], []
    for _ in range(2000):
        drawn = generator.poisson(TRUTH).astype(float)
        noisy = drawn + NOISE.draws((2,), generator)
        population.append(interval(noisy)[0])
        noise_only.append(interval(TRUTH + NOISE.draws((2,), generator))[2])
        # an interval that knows of patients alone, around a noisy answer; scale 20 to make it plain
        loud = drawn + 10 * NOISE.draws((2,), generator)
        blind.append(interval(loud, NoiseLaw(variance=0, quantile95=0, scale=0))[0])

    assert 0.93 <= np.mean(population) <= 0.97
    assert 0.93 <= np.mean(noise_only) <= 0.97
    assert np.mean(blind) < 0.9
