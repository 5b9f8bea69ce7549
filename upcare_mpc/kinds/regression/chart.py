"""Forest plots: a point and two intervals for each estimate, on a logarithmic scale for ratios."""

from typing import Final

import altair as alt
import pandas as pd

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result

__all__ = ["MAX_ESTIMATES", "forest", "plot", "titled"]

MAX_ESTIMATES: Final = 60
_COLOUR: Final = "#0072B2"
_EXPLAINED: Final = "thick line: noise alone; thin line: patients and noise; both 95 %"


def plot(result: Result, *, title: str, ratio: str) -> alt.VConcatChart:
    """Draw the ratios of a regression.

    Args:
        result: Of kind regression.
        title: Of the picture.
        ratio: What the estimates are, for example ``odds ratio``.

    Raises:
        StudyError: There is no estimate, or there are too many for a picture.
    """
    rows = result.rows
    shown = rows[rows["estimate"].notna() & ~rows["term"].isin(["(intercept)", "interval"])]
    labels = shown["term"] + ": " + shown["level"] + " / " + shown["reference"]
    return titled([forest(shown, labels, ratio, logarithmic=True)], title)


def forest(
    rows: pd.DataFrame, labels: "pd.Series[str]", measure: str, *, logarithmic: bool
) -> alt.LayerChart:
    """Draw one panel.

    Args:
        rows: With estimate, dp_low, dp_high, ci_low and ci_high.
        labels: Of each row, from top to bottom.
        measure: Title of the axis.
        logarithmic: Whether the estimates are ratios, with 1 as no difference; else 0 is.

    Raises:
        StudyError: There is nothing to draw, or too much.
    """
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, nothing could be estimated")
    if len(rows) > MAX_ESTIMATES:
        raise StudyError(f"chart: wanted at most {MAX_ESTIMATES} estimates, got {len(rows)}")
    values = dict.fromkeys(("estimate", "dp_low", "dp_high", "ci_low", "ci_high"), float)
    drawn = rows[list(values)].astype(values).assign(label=list(labels))
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=320))
    scale = (
        alt.Scale(type="log", nice=False, padding=12)
        if logarithmic
        else alt.Scale(zero=False, padding=12)
    )
    base = alt.Chart(drawn).encode(y=y)
    thin = base.mark_rule(color=_COLOUR).encode(
        x=alt.X("ci_low:Q", scale=scale, title=measure, axis=alt.Axis(tickCount=8)),
        x2="ci_high:Q",
    )
    thick = base.mark_rule(color=_COLOUR, strokeWidth=5, opacity=0.5).encode(
        x="dp_low:Q", x2="dp_high:Q"
    )
    points = base.mark_point(filled=True, size=70, color=_COLOUR).encode(x="estimate:Q")
    alike = pd.DataFrame({"alike": [1.0 if logarithmic else 0.0]})
    line = alt.Chart(alike).mark_rule(color="#555", strokeDash=[4, 3]).encode(x="alike:Q")
    return alt.layer(line, thin, thick, points).properties(width=520)


def titled(panels: list[alt.LayerChart], title: str) -> alt.VConcatChart:
    """Put panels below each other, and say what the lines are."""
    return alt.vconcat(*panels).properties(
        title=alt.TitleParams(title, subtitle=_EXPLAINED, anchor="start")
    )
