"""The port through which a party talks to its peers in one session.

``link.grpc_channel`` fills it with mutual TLS over gRPC, ``link.memory`` with queues for tests.
Frames are (label, payload) and arrive whole, from the peer that the transport has authenticated.

Guarantees that programs rely on: a ``receive`` ends, with the frame or with ``LinkError`` when
the peer is lost or silent for the stated time; a label is used once in each direction, and a
second frame under it is refused; frames never cross sessions.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["AGREE", "COMMIT", "INPUT", "KEYS", "READY", "STORED", "Channel"]

# Labels of the set-up frames. Labels of a program's rounds are its MPyC program counters: small
# positive numbers in the main line, 64-bit hashes in its branches.
KEYS = -1  # contributions to the pseudorandom keys
READY = -2  # "my noise is drawn, send your input", empty
INPUT = -3  # salt and input share
COMMIT = -4  # hashes of all input shares, signed by the contributor
AGREE = -5  # digest of everything that enters the sum, signed
STORED = -6  # "my shares of the noise bank are stored", signed


class Channel(Protocol):
    """Frames between this party and the others of one session.

    Attributes:
        index: This party's place in the session's roster; computing parties come first.
        bytes_sent: Payload bytes handed to the transport so far.
    """

    index: int
    bytes_sent: int

    def send(self, peer: int, label: int, payload: bytes | memoryview) -> None:
        """Queue one frame for a peer; never waits. The payload is copied before this returns."""
        ...

    def receive(self, peer: int, label: int) -> "asyncio.Future[memoryview]":
        """Give a future for the frame that the peer sends under this label; read-only bytes."""
        ...

    async def drain(self) -> None:
        """Wait until the queues to all peers are short again (back-pressure)."""
        ...
