"""The board over gRPC: signed papers of registries and researchers, stored and handed out."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc

from upcare_mpc._proto.upcare.board.v1 import board_pb2, board_pb2_grpc
from upcare_mpc.abe.request import MAX_REQUEST_SECONDS
from upcare_mpc.access.papers import Filing
from upcare_mpc.coordinator.callers import answering, registry_of, say
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.link.statements import check_access
from upcare_mpc.storage.board import Board, StoredPaper

__all__ = ["BoardService", "FilingService", "authorized_topic"]

_PAGE = 64
_KINDS = {
    board_pb2.TOPIC_KIND_CEREMONY: "ceremony",
    board_pb2.TOPIC_KIND_REQUEST: "request",
}


class BoardService(board_pb2_grpc.BoardServicer):
    """For registries, which mutual TLS names.

    The platform learns who takes part in which ceremony and when, which key is asked for, by whom
    and what for, and who approves: all of it is public to the network. Sub-shares and fragments
    pass through it sealed. It can withhold papers; it cannot make one up that anybody takes.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    async def Post(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take a registry's paper."""
        sender = await registry_of(context)
        async with answering(
            context,
            {
                InputError: grpc.StatusCode.INVALID_ARGUMENT,
                RefusedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
            },
        ):
            await asyncio.to_thread(
                self._board.post,
                request.topic,
                sender=sender,
                kind=request.kind,
                content=request.content,
                time=datetime.now(UTC),
            )
        return board_pb2.PostResponse()

    async def Read(self, request: Any, context: Any) -> None:  # noqa: N802
        """Hand out the papers of a topic."""
        await registry_of(context)
        async with answering(context, {InputError: grpc.StatusCode.NOT_FOUND}):
            await _hand_out(self._board, request.topic, request.after, context)

    async def Topics(self, request: Any, context: Any) -> Any:  # noqa: N802
        """List topics."""
        await registry_of(context)
        if request.kind not in _KINDS:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "a topic is a ceremony or a request"
            )
        kind, after = _KINDS[request.kind], _number(request.after)
        found = await asyncio.to_thread(self._board.topics, kind, after=after)
        topics = [board_pb2.Topic(number=number, topic=topic) for number, topic in found]
        return board_pb2.TopicsResponse(topics=topics)


class FilingService(board_pb2_grpc.FilingServicer):
    """For researchers, who sign.

    The platform learns who files which request, and reads the application, which is for all
    registries and says nothing of a patient. It learns when she looks.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    async def File(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Open the topic of a request."""
        async with answering(
            context,
            {
                InputError: grpc.StatusCode.INVALID_ARGUMENT,
                ProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
            },
        ):
            topic = await asyncio.to_thread(self._file, request.filing)
        return board_pb2.FileResponse(topic=topic)

    async def Follow(self, request: Any, context: Any) -> None:  # noqa: N802
        """Hand out the papers of a researcher's own request."""
        async with answering(context, {InputError: grpc.StatusCode.NOT_FOUND}):
            topic = await asyncio.to_thread(
                authorized_topic, self._board, request.authorization, "follow"
            )
            await _hand_out(self._board, topic, request.after, context)

    async def Ceremonies(self, _request: Any, context: Any) -> None:  # noqa: N802
        """Hand out what is public of all ceremonies; for whoever asks."""
        async with answering(context):
            last = 0
            while topics := await asyncio.to_thread(self._board.topics, "ceremony", after=last):
                last = topics[-1][0]
                for _, topic in topics:
                    async for paper in _papers(self._board, topic, after=0):
                        if paper.kind != "sub-share":
                            shown = board_pb2.CeremonyPaper(topic=topic, paper=_message(paper))
                            await say(context, shown)

    def _file(self, encoded: bytes) -> bytes:
        filing = Filing.from_bytes(encoded)
        now = time.time()
        if not now <= filing.request.not_after <= now + MAX_REQUEST_SECONDS:
            raise InputError("a request is valid now, and for 31 days at most; check this clock")
        topic = filing.request.digest
        self._board.file(topic, owner=filing.key, filing=encoded, time=datetime.now(UTC))
        return topic


def authorized_topic(
    board: Board, authorization: board_pb2.AccessAuthorization, method: str
) -> bytes:
    """Return the topic that a researcher may read, and asks to read now.

    Raises:
        ProtocolError: She did not sign this, or not for this method or time.
        InputError: She has not filed such a request.
    """
    check_access(authorization, method, now=time.time())
    topic = bytes(authorization.request_digest)
    if not board.filed(topic, owner=bytes(authorization.signing_key)):
        raise InputError("this researcher has not filed such a request")
    return topic


async def _hand_out(board: Board, topic: bytes, after: int, context: Any) -> None:
    async for paper in _papers(board, topic, after=_number(after)):
        await say(context, _message(paper))


async def _papers(board: Board, topic: bytes, *, after: int) -> AsyncIterator[StoredPaper]:
    """Read papers some at a time: a topic may have 256 MiB."""
    while papers := await asyncio.to_thread(board.read, topic, after=after, at_most=_PAGE):
        for paper in papers:
            yield paper
        after = papers[-1].number


def _message(paper: StoredPaper) -> board_pb2.Paper:
    return board_pb2.Paper(
        number=paper.number,
        sender=paper.sender,
        kind=paper.kind,
        content=paper.content,
        time=paper.time.timestamp(),
    )


def _number(after: int) -> int:
    """A number that the database can compare with; none on the board is larger."""
    return min(after, 2**63 - 1)
