"""Reference numbers of a real study, equality with the cleartext oracle, and bad options."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from gbsg2 import ARMS, EXACT, cases, study, survival, women
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import Result
from upcare_mpc.records.case import Case
from upcare_mpc.stats.lifetable import life_table, product_limit
from upcare_mpc.stats.logrank import logrank, logrank_on_grid
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.rows import tabulate


def answer(kind: kinds.Kind, records: Sequence[Case]) -> Result:
    return kind.finish(tabulate(kind.measures(), kind.layout(), records), EXACT)


def estimates(result: Result, arm: str) -> pd.DataFrame:
    return result.rows[result.rows["arm"] == arm].set_index("end_days")


def test_seven_yearly_intervals_give_the_reference_numbers() -> None:
    result = answer(survival(365, 7), cases())

    treated, others = estimates(result, "hormone therapy"), estimates(result, "no hormone therapy")
    assert list(treated.index) == [365, 730, 1095, 1461, 1826, 2191, 2556]
    assert round(treated.loc[1826, "survival"], 4) == 0.7522
    assert round(others.loc[1826, "survival"], 4) == 0.6732
    assert round(result.statistics["logrank"]["statistic"], 4) == 2.6716
    assert result.statistics["curve"]["estimator"] == "life table (actuarial)"


def test_a_one_day_grid_gives_the_kaplan_meier_reference() -> None:
    result = answer(survival(1, 2700), cases())

    treated, others = estimates(result, "hormone therapy"), estimates(result, "no hormone therapy")
    days = [365, 1095, 1826]
    wanted_treated = [0.97886417281, 0.8675069431, 0.7527507878]
    wanted_others = [0.98356075694, 0.80022014211, 0.67183628934]
    assert treated.loc[days, "survival"].tolist() == pytest.approx(wanted_treated, abs=1e-10)
    assert others.loc[days, "survival"].tolist() == pytest.approx(wanted_others, abs=1e-10)
    assert result.statistics["logrank"]["statistic"] == pytest.approx(2.5616212806, abs=1e-9)
    assert result.statistics["curve"]["estimator"] == "Kaplan-Meier"


def test_the_oracle_gives_the_same_reference_numbers() -> None:
    arm = [0 if woman["hormone"] == "2" else 1 for woman in women()]
    days = [int(woman["survtime"]) for woman in women()]
    died = [woman["censdead"] == "1" for woman in women()]
    treated = [i for i, a in enumerate(arm) if a == 0]

    five_years, error = product_limit(
        [days[i] for i in treated], [died[i] for i in treated], [1826]
    )[0]

    assert logrank(arm, days, died).statistic == pytest.approx(2.5616212806, abs=1e-9)
    assert five_years == pytest.approx(0.7527507878, abs=1e-10)
    assert error == pytest.approx(0.031982704489, abs=1e-10)


PATIENTS = st.lists(
    st.tuples(st.sampled_from(["yes", "no"]), st.integers(0, 900), st.booleans()),
    min_size=4,
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(PATIENTS, st.sampled_from([(365, 3), (60, 12), (31, 20), (7, 100), (1, 400)]))
def test_without_noise_the_table_equals_the_oracle(
    patients: list[tuple[str, int, bool]], grid: tuple[int, int]
) -> None:
    kind = survival(*grid)
    records = [
        Case(
            patient_id=str(i),
            tumour_id="1",
            sequence=1,
            icd10="C50.1",
            age=40,
            tx_hormone=treated,
            vital_status="dead" if died else "alive",
            follow_up_days=days,
        )
        for i, (treated, days, died) in enumerate(patients)
    ]

    result = answer(kind, records)

    for label, code in (("hormone therapy", "yes"), ("no hormone therapy", "no")):
        arm = [(days, died) for treated, days, died in patients if treated == code]
        oracle = life_table(
            [days for days, _ in arm],
            [died for _, died in arm],
            kind.grid.edges,
            actuarial=kind.grid.actuarial,
        )
        table = result.rows[result.rows["arm"] == label]
        assert table["at_risk"].tolist() == [line.at_risk for line in oracle]
        assert table["events"].tolist() == [line.deaths for line in oracle]
        for found, line in zip(table["survival"], oracle, strict=True):
            if line.at_risk == 0:
                assert found is None
            else:
                assert found == pytest.approx(line.survival, abs=1e-9)
    statistic = result.statistics["logrank"]["statistic"]
    if statistic is not None:
        test = logrank_on_grid(
            [0 if treated == "yes" else 1 for treated, _, _ in patients],
            [days for _, days, _ in patients],
            [died for _, _, died in patients],
            kind.grid.edges,
            actuarial=kind.grid.actuarial,
        )
        assert statistic == pytest.approx(test.statistic, abs=1e-7)


@pytest.mark.parametrize(
    ("interval_days", "landmark", "days", "status", "position"),
    [
        (30, 0, 0, "dead", 0),
        (30, 0, 1, "alive", 1),
        (30, 0, 30, "dead", 0),
        (30, 0, 31, "dead", 2),
        (30, 0, 90, "alive", 5),
        (30, 0, 91, "dead", 6),
        (30, 0, 5000, "alive", 6),
        (30, 100, 100, "dead", None),
        (30, 100, 101, "dead", 0),
        (30, 100, 130, "dead", 0),
        (30, 100, 131, "alive", 3),
        (30, 0, None, "dead", None),
        (30, 0, 10, None, None),
        (365, 0, 365, "dead", 0),
        (365, 0, 366, "dead", 2),
        (365, 0, 1095, "dead", 4),
        (365, 0, 1096, "dead", 6),
        (365, 90, 455, "dead", 0),
        (365, 90, 456, "dead", 2),
    ],
)
def test_each_way_out_has_its_place(
    interval_days: int, landmark: int, days: int | None, status: str | None, position: int | None
) -> None:
    grid = Grid(interval_days=interval_days, intervals=3, landmark_days=landmark)
    record = Case(
        patient_id="p", tumour_id="t", sequence=1, vital_status=status, follow_up_days=days
    )

    assert compiled(grid.exit_position())(record) == position


@given(st.integers(1, 800), st.integers(1, 40), st.integers(0, 400), st.integers(0, 20_000))
def test_the_position_is_the_interval_between_the_edges(
    interval_days: int, intervals: int, landmark: int, days: int
) -> None:
    grid = Grid(interval_days=interval_days, intervals=intervals, landmark_days=landmark)
    record = Case(
        patient_id="p", tumour_id="t", sequence=1, vital_status="dead", follow_up_days=days
    )

    position = compiled(grid.exit_position())(record)

    since = days - landmark
    if landmark and since <= 0:
        assert position is None
    elif since > grid.edges[-1]:
        assert position == 2 * intervals
    else:
        start, end = grid.edges[position // 2], grid.edges[position // 2 + 1]
        assert start < since <= end or since == start == 0


def test_a_landmark_leaves_out_those_not_followed_beyond_it() -> None:
    kind = survival(365, 7, landmark_days=365)

    total = tabulate(kind.measures(), kind.layout(), cases()).sum()

    assert total == sum(int(woman["survtime"]) > 365 for woman in women())


def test_one_patient_is_in_one_cell() -> None:
    assert survival(365, 7).layout().sensitivity.d1 == 1
    assert survival(365, 7).layout().tables[0].shape == (2, 15)


def test_a_record_belongs_to_the_first_arm_that_matches() -> None:
    options = 'interval_days = 30\nintervals = 2\n[survival.arms]\n"a" = "age > 40"\n"b" = "true"\n'
    kind = kinds.of(study("survival", options))

    vector = tabulate(kind.measures(), kind.layout(), cases()).reshape(2, 5)

    assert vector.sum(axis=1).tolist() == [686, 0]


def test_without_arms_there_is_one_curve_and_no_test() -> None:
    result = answer(kinds.of(study("survival", "interval_days = 365\nintervals = 7")), cases())

    assert set(result.rows["arm"]) == {"all"}
    assert result.statistics["logrank"]["statistic"] is None
    assert any("one arm only" in note for note in result.notes)


def test_more_arms_give_more_degrees_of_freedom() -> None:
    options = """
interval_days = 365
intervals = 7
[survival.arms]
"east" = "region = DEA"
"north" = "region = DEB"
"rest" = "true"
"""
    result = answer(kinds.of(study("survival", options)), cases())

    arm = [{"DE-A": 0, "DE-B": 1}.get(woman["centre"], 2) for woman in women()]
    test = logrank_on_grid(
        arm,
        [int(woman["survtime"]) for woman in women()],
        [woman["censdead"] == "1" for woman in women()],
        [0, 365, 730, 1095, 1461, 1826, 2191, 2556],
    )
    assert result.statistics["logrank"]["df"] == 2
    assert result.statistics["logrank"]["statistic"] == pytest.approx(test.statistic, abs=1e-9)


def test_an_empty_arm_gives_none_and_says_why() -> None:
    result = answer(survival(365, 7), [])

    assert result.rows["survival"].isna().all()
    assert set(result.records()[0]) >= {"survival", "ci_low"}
    assert result.records()[0]["survival"] is None
    assert any("nobody is left at risk" in note for note in result.notes)
    json.dumps([result.records(), result.statistics], allow_nan=False)


def test_any_noisy_vector_gives_ordered_intervals_and_no_nan() -> None:
    kind = survival(365, 7)
    generator = np.random.default_rng(3)
    for spread in (1, 30, 1000):
        for _ in range(50):
            noisy = generator.integers(-spread, spread + 1, kind.layout().cells)

            result = kind.finish(noisy, EXACT)

            json.dumps([result.records(), result.statistics], allow_nan=False)
            known = result.rows[result.rows["survival"].notna()]
            assert (known["ci_low"] <= known["survival"]).all()
            assert (known["survival"] <= known["ci_high"]).all()
            assert known["survival"].between(0, 1).all()


def test_the_same_noisy_vector_gives_the_same_answer() -> None:
    kind = survival(365, 7)
    noisy = np.arange(kind.layout().cells) - 5

    first, second = kind.finish(noisy, EXACT), kind.finish(noisy, EXACT)

    assert first.records() == second.records()
    assert first.statistics == second.statistics


def test_the_result_says_when_there_is_no_evidence() -> None:
    assert any("No evidence of a difference" in n for n in answer(survival(365, 7), cases()).notes)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("intervals = 7", "survival.interval_days: wanted a whole number"),
        ("interval_days = 0\nintervals = 7", "survival.interval_days: wanted 1 to"),
        ("interval_days = 365\nintervals = 700", "ends within 60000 days"),
        ("interval_days = 365\nintervls = 7", "unknown key 'intervls'; did you mean intervals?"),
        ('interval_days = "1"\nintervals = 7', "survival.interval_days: wanted a whole number"),
    ],
)
def test_bad_options_are_refused_by_name(options: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        kinds.of(study("survival", options + ARMS))

    assert wanted in str(refused.value)


def test_an_unknown_kind_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(StudyError, match="did you mean survival"):
        kinds.of(study("survivals", "interval_days = 1"))
