"""Deposits as a holder keeps them: whole, those of the list, and no more than there is room for."""

import asyncio
import datetime
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Self

import pytest
from collected import collection_of

from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.deposits.collection import MAX_DEPOSITS, Collection
from upcare_mpc.deposits.findings import list_digest
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.node import deposit_folder
from upcare_mpc.node.deposit_folder import DepositFolder

DEPOSITS = [b"one", b"two" * 1000, b"", b"four"]


@dataclass
class Platform:
    """What it hands out, how often it was asked, and where it stops."""

    deposits: list[bytes] = field(default_factory=lambda: list(DEPOSITS))
    asked: int = 0
    stops_at: int | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def __call__(self, address: str, identity: Identity) -> Self:
        self.left.clear()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left.set()

    def fetch(self, collection: bytes, *, count: int, at_most: int) -> Iterator[bytes]:
        self.asked += 1
        for place, deposit in enumerate(self.deposits):
            if place == self.stops_at:
                self.stopped.set()
                assert self.left.wait(20)
                raise LinkError("the platform cannot be reached, or did not answer in time")
            yield deposit


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    made = Platform()
    monkeypatch.setattr(deposit_folder, "Holder", made)
    return made


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    found_network(tmp_path / "net", name="test", overlap=1, committee=3)
    identities = []
    for name in ("de-a", "de-b", "de-c"):
        admit_party(tmp_path / "net", name, role="registry", out=tmp_path / name)
        identities.append(Identity.load(tmp_path / name, now=now()))
    return collection_of(identities)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def folder(tmp_path: Path, collection: Collection) -> DepositFolder:
    identity = Identity.load(tmp_path / "de-a", now=now())
    return DepositFolder(tmp_path / "deposits", "localhost:1", identity)


def fetched(folder: DepositFolder, collection: Collection, deposits: list[bytes]) -> None:
    asyncio.run(folder.fetch(collection, count=len(deposits), listed=listed(collection, deposits)))


def listed(collection: Collection, deposits: list[bytes]) -> bytes:
    digests = [sha256(deposit).digest() for deposit in deposits]
    return list_digest(collection.digest, digests)


def files(folder: DepositFolder, collection: Collection) -> list[bytes]:
    place = folder.place(collection.digest)
    return [(place / str(number)).read_bytes() for number in range(len(DEPOSITS))]


def test_what_is_fetched_is_there_and_is_fetched_once(
    folder: DepositFolder, collection: Collection, platform: Platform
) -> None:
    for _ in range(2):
        fetched(folder, collection, DEPOSITS)

    assert files(folder, collection) == DEPOSITS
    assert platform.asked == 1
    assert list_digest(collection.digest, folder.digests(collection.digest)) == listed(
        collection, DEPOSITS
    )
    assert folder.place(collection.digest).stat().st_mode & 0o777 == 0o700


def test_a_collection_without_deposits_can_be_fetched_too(
    folder: DepositFolder, collection: Collection, platform: Platform
) -> None:
    platform.deposits = []
    fetched(folder, collection, [])
    assert folder.digests(collection.digest) == []


@pytest.mark.parametrize(
    "handed_out",
    [DEPOSITS[:-1], [*DEPOSITS[:-1], b"five"], DEPOSITS[::-1]],
    ids=["fewer", "another", "another order"],
)
def test_others_than_the_list_says_are_refused_and_not_kept(
    folder: DepositFolder, collection: Collection, platform: Platform, handed_out: list[bytes]
) -> None:
    platform.deposits = handed_out

    with pytest.raises(ProtocolError, match="other deposits than it has announced"):
        fetched(folder, collection, DEPOSITS)

    assert list(folder.place(collection.digest).parent.iterdir()) == []
    with pytest.raises(RefusedError, match="has not fetched"):
        folder.digests(collection.digest)


@pytest.mark.parametrize("name", [*map(str, range(len(DEPOSITS))), "digests"])
@pytest.mark.parametrize("left", [b"c", b"d"])
def test_what_is_damaged_is_fetched_anew(
    folder: DepositFolder, collection: Collection, platform: Platform, name: str, left: bytes
) -> None:
    fetched(folder, collection, DEPOSITS)
    (folder.place(collection.digest) / name).write_bytes(left)

    fetched(folder, collection, DEPOSITS)

    assert files(folder, collection) == DEPOSITS
    assert folder.digests(collection.digest) == [sha256(d).digest() for d in DEPOSITS]
    assert platform.asked == 2


def test_a_fetch_that_is_given_up_ends_the_call_and_leaves_nothing(
    folder: DepositFolder, collection: Collection, platform: Platform
) -> None:
    """The next fetch does not begin before the thread of this one has ended."""
    platform.stops_at = 2

    async def given_up() -> None:
        fetching = asyncio.ensure_future(
            folder.fetch(collection, count=4, listed=listed(collection, DEPOSITS))
        )
        await asyncio.to_thread(platform.stopped.wait, 20)
        fetching.cancel()
        await asyncio.wait([fetching], timeout=20)
        assert fetching.cancelled()
        assert list(folder.place(collection.digest).parent.iterdir()) == []

    asyncio.run(given_up())

    platform.stops_at = None
    fetched(folder, collection, DEPOSITS)
    assert files(folder, collection) == DEPOSITS


def test_the_disk_is_not_filled(
    folder: DepositFolder,
    collection: Collection,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ProtocolError, match="at most"):
        asyncio.run(folder.fetch(collection, count=MAX_DEPOSITS + 1, listed=bytes(32)))
    monkeypatch.setattr(deposit_folder, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(RefusedError, match="has no room for 4 deposits"):
        fetched(folder, collection, DEPOSITS)
    assert platform.asked == 0


def test_what_is_over_goes(
    folder: DepositFolder, collection: Collection, platform: Platform
) -> None:
    fetched(folder, collection, DEPOSITS)
    place = folder.place(collection.digest)
    left = place.with_name(f"{place.name}.new")
    left.mkdir()

    folder.clean([collection.digest])
    assert list(place.parent.iterdir()) == [place]

    asyncio.run(folder.remove(collection.digest))
    asyncio.run(folder.remove(collection.digest))
    assert list(place.parent.iterdir()) == []
