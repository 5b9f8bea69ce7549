"""Means from bounded sums: equality with the oracle, coverage under noise, bad questions."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from gbsg2 import EXACT, cases, study
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import COHORTS, NoiseLaw
from upcare_mpc.kinds.means.kind import Means
from upcare_mpc.kinds.means.result import DROWNED, NO_SPREAD, OUTSIDE, TOO_FEW, estimated
from upcare_mpc.privacy.guarantee import gaussian_release, laplace_release
from upcare_mpc.records.case import Case
from upcare_mpc.stats import means as oracle
from upcare_mpc.study.rows import tabulate

AGE = '{ variable = "age", from = 18, to = 100 }'
DAYS = '{ variable = "follow_up_days", from = 0, to = 3650 }'


def means(variables: str = f"{AGE}, {DAYS}", more: str = "") -> Means:
    return Means.of(study("means", f"variables = [{variables}]\n{more}"))


@cache
def law(kind: Means, epsilon: Fraction, *, gaussian: bool = False) -> NoiseLaw:
    sensitivity = kind.layout().sensitivity
    if gaussian:
        return NoiseLaw.of(gaussian_release(epsilon, Fraction(1, 10**9), sensitivity, 1)[1])
    return NoiseLaw.of(laplace_release(epsilon, sensitivity, 1)[1])


PATIENTS = st.lists(
    st.tuples(
        st.sampled_from(["female", "male", None]),
        st.one_of(st.none(), st.integers(18, 120)),
        st.one_of(st.none(), st.integers(0, 5000)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(PATIENTS)
def test_without_noise_means_equal_the_oracle(
    patients: list[tuple[str | None, int | None, int | None]],
) -> None:
    kind = means(
        '{ variable = "age", from = 30, to = 90 }, '
        '{ variable = "follow_up_days", from = 1000, to = 1060 }',
        'by = ["sex"]\ncorrelation = true',
    )
    records = [
        Case(
            patient_id=str(i),
            tumour_id="1",
            sequence=1,
            topography="C50.1",
            sex=sex,
            age=age,
            follow_up_days=days,
        )
        for i, (sex, age, days) in enumerate(patients)
    ]

    result = kind.finish(tabulate(kind.measures(), kind.layout(), records), EXACT)

    assert [v.unit for v in kind.variables] == [1, 1]
    for row in result.records():
        mine = [(a, d) for s, a, d in patients if s == row["sex"] and None not in (a, d)]
        ages = oracle.clamped([a for a, _ in mine if a is not None], 30, 90)
        days = oracle.clamped([d for _, d in mine if d is not None], 1000, 1060)
        values = ages if row["variable"] == "age" else days
        assert row["patients"] == len(mine)
        if row["measure"] == "mean" and mine:
            assert row["estimate"] == pytest.approx(oracle.mean(values), rel=1e-12)
        elif row["measure"] == "standard deviation" and len(mine) > 1:
            assert row["remark"] is None
            assert row["estimate"] == pytest.approx(oracle.standard_deviation(values), abs=1e-6)
        elif row["estimate"] is not None:
            assert row["estimate"] == pytest.approx(oracle.correlation(ages, days), abs=1e-6)
        else:
            assert row["remark"]


def test_rounding_to_units_costs_next_to_nothing() -> None:
    """The days of 686 women in units of 59: mean and sd from the exact days, within 0.2 %."""
    kind = means(DAYS)
    days = [case.follow_up_days or 0 for case in cases()]

    rows = kind.finish(tabulate(kind.measures(), kind.layout(), cases()), EXACT).rows

    assert kind.variables[0].unit == 59
    assert rows["estimate"][0] == pytest.approx(oracle.mean(days), rel=0.002)
    assert rows["estimate"][1] == pytest.approx(oracle.standard_deviation(days), rel=0.002)


def test_a_spread_of_less_than_half_a_unit_is_not_told() -> None:
    kind = means(DAYS)
    records = [
        Case(
            patient_id=str(i),
            tumour_id="1",
            sequence=1,
            topography="C50.1",
            age=50,
            follow_up_days=1000 + i,
        )
        for i in range(200)
    ]

    def deviation(patients: list[Case]) -> dict[str, object]:
        vector = tabulate(kind.measures(), kind.layout(), patients)
        return kind.finish(vector, EXACT).records()[1]

    assert deviation(records[:60])["remark"] == NO_SPREAD  # an sd of 17 days, in units of 59
    assert deviation(records)["estimate"] == pytest.approx(57.9, rel=0.05)


def test_without_squares_the_days_are_exact() -> None:
    kind = means(DAYS, "variance = false")
    days = [case.follow_up_days or 0 for case in cases()]

    rows = kind.finish(tabulate(kind.measures(), kind.layout(), cases()), EXACT).rows

    assert kind.variables[0].unit == 1
    assert rows["estimate"].tolist() == pytest.approx([oracle.mean(days)], rel=1e-12)
    assert (
        rows["ci_high"][0] - rows["ci_low"][0]
        > 2 * 1.96 * oracle.standard_deviation(days) / len(days) ** 0.5
    )  # the spread is not known, so the interval allows for the largest


@pytest.mark.parametrize(
    ("age", "counts_as"), [(18, 25), (24, 25), (25, 25), (26, 26), (99, 90), (90, 90)]
)
def test_outside_the_bounds_counts_as_the_bound(age: int, counts_as: int) -> None:
    kind = means('{ variable = "age", from = 25, to = 90 }', "variance = false")
    case = Case(patient_id="1", tumour_id="1", sequence=1, topography="C50.1", age=age)

    rows = kind.finish(tabulate(kind.measures(), kind.layout(), [case]), EXACT).rows

    assert rows["estimate"].tolist() == [counts_as]


def test_no_patient_moves_the_answer_by_more_than_the_sensitivity() -> None:
    kind = means(more='correlation = true\nby = ["sex"]')
    layout = kind.layout()
    for age in (18, 60, 120):
        for days in (0, 2000, 60_000):
            case = Case(
                patient_id="1",
                tumour_id="1",
                sequence=1,
                topography="C50.1",
                sex="male",
                age=age,
                follow_up_days=days,
            )
            moved = tabulate(kind.measures(), layout, [case])
            assert abs(moved).sum() <= layout.sensitivity.d1
            assert abs(moved).max() <= layout.sensitivity.dinf <= 4096
            assert (moved != 0).sum() <= layout.sensitivity.d0


SETTINGS = [
    (500, 1, False),
    (1000, 1, False),
    (2000, Fraction(1, 2), False),
    (500, 5, False),
    (3000, 5, False),
    (2000, 2, True),
]
TRUTH = {
    ("mean", "age"): 60.0,
    ("mean", "follow_up_days"): 1800.0,
    ("standard deviation", "age"): 12.0,
    ("standard deviation", "follow_up_days"): 500.0,
    ("correlation", "age, follow_up_days"): 0.5,
}


def simulated(
    kind: Means, patients: int, studies: int, generator: np.random.Generator
) -> np.ndarray:
    """Exact vectors of studies of patients with normal age and follow-up; ``TRUTH`` holds."""
    layout = kind.layout()
    vectors = []
    for _ in range(studies):
        first = generator.standard_normal(patients)
        second = 0.5 * first + 0.75**0.5 * generator.standard_normal(patients)
        units = []
        for v, values in zip(kind.variables, (60 + 12 * first, 1800 + 500 * second), strict=True):
            whole = np.clip(np.rint(values), v.low, v.high)
            units.append((whole - v.low + v.unit // 2) // v.unit - v.below)
        x, y = units
        sums = (np.ones(patients), x, y, x * x, y * y, x * y)
        vectors.append(
            [table.weight * s.sum() for table, s in zip(layout.tables, sums, strict=True)]
        )
    return np.array(vectors)


@pytest.mark.statistical
@pytest.mark.parametrize(("patients", "epsilon", "gaussian"), SETTINGS)
def test_intervals_cover_19_times_in_20(
    patients: int, epsilon: int | Fraction, gaussian: bool
) -> None:
    """1,500 studies, five figures: a coverage of 95 % leaves 93 to 97 % once in 4,000 figures.

    At 500 patients and epsilon 1, up to 6 % of the studies get no standard deviation; among the
    others intervals cover a little more.
    """
    kind = means(more="correlation = true")
    noise = law(kind, Fraction(epsilon), gaussian=gaussian)
    generator = np.random.default_rng(int(1000 * epsilon) + patients)
    exact = simulated(kind, patients, 1500, generator)
    noisy = exact + noise.draws(exact.shape, generator)

    found, noiseless = estimated(kind, noisy, noise), estimated(kind, exact, EXACT)
    blind = estimated(kind, noisy, EXACT)

    missed = []
    for figure, truth in TRUTH.items():
        ours, known = found[figure], found[figure].known
        without = noiseless[figure].value
        by_noise = ((ours.dp_low <= without) & (without <= ours.dp_high))[known]
        by_both = ((ours.ci_low <= truth) & (truth <= ours.ci_high))[known]
        naive = ((blind[figure].ci_low <= truth) & (truth <= blind[figure].ci_high))[known]
        missed.append(1 - naive.mean())
        assert known.mean() >= 0.94, figure
        most = 0.97 if known.all() else 0.985
        assert 0.93 <= by_noise.mean() <= most, figure
        assert 0.93 <= by_both.mean() <= most, figure
        error = (ours.value - without)[known]
        assert abs(error.mean()) < 5 * error.std() / len(error) ** 0.5 + 0.02 * error.std(), figure
    if patients < 3000:
        assert max(missed) > 0.07  # intervals that know nothing of the noise fail the same test


@pytest.mark.statistical
@pytest.mark.parametrize(("patients", "epsilon"), [(250, 1), (300, 1), (500, Fraction(1, 2))])
def test_correlations_that_are_shown_are_too_near_to_0_and_covered_all_the_same(
    patients: int, epsilon: int | Fraction
) -> None:
    """4,000 studies of which 38 to 72 % get a correlation: those whose spreads noise made large.

    A true .945 of 1,500 that are shown is found below .93 once in 100 runs. Intervals that ignore
    the noise are rejected.
    """
    kind = means(more="correlation = true")
    noise, figure = law(kind, Fraction(epsilon)), ("correlation", "age, follow_up_days")
    generator = np.random.default_rng(5)
    exact = np.tile(simulated(kind, patients, 1000, generator), (4, 1))
    noisy = exact + noise.draws(exact.shape, generator)

    ours, without = estimated(kind, noisy, noise)[figure], estimated(kind, exact, EXACT)[figure]
    blind = estimated(kind, noisy, EXACT)[figure]
    shown = ours.known

    truth = TRUTH[figure]
    assert 0.38 < shown.mean() < 0.72
    assert 0.38 < ours.value[shown].mean() < 0.48  # the truth is .5
    assert ((ours.dp_low <= without.value) & (without.value <= ours.dp_high))[shown].mean() >= 0.93
    assert ((ours.ci_low <= truth) & (truth <= ours.ci_high))[shown].mean() >= 0.93
    assert ((blind.ci_low <= truth) & (truth <= blind.ci_high))[shown].mean() < 0.8


@pytest.mark.parametrize("more", ["", 'by = ["sex"]', "correlation = true", "variance = false"])
def test_the_preview_tells_what_a_simulation_finds(more: str) -> None:
    """20,000 draws of noise around a cohort as the preview takes it; within 7 %."""
    kind = means(more=more)
    noise = law(kind, Fraction(1))
    groups = kind.layout().tables[0].cells
    generator = np.random.default_rng(8)
    patients = COHORTS[2] / groups
    centre = [(v.above + v.below) / 8 for v in kind.variables]
    square = [
        c**2 + ((v.above + v.below) / 6) ** 2 for c, v in zip(centre, kind.variables, strict=True)
    ]
    per_patient = [1, *centre, *(square if kind.variance else []), centre[0] * centre[1]]
    exact = np.concatenate(
        [
            np.full(table.cells, table.weight * value * patients)
            for table, value in zip(kind.layout().tables, per_patient, strict=False)
        ]
    )

    found = estimated(kind, exact + noise.draws((20_000, len(exact)), generator), noise)
    truth = estimated(kind, exact, EXACT)

    previewed = {f.figure: f.error95[2] for f in kind.preview(noise).figures}
    assert len(previewed) == len(found)
    for (measure, variable), estimates in found.items():
        error = abs(estimates.value - truth[measure, variable].value)[:, 0]
        figure = f"{measure} of {variable.replace(', ', ' and ')}"
        assert previewed[figure] == pytest.approx(np.quantile(error, 0.95), rel=0.07), figure


def test_the_preview_says_how_many_groups_would_do() -> None:
    kind = means(AGE, 'by = [{ variable = "age", name = "years", from = 18, to = 97 }]')
    noise = law(kind, Fraction(1))

    (advice,) = kind.preview(noise).advice

    assert "among 1,000 patients in 80 groups;" in advice
    enough = int(advice.rsplit("; ", 1)[1].split()[0])
    width = -(-80 // enough)
    fewer = means(
        AGE, f'by = [{{ variable = "age", name = "years", from = 18, to = 97, width = {width} }}]'
    )
    assert 1 < enough < 80
    assert fewer.preview(noise).advice == ()


def test_with_too_much_noise_there_is_no_number_but_a_remark() -> None:
    kind = means(AGE)
    noise = law(kind, Fraction(1, 10))
    weights = [table.weight for table in kind.layout().tables]

    def remarks(*sums: int) -> list[str | None]:
        vector = np.array([w * s for w, s in zip(weights, sums, strict=True)])
        rows = kind.finish(vector, noise).records()
        for row in rows:
            assert (row["estimate"] is None) == (row["remark"] not in (None, DROWNED))
            assert (row["ci_low"] is None) == (row["estimate"] is None)
        return [None if row["remark"] is None else str(row["remark"]) for row in rows]

    assert remarks(0, 0, 0) == [TOO_FEW, TOO_FEW]
    assert remarks(-400, 100, 1000) == [TOO_FEW, TOO_FEW]
    assert remarks(30, 100, 1000) == [TOO_FEW, DROWNED]
    assert remarks(20_000, 20_000, -1000) == [None, DROWNED]
    assert remarks(20_000, 20_000, 20_000 * 100) == [None, None]
    assert remarks(20_000, 20_000 * 50, 20_000 * 2800)[0] == OUTSIDE


def test_a_drowned_standard_deviation_is_bounded_from_above() -> None:
    """Of 300 patients at epsilon 0.3: those kept because they are large are too large."""
    kind, generator = means(AGE), np.random.default_rng(3)
    noise = law(kind, Fraction(3, 10))
    weights = np.array([table.weight for table in kind.layout().tables])
    exact = weights * np.array([300, 300 * 3, 300 * (9 + 12**2)])

    found = estimated(kind, exact + noise.draws((2000, 3), generator), noise)
    deviation = found["standard deviation", "age"]
    truth = estimated(kind, exact, EXACT)["standard deviation", "age"].value
    held = (deviation.dp_low <= truth) & (truth <= deviation.dp_high)

    assert deviation.drowned is not None
    enough = deviation.known[:, 0]
    shown_before = enough & ~deviation.drowned[:, 0]
    assert 0.1 < shown_before.mean() < 0.9
    assert 0.93 <= held[enough].mean() <= 0.99
    assert deviation.value[shown_before].mean() > truth[0]  # what was kept alone: too large
    assert (deviation.dp_low[deviation.drowned] == 0).all()


def test_an_empty_cohort_without_noise_is_said_to_be_empty() -> None:
    kind = means(more="correlation = true")

    rows = kind.finish(np.zeros(kind.layout().cells, np.int64), EXACT).records()

    assert [row["remark"] for row in rows] == [TOO_FEW] * 5
    assert all(row["estimate"] is None for row in rows)


def test_the_picture_has_a_panel_for_each_variable() -> None:
    kind = means(more='by = ["tx_hormone"]')
    result = kind.finish(tabulate(kind.measures(), kind.layout(), cases()), EXACT)

    assert len(kind.chart(result, title="x").to_dict()["vconcat"]) == 2

    empty = kind.finish(np.zeros(kind.layout().cells, np.int64), EXACT)
    with pytest.raises(StudyError, match="no mean could be estimated"):
        kind.chart(empty, title="x")


def test_more_overlap_makes_units_coarser_so_that_the_bound_holds() -> None:
    asked = study("means", f"variables = [{AGE}]")
    wide = Means.of(replace(asked, overlap=8))

    assert wide.variables[0].unit > 1
    assert wide.layout().sensitivity.times(8).dinf <= 4096


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("variables = []", "means.variables: wanted a list of one or more items"),
        ('variables = ["age"]', 'means.variables[0]: wanted { variable = "...", from'),
        ('variables = [{ variable = "sex", from = 0, to = 9 }]', "wanted a number: age,"),
        ('variables = [{ variable = "age", from = 0 }]', "means.variables[0].to: wanted a whole"),
        ('variables = [{ variable = "age", from = 50, to = 50 }]', "to: wanted 51 to 120, got 50"),
        ('variables = [{ variable = "age", from = 0, to = 130 }]', "to: wanted 1 to 120, got 130"),
        (f"variables = [{AGE}, {AGE}]", "wanted variables that differ, got age, age"),
        (f"variables = [{AGE}]\ncorrelation = true", "wanted two variables or more"),
        (f"variables = [{AGE}]\nby = [7]", "wanted the name of a variable, or a table"),
        (f"variables = [{AGE}]\nvarience = true", "unknown key 'varience'; did you mean variance?"),
        (
            f'variables = [{AGE}]\nby = [{{ variable = "sex", name = "estimate" }}]',
            "wanted names that differ, got estimate",
        ),
    ],
)
def test_bad_questions_are_refused_by_name(options: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        kinds.of(study("means", options))

    assert wanted in str(refused.value)
