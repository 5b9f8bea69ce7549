"""Charts render offline; what they show is looked at by people, that they show it is tested."""

import json

import pytest
import vl_convert
from gbsg2 import cases, laplace, study, survival

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
