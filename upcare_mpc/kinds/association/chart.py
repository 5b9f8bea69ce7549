"""The picture of an association: a forest plot for each measure."""

from typing import Final

import altair as alt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result
from upcare_mpc.kinds.regression.chart import forest, titled

__all__ = ["plot"]

_MEASURES: Final = ("odds ratio", "risk ratio", "risk difference")
_VALUES: Final = frozenset(
    {"measure", "reference", "estimate", "dp_low", "dp_high", "ci_low", "ci_high", "remark"}
)


def plot(result: Result, *, title: str) -> alt.VConcatChart:
    """Draw a panel for odds ratios, risk ratios and risk differences.

    Raises:
        StudyError: Nothing could be estimated, or there are too many categories for a picture.
    """
    rows = result.rows[result.rows["estimate"].notna()]
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, nothing could be estimated")
    (exposure,) = (name for name in rows.columns if name not in _VALUES)
    panels = []
    for measure in _MEASURES:
        own = rows[rows["measure"].str.endswith(measure)]
        if own.empty:
            continue
        kinds = own["measure"].str.removesuffix(measure).str.strip()
        labels = own[exposure] + " / " + own["reference"] + kinds.map(lambda k: f", {k}" * bool(k))
        panels.append(forest(own, labels, measure, logarithmic=measure != "risk difference"))
    return titled(panels, title)
