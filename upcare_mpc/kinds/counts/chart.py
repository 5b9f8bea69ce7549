"""The picture of a cross-table, without margins: bars with the noise, or a heat map."""

from typing import Final

import altair as alt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result

__all__ = ["plot"]

MAX_CELLS: Final = 5000  # more marks than this no eye can tell apart


def plot(result: Result, *, title: str) -> alt.Chart | alt.LayerChart:
    """Draw a table of one dimension as bars, of two as a heat map.

    Raises:
        StudyError: The table has more dimensions or cells than a picture can show, or none.
    """
    rows = result.rows
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, no cell was opened")
    values = {"count", "dp_low", "dp_high", "suppressed"}
    dimensions = [str(name) for name in rows.columns if name not in values]
    rows = rows[(rows[dimensions] != "all").all(axis=1)]  # margins would dwarf the cells
    if len(dimensions) > 2 or len(rows) > MAX_CELLS:
        raise StudyError(
            f"chart: wanted one or two dimensions and at most {MAX_CELLS} cells, "
            f"got {len(dimensions)} and {len(rows)}"
        )
    drawn = rows.astype(dict.fromkeys(dimensions, "str"))
    first = alt.X("d0:N", sort=None, title=dimensions[0], axis=alt.Axis(labelAngle=0))
    if len(dimensions) == 1:
        drawn = drawn.rename(columns={dimensions[0]: "d0"})
        bars = alt.Chart(drawn).mark_bar(color="#0072B2").encode(x=first, y="count:Q")
        whiskers = (
            alt.Chart(drawn)
            .mark_rule(strokeWidth=2)
            .encode(x=first, y=alt.Y("dp_low:Q", title="count"), y2="dp_high:Q")
        )
        chart: alt.Chart | alt.LayerChart = alt.layer(bars, whiskers)
    else:
        drawn = drawn.rename(columns={dimensions[0]: "d0", dimensions[1]: "d1"})
        chart = (
            alt.Chart(drawn)
            .mark_rect()
            .encode(
                x=first,
                y=alt.Y("d1:N", sort=None, title=dimensions[1]),
                color=alt.Color("count:Q", scale=alt.Scale(scheme="blues"), title="count (noisy)"),
            )
        )
    subtitle = "noise included; lines: 95 % interval of the noise" if len(dimensions) == 1 else ""
    return chart.properties(
        width=max(300, min(900, 28 * rows[dimensions[0]].nunique())),
        title=alt.TitleParams(title, subtitle=subtitle, anchor="start"),
    )
