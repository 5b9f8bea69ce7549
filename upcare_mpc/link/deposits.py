"""Deposits at the platform, as contributors bring them and holders fetch them.

Adversary: the platform. It may say anything: what it describes is checked where it is used, by the
holders' signatures, and what it hands out by digests and proofs. It can keep nobody waiting for
ever, and give nobody more bytes than a deposit can have.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final, Self

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2, deposit_pb2_grpc
from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link.calls import CALL_S, registry_channel, translated
from upcare_mpc.link.certificates import Identity

__all__ = ["PIECE_BYTES", "UPLOAD_S", "Depositor", "Holder"]

PIECE_BYTES: Final = 1 << 20
UPLOAD_S: Final = 600.0
"""A deposit is on its way for so many seconds at most."""


class Depositor:
    """For whoever deposits; use as a context manager.

    Args:
        channel: From ``calls.platform_channel`` or, by a registry, ``calls.registry_channel``;
            closed at the end.

    Raises:
        RefusedError: From every method: the platform says no.
        LinkError: From every method: it cannot be reached, or does not answer in time.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._stub = deposit_pb2_grpc.DepositingStub(channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def open(self) -> tuple[deposit_pb2.Listed, ...]:
        """Return the collections that take deposits now, the newest first. Not checked."""
        with translated():
            answer = self._stub.Open(deposit_pb2.OpenRequest(), timeout=CALL_S)
        return tuple(answer.collections)

    def describe(self, collection: bytes) -> deposit_pb2.Description:
        """Return what the platform says about the collection of a digest. Not checked."""
        request = deposit_pb2.DescribeRequest(collection=collection)
        with translated():
            answer: deposit_pb2.Description = self._stub.Describe(request, timeout=CALL_S)
        return answer

    def deposit(self, collection: bytes, encoded: bytes) -> bytes:
        """Bring a deposit; the same one may be brought again.

        Returns:
            The receipt, as the platform sent it. Not checked.
        """

        def pieces() -> Iterator[deposit_pb2.DepositRequest]:
            for at in range(0, len(encoded), PIECE_BYTES):
                yield deposit_pb2.DepositRequest(
                    collection=b"" if at else collection, piece=encoded[at : at + PIECE_BYTES]
                )

        with translated():
            receipt: bytes = self._stub.Deposit(pieces(), timeout=UPLOAD_S).receipt
        return receipt


class Holder:
    """For a holder of a collection's key; use as a context manager.

    Raises:
        RefusedError: From every method: the platform says no.
        LinkError: From every method: it cannot be reached, or does not answer in time.
    """

    def __init__(self, address: str, identity: Identity) -> None:
        self._channel = registry_channel(address, identity)
        self._stub = deposit_pb2_grpc.CollectingStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def fetch(
        self, collection: bytes, *, count: int, at_most: int, first: int = 0
    ) -> Iterator[bytes]:
        """Fetch the deposits of a closed collection in their order, one in memory at a time.

        Args:
            collection: Digest.
            count: How many there are.
            at_most: Bytes of one; ``deposits.envelopes.most_bytes``.
            first: Place of the first one wanted.

        Yields:
            Each deposit, encoded. Not checked.

        Raises:
            ProtocolError: The platform gives something else than these.
        """
        if first >= count:
            return
        request = deposit_pb2.FetchRequest(collection=collection, first=first)
        call = self._stub.Fetch(request)
        try:
            for place in range(first, count):
                yield _fetched(call, place, at_most)
            if _next(call) is not None:
                raise ProtocolError("the platform hands out more deposits than it has announced")
        finally:
            call.cancel()


def _fetched(call: Any, place: int, at_most: int) -> bytes:
    pieces, deadline = bytearray(), time.monotonic() + UPLOAD_S
    while True:
        part = _next(call)
        if time.monotonic() > deadline:
            raise LinkError("the platform takes too long to hand out a deposit")
        if part is None or part.place != place or not part.piece:
            raise ProtocolError("the platform does not hand out the deposits that it has announced")
        pieces += part.piece
        if len(pieces) > at_most:
            raise ProtocolError("the platform hands out more bytes than a deposit has")
        if part.last:
            return bytes(pieces)


def _next(call: Any) -> Any:
    """Return the next message, None at the end; wait for it, but not for ever."""
    watchdog = threading.Timer(CALL_S, call.cancel)
    watchdog.daemon = True
    watchdog.start()
    try:
        with translated():
            return next(call, None)
    finally:
        watchdog.cancel()
