"""How a budget is split between a count, sums, squares and products.

All cells of an answer carry the same noise, so a table is made more exact by counting its units
more often. The noise grows with the sum of all that one patient can add: what one table gains the
others lose. The split here makes least the squared noise error of all figures asked together, each
in units of its variable's half range, for a cohort whose mean lies a quarter of the half range off
the middle and whose standard deviation is a third of it. It is the same for every study: no record
is looked at. For Gaussian noise, which adds squares, it is near the best, not the best.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, TypeAlias

__all__ = ["OFF_CENTRE", "SPREAD", "Part", "weights"]

Part: TypeAlias = Literal["patients", "sum", "squares", "products"]

OFF_CENTRE: Final = 1 / 4  # of a variable's half range
SPREAD: Final = 1 / 3
_VARIANCE: Final = SPREAD * SPREAD

# What a unit of squared noise in a table, over the patients, adds to the squared errors.
_COST: Final[dict[Part, float]] = {
    "patients": OFF_CENTRE * OFF_CENTRE,
    "sum": 1.0 + OFF_CENTRE * OFF_CENTRE / _VARIANCE,
    "squares": 1.0 / (4 * _VARIANCE),
    "products": 1.0 / _VARIANCE,
}
# In proportion to the cube roots of these, where sum share = 1 and sum cost / share^2 is least.
_SHARE: Final[dict[Part, int]] = {"patients": 4, "sum": 12, "squares": 13, "products": 21}
_GOOD_ENOUGH: Final = 1.02  # of the least squared error; small numbers are cheaper to add up


@lru_cache(maxsize=64)
def weights(parts: Sequence[Part], reaches: Sequence[int], most: int) -> tuple[int, ...]:
    """Return how often each table counts its units.

    Computed with whole numbers and IEEE sums, products and quotients: the same everywhere.

    Args:
        parts: What each table holds; the first is ``patients``.
        reaches: The most one patient adds to it, in its own units; at most ``most``.
        most: The most a patient may add to one cell.
    """
    best: tuple[float, tuple[int, ...]] | None = None
    for step in range(1, most + 1):
        chosen = tuple(
            max(1, (2 * step * _SHARE[part] + reach) // (2 * reach * _SHARE["sum"]))
            for part, reach in zip(parts, reaches, strict=True)
        )
        moved = [weight * reach for weight, reach in zip(chosen, reaches, strict=True)]
        if max(moved) > most:
            continue
        cost = sum(_COST[part] / (m * m) for part, m in zip(parts, moved, strict=True))
        error = cost * sum(moved) * sum(moved)
        if best is None or error * _GOOD_ENOUGH < best[0]:
            best = error, chosen
    return (1,) * len(parts) if best is None else best[1]
