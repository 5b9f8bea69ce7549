"""Story: strangers, a greedy registry and a curious researcher lean on the platform's board.

Registries come to the board over mutual TLS, researchers with a signature; both reach one process
that also keeps the vaults. What could one gain by what it leaves there? Speak as another, read what
is another's, open a vault without its registry's word, or fill the disk and silence the others.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served_platform import ServedPlatform, filed, head_of

from upcare_mpc._proto.upcare.board.v1 import board_pb2, board_pb2_grpc
from upcare_mpc._proto.upcare.vault.v1 import vault_pb2, vault_pb2_grpc
from upcare_mpc.abe.request import approval_statement
from upcare_mpc.access.papers import SignedApproval
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError
from upcare_mpc.link.board import RegistryBoard, ResearcherBoard
from upcare_mpc.link.calls import platform_channel, registry_channel
from upcare_mpc.link.certificates import Identity, new_authority
from upcare_mpc.link.signers import certifier
from upcare_mpc.storage import board as stored
from upcare_mpc.vault.edition import HEAD

CEREMONY = b"c" * 32


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[ServedPlatform]:
    with ServedPlatform(tmp_path) as served:
        yield served


@pytest.fixture
def de_a(platform: ServedPlatform) -> Identity:
    return platform.admit("de-a")


@pytest.fixture
def fr_a(platform: ServedPlatform) -> Identity:
    return platform.admit("fr-a")


@pytest.fixture
def signing() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def researcher(platform: ServedPlatform, signing: Ed25519PrivateKey) -> Iterator[ResearcherBoard]:
    with platform.of_researcher(signing) as board:
        yield board


def approval(identity: Identity, request: bytes, *, name: str) -> bytes:
    """A yes of ``name``, as ``identity`` signs it."""
    paper = SignedApproval(
        registry=name,
        request=request,
        signature=identity.sign(approval_statement(request, name)),
        certificate=identity.certificate_pem,
    )
    return bytes(paper)


# --- to speak as another --------------------------------------------------------------------------


def test_a_registry_that_approves_in_anothers_name_opens_nothing(
    platform: ServedPlatform,
    de_a: Identity,
    fr_a: Identity,
    researcher: ResearcherBoard,
    signing: Ed25519PrivateKey,
) -> None:
    topic = researcher.file(bytes(filed(signing)))
    with platform.kept_by(de_a) as vault:
        vault.put(HEAD, head_of(de_a))
    forged = approval(fr_a, topic, name="de-a")
    with platform.of_registry(fr_a) as board:
        board.post(topic, "approval", forged)

    # The platform notes down who brought it, and lets nobody in on it.
    assert [(p.sender, p.kind) for p in researcher.follow(topic, after=1)] == [("fr-a", "approval")]
    with pytest.raises(RefusedError, match="the registry has not approved this request"):
        platform.fetched_by(signing, topic, registry="de-a").__enter__()
    # Readers do not go by that: they check the signature, and whose certificate it is.
    certify = certifier(platform.network, now=datetime.now(UTC))
    with pytest.raises(ProtocolError, match="in the name of 'de-a' is signed by fr-a"):
        SignedApproval.from_bytes(forged, request=topic, certify=certify)
    own = approval(fr_a, topic, name="fr-a")
    assert SignedApproval.from_bytes(own, request=topic, certify=certify).registry == "fr-a"


def test_nobody_but_the_platform_says_that_something_was_fetched(
    platform: ServedPlatform,
    de_a: Identity,
    researcher: ResearcherBoard,
    signing: Ed25519PrivateKey,
) -> None:
    topic = researcher.file(bytes(filed(signing)))
    with platform.of_registry(de_a) as board:
        for kind in ("fetch", "filing"):
            with pytest.raises(RefusedError, match="registries leave papers of kind"):
                board.post(topic, kind, b'{"edition":1,"registry":"fr-a"}')

    assert [p.kind for p in researcher.follow(topic)] == ["filing"]


def test_a_request_is_not_filed_in_anothers_name(
    researcher: ResearcherBoard, signing: Ed25519PrivateKey
) -> None:
    victim = Ed25519PrivateKey.generate()
    hers = bytes(filed(victim))
    public, other = (key.public_key().public_bytes_raw() for key in (victim, signing))

    with pytest.raises(RefusedError, match="signed with another key than the requester's"):
        researcher.file(hers[: -4 - 64 - 32].removesuffix(public) + other + hers[-4 - 64 :])
    with pytest.raises(RefusedError, match="signature is not by the key it names"):
        researcher.file(hers[:-64] + bytes(64))


def test_a_topic_that_is_taken_stops_no_request(
    platform: ServedPlatform,
    de_a: Identity,
    researcher: ResearcherBoard,
    signing: Ed25519PrivateKey,
) -> None:
    # Whoever opens a ceremony names it. A registry cannot name one like a request that it has not
    # seen, and what it has seen is filed.
    filing = filed(signing)
    topic = researcher.file(bytes(filing))
    refused = pytest.raises(RefusedError, match="there is no ceremony of this name")
    with platform.of_registry(de_a) as board, refused:
        board.post(topic, "proposal", b"")

    assert researcher.file(bytes(filing)) == topic


# --- to come in -----------------------------------------------------------------------------------


def test_a_certificate_of_another_network_does_not_reach_the_board(
    platform: ServedPlatform,
) -> None:
    strangers = new_authority("test", now=datetime.now(UTC))
    stranger = platform.admit("de-a", authority=strangers)

    with platform.of_registry(stranger) as board:
        for call in (
            lambda: board.topics("request"),
            lambda: board.post(CEREMONY, "proposal", b""),
        ):
            with pytest.raises(LinkError):
                call()
    with platform.kept_by(stranger) as vault, pytest.raises(LinkError):
        vault.put(HEAD, b"")


def status(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value.code().name)


def test_the_researchers_port_has_no_registrys_services(platform: ServedPlatform) -> None:
    with platform_channel(platform.researchers, platform.network) as channel:
        board = board_pb2_grpc.BoardStub(channel)
        post = board_pb2.PostRequest(topic=CEREMONY, kind="proposal")
        assert status(lambda: board.Post(post, timeout=5)) == "UNIMPLEMENTED"
        keeping = vault_pb2_grpc.KeepingStub(channel)
        assert status(lambda: list(keeping.Names(vault_pb2.NamesRequest()))) == "UNIMPLEMENTED"


def test_the_registries_port_has_none_for_who_shows_no_certificate(
    platform: ServedPlatform, de_a: Identity
) -> None:
    with platform_channel(platform.registries, platform.network) as channel:
        board = board_pb2_grpc.BoardStub(channel)
        topics = board_pb2.TopicsRequest(kind=board_pb2.TOPIC_KIND_REQUEST)
        assert status(lambda: board.Topics(topics, timeout=5)) == "UNAVAILABLE"
    with registry_channel(platform.registries, de_a) as channel:
        filing = board_pb2_grpc.FilingStub(channel)
        ask = board_pb2.CeremoniesRequest()
        assert status(lambda: list(filing.Ceremonies(ask, timeout=5))) == "UNIMPLEMENTED"


# --- to fill it -----------------------------------------------------------------------------------


def test_what_is_too_large_or_no_message_leaves_the_board_as_it_was(
    platform: ServedPlatform, de_a: Identity
) -> None:
    with registry_channel(platform.registries, de_a) as channel:
        stub = board_pb2_grpc.BoardStub(channel)
        long = board_pb2.PostRequest(topic=CEREMONY, kind="proposal", content=bytes(1 << 20))
        assert status(lambda: stub.Post(long, timeout=20)) == "INVALID_ARGUMENT"
        raw = channel.unary_unary("/upcare.board.v1.Board/Post")
        assert status(lambda: raw(b"\xff" * 100, timeout=5)) in {"INTERNAL", "UNKNOWN"}
    mutual = grpc.ssl_channel_credentials(
        platform.network.ca_pem, de_a.key_pem, de_a.certificate_pem
    )
    options = [
        ("grpc.ssl_target_name_override", "platform.platform.upcare"),
        ("grpc.max_send_message_length", -1),
    ]
    with grpc.secure_channel(platform.registries, mutual, options=options) as channel:
        raw = channel.unary_unary("/upcare.board.v1.Board/Post")
        assert status(lambda: raw(bytes(17 << 20), timeout=20)) == "RESOURCE_EXHAUSTED"

    with platform.of_registry(de_a) as board:
        assert board.topics("ceremony") == []
        board.post(CEREMONY, "proposal", b"")


def test_a_registry_that_floods_a_topic_silences_nobody_else(
    platform: ServedPlatform, de_a: Identity, fr_a: Identity
) -> None:
    with platform.of_registry(de_a) as flooding, platform.of_registry(fr_a) as board:
        flooding.post(CEREMONY, "proposal", b"")
        refused = left(flooding, 100)

        assert refused == 100 - 63
        board.post(CEREMONY, "seat", b"mine")
        assert board.read(CEREMONY)[-1].sender == "fr-a"


def left(board: RegistryBoard, count: int) -> int:
    """How many of so many papers are refused."""
    refused = 0
    for number in range(count):
        try:
            board.post(CEREMONY, "seat", bytes([number]))
        except RefusedError as error:
            assert "the topic is full" in str(error)  # noqa: PT017 - counted below
            refused += 1
    return refused


def test_a_flood_of_requests_stops_new_ones_for_a_month_and_no_old_one(
    platform: ServedPlatform,
    de_a: Identity,
    researcher: ResearcherBoard,
    signing: Ed25519PrivateKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Keys cost nothing, so a key's hundred is no bound for whoever makes many.
    monkeypatch.setattr(stored, "MAX_REQUESTS", 10)
    hers = bytes(filed(signing))
    topic = researcher.file(hers)
    for _ in range(9):
        key = Ed25519PrivateKey.generate()
        with platform.of_researcher(key) as flooding:
            flooding.file(bytes(filed(key)))

    with pytest.raises(RefusedError, match="the board is full"):
        researcher.file(bytes(filed(signing)))
    assert researcher.file(hers) == topic
    with platform.of_registry(de_a) as board:
        board.post(topic, "approval", b"yes")
    assert [p.kind for p in researcher.follow(topic)] == ["filing", "approval"]


def test_a_caller_who_takes_nothing_holds_nobody_up(
    platform: ServedPlatform, de_a: Identity
) -> None:
    with platform.of_registry(de_a) as board:
        board.post(CEREMONY, "proposal", b"")
        for number in range(60):
            board.post(CEREMONY, "seat", bytes([number]) * (16 << 10))
        with registry_channel(platform.registries, de_a) as channel:
            stub = board_pb2_grpc.BoardStub(channel)
            asked = board_pb2.ReadRequest(topic=CEREMONY)
            stalled = [stub.Read(asked, timeout=30) for _ in range(20)]
            started = time.monotonic()
            assert len(board.read(CEREMONY)) == 61
            assert time.monotonic() - started < 10
            for call in stalled:
                call.cancel()
