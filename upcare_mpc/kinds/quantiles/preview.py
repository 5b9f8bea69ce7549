"""What to expect of quantiles before anything is known: a function of the study's text."""

from typing import TYPE_CHECKING

from upcare_mpc.kinds.kind import COHORTS, Expected, NoiseLaw, Preview
from upcare_mpc.kinds.quantiles.result import share_error

if TYPE_CHECKING:
    from upcare_mpc.kinds.quantiles.kind import Quantiles

__all__ = ["preview"]

LEAST_RANGES = 5


def preview(quantiles: "Quantiles", noise: NoiseLaw) -> Preview:
    """State the error of each quantile, for patients spread evenly over groups and ranges.

    None where it is more than half of what the ranges span.
    """
    ranges = quantiles.ranges
    span = ranges.edges[-1] - ranges.edges[0]
    cells = len(ranges.all_edges) - 1
    groups = quantiles.layout().cells // cells
    figures = []
    for percent in quantiles.percents:
        left = ranges.below + percent / 100 * (len(ranges.edges) - 1)
        missed = share_error(noise, percent / 100, left, cells)
        errors = [missed * groups / patients * span for patients in COHORTS]
        small, middle, large = (error if error <= span / 2 else None for error in errors)
        figures.append(
            Expected(
                f"{percent} % quantile of {ranges.name}", ranges.number.unit, (small, middle, large)
            )
        )
    return Preview(tuple(figures), _advice(figures, groups, cells, span))


def _advice(figures: list[Expected], groups: int, cells: int, span: int) -> tuple[str, ...]:
    """Say how many ranges or groups would do, where 1,000 patients are drowned."""
    errors = [
        middle if middle is not None else None if large is None else 10 * large
        for _, middle, large in (figure.error95 for figure in figures)
    ]
    worst = None if None in errors else max(e for e in errors if e is not None)
    if worst is not None and worst <= span / 10:
        return ()
    drowned = "The noise would drown the quantiles among 1,000 patients"
    if worst is not None:
        ranges = int(cells * (span / 10 / worst) ** 2)  # the error goes with the root of the ranges
        if ranges >= LEAST_RANGES:
            return (f"{drowned}, counted in {cells} ranges; {ranges} would do.",)
        fewer = int(groups * span / 10 / worst)
        if fewer >= 1:
            return (f"{drowned} in {groups} groups; {fewer} would do.",)
    return (f"{drowned}; a larger epsilon or wider ranges would help.",)
