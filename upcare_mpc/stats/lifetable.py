"""Life tables and product-limit curves from individual follow-up times, in the clear.

Days are whole. A patient with ``died`` True died on day ``days``; otherwise the patient was last
seen alive on that day, after all deaths of the day. An interval (start, end] holds the days
start+1 .. end; the first one also holds day 0.

Source: Cutler and Ederer, J. Chronic Dis. 8, 699-712, 1958 (actuarial); Kaplan and Meier, J. Am.
Stat. Assoc. 53, 457-481, 1958; Greenwood 1926 for the standard error of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

__all__ = ["Interval", "life_table", "product_limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One line of a life table.

    Attributes:
        start_days: The interval holds the days after this one ...
        end_days: ... up to and including this one.
        at_risk: Patients under observation when it starts.
        deaths: Deaths in it.
        leavers: Patients last seen alive in it.
        survival: Estimated probability of living beyond its end.
        standard_error: Greenwood's, of ``survival``.
    """

    start_days: int
    end_days: int
    at_risk: int
    deaths: int
    leavers: int
    survival: float
    standard_error: float


def life_table(
    days: Sequence[int], died: Sequence[bool], edges: Sequence[int], *, actuarial: bool = True
) -> list[Interval]:
    """Return the life table on the intervals between ``edges``.

    Args:
        days: Follow-up of each patient.
        died: Whether it ended in death.
        edges: Start of the first interval and end of each, rising.
        actuarial: Whether those last seen alive in an interval count for half of it in the
            denominator; otherwise they count in full, as in the product-limit estimate.
    """
    table: list[Interval] = []
    survival, greenwood = 1.0, 0.0
    for number, (start, end) in enumerate(pairwise(edges)):
        inside = [
            dead
            for day, dead in zip(days, died, strict=True)
            if day <= end and (day > start or number == 0)
        ]
        at_risk = sum(day > start or number == 0 for day in days)
        deaths = sum(inside)
        leavers = len(inside) - deaths
        exposed = at_risk - leavers / 2 if actuarial else float(at_risk)
        if deaths:
            survival *= 1 - deaths / exposed
            alive = exposed - deaths
            greenwood += deaths / (exposed * alive) if alive > 0 else inf
        error = survival * sqrt(greenwood) if survival > 0 else 0.0
        table.append(
            Interval(
                start_days=start,
                end_days=end,
                at_risk=at_risk,
                deaths=deaths,
                leavers=leavers,
                survival=survival,
                standard_error=error,
            )
        )
    return table


def product_limit(
    days: Sequence[int], died: Sequence[bool], at: Sequence[int]
) -> list[tuple[float, float]]:
    """Return the Kaplan-Meier survival, and its standard error, at the given days."""
    found: list[tuple[float, float]] = []
    for day in at:
        survival, greenwood = 1.0, 0.0
        for moment in sorted({t for t, dead in zip(days, died, strict=True) if dead and t <= day}):
            at_risk = sum(t >= moment for t in days)
            deaths = sum(dead and t == moment for t, dead in zip(days, died, strict=True))
            survival *= (at_risk - deaths) / at_risk
            greenwood += deaths / (at_risk * (at_risk - deaths)) if at_risk > deaths else inf
        found.append((survival, survival * sqrt(greenwood) if survival > 0 else 0.0))
    return found
