"""Standard populations, cut into the age groups of a study.

The figures are those of ``records.ages``, which names their sources.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from upcare_mpc.records.ages import AGE_GROUPS, STANDARD_POPULATIONS

__all__ = ["STANDARDS", "weights"]

_WIDTH: Final = 5
_OLDEST: Final = _WIDTH * (len(AGE_GROUPS) - 1)

STANDARDS: Final[Mapping[str, tuple[int, ...]]] = {
    "world": STANDARD_POPULATIONS["world"],
    "esp2013": STANDARD_POPULATIONS["european_2013"],
    "esp1976": STANDARD_POPULATIONS["european_1976"],
}
"""By the names that a study gives them, in the 18 groups 0-4, 5-9, ..., 85+."""


def weights(standard: str, starts: tuple[int, ...], end: int | None) -> tuple[int, ...] | None:
    """Return how many of the standard population are in each age group.

    Args:
        standard: One of ``STANDARDS``.
        starts: First age of each group, rising.
        end: The age after the last one; ``None`` if the last group is open.

    Returns:
        None if a group ends within one of the standard's.
    """
    bounds = [*starts, 10**3 if end is None else end]
    edges = [_WIDTH * group for group in range(len(AGE_GROUPS))] + [10**3]
    if not set(bounds) <= set(edges):
        return None
    places = [edges.index(bound) for bound in bounds]
    people = STANDARDS[standard]
    return tuple(sum(people[i:j]) for i, j in pairwise(places))
