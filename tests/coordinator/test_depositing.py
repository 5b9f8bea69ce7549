"""Deposits over TLS: who may bring what, once, and who may fetch it when."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from cryptography import x509
from depositing_world import HOLDERS, World, until
from made_deposits import NOW, Patient, table_of
from registries import counts
from served_platform import ServedPlatform

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2, deposit_pb2_grpc
from upcare_mpc.coordinator import callers
from upcare_mpc.coordinator import depositing as module
from upcare_mpc.deposits.envelopes import most_bytes
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import Ticket
from upcare_mpc.errors import LinkError, RefusedError
from upcare_mpc.link.calls import platform_channel, registry_channel
from upcare_mpc.link.certificates import new_authority, verify_signature
from upcare_mpc.link.deposits import Depositor, Holder
from upcare_mpc.storage import deposits as storage
from upcare_mpc.study.spec import Study


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ServedPlatform(tmp_path, deposit_room=1 << 20) as served:
        yield World(served)


# --- what may be deposited ------------------------------------------------------------------------


def test_a_deposit_is_kept_as_it_came_and_the_platform_signs_for_it(world: World) -> None:
    encoded = world.answers()

    receipt = world.bring(encoded)

    assert (world.folder / "0").read_bytes() == encoded
    assert receipt.place == 0
    assert receipt.deposit == hashlib.sha256(encoded).digest()
    assert receipt.collection == world.collection.digest
    assert abs(receipt.time - time.time()) < 60
    with world.depositor() as depositor:
        described = depositor.describe(world.collection.digest)
    signer = x509.load_pem_x509_certificate(described.platform.encode())
    verify_signature(signer, receipt.statement(), receipt.signature)


def test_a_registry_deposits_its_table_on_either_port(world: World) -> None:
    identity = world.identity("fr-a")
    encoded = table_of(identity, world.collection).to_bytes()

    with Depositor(registry_channel(world.platform.registries, identity)) as depositor:
        receipt = depositor.deposit(world.collection.digest, encoded)

    assert world.bring(encoded).to_bytes() == receipt


def test_deposits_have_places_in_the_order_in_which_they_came(world: World) -> None:
    assert [world.bring(world.answers()).place for _ in range(3)] == [0, 1, 2]


def test_the_same_deposit_again_gets_the_same_receipt_even_when_closed(world: World) -> None:
    encoded = world.answers()
    first = world.bring(encoded)
    world.bring(world.answers())

    assert world.bring(encoded) == first
    world.platform.deposits.close(world.collection.digest)
    assert world.bring(encoded) == first
    assert world.files() == ["0", "1"]


def test_one_submitter_deposits_once_and_the_first_counts(world: World) -> None:
    patient, registry = Patient(), world.identity("de-a")
    first, second = (
        patient.answers(registry, world.collection, payload).to_bytes() for payload in (b"1", b"2")
    )
    world.bring(first)

    with pytest.raises(RefusedError, match="has deposited already, something else"):
        world.bring(second)

    assert (world.folder / "0").read_bytes() == first
    assert world.files() == ["0"]


def test_a_deposit_of_another_collection_is_refused(world: World) -> None:
    other = world.opened()
    encoded = world.answers(other)

    with pytest.raises(RefusedError, match="the deposit is for another collection"):
        world.bring(encoded)

    assert world.bring(encoded, other).place == 0
    assert world.files() == []


def test_nobody_deposits_without_a_ticket_of_a_registry_that_vouches(world: World) -> None:
    patient, collection = Patient(), world.collection
    stolen = patient.ticket(world.identity("de-a"), collection).to_bytes()
    foreign = new_authority("other", now=module.datetime.datetime.now(module.datetime.UTC))
    stranger = world.platform.admit("de-a", authority=foreign)
    elsewhere = world.opened()
    cases = {
        "does not vouch": patient.answers(world.identity("de-b"), collection),
        "of another network": patient.answers(stranger, collection),
        "stolen": Patient().answers(world.identity("de-a"), collection, ticket=stolen),
        "of another collection": patient.answers(
            world.identity("de-a"),
            collection,
            ticket=patient.ticket(world.identity("de-a"), elsewhere).to_bytes(),
        ),
        "no depositor": table_of(world.identity("de-b"), collection),
    }
    for deposit in cases.values():
        with pytest.raises(RefusedError, match=r"ticket|network|deposits nothing"):
            world.bring(deposit.to_bytes())
    altered = bytearray(world.answers())
    altered[-1] ^= 1
    with pytest.raises(RefusedError, match="not signed by its submitter"):
        world.bring(bytes(altered))
    assert world.files() == []


def test_bytes_that_are_no_deposit_are_refused(world: World) -> None:
    for encoded in (b"x", b"UDP1", world.answers()[:-1], world.answers() + b"x"):
        with pytest.raises(RefusedError):
            world.bring(encoded)
    assert world.files() == []


# --- when, and how much ---------------------------------------------------------------------------


def test_nothing_longer_than_a_deposit_of_this_collection_is_taken(world: World) -> None:
    most = most_bytes(world.collection)
    around = len(world.answers(payload=b""))
    assert world.bring(world.answers(payload=bytes(most - around - 16))).place == 0

    for length in (most + 1, 5 * most):
        status = upload(world, piece=world.answers(payload=bytes(length)))
        assert status == "RESOURCE_EXHAUSTED"
    assert world.files() == ["0"]


def test_the_largest_deposit_arrives_in_pieces(world: World, tmp_path: Path) -> None:
    large = world.opened(cells=100_000)
    payload = bytes(most_bytes(large) - (12 << 10))
    room = world.platform.deposits
    room._room = 1 << 30

    encoded = world.answers(large, payload=payload)

    assert len(encoded) > 2 << 20
    world.bring(encoded, large)
    assert room.read(large.digest, 0) == encoded


def test_after_its_end_a_collection_takes_nothing(world: World) -> None:
    ended = world.opened(closes=NOW - 1)
    with pytest.raises(RefusedError, match="this collection is closed"):
        world.bring(world.answers(ended), ended)

    world.platform.deposits.close(world.collection.digest)
    with pytest.raises(RefusedError, match="this collection is closed"):
        world.bring(world.answers())


def test_a_full_collection_takes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_DEPOSITS", 2)
    for _ in range(2):
        world.bring(world.answers())

    with pytest.raises(RefusedError, match="has 2 deposits, and takes no more"):
        world.bring(world.answers())


def test_a_full_platform_takes_nothing_until_a_collection_is_over(world: World) -> None:
    length = len(world.answers())
    other = world.opened()
    world.bring(world.answers(other), other)
    world.platform.deposits._room = 2 * length + 20  # signatures differ by a few bytes
    world.bring(world.answers())
    with pytest.raises(RefusedError, match="no room"):
        world.bring(world.answers())

    world.platform.deposits.end(other.digest)

    assert world.bring(world.answers()).place == 1


def stub(world: World) -> Any:
    channel = platform_channel(world.platform.researchers, world.platform.network)
    return channel, deposit_pb2_grpc.DepositingStub(channel)


def upload(world: World, *, piece: bytes, then: Any = None) -> str:
    """Bring one piece, then whatever comes; return the status."""

    def pieces() -> Iterator[Any]:
        yield deposit_pb2.DepositRequest(collection=world.collection.digest, piece=piece)
        if then is not None:
            yield from then()

    channel, calls = stub(world)
    with channel:
        try:
            calls.Deposit(pieces(), timeout=10)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]
    return "OK"


def one(**fields: Any) -> Any:
    return lambda: iter([deposit_pb2.DepositRequest(**fields)])


def test_pieces_are_bounded_and_none_is_empty(world: World) -> None:
    world.platform.deposits._room = 1 << 30
    assert upload(world, piece=b"") == "INVALID_ARGUMENT"
    encoded = world.answers()
    first, last = encoded[:-9], encoded[-9:]
    assert upload(world, piece=first, then=one()) == "INVALID_ARGUMENT"
    again = one(collection=world.collection.digest, piece=last)
    assert upload(world, piece=first, then=again) == "INVALID_ARGUMENT"
    assert upload(world, piece=world.answers()[:-9], then=one(piece=b"x")) == "INVALID_ARGUMENT"
    long = encoded + bytes((1 << 20) + 1 - len(encoded))
    assert upload(world, piece=long) == "INVALID_ARGUMENT"
    assert world.files() == []
    assert upload(world, piece=first, then=one(piece=last)) == "OK"


def test_the_first_piece_says_who_deposits(world: World) -> None:
    """All that stands before the payload has to be in it."""
    patient, registry = Patient(), world.identity("de-a")
    encoded = patient.answers(registry, world.collection, b"payload").to_bytes()
    before = encoded.index(b"payload") - 4

    assert upload(world, piece=encoded[: before - 1], then=one(piece=encoded[before - 1 :])) == (
        "INVALID_ARGUMENT"
    )
    assert upload(world, piece=encoded[:before], then=one(piece=encoded[before:])) == "OK"


class Uploads:
    """Uploads that have begun and do not go on until the test is over."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._go_on = threading.Event()
        self._threads: list[threading.Thread] = []
        self.ended: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        for thread in self._threads:
            thread.join(10)

    def begin(self, first: bytes, channel: Any = None) -> None:
        """Bring the first bytes of a deposit and no more."""
        thread = threading.Thread(target=self._bring, args=(first, channel))
        self._threads.append(thread)
        thread.start()

    def _bring(self, first: bytes, channel: Any) -> None:
        def pieces() -> Iterator[Any]:
            if first:
                digest = self.world.collection.digest
                yield deposit_pb2.DepositRequest(collection=digest, piece=first)
            self._go_on.wait(10)

        platform = self.world.platform
        with channel or platform_channel(platform.researchers, platform.network) as opened:
            try:
                deposit_pb2_grpc.DepositingStub(opened).Deposit(pieces(), timeout=10)
            except grpc.RpcError as error:
                self.ended.append(error.code().name)  # type: ignore[attr-defined]


@pytest.fixture
def uploads(world: World) -> Iterator[Uploads]:
    with Uploads(world) as made:
        yield made


def begun(world: World, patient: Patient | None = None) -> bytes:
    """A patient's deposit without its end."""
    return (patient or Patient()).answers(world.identity("de-a"), world.collection).to_bytes()[:-1]


def test_an_upload_that_stalls_ends(
    world: World, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "STALL_S", 0.5)
    uploads.begin(begun(world))
    until(lambda: bool(uploads.ended))

    assert uploads.ended == ["DEADLINE_EXCEEDED"]
    assert world.files() == []


def test_an_upload_that_trickles_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UPLOAD_S", 0.5)

    def then() -> Iterator[Any]:
        for _ in range(100):
            time.sleep(0.05)
            yield deposit_pb2.DepositRequest(piece=b"x")

    assert upload(world, piece=begun(world), then=then) == "DEADLINE_EXCEEDED"
    assert world.files() == []


def test_a_patient_has_two_places_for_uploads(world: World, uploads: Uploads) -> None:
    patient = Patient()
    for _ in range(2):
        uploads.begin(begun(world, patient))
    until(lambda: len(world.arriving()) == 2)

    encoded = patient.answers(world.identity("de-a"), world.collection).to_bytes()
    with pytest.raises(RefusedError, match="too many deposits are on their way"):
        world.bring(encoded)
    assert world.bring(world.answers()).place == 0


def test_patients_have_so_many_places_together_and_registries_others(
    world: World, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UPLOADS", 2)
    monkeypatch.setattr(module, "MAX_UPLOADS_A_REGISTRY", 1)
    for _ in range(2):
        uploads.begin(begun(world))
    until(lambda: len(world.arriving()) == 2)
    with pytest.raises(RefusedError, match="too many deposits are on their way"):
        world.bring(world.answers())

    def registry(name: str) -> Any:
        return registry_channel(world.platform.registries, world.identity(name))

    uploads.begin(begun(world), registry("de-b"))
    until(lambda: len(world.arriving()) == 3)
    digest = world.collection.digest
    with (
        Depositor(registry("de-b")) as busy,
        pytest.raises(RefusedError, match="too many deposits are on their way"),
    ):
        busy.deposit(digest, world.answers())
    with Depositor(registry("fr-a")) as free:
        table = table_of(world.identity("fr-a"), world.collection).to_bytes()
        assert Receipt.from_bytes(free.deposit(digest, table)).place == 0
        assert Receipt.from_bytes(free.deposit(digest, world.answers())).place == 1


def test_strangers_who_send_slowly_have_no_place_and_keep_nobody_waiting(
    world: World, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing at all, the beginning of a deposit, a forged ticket, somebody else's place."""
    monkeypatch.setattr(module, "MAX_UPLOADS", 1)
    registry = world.identity("de-a")
    complete = Patient().answers(registry, world.collection)
    forged = replace(Ticket.from_bytes(complete.ticket), signature=bytes(70)).to_bytes()
    posing = table_of(world.identity("de-b"), world.collection).to_bytes()
    for first in (b"", complete.to_bytes()[:40], replace(complete, ticket=forged).to_bytes()[:-1]):
        for _ in range(3):
            uploads.begin(first)
    until(lambda: len(uploads.ended) == 6)
    assert uploads.ended == ["INVALID_ARGUMENT"] * 6  # the others have said nothing yet
    assert world.bring(world.answers()).place == 0
    assert world.arriving() == []

    uploads.begin(posing[:-1], registry_channel(world.platform.registries, registry))
    until(lambda: len(world.arriving()) == 1)
    assert world.bring(world.answers()).place == 1


def test_registries_that_come_without_their_certificate_share_two_places(
    world: World, uploads: Uploads
) -> None:
    table = table_of(world.identity("fr-a"), world.collection).to_bytes()
    for _ in range(2):
        uploads.begin(table[:-1])
    until(lambda: len(world.arriving()) == 2)

    with pytest.raises(RefusedError, match="too many deposits are on their way"):
        world.bring(table)
    channel = registry_channel(world.platform.registries, world.identity("fr-a"))
    with Depositor(channel) as depositor:
        assert depositor.deposit(world.collection.digest, table)


# --- what is said about collections ---------------------------------------------------------------


def test_whoever_asks_hears_what_takes_deposits_newest_first(world: World) -> None:
    newer, dealing, ended = world.opened(), world.dealing(), world.opened(closes=NOW - 1)
    with world.depositor() as depositor:
        listed = depositor.open()
        assert [c.collection for c in listed] == [newer.canonical(), world.collection.canonical()]
        assert Study.from_canonical(listed[0].study).title.startswith("Study")
        described = depositor.describe(world.collection.digest)
        assert not depositor.describe(ended.digest).open
        for digest in (dealing.digest, bytes(32), b"", b"x"):
            with pytest.raises(RefusedError, match="no such collection"):
                depositor.describe(digest)
            with pytest.raises(RefusedError, match="no such collection"):
                depositor.deposit(digest, b"x")

    assert described.open
    assert described.collection == world.collection.canonical()
    assert list(described.keys) == [name.encode() for name in HOLDERS]
    assert [c.encode() for c in described.certificates] == [
        world.identity(name).certificate_pem for name in HOLDERS
    ]


def test_a_list_that_would_not_fit_a_message_is_cut(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = world.opened()
    size = len(newest.canonical()) + len(counts(f"Study {time.monotonic_ns()}").canonical())
    monkeypatch.setattr(storage, "_LISTED_BYTES", size + size // 2)

    with world.depositor() as depositor:
        assert [c.collection for c in depositor.open()] == [newest.canonical()]


# --- holders --------------------------------------------------------------------------------------


def test_holders_fetch_everything_in_order_once_it_is_closed(world: World) -> None:
    brought = [world.answers(payload=bytes([n]) * 9) for n in range(4)]
    for encoded in brought:
        world.bring(encoded)
    with pytest.raises(RefusedError, match="not closed yet"):
        world.fetched(count=4)

    world.platform.deposits.close(world.collection.digest)

    assert world.fetched(count=4) == brought
    assert world.fetched("de-c", count=4, first=2) == brought[2:]
    assert world.fetched(count=0) == []


def test_a_deposit_of_many_pieces_comes_whole(world: World) -> None:
    world.platform.deposits._room = 1 << 30
    world.collection = world.opened(cells=100_000)
    encoded = world.answers(payload=bytes(2_300_000))
    world.bring(encoded)
    world.platform.deposits.close(world.collection.digest)

    with Holder(world.platform.registries, world.identity("de-a")) as holder:
        fetched = holder.fetch(world.collection.digest, count=1, at_most=len(encoded))
        assert list(fetched) == [encoded]


def test_nobody_else_fetches(world: World) -> None:
    world.bring(world.answers())
    world.platform.deposits.close(world.collection.digest)

    with pytest.raises(RefusedError, match="no such collection"):
        world.fetched("fr-a", count=1)
    world.identity("platform", role="platform")
    with pytest.raises(RefusedError, match="not a registry's"):
        world.fetched("platform", count=1)
    stranger = new_authority("other", now=module.datetime.datetime.now(module.datetime.UTC))
    identity = world.platform.admit("de-a", authority=stranger)
    with (
        Holder(world.platform.registries, identity) as holder,
        pytest.raises(LinkError),
    ):
        list(holder.fetch(world.collection.digest, count=1, at_most=1 << 20))


def test_a_lost_file_is_said_in_words(world: World) -> None:
    world.bring(world.answers())
    world.platform.deposits.close(world.collection.digest)
    (world.folder / "0").unlink()

    with pytest.raises(RefusedError, match="has lost a deposit"):
        world.fetched(count=1)
