"""Deposits on the platform's disk: each once, whole, in order; none behind the closing."""

import datetime
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.findings import list_digest
from upcare_mpc.errors import DataError, RefusedError
from upcare_mpc.storage import deposits as module
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies

QUESTION, OTHER = b"q" * 32, b"o" * 32
NOW = 1_000.0
CLOSES = 2_000


def collection(number: int = 0) -> Collection:
    return Collection(
        network=bytes(32),
        study=bytes(32),
        signing_key=bytes(32),
        cells=10,
        envelope="rlwe",
        holders=tuple(
            Holder(name=name, certificate=bytes(32)) for name in ("de-a", "de-b", "de-c")
        ),
        threshold=1,
        depositors=("fr-a",),
        vouchers=(),
        opened=0,
        closes=CLOSES,
        nonce=number.to_bytes(16),
    )


FIRST = collection().digest


class World:
    """The platform's disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "deposits"
        self.database = Database(f"sqlite:///{folder / 'coordinator.db'}", COORDINATOR)
        self.studies = Studies(self.database)
        for question in (QUESTION, OTHER):
            self.studies.add(
                digest=question,
                researcher="",
                canonical=b"study of " + question,
                request=b"",
                state="collecting",
                time=datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC),
            )
        self.deposits = self.started()
        self.deposits.begin(collection(), QUESTION)
        self.deposits.open(FIRST)

    def started(self) -> Deposits:
        return Deposits(self.database, self.folder, room=1000)

    def keep(self, content: bytes, *, submitter: bytes | None = None, **changed: Any) -> bytes:
        """Keep a deposit; the receipt says which place it has."""
        of = changed.pop("collection", FIRST)
        with self.deposits.arriving(of) as file:
            file.write(content)
            return self.deposits.keep(
                of,
                file,
                **{
                    "role": "patient",
                    "submitter": submitter or content,
                    "digest": content.ljust(32, b"."),
                    "now": NOW,
                    "receipt": lambda place: b"at %d" % place,
                }
                | changed,
            )

    def files(self, of: bytes = FIRST) -> list[str]:
        return sorted(path.name for path in (self.folder / of.hex()).iterdir())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_deposits_are_kept_in_order(world: World) -> None:
    assert [world.keep(content) for content in (b"a", b"b", b"c")] == [b"at 0", b"at 1", b"at 2"]

    assert world.deposits.read(FIRST, 1) == b"b"
    digests = [content.ljust(32, b".") for content in (b"a", b"b", b"c")]
    assert world.deposits.digests(FIRST) == digests
    assert world.deposits.listing(FIRST) == (3, list_digest(FIRST, digests))
    assert world.files() == ["0", "1", "2"]
    assert (world.folder / FIRST.hex()).stat().st_mode & 0o777 == 0o700
    assert (world.folder / FIRST.hex() / "0").stat().st_mode & 0o777 == 0o600


def test_it_is_on_the_disk_before_its_receipt_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink().suffix)
        fsync(descriptor)

    monkeypatch.setattr(module.os, "fsync", seen)
    world.keep(b"a", receipt=lambda _: order.append("receipt") or b"")  # type: ignore[func-returns-value]

    assert order.index(".new") < order.index("receipt")
    assert order[-1] == ""  # the folder, once the file has its name


def test_who_deposits_again_gets_the_first_receipt_or_none(world: World) -> None:
    first = world.keep(b"a")
    world.keep(b"b")

    assert world.keep(b"a") == first
    with pytest.raises(RefusedError, match="deposited already"):
        world.keep(b"c", submitter=b"a")
    assert world.keep(b"c", submitter=b"a", role="registry") == b"at 2"
    assert world.deposits.read(FIRST, 0) == b"a"


def test_a_deposit_without_a_receipt_is_not_there(world: World) -> None:
    def fails(_place: int) -> bytes:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        world.keep(b"a", receipt=fails)

    assert world.deposits.listing(FIRST)[0] == 0
    assert world.files() == []
    assert world.keep(b"a") == b"at 0"


def test_a_file_that_was_left_by_a_crash_before_the_commit_is_replaced(world: World) -> None:
    (world.folder / FIRST.hex() / "0").write_bytes(b"of a crash")

    assert world.keep(b"a") == b"at 0"
    assert world.deposits.read(FIRST, 0) == b"a"


def test_a_folder_that_takes_nothing_is_said_without_a_path(world: World) -> None:
    (world.folder / FIRST.hex()).rmdir()

    with pytest.raises(DataError) as told:
        world.keep(b"a")
    assert str(world.folder) not in str(told.value)
    assert world.deposits.listing(FIRST)[0] == 0


@pytest.mark.parametrize("now", [CLOSES, CLOSES + 1])
def test_from_its_end_on_nothing_is_taken(world: World, now: float) -> None:
    assert world.keep(b"a", now=CLOSES - 0.5) == b"at 0"
    with pytest.raises(RefusedError, match="closed"):
        world.keep(b"b", now=now)


def test_many_who_deposit_while_it_is_closed_are_in_the_list_or_refused(world: World) -> None:
    """Whoever has a receipt is in the list that the holders get."""
    world.deposits._room = 10**6
    begin, after = threading.Barrier(3), threading.Event()

    def bring(number: int) -> list[bytes]:
        begin.wait()
        kept = []
        for step in range(1000):
            content = b"%d-%d" % (number, step)
            try:
                world.keep(content)
            except RefusedError:
                break
            kept.append(content)
            after.set()
        return kept

    with ThreadPoolExecutor(2) as pool:
        bringing = [pool.submit(bring, number) for number in range(2)]
        begin.wait()
        after.wait(10)
        world.deposits.close(FIRST)
        count, listed = world.deposits.listing(FIRST)
        kept = [content for task in bringing for content in task.result()]

    assert world.deposits.listing(FIRST) == (count, listed)
    assert sorted(kept) == sorted(world.deposits.read(FIRST, n) for n in range(count))
    assert 0 < count < 2000


def test_states_follow_each_other(world: World) -> None:
    second = collection(1)
    world.deposits.begin(second, OTHER)
    with pytest.raises(RefusedError, match="must be open"):
        world.deposits.close(second.digest)
    with pytest.raises(RefusedError, match="closed"):
        world.keep(b"a", collection=second.digest)
    world.deposits.open(second.digest)
    with pytest.raises(RefusedError, match="must be dealing"):
        world.deposits.open(second.digest)
    for _ in range(2):
        world.deposits.close(second.digest)
    for number in range(2):
        world.deposits.count_attempt(second.digest)
        found = world.deposits.get(second.digest)
        assert found is not None
        assert (found.state, found.attempts) == ("closed", number + 1)
    for _ in range(2):
        world.deposits.end(second.digest)
    with pytest.raises(RefusedError, match="must be open"):
        world.deposits.close(second.digest)
    assert world.deposits.of_question(OTHER) is None
    assert [row.collection for row in world.deposits.over()] == [second]
    assert [row.collection for row in world.deposits.live()] == [collection()]
    assert world.deposits.get(bytes(32)) is None


def test_when_it_is_over_the_deposits_go_and_their_digests_stay(world: World) -> None:
    world.keep(b"a")
    before = world.deposits.listing(FIRST)

    world.deposits.end(FIRST)

    assert list(world.folder.iterdir()) == []
    assert world.deposits.listing(FIRST) == before


def test_a_start_clears_away_what_is_over_and_what_was_arriving(world: World) -> None:
    world.keep(b"a")
    (world.folder / FIRST.hex() / "tmp1.new").write_bytes(b"half")
    gone = world.folder / bytes(32).hex()
    gone.mkdir()
    (gone / "0").write_bytes(b"of a collection that is over")

    world.deposits = world.started()

    assert world.files() == ["0"]
    assert not gone.exists()
    assert world.keep(b"b") == b"at 1"


def test_the_room_is_for_all_collections_that_are_not_over(world: World) -> None:
    second = collection(1)
    world.deposits.begin(second, OTHER)
    world.deposits.open(second.digest)
    world.keep(bytes(600), submitter=b"a")
    with pytest.raises(RefusedError, match="no room"):
        world.keep(bytes(401), submitter=b"b", collection=second.digest)
    world.keep(bytes(400), submitter=b"b", collection=second.digest)

    world.deposits.end(FIRST)

    assert world.keep(bytes(600), submitter=b"c", collection=second.digest) == b"at 1"


def test_what_takes_deposits_is_listed_newest_first_with_its_study(world: World) -> None:
    second = collection(1)
    world.deposits.begin(second, OTHER)
    assert world.deposits.listed(now=NOW) == [(collection().canonical(), b"study of " + QUESTION)]

    world.deposits.open(second.digest)

    assert [study for _, study in world.deposits.listed(now=NOW)] == [
        b"study of " + OTHER,
        b"study of " + QUESTION,
    ]
    assert world.deposits.listed(now=CLOSES) == []
    world.deposits.close(FIRST)
    assert len(world.deposits.listed(now=NOW)) == 1
