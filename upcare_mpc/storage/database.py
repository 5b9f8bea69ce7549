"""One SQLite file, opened so that what was committed survives a crash and nobody wins a race.

Write-ahead logging with ``synchronous=FULL``: a commit that returned is on disk. Every writing
transaction begins with ``BEGIN IMMEDIATE``, so that it reads what it decides on under the same
lock under which it writes. Works for several threads and processes on one machine, not on a
network file system.

Limits: SQLite only, so far; another database needs its own answer to ``BEGIN IMMEDIATE``.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteError
from typing import Self

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from upcare_mpc.errors import ConfigError
from upcare_mpc.storage.schema import Schema

__all__ = ["Database"]

_LOCK_TIMEOUT_S = 10.0
_READ_ONLY = "upcare_read_only"

_header_tables = MetaData()
_HEADER = Table(
    "upcare_schema",
    _header_tables,
    Column("owner", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)


class Database:
    """A database of one schema; give it to the stores, close it at the end."""

    def __init__(
        self, url: str, schema: Schema, *, lock_timeout_s: float = _LOCK_TIMEOUT_S
    ) -> None:
        """Open the database at ``url``, or make it if there is none.

        Args:
            url: ``sqlite:///FILE``.
            schema: The tables wanted.
            lock_timeout_s: How long to wait for another process that is writing.

        Raises:
            ConfigError: It cannot be opened, or belongs to something else.
        """
        self._schema = schema
        self._lock_timeout_s = lock_timeout_s
        self._engine = _engine(_sqlite_url(url, schema), lock_timeout_s)
        try:
            with self.write() as connection:
                self._check_or_create(connection)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run one transaction that holds the write lock from its start; commit at the end."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state, without waiting for writers."""
        with self._translated(), self._engine.connect() as connection:
            yield connection.execution_options(**{_READ_ONLY: True})

    def _check_or_create(self, connection: Connection) -> None:
        owner, version = self._schema.owner, self._schema.version
        names = inspect(connection).get_table_names()
        if not names:
            _header_tables.create_all(connection)
            self._schema.tables.create_all(connection)
            connection.execute(_HEADER.insert().values(owner=owner, version=version))
            return
        if _HEADER.name not in names:
            raise ConfigError(f"the {owner}'s database: this is a database of something else")
        header = connection.execute(select(_HEADER)).one()
        if header.owner != owner:
            raise ConfigError(
                f"the {owner}'s database: wanted that of a {owner}, got that of a {header.owner}"
            )
        if header.version != version:
            age = "newer" if header.version > version else "older"
            raise ConfigError(
                f"the {owner}'s database has schema version {header.version}, {age} than "
                f"version {version} of this program; use the program that wrote it"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's errors into one clear line without a path."""
        owner = self._schema.owner
        try:
            yield
        except OperationalError as error:
            text = str(error.orig)
            if "locked" in text or "busy" in text:
                raise ConfigError(
                    f"the {owner}'s database has been locked by another program for "
                    f"{self._lock_timeout_s:g} s; is a second {owner} running on it?"
                ) from error
            raise ConfigError(f"the {owner}'s database cannot be used: {text}") from error
        except DatabaseError as error:
            if "not a database" in str(error.orig) or "malformed" in str(error.orig):
                raise ConfigError(
                    f"the {owner}'s database is damaged or is not a database; "
                    "restore it from a backup"
                ) from error
            raise


def _sqlite_url(url: str, schema: Schema) -> URL:
    """Parse the URL and make the file, readable by its owner alone, if it is not there."""
    wanted = f"the {schema.owner}'s database: wanted sqlite:///FILE"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(f"{wanted}, got something that is not a URL") from None
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise ConfigError(f"{wanted}, got a {parsed.get_backend_name()} URL without one")
    try:
        Path(str(parsed.database)).touch(mode=0o600)
    except OSError as error:
        raise ConfigError(f"{wanted}, but it cannot be opened: {error.strerror}") from None
    return parsed


def _engine(url: URL, lock_timeout_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": lock_timeout_s})

    @event.listens_for(engine, "connect")
    def _configure(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _write_ahead(connection, lock_timeout_s)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: SqliteConnection, timeout_s: float) -> None:
    """Switch to write-ahead logging.

    SQLite does not wait for its lock here: two processes that open a new database at once can
    meet, and the second is told "locked" at once. So it is tried again until the usual time is up.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except SqliteError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
