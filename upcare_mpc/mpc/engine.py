"""MPyC as the runtime of one session, on our transport and our marshalling.

What is MPyC's: program counters (they label every message), the registry of pseudorandom keys,
secure types and all general secure operations on them. What is ours:

- transport: frames go through ``mpc.channel``; MPyC's sockets are never opened
- marshalling: fixed-width little-endian field elements. MPyC 0.11 unpickles what peers send in
  ``transfer`` and for arrays, so that a peer could run code here. ``transfer`` is replaced,
  arrays take the integer encoding, only canonical elements are accepted, and the name
  ``pickle`` in MPyC's runtime is a refusal
- keys: every member of a set contributes to its key (``mpc.prss``)
- errors: a lost peer fails whoever awaits it, instead of leaving it pending for ever
  (``mpc.failures``)

Importing ``mpyc.runtime`` parses and eats ``sys.argv`` and builds a process-global runtime. So
one process runs one session, and argv is shielded during the import.

A coroutine passed to ``Engine.branch`` runs under a program counter forked from its parent's, as
MPyC's own coroutines do, so concurrent branches label their messages alike at all parties.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import KEYS, Channel
from upcare_mpc.mpc.failures import let_failures_travel
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import (
    CONTRIBUTION_BYTES,
    LocalRandom,
    Prss,
    Purpose,
    Stream,
    Subset,
    agree_key,
    subsets,
)


def _import_mpyc() -> Any:
    """Import MPyC with ``sys.argv`` and the logging set-up of this process out of its reach."""
    argv, root = sys.argv, logging.root
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    sys.argv = argv[:1]
    logging.disable(logging.CRITICAL)
    try:
        import mpyc.runtime  # noqa: PLC0415 - must happen behind the shield
    finally:
        sys.argv, root.handlers[:] = argv, handlers
        root.setLevel(level)
        logging.disable(disabled)
    return mpyc


mpyc = _import_mpyc()

__all__ = ["Engine", "EngineLane"]

T = TypeVar("T")


class _NoPickle:
    """Stands where MPyC's runtime looks for ``pickle``."""

    @staticmethod
    def loads(*_: object) -> NoReturn:
        raise ProtocolError("a peer sent a pickled object; only field elements are accepted")

    @staticmethod
    def dumps(*_: object) -> NoReturn:
        raise ProtocolError("objects are never pickled for a peer; only field elements are sent")


def _field_elements(field_type: Any, payload: bytes | memoryview) -> list[int]:
    """Decode what a peer sent to MPyC: whole, canonical elements, or refuse."""
    size, order = field_type.byte_length, field_type.order
    elements = [
        int.from_bytes(payload[start : start + size], "little")
        for start in range(0, len(payload), size)
    ]
    if len(payload) % size or any(element >= order for element in elements):
        raise ProtocolError("a peer sent something else than field elements")
    return elements


mpyc.runtime.pickle = _NoPickle
mpyc.finfields.FiniteFieldElement.from_bytes = classmethod(_field_elements)
let_failures_travel(mpyc.asyncoro)


class _Forked(mpyc.asyncoro._ProgramCounterWrapper):  # type: ignore[misc, name-defined]  # noqa: SLF001
    """A coroutine under a forked program counter that sees what is thrown into it.

    MPyC's own wrapper ends at once when an awaited future fails or the task is cancelled: no
    ``except``, ``finally`` or ``async with`` of the coroutine would run.
    """

    pc: list[int]

    def __await__(self) -> Generator[Any, Any, Any]:
        step = partial(self.coro.send, None)
        while True:
            outer = self.runtime._program_counter  # noqa: SLF001 - MPyC's place for it
            self.runtime._program_counter = self.pc  # noqa: SLF001
            try:
                waited_for = step()
            except StopIteration as result:
                return result.value
            else:
                self.pc = self.runtime._program_counter  # noqa: SLF001
            finally:
                self.runtime._program_counter = outer  # noqa: SLF001
            try:
                yield waited_for
                step = partial(self.coro.send, None)
            except BaseException as thrown:  # noqa: BLE001 - passed on to the coroutine
                step = partial(self.coro.throw, thrown)


class _Peer:
    """What MPyC expects of a connection: ``send`` and ``receive`` by program counter."""

    def __init__(self, channel: Channel, peer: int) -> None:
        self._channel = channel
        self._peer = peer

    def send(self, label: int, payload: bytes) -> None:
        self._channel.send(self._peer, label, payload)

    def receive(self, label: int) -> "asyncio.Future[memoryview]":
        return self._channel.receive(self._peer, label)


class Engine(mpyc.runtime.Runtime):  # type: ignore[misc, name-defined]  # MPyC has no type annotations
    """One computing party's MPyC runtime for one session.

    Args:
        channel: Frames to and from the other parties.
        parties: m, the number of computing parties; they have roster places 0..m-1.
        threshold: t, how many of them may pool what they see.
        session: Digest of the session descriptor, 32 bytes.
        program: Name and version of the program, bound into every pseudorandom stream.
    """

    def __init__(
        self, channel: Channel, *, parties: int, threshold: int, session: bytes, program: str
    ) -> None:
        if 2 * threshold >= parties:
            raise ProtocolError(f"t must be below m/2, got t={threshold}, m={parties}")
        options = mpyc._get_arg_parser().parse_args([])  # noqa: SLF001 - MPyC's only entry to its defaults
        options.threshold = threshold
        options.no_log = True
        options.mix32_64bit = True  # arrays marshalled as integers, not pickles
        options.no_async = False
        options.no_prss = False
        options.no_barrier = False
        members = [mpyc.runtime.Party(index) for index in range(parties)]
        for member in members:
            member.protocol = _Peer(channel, member.pid)
        super().__init__(channel.index, members, options)
        self._channel = channel
        self._session = session
        self._program = program
        self._prss: Prss | None = None
        self.local_random = LocalRandom()
        self.rounds = 0

    def install(self) -> None:
        """Make this the process's MPyC runtime, so that MPyC's secure types use it."""
        for module in (
            mpyc.asyncoro,
            mpyc.sectypes,
            mpyc.mpctools,
            mpyc.seclists,
            mpyc.secpols,
            mpyc.secgroups,
            mpyc.random,
            mpyc.statistics,
        ):
            module.runtime = self
        mpyc.runtime.mpc = self

    @property
    def index(self) -> int:
        """This party's number, 0..m-1."""
        return int(self.pid)

    @property
    def bytes_sent(self) -> int:
        """Payload bytes sent so far in this session, to all peers."""
        return self._channel.bytes_sent

    async def agree_keys(self) -> None:
        """Agree on the pseudorandom keys: every member of every set contributes to its key.

        Called once, after the link has verified every peer's Hello. Cost: 1 round, 32 bytes for
        each set and pair of members.
        """
        m, me = len(self.parties), self.index
        every = subsets(m, self.threshold)
        mine = {s: os.urandom(CONTRIBUTION_BYTES) for s in every if me in s}
        peers = [peer for peer in range(m) if peer != me]
        for peer in peers:
            common = [mine[s] for s in mine if peer in s]
            self._channel.send(peer, KEYS, b"".join(common))
        contributions: dict[Subset, dict[int, bytes]] = {s: {me: mine[s]} for s in mine}
        for peer in peers:
            payload = bytes(await self._channel.receive(peer, KEYS))
            common_sets = [s for s in mine if peer in s]
            if len(payload) != len(common_sets) * CONTRIBUTION_BYTES:
                raise ProtocolError(f"party {peer} sent key contributions of a wrong length")
            for place, s in enumerate(common_sets):
                start = place * CONTRIBUTION_BYTES
                contributions[s][peer] = payload[start : start + CONTRIBUTION_BYTES]
        keys = {s: agree_key(contributions[s], s, transcript=self._session) for s in mine}
        prss = Prss(keys, program=self._session + self._program.encode())
        self._prss_keys = {s: prss.subkey(s) for s in mine}
        self.prfs.cache_clear()
        self._prss = prss

    def branch(
        self, coroutine: Coroutine[Any, Any, T], *, group: asyncio.TaskGroup
    ) -> "asyncio.Task[T]":
        """Run a coroutine concurrently under a forked program counter, as a task of ``group``."""
        forked = _Forked(self, coroutine)
        task = group.create_task(mpyc.asyncoro._wrap_in_coro(forked))  # noqa: SLF001 - as MPyC does
        task.add_done_callback(lambda _: coroutine.close())  # it may be cancelled before it starts
        return task

    def lane(self) -> "EngineLane":
        """Open this branch's lane of messages and pseudorandom streams; once per branch."""
        if self._prss is None:
            raise AssertionError("keys are agreed before a program starts")
        return EngineLane(self, self._channel, self._prss)

    def next_label(self) -> int:
        """Step this branch's program counter and give it as the label of the next round."""
        self._program_counter[0] += 1
        self.rounds += 1
        return int(self._program_counter[0])

    def program_counter(self) -> int:
        """This branch's program counter."""
        return int(self._program_counter[0])

    async def transfer(
        self, payload: object, senders: object = None, receivers: object = None
    ) -> list[bytes]:
        """Exchange bytes between all parties; MPyC's version would unpickle them."""
        if not isinstance(payload, bytes) or senders is not None or receivers is not None:
            raise ProtocolError("only bytes are transferred, and only between all parties")
        label = self.next_label()
        for peer in range(len(self.parties)):
            if peer != self.index:
                self._channel.send(peer, label, payload)
        return [
            payload if peer == self.index else bytes(await self._channel.receive(peer, label))
            for peer in range(len(self.parties))
        ]

    def secure_field(self) -> Any:
        """MPyC's secure type over the field of ``mpc.field``."""
        return self.SecFld(modulus=field.PRIME)

    def to_secure_array(self, shares: Words) -> Any:
        """Hand ``(n,)`` shares to MPyC as a secure array of the same field, for its operations."""
        secure = self.secure_field()
        return secure.array(secure.field.array(shares.astype(object), check=False))

    async def from_secure_array(self, array: Any) -> Words:
        """Take the ``(n,)`` shares out of an MPyC secure array."""
        gathered = await self.gather(array)
        return np.array([int(value) for value in gathered.value], np.uint64)


class EngineLane:
    """The lane of one branch: ``mpc.bits.Lane`` on the engine's counters, keys and channel."""

    def __init__(self, engine: Engine, channel: Channel, prss: Prss) -> None:
        self.index = engine.index
        self.parties = len(engine.parties)
        self.threshold = int(engine.threshold)
        self._engine = engine
        self._channel = channel
        self._prss = prss
        self._chunk = engine.program_counter()
        self._streams: dict[tuple[Subset, Purpose, int], Stream] = {}

    def fill(self, out: Words, subset: Subset, purpose: Purpose, *, dealer: int) -> None:
        """Write fresh words known to the members of ``subset`` into ``out``.

        Each (subset, purpose, dealer) is a stream of its own, read on by every call. All its
        members make the same calls in the same order.
        """
        key = (subset, purpose, dealer)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._prss.stream(subset, purpose, dealer=dealer, chunk=self._chunk)
            self._streams[key] = stream
        stream.fill(out)

    def new_round(self) -> int:
        """Give the label of the next message."""
        return self._engine.next_label()

    def send(self, peer: int, label: int, words: Words) -> None:
        """Queue words for a peer, little-endian."""
        self._channel.send(peer, label, words.astype("<u8", copy=False).reshape(-1).data.cast("B"))

    async def receive(self, peer: int, label: int, *, count: int) -> Words:
        """Wait for exactly ``count`` words from a peer."""
        payload = await self._channel.receive(peer, label)
        if len(payload) != count * 8:
            raise ProtocolError(
                f"party {peer} sent a frame of {len(payload)} bytes where {count * 8} were due"
            )
        return np.frombuffer(payload, "<u8").astype(np.uint64, copy=False)

    async def drain(self) -> None:
        """Wait until the peers have room for more."""
        await self._channel.drain()
