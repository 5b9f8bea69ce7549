"""What one joint noise is worth, measured on data that are public anyway.

For a demonstration and for benchmarks only: it needs the registries' exact tables, which no one
has in a real study. It compares the ways in which registries could answer a survival question,
by the root-mean-square error of the curve against the pooled, noiseless one:

- one registry alone publishes its own exact curve (the largest registry: the best case);
- every registry adds its own noise to its own table, and the noisy tables are added;
- the registries add their tables and draw ONE noise for all (what this network does).

The last two give each patient the same guarantee at the same scale.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.followup import Exits
from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.kinds.lifetable import LifeTable
from upcare_mpc.kinds.survival import Survival
from upcare_mpc.privacy.guarantee import Guarantee

__all__ = ["CurveError", "NoiseUtility", "compare"]

FIVE_YEARS_DAYS = 1826


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveError:
    """Root-mean-square error of survival, as a fraction of 1.

    Attributes:
        curve: Over all arms and intervals.
        five_years: Over all arms, at the end of the interval nearest to five years.
    """

    curve: float
    five_years: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseUtility:
    """The comparison; see the module.

    Attributes:
        alone: The largest registry alone, without noise.
        local: One noise for each registry.
        joint: One noise for all.
        repeats: Draws of noise that the last two are averaged over.
    """

    alone: CurveError
    local: CurveError
    joint: CurveError
    repeats: int


def compare(
    survival: Survival,
    vectors: npt.NDArray[np.int64],
    guarantee: Guarantee,
    *,
    repeats: int,
    generator: np.random.Generator,
) -> NoiseUtility:
    """Compare the three ways on the exact vectors of public data.

    Args:
        survival: The study kind that the vectors belong to.
        vectors: ``(r, cells)``, one line a registry; exact.
        guarantee: What is guaranteed; local and joint noise have the same scale.
        repeats: Draws of noise.
        generator: Where the draws come from.
    """
    shape = survival.layout().tables[0].shape
    if len(shape) != 2 or survival.dco == "count" or survival.causes or survival.expected_at_most:
        raise StudyError("noise utility: wanted a study of survival by arm and nothing else")
    if vectors.ndim != 2 or vectors.shape[1] != shape[0] * shape[1]:
        raise StudyError(f"noise utility: wanted (registries, {shape[0] * shape[1]}) counts")
    tables = vectors.reshape(len(vectors), *shape)
    pooled = tables.sum(axis=0)
    noise = NoiseLaw.of(guarantee)
    truth = _survival(survival, pooled, noise)
    largest = tables[np.argmax(vectors.sum(axis=1))]

    def error(counts: npt.NDArray[np.generic]) -> CurveError:
        missed = (_survival(survival, counts, noise) - truth) ** 2
        ends = np.array(survival.grid.edges[1:])
        five = missed[..., np.argmin(abs(ends - FIVE_YEARS_DAYS))]
        return CurveError(curve=float(missed.mean() ** 0.5), five_years=float(five.mean() ** 0.5))

    def drawn(size: tuple[int, ...]) -> Floats:
        return noise.draws(size, generator)

    return NoiseUtility(
        alone=error(largest),
        local=error(pooled + drawn((repeats, len(tables), *shape)).sum(axis=1)),
        joint=error(pooled + drawn((repeats, *shape))),
        repeats=repeats,
    )


def _survival(
    survival: Survival, counts: npt.NDArray[np.generic], noise: NoiseLaw
) -> npt.NDArray[np.float64]:
    return LifeTable.of(Exits.plain(counts, actuarial=survival.grid.actuarial), noise).survival
