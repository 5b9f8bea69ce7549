"""Intervals by simulation, where no formula is at hand: the parametric bootstrap.

The noisy counts, made non-negative, are taken for the truth. Then the study is repeated: new noise
on the same counts for ``dp``, new Poisson counts and new noise for ``ci``; every time the estimate
is computed as it was. The interval is the estimate less the 97.5 % and 2.5 % points of how far the
repeats fall from what they started from (the basic interval of Davison and Hinkley, Bootstrap
Methods and their Application, 1997, eq. 5.6), so that a bias of the estimate is taken off and not
counted twice.

The generator is seeded with the noisy counts: the same answer has the same intervals everywhere.
It draws no noise that protects anybody.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from upcare_mpc.kinds.kind import Floats, NoiseLaw

__all__ = ["REPEATS", "Bootstrap", "bootstrap"]

REPEATS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Intervals of ``k`` estimates; all arrays ``(k,)``.

    Attributes:
        estimate: From the noisy tables.
        dp_low, dp_high: Where the noiseless estimate lies, 19 times in 20 over the noise.
        ci_low, ci_high: Where the value in the population lies, over patients and noise.
    """

    estimate: Floats
    dp_low: Floats
    dp_high: Floats
    ci_low: Floats
    ci_high: Floats


def bootstrap(
    estimator: Callable[[Sequence[Floats]], Floats],
    noisy: Sequence[Floats],
    likely: Sequence[Floats],
    noises: Sequence[NoiseLaw],
    *,
    repeats: int = REPEATS,
) -> Bootstrap:
    """Simulate the study around its own answer.

    Args:
        estimator: From tables ``(..., *shape)``, as noisy as they come, to estimates ``(..., k)``;
            it works on all repeats at once, and makes any repair itself. What it cannot estimate
            is NaN and left out of the quantiles.
        noisy: The tables as released.
        likely: The same tables, possible: what counts are drawn around. Non-negative.
        noises: The noise in each table.
        repeats: How many studies are simulated for each interval.
    """
    seed = hashlib.sha256(b"".join(np.ascontiguousarray(t, "<f8").tobytes() for t in noisy))
    generator = np.random.default_rng(int.from_bytes(seed.digest(), "little"))
    estimate = estimator(noisy)
    centre = estimator(likely)

    def repeated(tables: Sequence[Floats]) -> Floats:
        drawn = [
            table + noise.draws((repeats, *table.shape[-plain.ndim :]), generator)
            for table, plain, noise in zip(tables, likely, noises, strict=True)
        ]
        return estimator(drawn)

    def around(values: Floats) -> tuple[Floats, Floats]:
        low, high = np.nanquantile(values - centre, (0.025, 0.975), axis=0)
        return estimate - high, estimate - low

    dp_low, dp_high = around(repeated(likely))
    counts = [generator.poisson(table, (repeats, *table.shape)).astype(float) for table in likely]
    ci_low, ci_high = around(repeated(counts))
    return Bootstrap(
        estimate=estimate, dp_low=dp_low, dp_high=dp_high, ci_low=ci_low, ci_high=ci_high
    )
