"""Channels between parties of one process, for tests: the same rules, no network."""

import asyncio

from upcare_mpc.link.mailbox import Mailbox

__all__ = ["MemoryChannel", "connect"]


class MemoryChannel:
    """One party's end; fills the port ``mpc.channel.Channel``."""

    def __init__(self, index: int, size: int) -> None:
        self.index = index
        self.bytes_sent = 0
        self.mailboxes = {peer: Mailbox(f"party {peer}") for peer in range(size) if peer != index}
        self._ends: list[MemoryChannel] = []

    def send(self, peer: int, label: int, payload: bytes | memoryview) -> None:
        """Deliver a frame at once."""
        self.bytes_sent += len(payload)
        self._ends[peer].mailboxes[self.index].deliver(label, memoryview(bytes(payload)))

    def receive(self, peer: int, label: int) -> "asyncio.Future[memoryview]":
        """Give a future for a peer's frame."""
        return self.mailboxes[peer].receive(label)

    async def drain(self) -> None:
        """Let the other parties run."""
        await asyncio.sleep(0)

    def lose(self) -> None:
        """Tear this party off: every peer's wait for it fails."""
        for end in self._ends:
            if end is not self:
                end.mailboxes[self.index].fail()


def connect(size: int) -> list[MemoryChannel]:
    """Make the channels of ``size`` parties that are all linked with each other."""
    ends = [MemoryChannel(index, size) for index in range(size)]
    for end in ends:
        end._ends = ends  # noqa: SLF001 - the constructor cannot know its peers
    return ends
