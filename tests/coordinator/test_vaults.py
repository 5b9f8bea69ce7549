"""Vaults over TLS: each registry keeps its own, and researchers fetch what was approved."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served_platform import ServedPlatform, filed, head_of

from upcare_mpc._proto.upcare.vault.v1 import vault_pb2, vault_pb2_grpc
from upcare_mpc.coordinator import callers
from upcare_mpc.coordinator import vaults as module
from upcare_mpc.coordinator.vaults import Vault
from upcare_mpc.errors import DataError, InputError, LinkError, RefusedError
from upcare_mpc.link.calls import platform_channel
from upcare_mpc.link.certificates import Identity, new_authority
from upcare_mpc.link.statements import authorize_access
from upcare_mpc.link.vaults import KeptVault
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.objects import MAX_BLOCK_BYTES, MAX_SHELF_BYTES
from upcare_mpc.vault.store import LARGEST

SHELF = b"UVL1"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[ServedPlatform]:
    with ServedPlatform(tmp_path) as served:
        yield served


@pytest.fixture
def identity(platform: ServedPlatform) -> Identity:
    return platform.admit("de-a")


@pytest.fixture
def kept(platform: ServedPlatform, identity: Identity) -> Iterator[KeptVault]:
    with platform.kept_by(identity) as vault:
        yield vault


@pytest.fixture
def signing() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def block(number: int, length: int = 100) -> tuple[str, bytes]:
    content = b"UVB1" + number.to_bytes(4) * (length // 4)
    return name_of("block", content), content


# --- a registry's own vault -----------------------------------------------------------------------


def test_what_a_registry_puts_it_gets(kept: KeptVault, identity: Identity) -> None:
    objects = dict(block(number) for number in range(5))
    objects |= {name_of(kind, kind.encode()): kind.encode() for kind in LARGEST}
    for name, content in objects.items():
        kept.put(name, content)
    kept.settle()
    head = head_of(identity)
    kept.put(HEAD, head)

    assert sorted(kept.names()) == sorted([*objects, HEAD])
    assert {name: kept.get(name, at_most=1000) for name in objects} == objects
    assert kept.get(HEAD, at_most=MAX_HEAD_BYTES) == head
    name, content = block(1)
    assert kept.get(name, at_most=len(content) - 1) is None
    assert kept.get(name, at_most=2**64 - 1) == content
    assert kept.get(block(9)[0], at_most=1000) is None


def test_the_largest_objects_pass(kept: KeptVault) -> None:
    for kind, length in (("block", MAX_BLOCK_BYTES), ("shelf", MAX_SHELF_BYTES)):
        content = bytes(length)
        kept.put(name_of(kind, content), content)
        kept.settle()
        assert kept.get(name_of(kind, content), at_most=length) == content


def test_what_is_deleted_is_gone_once_settled_and_can_be_put_again(kept: KeptVault) -> None:
    for number in range(3):
        kept.put(*block(number))
    kept.settle()
    for number in (0, 1, 9):  # the last was never there
        kept.delete(block(number)[0])
    kept.put(*block(1))
    kept.settle()

    assert sorted(kept.names()) == sorted(block(number)[0] for number in (1, 2))


def test_an_upload_that_begins_again_before_it_has_settled_settles(kept: KeptVault) -> None:
    for _ in range(2):
        kept.put(*block(0))
        kept.put(*block(1))
    kept.delete(block(1)[0])
    kept.settle()

    assert kept.names() == [block(0)[0]]


def test_many_names_are_listed_and_deleted_in_parts(
    kept: KeptVault, platform: ServedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NAMES", 7)
    monkeypatch.setattr("upcare_mpc.link.vaults.MAX_DELETED", 6)
    for number in range(20):
        kept.put(*block(number))
    kept.settle()

    assert sorted(kept.names()) == sorted(block(number)[0] for number in range(20))
    for number in range(20):
        kept.delete(block(number)[0])
    assert len(list((platform.vaults / "de-a").iterdir())) == 2  # the last two wait to be gathered
    assert kept.names() == []


def test_no_registry_reaches_anothers(kept: KeptVault, platform: ServedPlatform) -> None:
    kept.put(*block(0))
    kept.settle()
    with platform.kept_by(platform.admit("fr-a")) as other:
        assert other.names() == []
        assert other.get(block(0)[0], at_most=1000) is None
        other.delete(block(0)[0])
        other.settle()

    assert kept.names() == [block(0)[0]]
    assert (platform.vaults / "de-a").stat().st_mode & 0o777 == 0o700


def test_an_upload_that_is_cut_goes_on_behind_what_has_arrived(
    identity: Identity, platform: ServedPlatform, kept: KeptVault
) -> None:
    for number in range(3):
        kept.put(*block(number))
    kept.settle()
    kept.put(*block(3))  # and the platform is gone before it settles

    again = Vault(platform.vaults / "de-a", "de-a", room=10**9)
    assert sorted(again.names()) == sorted(block(number)[0] for number in range(3))
    again.put(*block(3), identity.certificate_pem)
    again.settle()
    assert len(again.names()) == 4
    assert not list((platform.vaults / "de-a").glob("*.new"))


# --- what a registry may not put ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "x", "../head", "HEAD", "0" * 63, "A" * 64, "head\n"])
def test_what_is_no_name_is_refused_here_and_there(
    kept: KeptVault, tmp_path: Path, name: str
) -> None:
    for call in (
        lambda: kept.put(name, b""),
        lambda: kept.get(name, at_most=1),
        lambda: kept.delete(name),
    ):
        with pytest.raises(InputError, match="64 hexadecimal digits, or head"):
            call()
    vault = Vault(tmp_path / "vault", "de-a", room=10**9)
    for write in (
        lambda: vault.put(name, b"", b""),
        lambda: vault.get(name, at_most=1),
        lambda: vault.delete([name]),
    ):
        with pytest.raises(InputError, match="64 hexadecimal digits, or head"):
            write()


def test_content_that_the_name_does_not_fit_is_refused(kept: KeptVault) -> None:
    name, content = block(0)
    for bad in (content + b"\0", content[:-1], b"", block(1)[1]):
        with pytest.raises(RefusedError, match="an object of a vault is named by what it holds"):
            kept.put(name, bad)
    large = bytes(LARGEST["sheet"] + 1)
    with pytest.raises(RefusedError, match="an object of a vault is named by what it holds"):
        kept.put(name_of("sheet", large), large)  # no sheet is so large
    kept.settle()
    assert kept.names() == []


def test_a_head_is_the_registrys_own(
    kept: KeptVault, platform: ServedPlatform, identity: Identity
) -> None:
    good = head_of(identity)
    fr_a = platform.admit("fr-a")
    for head, text in (
        (head_of(identity, registry="fr-a"), "de-a brings an edition of fr-a"),
        (head_of(fr_a), "de-a brings an edition of fr-a"),
        (head_of(fr_a, registry="de-a"), "a signature is not the named party's"),
        (good[:-1], "ends too soon"),
        (good + b"\0", "bytes behind its end"),
        (good[:-1] + bytes([good[-1] ^ 1]), "a signature is not the named party's"),
        (b"", "another kind or version"),
        (b"UVH1" + b"\xff" * 100, "too long"),
    ):
        with pytest.raises(RefusedError, match=text):
            kept.put(HEAD, head)
    assert kept.get(HEAD, at_most=MAX_HEAD_BYTES) is None


def test_a_head_does_not_go_back(kept: KeptVault, identity: Identity) -> None:
    second = head_of(identity, 2)
    kept.put(HEAD, second)
    kept.put(HEAD, second)

    with pytest.raises(RefusedError, match="edition 2 is here; edition 1 is older"):
        kept.put(HEAD, head_of(identity, 1))
    with pytest.raises(RefusedError, match="another edition 2 is here already"):
        kept.put(HEAD, head_of(identity, 2))
    assert kept.get(HEAD, at_most=MAX_HEAD_BYTES) == second
    kept.put(HEAD, head_of(identity, 3))


def test_a_head_that_is_there_stays_when_the_certificate_is_renewed(
    platform: ServedPlatform, kept: KeptVault, identity: Identity
) -> None:
    head = head_of(identity)
    kept.put(HEAD, head)

    with platform.kept_by(platform.admit("de-a")) as renewed:
        renewed.put(HEAD, head)


def test_the_head_is_not_deleted(kept: KeptVault, identity: Identity) -> None:
    kept.put(HEAD, head_of(identity))
    kept.delete(HEAD)

    with pytest.raises(RefusedError, match="and no head"):
        kept.settle()


def test_a_vault_has_its_room_and_no_more(tmp_path: Path) -> None:
    vault = Vault(tmp_path, "de-a", room=5 * 4096)
    for number in range(4):
        assert vault.put(*block(number), b"")
    assert vault.put(*block(0), b"")  # is being put already
    assert vault.put(*block(5), b"")
    vault.settle()
    assert vault.put(*block(0), b"")  # is there
    assert not vault.put(*block(6), b"")
    vault.settle()
    assert not vault.put(*block(6), b"")
    vault.delete([block(0)[0]])
    vault.settle()
    large = block(7, 4097)
    assert not vault.put(*large, b"")  # one byte more than is left
    assert vault.put(*block(6), b"")


def test_a_vault_that_is_full_says_so(
    platform: ServedPlatform, kept: KeptVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(*block(0))
    monkeypatch.setattr(Vault, "_bytes_taken", lambda _: 10**9)

    with pytest.raises(RefusedError, match="the vault of this registry is full"):
        kept.put(*block(1))


def test_keeping_is_for_registries_of_the_network(platform: ServedPlatform) -> None:
    strangers = new_authority("test", now=datetime.now(UTC))
    with (
        platform.kept_by(platform.admit("de-a", authority=strangers)) as stranger,
        pytest.raises(LinkError),
    ):
        stranger.names()
    with platform.kept_by(platform.admit("platform", role="platform")) as itself:
        for call in (
            itself.names,
            itself.settle,
            lambda: itself.put(*block(0)),
            lambda: itself.get(HEAD, at_most=1),
        ):
            with pytest.raises(RefusedError, match="the certificate is not a registry's"):
                call()
    assert not platform.vaults.exists() or not list(platform.vaults.iterdir())


# --- fetching -------------------------------------------------------------------------------------


@pytest.fixture
def topic(platform: ServedPlatform, signing: Ed25519PrivateKey) -> bytes:
    with platform.of_researcher(signing) as board:
        return board.file(bytes(filed(signing)))


@pytest.fixture
def approved(platform: ServedPlatform, identity: Identity, kept: KeptVault, topic: bytes) -> bytes:
    """A request that de-a has approved; its vault has three blocks and a head."""
    for number in range(3):
        kept.put(*block(number))
    kept.settle()
    kept.put(HEAD, head_of(identity))
    with platform.of_registry(identity) as board:
        board.post(topic, "approval", b"yes")
    return topic


def notes(platform: ServedPlatform, topic: bytes) -> list[bytes]:
    return [p.content for p in platform.board.read(topic) if p.kind == "fetch"]


def test_a_researcher_fetches_what_was_approved(
    platform: ServedPlatform, identity: Identity, signing: Ed25519PrivateKey, approved: bytes
) -> None:
    with platform.fetched_by(signing, approved) as vault:
        assert vault.get(HEAD, at_most=MAX_HEAD_BYTES) == vault.head
        assert vault.get(HEAD, at_most=3) is None
        for number in (2, 0, 0):
            name, content = block(number)
            assert vault.get(name, at_most=1000) == content
            assert vault.get(name, at_most=3) is None
        assert vault.get(block(9)[0], at_most=1000) is None
        vault.settle()
        for call in (lambda: vault.put(*block(0)), lambda: vault.delete(HEAD), vault.names):
            with pytest.raises(DataError):
                call()
        with pytest.raises(InputError):
            vault.get("../head", at_most=1)


def test_a_fetch_is_noted_once_an_edition_before_anything_is_given(
    platform: ServedPlatform,
    identity: Identity,
    kept: KeptVault,
    signing: Ed25519PrivateKey,
    approved: bytes,
) -> None:
    for _ in range(2):
        with platform.fetched_by(signing, approved):
            assert notes(platform, approved) == [b'{"edition":1,"registry":"de-a"}']
    kept.put(HEAD, head_of(identity, 2))
    with platform.fetched_by(signing, approved):
        assert notes(platform, approved)[1:] == [b'{"edition":2,"registry":"de-a"}']


def test_nothing_is_given_that_cannot_be_noted(
    platform: ServedPlatform,
    signing: Ed25519PrivateKey,
    approved: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("upcare_mpc.storage.board.MAX_PAPERS", 2)

    with pytest.raises(RefusedError, match="the topic is full"):
        platform.fetched_by(signing, approved).__enter__()


def test_what_was_not_approved_is_not_given(
    platform: ServedPlatform, identity: Identity, signing: Ed25519PrivateKey, topic: bytes
) -> None:
    def fetch(registry: str = "de-a", key: Ed25519PrivateKey = signing) -> None:
        with platform.fetched_by(key, topic, registry=registry):
            raise AssertionError("was let in")

    with pytest.raises(RefusedError, match="the registry has not approved this request"):
        fetch()
    with platform.of_registry(platform.admit("fr-a")) as board:
        board.post(topic, "approval", b"yes")  # for its own records
        board.post(topic, "refusal", b"no")
    for registry in ("", "../de-a", "platform"):
        with pytest.raises(RefusedError, match="not for the records of this registry"):
            fetch(registry)
    with pytest.raises(RefusedError, match="fr-a has no sealed records here"):
        fetch("fr-a")
    with pytest.raises(RefusedError, match="this researcher has not filed such a request"):
        fetch(key=Ed25519PrivateKey.generate())
    assert notes(platform, topic) == []


def test_a_registry_that_approves_for_the_committee_alone_gives_no_records(
    platform: ServedPlatform, signing: Ed25519PrivateKey, topic: bytes
) -> None:
    member = platform.admit("de-b")  # the request is for de-a and fr-a
    with platform.kept_by(member) as vault:
        vault.put(HEAD, head_of(member))
    with platform.of_registry(member) as board:
        board.post(topic, "approval", b"yes")

    with (
        pytest.raises(RefusedError, match="the request is not for the records of this registry"),
        platform.fetched_by(signing, topic, registry="de-b"),
    ):
        raise AssertionError("was let in")
    assert notes(platform, topic) == []


def raw(platform: ServedPlatform, messages: list[vault_pb2.FetchRequest]) -> tuple[list[Any], str]:
    """What comes back, and how it ends."""
    with platform_channel(platform.researchers, platform.network) as channel:
        call = vault_pb2_grpc.FetchingStub(channel).Fetch(iter(messages), timeout=10)
        answers: list[Any] = []
        try:
            answers.extend(call)
        except grpc.RpcError as error:
            return answers, f"{error.code().name}: {error.details()}"
    return answers, "ended"


def begin(
    topic: bytes, signing: Ed25519PrivateKey, registry: str = "de-a", method: str = "fetch de-a"
) -> vault_pb2.FetchRequest:
    authorization = authorize_access(topic, method, signing, now=time.time())
    return vault_pb2.FetchRequest(
        begin=vault_pb2.Begin(authorization=authorization, registry=registry)
    )


def test_a_fetch_keeps_to_its_form(
    platform: ServedPlatform, signing: Ed25519PrivateKey, approved: bytes
) -> None:
    get = vault_pb2.FetchRequest(get=vault_pb2.GetRequest(name=block(0)[0], at_most=1000))
    head = vault_pb2.FetchRequest(get=vault_pb2.GetRequest(name=HEAD, at_most=1000))
    odd = vault_pb2.FetchRequest(get=vault_pb2.GetRequest(name="../head", at_most=1000))
    start = begin(approved, signing)

    for first in ([], [get], [vault_pb2.FetchRequest()]):
        assert raw(platform, first) == ([], "INVALID_ARGUMENT: a fetch begins with Begin")
    answers, end = raw(platform, [start, get])
    assert ([a.found for a in answers], end) == ([True, True], "ended")
    for second in (start, head, vault_pb2.FetchRequest()):
        answers, end = raw(platform, [start, second])
        assert len(answers) == 1
        assert end.startswith("INVALID_ARGUMENT: after Begin, objects are asked for by name")
    assert raw(platform, [start, odd])[1].startswith("NOT_FOUND: vault: an object is named by")
    swapped = begin(approved, signing, registry="fr-a")
    assert raw(platform, [swapped])[1].startswith("UNAUTHENTICATED: the authorization is for")
    follow = begin(approved, signing, method="follow")
    assert raw(platform, [follow])[1].startswith("UNAUTHENTICATED: the authorization is for")


def test_a_few_fetches_of_one_request_run_at_once(
    platform: ServedPlatform, signing: Ed25519PrivateKey, approved: bytes
) -> None:
    running = [platform.fetched_by(signing, approved).__enter__() for _ in range(4)]

    with pytest.raises(RefusedError, match="4 fetches of this request are running already"):
        platform.fetched_by(signing, approved).__enter__()
    running.pop().__exit__()
    deadline = time.monotonic() + 5
    while True:
        try:
            running.append(platform.fetched_by(signing, approved).__enter__())
            break
        except RefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    for vault in running:
        vault.__exit__()


def asked_after(gap: float, messages: list[Any]) -> Iterator[Any]:
    for message in messages:
        yield message
        time.sleep(gap)


def test_a_caller_who_asks_nothing_more_is_let_go(
    platform: ServedPlatform,
    signing: Ed25519PrivateKey,
    approved: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callers, "STALL_S", 0.3)
    with platform_channel(platform.researchers, platform.network) as channel:
        call = vault_pb2_grpc.FetchingStub(channel).Fetch(
            asked_after(3, [begin(approved, signing)]), timeout=30
        )
        assert next(call).found
        with pytest.raises(grpc.RpcError, match=r"nothing moved for 0\.3 s"):
            next(call)


def test_a_caller_who_takes_nothing_is_let_go(
    platform: ServedPlatform,
    kept: KeptVault,
    signing: Ed25519PrivateKey,
    approved: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, content = block(1, 4 << 20)
    kept.put(name, content)
    kept.settle()
    monkeypatch.setattr(callers, "STALL_S", 0.5)
    get = vault_pb2.FetchRequest(get=vault_pb2.GetRequest(name=name, at_most=8 << 20))
    with platform_channel(platform.researchers, platform.network) as channel:
        call = vault_pb2_grpc.FetchingStub(channel).Fetch(
            iter([begin(approved, signing), *[get] * 40]), timeout=30
        )
        assert next(call).found
        time.sleep(2)  # more is on its way than the connection holds
        with pytest.raises(grpc.RpcError, match=r"nothing moved for 0\.5 s"):
            list(call)


def test_a_disk_that_fails_is_said_without_its_paths_and_the_upload_begins_again(
    platform: ServedPlatform, kept: KeptVault
) -> None:
    kept.put(*block(0))
    for path in (platform.vaults / "de-a").iterdir():
        path.unlink()  # as if it had never been written

    with pytest.raises(RefusedError, match=r"^the vault cannot be written$"):
        kept.settle()
    kept.put(*block(0))
    kept.settle()
    assert kept.names() == [block(0)[0]]
