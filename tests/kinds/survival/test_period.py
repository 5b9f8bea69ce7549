"""The period window: against individual dates, the cells that are possible, and coverage."""

import numpy as np
import pytest
from gbsg2 import EXACT
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_cohorts import at, coverage, law_of, survival_kind, windowed

from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.survival.period import Period
from upcare_mpc.records.case import Case
from upcare_mpc.stats.relative import Patient, relative_survival
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.rows import tabulate

MONTH_DAYS = 30.4375
OPTIONS = "interval_days = 365\nintervals = 5\nperiod = { from = 2015, to = 2016 }"
TUMOURS = st.tuples(
    st.integers(2005, 2018), st.integers(1, 12), st.integers(0, 4000), st.booleans()
)


def case(number: int, year: int | None, month: int | None, days: int, *, died: bool) -> Case:
    return Case(
        patient_id=str(number),
        tumour_id="1",
        sequence=1,
        icd10="C50.1",
        age=40,
        sex="female",
        diagnosis_year=year,
        diagnosis_month=month,
        vital_status="dead" if died else "alive",
        follow_up_days=days,
    )


def in_window(year: int, month: int, days: int, *, died: bool) -> Patient | None:
    """The same patient by dates, in days since the middle of the month of diagnosis."""
    since = 12 * year + month - 1 + 0.5
    start, end = (12 * 2015 - since) * MONTH_DAYS, (12 * 2017 - since) * MONTH_DAYS
    if days < start or end < 0:
        return None
    return Patient(
        entry_days=max(start, 0.0), exit_days=min(float(days), end), died=died and days < end
    )


@settings(deadline=None, max_examples=150)
@given(st.lists(TUMOURS, min_size=1, max_size=40))
def test_without_noise_the_table_equals_the_oracle_from_dates(
    tumours: list[tuple[int, int, int, bool]],
) -> None:
    kind = survival_kind(OPTIONS)
    records = [case(i, y, m, d, died=dead) for i, (y, m, d, dead) in enumerate(tumours)]
    seen = [in_window(y, m, d, died=dead) for y, m, d, dead in tumours]
    patients = [p for p in seen if p is not None and p.entry_days < kind.grid.edges[-1]]

    vector = tabulate(kind.measures(), kind.layout(), records)
    rows = kind.finish(vector, EXACT).rows

    assert vector.sum() == len(patients)
    lines = relative_survival(patients, kind.grid.edges)
    for line, (_, row) in zip(lines, rows.iterrows(), strict=False):
        assert row["at_risk"] == line.at_risk
        assert row["events"] == line.deaths
        if line.survival == 0:  # half a patient may be exposed and one die
            break
        assert row["survival"] == pytest.approx(line.survival, abs=1e-9)


@given(TUMOURS, st.sampled_from([365, 91, 730]), st.integers(2013, 2016), st.integers(0, 3))
def test_everybody_is_in_a_possible_cell(
    tumour: tuple[int, int, int, bool], interval_days: int, first: int, years: int
) -> None:
    year, month, days, died = tumour
    grid = Grid(interval_days=interval_days, intervals=6, landmark_days=0)
    period = Period(grid, first, first + years)
    record = case(0, year, month, days, died=died)

    entry = compiled(period.entry_position())(record)
    way = compiled(period.exit_position())(record)

    if entry is not None and way is not None:
        assert period.possible()[entry, way] == 1
        here = [n for n in range(6) if compiled(period.under_observation(n))(record)]
        assert here == list(range(max(entry - 1, 0), min(way // 2, 5) + 1))


def test_most_cells_are_impossible_in_a_short_window() -> None:
    grid = Grid(interval_days=365, intervals=10, landmark_days=0)

    assert Period(grid, 2015, 2015).possible().sum() < 0.25 * 11 * 21
    all_exits = Period(grid, 2000, 2030).possible().sum()
    assert all_exits == 21 + np.triu(np.ones((10, 10))).sum() * 2 + 10


def test_a_record_without_month_of_diagnosis_is_in_no_cell() -> None:
    kind = survival_kind(OPTIONS)
    records = [case(0, 2015, None, 100, died=True), case(1, None, 3, 100, died=True)]

    assert tabulate(kind.measures(), kind.layout(), records).sum() == 0


@pytest.mark.statistical
@pytest.mark.parametrize(("patients", "epsilon"), [(1000, 0.5), (1000, 2), (3000, 1)])
def test_intervals_cover_19_times_in_20(patients: int, epsilon: float) -> None:
    """1,000 studies: a true .95 is found outside .93 to .97 once in 250 runs; the seed is fixed."""
    kind = survival_kind("interval_days = 365\nintervals = 6\nperiod = { from = 2015, to = 2019 }")

    found = coverage(
        kind,
        lambda generator: windowed(generator, kind, patients, 0.15),
        epsilon=epsilon,
        read=at(4),
        truth=float(np.exp(-0.15 * 5)),
        studies=1000,
    )

    assert 0.93 <= found.ci <= 0.97
    assert 0.93 <= found.dp <= 0.985
    if epsilon == 0.5:
        assert found.unaware < 0.93


@pytest.mark.statistical
def test_the_log_rank_test_holds_its_level_and_the_plain_one_does_not() -> None:
    """1,500 true nulls at epsilon .5; a level of .05 is found above .066 once in 300 runs."""
    options = "interval_days = 365\nintervals = 6\nperiod = { from = 2015, to = 2019 }\n"
    one = survival_kind(options)
    both = survival_kind(f"{options}[survival.arms]\n'a' = 'sex = male'\n'b' = 'true'")
    law, generator = law_of(both, 0.5), np.random.default_rng(3)
    aware, unaware = [], []
    for _ in range(1500):
        arms = [windowed(generator, one, patients, 0.15) for patients in (4000, 2000)]
        exact = np.concatenate(arms)
        noisy = exact + law.draws(exact.shape, generator).astype(np.int64)
        test = both.finish(noisy, law).statistics["logrank"]
        aware.append(test["p_noise_aware"] < 0.05)
        unaware.append(test["p"] < 0.05)

    assert np.mean(aware) <= 0.066
    assert np.mean(unaware) > 0.075
