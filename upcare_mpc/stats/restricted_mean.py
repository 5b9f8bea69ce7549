"""Restricted mean survival time from individual follow-up times, in the clear.

The area under the Kaplan-Meier curve up to a day, with Greenwood's variance (R: ``survmean``).
Source: Irwin, J. Hyg. 47, 188-189, 1949; Klein and Moeschberger, Survival Analysis, 2003, sec. 4.5.
"""

from collections.abc import Sequence

__all__ = ["restricted_mean"]


def restricted_mean(days: Sequence[int], died: Sequence[bool], until: int) -> tuple[float, float]:
    """Return the mean survival time up to ``until`` days, and its variance."""
    patients = list(zip(days, died, strict=True))
    moments = sorted({t for t, dead in patients if dead and t <= until})
    survival, before, area = 1.0, 0, 0.0
    steps: list[tuple[int, int, float]] = []
    for moment in moments:
        area += survival * (moment - before)
        at_risk = sum(t >= moment for t, _ in patients)
        deaths = sum(dead and t == moment for t, dead in patients)
        steps.append((at_risk, deaths, area))
        survival *= (at_risk - deaths) / at_risk
        before = moment
    area += survival * (until - before)
    variance = sum(
        (area - so_far) ** 2 * deaths / (at_risk * (at_risk - deaths))
        for at_risk, deaths, so_far in steps
        if at_risk > deaths
    )
    return area, variance
