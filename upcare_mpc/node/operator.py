"""The operator's door: status, approve, refuse, over a Unix socket that only the node's user opens.

File permissions are the authentication: whoever may open the socket may also read the database.
"""

import os
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from upcare_mpc._proto.upcare.node.v1 import node_pb2, node_pb2_grpc
from upcare_mpc.errors import ConfigError, RefusedError
from upcare_mpc.node.law import law_in_words
from upcare_mpc.node.server import Node
from upcare_mpc.study.draw import SEGMENT_CELLS

__all__ = ["call_operator", "serve_operator"]

SOCKET = "operator.sock"
_CALL_S = 10.0


def _address(state: Path) -> str:
    path = (state / SOCKET).resolve()
    if len(str(path)) > 100:
        raise ConfigError("the path of the party folder is too long for the operator's socket")
    return f"unix:{path}"


async def serve_operator(node: Node) -> Any:
    """Start serving the operator of ``node``; the caller stops the server."""
    server = grpc.aio.server()
    node_pb2_grpc.add_OperatorServicer_to_server(_Operator(node), server)
    mask = os.umask(0o177)  # not chmod afterwards: the socket is never open to others
    try:
        server.add_insecure_port(_address(node.party.state_folder))
    except RuntimeError:
        raise ConfigError("the operator's socket cannot be made in the state folder") from None
    finally:
        os.umask(mask)
    await server.start()
    return server


class _Operator(node_pb2_grpc.OperatorServicer):
    def __init__(self, node: Node) -> None:
        self._node = node

    async def Status(self, _request: Any, _context: Any) -> node_pb2.StatusResponse:  # noqa: N802
        """What the node is doing."""
        return node_pb2.StatusResponse(
            registry=self._node.party.name,
            attending=self._node.attending,
            snapshot=self._node.snapshot.digest,
            waiting=[
                node_pb2.WaitingStudy(
                    question_digest=digest,
                    study=request.study,
                    signing_key=request.signing_key,
                )
                for digest, request in self._node.waiting.items()
            ],
            running=self._node.running,
        )

    async def Approve(self, request: Any, context: Any) -> node_pb2.ApproveResponse:  # noqa: N802
        """Record a yes."""
        question = await self._find(request.question_digest, context)
        self._node.books.grant(question)
        self._node.decided(question)
        return node_pb2.ApproveResponse(question_digest=question)

    async def Refuse(self, request: Any, context: Any) -> node_pb2.RefuseResponse:  # noqa: N802
        """Record a no."""
        question = await self._find(request.question_digest, context)
        self._node.books.refuse(question, request.reason[:500] or "no reason given")
        self._node.decided(question)
        return node_pb2.RefuseResponse(question_digest=question)

    async def Bank(self, _request: Any, _context: Any) -> node_pb2.BankResponse:  # noqa: N802
        """How much noise is ready."""
        bank = self._node.bank
        return node_pb2.BankResponse(
            registry=self._node.party.name,
            cells=bank.room * SEGMENT_CELLS,
            ready=[
                node_pb2.ReadyNoise(
                    law=law_in_words(item.law),
                    law_digest=item.law.digest,
                    registries=item.names,
                    cells=len(item.keys) * SEGMENT_CELLS,
                    filled=item.segments * SEGMENT_CELLS,
                )
                for _, item in bank.banks
            ],
        )

    async def _find(self, beginning: bytes, context: Any) -> bytes:
        matches = [digest for digest in self._node.waiting if digest.startswith(beginning)]
        if len(beginning) < 4 or len(matches) != 1:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, "no question, or more than one, waits under this digest"
            )
        return matches[0]


def call_operator(state: Path, method: str, request: Any) -> Any:
    """Call a running node of this machine.

    Raises:
        RefusedError: The node says no.
        ConfigError: No node runs on this party folder.
    """
    with grpc.insecure_channel(_address(state)) as channel:
        try:
            return getattr(node_pb2_grpc.OperatorStub(channel), method)(request, timeout=_CALL_S)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise RefusedError(error.details()) from None
            raise ConfigError("no node is running on this party folder") from None
