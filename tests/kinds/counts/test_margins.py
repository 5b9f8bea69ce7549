"""Cross-tables with margins: they add up, count the same tumours, and cover what they should."""

import json
from fractions import Fraction

import numpy as np
import pytest
import vl_convert
from gbsg2 import EXACT, HEAD, cases, gaussian, laplace, study

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.counts.kind import Counts
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.privacy.guarantee import gaussian_release, laplace_release
from upcare_mpc.records.case import Case
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

LARGE = (
    'by = [{variable = "age", from = 20, to = 99, width = 4}, '
    '{variable = "diagnosis_year", from = 1990, to = 2014}]'
)


def counts(options: str) -> Counts:
    return Counts.of(study("counts", options))


def test_without_margins_the_answer_is_one_table_of_whole_numbers() -> None:
    kind = counts('by = ["sex"]')

    assert [table.weight for table in kind.layout().tables] == [1]
    assert kind.finish(np.array([1, 2, 3]), EXACT).rows["count"].dtype == np.int64


def test_rows_of_margins_follow_the_cells_and_say_all() -> None:
    kind = counts('by = ["sex", {variable = "age", cuts = [50]}]\nmargins = [["age"], []]')
    one = tabulate(kind.measures(), kind.layout(), [])

    rows = kind.finish(one, EXACT).records()

    assert list(rows[0]) == ["sex", "age", "count", "dp_low", "dp_high"]
    assert [(row["sex"], row["age"]) for row in rows[5:]] == [
        ("other", "50+"),
        ("all", "0-49"),
        ("all", "50+"),
        ("all", "all"),
    ]


def test_a_margin_counts_the_tumours_of_the_table_and_no_others() -> None:
    everybody = HEAD.replace("site = 'C50' and age >= 18", "true")
    text = f'kind = "counts"\n{everybody}\n[counts]\n{LARGE}\nmargins = true'
    kind = Counts.of(parse(text, name="study"))
    known = Case(patient_id="1", tumour_id="1", sequence=1, age=50, diagnosis_year=2000)
    half = Case(patient_id="2", tumour_id="1", sequence=1, age=50)
    old = Case(patient_id="3", tumour_id="1", sequence=1, age=110, diagnosis_year=2000)

    vector = tabulate(kind.measures(), kind.layout(), [known, half, old])

    assert len(kind.layout().tables) > 1  # margins are measured here
    assert {table.sum() for table in kind.layout().split(vector)} == {1}


def test_without_noise_cells_and_margins_are_exact() -> None:
    kind = counts(
        'by = ["tx_hormone", {variable = "follow_up_days", from = 0, to = 2799, width = 10}]\n'
        "margins = true"
    )
    vector = tabulate(kind.measures(), kind.layout(), cases())

    result = kind.finish(vector, EXACT)
    rows = result.rows
    margin = rows[(rows["follow_up_days"] == "all") & (rows["tx_hormone"] != "all")]

    assert margin["count"].tolist() == [246, 440]
    assert result.statistics["total"]["count"] == 686
    assert (rows["count"] == rows["count"].round()).all()


@pytest.mark.statistical
@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
def test_cells_and_margins_are_covered_19_times_in_20(mechanism: str) -> None:
    """40,000 cells, 3,600 margins, 80 totals: bounds passed by chance less than once in 10^4."""
    release = 'mechanism = "gaussian"\ndelta = 1e-9' if mechanism == "gaussian" else ""
    kind = Counts.of(
        parse(
            f'kind = "counts"\n{HEAD}\n{release}\n[counts]\n{LARGE}\nmargins = true', name="study"
        )
    )
    generator = np.random.default_rng(21)
    law = NoiseLaw.of(laplace(6) if mechanism == "laplace" else gaussian(Fraction(1)))
    truth = kind.layout().split(np.zeros(kind.layout().cells))[0] + 0.0
    truth[:] = generator.poisson(50, truth.shape)
    wanted = np.concatenate(
        [kind.strategy.margin(truth, kept).reshape(-1) for kept in ((0, 1), (0,), (1,), ())]
    )
    exact = np.concatenate(
        [
            table.weight * kind.strategy.margin(truth, kept).reshape(-1)
            for table, (kept, _) in zip(kind.layout().tables, kind.strategy.measured, strict=True)
        ]
    )
    inside = []
    for _ in range(80):
        noisy = exact + law.draws(exact.shape, generator)
        rows = kind.finish(noisy.astype(np.int64), law).rows
        inside.append((rows["dp_low"] <= wanted) & (wanted <= rows["dp_high"]))

    covered = np.array(inside)
    assert 0.94 <= covered[:, :500].mean() <= 0.96
    assert 0.93 <= covered[:, 500:545].mean() <= 0.97
    assert covered[:, 545].mean() >= 0.85


@pytest.mark.statistical
@pytest.mark.parametrize("mechanism", ["laplace", "gaussian"])
@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("epsilon", [Fraction(1, 5), 1, 5, 10])
def test_margins_of_a_small_table_are_covered_at_any_epsilon(
    epsilon: Fraction | int, overlap: int, mechanism: str
) -> None:
    """2,000 tables of 3 by 5: a true .95 of 2,000 totals is found below .935 once in 700 runs.

    The form rejected is that of the normal law, which forgets that a margin adds up whole numbers.
    """
    release = 'mechanism = "gaussian"\ndelta = 1e-9' if mechanism == "gaussian" else ""
    by = 'by = ["sex", {variable = "age", from = 20, to = 69, width = 10}]\nmargins = true'
    kind = Counts.of(parse(f'kind = "counts"\n{HEAD}\n{release}\n[counts]\n{by}', name="study"))
    sensitivity = kind.layout().sensitivity
    law = NoiseLaw.of(
        laplace_release(Fraction(epsilon), sensitivity, overlap)[1]
        if mechanism == "laplace"
        else gaussian_release(Fraction(epsilon), Fraction(1, 10**9), sensitivity, overlap)[1]
    )
    noisy = law.draws((2000, kind.layout().cells), np.random.default_rng(24))
    fitted = np.array([kind.strategy.estimate(kind.layout().split(line)) for line in noisy])
    errors = {
        "count of a cell": fitted,
        "margin of sex": fitted.sum(axis=2),
        "margin of age": fitted.sum(axis=1),
        "total": fitted.sum(axis=(1, 2)),
    }
    stated = {figure.figure: figure.error95[2] for figure in kind.preview(law).figures}

    for figure, error in errors.items():
        reached = stated[figure]
        assert reached is not None
        assert (np.abs(error) <= reached + 1e-6).mean() >= 0.935, figure
    if (mechanism, epsilon, overlap) == ("laplace", 5, 2):
        root, concentration = kind.strategy.spread((0,))
        normal = root * float(law.reach(concentration))
        assert (np.abs(errors["margin of sex"]) <= normal + 1e-6).mean() < 0.9


def test_the_preview_states_the_error_of_cells_margins_and_total() -> None:
    kind = counts(f"{LARGE}\nmargins = true")
    law = NoiseLaw.of(laplace(kind.layout().sensitivity.d1))
    generator = np.random.default_rng(22)
    noisy = law.draws((2000, kind.layout().cells), generator)
    fitted = np.array([kind.strategy.estimate(kind.layout().split(line)) for line in noisy])

    stated = {figure.figure: figure.error95[2] for figure in kind.preview(law).figures}

    assert list(stated) == [
        "count of a cell",
        "margin of age",
        "margin of diagnosis_year",
        "total",
    ]
    for name, figures in [
        ("margin of age", fitted.sum(axis=2)),
        ("margin of diagnosis_year", fitted.sum(axis=1)),
        ("total", fitted.sum(axis=(1, 2))),
    ]:
        assert stated[name] == pytest.approx(np.quantile(abs(figures), 0.95), rel=0.1)


def test_margins_leave_the_picture_to_the_cells() -> None:
    kind = kinds.of(study("counts", 'by = ["sex"]\nmargins = true'))
    result = kind.finish(np.zeros(kind.layout().cells, np.int64), EXACT)

    svg = vl_convert.vegalite_to_svg(kind.chart(result, title="t").to_json())

    assert "female" in svg
    assert ">all<" not in svg
    assert "NaN" not in json.dumps(result.records(), allow_nan=False)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ('margins = [["sexx"]]', "margins[0]: wanted a list of dimensions, of sex, age"),
        ('margins = [["sex", "age"]]', "wanted fewer dimensions than the table has"),
        ('margins = [["sex", "sex"]]', "each once"),
        ('margins = [["sex"], ["sex"]]', "wanted margins that differ"),
        ('margins = "sex"', "wanted true, or a list"),
        ("margins = []", "wanted true, or a list"),
    ],
)
def test_bad_margins_are_refused_by_name(options: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        counts(f'by = ["sex", {{variable = "age", cuts = [50]}}]\n{options}')

    assert wanted in str(refused.value)


def test_small_cells_cannot_be_suppressed_beside_margins() -> None:
    text = f'kind = "counts"\n{HEAD}\n[release]\nsuppress_below = 5\n[counts]\nby = ["sex"]\n'

    with pytest.raises(StudyError, match="wanted none with margins"):
        Counts.of(parse(f"{text}margins = true", name="study"))


def test_a_category_called_all_is_refused() -> None:
    with pytest.raises(StudyError, match='no category called "all"'):
        counts('by = [{name = "x", arms = {"all" = "true"}}]\nmargins = true')
