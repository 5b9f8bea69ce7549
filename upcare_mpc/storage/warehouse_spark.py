"""Spark as the engine of a warehouse: a Connect server, a standalone cluster, or this process.

Only queries that select are sent. Spark has no sessions that cannot write, so the account that the
node uses there should have no right to. A query that takes too long is interrupted. One session is
held from opening to closing, as starting one takes seconds. Where the tables are is said by Spark's
own configuration (``SPARK_CONF_DIR``).
"""

import secrets
import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, Final

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from upcare_mpc.errors import DataError

__all__ = ["Spark", "open_engine"]

_TYPES: Final = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "int64"),
    "string": "string",  # one with a collation is called otherwise
}
_START_S: Final = 120.0
_CONFIG: Final = {
    # It looks for what is common to all branches, again at each level of an expression: nested 28
    # deep, planning a query did not end.
    "spark.sql.subexpressionElimination.enabled": "false",
}
_LOCAL_CONFIG: Final = {
    "spark.ui.enabled": "false",  # a page that shows queries, to everyone who reaches its port
    "spark.ui.showConsoleProgress": "false",
}


class Spark:
    """One session."""

    dialect = "pyspark"

    def __init__(self, url: str, seconds: float) -> None:
        self._seconds = seconds
        self._session = _within(_START_S, lambda: _session(url))
        if self._session is None:
            raise DataError("warehouse: Spark cannot be reached or started")

    def close(self) -> None:
        """End the session."""
        self._session.stop()

    def types(self, table: str) -> Mapping[str, str]:
        """Return the columns of a table and their types."""
        columns = self._ask(lambda: self._session.table(table).schema.fields)
        if columns is None:
            raise DataError(f"warehouse: no table {table} that its user may read")
        named = {column.name: column.dataType.simpleString() for column in columns}
        return {name: _TYPES.get(type_, type_) for name, type_ in named.items()}

    def source(self, table: str, columns: Mapping[str, str]) -> str:
        """Return a query for some columns; Spark compares text by its bytes in UTF-8."""
        words = (
            f"CAST(`{name}` AS {'bigint' if type_ == 'int64' else 'string'}) AS `{name}`"
            for name, type_ in columns.items()
        )
        quoted = ".".join(f"`{part}`" for part in table.split("."))
        return f"SELECT {', '.join(words)} FROM {quoted}"  # noqa: S608  checked names

    def answer(self, query: str) -> list[tuple[int, ...]]:
        """Run one query that reads."""
        rows = self._ask(lambda: self._session.sql(query).collect())
        if rows is None:
            raise DataError("warehouse: the table cannot be counted")
        return [tuple(row) for row in rows]

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask under a name of its own, by which it is interrupted if it takes too long."""
        tag = f"upcare-{secrets.token_hex(8)}"

        def tagged() -> Any:
            self._session.addTag(tag)  # to what this thread asks
            return question()

        try:
            return _within(self._seconds, tagged)
        except DataError:
            self._session.interruptTag(tag)
            raise


def open_engine(url: str, seconds: float) -> Spark:
    """Start or reach the session of a URL."""
    return Spark(url, seconds)


def _session(url: str) -> Any:
    builder = SparkSession.builder.appName("upcare").config(map=_CONFIG)
    if url.startswith("sc://"):
        return builder.remote(url).getOrCreate()
    return builder.config(map=_LOCAL_CONFIG).master(url).getOrCreate()


def _within(seconds: float, question: Callable[[], Any]) -> Any:
    """Ask in a thread, which is left behind if it does not end.

    Jobs can be interrupted; what Spark does before its first job, or to reach a server, cannot.

    Returns:
        The answer; None if Spark raised an error, whose text may hold a host or a value.
    """
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(question())
        # An ImportError is of what only a remote Spark needs; an AttributeError, of a session that
        # has ended before its answer came.
        except (PySparkException, Py4JError, OSError, ImportError, AttributeError):
            answers.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        raise DataError(f"warehouse: no answer within {seconds:g} s") from None
