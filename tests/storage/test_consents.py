"""What patients have said, as it is kept: a batch or nothing, once, with one journal entry."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from upcare_mpc.consent import duo
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import CONSENTS, NODE

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 13, tzinfo=UTC)
ANNA, BERTA = b"A" * 16, b"B" * 16
FIRST = Consent(
    patient=ANNA,
    data_set="de-a",
    activity=Activity.RECORDS,
    version=1,
    answer=Answer.PERMITTED,
    terms=Terms(permission=duo.HMB, first_day=date(2026, 1, 1)),
    given=date(2026, 1, 1),
    form="urn:upcare:form:page-1-de",
)
SECOND = replace(FIRST, version=2, answer=Answer.WITHDRAWN, terms=None)
OF_BERTA = replace(FIRST, patient=BERTA)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


@pytest.fixture
def consents(database: Database) -> Consents:
    return Consents(database)


def test_what_is_recorded_is_read_back_oldest_first(consents: Consents) -> None:
    assert consents.record([SECOND], time=LATER) == 1
    assert consents.record([OF_BERTA, FIRST], time=NOON) == 2

    assert consents.of(ANNA) == (FIRST, SECOND)
    assert consents.of(b"?" * 16) == ()
    assert list(consents.all()) == [FIRST, SECOND, OF_BERTA]


def test_a_consent_is_recorded_once_and_nothing_new_is_no_entry(
    consents: Consents, database: Database
) -> None:
    consents.record([FIRST, FIRST], time=NOON)
    head = SqlJournal(database).entries()[-1].head

    assert consents.record([FIRST], time=LATER) == 0
    assert consents.record([], time=LATER) == 0
    assert SqlJournal(database).entries()[-1].head == head

    assert consents.record([FIRST, SECOND], time=LATER) == 1
    assert len(SqlJournal(database).entries()) == 2


def test_two_answers_of_one_version_are_both_kept(consents: Consents) -> None:
    other = replace(SECOND, version=1)

    consents.record([FIRST, other], time=NOON)

    assert set(consents.of(ANNA)) == {FIRST, other}


def test_the_journal_holds_a_number_and_a_commitment_that_the_salts_open(
    database: Database,
) -> None:
    salts = iter([b"1" * 16, b"2" * 16])
    consents = Consents(database, random=lambda _: next(salts))

    consents.record([FIRST, OF_BERTA], time=NOON)

    (entry,) = SqlJournal(database).entries()
    leaves = [
        hashlib.sha256(b"upcare/v1/consent-leaf\0" + salt + one.digest).digest()
        for salt, one in ((b"1" * 16, FIRST), (b"2" * 16, OF_BERTA))
    ]
    batch = hashlib.sha256(b"upcare/v1/consent-batch\0" + b"".join(sorted(leaves)))
    assert entry.kind == "consent.record"
    assert entry.fields() == {"consents": 2, "commitment": batch.hexdigest()}


def test_the_same_batch_at_another_registry_has_another_commitment(tmp_path: Path) -> None:
    bodies = set()
    for name in ("here", "there"):
        with Database(f"sqlite:///{tmp_path / name}", NODE) as database:
            Consents(database).record([FIRST], time=NOON)
            bodies.add(SqlJournal(database).entries()[0].body)

    assert len(bodies) == 2


def test_a_batch_that_breaks_off_leaves_nothing(consents: Consents, database: Database) -> None:
    def breaks_off() -> Iterator[Consent]:
        yield FIRST
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consents.record(breaks_off(), time=NOON)

    assert list(consents.all()) == []
    assert SqlJournal(database).entries() == ()


def test_a_batch_that_the_journal_refuses_leaves_nothing(
    consents: Consents, database: Database
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE journal")

    with pytest.raises(Exception, match="journal"):
        consents.record([FIRST], time=NOON)

    assert list(consents.all()) == []


def test_what_another_process_records_meanwhile_is_not_recorded_twice(
    consents: Consents, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for what is new and the transaction somebody else records half of it."""
    look = consents._new
    looks: list[int] = []

    def look_and_be_overtaken(asked: dict[bytes, Consent]) -> dict[bytes, Consent]:
        found = look(asked)
        looks.append(len(found))
        if len(looks) == 1:
            Consents(database).record([FIRST], time=NOON)
        return found

    monkeypatch.setattr(consents, "_new", look_and_be_overtaken)

    assert consents.record([FIRST, SECOND], time=LATER) == 1
    assert looks == [2, 1]
    counted = [entry.fields()["consents"] for entry in SqlJournal(database).entries()]
    assert counted == [1, 1]


def test_many_at_once_are_all_there(consents: Consents) -> None:
    batches = [
        [replace(FIRST, patient=os.urandom(16)) for _ in range(300)] + [FIRST] for _ in range(4)
    ]

    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(lambda batch: consents.record(batch, time=NOON), batches))

    assert sum(new) == 4 * 300 + 1
    assert {one.digest for one in consents.all()} == {
        one.digest for batch in batches for one in batch
    }


def test_more_than_one_query_holds_are_looked_up(consents: Consents) -> None:
    many = [replace(FIRST, patient=number.to_bytes(16, "big")) for number in range(1201)]
    consents.record(many[:700], time=NOON)

    assert consents.record(many, time=LATER) == 501


def test_a_row_that_was_altered_is_not_taken_for_a_consent(
    consents: Consents, database: Database
) -> None:
    consents.record([FIRST], time=NOON)
    with database.write() as connection:
        connection.execute(CONSENTS.update().values(canonical=b"{}"))

    with pytest.raises(Exception, match="consent: wanted canonical bytes"):
        consents.of(ANNA)
