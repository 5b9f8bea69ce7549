"""Which patient has which ticket, and what she has deposited with it on the registry's page.

    given ──keep──> kept: on its way ──deliver──> delivered: there is a receipt
                                     ──drop────> dropped: the platform does not take it any more

One ticket a patient and collection, for ever, and one deposit a ticket. What is kept is encrypted
and signed by the patient: this registry can neither read nor change it. It is stored before it is
sent, so nothing that fails afterwards asks anything more of her.

A ticket is one entry ``deposit.ticket`` of the journal: the collection, and SHA-256 of the ticket,
which names nobody. Secret: every row, as it says whose it is.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, select
from sqlalchemy.exc import IntegrityError

from upcare_mpc.errors import RefusedError
from upcare_mpc.journal import Event, utc_text
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import TICKETS

__all__ = ["GivenTicket", "TicketState", "Tickets"]


class TicketState(StrEnum):
    """How far a deposit has come."""

    GIVEN = "given"
    KEPT = "kept"
    DELIVERED = "delivered"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTicket:
    """A ticket of one patient. Secret.

    Attributes:
        collection: Digest of the collection that it is for.
        patient: Pseudonym.
        key: Her public key, 65 bytes.
        ticket: Encoded.
        certificate: The registry's, PEM, as it was when the ticket was signed.
        study: Canonical.
        given: When, UTC.
        state: How far it is.
        receipt: The platform's, encoded, once delivered.
    """

    collection: bytes
    patient: bytes
    key: bytes
    ticket: bytes
    certificate: bytes
    study: bytes
    given: datetime
    state: TicketState = TicketState.GIVEN
    receipt: bytes | None = None


_FIELDS: Final = tuple(GivenTicket.__dataclass_fields__)
_COLUMNS: Final = [TICKETS.c[name] for name in _FIELDS]  # without the deposit, which is large


class Tickets:
    """The tickets that one registry has given; safe for several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._journal = SqlJournal(database)

    def give(self, fresh: GivenTicket) -> GivenTicket:
        """Give a patient a ticket, or return the one that she has, for whatever key.

        Raises:
            RefusedError: Another patient has one for this key.
        """
        event = Event(
            kind="deposit.ticket",
            body={
                "collection": fresh.collection.hex(),
                "ticket": hashlib.sha256(fresh.ticket).hexdigest(),
            },
        )

        def beside(connection: Connection) -> None:
            row = {name: getattr(fresh, name) for name in _FIELDS}
            row |= {"given": utc_text(fresh.given), "state": fresh.state.value}
            connection.execute(TICKETS.insert().values(row))

        there = self.get(fresh.collection, fresh.patient)
        if there is not None:
            return there
        try:
            self._journal.record(lambda _: event, time=fresh.given, beside=beside)
        except IntegrityError:  # another process was quicker
            there = self.get(fresh.collection, fresh.patient)
            if there is None:
                raise RefusedError("this key has a ticket of another patient") from None
            return there
        return fresh

    def get(self, collection: bytes, patient: bytes) -> GivenTicket | None:
        """Return a patient's ticket for a collection."""
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(_one(collection, patient)))
            found = row.mappings().one_or_none()
        return None if found is None else _read(found)

    def of(self, patient: bytes) -> tuple[GivenTicket, ...]:
        """Return a patient's tickets, the newest first."""
        own = select(*_COLUMNS).where(TICKETS.c.patient == patient)
        with self._database.read() as connection:
            rows = connection.execute(own.order_by(TICKETS.c.given.desc())).mappings().all()
        return tuple(map(_read, rows))

    def keep(self, collection: bytes, patient: bytes, deposit: bytes) -> bool:
        """Keep a patient's deposit until it is delivered; the first one that comes.

        Returns:
            Whether it is kept now; if not, one was kept before, and this one is forgotten.
        """
        return self._move(
            _one(collection, patient), TicketState.GIVEN, state=TicketState.KEPT, deposit=deposit
        )

    def kept(self) -> Iterator[tuple[GivenTicket, bytes]]:
        """Go through what is to be delivered, one in memory at a time."""
        waiting = select(TICKETS.c.collection, TICKETS.c.patient).where(
            TICKETS.c.state == TicketState.KEPT.value
        )
        with self._database.read() as connection:
            places = connection.execute(waiting.order_by(TICKETS.c.given)).all()
        for collection, patient in places:
            with self._database.read() as connection:
                one = select(TICKETS).where(_one(collection, patient))
                row = connection.execute(one).mappings().one()
            if row["deposit"] is not None:
                yield _read(row), bytes(row["deposit"])

    def deliver(self, collection: bytes, patient: bytes, receipt: bytes) -> None:
        """Note the platform's receipt, and forget the deposit."""
        one = _one(collection, patient)
        self._move(
            one, TicketState.KEPT, state=TicketState.DELIVERED, deposit=None, receipt=receipt
        )

    def drop(self, collection: bytes, patient: bytes) -> None:
        """Forget a deposit that the platform does not take any more."""
        one = _one(collection, patient)
        self._move(one, TicketState.KEPT, state=TicketState.DROPPED, deposit=None)

    def _move(self, one: ColumnElement[bool], before: TicketState, **values: object) -> bool:
        change = TICKETS.update().where(one, TICKETS.c.state == before.value).values(**values)
        with self._database.write() as connection:
            return connection.execute(change).rowcount == 1


def _one(collection: bytes, patient: bytes) -> ColumnElement[bool]:
    return (TICKETS.c.collection == collection) & (TICKETS.c.patient == patient)


def _read(row: RowMapping) -> GivenTicket:
    values = {name: row[name] for name in _FIELDS}
    values |= {
        "given": datetime.fromisoformat(row["given"]),
        "state": TicketState(row["state"]),
    }
    return GivenTicket(**values)
