"""A key is pinned to one set of deposits, on disk, before it is used; and it can be erased."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from upcare_mpc.errors import RefusedError
from upcare_mpc.storage import holdings as module
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.holdings import MAX_ATTEMPTS, Holdings
from upcare_mpc.storage.schema import NODE

KEY, OTHER = b"k" * 32, b"o" * 32
SET, ANOTHER, SESSION = b"s" * 32, b"a" * 32, b"n" * 32
REQUEST = b"r" * 32
SECRET = b"what this holder alone knows" * 100


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


@pytest.fixture
def holdings(database: Database, tmp_path: Path) -> Holdings:
    made = Holdings(database, tmp_path / "holdings")
    made.add(KEY, request=REQUEST, papers=b"papers", secret=SECRET)
    return made


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "holdings").iterdir())


def test_what_is_held_survives_a_restart(
    holdings: Holdings, database: Database, tmp_path: Path
) -> None:
    again = Holdings(database, tmp_path / "holdings")

    row = again.get(KEY)

    assert row is not None
    assert (row.papers, row.held, row.frozen) == (b"papers", True, None)
    assert again.pin(KEY, SET, session=SESSION) == SECRET


def test_only_the_node_s_user_reads_a_secret(holdings: Holdings, tmp_path: Path) -> None:
    file = tmp_path / "holdings" / KEY.hex()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert SECRET not in (tmp_path / "node.db").read_bytes()


def test_a_key_is_held_once(holdings: Holdings) -> None:
    with pytest.raises(RefusedError, match="has held a key of this collection before"):
        holdings.add(KEY, request=b"another", papers=b"papers", secret=b"another")
    holdings.erase(KEY)
    with pytest.raises(RefusedError, match="has held a key of this collection before"):
        holdings.add(KEY, request=b"another", papers=b"papers", secret=b"another")


def test_a_request_is_dealt_on_once(holdings: Holdings) -> None:
    holdings.erase(KEY)

    assert holdings.dealt_on(REQUEST)
    assert not holdings.dealt_on(b"another")
    with pytest.raises(RefusedError, match="has dealt a key on this request before"):
        holdings.add(OTHER, request=REQUEST, papers=b"papers", secret=b"another")
    assert holdings.get(OTHER) is None


def test_a_key_serves_one_set_also_after_a_restart(
    holdings: Holdings, database: Database, tmp_path: Path
) -> None:
    holdings.pin(KEY, SET, session=SESSION)

    for opened in (holdings, Holdings(database, tmp_path / "holdings")):
        with pytest.raises(RefusedError, match="for another set of deposits"):
            opened.pin(KEY, ANOTHER, session=SESSION)
    row = holdings.get(KEY)
    assert row is not None
    assert (row.frozen, row.session) == (SET, SESSION)


def test_a_key_serves_so_many_sessions(holdings: Holdings) -> None:
    for _ in range(MAX_ATTEMPTS):
        holdings.pin(KEY, SET, session=SESSION)

    with pytest.raises(RefusedError, match=f"{MAX_ATTEMPTS} times"):
        holdings.pin(KEY, SET, session=SESSION)


def test_of_two_that_pin_at_once_one_wins(holdings: Holdings) -> None:
    def pin(frozen: bytes) -> bool:
        try:
            holdings.pin(KEY, frozen, session=SESSION)
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(pin, [bytes([n]) * 32 for n in range(8)]))

    assert won.count(True) == 1


def test_a_pin_outlives_a_process_that_dies_right_after_it(
    holdings: Holdings, tmp_path: Path
) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from upcare_mpc.storage.database import Database\n"
        "from upcare_mpc.storage.holdings import Holdings\n"
        "from upcare_mpc.storage.schema import NODE\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "database = Database(f\"sqlite:///{folder / 'node.db'}\", NODE)\n"
        "Holdings(database, folder / 'holdings').pin(b'k' * 32, b's' * 32, session=b'x')\n"
        "os._exit(9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == 9

    with pytest.raises(RefusedError, match="for another set"):
        holdings.pin(KEY, ANOTHER, session=SESSION)


def test_an_erased_key_is_gone_and_stays_so(holdings: Holdings, tmp_path: Path) -> None:
    holdings.erase(KEY)
    holdings.erase(KEY)  # as often as one likes
    holdings.erase(OTHER)  # what was never held neither

    assert files(tmp_path) == []
    row = holdings.get(KEY)
    assert row is not None
    assert not row.held
    with pytest.raises(RefusedError, match="holds no key of this collection"):
        holdings.pin(KEY, SET, session=SESSION)


def test_the_secret_is_overwritten_before_it_is_unlinked(
    holdings: Holdings, tmp_path: Path
) -> None:
    """Another name of the same file, as a snapshot tool might keep one, shows what was written."""
    kept = tmp_path / "kept"
    kept.hardlink_to(tmp_path / "holdings" / KEY.hex())

    holdings.erase(KEY)

    assert kept.read_bytes() == bytes(len(SECRET))


def test_only_so_many_are_held_at_once(
    holdings: Holdings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_HELD", 1)
    for ask in (
        holdings.check_room,
        lambda: holdings.add(OTHER, request=b"o", papers=b"", secret=b"secret"),
    ):
        with pytest.raises(RefusedError, match="1 collections"):
            ask()
    assert files(tmp_path) == [KEY.hex()]

    holdings.erase(KEY)
    holdings.add(OTHER, request=b"o", papers=b"", secret=b"secret")
    assert [row.collection for row in holdings.held()] == [OTHER]


def test_a_start_erases_what_a_crash_has_left(
    holdings: Holdings, database: Database, tmp_path: Path
) -> None:
    """A secret that was written and never entered, half of one, and one that was to be erased."""
    folder = tmp_path / "holdings"
    for name in (OTHER.hex(), f"{OTHER.hex()}.77.new"):
        (folder / name).write_bytes(b"left")
    holdings.add(b"l" * 32, request=b"l", papers=b"papers", secret=b"lost")
    (folder / (b"l" * 32).hex()).unlink()
    kept = tmp_path / "kept"
    kept.hardlink_to(folder / OTHER.hex())

    Holdings(database, folder).clean()

    assert files(tmp_path) == [KEY.hex()]
    assert kept.read_bytes() == bytes(4)
    assert [row.collection for row in holdings.held()] == [KEY]
    assert holdings.pin(KEY, SET, session=SESSION) == SECRET
