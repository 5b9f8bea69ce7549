"""The platform's memory of collections, and the deposits themselves.

    dealing ──open──> open ──close──> closed
       └────────────────┴───────────────┴──end──> over

    state/deposits/<collection>/<place>      one file a deposit; as the submitter sent it

A deposit is on the disk before its receipt exists. Deposits have places in the order in which they
came; none is changed, and none comes after ``close``. When a collection is over its files go; the
digests and receipts stay.

The platform cannot read a deposit. Public: who deposited, and when.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final

from sqlalchemy import Connection, RowMapping, func, select

from upcare_mpc.deposits.collection import MAX_DEPOSITS, Collection
from upcare_mpc.deposits.findings import list_digest
from upcare_mpc.errors import DataError, RefusedError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.durable import flush
from upcare_mpc.storage.schema import COLLECTIONS, DEPOSITS, STUDIES

__all__ = ["CollectionRow", "Deposits"]

_LISTED: Final = 1000
_LISTED_BYTES: Final = 8 << 20
_FRESH: Final = ".new"
_LIVE: Final = ("dealing", "open", "closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRow:
    """A collection, and how far it is.

    Attributes:
        collection: What is collected.
        question: For which question; a study's key in ``storage.studies``.
        state: ``dealing``, ``open``, ``closed`` or ``over``.
        attempts: Sessions that were proposed on its deposits.
    """

    collection: Collection
    question: bytes
    state: str
    attempts: int

    def takes_deposits(self, now: float) -> bool:
        """Whether a deposit may come now."""
        return self.state == "open" and now < self.collection.closes


class Deposits:
    """Collections and deposits of a platform; any thread.

    Args:
        database: The coordinator's.
        folder: Of the files.
        room: Bytes for the files of all collections.
    """

    def __init__(self, database: Database, folder: Path, *, room: int) -> None:
        self._database = database
        self._folder = folder
        self._room = room
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        live = {row.collection.digest.hex() for row in self.live()}
        for path in folder.iterdir():  # what an earlier process left
            if path.name not in live:
                shutil.rmtree(path)
                continue
            for fresh in path.glob(f"*{_FRESH}"):
                fresh.unlink()

    # -- collections ----------------------------------------------------------------------------

    def begin(self, collection: Collection, question: bytes) -> None:
        """Enter a collection whose key is going to be dealt."""
        path = self._folder / collection.digest.hex()
        path.mkdir(mode=0o700)
        flush(self._folder)
        with self._database.write() as connection:
            last = connection.execute(select(func.max(COLLECTIONS.c.number))).scalar_one()
            connection.execute(
                COLLECTIONS.insert().values(
                    collection=collection.digest,
                    question=question,
                    number=int(last or 0) + 1,
                    canonical=collection.canonical(),
                    state="dealing",
                    attempts=0,
                )
            )

    def open(self, collection: bytes) -> None:
        """Take deposits from now on."""
        with self._database.write() as connection:
            _move(connection, collection, "open", source="dealing")

    def close(self, collection: bytes) -> None:
        """Take none any more; may be repeated."""
        with self._database.write() as connection:
            if _known(connection, collection).state != "closed":
                _move(connection, collection, "closed", source="open")

    def count_attempt(self, collection: bytes) -> None:
        """Note that a session is proposed on the deposits."""
        with self._database.write() as connection:
            connection.execute(
                COLLECTIONS.update()
                .where(COLLECTIONS.c.collection == collection)
                .values(attempts=COLLECTIONS.c.attempts + 1)
            )

    def end(self, collection: bytes) -> None:
        """Let the deposits go; may be repeated."""
        with self._database.write() as connection:
            connection.execute(
                COLLECTIONS.update()
                .where(COLLECTIONS.c.collection == collection)
                .values(state="over")
            )
        shutil.rmtree(self._folder / collection.hex(), ignore_errors=True)  # or at the next start

    def get(self, collection: bytes) -> CollectionRow | None:
        """Return a collection, if there is one of this digest."""
        with self._database.read() as connection:
            return _find(connection, collection)

    def of_question(self, question: bytes) -> CollectionRow | None:
        """Return the collection of a question that is not over."""
        return next((row for row in self.live() if row.question == question), None)

    def live(self) -> tuple[CollectionRow, ...]:
        """Return all that are not over, oldest first."""
        return self._rows(COLLECTIONS.c.state.in_(_LIVE))

    def over(self) -> tuple[CollectionRow, ...]:
        """Return all that are over, oldest first."""
        return self._rows(COLLECTIONS.c.state == "over")

    def _rows(self, which: object) -> tuple[CollectionRow, ...]:
        query = select(COLLECTIONS).where(which).order_by(COLLECTIONS.c.number)  # type: ignore[arg-type]
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(query).mappings())

    def listed(self, *, now: float) -> list[tuple[bytes, bytes]]:
        """Return canonical collection and study of those that take deposits, the newest first.

        At most 1,000, and not more than a message holds.
        """
        query = (
            select(COLLECTIONS, STUDIES.c.canonical.label("study"))
            .join(STUDIES, STUDIES.c.digest == COLLECTIONS.c.question)
            .where(COLLECTIONS.c.state == "open")
            .order_by(COLLECTIONS.c.number.desc())
        )
        found: list[tuple[bytes, bytes]] = []
        left = _LISTED_BYTES
        with self._database.read() as connection:
            for row in connection.execute(query).mappings():
                if not _row(row).takes_deposits(now):
                    continue
                left -= len(row["canonical"]) + len(row["study"])
                if left < 0 or len(found) == _LISTED:
                    break
                found.append((row["canonical"], row["study"]))
        return found

    # -- deposits -------------------------------------------------------------------------------

    @contextmanager
    def arriving(self, collection: bytes) -> Iterator[IO[bytes]]:
        """Give a file for a deposit that is arriving; it goes unless ``keep`` takes it.

        Raises:
            DataError: The disk fails.
        """
        try:
            with NamedTemporaryFile(
                dir=self._folder / collection.hex(), suffix=_FRESH, delete=False
            ) as file:
                try:
                    yield file
                finally:
                    Path(file.name).unlink(missing_ok=True)
        except OSError:  # its text holds a path
            raise DataError("the platform's disk does not take the deposit") from None

    def keep(
        self,
        collection: bytes,
        file: IO[bytes],
        *,
        role: str,
        submitter: bytes,
        digest: bytes,
        now: float,
        receipt: Callable[[int], bytes],
    ) -> bytes:
        """Keep a deposit for good and return its receipt.

        Args:
            collection: Which.
            file: From ``arriving``, with all of the deposit in it.
            role: Of the submitter.
            submitter: Who deposits; once a collection.
            digest: Of the deposit.
            now: Seconds since 1970, UTC.
            receipt: Makes the receipt for a place.

        Returns:
            The receipt; for a deposit that is there already, the one that was given then.

        Raises:
            RefusedError: The submitter has deposited something else, or the collection takes no
                deposits, or there is no room.
            DataError: The disk fails.
        """
        try:
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
            with self._database.write() as connection:
                known = _deposit_of(connection, collection, role, submitter)
                if known is not None:
                    if known["digest"] != digest:
                        raise RefusedError("this submitter has deposited already, something else")
                    return bytes(known["receipt"])
                place = self._next_place(connection, collection, size, now)
                signed = receipt(place)
                connection.execute(
                    DEPOSITS.insert().values(
                        collection=collection,
                        place=place,
                        role=role,
                        submitter=submitter,
                        digest=digest,
                        bytes=size,
                        receipt=signed,
                    )
                )
                path = self._file(collection, place)
                Path(file.name).replace(path)
                flush(path.parent)
        except OSError:  # its text holds a path
            raise DataError("the platform's disk does not take the deposit") from None
        return signed

    def digests(self, collection: bytes) -> list[bytes]:
        """Return the digests of all deposits, in order."""
        query = select(DEPOSITS.c.digest).where(DEPOSITS.c.collection == collection)
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(DEPOSITS.c.place)).scalars())

    def listing(self, collection: bytes) -> tuple[int, bytes]:
        """Return how many deposits there are, and the digest of their list."""
        digests = self.digests(collection)
        return len(digests), list_digest(collection, digests)

    def read(self, collection: bytes, place: int) -> bytes:
        """Return a deposit.

        Raises:
            DataError: The disk does not give it.
        """
        try:
            return self._file(collection, place).read_bytes()
        except OSError:  # its text holds a path
            raise DataError("the platform has lost a deposit") from None

    def _next_place(self, connection: Connection, collection: bytes, size: int, now: float) -> int:
        row = _known(connection, collection)
        if not row.takes_deposits(now):
            raise RefusedError("this collection is closed")
        mine = DEPOSITS.c.collection == collection
        place = int(
            connection.execute(select(func.count()).select_from(DEPOSITS).where(mine)).scalar_one()
        )
        if place >= MAX_DEPOSITS:
            raise RefusedError(f"this collection has {MAX_DEPOSITS} deposits, and takes no more")
        stored = (
            select(func.sum(DEPOSITS.c.bytes))
            .join(COLLECTIONS, COLLECTIONS.c.collection == DEPOSITS.c.collection)
            .where(COLLECTIONS.c.state.in_(_LIVE))
        )
        if int(connection.execute(stored).scalar_one() or 0) + size > self._room:
            raise RefusedError("the platform has no room for another deposit")
        return place

    def _file(self, collection: bytes, place: int) -> Path:
        return self._folder / collection.hex() / str(place)


def _deposit_of(
    connection: Connection, collection: bytes, role: str, submitter: bytes
) -> RowMapping | None:
    query = select(DEPOSITS).where(
        DEPOSITS.c.collection == collection,
        DEPOSITS.c.role == role,
        DEPOSITS.c.submitter == submitter,
    )
    return connection.execute(query).mappings().one_or_none()


def _move(connection: Connection, collection: bytes, state: str, *, source: str) -> None:
    changed = connection.execute(
        COLLECTIONS.update()
        .where(COLLECTIONS.c.collection == collection, COLLECTIONS.c.state == source)
        .values(state=state)
    )
    if changed.rowcount != 1:
        raise RefusedError(f"to become {state} a collection must be {source}")


def _find(connection: Connection, collection: bytes) -> CollectionRow | None:
    query = select(COLLECTIONS).where(COLLECTIONS.c.collection == collection)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _row(row)


def _known(connection: Connection, collection: bytes) -> CollectionRow:
    row = _find(connection, collection)
    if row is None:
        raise RefusedError("there is no such collection here")
    return row


def _row(row: RowMapping) -> CollectionRow:
    return CollectionRow(
        collection=Collection.from_canonical(row["canonical"]),
        question=row["question"],
        state=row["state"],
        attempts=row["attempts"],
    )
