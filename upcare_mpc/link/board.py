"""The platform's board, as registries and researchers use it: papers by topic, oldest first.

A topic is a key ceremony or one request for a key, named by 32 bytes. What the papers hold is
``access``'s matter: they are signed and, where secret, sealed by whoever wrote them.

Adversary: the platform. It can withhold papers, show them late, in another order, or different
ones to different readers, and say whatever it likes about sender, number and time. Readers trust
none of these. It cannot make a reader keep more than ``MAX_PAPERS`` of ``MAX_PAPER_BYTES`` of one
topic, nor keep one waiting: every call ends after ``calls.CALL_S`` seconds.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc._proto.upcare.board.v1 import board_pb2, board_pb2_grpc
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.link.calls import CALL_S, platform_channel, registry_channel, translated
from upcare_mpc.link.certificates import Identity, Network
from upcare_mpc.link.statements import authorize_access

__all__ = ["MAX_PAPERS", "MAX_PAPER_BYTES", "Paper", "RegistryBoard", "ResearcherBoard"]

MAX_PAPER_BYTES: Final = 64 << 10
MAX_PAPERS: Final = 4096
_MAX_TOPICS: Final = 1 << 20
_MAX_PUBLIC_BYTES: Final = 256 << 20
_MAX_NAME: Final = 64
_TOPIC_BYTES: Final = 32
_KINDS: Final = {
    "ceremony": board_pb2.TOPIC_KIND_CEREMONY,
    "request": board_pb2.TOPIC_KIND_REQUEST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A paper as the platform shows it. None of this is trusted.

    Attributes:
        number: 1, 2, ... within the topic; what is asked for next comes behind the last one.
        sender: A registry's name; ``platform``; empty for the researcher.
        kind: For example ``dealing`` or ``approval``.
        content: At most 64 KiB.
        time: When it came, by the platform's clock; seconds since 1970, UTC.
    """

    number: int
    sender: str
    kind: str
    content: bytes
    time: float


class RegistryBoard:
    """A registry's view of the board; use as a context manager.

    Raises:
        RefusedError: From every method: the platform says no.
        LinkError: From every method: it cannot be reached, or does not answer in time.
        ProtocolError: From every reading method: it answers with what is no paper or topic.
    """

    def __init__(self, address: str, identity: Identity) -> None:
        self._channel = registry_channel(address, identity)
        self._stub = board_pb2_grpc.BoardStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def post(self, topic: bytes, kind: str, content: bytes) -> None:
        """Leave a paper; the same one again changes nothing."""
        _check_size(content)
        paper = board_pb2.PostRequest(topic=topic, kind=kind, content=content)
        with translated():
            self._stub.Post(paper, timeout=CALL_S)

    def read(self, topic: bytes, *, after: int = 0) -> list[Paper]:
        """Return the papers of a topic behind a number."""
        asked = board_pb2.ReadRequest(topic=topic, after=after)
        with translated():
            return _papers(self._stub.Read(asked, timeout=CALL_S), after=after)

    def topics(
        self, kind: Literal["ceremony", "request"], *, after: int = 0
    ) -> list[tuple[int, bytes]]:
        """Return all topics of a kind behind a number, oldest first: numbers and names."""
        found: list[tuple[int, bytes]] = []
        while True:
            last = found[-1][0] if found else after
            asked = board_pb2.TopicsRequest(kind=_KINDS[kind], after=last)
            with translated():
                page = self._stub.Topics(asked, timeout=CALL_S).topics
            if not page:
                return found
            for topic in page:
                if topic.number <= last or len(topic.topic) != _TOPIC_BYTES:
                    raise ProtocolError("the platform lists topics that cannot be")
                last = topic.number
                found.append((topic.number, topic.topic))
            if len(found) > _MAX_TOPICS:
                raise ProtocolError("the platform lists more topics than there can be")


class ResearcherBoard:
    """A researcher's view of the board; use as a context manager. Errors as ``RegistryBoard``.

    Args:
        address: Of the platform for researchers, ``host:port``.
        network: Whose platform it must be.
        signing: Signs that she asks about her own requests. Secret.
    """

    def __init__(self, address: str, network: Network, signing: Ed25519PrivateKey) -> None:
        self._signing = signing
        self._channel = platform_channel(address, network)
        self._stub = board_pb2_grpc.FilingStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def file(self, filing: bytes) -> bytes:
        """File a request; the same one again changes nothing.

        Returns:
            The topic, which is the digest of the request, 32 bytes.
        """
        _check_size(filing)
        with translated():
            response = self._stub.File(board_pb2.FileRequest(filing=filing), timeout=CALL_S)
        return bytes(response.topic)

    def follow(self, request: bytes, *, after: int = 0) -> list[Paper]:
        """Return the papers of her own request behind a number."""
        authorization = authorize_access(request, "follow", self._signing, now=time.time())
        asked = board_pb2.FollowRequest(authorization=authorization, after=after)
        with translated():
            return _papers(self._stub.Follow(asked, timeout=CALL_S), after=after)

    def ceremonies(self) -> dict[bytes, list[Paper]]:
        """Return the public papers of all key ceremonies, by topic, oldest topic first."""
        by_topic: dict[bytes, list[Any]] = {}
        room = _MAX_PUBLIC_BYTES
        with translated():
            for shown in self._stub.Ceremonies(board_pb2.CeremoniesRequest(), timeout=CALL_S):
                by_topic.setdefault(shown.topic, []).append(shown.paper)
                room -= shown.ByteSize()
                if room < 0 or len(shown.topic) != _TOPIC_BYTES:
                    raise ProtocolError("the platform shows ceremonies that cannot be")
        return {topic: _papers(papers, after=0) for topic, papers in by_topic.items()}


def _papers(stream: Iterable[Any], *, after: int) -> list[Paper]:
    papers: list[Paper] = []
    for paper in stream:
        long = len(paper.content) > MAX_PAPER_BYTES or len(paper.kind) > _MAX_NAME
        if long or len(paper.sender) > _MAX_NAME or paper.number <= after:
            raise ProtocolError("the platform shows a paper that cannot be")
        if len(papers) == MAX_PAPERS:
            raise ProtocolError("the platform shows more papers than a topic can have")
        after = paper.number
        papers.append(
            Paper(
                number=paper.number,
                sender=paper.sender,
                kind=paper.kind,
                content=paper.content,
                time=paper.time,
            )
        )
    return papers


def _check_size(content: bytes) -> None:
    if len(content) > MAX_PAPER_BYTES:
        raise InputError(
            f"a paper on the board has at most {MAX_PAPER_BYTES} bytes, got {len(content)}"
        )
