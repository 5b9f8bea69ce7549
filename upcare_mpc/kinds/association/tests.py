"""Tests of association and of homogeneity, with p-values that know the noise.

Each statistic is a quadratic form of a difference D between what was observed and what would be
expected without association, over the sampling variance V of D. Noise moves D too. The aware one is
the same form with V + W, W the variance of D under the noise by the delta method.

``pearson``: Pearson (1900), D of each category, for any number of them; V is multinomial.
``mantel_haenszel``: Mantel and Haenszel (1959), without the correction for continuity, which is of
no use once noise has blurred the counts.
``homogeneity``: Breslow and Day (1980) with the correction of Tarone (1985): whether the odds ratio
is the same in all strata. D is ``a`` less what the common odds ratio and the margins of the stratum
let expect, V = 1 / (1/A + 1/B + 1/C + 1/D) of the fitted cells.
"""

import numpy as np

from upcare_mpc.kinds.chi_square import ChiSquare
from upcare_mpc.kinds.kind import Floats, NoiseLaw

__all__ = ["homogeneity", "mantel_haenszel", "pearson"]


def pearson(table: Floats, draws: int, noise: NoiseLaw) -> ChiSquare | None:
    """Test whether the outcome is as frequent in all categories.

    Args:
        table: ``(r, 2)`` category; with the outcome, without.
        draws: Draws of noise in each cell.
        noise: The law of a draw.

    Returns:
        The test; None if a category, the outcome or its opposite has nobody.
    """
    rows, total = table.sum(axis=1), float(table.sum())
    if (rows <= 0).any() or (table.sum(axis=0) <= 0).any():
        return None
    share, p = rows / total, float(table[:, 0].sum()) / total
    distance = (table[:, 0] - rows * p)[:-1]
    around = np.eye(len(share)) - share[:, None]  # times (1 - p) or -p: derivatives in the cells
    sampling = (total * p * (1 - p) * (np.diag(share) - np.outer(share, share)))[:-1, :-1]
    added = draws * noise.variance * ((1 - p) ** 2 + p**2) * (around @ around.T)[:-1, :-1]
    statistic = float(distance @ np.linalg.solve(sampling, distance))
    aware = float(distance @ np.linalg.solve(sampling + added, distance))
    return ChiSquare.of(statistic, aware, len(rows) - 1)


def mantel_haenszel(cells: Floats, noise: NoiseLaw) -> ChiSquare | None:
    """Test whether the odds ratio is 1 in all strata.

    Args:
        cells: ``(k, 2, 2)`` strata that are usable.
        noise: The law of a draw.
    """
    rows, columns, n = cells.sum(axis=2), cells.sum(axis=1), cells.sum(axis=(1, 2))
    expected = rows[:, 0] * columns[:, 0] / n
    kept = (columns > 0).all(axis=1) & (n > 1)
    distance = float((cells[:, 0, 0] - expected)[kept].sum())
    sampling = (rows.prod(axis=1) * columns.prod(axis=1))[kept] / (n**2 * (n - 1))[kept]
    # a - n1 m1 / n, in cell ij: ([i = 0] - n1/n) ([j = 0] - m1/n)
    by_row = np.array([1, 0]) - (rows[:, 0] / n)[:, None]
    by_column = np.array([1, 0]) - (columns[:, 0] / n)[:, None]
    squares = ((by_row**2).sum(axis=1) * (by_column**2).sum(axis=1))[kept]
    variance = float(sampling.sum())
    if variance <= 0:
        return None
    aware = variance + noise.variance * float(squares.sum())
    return ChiSquare.of(distance**2 / variance, distance**2 / aware, 1)


def homogeneity(cells: Floats, ratio: float, noise: NoiseLaw) -> ChiSquare | None:
    """Test whether the odds ratio is the same in all strata.

    Args:
        cells: ``(k, 2, 2)`` strata that are usable.
        ratio: The common odds ratio.
        noise: The law of a draw.

    Returns:
        The test; None if fewer than two strata have fitted cells that stand out from the noise.
    """
    fitted = _fitted(cells, ratio)
    least = float(noise.quantile95)
    kept = (fitted > least).all(axis=(1, 2))
    if kept.sum() < 2:
        return None
    distance = (cells - fitted)[kept, 0, 0]
    sampling = 1 / (1 / fitted[kept]).sum(axis=(1, 2))
    added = noise.variance * sampling**2 * (1 / fitted[kept] ** 2).sum(axis=(1, 2))

    def statistic(variance: Floats) -> float:
        # Less what another common ratio would explain: it moves D by a multiple of V.
        total = float((distance**2 / variance).sum())
        along = float((distance * sampling / variance).sum())
        return total - along**2 / float((sampling**2 / variance).sum())

    return ChiSquare.of(statistic(sampling), statistic(sampling + added), int(kept.sum()) - 1)


def _fitted(cells: Floats, ratio: float) -> Floats:
    """Return the cells with the margins of each stratum and this odds ratio."""
    n1, n0 = cells.sum(axis=2).T
    m1 = cells[:, :, 0].sum(axis=1)
    # (ratio - 1) A^2 - (ratio (n1 + m1) + n0 - m1) A + ratio n1 m1 = 0
    b = ratio * (n1 + m1) + n0 - m1
    root = np.sqrt(np.maximum(b**2 - 4 * (ratio - 1) * ratio * n1 * m1, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        a = 2 * ratio * n1 * m1 / (b + root)  # the root between 0 and the margins; no cancellation
    a = np.where(np.isfinite(a), a, -1.0)
    fitted: Floats = np.stack([a, n1 - a, m1 - a, n0 - m1 + a], axis=-1).reshape(-1, 2, 2)
    return fitted
