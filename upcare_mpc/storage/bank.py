"""Which segments of a node's noise banks may still be used: a mark on disk that only moves forward.

    begun ──confirm──> next = 0 ──burn──> next = first + count ──...──> next = segments
      └────────────────────┴──────────────────drop──────────────────────────────┘

A burn is on disk before it returns (``storage.database``: write-ahead log, ``synchronous=FULL``),
and only then may the caller touch the segments' keys. An epoch is begun once. The marks of an
earlier life of the process are forgotten at its start: an epoch holds the life of each process,
so none of those can be asked for again, and an unknown epoch is refused.
"""

from sqlalchemy import delete, select

from upcare_mpc.errors import RefusedError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import BANKS
from upcare_mpc.study.draw import Draw

__all__ = ["BankMarks"]


class BankMarks:
    """The table of marks of one node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget(self) -> None:
        """Forget all banks; at the start of the process, whose keys are new."""
        with self._database.write() as connection:
            connection.execute(delete(BANKS))

    def begin(self, epoch: bytes, segments: int) -> None:
        """Enter an epoch whose fill begins; nothing of it can be used yet.

        Raises:
            RefusedError: It was begun before.
        """
        with self._database.write() as connection:
            if connection.execute(select(BANKS).where(BANKS.c.epoch == epoch)).first() is not None:
                raise RefusedError("has begun this noise bank before; a fill is used once")
            connection.execute(BANKS.insert().values(epoch=epoch, segments=segments))

    def confirm(self, epoch: bytes) -> None:
        """All parties hold their shares: the whole bank may be used.

        Raises:
            RefusedError: It is not an epoch that was begun and neither confirmed nor dropped.
        """
        with self._database.write() as connection:
            begun = (BANKS.c.epoch == epoch) & BANKS.c.next.is_(None)
            if connection.execute(BANKS.update().where(begun).values(next=0)).rowcount != 1:
                raise RefusedError("has not begun this noise bank")

    def drop(self, epoch: bytes) -> None:
        """Burn all that is left of an epoch; may be repeated."""
        with self._database.write() as connection:
            every = BANKS.update().where(BANKS.c.epoch == epoch)
            connection.execute(every.values(next=BANKS.c.segments))

    def burn(self, draw: Draw) -> None:
        """Burn the segments of a draw, and all before them, for ever.

        Raises:
            RefusedError: One was burnt before, or they are not in the bank; nothing is burnt.
        """
        with self._database.write() as connection:
            row = connection.execute(select(BANKS).where(BANKS.c.epoch == draw.epoch)).first()
            if row is None or row.next is None:
                raise RefusedError("has no such noise bank")
            if draw.first < row.next:
                raise RefusedError("has used this noise before; a draw is used once")
            end = draw.first + draw.count
            if end > row.segments:
                raise RefusedError(
                    f"has a noise bank of {row.segments} segments, the draw ends at {end}"
                )
            connection.execute(BANKS.update().where(BANKS.c.epoch == draw.epoch).values(next=end))
