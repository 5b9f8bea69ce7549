"""Cumulative incidence with competing causes from individual follow-up times, in the clear.

Source: Aalen and Johansen, Scand. J. Stat. 5, 141-150, 1978. Days are whole; who is last seen alive
on a day was seen after all deaths of the day.
"""

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["incidence_on_grid"]


def incidence_on_grid(
    days: Sequence[int], cause: Sequence[int], edges: Sequence[int], *, actuarial: bool = True
) -> list[list[float]]:
    """Return the incidence of each cause at the end of each interval (edges[i], edges[i+1]].

    Args:
        days: Follow-up of each patient.
        cause: What it ended in: 0 alive, else the number of a cause of death, from 1.
        edges: Start of the first interval, which also holds day 0, and end of each.
        actuarial: Whether those last seen alive in an interval count for half of it.
    """
    causes = range(1, max(cause, default=0) + 1)
    survival, so_far = 1.0, dict.fromkeys(causes, 0.0)
    found: list[list[float]] = [[] for _ in causes]
    for number, (start, end) in enumerate(pairwise(edges)):
        here = [(t, c) for t, c in zip(days, cause, strict=True) if t > start or number == 0]
        leavers = sum(t <= end and c == 0 for t, c in here)
        exposed = len(here) - (leavers / 2 if actuarial else 0)
        died = {c: sum(t <= end and d == c for t, d in here) for c in causes}
        for c in causes:
            so_far[c] += survival * died[c] / exposed if died[c] else 0.0
            found[c - 1].append(so_far[c])
        everybody = sum(died.values())
        survival *= 1 - everybody / exposed if everybody else 1.0
    return found
