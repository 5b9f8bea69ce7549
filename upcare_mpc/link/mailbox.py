"""Frames that have arrived from one peer, and those still awaited.

The rules that both transports share: a frame is handed out once; a second frame under a label is
refused; what nobody asked for is bounded; when the peer is gone, every pending and every later
receive fails with the same named error.
"""

import asyncio

from upcare_mpc.errors import LinkError, ProtocolError, UpcareError

__all__ = ["Mailbox"]

MAX_UNCLAIMED_BYTES = 256 << 20
_FRAME_COST = 256  # what an empty frame costs here, so that empty ones are bounded too


class Mailbox:
    """The receiving side of the link with one peer."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._arrived: dict[int, memoryview] = {}
        self._unclaimed = 0
        self._awaited: dict[int, asyncio.Future[memoryview]] = {}
        self._seen: set[int] = set()
        self._failure: UpcareError | None = None

    @property
    def waiting(self) -> bool:
        """Whether some coroutine waits for a frame from this peer."""
        return bool(self._awaited)

    def deliver(self, label: int, payload: memoryview) -> None:
        """Take one whole frame from the transport.

        Raises:
            ProtocolError: The label was used before, or too much lies here that nobody awaits.
        """
        if label in self._seen:
            raise ProtocolError(f"{self._peer} sent a second frame under one label")
        self._seen.add(label)
        awaited = self._awaited.pop(label, None)
        if awaited is not None:
            if not awaited.done():
                awaited.set_result(payload)
            return
        self._unclaimed += len(payload) + _FRAME_COST
        if self._unclaimed > MAX_UNCLAIMED_BYTES:
            raise ProtocolError(f"{self._peer} sent more than anyone asked for")
        self._arrived[label] = payload

    def receive(self, label: int) -> "asyncio.Future[memoryview]":
        """Give a future for the frame under ``label``."""
        future: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        if label in self._arrived:
            payload = self._arrived.pop(label)
            self._unclaimed -= len(payload) + _FRAME_COST
            future.set_result(payload)
        elif self._failure is not None:
            future.set_exception(self._failure)
        elif label in self._awaited:
            raise AssertionError("a label is awaited once")
        else:
            self._awaited[label] = future
        return future

    def fail(self, error: UpcareError | None = None) -> None:
        """Fail everything that is or will be awaited from this peer."""
        self._failure = self._failure or error or LinkError(f"the link to {self._peer} is lost")
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(self._failure)
        self._awaited.clear()
