"""The picture of a survival study: step curves, bands of noise and of everything, at risk.

Dark band: where the noiseless curve lies (noise alone). Light band: where survival in the
population lies (patients and noise). Below, the noisy numbers at risk, one line an arm. Colours
are the first of Okabe and Ito (2008), and line styles differ too, so that no arm depends on colour
alone. Nothing is fetched: the chart renders offline with ``vl_convert``.
"""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, Final

import altair as alt
import pandas as pd

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Result

__all__ = ["plot"]

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: Final = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])
_WIDTH: Final = 620
_HEIGHT: Final = 320
_LINE: Final = 22  # height of one line of numbers at risk
_YEAR_DAYS: Final = 365.25


def plot(result: Result, *, title: str) -> alt.VConcatChart:
    """Draw the curves of a survival result, with the numbers at risk below.

    Raises:
        StudyError: There are no curves: the cohort is below the study's minimum.
    """
    rows = result.rows
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, no cell was opened")
    arms = list(dict.fromkeys(rows["arm"]))
    end_years = float(rows["end_days"].max()) / _YEAR_DAYS
    interval_years = float((rows["end_days"] - rows["start_days"]).min()) / _YEAR_DAYS
    tail_years = max(interval_years / 2, end_years / 50)  # room to see the last estimate
    scale = alt.Scale(domain=[0, end_years + tail_years], nice=False)
    colour = alt.Scale(domain=arms, range=_in_turn(_COLOURS, len(arms)))
    upper = _curves(_steps(rows, tail_years), arms, colour, _x(result, scale, end_years))
    return (
        alt.vconcat(upper, _numbers(rows, arms, scale, colour), spacing=4)
        .properties(title=alt.TitleParams(title, subtitle=_subtitle(result), anchor="start"))
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal")
        .configure_title(fontSize=16, subtitleFontSize=12, subtitleColor="#444", offset=10)
        .configure_legend(labelFontSize=13)
    )


def _x(result: Result, scale: alt.Scale, end_years: float) -> alt.X:
    landmark = result.statistics["curve"]["landmark_days"]
    start = f"day {landmark} after diagnosis" if landmark else "diagnosis"
    step = 1 if end_years > 3 else 0
    axis = alt.Axis(title=f"years since {start}", grid=False, tickMinStep=step)
    return alt.X("years:Q", scale=scale, axis=axis)


def _curves(steps: pd.DataFrame, arms: list[Any], colour: alt.Scale, x: alt.X) -> alt.LayerChart:
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(title="survival", format="%", tickCount=6)
    base = alt.Chart(steps).encode(x=x)

    def band(low: str, high: str, opacity: float) -> alt.Chart:
        return base.mark_area(interpolate="step-after", opacity=opacity, line=False).encode(
            y=alt.Y(f"{low}:Q", scale=scale, axis=axis),
            y2=f"{high}:Q",
            color=alt.Color("arm:N", scale=colour, legend=None),
        )

    legend = alt.Legend(
        title=None, orient="top", labelLimit=300, symbolType="stroke", symbolSize=600
    )
    dashes = alt.Scale(domain=arms, range=_in_turn(_DASHES, len(arms)))
    lines = base.mark_line(interpolate="step-after", strokeWidth=2.5).encode(
        y=alt.Y("survival:Q", scale=scale, axis=axis),
        color=alt.Color("arm:N", scale=colour, legend=legend),
        strokeDash=alt.StrokeDash("arm:N", scale=dashes, legend=None),
    )
    return (
        alt.layer(band("ci_low", "ci_high", 0.14), band("dp_low", "dp_high", 0.3), lines)
        .resolve_scale(color="independent")
        .properties(width=_WIDTH, height=_HEIGHT)
    )


def _in_turn(choices: Sequence[Any], count: int) -> list[Any]:
    return list(islice(cycle(choices), count))


def _steps(rows: pd.DataFrame, tail_years: float) -> pd.DataFrame:
    """Return the corners: 1 at the start, each estimate where it is reached, the last drawn on."""
    known = rows[rows["survival"].notna()]
    ends = pd.DataFrame({"arm": known["arm"], "years": known["end_days"] / _YEAR_DAYS})
    starts = pd.DataFrame({"arm": rows["arm"].unique(), "years": 0.0})
    for name in ("survival", "dp_low", "dp_high", "ci_low", "ci_high"):
        ends[name] = known[name].astype(float)
        starts[name] = 1.0
    last = ends.groupby("arm", sort=False).tail(1)
    tails = last.assign(years=last["years"] + tail_years)
    return pd.concat([starts, ends, tails]).sort_values(["arm", "years"], kind="stable")


def _numbers(rows: pd.DataFrame, arms: list[Any], scale: alt.Scale, colour: alt.Color) -> alt.Chart:
    table = pd.DataFrame(
        {
            "arm": rows["arm"],
            "years": rows["start_days"] / _YEAR_DAYS,
            "at_risk": rows["at_risk"].round().astype(int).astype(str),
        }
    )
    per_arm = len(table) // len(arms)
    shown = table.groupby("arm", sort=False).cumcount() % max(1, -(-per_arm // 12)) == 0
    return (
        alt.Chart(table[shown])
        .mark_text(fontSize=12, align="center")
        .encode(
            x=alt.X("years:Q", scale=scale, axis=None),
            y=alt.Y(
                "arm:N",
                sort=arms,
                axis=alt.Axis(
                    title=None, domain=False, ticks=False, labelPadding=24, labelLimit=220
                ),
            ),
            text="at_risk:N",
            color=alt.Color("arm:N", scale=colour, legend=None),
        )
        .properties(
            width=_WIDTH,
            height=_LINE * len(arms),
            title=alt.TitleParams("at risk (noisy)", anchor="start", fontSize=12, offset=2),
        )
    )


def _subtitle(result: Result) -> list[str]:
    lines = ["dark band: noise alone; light band: patients and noise; both 95 %"]
    p = result.statistics["logrank"]["p_noise_aware"]
    if p is not None:
        lines.append(f"log-rank p = {float(p):.3f}, noise accounted for")
    return lines
