"""Tables in which small cells are not shown: what is given in their place, and that it covers."""

import json

import numpy as np
import pytest
import vl_convert
from gbsg2 import HEAD, gaussian, laplace

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.counts.kind import Counts
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.privacy.guarantee import Guarantee
from upcare_mpc.study.spec import Study, parse


def counts(by: str, below: int) -> Counts:
    text = f'kind = "counts"\n{HEAD}\n[release]\nsuppress_below = {below}\n[counts]\nby = [{by}]'
    return Counts.of(parse(text, name="study.toml"))


def opened(kind: Counts, noisy: list[int], law: NoiseLaw) -> Result:
    """As the researcher gets it: small cells masked, their values nowhere."""
    values = np.array(noisy, np.int64)
    hidden = values < (kind.suppress_below or 0)
    return kind.finish(np.ma.masked_array(np.where(hidden, 0, values), mask=hidden), law)


LAW = NoiseLaw(variance=2, quantile95=3, scale=1)


def test_a_suppressed_cell_has_no_count_and_what_its_absence_tells() -> None:
    result = opened(counts('"sex"', 5), [4, 5, 70], LAW)

    assert result.records() == [
        {"sex": "female", "count": None, "dp_low": 0, "dp_high": 7, "suppressed": True},
        {"sex": "male", "count": 5, "dp_low": 2, "dp_high": 8, "suppressed": False},
        {"sex": "other", "count": 70, "dp_low": 67, "dp_high": 73, "suppressed": False},
    ]
    assert result.statistics["suppressed"] == {"cells": 1, "below": 5}


def test_no_total_is_given_and_a_note_says_why() -> None:
    result = opened(counts('"sex"', 5), [4, 5, 70], LAW)

    assert set(result.statistics["total"].values()) == {None}
    assert any("No total is given" in note for note in result.notes)


def test_json_and_csv_hold_no_nan() -> None:
    result = opened(counts('"sex"', 5), [-9, 5, 0], LAW)

    assert "NaN" not in json.dumps(result.records(), allow_nan=False)
    assert result.rows.to_csv(index=False).splitlines()[1] == "female,,0,7,True"


def test_without_the_rule_the_table_has_no_such_column() -> None:
    text = f'kind = "counts"\n{HEAD}\n[counts]\nby = ["sex"]'
    kind = Counts.of(parse(text, name="study.toml"))

    assert list(kind.finish(np.array([1, 2, 3]), LAW).rows.columns) == [
        "sex",
        "count",
        "dp_low",
        "dp_high",
    ]


def test_no_dimension_may_be_called_suppressed() -> None:
    with pytest.raises(StudyError, match="names that differ"):
        counts('{variable = "sex", name = "suppressed"}', 5)


@pytest.mark.parametrize("release", [laplace(3), gaussian(1)], ids=lambda r: r.mechanism)
@pytest.mark.parametrize("truth", [0, 4, 9, 12, 20])
def test_bounds_of_shown_and_suppressed_cells_cover_together(
    release: Guarantee, truth: int
) -> None:
    """12,100 cells of one true count: 95 % falls below 0.94 by chance about once in 10^6 runs.

    A bound for suppressed cells without the reach of the noise misses, at true counts near 10.
    """
    below, law = 10, NoiseLaw.of(release)
    kind = counts(
        '{variable = "age"}, {variable = "diagnosis_year", from = 1900, to = 1999}', below
    )
    noise = NoiseLaw.of(release).draws((kind.layout().cells,), np.random.default_rng(truth))

    rows = opened(kind, (truth + noise).tolist(), law).rows
    bold = np.where(rows["suppressed"], below - 1, rows["dp_high"])

    assert ((rows["dp_low"] <= truth) & (truth <= rows["dp_high"])).mean() >= 0.94
    if truth == 12:
        assert ((rows["dp_low"] <= truth) & (truth <= bold)).mean() < 0.94


def test_a_chart_shows_the_bound_of_a_suppressed_cell_and_no_bar() -> None:
    kind = counts('"sex"', 5)
    result = opened(kind, [4, 5, 70], LAW)

    chart = kind.chart(result, title="t").to_json()
    drawn = next(iter(json.loads(chart)["datasets"].values()))

    assert [(row["count"], row["dp_high"]) for row in drawn] == [(None, 7), (5, 8), (70, 73)]
    assert "female" in vl_convert.vegalite_to_svg(chart)


def test_there_is_no_chart_of_nothing() -> None:
    import pandas as pd

    nothing = Result(rows=pd.DataFrame(), statistics={}, notes=())

    for kind in (counts('"sex"', 5), kinds.of(_survival())):
        with pytest.raises(StudyError, match="no cell was opened"):
            kind.chart(nothing, title="t")


def _survival() -> Study:
    options = "interval_days = 365\nintervals = 7\nlandmark_days = 0\n"
    arms = '[survival.arms]\n"all" = "true"\n'
    return parse(f'kind = "survival"\n{HEAD}\n[survival]\n{options}{arms}', name="study.toml")


def test_a_rule_that_hides_everything_leaves_bounds_alone() -> None:
    result = opened(counts('"sex"', 10**6), [4, 5, 70], LAW)

    assert [row["count"] for row in result.records()] == [None] * 3
    assert result.rows["dp_high"].tolist() == [10**6 - 1 + 3] * 3
