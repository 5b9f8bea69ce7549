"""DuckDB counts exactly as the rows engine does, and reaches nothing but its file."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from frozen_cases import SECRET, write_cases
from generated_studies import CASES, MEASURES, REFERENCE, crowd, line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upcare_mpc.consent.gate import Selection
from upcare_mpc.errors import DataError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.storage.snapshot_engine import ALL_PATIENTS, Engine, open_duck
from upcare_mpc.storage.snapshot_rows import pseudonym, pseudonyms
from upcare_mpc.study import language
from upcare_mpc.study.expression import Expression, Integer, Truth
from upcare_mpc.study.layout import ExpectedDeath, Factor, Layout, Measure, Measures
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

CROWD = crowd(3000)
EVERYBODY = Measures(where=Truth(value=True), tables=(Measure((Integer(0),)),), per_patient=10**6)
ROOT = Path(__file__).parents[2]
EXAMPLES = settings(
    deadline=None,  # no timed tests
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def engine_of(cases: list[Case], folder: Path) -> Engine:
    rows = folder / "rows.parquet"
    write_cases(cases, rows)
    return Engine(rows, folder / "spill")


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = engine_of(CROWD, tmp_path_factory.mktemp("everybody"))
    yield engine
    engine.close()


@pytest.mark.slow
@settings(EXAMPLES, max_examples=200)
@given(question=MEASURES)
def test_generated_measures_give_the_vector_of_the_rows_engine(
    everybody: Engine, question: tuple[Measures, Layout]
) -> None:
    measures, layout = question

    assert (
        everybody.tabulate(measures, layout, ALL_PATIENTS, REFERENCE).tolist()
        == tabulate(*question, CROWD, REFERENCE).tolist()
    )


@pytest.mark.slow
@settings(EXAMPLES, max_examples=50)
@given(question=MEASURES, silent=st.booleans(), source=st.randoms(use_true_random=False))
def test_only_the_patients_of_a_selection_are_counted(
    everybody: Engine, question: tuple[Measures, Layout], silent: bool, source: random.Random
) -> None:
    """The oracle looks at one patient after the other."""
    known = sorted({case.patient_id for case in CROWD if well_formed(case)})
    chosen = source.sample(known, source.randint(0, len(known)))
    selection = Selection(
        silent=silent, exceptions=frozenset(pseudonyms(SECRET, [*chosen, "nobody here"]))
    )
    holds = {patient: selection.holds(pseudonym(SECRET, patient)) for patient in known}
    chosen_cases = [case for case in CROWD if holds.get(case.patient_id)]
    expected = tabulate(*question, chosen_cases, REFERENCE)

    assert everybody.tabulate(*question, selection, REFERENCE).tolist() == expected.tolist()


def test_who_of_some_patients_has_rows_is_known(everybody: Engine) -> None:
    here = frozenset(
        pseudonyms(SECRET, [case.patient_id for case in CROWD[:9] if well_formed(case)])
    )

    assert everybody.known({*here, b"?" * 16}) == here
    assert everybody.known([]) == frozenset()


@pytest.mark.slow
@settings(EXAMPLES, max_examples=20)
@given(cases=CASES, questions=st.lists(MEASURES, min_size=1, max_size=5))
def test_generated_records_give_the_vector_of_the_rows_engine(
    tmp_path_factory: pytest.TempPathFactory,
    cases: list[Case],
    questions: list[tuple[Measures, Layout]],
) -> None:
    engine = engine_of(cases, tmp_path_factory.mktemp("some"))
    try:
        for measures, layout in questions:
            expected = tabulate(measures, layout, cases, REFERENCE)
            counted = engine.tabulate(measures, layout, ALL_PATIENTS, REFERENCE)
            assert counted.tolist() == expected.tolist()
    finally:
        engine.close()


@pytest.mark.parametrize("per_patient", [1, 2, 3])
def test_the_first_matching_tumours_count_by_sequence_then_by_tumour_id(
    tmp_path: Path, per_patient: int
) -> None:
    """Each tumour has its own cell, so the vector says which ones counted."""
    turns = [(2, "b"), (1, "ä"), (2, "a"), (9, "0"), (1, "z"), (1, "10"), (1, "9")]
    cases = [
        Case(patient_id=patient, tumour_id=tumour, sequence=sequence, age=cell, sex="male")
        for patient in "pq"
        for cell, (sequence, tumour) in enumerate(turns)
    ]
    measures = Measures(
        where=language.parse("age != 5", place=""),
        tables=(Measure((language.parse("age + 0", place="", want="integer"),)),),
        per_patient=per_patient,
    )
    layout = line(7, measures)
    engine = engine_of(cases, tmp_path)

    counted = engine.tabulate(measures, layout, ALL_PATIENTS)
    engine.close()

    by_turn = [6, 4, 1]  # (1, "9"), (1, "z"), (1, "ä"); (1, "10") does not match
    assert np.flatnonzero(counted).tolist() == sorted(by_turn[:per_patient])
    assert counted.tolist() == tabulate(measures, layout, cases).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "(age - 61) // 10 + 7",
        "min(age, diagnosis_month)",
        "max(age, diagnosis_month)",
        "choose when grade = 1 then 1 when not grade = 1 then 2 else 3 end",
        "choose when age between diagnosis_month and 40 then 1 end",
        "follow_up_days // 999999999 + 2",
    ],
)
def test_what_sql_does_otherwise_is_done_as_the_language_says(everybody: Engine, text: str) -> None:
    axis = language.parse(text, place="", want="integer")
    measures = Measures(where=Truth(value=True), tables=(Measure((axis,)),), per_patient=20)
    layout = line(200, measures)

    counted = everybody.tabulate(measures, layout, ALL_PATIENTS)

    assert counted.sum() > 0
    assert counted.tolist() == tabulate(measures, layout, CROWD).tolist()


def test_a_whole_study_gives_the_vector_of_the_rows_engine(everybody: Engine) -> None:
    text = (ROOT / "parties" / "study.toml").read_text("utf-8")
    kind = work_out(
        parse(text.replace("1984 and 1991", "1900 and 2100"), name=""), network_overlap=1
    ).kind

    counted = everybody.tabulate(kind.measures(), kind.layout(), ALL_PATIENTS)

    assert counted.tolist() == tabulate(kind.measures(), kind.layout(), CROWD).tolist()


def test_the_longest_expressions_of_the_language_are_counted(everybody: Engine) -> None:
    """4096 characters of terms side by side, and of one in the other."""
    wide = " or ".join(["age = 1"] * 350)
    deep = "min(max(" * 14 + "age" + ", 2), 50)" * 14
    for where, axis in ((wide, "age"), ("true", deep + " + 0")):
        measures = Measures(
            where=language.parse(where, place=""),
            tables=(Measure((language.parse(axis, place="", want="integer"),)),),
            per_patient=20,
        )
        layout = line(60, measures)
        expected = tabulate(measures, layout, CROWD)

        assert everybody.tabulate(measures, layout, ALL_PATIENTS).tolist() == expected.tolist()


def test_two_threads_count_at_once(everybody: Engine) -> None:
    """A node counts for two sessions at a time."""
    axis: Expression = language.parse("age // 10", place="", want="integer")
    measures = Measures(where=Truth(value=True), tables=(Measure((axis,)),))
    layout = line(13, measures)
    expected = tabulate(measures, layout, CROWD).tolist()
    seen: list[list[int]] = []

    def count() -> None:
        for _ in range(10):
            seen.append(everybody.tabulate(measures, layout, ALL_PATIENTS).tolist())  # noqa: PERF401

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert seen == [expected] * 40


def test_a_snapshot_without_a_tumour_counts_nothing(tmp_path: Path) -> None:
    engine = engine_of([], tmp_path)

    assert engine.tabulate(EVERYBODY, line(2, EVERYBODY), ALL_PATIENTS).tolist() == [0, 0]
    engine.close()


def test_without_a_life_table_no_death_is_expected(everybody: Engine) -> None:
    chance = Factor(ExpectedDeath(0, 365), 0, 1000)
    measures = replace(
        EVERYBODY, tables=(Measure((Integer(0),)), Measure((Integer(0),), (chance,)))
    )
    one = line(1, EVERYBODY).tables[0]
    layout = Layout.of((one, replace(one, name="expected")), measures)

    alone = everybody.tabulate(measures, layout, ALL_PATIENTS)
    beside = everybody.tabulate(measures, layout, ALL_PATIENTS, REFERENCE)

    assert alone.tolist() == tabulate(measures, layout, CROWD).tolist()
    assert alone[0] == beside[0] > 0
    assert alone[1] == 0 < beside[1]


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_csv('{other}')",
        "FROM read_text('{other}')",
        "FROM '{other}'",
        "FROM glob('/*')",
        "COPY cases TO '{other}.copy'",
        "EXPORT DATABASE '{other}.export'",
        "ATTACH '{other}.db'",
        "FROM 'https://localhost:1/x.parquet'",
        "FROM 's3://bucket/x.parquet'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "SET temp_directory = '/'",
        "SELECT getenv('HOME')",
        "FROM CROWD",
    ],
)
def test_a_query_that_leaves_its_file_is_refused(tmp_path: Path, query: str) -> None:
    """Even if the text of a study became a query of its own, it would reach no file, no network."""
    rows, other = tmp_path / "rows.parquet", tmp_path / "other.csv"
    write_cases(CROWD[:10], rows)
    other.write_text("a,b\n1,2\n")
    before = sorted(tmp_path.iterdir())

    with open_duck(rows, tmp_path / "spill") as duck:
        assert duck.execute("SELECT count(*) FROM cases").fetchone()
        with pytest.raises(duckdb.Error):
            duck.execute(query.format(other=other)).fetchall()

    assert [p for p in sorted(tmp_path.iterdir()) if p.name != "spill"] == before


def test_what_is_spilt_stays_in_its_folder_and_goes_with_the_engine(tmp_path: Path) -> None:
    rows, spill = tmp_path / "rows.parquet", tmp_path / "spill"
    write_cases(CROWD, rows)

    with open_duck(rows, spill) as duck:
        sorting = duck.sql("SELECT range, hash(range) AS h FROM range(30_000_000) ORDER BY h")
        sorting.to_arrow_reader(1000).read_next_batch()
        spilt = list(spill.iterdir())

    assert spilt
    assert not spill.exists()


def test_a_file_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    engine = engine_of(CROWD[:10], tmp_path)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 is not what follows")

    with pytest.raises(DataError, match=r"^the snapshot cannot be counted$"):
        engine.tabulate(EVERYBODY, line(1, EVERYBODY), ALL_PATIENTS)
    engine.close()


def test_a_snapshot_that_is_destroyed_is_counted_until_it_is_closed(tmp_path: Path) -> None:
    """A node learns of its successor later; an error until then would tell of a deletion."""
    rows = tmp_path / "rows.parquet"
    write_cases(CROWD, rows)
    engine = Engine(rows, tmp_path / "state" / "spill")
    layout = line(1, EVERYBODY)
    before = engine.tabulate(EVERYBODY, layout, ALL_PATIENTS)

    rows.unlink()

    assert engine.tabulate(EVERYBODY, layout, ALL_PATIENTS) == before > 0
    engine.close()
    assert list((tmp_path / "state").iterdir()) == []
