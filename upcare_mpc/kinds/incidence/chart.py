"""The picture of incidence: standardised rates by stratum or year, rates by age, and ratios."""

from typing import Final

import altair as alt
import pandas as pd

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.incidence.options import ALL
from upcare_mpc.kinds.kind import Result

__all__ = ["plot"]

MAX_STRATA: Final = 40  # more bars than this no eye can tell apart
MAX_CURVES: Final = 8  # nor more lines than this
_FIGURES: Final = ("estimate", "dp_low", "dp_high", "ci_low", "ci_high")
_WIDTH: Final = 480
_RATE: Final = "per 100,000 person-years"


def plot(result: Result, *, title: str) -> alt.VConcatChart:
    """Draw rates over years as lines with bands, else as bars; rates by age; ratios as a forest.

    Raises:
        StudyError: There are more strata than a picture can show, or no rate at all.
    """
    rows = result.rows[result.rows["estimate"].notna()].drop(columns="remark")
    if rows.empty:
        raise StudyError("chart: there is nothing to draw, no rate could be estimated")
    drawn = rows.astype(dict.fromkeys(_FIGURES, float))
    names = [str(name) for name in rows.columns[1 : list(rows.columns).index("age group")]]
    over = next((name for name in names if _consecutive(drawn[name])), None)
    drawn["stratum"] = _joined(drawn, [name for name in names if name != over])
    drawn["year"] = drawn[over] if over else ALL
    if drawn["stratum"].nunique() > MAX_STRATA:
        raise StudyError(
            f"chart: wanted at most {MAX_STRATA} strata, got {drawn['stratum'].nunique()}"
        )
    shown = next(
        (name for name in drawn["measure"] if name.startswith("ASR ")), drawn["measure"].iloc[0]
    )
    main = drawn[drawn["measure"] == shown]
    panels = [_over_years(main, shown) if over else _bars(main, shown)]
    by_age = drawn[drawn["measure"] == "age-specific"]
    curves = by_age["stratum"].nunique()
    if over is None and curves <= MAX_CURVES and by_age["age group"].nunique() > 1:
        panels.append(_by_age(by_age))
    ratios = drawn[drawn["measure"] == "SIR"]
    if not ratios.empty and len(ratios) <= MAX_STRATA:
        panels.append(_forest(ratios.assign(stratum=_joined(ratios, names))))
    return alt.vconcat(*panels).properties(
        title=alt.TitleParams(
            title, subtitle="bands and lines: 95 % interval of cases and noise", anchor="start"
        )
    )


def _consecutive(labels: "pd.Series[str]") -> bool:
    years = [str(label) for label in labels.unique() if label != ALL]
    return len(years) > 2 and all(label.isdecimal() and len(label) == 4 for label in years)


def _joined(rows: pd.DataFrame, names: list[str]) -> "pd.Series[str]":
    if not names:
        return pd.Series(ALL, index=rows.index)
    return rows[names].astype(str).agg(", ".join, axis=1)


def _over_years(rows: pd.DataFrame, measure: str) -> alt.LayerChart:
    base = alt.Chart(rows).encode(
        x=alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0)),
        color=alt.Color("stratum:N", sort=None, title=None),
    )
    band = base.mark_area(opacity=0.2).encode(
        y=alt.Y("ci_low:Q", title=f"{measure}, {_RATE}"), y2="ci_high:Q"
    )
    line = base.mark_line(point=True).encode(y="estimate:Q")
    return alt.layer(band, line).properties(width=_WIDTH, height=240)


def _bars(rows: pd.DataFrame, measure: str) -> alt.LayerChart:
    base = alt.Chart(rows).encode(y=alt.Y("stratum:N", sort=None, title=None))
    bars = base.mark_bar(color="#0072B2").encode(x=alt.X("estimate:Q", title=f"{measure}, {_RATE}"))
    lines = base.mark_rule(strokeWidth=2).encode(x="ci_low:Q", x2="ci_high:Q")
    return alt.layer(bars, lines).properties(width=_WIDTH)


def _by_age(rows: pd.DataFrame) -> alt.LayerChart:
    base = alt.Chart(rows).encode(
        x=alt.X("age group:N", sort=None, title="age"),
        color=alt.Color("stratum:N", sort=None, title=None),
    )
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("ci_low:Q", title=_RATE), y2="ci_high:Q")
    line = base.mark_line(point=True).encode(y="estimate:Q")
    return alt.layer(band, line).properties(width=_WIDTH, height=240)


def _forest(rows: pd.DataFrame) -> alt.LayerChart:
    base = alt.Chart(rows).encode(y=alt.Y("stratum:N", sort=None, title=None))
    lines = base.mark_rule().encode(
        x=alt.X("ci_low:Q", title="observed over expected cases", scale=alt.Scale(zero=False)),
        x2="ci_high:Q",
    )
    points = base.mark_point(filled=True, size=60, color="#0072B2").encode(x="estimate:Q")
    one = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(strokeDash=[4, 4]).encode(x="ratio:Q")
    return alt.layer(one, lines, points).properties(width=_WIDTH)
