"""The picture of a questionnaire: one panel a question, a bar an answer, with both intervals."""

from typing import Final

import altair as alt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result

__all__ = ["plot"]

MAX_ROWS: Final = 200


def plot(result: Result, *, title: str) -> alt.TopLevelMixin:
    """Draw the shares.

    Raises:
        StudyError: No share is there to draw, or more than a picture can show.
    """
    rows = result.rows
    if rows.empty or rows["share"].isna().all():
        raise StudyError("chart: there is nothing to draw, no share stands out from the noise")
    if len(rows) > MAX_ROWS:
        raise StudyError(f"chart: wanted at most {MAX_ROWS} answers, got {len(rows)}")
    panels = []
    for question, part in rows[rows["share"].notna()].groupby("question", sort=False):
        drawn = part.astype({"question": "str", "answer": "str"})
        answer = alt.Y("answer:N", sort=None, title=None)
        scale = alt.Scale(domain=[0, 1])
        bars = (
            alt.Chart(drawn)
            .mark_bar(color="#0072B2")
            .encode(y=answer, x=alt.X("share:Q", scale=scale, title="share of the answers"))
        )
        outer = (
            alt.Chart(drawn)
            .mark_rule(strokeWidth=1)
            .encode(y=answer, x="share_ci_low:Q", x2="share_ci_high:Q")
        )
        inner = (
            alt.Chart(drawn)
            .mark_rule(strokeWidth=4, opacity=0.6)
            .encode(y=answer, x="share_dp_low:Q", x2="share_dp_high:Q")
        )
        panels.append(alt.layer(bars, outer, inner).properties(title=str(question), width=420))
    subtitle = "thick lines: 95 % interval of the noise; thin: of noise and chance"
    return alt.vconcat(*panels).properties(
        title=alt.TitleParams(title, subtitle=subtitle, anchor="start")
    )
