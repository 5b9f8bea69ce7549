"""Relative survival from individual follow-up times, in the clear; late entry allowed.

Source: Ederer and Heise 1959 (Ederer II: in each interval, the mean expected survival of the
patients under observation); Brenner and Gefeller, Cancer 78, 2004-2010, 1996 (period analysis:
patients enter late, and count for half of the interval they enter or leave alive in).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Interval", "Patient", "relative_survival"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient under observation from ``entry_days`` to ``exit_days`` after diagnosis.

    Attributes:
        entry_days: 0 if observed from diagnosis on.
        exit_days: Death, or last seen alive.
        died: Whether it was death.
        chance: To die between two days after diagnosis, alive at the first.
    """

    entry_days: float = 0.0
    exit_days: float
    died: bool
    chance: Callable[[int, int], float] = lambda _start, _end: 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One line of the table.

    Attributes:
        at_risk: Patients observed at some time in the interval.
        deaths: Deaths in it.
        survival, expected, relative: Cumulative, at its end.
        due: Expected deaths, less for those observed in half of the interval.
    """

    at_risk: int
    deaths: int
    survival: float
    expected: float
    relative: float
    due: float


def relative_survival(
    patients: Sequence[Patient], edges: Sequence[int], *, actuarial: bool = True
) -> list[Interval]:
    """Return the table on the intervals (edges[i], edges[i+1]]; the first one also holds day 0."""
    table: list[Interval] = []
    survival = expected = 1.0
    for number, (start, end) in enumerate(pairwise(edges)):
        here = [p for p in patients if p.entry_days < end and (p.exit_days > start or number == 0)]
        if not here:
            break
        leaving = [p for p in here if p.exit_days <= end]
        deaths = sum(p.died for p in leaving)
        parts = sum(not p.died for p in leaving)
        parts += sum(p.entry_days > start for p in here)
        exposed = len(here) - (parts / 2 if actuarial else 0)
        chances = sum(p.chance(start, end) for p in here)
        survival *= max(0.0, 1 - deaths / exposed) if exposed else 1.0
        expected *= 1 - chances / len(here)
        table.append(
            Interval(
                at_risk=len(here),
                deaths=deaths,
                survival=survival,
                expected=expected,
                relative=survival / expected,
                due=chances * exposed / len(here),
            )
        )
    return table
