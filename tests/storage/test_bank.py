"""The mark of a noise bank moves forward only, and is on disk before anyone may act on it."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from upcare_mpc.errors import RefusedError
from upcare_mpc.storage.bank import BankMarks
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE
from upcare_mpc.study.draw import Draw

EPOCH = b"e" * 32


def draw(first: int, count: int = 1) -> Draw:
    return Draw(epoch=EPOCH, first=first, count=count)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


@pytest.fixture
def marks(database: Database) -> BankMarks:
    """Of a bank of ten segments that is ready."""
    made = BankMarks(database)
    made.begin(EPOCH, 10)
    made.confirm(EPOCH)
    return made


def test_a_draw_is_burnt_once_and_with_it_all_before_it(marks: BankMarks) -> None:
    marks.burn(draw(4, 2))

    for first in range(6):
        with pytest.raises(RefusedError, match="has used this noise before"):
            marks.burn(draw(first))
    marks.burn(draw(6, 4))


def test_a_draw_longer_than_the_bank_is_refused_and_burns_nothing(marks: BankMarks) -> None:
    with pytest.raises(RefusedError, match="a noise bank of 10 segments, the draw ends at 11"):
        marks.burn(draw(8, 3))

    marks.burn(draw(0, 10))


def test_an_unknown_bank_is_refused(marks: BankMarks) -> None:
    with pytest.raises(RefusedError, match="has no such noise bank"):
        marks.burn(Draw(epoch=bytes(32), first=0, count=1))


def test_a_bank_is_not_used_before_all_have_confirmed_it(database: Database) -> None:
    marks = BankMarks(database)
    marks.begin(EPOCH, 10)

    with pytest.raises(RefusedError, match="has no such noise bank"):
        marks.burn(draw(0))


def test_a_bank_is_begun_and_confirmed_once(marks: BankMarks) -> None:
    marks.burn(draw(0))

    with pytest.raises(RefusedError, match="has begun this noise bank before"):
        marks.begin(EPOCH, 10)
    with pytest.raises(RefusedError, match="has not begun"):
        marks.confirm(EPOCH)
    with pytest.raises(RefusedError, match="has used this noise before"):
        marks.burn(draw(0))


@pytest.mark.parametrize("confirmed", [True, False])
def test_nothing_of_a_dropped_bank_can_be_used(database: Database, confirmed: bool) -> None:
    marks = BankMarks(database)
    marks.begin(EPOCH, 10)
    if confirmed:
        marks.confirm(EPOCH)

    marks.drop(EPOCH)
    marks.drop(EPOCH)

    with pytest.raises(RefusedError):
        marks.confirm(EPOCH)
    with pytest.raises(RefusedError):
        marks.burn(draw(9))


def test_the_banks_of_an_earlier_life_are_unknown(marks: BankMarks) -> None:
    marks.forget()

    with pytest.raises(RefusedError, match="has no such noise bank"):
        marks.burn(draw(0))


def test_of_many_who_burn_one_draw_at_once_one_gets_it(tmp_path: Path, marks: BankMarks) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) for _ in range(8)]

    def burn(database: Database) -> bool:
        try:
            BankMarks(database).burn(draw(0, 2))
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(burn, databases))
    for database in databases:
        database.close()

    assert got.count(True) == 1


def test_a_burn_that_returned_survives_a_crash(tmp_path: Path, marks: BankMarks) -> None:
    crash = (
        "import os, signal, sys\n"
        "from upcare_mpc.storage.bank import BankMarks\n"
        "from upcare_mpc.storage.database import Database\n"
        "from upcare_mpc.storage.schema import NODE\n"
        "from upcare_mpc.study.draw import Draw\n"
        "marks = BankMarks(Database(sys.argv[1], NODE))\n"
        "marks.burn(Draw(epoch=b'e' * 32, first=3, count=1))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    url = f"sqlite:///{tmp_path / 'node.db'}"
    ended = subprocess.run([sys.executable, "-c", crash, url], check=False)

    assert ended.returncode == -9
    with pytest.raises(RefusedError, match="has used this noise before"):
        marks.burn(draw(3))
    marks.burn(draw(4))
