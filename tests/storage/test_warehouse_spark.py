"""Spark, in this process, counts exactly as the rows engine does.

It needs Java and the extra ``spark``, which are large; where they are missing the tests say so.
"""

import shutil
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from generated_studies import REFERENCE, WITHOUT_LIFE_TABLE, line
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from warehouse_table import arrow_table, table_cases

from upcare_mpc.errors import DataError
from upcare_mpc.storage.warehouse import Warehouse
from upcare_mpc.storage.warehouse_query import count_query
from upcare_mpc.study import language
from upcare_mpc.study.layout import Layout, Measure, Measures
from upcare_mpc.study.rows import tabulate

if shutil.which("java") is None:
    pytest.skip("NOT TESTED: no Java here (Debian: default-jre-headless)", allow_module_level=True)
pyspark = pytest.importorskip("pyspark", reason="NOT TESTED: the extra 'spark' is not installed")

# Py4J leaves it to the end of a thread to close the thread's connection to Java.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CASES = table_cases()
EVERYBODY = Measures(
    where=language.parse("true", place=""),
    tables=(Measure((language.parse("age // 10", place="", want="integer"),)),),
)
AGES = line(13, EVERYBODY)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    pq.write_table(arrow_table(CASES), folder / "cases.parquet")
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(folder / "tables"))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    session.read.parquet(str(folder / "cases.parquet")).createOrReplaceTempView("cases")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def warehouse(session: Any) -> Warehouse:
    return Warehouse("local[2]", "cases")


def open_beside(table: str, seconds: float = 60) -> Warehouse:
    """Open another table; refusing one ends a session, and the tests share theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("upcare_mpc.storage.warehouse_spark.Spark.close", lambda _: None)
        return Warehouse("local[2]", table, seconds=seconds)


@settings(
    max_examples=5,
    deadline=None,  # no timed tests
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.generate],  # a smaller example would take minutes to find
)
@given(questions=st.lists(WITHOUT_LIFE_TABLE, min_size=2, max_size=2))
def test_generated_measures_give_the_vector_of_the_rows_engine(
    warehouse: Warehouse, questions: list[tuple[Measures, Layout]]
) -> None:
    for question in questions:
        expected = tabulate(*question, CASES, REFERENCE)

        assert warehouse.tabulate(*question, REFERENCE).tolist() == expected.tolist()


@pytest.mark.parametrize("axis", ["(age - 61) // 10 + 7", "min(age, diagnosis_month)"])
def test_what_sql_does_otherwise_is_done_as_the_language_says(
    warehouse: Warehouse, axis: str
) -> None:
    measures = Measures(
        where=EVERYBODY.where,
        tables=(Measure((language.parse(axis, place="", want="integer"),)),),
        per_patient=20,
    )
    layout = line(13, measures)

    counted = warehouse.tabulate(measures, layout)

    assert counted.sum() > 0
    assert counted.tolist() == tabulate(measures, layout, CASES).tolist()


def test_nested_expressions_stay_small(warehouse: Warehouse) -> None:
    """Spark writes the middle of a BETWEEN out twice, unless it is told that it is the same."""
    deep = "min(max(" * 14 + "age" + ", 2), 12)" * 14 + " + 0"
    nested = "choose when " * 9 + "age" + " between 0 and 60 then 1 else 2 end" * 9 + " + 0"
    for axis in (deep, nested):
        measures = Measures(
            where=EVERYBODY.where,
            tables=(Measure((language.parse(axis, place="", want="integer"),)),),
        )

        expected = tabulate(measures, AGES, CASES).tolist()

        assert warehouse.tabulate(measures, AGES).tolist() == expected


def test_all_rows_of_the_table_count_as_tumours(warehouse: Warehouse) -> None:
    assert warehouse.tumours() == len(CASES)


def test_only_the_table_of_cells_leaves_the_engine(session: Any, warehouse: Warehouse) -> None:
    query = count_query(EVERYBODY, AGES, dialect="pyspark", source=warehouse._source)

    counted = session.sql(query)

    assert 0 < counted.count() <= AGES.cells
    plan = counted._jdf.queryExecution().optimizedPlan().toString()
    assert "Aggregate" in plan.splitlines()[0] + plan.splitlines()[1]  # below it a HAVING


def test_a_query_that_takes_too_long_is_interrupted(session: Any) -> None:
    listed = [name for name in session.table("cases").columns if name != "patient"]
    slow = "(SELECT max(a.id + b.id) FROM range(1000000000000) a, range(1000) b)"
    session.sql(
        f"SELECT {', '.join(listed)}, concat(patient, {slow}) AS patient FROM cases"
    ).createOrReplaceTempView("slow")
    warehouse = open_beside("slow", seconds=2)

    with pytest.raises(DataError, match=r"^warehouse: no answer within 2 s$"):
        warehouse.tabulate(EVERYBODY, AGES)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ("* EXCEPT (age), 'x' AS age", "column age: wanted whole numbers, got text"),
        ("* EXCEPT (age), age / 2.0 AS age", "column age: wanted whole numbers, got decimal"),
        ("* EXCEPT (age, cause)", "the table has no column age, cause"),
        (
            "* EXCEPT (stage), stage COLLATE UTF8_LCASE AS stage",
            "column stage: wanted text, got string collate UTF8_LCASE",
        ),
    ],
)
def test_a_table_of_another_shape_is_refused_when_it_is_opened(
    session: Any, columns: str, text: str
) -> None:
    session.sql(f"SELECT {columns} FROM cases").createOrReplaceTempView("other")

    with pytest.raises(DataError) as caught:
        open_beside("other")

    assert str(caught.value).startswith(f"warehouse: {text}")


def test_a_table_that_is_not_there_is_named(session: Any) -> None:
    with pytest.raises(DataError, match=r"^warehouse: no table absent that its user may read$"):
        open_beside("absent")
