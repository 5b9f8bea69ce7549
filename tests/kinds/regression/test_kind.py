"""Regression: equality with the oracles, what has no finite estimate, bad questions, preview."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
import vl_convert
from gbsg2 import EXACT, cases, laplace, study
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import COHORTS, NoiseLaw, Result
from upcare_mpc.kinds.regression.glm import (
    FEW_EVENTS,
    FEW_OTHERS,
    NEAR_EVENTS,
    NEAR_OTHERS,
    NO_ROOT,
    NOBODY,
    Table,
    reasons,
)
from upcare_mpc.kinds.regression.kind import Regression
from upcare_mpc.kinds.regression.result import fitted
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import Reference, Residents, Stratum
from upcare_mpc.stats import regression as oracle
from upcare_mpc.study.rows import tabulate

LAW = NoiseLaw.of(laplace(1))
OUTCOME = 'outcome = { where = "vital_status = dead" }'
SEX = '{ variable = "sex", values = ["female", "male"] }'
AGE = '{ variable = "age", name = "age group", cuts = [50, 65] }'
LOGISTIC = f'model = "logistic"\n{OUTCOME}\ncovariates = [{SEX}, {AGE}]'
COUNTS = f'model = "poisson"\nperson_time = "none"\ncovariates = [{SEX}, {AGE}]'
POISSON = (
    f'model = "poisson"\ncovariates = [{SEX}, {AGE}, '
    '{ variable = "diagnosis_year", from = 2010, to = 2014 }]'
)
YEARS = "interval_days = 365\nintervals = 5"
HAZARDS = f'model = "hazards"\n{YEARS}\ncovariates = [{SEX}, {AGE}]'
TRUTH = np.array([0.5, 0.4, 0.9])  # logarithms of the ratios of men and of the two older groups
Counts = npt.NDArray[np.int64]


def regression(options: str) -> Regression:
    kind = kinds.of(study("regression", options))
    assert isinstance(kind, Regression)
    return kind


def rows(result: Result, *terms: str) -> list[dict[str, object]]:
    return [dict(record) for record in result.records() if record["term"] in terms]


def coefficients(result: Result, *terms: str) -> list[float]:
    return [float(row["coefficient"]) for row in rows(result, *terms)]  # type: ignore[arg-type]


def errors(result: Result, *terms: str) -> list[float]:
    return [float(row["se"]) for row in rows(result, *terms)]  # type: ignore[arg-type]


def patients(number: int, seed: int) -> list[Case]:
    """Men and the old die more; everybody is known in full."""
    generator = np.random.default_rng(seed)
    found = []
    for i in range(number):
        male, age = generator.random() < 0.4, int(generator.integers(30, 90))
        hazard = 0.1 * np.exp(0.4 * male + 0.02 * (age - 60))
        years, end = generator.exponential(1 / hazard), generator.uniform(1, 8)
        found.append(
            Case(
                patient_id=str(i),
                tumour_id="1",
                sequence=1,
                topography="C50.1",
                sex="male" if male else "female",
                age=age,
                vital_status="dead" if years < end else "alive",
                follow_up_days=int(365.25 * min(years, end)),
            )
        )
    return found


def indicators(case: Case) -> list[float]:
    age = case.age or 0
    return [float(case.sex == "male"), float(50 <= age < 65), float(age >= 65)]


@settings(deadline=None, max_examples=20)
@given(st.integers(100, 400), st.integers(0, 10**6))
def test_logistic_equals_the_oracle(number: int, seed: int) -> None:
    kind, records = regression(LOGISTIC), patients(number, seed)

    result = kind.finish(tabulate(kind.measures(), kind.layout(), records), EXACT)

    model = oracle.logistic(
        [[1, *indicators(case)] for case in records],
        [case.vital_status == "dead" for case in records],
    )
    terms = ("(intercept)", "sex", "age group")
    assert coefficients(result, *terms) == pytest.approx(model.coefficients, abs=1e-8)
    assert errors(result, *terms) == pytest.approx(model.errors, rel=1e-7)
    row = rows(result, "sex")[0]
    reach = 1.959963984540054 * model.errors[1]
    assert row["ci_low"] == pytest.approx(np.exp(model.coefficients[1] - reach))
    assert row["dp_low"] == row["dp_high"] == row["estimate"]


@settings(deadline=None, max_examples=10)
@given(st.integers(200, 400), st.integers(0, 10**6))
def test_hazards_equal_the_oracle(number: int, seed: int) -> None:
    kind, records = regression(HAZARDS), patients(number, seed)
    assert kind.grid is not None

    result = kind.finish(tabulate(kind.measures(), kind.layout(), records), EXACT)

    model = oracle.piecewise_hazards(
        [indicators(case) for case in records],
        [case.follow_up_days or 0 for case in records],
        [case.vital_status == "dead" for case in records],
        kind.grid.edges,
    )
    assert coefficients(result, "interval", "sex", "age group") == pytest.approx(
        model.coefficients, abs=1e-8
    )
    assert errors(result, "sex", "age group") == pytest.approx(model.errors[-3:], rel=1e-7)


def test_hazard_ratio_of_686_women_is_near_that_of_cox() -> None:
    """Within 0.006 on the logarithm, whose standard error is 0.16; years or months."""
    women = cases()
    treated = np.array([[case.tx_hormone == "yes"] for case in women], dtype=float)
    days = np.array([case.follow_up_days for case in women], dtype=float)
    died = np.array([case.vital_status == "dead" for case in women], dtype=float)
    cox = sm.PHReg(days, treated, died).fit()
    for grid in ("interval_days = 365\nintervals = 8", "interval_days = 30\nintervals = 96"):
        kind = regression(
            f'model = "hazards"\n{grid}\ncovariates = ["tx_hormone"]\n'
            'reference = { tx_hormone = "no" }'
        )
        result = kind.finish(tabulate(kind.measures(), kind.layout(), women), EXACT)
        assert coefficients(result, "tx_hormone") == pytest.approx(cox.params, abs=0.006)
        assert errors(result, "tx_hormone") == pytest.approx(cox.bse, abs=0.001)


def population_vector(generator: np.random.Generator, tumours: int) -> Counts:
    """Tumours, then hundredths of people, by sex, age group and year; ratios as in ``TRUTH``."""
    sex, age, _ = np.indices((2, 3, 5)).reshape(3, -1)
    people = np.array([40_000, 20_000, 14_000])[age]
    expected = people * np.exp(TRUTH[0] * sex + np.array([0, *TRUTH[1:]])[age])
    found = generator.poisson(tumours * expected / expected.sum())
    return np.concatenate([found, 100 * people])


def test_poisson_with_people_equals_statsmodels() -> None:
    kind = regression(POISSON)
    vector = population_vector(np.random.default_rng(1), 500)

    result = kind.finish(vector, EXACT)

    sex, age, year = np.indices((2, 3, 5)).reshape(3, -1)
    design = [np.ones(30), sex == 1, age == 1, age == 2, *(year == k for k in range(1, 5))]
    model = sm.GLM(
        vector[:30],
        np.column_stack(design).astype(float),
        family=sm.families.Poisson(),
        offset=np.log(vector[30:] / 100),
    ).fit(tol=1e-13)
    terms = ("(intercept)", "sex", "age group", "diagnosis_year")
    assert coefficients(result, *terms) == pytest.approx(model.params, abs=1e-8)
    assert errors(result, *terms) == pytest.approx(model.bse, rel=1e-6)
    assert result.statistics["table"]["person_years"] == pytest.approx(2 * 5 * 74_000)


def test_rates_from_records_and_a_population_file_equal_the_oracle() -> None:
    kind = regression(
        f'model = "poisson"\ncovariates = [{SEX}, {{ variable = "age", cuts = [50] }}, '
        '{ variable = "diagnosis_year", from = 2010, to = 2011 }]\nterms = [["sex"], ["age"]]'
    )
    residents = tuple(
        Residents(Stratum(year, sex, first, last, None), count)
        for year in (2010, 2011)
        for sex, first, last, count in (
            ("female", 18, 49, 5000.5),
            ("female", 50, None, 3000.25),
            ("male", 18, 49, 6000.0),
            ("male", 50, None, 2000.0),
        )
    )
    records = [
        replace(case, diagnosis_year=2010 + number % 2)
        for number, case in enumerate(patients(300, 3))
    ]

    vector = tabulate(kind.measures(), kind.layout(), records, Reference(residents=residents))
    result = kind.finish(vector, EXACT)

    strata = [(sex, age) for sex in ("female", "male") for age in (False, True)]
    tumours = [
        sum(case.sex == sex and ((case.age or 0) >= 50) is old for case in records)
        for sex, old in strata
    ]
    rows_ = [[1, sex == "male", old] for sex, old in strata]
    model = oracle.poisson(rows_, tumours, [10_001, 6000.5, 12_000, 4000])
    terms = ("(intercept)", "sex", "age")
    assert coefficients(result, *terms) == pytest.approx(model.coefficients, abs=1e-8)
    assert errors(result, *terms) == pytest.approx(model.errors, rel=1e-7)


def test_five_events_among_noise_are_no_estimate() -> None:
    """Men over 65, five with the event and five without: they do not stand out from the noise."""
    kind = regression(f'{LOGISTIC}\nterms = [["sex"], ["age group"], ["sex", "age group"]]')

    result = kind.finish(np.array([80, 200, 20, 200, 40, 40, 60, 60, 30, 1, 5, 5]), LAW)

    assert [row["remark"] for row in rows(result, "sex x age group")] == [FEW_OTHERS, FEW_EVENTS]
    assert rows(result, "sex x age group")[1]["estimate"] is None
    assert rows(result, "sex")[0]["estimate"] is not None


def test_a_log_linear_model_with_interaction_equals_statsmodels() -> None:
    kind = regression(
        COUNTS.replace(AGE, f'{AGE}, {{ variable = "grade", values = ["1", "2"] }}')
        + '\nterms = [["sex"], ["age group"], ["age group", "sex"]]'
    )
    vector = np.array([30, 50, 20, 40, 70, 90, 33, 44, 55, 22, 77, 66])

    result = kind.finish(vector, EXACT)

    sex, age, _grade = np.indices((2, 3, 2)).reshape(3, -1)
    male, middle, old = sex == 1, age == 1, age == 2
    design = [np.ones(12), male, middle, old, male & middle, male & old]
    model = sm.GLM(vector, np.column_stack(design).astype(float), family=sm.families.Poisson()).fit(
        tol=1e-13
    )
    assert result.rows["coefficient"].tolist() == pytest.approx(list(model.params), abs=1e-8)
    assert result.rows["se"].tolist() == pytest.approx(list(model.bse), rel=1e-6)
    wald = model.wald_test(np.eye(6)[4:], scalar=True)
    test = result.statistics["test of sex x age group"]
    assert test["statistic"] == pytest.approx(wald.statistic, rel=1e-6)
    assert test["df"] == 2
    assert rows(result, "sex x age group")[1]["level"] == "male x 65+"


def test_smaller_models_are_fitted_to_the_same_answer() -> None:
    kind = regression(LOGISTIC)
    vector = tabulate(kind.measures(), kind.layout(), patients(500, 1))

    found = kind.refit(vector, EXACT, terms=[["age group"]], reference={"age group": "65+"})

    asked = regression(
        f'model = "logistic"\n{OUTCOME}\ncovariates = [{AGE}]\n'
        'reference = { "age group" = "65+" }'
    )
    direct = asked.finish(vector.reshape(2, 6).sum(axis=0), EXACT)
    assert found.rows.equals(direct.rows) or coefficients(found, "age group") == pytest.approx(
        coefficients(direct, "age group"), abs=1e-9
    )
    with pytest.raises(StudyError, match="wanted lists of covariates, of sex, age group"):
        kind.refit(vector, EXACT, terms=[["grade"]])
    with pytest.raises(StudyError, match="wanted one of female, male"):
        kind.refit(vector, EXACT, terms=[["sex"]], reference={"sex": "men"})


def test_a_category_without_events_is_flagged_and_the_rest_is_the_limit() -> None:
    kind = regression(LOGISTIC)
    cells = np.array([[[10, 90], [0, 60], [40, 60]], [[30, 70], [0, 50], [70, 30]]])

    result = kind.finish(cells.ravel(), EXACT)

    middle = rows(result, "age group")[0]
    assert (middle["estimate"], middle["remark"]) == (None, FEW_EVENTS)
    kept = cells[:, [0, 2]].reshape(4, 2)
    sex, old = np.indices((2, 2)).reshape(2, -1)
    model = sm.GLM(
        kept, np.column_stack([np.ones(4), sex, old]), family=sm.families.Binomial()
    ).fit(tol=1e-13)
    assert coefficients(result, "(intercept)", "sex") == pytest.approx(model.params[:2], abs=1e-8)
    assert rows(result, "age group")[1]["coefficient"] == pytest.approx(model.params[2], abs=1e-8)
    assert result.statistics["test of age group"]["statistic"] is None


@pytest.mark.parametrize(
    ("cells", "remark"),
    [
        ([[[10, 9], [60, 0], [40, 6]], [[30, 7], [50, 0], [70, 3]]], FEW_OTHERS),
        ([[[10, 9], [0, 0], [40, 6]], [[30, 7], [0, 0], [70, 3]]], NOBODY),
    ],
)
def test_why_a_category_has_no_estimate(cells: list[list[list[int]]], remark: str) -> None:
    result = regression(LOGISTIC).finish(np.array(cells).ravel(), EXACT)

    assert rows(result, "age group")[0]["remark"] == remark


@pytest.mark.parametrize(
    ("events", "remark"), [(1.5, FEW_EVENTS), (3, NEAR_EVENTS), (5, None), (-1, FEW_EVENTS)]
)
def test_what_just_passes_the_noise_is_no_estimate_and_above_is_remarked(
    events: float, remark: str | None
) -> None:
    """Events of the middle category, in reaches of the noise in them."""
    reach = float(LAW.reach(np.array(1 / 2))) * 2**0.5
    few = round(events * reach / 2)
    cells = np.array([[[90, 90], [few, 600], [400, 600]], [[300, 700], [few, 500], [700, 300]]])

    row = rows(regression(LOGISTIC).finish(cells.ravel(), LAW), "age group")[0]

    assert row["remark"] == remark
    assert (row["estimate"] is None) == (remark == FEW_EVENTS)


def test_of_rare_categories_the_noise_lets_few_through() -> None:
    """Of 5,000 columns of nothing but noise: 1 in 100 passes its reach once, hardly any twice."""
    generator = np.random.default_rng(4)
    draws = LAW.draws((5000,), generator)
    table = Table(events=draws, size=draws, pull=lambda y, m: y + m, link="log")

    said = reasons(table, np.eye(5000), LAW)
    once = reasons(table, np.eye(5000), LAW, joined=np.ones(5000, dtype=bool))

    assert sum(remark is None for remark in said) < 0.001 * 5000
    assert sum(remark is None for remark in once) > 0.005 * 5000


def test_separation_by_two_covariates_together_is_flagged() -> None:
    """Men over 65 and they alone have the event: no category alone shows it."""
    cells = np.array([[[0, 90], [5, 60], [9, 60]], [[9, 70], [9, 50], [70, 0]]])
    kind = regression(f'{LOGISTIC}\nterms = [["sex"], ["age group"], ["sex", "age group"]]')

    result = kind.finish(cells.ravel(), EXACT)

    assert {row["remark"] for row in result.records()} <= {NO_ROOT, FEW_OTHERS}
    assert result.rows["estimate"].isna().all()


def test_a_reference_with_nobody_leaves_nothing_to_compare() -> None:
    cells = np.array([[[0, 0], [50, 60], [9, 60]], [[0, 0], [9, 50], [70, 30]]])

    result = regression(LOGISTIC).finish(cells.ravel(), EXACT)

    for row in result.records():
        assert row["estimate"] is None
        assert "the reference 0-49 of age group has no patients" in str(row["remark"])
    with pytest.raises(StudyError, match="nothing to draw"):
        regression(LOGISTIC).chart(result, title="t")


@pytest.mark.parametrize("options", [LOGISTIC, COUNTS, POISSON, HAZARDS])
def test_an_all_zero_table_has_reasons_and_no_numbers(options: str) -> None:
    kind = regression(options)

    for noise in (EXACT, LAW):
        result = kind.finish(np.zeros(kind.layout().cells, dtype=np.int64), noise)
        assert all(row["estimate"] is None and row["remark"] for row in result.records())


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.sampled_from([LOGISTIC, COUNTS, POISSON, HAZARDS]))
def test_whatever_the_noise_makes_is_an_estimate_or_a_reason(seed: int, options: str) -> None:
    kind, generator = regression(options), np.random.default_rng(seed)
    size = generator.choice([2, 10, 60])
    vector = generator.poisson(size, kind.layout().cells) + LAW.draws(
        (kind.layout().cells,), generator
    ).astype(int) * int(generator.integers(1, 4))

    for row in kind.finish(vector, LAW).records():
        values = [row[k] for k in ("ci_low", "dp_low", "estimate", "dp_high", "ci_high")]
        if row["estimate"] is None:
            assert values == [None] * 5
            assert row["remark"]
        else:
            assert row["remark"] in (None, NEAR_EVENTS, NEAR_OTHERS)
            assert values == sorted(values)  # type: ignore[type-var]
            assert values[0] > 0  # type: ignore[operator]
            assert values[-1] < 1e12  # type: ignore[operator]


def test_short_intervals_are_joined_where_there_is_noise() -> None:
    kind = regression(
        'model = "hazards"\ninterval_days = 30\nintervals = 90\ncovariates = ["tx_hormone"]'
    )
    vector = tabulate(kind.measures(), kind.layout(), cases())

    exact = rows(kind.finish(vector, EXACT), "interval")
    noisy = rows(kind.finish(vector, LAW), "interval")

    assert len(exact) == 90
    assert 1 < len(noisy) < 30
    assert all(row["estimate"] is not None for row in noisy)


@pytest.mark.parametrize(
    "options",
    [LOGISTIC, f'{LOGISTIC}\nterms = [["sex"], ["age group"], ["sex", "age group"]]', HAZARDS],
)
def test_the_preview_says_what_a_simulation_finds(options: str) -> None:
    """19 in 20 of 600 draws of noise lie within what was foretold, give or take 3 in 100."""
    kind, generator = regression(options), np.random.default_rng(6)
    cells = kind.layout().cells
    even = np.full(cells, COHORTS[2] / cells)
    foretold = {f.figure: f.error95[2] for f in kind.preview(LAW).figures}
    inside: dict[str, list[list[bool]]] = {name: [] for name in foretold}
    truth = fitted(kind, even, EXACT).fit
    assert truth is not None
    for _ in range(600):
        found = fitted(kind, even + LAW.draws((cells,), generator), LAW)
        assert found.fit is not None
        moved = np.abs(found.fit.coefficients - truth.coefficients)
        for name, percent in foretold.items():
            assert percent is not None
            own = [n for n, c in enumerate(found.columns) if f"ratios of {c.term}" == name]
            inside[name].append([bool(moved[n] <= np.log1p(percent / 100)) for n in own])

    assert len(inside) >= 2
    for shares in inside.values():
        assert 0.92 <= np.mean(shares, axis=0).min() <= 0.98


def test_fewer_categories_are_advised_where_noise_drowns_a_covariate() -> None:
    kind = regression(
        f'model = "logistic"\n{OUTCOME}\ncovariates = [{SEX}, '
        '{ variable = "age", from = 20, to = 79, width = 2 }]'
    )

    preview = kind.preview(NoiseLaw.of(laplace(2)))

    assert any("would drown the ratios of age" in advice for advice in preview.advice)


def test_the_chart_is_a_forest_of_ratios() -> None:
    kind = regression(HAZARDS)
    result = kind.finish(tabulate(kind.measures(), kind.layout(), patients(800, 2)), LAW)

    svg = vl_convert.vegalite_to_svg(kind.chart(result, title="Who dies?").to_json())

    for words in ("Who dies?", "hazard ratio", "sex: male / female", "age group: 65+ / 0-49"):
        assert words in svg
    assert "interval" not in svg


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (f"covariates = [{SEX}]", "regression.model: wanted a text"),
        (f'model = "cox"\ncovariates = [{SEX}]', "wanted logistic, poisson, hazards, got 'cox'"),
        (f'model = "logistic"\ncovariates = [{SEX}]', "regression.outcome: wanted a table"),
        (f"{LOGISTIC}\nintervals = 3", "unknown key 'intervals'"),
        (f'model = "logistic"\n{OUTCOME}', "regression.covariates: wanted a list"),
        (
            LOGISTIC.replace('["female", "male"]', '["male"]'),
            "wanted two categories or more, sex has 1",
        ),
        (f'{LOGISTIC}\nreference = {{ sex = "other" }}', "wanted one of female, male, got 'other'"),
        (f'{LOGISTIC}\nreference = {{ sax = "male" }}', "did you mean sex"),
        (f'{LOGISTIC}\nterms = [["sex", "age group"], ["sex"]]', r"\[age group\] is missing"),
        (f'{LOGISTIC}\nterms = [["sex"], ["sex"]]', "terms that differ"),
        (f'{LOGISTIC}\nterms = ["sex"]', "wanted lists of covariates"),
        (f'{LOGISTIC}\nterms = [["grade"]]', "wanted lists of covariates, of sex, age group"),
        (
            'model = "poisson"\ncovariates = ["grade"]',
            "a population file does not know grade",
        ),
        (f'model = "poisson"\ncovariates = [{SEX}]', "wanted a first and a last year"),
        (f'{COUNTS}\nperson_time = "x"'.replace('person_time = "none"\n', ""), "residents or none"),
        (f'model = "hazards"\ncovariates = [{SEX}]', "regression.interval_days"),
        (
            f'model = "logistic"\n{OUTCOME}\ncovariates = ["age", "diagnosis_year"]',
            "at most 200 coefficients",
        ),
    ],
)
def test_bad_questions(options: str, error: str) -> None:
    with pytest.raises(StudyError, match=error):
        regression(options)


def test_a_vector_of_another_study_is_refused() -> None:
    with pytest.raises(StudyError, match="wanted 12 cells"):
        regression(LOGISTIC).finish(np.zeros(5, dtype=np.int64), EXACT)


def test_one_patient_moves_one_cell_by_one() -> None:
    for options in (LOGISTIC, COUNTS, POISSON, HAZARDS):
        sensitivity = regression(options).layout().sensitivity
        assert (sensitivity.d0, sensitivity.d1, sensitivity.dinf) == (1, 1, 1)
