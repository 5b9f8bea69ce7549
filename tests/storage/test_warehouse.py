"""A real PostgreSQL counts exactly as the rows engine does, only reads, and answers in time."""

import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from generated_studies import REFERENCE, WITHOUT_LIFE_TABLE, line
from hypothesis import HealthCheck, given, settings
from postgres import postgres
from warehouse_table import arrow_table, table_cases, ties

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.storage.warehouse import Warehouse
from upcare_mpc.storage.warehouse_query import count_query
from upcare_mpc.storage.warehouse_variables import STORED
from upcare_mpc.study import language
from upcare_mpc.study.expression import Comparison, Field, Integer, Text, Truth
from upcare_mpc.study.layout import Layout, Measure, Measures
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

CASES = table_cases()
ROOT = Path(__file__).parents[2]
PASSWORD = "correct-horse-battery"
EVERYBODY = Measures(
    where=language.parse("true", place=""),
    tables=(Measure((language.parse("age // 10", place="", want="integer"),)),),
)
AGES = line(13, EVERYBODY)


class Server:
    """A database with the registry's table, and a user who may read it and no more."""

    def __init__(self, admin: str, folder: Path) -> None:
        self.admin = admin
        self.url = admin.replace("admin@", f"node:{PASSWORD}@")
        self._log = folder / "log"

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.admin) as connection:
            for statement in statements:
                connection.execute(statement)

    def statements(self) -> list[str]:
        """What was sent so far."""
        text = self._log.read_text("utf-8")
        return re.findall(r"LOG:  (?:statement|execute [^:]*): (\S.*(?:\n\t.*)*)", text)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    other_types = {
        "diagnosis_month": "integer",
        "sex": "varchar",
        "vital_status": "char(8)",
        "recurrence_days": "integer",
    }
    plain = {"int64": "bigint", "string": "text"}
    columns = ", ".join(
        f'"{name}" {other_types.get(name, plain[type_])}' for name, type_ in STORED.items()
    )
    with postgres() as (admin, folder):
        server = Server(admin, folder)
        server.run("CREATE SCHEMA registry", f"CREATE TABLE registry.cases ({columns})")
        with (
            psycopg.connect(admin) as connection,
            connection.cursor().copy("COPY registry.cases FROM STDIN") as copy,
        ):
            for row in zip(*arrow_table(CASES).to_pydict().values(), strict=True):
                copy.write_row(row)
        server.run(
            f"CREATE ROLE node LOGIN PASSWORD '{PASSWORD}'",
            "GRANT USAGE ON SCHEMA registry TO node",
            "GRANT SELECT ON registry.cases TO node",
        )
        yield server


@pytest.fixture
def warehouse(server: Server) -> Warehouse:
    return Warehouse(server.url, "registry.cases")


@pytest.mark.slow
@settings(
    max_examples=50,
    deadline=None,  # no timed tests
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(question=WITHOUT_LIFE_TABLE)
def test_generated_measures_give_the_vector_of_the_rows_engine(
    warehouse: Warehouse, question: tuple[Measures, Layout]
) -> None:
    """In a database that sorts text as a German dictionary does."""
    expected = tabulate(*question, CASES, REFERENCE)

    assert warehouse.tabulate(*question, REFERENCE).tolist() == expected.tolist()


def test_rows_alike_in_what_names_them_are_ordered_by_all_that_they_say(server: Server) -> None:
    """One more row moves no others, though the server then sorts in another order."""
    columns = ", ".join(
        f'"{name}" {"bigint" if type_ == "int64" else "text"}' for name, type_ in STORED.items()
    )
    rows = ties()
    random.Random(1).shuffle(rows)
    server.run(f"CREATE TABLE registry.ties ({columns})")
    server.run("GRANT SELECT ON registry.ties TO node")
    with (
        psycopg.connect(server.admin) as connection,
        connection.cursor().copy("COPY registry.ties FROM STDIN") as copy,
    ):
        for row in zip(*arrow_table(rows).to_pydict().values(), strict=True):
            copy.write_row(row)
    axis = language.parse("choose when sex = female then 0 else 1 end", place="", want="integer")
    measures = Measures(where=Truth(value=True), tables=(Measure((axis,)),))
    layout = line(2, measures)
    first, second = tabulate(measures, layout, rows).tolist()
    opened = Warehouse(server.url, "registry.ties")

    for more, patient in enumerate(("", "A", "p", "zz")):
        if more:
            new = "INSERT INTO registry.ties (patient, tumour, sequence, sex)"
            server.run(f"{new} VALUES ('{patient}', '1', 1, 'male')")
        assert opened.tabulate(measures, layout).tolist() == [first, second + more]
    opened.close()


def test_text_is_compared_by_code_point(warehouse: Warehouse) -> None:
    """Of columns, and of what follows from them: a German dictionary has ``other`` before ``Z``."""
    for name, code in (("topography", "c"), ("site_group", "Z"), ("age_group", "5+")):
        where = Comparison("<", Field(name), Text(code))
        measures = replace(EVERYBODY, where=where, per_patient=20)
        layout = line(13, measures)

        expected = tabulate(measures, layout, CASES).tolist()

        assert warehouse.tabulate(measures, layout).tolist() == expected


def test_a_whole_study_gives_the_vector_of_the_rows_engine(warehouse: Warehouse) -> None:
    text = (ROOT / "parties" / "study.toml").read_text("utf-8")
    kind = work_out(
        parse(text.replace("1984 and 1991", "1900 and 2100"), name=""), network_overlap=1
    ).kind

    counted = warehouse.tabulate(kind.measures(), kind.layout())

    assert counted.tolist() == tabulate(kind.measures(), kind.layout(), CASES).tolist()


def test_all_rows_of_the_table_count_as_tumours(warehouse: Warehouse) -> None:
    """``cases_at_most`` bounds what is run through, not what is well formed."""
    assert warehouse.tumours() == len(CASES)


def test_a_count_is_one_query_in_a_transaction_that_reads(
    server: Server, warehouse: Warehouse
) -> None:
    before = len(server.statements())

    warehouse.tabulate(EVERYBODY, AGES)

    begin, *local, query, end = server.statements()[before:]
    assert begin == "BEGIN READ ONLY"
    assert all(statement.startswith("SET LOCAL ") for statement in local)
    assert query.startswith("WITH cases AS (SELECT ")
    assert end == "COMMIT"


def test_only_the_table_of_cells_leaves_the_database(server: Server) -> None:
    """The last steps of the plan add up: its rows are cells."""
    warehouse = Warehouse(server.url, "registry.cases")
    query = count_query(EVERYBODY, AGES, dialect="postgres", source=warehouse._source)
    with psycopg.connect(server.url) as connection:
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}").fetchone()

    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Node Type"] == "Aggregate"
    assert 0 < plan["Actual Rows"] <= AGES.cells


def test_a_view_that_would_write_is_refused(server: Server) -> None:
    """Even a function with the rights of its owner writes nothing."""
    server.run(
        "CREATE TABLE registry.seen (patient text)",
        "CREATE FUNCTION registry.note(p text) RETURNS text LANGUAGE sql SECURITY DEFINER VOLATILE "
        "AS 'INSERT INTO registry.seen VALUES (p) RETURNING patient'",
        _view("nosy", patient="registry.note(patient)"),
        "GRANT SELECT ON registry.nosy TO node",
    )
    warehouse = Warehouse(server.url, "registry.nosy")

    with pytest.raises(DataError, match=r"^warehouse: the table cannot be counted$"):
        warehouse.tabulate(EVERYBODY, AGES)
    with psycopg.connect(server.admin) as connection:
        assert connection.execute("SELECT count(*) FROM registry.seen").fetchone() == (0,)


def test_a_query_that_takes_too_long_is_ended_by_the_server(server: Server) -> None:
    server.run(
        _view("slow", patient="patient || pg_sleep(1)::text"),
        "GRANT SELECT ON registry.slow TO node",
    )
    warehouse = Warehouse(server.url, "registry.slow", seconds=0.5)

    with pytest.raises(DataError, match=r"^warehouse: no answer within 0\.5 s$"):
        warehouse.tabulate(EVERYBODY, AGES)


def test_a_server_that_falls_silent_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped in the middle of a query, so that it does not end the query itself."""
    monkeypatch.setattr("upcare_mpc.storage.warehouse_postgres._GRACE_S", 0.2)
    server.run(
        _view("sleepy", patient="patient || pg_sleep(30)::text"),
        "GRANT SELECT ON registry.sleepy TO node",
    )
    warehouse = Warehouse(server.url, "registry.sleepy", seconds=2)
    raised: list[BaseException] = []

    def count() -> None:
        try:
            warehouse.tabulate(EVERYBODY, AGES)
        except DataError as error:
            raised.append(error)

    waiting = threading.Thread(target=count, daemon=True)
    waiting.start()
    process = _process_of(server)
    os.kill(process, signal.SIGSTOP)
    try:
        waiting.join(60)
    finally:
        os.kill(process, signal.SIGCONT)
        os.kill(process, signal.SIGTERM)

    assert [str(error) for error in raised] == ["warehouse: no answer within 2 s"]


def test_threads_count_at_once(warehouse: Warehouse) -> None:
    expected = tabulate(EVERYBODY, AGES, CASES).tolist()
    seen: list[list[int]] = []

    def count() -> None:
        for _ in range(3):
            seen.append(warehouse.tabulate(EVERYBODY, AGES).tolist())  # noqa: PERF401

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert seen == [expected] * 9


def test_an_empty_table_counts_nothing(server: Server) -> None:
    server.run(_view("nobody", where="false"), "GRANT SELECT ON registry.nobody TO node")

    counted = Warehouse(server.url, "registry.nobody").tabulate(EVERYBODY, AGES)

    assert counted.tolist() == [0] * AGES.cells


def test_a_study_that_reads_no_column_counts_patients(warehouse: Warehouse) -> None:
    measures = replace(EVERYBODY, tables=(Measure((Integer(0),)),))
    one = line(1, measures)

    assert warehouse.tabulate(measures, one).tolist() == tabulate(measures, one, CASES).tolist()


@pytest.mark.parametrize(
    ("view", "changed", "text"),
    [
        ("short", {"age": None, "cause": None}, "warehouse: the table has no column age, cause"),
        ("wrong", {"age": "age::text"}, "warehouse: column age: wanted whole numbers, got text"),
        ("half", {"age": "age / 2.0"}, "warehouse: column age: wanted whole numbers, got numeric"),
        ("dated", {"stage": "now()"}, "warehouse: column stage: wanted text, got timestamptz"),
        ("coded", {"stage": "1"}, "warehouse: column stage: wanted text, got whole numbers"),
    ],
)
def test_a_table_of_another_shape_is_refused_when_it_is_opened(
    server: Server, view: str, changed: dict[str, str | None], text: str
) -> None:
    server.run(_view(view, **changed), f"GRANT SELECT ON registry.{view} TO node")

    with pytest.raises(DataError) as caught:
        Warehouse(server.url, f"registry.{view}")

    assert str(caught.value) == text


@pytest.mark.parametrize("table", ["registry.absent", "absent.cases", "registry.hidden"])
def test_a_table_that_the_user_cannot_read_is_named(server: Server, table: str) -> None:
    server.run("CREATE OR REPLACE VIEW registry.hidden AS SELECT 1 AS age")

    with pytest.raises(DataError, match=f"^warehouse: no table {table} that its user may read$"):
        Warehouse(server.url, table)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://u:{}@h/d", "wanted a URL that starts with"),
        ("postgresql://u:{}@h:port/d", "cannot be reached|wanted a URL like"),
        ("postgresql://u:{}@h/d?colour=red", "wanted a URL like"),
        ("postgresql://u:{}@127.0.0.1:1/d", "cannot be reached"),
        ("postgresql://u:{}@/d?host=/nowhere", "cannot be reached"),
    ],
)
def test_an_error_is_one_line_without_the_password(url: str, text: str) -> None:
    with pytest.raises((ConfigError, DataError), match=text) as caught:
        Warehouse(url.format(PASSWORD), "cases")

    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_warehouse_does_not_show_its_password(warehouse: Warehouse) -> None:
    assert PASSWORD not in repr(warehouse)


@pytest.mark.parametrize("table", ["", "cases; DROP TABLE x", 'ca"ses', "a.b.c.d", "1"])
def test_a_name_that_is_not_one_is_refused(table: str) -> None:
    with pytest.raises(ConfigError, match="wanted a table like"):
        Warehouse("postgresql://h/d", table)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "upcare_mpc.storage.warehouse_postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigError, match=r"pip install 'upcare-mpc\[postgres\]'"):
        Warehouse("postgresql://h/d", "cases")


def _view(name: str, *, where: str = "true", **changed: str | None) -> str:
    """A view of the table with some columns changed, or left out."""
    columns = {column: f'"{column}"' for column in STORED} | changed
    listed = ", ".join(f'{text} AS "{column}"' for column, text in columns.items() if text)
    return f"CREATE VIEW registry.{name} AS SELECT {listed} FROM registry.cases WHERE {where}"


def _process_of(server: Server) -> int:
    """The process of the server that sleeps for the node."""
    query = "SELECT pid FROM pg_stat_activity WHERE usename = 'node' AND wait_event = 'PgSleep'"
    end = time.monotonic() + 30
    with psycopg.connect(server.admin, autocommit=True) as connection:
        while time.monotonic() < end:
            if found := connection.execute(query).fetchone():
                return int(found[0])
            time.sleep(0.02)
    pytest.fail("the query did not start")
