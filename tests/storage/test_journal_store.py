"""The journal in a database: one winner for each place, and tampering is found on reading."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import text

from upcare_mpc.errors import BudgetExceeded, PrivacyError
from upcare_mpc.journal import GENESIS, Entry, Event, JournalStore, append, verify
from upcare_mpc.privacy.accountant import Cap, Loss
from upcare_mpc.privacy.ledger import Caps, Charge, Key, Ledger
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import NODE

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOTE = Event(kind="test.note", body={"text": "as agreed"})
CAPS = Caps(everything=Cap.of_epsilon(Fraction(10), Fraction(1, 10**6)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


def reserve_one(journal: JournalStore, attempt: int) -> Entry:
    """Reserve epsilon 1 under a key of its own."""
    key = Key(study=bytes(32), session=attempt.to_bytes(32, "big"))
    charge = Charge(loss=Loss.pure(Fraction(1), Fraction(0)), purpose="DUO:0000007")
    return journal.record(
        lambda entries: Ledger.replay(CAPS, entries).reserve(key, charge), time=NOON
    )


def test_what_is_appended_is_read_back_in_order(database: Database) -> None:
    journal = SqlJournal(database)
    first = append(GENESIS, NOTE, time=NOON)
    second = append(first.head, NOTE, time=NOON)

    journal.append(first)
    journal.append(second)

    assert journal.entries() == (first, second)


def test_only_one_of_two_decisions_on_the_same_head_is_written(database: Database) -> None:
    journal = SqlJournal(database)
    ours = append(GENESIS, NOTE, time=NOON)
    theirs = append(GENESIS, Event(kind="test.other", body={}), time=NOON)
    journal.append(ours)

    with pytest.raises(PrivacyError, match="decided after entry 0, it has 1 now"):
        journal.append(theirs)

    assert journal.entries() == (ours,)


def test_an_entry_after_a_gap_is_not_written(database: Database) -> None:
    first = append(GENESIS, NOTE, time=NOON)

    with pytest.raises(PrivacyError, match="moved on"):
        SqlJournal(database).append(append(first.head, NOTE, time=NOON))


def test_a_refused_decision_writes_nothing(database: Database) -> None:
    journal = SqlJournal(database)

    first = reserve_one(journal, 1)

    with pytest.raises(PrivacyError, match="a key is used once"):
        reserve_one(journal, 1)

    assert journal.entries() == (first,)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE journal SET body = replace(body, '\"1\"', '\"2\"') WHERE sequence = 2",
        "UPDATE journal SET time = '2026-11-22T12:00:00.001Z' WHERE sequence = 2",
        "DELETE FROM journal WHERE sequence = 2",
        "UPDATE journal SET kind = 'ledger.release' WHERE sequence = 3",
    ],
)
def test_a_change_behind_our_back_is_found_and_stops_everything(
    database: Database, damage: str
) -> None:
    journal = SqlJournal(database)
    for attempt in range(3):
        reserve_one(journal, attempt)
    with database.write() as connection:
        assert connection.execute(text(damage)).rowcount == 1

    with pytest.raises(PrivacyError, match="journal entry"):
        journal.entries()
    with pytest.raises(PrivacyError, match="journal entry"):
        reserve_one(journal, 9)


def test_threads_never_pass_the_cap_and_never_fork_the_chain(database: Database) -> None:
    journal = SqlJournal(database)

    def attempt(number: int) -> bool:
        try:
            reserve_one(journal, number)
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(24)))

    assert sum(won) == 10
    assert Ledger.replay(CAPS, journal.entries()).balance().epsilon_left == 0


CONTENDER = """
import sys
from upcare_mpc.errors import PrivacyError
from upcare_mpc.journal import GENESIS, Event, append
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import NODE
from datetime import UTC, datetime

url, name = sys.argv[1:]
wins = losses = 0
with Database(url, NODE) as database:
    journal = SqlJournal(database)
    print("ready", flush=True)
    sys.stdin.readline()
    while wins < 40:
        entries = journal.entries()
        head = entries[-1].head if entries else GENESIS
        event = Event(kind="test.note", body={"by": name})
        try:
            journal.append(append(head, event, time=datetime(2026, 11, 22, tzinfo=UTC)))
            wins += 1
        except PrivacyError:
            losses += 1
print(wins, losses)
"""


def test_two_processes_never_both_win_the_same_place(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    for contender in contenders:
        assert contender.stdout is not None
        assert contender.stdout.readline() == "ready\n"
    outputs = [contender.communicate("go\n", timeout=60)[0] for contender in contenders]

    with Database(url, NODE) as database:
        entries = SqlJournal(database).entries()

    assert verify(entries).sequence == 80
    assert [output.split()[0] for output in outputs] == ["40", "40"]
    assert sorted(str(entry.fields()["by"]) for entry in entries) == ["a"] * 40 + ["b"] * 40
