"""What to expect of a study of association; a function of its text."""

from typing import TYPE_CHECKING, Final

import numpy as np

from upcare_mpc.kinds.association.estimates import MEASURES
from upcare_mpc.kinds.association.result import contrast
from upcare_mpc.kinds.kind import COHORTS, Expected, NoiseLaw, Preview

if TYPE_CHECKING:
    from upcare_mpc.kinds.association.kind import Association

__all__ = ["preview"]

DROWNED: Final = 50.0
"""Noise that moves a ratio by more than this many percent drowns it."""


def preview(association: "Association", noise: NoiseLaw) -> Preview:
    """State the error of ratios near 1, for patients spread evenly over all cells."""
    strata, categories = association.strata_count, len(association.exposure.labels)

    def errors(measure: str, groups: int, draws: int) -> tuple[float | None, ...]:
        return tuple(
            _error(measure, patients / (2 * categories * groups), groups, draws, noise)
            for patients in COHORTS
        )

    figures: list[Expected] = []
    for prefix, groups, draws in (("", 1, strata), ("Mantel-Haenszel ", strata, 1)):
        if prefix and not association.strata:
            continue
        for measure, _, is_ratio in MEASURES:
            few, some, many = errors(measure, groups, draws)
            unit = "percent of the ratio" if is_ratio else "percentage points"
            figures.append(Expected(prefix + measure, unit, (few, some, many)))
    drowned = [figure.figure for figure in figures if _is_drowned(figure.error95[1])]
    if not drowned:
        return Preview(tuple(figures))
    enough = [
        number for number in range(1, strata) if not _is_drowned(errors("odds ratio", number, 1)[1])
    ]
    would_help = (
        f"{max(enough)} strata would do, here are {strata}."
        if enough
        else "Fewer categories of the exposure or a larger epsilon would help."
    )
    advice = f"Among 1,000 patients the noise would drown the {drowned[0]}. {would_help}"
    return Preview(tuple(figures), (advice,))


def _is_drowned(error: float | None) -> bool:
    return error is None or error > DROWNED


def _error(measure: str, cell: float, groups: int, draws: int, noise: NoiseLaw) -> float | None:
    """How far the noise moves a measure upwards, in percent, if all cells hold as many."""
    found = contrast(np.full((groups, 2, 2), cell), draws, noise)[measure]
    if found.value is None or found.dp_high is None:
        return None
    return 100 * (found.dp_high - found.value)  # ratios are 1 here
