"""Which patient has which ticket: one a collection, for ever. Secret, all of it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from upcare_mpc.journal import utc_text
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import TICKETS

__all__ = ["GivenTicket", "Tickets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTicket:
    """A ticket of one patient.

    Attributes:
        collection: Digest of the collection that it is for.
        ticket: Encoded.
        given: ISO 8601, UTC.
    """

    collection: bytes
    ticket: bytes
    given: str


class Tickets:
    """The tickets that one registry has given; safe for several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, collection: bytes, patient: bytes, ticket: bytes, *, time: datetime) -> bytes:
        """Give a patient her ticket for a collection, or return the one that she has.

        Args:
            collection: Digest.
            patient: Pseudonym.
            ticket: Encoded; what she gets if she has none.
            time: Now, UTC.
        """
        own = (TICKETS.c.collection == collection) & (TICKETS.c.patient == patient)
        with self._database.write() as connection:
            there = connection.execute(select(TICKETS.c.ticket).where(own)).scalar_one_or_none()
            if there is not None:
                return bytes(there)
            connection.execute(
                TICKETS.insert().values(
                    collection=collection, patient=patient, ticket=ticket, given=utc_text(time)
                )
            )
        return ticket

    def of(self, patient: bytes) -> tuple[GivenTicket, ...]:
        """Return a patient's tickets, the newest first."""
        own = select(TICKETS).where(TICKETS.c.patient == patient).order_by(TICKETS.c.given.desc())
        with self._database.read() as connection:
            return tuple(
                GivenTicket(collection=row["collection"], ticket=row["ticket"], given=row["given"])
                for row in connection.execute(own).mappings()
            )
