"""The picture of means: a point and two intervals for each group, one panel a variable."""

from typing import Final

import altair as alt
import pandas as pd

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result

__all__ = ["plot"]

MAX_GROUPS: Final = 60
_VALUES: Final = frozenset(
    {"measure", "variable", "patients", "estimate", "dp_low", "dp_high", "ci_low", "ci_high"}
    | {"remark"}
)


def plot(result: Result, *, title: str) -> alt.VConcatChart:
    """Draw the mean of each variable by group: thick line noise, thin line patients and noise.

    Raises:
        StudyError: No mean could be estimated, or there are too many groups for a picture.
    """
    rows = result.rows
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, no cell was opened")
    means = rows[(rows["measure"] == "mean") & rows["estimate"].notna()]
    if means.empty:
        raise StudyError("chart: there is nothing to draw, no mean could be estimated")
    names = [str(name) for name in rows.columns if name not in _VALUES]
    groups = means[names].astype(str).agg(", ".join, axis=1) if names else "all"
    drawn = means.assign(group=groups).drop(columns=names)
    if drawn["group"].nunique() > MAX_GROUPS:
        raise StudyError(f"chart: wanted at most {MAX_GROUPS} groups, got more")
    values = dict.fromkeys(("estimate", "dp_low", "dp_high", "ci_low", "ci_high"), float)
    drawn = drawn.astype(values)
    by = ", ".join(names) or None
    panels = [
        _panel(own, str(variable), by=by) for variable, own in drawn.groupby("variable", sort=False)
    ]
    subtitle = "thick line: noise alone; thin line: patients and noise; both 95 %"
    return alt.vconcat(*panels).properties(
        title=alt.TitleParams(title, subtitle=subtitle, anchor="start")
    )


def _panel(rows: pd.DataFrame, variable: str, *, by: str | None) -> alt.LayerChart:
    y = alt.Y("group:N", sort=None, title=by, axis=alt.Axis(labelLimit=240))
    scale = alt.Scale(zero=False)
    base = alt.Chart(rows).encode(y=y)
    thin = base.mark_rule(color="#0072B2").encode(
        x=alt.X("ci_low:Q", scale=scale, title=f"mean of {variable}", axis=alt.Axis(tickCount=8)),
        x2="ci_high:Q",
    )
    thick = base.mark_rule(color="#0072B2", strokeWidth=5, opacity=0.5).encode(
        x="dp_low:Q", x2="dp_high:Q"
    )
    points = base.mark_point(filled=True, size=70, color="#0072B2").encode(x="estimate:Q")
    return alt.layer(thin, thick, points).properties(width=520)
