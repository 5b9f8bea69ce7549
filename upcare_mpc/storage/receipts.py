"""Receipts of what left the vault, for the patients whose records they were.

A receipt names no patient (``vault.receipts``); beside it here is the pseudonym, so that a patient
who asks is given her own. The receipts of one edition and the journal's entry ``vault.withdraw``,
which names their tokens, are written in one transaction: all of it or nothing. Every edition has
such an entry, with no tokens if nobody left: the length of a journal tells of no withdrawal.

Secret: whose a receipt is, and how many there are.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from upcare_mpc.journal import Event
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import RECEIPTS

__all__ = ["PatientReceipt", "Receipts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientReceipt:
    """A receipt and whose it is.

    Attributes:
        patient: Pseudonym, 16 bytes. Secret.
        token: As in the receipt.
        text: The receipt.
    """

    patient: bytes
    token: str
    text: str


class Receipts:
    """The receipts of one registry."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._journal = SqlJournal(database)

    def record(self, edition: int, given: Iterable[PatientReceipt], *, time: datetime) -> None:
        """Record all receipts of an edition, and journal them.

        Args:
            edition: The first one without these records.
            given: Those of all records that left; none is recorded yet.
            time: Now, UTC.
        """
        rows = [{"token": one.token, "patient": one.patient, "text": one.text} for one in given]
        event = Event(
            kind="vault.withdraw",
            body={"edition": edition, "tokens": sorted(str(row["token"]) for row in rows)},
        )

        def beside(connection: Connection) -> None:
            if rows:
                connection.execute(RECEIPTS.insert(), rows)

        self._journal.record(lambda _: event, time=time, beside=beside)

    def of(self, patient: bytes) -> tuple[str, ...]:
        """Return a patient's receipts, oldest first."""
        query = select(RECEIPTS.c.text).where(RECEIPTS.c.patient == patient)
        with self._database.read() as connection:
            texts = connection.execute(query).scalars().all()
        return tuple(sorted(texts, key=lambda text: int(json.loads(text)["edition"])))
