"""A patient is given her receipts, oldest first, and nobody else's."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from upcare_mpc.journal import canonical_json
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.receipts import PatientReceipt, Receipts
from upcare_mpc.storage.schema import NODE

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
ANNA, BERTA = b"a" * 16, b"b" * 16


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


def receipt(patient: bytes, edition: int) -> PatientReceipt:
    token = f"{patient.decode()[0]}{edition}"
    return PatientReceipt(
        patient=patient, token=token, text=canonical_json({"edition": edition, "token": token})
    )


def journal(database: Database) -> list[tuple[str, object]]:
    return [(entry.kind, entry.fields()) for entry in SqlJournal(database).entries()]


def test_receipts_are_their_patients_alone_oldest_first(database: Database) -> None:
    receipts = Receipts(database)
    receipts.record(10, [receipt(ANNA, 10), receipt(BERTA, 10)], time=NOW)
    receipts.record(9, [receipt(ANNA, 9)], time=NOW)

    assert receipts.of(ANNA) == (receipt(ANNA, 9).text, receipt(ANNA, 10).text)
    assert receipts.of(BERTA) == (receipt(BERTA, 10).text,)
    assert receipts.of(b"c" * 16) == ()


def test_receipts_of_an_edition_are_one_entry_of_the_journal(database: Database) -> None:
    Receipts(database).record(3, [receipt(BERTA, 3), receipt(ANNA, 3)], time=NOW)

    assert journal(database) == [("vault.withdraw", {"edition": 3, "tokens": ["a3", "b3"]})]


def test_an_edition_that_nobody_left_has_its_entry_too(database: Database) -> None:
    Receipts(database).record(3, [], time=NOW)

    assert journal(database) == [("vault.withdraw", {"edition": 3, "tokens": []})]


def test_receipts_are_recorded_all_together_or_not_at_all(database: Database) -> None:
    receipts = Receipts(database)
    receipts.record(3, [receipt(ANNA, 3)], time=NOW)

    with pytest.raises(IntegrityError):
        receipts.record(3, [receipt(BERTA, 3), receipt(ANNA, 3)], time=NOW)

    assert receipts.of(BERTA) == ()
    assert len(journal(database)) == 1
