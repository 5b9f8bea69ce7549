"""What one joint noise is worth, measured on data that are public anyway.

For demonstrations and comparisons only: it needs the registries' exact tables, which no one has in
a real study. It compares the ways in which registries could answer a study of any kind, by the
root-mean-square error of each figure against the pooled, noiseless one:

- ``alone``: one registry publishes its own exact answer (the largest: the best case);
- ``local``: every registry adds its own noise to its own table, and the noisy tables are added;
- ``joint``: the registries add their tables and draw ONE noise for all (what this network does);
- ``federated search``: every registry shows each count as the German federated search does, and the
  counts shown are added (``as_federated_search``). For tables of counts alone: it knows no sums.

``local`` and ``joint`` give each patient the same guarantee at the same scale. ``federated search``
gives none of that epsilon: a count below ten, or its absence, is told without noise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Z95, Floats, Kind, NoiseLaw
from upcare_mpc.privacy.guarantee import Guarantee

if TYPE_CHECKING:  # nodes load kinds but never finish a study
    import pandas as pd

__all__ = ["WAYS", "NoiseUtility", "as_federated_search", "compare"]

WAYS: Final = ("alone", "local", "federated search", "joint")
STEP: Final = 10
_VALUES: Final = ("survival", "count", "estimate")  # the column of a kind's rows that is estimated
_GIVEN: Final = ("end_days", "percent")  # numbers by which rows are told apart

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseUtility:
    """The comparison; see the module.

    Attributes:
        rows: The pooled, noiseless answer.
        column: Which column of it is compared.
        truth: What is compared, of each row.
        once: By way, the answer of the first repeat; NaN where there was none.
        errors: By way, the root-mean-square error of each row; NaN if it was never estimated.
        missing: By way, the share of repeats in which a row was not estimated.
        repeats: Draws of noise that each is averaged over.
    """

    rows: "pd.DataFrame"
    column: str
    truth: Floats
    once: Mapping[str, Floats]
    errors: Mapping[str, Floats]
    missing: Mapping[str, Floats]
    repeats: int

    def error(self, way: str, among: npt.NDArray[np.bool_] | None = None) -> float:
        """Root mean square over the rows, or over some; of those that were estimated."""
        squares = self.errors[way][slice(None) if among is None else among] ** 2
        known = squares[np.isfinite(squares)]
        return float(known.mean() ** 0.5) if known.size else float("nan")


def as_federated_search(
    counts: Integers, epsilon: float, generator: np.random.Generator, *, patient: int = 1
) -> Integers:
    """Show counts as the German federated search does, simulated from its public source.

    A zero stays zero, 1 to 9 become 10, anything else gets Laplace noise of scale
    ``patient / epsilon``, is rounded to the nearest 10, and is not negative. Source:
    github.com/samply/laplace-rs, src/lib.rs (``get_from_cache_or_privatize``), with the defaults of
    github.com/samply/focus: zeros as they are, below ten in mode 1, one patient. Its sites run it
    at epsilon 0.28 (github.com/samply/bridgehead, ccp/docker-compose.yml).
    """
    noisy = counts + generator.laplace(0, patient / epsilon, counts.shape)
    shown = STEP * np.maximum(np.floor(noisy / STEP + 0.5), 0)
    shown = np.where(counts < STEP, STEP, shown)
    result: Integers = np.where(counts == 0, 0, shown).astype(np.int64)
    return result


def compare(
    kind: Kind,
    vectors: Integers,
    guarantee: Guarantee,
    *,
    repeats: int,
    generator: np.random.Generator,
) -> NoiseUtility:
    """Compare the ways on the exact vectors of public data.

    Args:
        kind: The statistic that the vectors belong to.
        vectors: ``(r, cells)``, one line a registry; exact.
        guarantee: What is guaranteed; local and joint noise have the same scale.
        repeats: Draws of noise.
        generator: Where the draws come from.

    Raises:
        StudyError: The vectors belong to another study.
    """
    layout = kind.layout()
    registries = len(vectors)
    if vectors.ndim != 2 or vectors.shape[1] != layout.cells:
        raise StudyError(f"noise utility: wanted (registries, {layout.cells}) counts")
    pooled = vectors.sum(axis=0)
    noise = NoiseLaw.of(guarantee)
    truth = kind.finish(pooled, NoiseLaw(variance=0, quantile95=0, scale=0)).rows
    column = next((name for name in _VALUES if name in truth), None)
    if column is None:
        raise StudyError("noise utility: wanted rows with an estimate")
    exact = truth[column].to_numpy(np.float64, na_value=np.nan)
    about = _about(truth)
    wanted = list(truth[about].itertuples(index=False, name=None))

    def answers(answer: Callable[[], Integers], law: NoiseLaw, times: int) -> Floats:
        found = np.full((times, len(exact)), np.nan)
        for estimates in found:
            rows = kind.finish(answer(), law).rows  # under noise a kind may join categories
            names = rows[about].itertuples(index=False, name=None)
            known = dict(zip(names, rows[column].astype(float), strict=True))
            estimates[:] = [known.get(name, np.nan) for name in wanted]
        return found

    def drawn(*size: int) -> Integers:
        return noise.draws((*size, layout.cells), generator).astype(np.int64)

    largest = vectors[np.argmax(vectors.sum(axis=1))]
    ways = {
        "alone": answers(lambda: largest, noise, 1),
        "local": answers(
            lambda: pooled + drawn(registries).sum(axis=0),
            _sum_of(registries, noise.variance),
            repeats,
        ),
        "joint": answers(lambda: pooled + drawn(1)[0], noise, repeats),
    }
    if len(layout.tables) == layout.tables[0].weight == layout.sensitivity.d1 == 1:
        epsilon = float(guarantee.epsilon)
        ways["federated search"] = answers(
            lambda: as_federated_search(vectors, epsilon, generator).sum(axis=0),
            _sum_of(registries, 2 / epsilon**2 + STEP**2 / 12),
            repeats,
        )
    return NoiseUtility(
        rows=truth,
        column=column,
        truth=exact,
        once={way: ways[way][0] for way in WAYS if way in ways},
        errors={way: _root_mean_square(ways[way] - exact) for way in WAYS if way in ways},
        missing={way: np.isnan(ways[way]).mean(axis=0) for way in WAYS if way in ways},
        repeats=repeats,
    )


def _about(rows: "pd.DataFrame") -> list[str]:
    """The columns that say what a row is about: texts, and the numbers that no noise is in."""
    return [
        str(name)
        for name in rows.columns
        if name in _GIVEN
        or (name != "remark" and all(isinstance(value, str) for value in rows[name]))
    ]


def _root_mean_square(missed: Floats) -> Floats:
    """Over the repeats in which there was an estimate; NaN if there never was."""
    known = np.isfinite(missed)
    squares = np.where(known, missed, 0) ** 2
    mean = squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    result: Floats = np.where(known.any(axis=0), np.sqrt(mean), np.nan)
    return result


def _sum_of(registries: int, variance: float) -> NoiseLaw:
    """The noise in a sum of tables with noise of their own, nearly normal."""
    sd = (registries * variance) ** 0.5
    return NoiseLaw(variance=sd**2, quantile95=Z95 * sd, scale=sd, gaussian=True)
