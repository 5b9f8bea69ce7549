"""PostgreSQL as the engine of a warehouse.

Each query is a connection of its own and a READ ONLY transaction: nothing is written, whatever
the user may do and whatever functions stand behind a view. No connection is held between queries,
so a restart of the database is not noticed. The server ends a query that takes too long; if it does
not, the connection is cut here.

What leaves: libpq takes the password from the URL or from its password file; no error text has it,
nor the host. Without ``sslmode=verify-full`` in the URL an adversary on the network may read the
table of cells.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import errors

from upcare_mpc.errors import ConfigError, DataError

__all__ = ["Postgres", "open_engine"]

_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_CONNECT_S: Final = 10
_GRACE_S: Final = 5.0  # for the server to say that time is up
_TYPES: Final = {
    **dict.fromkeys(("int2", "int4", "int8"), "int64"),
    **dict.fromkeys(("text", "varchar", "bpchar"), "string"),
}


class Postgres:
    """One database, as one user."""

    dialect = "postgres"

    def __init__(self, url: str, seconds: float) -> None:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:  # its text may hold a password
            raise ConfigError(
                "warehouse: wanted a URL like postgresql://user@host/database, got another one"
            ) from None
        self._url = url
        self._seconds = seconds

    def close(self) -> None:
        """Nothing is held."""

    def types(self, table: str) -> Mapping[str, str]:
        """Return the columns of a table and their types."""
        with self._reading() as connection:
            try:
                cursor = connection.execute(f"SELECT * FROM {_quoted(table)} LIMIT 0")  # noqa: S608  a checked name
            except (errors.UndefinedTable, errors.InvalidSchemaName, errors.InsufficientPrivilege):
                raise DataError(f"warehouse: no table {table} that its user may read") from None
            known = connection.adapters.types
            named = {
                column.name: known[column.type_code].name
                if known.get(column.type_code)
                else "a type of its own"
                for column in cursor.description or ()
            }
            return {name: _TYPES.get(type_, type_) for name, type_ in named.items()}

    def source(self, table: str, columns: Mapping[str, str]) -> str:
        """Return a query for some columns.

        ``COLLATE "C"`` compares by code point, in the databases whose encoding keeps their order;
        among them is UTF-8.
        """
        words = (
            f'CAST("{name}" AS bigint) AS "{name}"'
            if type_ == "int64"
            else f'CAST("{name}" AS text) COLLATE "C" AS "{name}"'
            for name, type_ in columns.items()
        )
        return f"SELECT {', '.join(words)} FROM {_quoted(table)}"  # noqa: S608  checked names

    def answer(self, query: str) -> list[tuple[int, ...]]:
        """Run one query that reads."""
        with self._reading() as connection:
            return connection.execute(query).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[_Connection]:
        """A connection that reads, and ends when its time is up."""
        try:
            connection = psycopg.connect(
                self._url, connect_timeout=_CONNECT_S, application_name="upcare"
            )
        except psycopg.Error:  # its text holds the host and the user
            raise DataError("warehouse: the database cannot be reached, or refuses us") from None
        late = threading.Event()
        clock = threading.Timer(self._seconds + _GRACE_S, _cut, (connection, late))
        clock.daemon = True
        clock.start()
        try:
            with connection:
                connection.read_only = True
                # A query over 35 groups is large: compiling it takes longer than running it.
                connection.execute("SET LOCAL jit = off")
                connection.execute(f"SET LOCAL statement_timeout = {int(self._seconds * 1000)}")
                yield connection
        except psycopg.Error as error:  # its text may hold a value
            if late.is_set() or isinstance(error, errors.QueryCanceled):
                raise DataError(f"warehouse: no answer within {self._seconds:g} s") from None
            raise DataError("warehouse: the table cannot be counted") from None
        finally:
            clock.cancel()


def open_engine(url: str, seconds: float) -> Postgres:
    """Return the database of a URL; it is reached for when it is asked."""
    return Postgres(url, seconds)


def _cut(connection: _Connection, late: threading.Event) -> None:
    """End a connection under the thread that waits on it."""
    late.set()
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))
