"""Making noisy counts possible again: non-negative, and adding up as they did.

Post-processing of what was released: it costs no privacy. Cells are repaired jointly. Setting
negative cells to zero one by one would add patients.

``repaired`` is for cells in no order. For counts along time, ``risen`` is better: sums over time
can only rise, so it is the running sums that are made possible, by isotonic regression (Barlow,
Bartholomew, Bremner and Brunk 1972). Noise of neighbours then cancels, where each negative cell
would otherwise be pulled up. Monthly survival of 686 women after five years, at scale 3, is put
more than 7 points too low in both arms by cells set to zero, and in one by ``repaired``; ``risen``
leaves less than 3 (``tests/kinds/test_repair.py``).
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from upcare_mpc.kinds.kind import Floats

__all__ = ["repaired", "risen"]


def risen(counts: npt.NDArray[np.generic], most: Floats | float = np.inf) -> Floats:
    """Return the non-negative counts whose running sums are nearest to the noisy running sums.

    Args:
        counts: ``(..., n)`` along time.
        most: ``(...)`` what they can add up to at most, not negative.
    """
    sums = np.cumsum(counts.astype(np.float64), axis=-1)
    if (np.diff(sums, axis=-1, prepend=0) < 0).any():
        lines = sums.reshape(-1, sums.shape[-1])
        for number in np.flatnonzero((np.diff(lines, axis=-1, prepend=0) < 0).any(axis=-1)):
            lines[number] = isotonic_regression(lines[number]).x
        sums = lines.reshape(sums.shape)
    sums = np.clip(sums, 0, np.asarray(most)[..., None])
    return np.diff(sums, axis=-1, prepend=0)


def repaired(counts: npt.NDArray[np.generic]) -> Floats:
    """Return the nearest non-negative counts with the same total along the last axis.

    The projection onto a simplex (Held, Wolfe and Crowder 1974): the same amount is taken off
    every cell and what would be negative becomes zero. A negative total becomes zero.
    """
    values = counts.astype(np.float64)
    if (values >= 0).all():
        return values
    total = np.maximum(values.sum(axis=-1, keepdims=True), 0)
    falling = -np.sort(-values, axis=-1)
    excess = np.cumsum(falling, axis=-1) - total
    kept = np.arange(1, values.shape[-1] + 1)
    # The largest k for which the k-th cell stays positive; it is 0 only if the total is.
    last = np.maximum((falling - excess / kept > 0).sum(axis=-1, keepdims=True), 1)
    amount = np.take_along_axis(excess, last - 1, axis=-1) / last
    nearest: Floats = np.maximum(values - amount, 0)
    return nearest
