"""One ticket a patient and collection, one deposit a ticket, and what the journal says of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from upcare_mpc.errors import RefusedError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import NODE
from upcare_mpc.storage.tickets import GivenTicket, Tickets, TicketState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HERS = GivenTicket(
    collection=b"\1" * 32,
    patient=b"\2" * 16,
    key=b"\4" * 65,
    ticket=b"a ticket",
    certificate=b"a certificate",
    study=b"{}",
    given=NOW,
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'node.db'}", NODE)


@pytest.fixture
def tickets(database: Database) -> Tickets:
    return Tickets(database)


def test_the_first_ticket_stays(tickets: Tickets) -> None:
    assert tickets.give(HERS) == HERS

    later = replace(HERS, key=b"\4" + bytes(64), ticket=b"another", given=NOW + timedelta(days=1))

    assert tickets.give(later) == HERS
    assert tickets.get(HERS.collection, HERS.patient) == HERS
    assert tickets.of(HERS.patient) == (HERS,)
    assert tickets.get(bytes(32), HERS.patient) is None
    assert tickets.of(bytes(16)) == ()


def test_a_key_has_one_patient(tickets: Tickets) -> None:
    tickets.give(HERS)

    with pytest.raises(RefusedError, match="ticket of another patient"):
        tickets.give(replace(HERS, patient=bytes(16)))

    assert tickets.of(bytes(16)) == ()
    other = replace(HERS, collection=bytes(32), given=NOW + timedelta(days=1))
    assert tickets.give(other) == other  # keys are made for one collection; the store does not care
    assert tickets.of(HERS.patient) == (other, HERS)


def test_the_journal_names_the_collection_and_nobody(database: Database) -> None:
    tickets = Tickets(database)
    for _ in range(2):
        tickets.give(HERS)

    (entry,) = SqlJournal(database).entries()

    assert entry.kind == "deposit.ticket"
    assert json.loads(entry.body) == {
        "collection": HERS.collection.hex(),
        "ticket": sha256(HERS.ticket).hexdigest(),
    }
    assert HERS.patient.hex() not in entry.body


def test_a_refused_ticket_is_not_journalled(database: Database) -> None:
    tickets = Tickets(database)
    tickets.give(HERS)
    with pytest.raises(RefusedError):
        tickets.give(replace(HERS, patient=bytes(16)))

    assert len(SqlJournal(database).entries()) == 1


def test_two_processes_give_one_ticket(database: Database) -> None:
    """The second has looked before the first wrote."""
    one, other = Tickets(database), Tickets(database)
    look, looks = other.get, []

    def look_too_early(*place: bytes) -> GivenTicket | None:
        looks.append(place)
        return None if len(looks) == 1 else look(*place)

    other.get = look_too_early  # type: ignore[method-assign, assignment]
    one.give(HERS)

    assert other.give(replace(HERS, ticket=b"another")) == HERS
    assert len(SqlJournal(database).entries()) == 1


def test_the_first_deposit_stays_until_there_is_a_receipt(tickets: Tickets) -> None:
    place = (HERS.collection, HERS.patient)
    assert not tickets.keep(*place, b"without a ticket")
    tickets.give(HERS)

    assert tickets.keep(*place, b"a deposit")
    assert not tickets.keep(*place, b"another")

    ((kept, deposit),) = tickets.kept()
    assert (kept, deposit) == (replace(HERS, state=TicketState.KEPT), b"a deposit")
    tickets.deliver(*place, b"a receipt")
    assert list(tickets.kept()) == []
    delivered = tickets.get(*place)
    assert delivered == replace(HERS, state=TicketState.DELIVERED, receipt=b"a receipt")
    assert not tickets.keep(*place, b"another")
    tickets.drop(*place)
    assert tickets.get(*place) == delivered


def test_a_deposit_that_is_not_taken_is_forgotten(tickets: Tickets) -> None:
    place = (HERS.collection, HERS.patient)
    tickets.give(HERS)
    tickets.keep(*place, b"a deposit")

    tickets.drop(*place)

    assert tickets.get(*place) == replace(HERS, state=TicketState.DROPPED)
    assert list(tickets.kept()) == []
    tickets.deliver(*place, b"a receipt")
    assert tickets.get(*place) == replace(HERS, state=TicketState.DROPPED)
