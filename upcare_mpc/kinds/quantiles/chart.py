"""The picture of quantiles: a point and two intervals for each group and quantile."""

from typing import Final

import altair as alt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result

__all__ = ["plot"]

MAX_GROUPS: Final = 60
_VALUES: Final = frozenset(
    {"variable", "percent", "patients", "estimate", "dp_low", "dp_high", "ci_low", "ci_high"}
    | {"remark"}
)


def plot(result: Result, *, title: str) -> alt.LayerChart:
    """Draw the quantiles by group: thick line noise, thin line patients and noise.

    Raises:
        StudyError: None could be estimated, or there are too many groups for a picture.
    """
    rows = result.rows
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, no cell was opened")
    known = rows[rows["estimate"].notna()]
    if known.empty:
        raise StudyError("chart: there is nothing to draw, no quantile could be estimated")
    names = [str(name) for name in rows.columns if name not in _VALUES]
    groups = known[names].astype(str).agg(", ".join, axis=1) if names else "all"
    values = dict.fromkeys(("estimate", "dp_low", "dp_high", "ci_low", "ci_high"), float)
    drawn = known.assign(group=groups).drop(columns=names).astype(values)
    drawn["quantile"] = drawn["percent"].astype(str) + " %"
    if drawn["group"].nunique() > MAX_GROUPS:
        raise StudyError(f"chart: wanted at most {MAX_GROUPS} groups, got more")
    by = ", ".join(names) or None
    colour = alt.Color("quantile:N", title=None, sort=None, scale=alt.Scale(scheme="viridis"))
    base = alt.Chart(drawn).encode(
        y=alt.Y("group:N", sort=None, title=by, axis=alt.Axis(labelLimit=240)),
        yOffset=alt.YOffset("quantile:N", sort=None),
        color=colour,
    )
    variable = str(rows["variable"].iloc[0])
    x = alt.X("ci_low:Q", scale=alt.Scale(zero=False), title=variable)
    thin = base.mark_rule().encode(x=x, x2="ci_high:Q")
    thick = base.mark_rule(strokeWidth=5, opacity=0.5).encode(x="dp_low:Q", x2="dp_high:Q")
    points = base.mark_point(filled=True, size=70).encode(x="estimate:Q")
    subtitle = "thick line: noise alone; thin line: patients and noise; both 95 %"
    return alt.layer(thin, thick, points).properties(
        width=520,
        height=alt.Step(16),
        title=alt.TitleParams(title, subtitle=subtitle, anchor="start"),
    )
