"""The queries that Ibis writes count exactly as the rows engine does; here in DuckDB."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import duckdb
import ibis
import numpy as np
import numpy.typing as npt
import pytest
from generated_studies import REFERENCE, WITHOUT_LIFE_TABLE, line
from hypothesis import HealthCheck, given, settings
from warehouse_table import arrow_table, table_cases, ties

from upcare_mpc.errors import StudyError
from upcare_mpc.records.case import Case
from upcare_mpc.storage.warehouse_query import count_query
from upcare_mpc.storage.warehouse_variables import STORED, variables
from upcare_mpc.study import language
from upcare_mpc.study.expression import (
    Arithmetic,
    Comparison,
    Expression,
    Field,
    Integer,
    Text,
    Truth,
)
from upcare_mpc.study.layout import ExpectedDeath, Factor, Layout, Measure, Measures
from upcare_mpc.study.residents import resident_vector
from upcare_mpc.study.rows import tabulate

CASES = table_cases()
EXAMPLES = settings(
    deadline=None,  # no timed tests
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.register("registry", arrow_table(CASES))
        yield connection


def counted(
    duck: duckdb.DuckDBPyConnection, measures: Measures, layout: Layout
) -> npt.NDArray[np.int64]:
    query = count_query(measures, layout, dialect="duckdb", source="SELECT * FROM registry")
    found = duck.execute(query).fetchall()
    vector = resident_vector(measures, layout, REFERENCE.residents)
    assert len(found) <= layout.cells
    for cell, amount in found:
        vector[cell] = amount
    return vector


def asked(
    where: str, axis: Expression | str, cells: int, per_patient: int = 20
) -> tuple[Measures, Layout]:
    if isinstance(axis, str):
        axis = language.parse(axis, place="", want="integer")
    condition = language.parse(where, place="")
    measures = Measures(where=condition, tables=(Measure((axis,)),), per_patient=per_patient)
    return measures, line(cells, measures)


@pytest.mark.statistical
@settings(EXAMPLES, max_examples=60)
@given(question=WITHOUT_LIFE_TABLE)
def test_generated_measures_give_the_vector_of_the_rows_engine(
    duck: duckdb.DuckDBPyConnection, question: tuple[Measures, Layout]
) -> None:
    expected = tabulate(*question, CASES, REFERENCE)

    assert counted(duck, *question).tolist() == expected.tolist()


@pytest.mark.parametrize("per_patient", [1, 2, 3])
def test_the_first_matching_tumours_count_by_sequence_then_by_tumour_id(
    duck: duckdb.DuckDBPyConnection, per_patient: int
) -> None:
    question = asked("age > 3 or age is unknown", "sequence", 100, per_patient)

    vector = counted(duck, *question)

    assert vector.sum() > 0
    assert vector.tolist() == tabulate(*question, CASES).tolist()


@pytest.mark.slow
def test_rows_alike_in_what_names_them_are_ordered_by_all_that_they_say() -> None:
    """And so one more row moves no others: the bound per patient holds whatever the ids are."""
    rows = ties()
    question = asked("true", "choose when sex = female then 0 when sex = male then 1 end", 2, 1)
    new = [Case(patient_id=f"new{i}", tumour_id="1", sequence=1, sex="male") for i in range(2)]
    expected = tabulate(*question, rows).tolist()

    for order in range(3):
        random.Random(order).shuffle(rows)
        for more in range(3):
            with duckdb.connect() as duck:
                duck.register("arrow", arrow_table([*new[:more], *rows]))
                duck.execute("CREATE TABLE registry AS FROM arrow")
                assert counted(duck, *question).tolist() == [expected[0], expected[1] + more]


def test_what_follows_from_codes_is_what_the_records_say() -> None:
    """Every site with every edge of a block of morphologies, and codes that are none."""
    sites = [f"C{number:02}.{number % 10}" for number in range(100)]
    blocks = "8719 8720 8790 8791 9049 9050 9055 9140 9590 9597 9650 9667 9670 9729 9731 9734 9735"
    blocks += " 9738 9739 9740 9741 9742 9750 9769 9800 9948 9950 9992 9993"
    odd = [None, "", "0", "09140", "9140000", "91-0", "967:"]
    icd_o = product([*sites, "C44", None, "", "X"], [*blocks.split(), *odd], ["0", "1", "2", "3"])
    icd10 = [
        f"{letter}{number:02}{end}"
        for letter in "BCDE"
        for number in range(100)
        for end in ("", ".0", ".4", ".41")
    ]
    cases = [
        Case(patient_id="p", tumour_id=str(i), sequence=1, **codes)
        for i, codes in enumerate(
            [
                *({"topography": t, "morphology": m, "behaviour": b} for t, m, b in icd_o),
                {"topography": "C50.9", "morphology": "8500"},
                *({"icd10": code, "topography": "C61.9", "behaviour": "3"} for code in icd10),
                *({"age": age} for age in (-1, 0, 4, 5, 84, 85, 120, None)),
                *({"region": region} for region in ("", "DE", "DE2", "DE21H", None)),
                *(
                    {"death_by_tumour": by, "cause": cause}
                    for by in ("yes", "no", "", None)
                    for cause in ("C50", "I21", "", None)
                ),
            ]
        )
    ]
    columns = variables(ibis.table(STORED, name="registry"))
    names = ("site", "site_group", "age_group", "nuts1", "nuts2", "cause_group")
    table = ibis.table(STORED, name="registry").select(**{name: columns[name] for name in names})

    with duckdb.connect() as duck:
        duck.register("registry", arrow_table(cases))
        found = duck.execute(ibis.to_sql(table, dialect="duckdb")).fetchall()

    assert len(found) > 15_000
    assert found == [tuple(getattr(case, name) for name in names) for case in cases]


@pytest.mark.statistical
def test_the_longest_expressions_of_the_language_are_counted(
    duck: duckdb.DuckDBPyConnection,
) -> None:
    """4096 characters of terms side by side, and of one in the other."""
    wide = " or ".join(["age = 1"] * 350)
    deep = "min(max(" * 14 + "age" + ", 2), 50)" * 14
    nested = "choose when " * 9 + "age" + " between 0 and 60 then 1 else 2 end" * 9 + " + 0"
    for where, axis in ((wide, "age"), ("true", deep + " + 0"), ("true", nested)):
        question = asked(where, axis, 60)

        vector = counted(duck, *question)

        assert vector.sum() > 0
        assert vector.tolist() == tabulate(*question, CASES).tolist()


def test_sums_of_large_literals_do_not_overflow(duck: duckdb.DuckDBPyConnection) -> None:
    """As 32 bits they would: engines give a literal the least width that holds it."""
    question = asked(" + ".join(["999999999"] * 20) + " > 1", Integer(0), 1)

    vector = counted(duck, *question)

    assert vector.sum() > 0
    assert vector.tolist() == tabulate(*question, CASES).tolist()


@pytest.mark.parametrize(
    "condition",
    [
        Comparison("=", Field("pseudonym"), Integer(1)),
        Comparison("=", Field("sex"), Text("x' OR 'a'='a")),
        Comparison("=", Field("age"), Integer(2 * 10**9)),
        Comparison("=", Field("age"), Arithmetic("//", Field("age"), Integer(0))),
    ],
)
def test_what_the_snapshot_refuses_is_refused(condition: Expression) -> None:
    measures = Measures(where=condition, tables=(Measure((Integer(0),)),))

    with pytest.raises(StudyError):
        count_query(measures, line(1, measures), dialect="postgres", source="SELECT 1")


def test_a_life_table_is_refused() -> None:
    all_at_once = Measure((Integer(0),))
    expected = Measure((Integer(0),), (Factor(ExpectedDeath(0, 365), 0, 1000),))
    measures = Measures(where=Truth(value=True), tables=(all_at_once, expected))
    table = line(1, Measures(where=Truth(value=True), tables=(all_at_once,))).tables[0]
    layout = Layout.of((table, replace(table, name="expected")), measures)

    with pytest.raises(StudyError, match="life table"):
        count_query(measures, layout, dialect="postgres", source="SELECT 1")
