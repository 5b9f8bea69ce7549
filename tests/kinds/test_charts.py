"""Charts render offline; what they show is looked at by people, that they show it is tested."""

import json

import numpy as np
import pytest
import vl_convert
from gbsg2 import cases, laplace, study, survival
from simulated_cohorts import EXCESS, Aged, plain, survival_kind

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.study.rows import tabulate

LAW = NoiseLaw.of(laplace(1))


@pytest.mark.parametrize("grid", [(365, 7), (30, 95)])
def test_the_survival_chart_shows_title_arms_and_numbers_at_risk(grid: tuple[int, int]) -> None:
    kind = survival(*grid)
    result = kind.finish(tabulate(kind.measures(), kind.layout(), cases()), LAW)

    svg = vl_convert.vegalite_to_svg(kind.chart(result, title="Does it help?").to_json())

    for words in ("Does it help?", "no hormone therapy", "at risk", "246", "440", "noise alone"):
        assert words in svg


def test_the_survival_chart_fetches_nothing() -> None:
    kind = survival(365, 7)
    result = kind.finish(tabulate(kind.measures(), kind.layout(), cases()), LAW)

    drawn = json.loads(kind.chart(result, title="t").to_json())

    drawn.pop("$schema")
    assert "http" not in json.dumps(drawn)


def test_the_survival_chart_of_an_empty_study_still_renders() -> None:
    kind = survival(365, 7)
    result = kind.finish(tabulate(kind.measures(), kind.layout(), []), LAW)

    assert "<svg" in vl_convert.vegalite_to_svg(kind.chart(result, title="t").to_json())


@pytest.mark.parametrize("by", ['"sex"', '"sex", "grade"'])
def test_small_tables_have_a_chart(by: str) -> None:
    kind = kinds.of(study("counts", f"by = [{by}]"))
    result = kind.finish(tabulate(kind.measures(), kind.layout(), cases()), LAW)

    assert "female" in vl_convert.vegalite_to_svg(kind.chart(result, title="t").to_json())


def test_a_table_of_three_dimensions_has_no_chart() -> None:
    kind = kinds.of(study("counts", 'by = ["sex", "grade", "stage"]'))
    result = kind.finish(tabulate(kind.measures(), kind.layout(), []), LAW)

    with pytest.raises(StudyError, match="one or two dimensions"):
        kind.chart(result, title="t")


def test_relative_survival_is_drawn_where_it_was_asked_for() -> None:
    kind = survival_kind("interval_days = 365\nintervals = 5\nrelative = true")
    vector = Aged.drawn(np.random.default_rng(1), 500, EXCESS).vector(kind)

    svg = vl_convert.vegalite_to_svg(kind.chart(kind.finish(vector, LAW), title="t").to_json())

    assert "relative survival" in svg


def test_competing_causes_are_stacked() -> None:
    causes = '[survival.competing.arms]\n"cancer" = "cause_group = cancer"'
    kind = survival_kind(f"interval_days = 365\nintervals = 5\n{causes}")
    vector = plain(np.random.default_rng(1), kind, 500, (0.1, 0.05))

    svg = vl_convert.vegalite_to_svg(kind.chart(kind.finish(vector, LAW), title="t").to_json())

    for words in ("cumulative incidence", "cancer", "unknown"):
        assert words in svg
