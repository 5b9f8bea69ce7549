"""The journal in a database: appended to by one writer at a time, verified whenever it is read."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select

from upcare_mpc.errors import PrivacyError
from upcare_mpc.journal import GENESIS, Entry, Event, Head, append, verify
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import JOURNAL

__all__ = ["SqlJournal"]


class SqlJournal:
    """Implements ``journal.JournalStore``; safe for several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self) -> tuple[Entry, ...]:
        """Return the whole chain.

        Raises:
            PrivacyError: It was altered.
        """
        with self._database.read() as connection:
            return _entries(connection)

    def append(self, entry: Entry) -> None:
        """Store ``entry`` if the chain still ends where the entry expects.

        Raises:
            PrivacyError: Somebody else appended first, or the entry is not well formed.
        """
        with self._database.write() as connection:
            head = _head(connection)
            if (entry.sequence - 1, entry.previous) != (head.sequence, head.digest):
                raise PrivacyError(
                    f"the journal has moved on: decided after entry {entry.sequence - 1}, "
                    f"it has {head.sequence} now; decide again"
                )
            verify([entry], start=head)
            _insert(connection, entry)

    def record(
        self,
        decide: Callable[[tuple[Entry, ...]], Event],
        *,
        time: datetime,
        beside: Callable[[Connection], None] = lambda _: None,
    ) -> Entry:
        """Read, decide and append under one lock; whatever is raised writes nothing.

        Args:
            decide: Takes the chain, and returns what to append.
            time: In UTC.
            beside: Called after ``decide``, to write other tables in the same transaction.

        Example: ``record(lambda e: Ledger.replay(caps, e).reserve(key, charge), time=now)``
        """
        with self._database.write() as connection:
            entries = _entries(connection)
            head = entries[-1].head if entries else GENESIS
            entry = append(head, decide(entries), time=time)
            beside(connection)
            _insert(connection, entry)
            return entry


def _entries(connection: Connection) -> tuple[Entry, ...]:
    rows = connection.execute(select(JOURNAL).order_by(JOURNAL.c.sequence)).mappings()
    entries = tuple(_entry(row) for row in rows)
    verify(entries)
    return entries


def _head(connection: Connection) -> Head:
    last = select(JOURNAL).order_by(JOURNAL.c.sequence.desc()).limit(1)
    row = connection.execute(last).mappings().one_or_none()
    return GENESIS if row is None else _entry(row).head


def _entry(row: RowMapping) -> Entry:
    return Entry(
        sequence=row["sequence"],
        time=row["time"],
        kind=row["kind"],
        body=row["body"],
        previous=row["previous"],
        digest=row["digest"],
    )


def _insert(connection: Connection, entry: Entry) -> None:
    connection.execute(
        JOURNAL.insert().values(
            sequence=entry.sequence,
            time=entry.time,
            kind=entry.kind,
            body=entry.body,
            previous=entry.previous,
            digest=entry.digest,
        )
    )
