"""The board over TLS: who may leave what, who may read it, and what stays out."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from served_platform import ServedPlatform, filed

from upcare_mpc._proto.upcare.board.v1 import board_pb2, board_pb2_grpc
from upcare_mpc.coordinator import board as module
from upcare_mpc.errors import InputError, LinkError, RefusedError
from upcare_mpc.link.board import MAX_PAPER_BYTES, RegistryBoard, ResearcherBoard
from upcare_mpc.link.calls import platform_channel, registry_channel
from upcare_mpc.link.certificates import new_authority
from upcare_mpc.link.statements import authorize_access
from upcare_mpc.storage.board import MAX_CEREMONY_BYTES

CEREMONY = b"c" * 32


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[ServedPlatform]:
    with ServedPlatform(tmp_path) as served:
        yield served


@pytest.fixture
def signing() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def de_a(platform: ServedPlatform) -> Iterator[RegistryBoard]:
    with platform.of_registry(platform.admit("de-a")) as board:
        yield board


@pytest.fixture
def researcher(platform: ServedPlatform, signing: Ed25519PrivateKey) -> Iterator[ResearcherBoard]:
    with platform.of_researcher(signing) as board:
        yield board


def test_registries_read_what_each_has_left(platform: ServedPlatform, de_a: RegistryBoard) -> None:
    before = time.time()
    de_a.post(CEREMONY, "proposal", b"p")
    with platform.of_registry(platform.admit("fr-a")) as fr_a:
        fr_a.post(CEREMONY, "seat", bytes(MAX_CEREMONY_BYTES))
        fr_a.post(CEREMONY, "seat", bytes(MAX_CEREMONY_BYTES))
        papers = fr_a.read(CEREMONY)

    assert [(p.number, p.sender, p.kind, len(p.content)) for p in papers] == [
        (1, "de-a", "proposal", 1),
        (2, "fr-a", "seat", MAX_CEREMONY_BYTES),
    ]
    assert all(before - 1 < p.time < time.time() + 1 for p in papers)
    assert de_a.read(CEREMONY, after=1) == papers[1:]
    assert de_a.read(CEREMONY, after=2**64 - 1) == []
    assert de_a.topics("ceremony") == [(1, CEREMONY)]
    assert de_a.topics("ceremony", after=1) == de_a.topics("request") == []


def test_a_topic_of_many_papers_is_read_whole(
    de_a: RegistryBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 7)
    de_a.post(CEREMONY, "proposal", b"")
    for number in range(20):
        de_a.post(CEREMONY, "seat", bytes([number]))

    assert [p.content[0] for p in de_a.read(CEREMONY, after=1)] == list(range(20))


def test_a_request_is_followed_by_who_filed_it(
    de_a: RegistryBoard, researcher: ResearcherBoard, signing: Ed25519PrivateKey
) -> None:
    filing = filed(signing)

    topic = researcher.file(bytes(filing))
    assert researcher.file(bytes(filing)) == topic == filing.request.digest
    de_a.post(topic, "approval", b"yes")

    assert [(p.sender, p.kind) for p in researcher.follow(topic)] == [
        ("", "filing"),
        ("de-a", "approval"),
    ]
    assert researcher.follow(topic, after=1) == de_a.read(topic, after=1)
    assert de_a.topics("request") == [(1, topic)]
    assert de_a.read(topic)[0].content == bytes(filing)


def test_ceremonies_are_public_but_for_sub_shares(
    platform: ServedPlatform, de_a: RegistryBoard
) -> None:
    kinds = ["proposal", "seat", "dealing", "sub-share", "report", "sub-share", "confirmation"]
    for topic in (CEREMONY, b"b" * 32):
        for number, kind in enumerate(kinds):
            de_a.post(topic, kind, bytes([number]))

    with platform.of_researcher(Ed25519PrivateKey.generate()) as anybody:
        shown = anybody.ceremonies()

    assert list(shown) == [CEREMONY, b"b" * 32]
    for topic in shown:
        assert [p.kind for p in shown[topic]] == [kind for kind in kinds if kind != "sub-share"]
        assert [p.number for p in shown[topic]] == [1, 2, 3, 5, 7]


# --- who is refused -------------------------------------------------------------------------------


def status(call: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return f"{caught.value.code().name}: {caught.value.details()}"


def test_refusals_have_the_status_that_the_contract_names(
    platform: ServedPlatform, de_a: RegistryBoard
) -> None:
    channel = registry_channel(platform.registries, platform.admit("de-a"))
    stub = board_pb2_grpc.BoardStub(channel)

    def post(kind: str, content: bytes = b"", topic: bytes = CEREMONY) -> str:
        request = board_pb2.PostRequest(topic=topic, kind=kind, content=content)
        return status(lambda: stub.Post(request, timeout=5))

    assert post("seat") == "INVALID_ARGUMENT: there is no ceremony of this name on the board"
    assert post("fetch").startswith("INVALID_ARGUMENT: registries leave papers of kind")
    assert post("proposal", topic=b"").startswith("INVALID_ARGUMENT: a topic is named by")
    assert post("proposal", bytes(MAX_PAPER_BYTES + 1)).startswith("INVALID_ARGUMENT: a paper of")
    de_a.post(CEREMONY, "proposal", b"")
    for number in range(63):
        de_a.post(CEREMONY, "seat", bytes([number]))
    assert (
        post("seat", b"more") == "RESOURCE_EXHAUSTED: the topic is full: no more papers are taken"
    )
    read = board_pb2.ReadRequest(topic=b"u" * 32)
    assert status(lambda: list(stub.Read(read, timeout=5))).startswith("NOT_FOUND: there is no")
    topics = board_pb2.TopicsRequest()
    text = "INVALID_ARGUMENT: a topic is a ceremony or a request"
    assert status(lambda: stub.Topics(topics, timeout=5)) == text
    channel.close()


def test_the_board_is_for_registries_of_the_network(platform: ServedPlatform) -> None:
    strangers = new_authority("test", now=datetime.now(UTC))
    with (
        platform.of_registry(platform.admit("de-a", authority=strangers)) as stranger,
        pytest.raises(LinkError),
    ):
        stranger.post(CEREMONY, "proposal", b"")
    with platform.of_registry(platform.admit("platform", role="platform")) as itself:
        for call in (
            lambda: itself.post(CEREMONY, "proposal", b""),
            lambda: itself.read(CEREMONY),
            lambda: itself.topics("request"),
        ):
            with pytest.raises(RefusedError, match="the certificate is not a registry's"):
                call()


def test_a_paper_over_the_limit_does_not_leave(
    de_a: RegistryBoard, researcher: ResearcherBoard
) -> None:
    for call in (
        lambda: de_a.post(CEREMONY, "proposal", bytes(MAX_PAPER_BYTES + 1)),
        lambda: researcher.file(bytes(MAX_PAPER_BYTES + 1)),
    ):
        with pytest.raises(InputError, match="at most 65536 bytes, got 65537"):
            call()


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_filing_that_is_none_is_refused(
    researcher: ResearcherBoard, signing: Ed25519PrivateKey, cut: int
) -> None:
    with pytest.raises(RefusedError, match=r"these are not the bytes of|signature"):
        researcher.file(bytes(filed(signing))[:cut])


def test_a_filing_that_somebody_else_signed_is_refused(
    researcher: ResearcherBoard, signing: Ed25519PrivateKey
) -> None:
    filing = bytes(filed(signing))

    with pytest.raises(RefusedError, match="the filing's signature is not by the key it names"):
        researcher.file(filing[:-64] + signing.sign(b"something else"))


@pytest.mark.parametrize("days", [-0.1, 31.1, 10_000])
def test_a_filing_is_valid_now_and_not_for_long(
    researcher: ResearcherBoard, signing: Ed25519PrivateKey, days: float
) -> None:
    with pytest.raises(RefusedError, match="valid now, and for 31 days at most; check this clock"):
        researcher.file(bytes(filed(signing, days=days)))


def test_a_request_is_shown_to_nobody_but_its_researcher(
    platform: ServedPlatform, researcher: ResearcherBoard, signing: Ed25519PrivateKey
) -> None:
    topic = researcher.file(bytes(filed(signing)))

    with platform.of_researcher(Ed25519PrivateKey.generate()) as other:
        for request in (topic, b"u" * 32, b""):
            with pytest.raises(RefusedError, match="this researcher has not filed such a request"):
                other.follow(request)


def test_an_authorization_is_for_one_method_now(
    platform: ServedPlatform, researcher: ResearcherBoard, signing: Ed25519PrivateKey
) -> None:
    topic = researcher.file(bytes(filed(signing)))
    other = Ed25519PrivateKey.generate()
    now = time.time()
    good = authorize_access(topic, "follow", signing, now=now)
    forged = authorize_access(topic, "follow", other, now=now)
    forged.signing_key = good.signing_key
    with platform_channel(platform.researchers, platform.network) as channel:
        stub = board_pb2_grpc.FilingStub(channel)

        def follow(authorization: board_pb2.AccessAuthorization) -> str:
            asked = board_pb2.FollowRequest(authorization=authorization)
            return status(lambda: list(stub.Follow(asked, timeout=5)))

        assert follow(forged).startswith("UNAUTHENTICATED: the request is not signed by the key")
        fetch = authorize_access(topic, "fetch de-a", signing, now=now)
        assert follow(fetch).startswith("UNAUTHENTICATED: the authorization is for fetch de-a")
        for then in (now - 3600, now + 3600):
            late = authorize_access(topic, "follow", signing, now=then)
            assert follow(late).startswith("UNAUTHENTICATED: the authorization is not in force")
        assert follow(board_pb2.AccessAuthorization()).startswith("UNAUTHENTICATED")
        unknown = authorize_access(b"u" * 32, "follow", signing, now=now)
        assert follow(unknown).startswith("NOT_FOUND: this researcher has not filed such a request")
