"""The picture of a survival study: step curves, bands of noise and of everything, at risk.

Dark band: where the noiseless curve lies (noise alone). Light band: where survival in the
population lies (patients and noise). Below, the noisy numbers at risk, one line an arm. Colours
are the first of Okabe and Ito (2008), and line styles differ too, so that no arm depends on colour
alone. Of a study of relative survival it is those curves that are drawn; where causes compete,
their cumulative incidence is stacked below, an arm beside the other. Nothing is fetched: the chart
renders offline with ``vl_convert``.
"""

import re
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
_INCIDENCE: Final = re.compile(r"incidence_.*(?<!_dp_low)(?<!_dp_high)(?<!_ci_low)(?<!_ci_high)")


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
    figure = "relative" if "relative" in rows else "survival"
    upper = _curves(_steps(rows, figure, tail_years), figure, colour, _x(result, scale, end_years))
    parts: list[alt.LayerChart | alt.Chart | alt.HConcatChart] = [
        upper,
        _numbers(rows, arms, scale, colour),
    ]
    causes = [name for name in rows.columns if _INCIDENCE.fullmatch(str(name))]
    if causes:
        parts.append(_stacked(rows, arms, [name.removeprefix("incidence_") for name in causes]))
    return (
        alt.vconcat(*parts, spacing=4)
        .resolve_scale(color="independent")
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


def _curves(steps: pd.DataFrame, figure: str, colour: alt.Scale, x: alt.X) -> alt.LayerChart:
    arms = list(dict.fromkeys(steps["arm"]))
    most = float(steps[["value", "ci_high"]].max().max()) if len(steps) else 1.0
    scale = alt.Scale(domain=[0, min(max(most, 1.0), 1.5)], clamp=True)
    title = "relative survival" if figure == "relative" else "survival"
    axis = alt.Axis(title=title, format="%", tickCount=6)
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
        y=alt.Y("value:Q", scale=scale, axis=axis),
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


def _steps(rows: pd.DataFrame, figure: str, tail_years: float) -> pd.DataFrame:
    """Return the corners: 1 at the start, each estimate where it is reached, the last drawn on."""
    known = rows[rows[figure].notna()]
    ends = pd.DataFrame({"arm": known["arm"], "years": known["end_days"] / _YEAR_DAYS})
    starts = pd.DataFrame({"arm": rows["arm"].unique(), "years": 0.0})
    prefix = "" if figure == "survival" else f"{figure}_"
    bounds = {bound: prefix + bound for bound in ("dp_low", "dp_high", "ci_low", "ci_high")}
    for name, column in {"value": figure, **bounds}.items():
        ends[name] = known[column].astype(float)
        starts[name] = 1.0
    last = ends.groupby("arm", sort=False).tail(1)
    tails = last.assign(years=last["years"] + tail_years)
    return pd.concat([starts, ends, tails]).sort_values(["arm", "years"], kind="stable")


def _stacked(rows: pd.DataFrame, arms: list[Any], causes: list[str]) -> alt.HConcatChart:
    """Cumulative incidence by cause, one panel an arm; noise is not shown."""
    known = rows[rows["survival"].notna()]
    stacked = pd.concat(
        pd.DataFrame(
            {
                "arm": [*arms, *known["arm"]],
                "years": [0.0] * len(arms) + (known["end_days"] / _YEAR_DAYS).tolist(),
                "cause": cause,
                "incidence": [0.0] * len(arms) + known[f"incidence_{cause}"].tolist(),
            }
        )
        for cause in causes
    )
    scale = alt.Scale(domain=causes, range=_in_turn(_COLOURS[2:], len(causes)))
    width = max(_WIDTH // len(arms) - 40, 120)
    panels = [
        alt.Chart(stacked[stacked["arm"] == arm])
        .mark_area(interpolate="step-after", opacity=0.8)
        .encode(
            x=alt.X("years:Q", axis=alt.Axis(title="years", grid=False)),
            y=alt.Y(
                "incidence:Q",
                stack="zero",
                scale=alt.Scale(domain=[0, 1], clamp=True),
                axis=alt.Axis(title="cumulative incidence", format="%", tickCount=6),
            ),
            color=alt.Color("cause:N", scale=scale, legend=alt.Legend(title=None, orient="bottom")),
        )
        .properties(width=width, height=_HEIGHT // 2, title=alt.TitleParams(str(arm), fontSize=12))
        for arm in arms
    ]
    return alt.hconcat(*panels).resolve_scale(color="shared")


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
