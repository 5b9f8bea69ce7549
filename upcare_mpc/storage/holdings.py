"""Collections whose key a node holds a part of: one frozen set for each key, and then it goes.

    held ──pin──> held, frozen = set ──> erased
      └──────────────────────────────────┘

The set that a key was first pinned to is on disk before anything is done with it, and is never
another one. So whatever fails, restarts or races: no two sums are made under one key. A
collection that is erased is never held again.

The key's secrets lie in a file of their own, mode 600, which is overwritten and unlinked when the
collection is over; what a crash has left of it goes at the next start. What a disk or a file system
keeps of an unlinked file is not in our hands, and neither is a backup: whoever puts back database
and file of a node puts back a key that is not pinned. Such a node cannot convert anything alone;
the other holders know what theirs are pinned to.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, RowMapping, select

from upcare_mpc.errors import RefusedError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.durable import flush, replace_bytes
from upcare_mpc.storage.schema import HOLDINGS

__all__ = ["MAX_ATTEMPTS", "MAX_HELD", "HoldingRow", "Holdings"]

MAX_HELD: Final = 64
MAX_ATTEMPTS: Final = 3
"""Sessions on the deposits of one key, of which one at most succeeds."""

_HELD: Final = "held"
_ERASED: Final = "erased"
_HELD_ROWS: Final = select(HOLDINGS).where(HOLDINGS.c.state == _HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingRow:
    """One collection at this node.

    Attributes:
        collection: Digest.
        papers: What is public of it, packed; empty when it is erased.
        held: Whether its secrets are still there.
        frozen: Digest of the set it was pinned to; None before.
        session: Digest of the latest session on that set; None before.
    """

    collection: bytes
    papers: bytes
    held: bool
    frozen: bytes | None
    session: bytes | None


class Holdings:
    """The table of holdings of one node, and the files of their secrets.

    Args:
        database: Of the node.
        folder: Of the secrets; made if it is not there.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def add(self, collection: bytes, *, request: bytes, papers: bytes, secret: bytes) -> None:
        """Hold a key from now on; its secrets are on the disk before this returns.

        Args:
            collection: Digest.
            request: Digest of the researcher's request that it was dealt on.
            papers: What is public of it.
            secret: Its secrets.

        Raises:
            RefusedError: It was held before, or a key of this request was, or too many are.
        """
        with self._database.write() as connection:
            if _find(connection, collection) is not None:
                raise RefusedError("has held a key of this collection before")
            if _dealt_on(connection, request):
                raise RefusedError("has dealt a key on this request before")
            _check_room(connection)
            replace_bytes(self._file(collection), secret)
            connection.execute(
                HOLDINGS.insert().values(
                    collection=collection,
                    request=request,
                    papers=papers,
                    state=_HELD,
                    attempts=0,
                )
            )

    def dealt_on(self, request: bytes) -> bool:
        """Whether a key was dealt on the researcher's request with this digest."""
        with self._database.read() as connection:
            return _dealt_on(connection, request)

    def get(self, collection: bytes) -> HoldingRow | None:
        """Return what is known of a collection."""
        with self._database.read() as connection:
            row = _find(connection, collection)
        return None if row is None else _row(row)

    def held(self) -> tuple[HoldingRow, ...]:
        """Return those whose secrets are here."""
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(_HELD_ROWS).mappings())

    def check_room(self) -> None:
        """Ask whether one more can be held.

        Raises:
            RefusedError: It cannot.
        """
        with self._database.read() as connection:
            _check_room(connection)

    def clean(self) -> None:
        """Erase what a crash has left: files of nothing that is held, and rows without a file."""
        held = {row.collection for row in self.held()}
        known = {self._file(collection).name: collection for collection in held}
        for collection in held:
            if not self._file(collection).exists():
                self.erase(collection)
        for file in self._folder.iterdir():
            if file.name not in known:
                self._overwrite(file)

    def secret(self, collection: bytes) -> bytes:
        """Return the secrets of a key, for anything but converting. Secret."""
        return self._file(collection).read_bytes()

    def pin(self, collection: bytes, frozen: bytes, *, session: bytes) -> bytes:
        """Use a key for one set of deposits, once more.

        Args:
            collection: Digest.
            frozen: Digest of the set.
            session: Digest of the session that wants it.

        Returns:
            The secrets. Secret.

        Raises:
            RefusedError: The key is not held any more, belongs to another set, or has been used
                for too many sessions.
        """
        with self._database.write() as connection:
            row = _find(connection, collection)
            if row is None or row["state"] != _HELD:
                raise RefusedError("holds no key of this collection")
            if row["frozen"] not in (None, frozen):
                raise RefusedError("has used this collection's key for another set of deposits")
            if row["attempts"] >= MAX_ATTEMPTS:
                raise RefusedError(f"has used this collection's key {MAX_ATTEMPTS} times")
            connection.execute(
                HOLDINGS.update()
                .where(HOLDINGS.c.collection == collection)
                .values(frozen=frozen, session=session, attempts=row["attempts"] + 1)
            )
        return self._file(collection).read_bytes()

    def erase(self, collection: bytes) -> None:
        """Forget the secrets for ever; may be repeated, also for a collection never held."""
        with self._database.write() as connection:
            connection.execute(
                HOLDINGS.update()
                .where(HOLDINGS.c.collection == collection)
                .values(state=_ERASED, papers=b"")
            )
        if self._file(collection).exists():
            self._overwrite(self._file(collection))

    def _overwrite(self, file: Path) -> None:
        with file.open("r+b") as opened:
            opened.write(bytes(file.stat().st_size))
            opened.flush()
            os.fsync(opened.fileno())
        file.unlink()
        flush(self._folder)

    def _file(self, collection: bytes) -> Path:
        return self._folder / collection.hex()


def _check_room(connection: Connection) -> None:
    if len(connection.execute(_HELD_ROWS).all()) >= MAX_HELD:
        raise RefusedError(f"holds keys of {MAX_HELD} collections already")


def _find(connection: Connection, collection: bytes) -> RowMapping | None:
    wanted = select(HOLDINGS).where(HOLDINGS.c.collection == collection)
    return connection.execute(wanted).mappings().first()


def _dealt_on(connection: Connection, request: bytes) -> bool:
    wanted = select(HOLDINGS.c.collection).where(HOLDINGS.c.request == request)
    return connection.execute(wanted).first() is not None


def _row(row: RowMapping) -> HoldingRow:
    return HoldingRow(
        collection=row["collection"],
        papers=row["papers"],
        held=row["state"] == _HELD,
        frozen=row["frozen"],
        session=row["session"],
    )
