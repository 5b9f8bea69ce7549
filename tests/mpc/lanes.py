"""Lanes whose pseudorandom words are set by the test and which keep what arrives; bits and ranks.

A test that wants to see every case at once puts one case in each bit of the words. ``pack`` and
``unpack`` change between rows of bits and words.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc.bits import Bits
from upcare_mpc.mpc.circuits import Circuit
from upcare_mpc.mpc.engine import Engine, EngineLane
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import Purpose, Subset, subsets

__all__ = [
    "COMMITTEES",
    "Fill",
    "Message",
    "RecordingLane",
    "Row",
    "Run",
    "TableLane",
    "clear",
    "components_of",
    "counted",
    "deal",
    "joined",
    "pack",
    "rank",
    "run_lanes",
    "secret",
    "sliced",
    "unpack",
]

COMMITTEES = [(3, 1), (5, 2), (7, 3)]

# out, set, purpose, dealer, and how many words of this stream were drawn before
Fill = Callable[[Words, Subset, Purpose, int, int], None]
Row = npt.NDArray[np.uint8]  # one bit a case


class Message(NamedTuple):
    """What a party received."""

    label: int
    sender: int
    words: Words


class TableLane:
    """A lane whose streams come from a table that the test sets; it records what is received."""

    def __init__(self, channel: MemoryChannel, parties: int, threshold: int, fill: Fill) -> None:
        self.index, self.parties, self.threshold = channel.index, parties, threshold
        self.received: list[Message] = []
        self.rounds = 0
        self._channel, self._fill = channel, fill
        self._drawn: dict[tuple[Subset, Purpose, int], int] = {}

    def fill(self, out: Words, subset: Subset, purpose: Purpose, *, dealer: int) -> None:
        assert self.index in subset
        assert out.flags.c_contiguous
        stream = (subset, purpose, dealer)
        start = self._drawn.get(stream, 0)
        self._drawn[stream] = start + out.size
        self._fill(out.reshape(-1), subset, purpose, dealer, start)

    def new_round(self) -> int:
        self.rounds += 1
        return self.rounds

    def send(self, peer: int, label: int, words: Words) -> None:
        self._channel.send(peer, label, words.tobytes())

    async def receive(self, peer: int, label: int, *, count: int) -> Words:
        words = np.frombuffer(await self._channel.receive(peer, label), np.uint64)
        assert len(words) == count
        self.received.append(Message(label, peer, words))
        return words

    async def drain(self) -> None:
        await asyncio.sleep(0)


def run_lanes(
    m: int, t: int, fill: Fill, work: Callable[[TableLane], Awaitable[Any]]
) -> tuple[list[TableLane], list[Any]]:
    """Run one coroutine function at every party."""
    lanes = [TableLane(channel, m, t, fill) for channel in connect(m)]

    async def session() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(*map(work, lanes)), 60)

    return lanes, asyncio.run(session())


class RecordingLane(EngineLane):
    """The real lane of an engine, keeping every word it draws."""

    def __init__(self, engine: Engine) -> None:
        self.__dict__ = engine.lane().__dict__
        self.drawn: list[tuple[Subset, Purpose, int, Words]] = []

    def fill(self, out: Words, subset: Subset, purpose: Purpose, *, dealer: int) -> None:
        super().fill(out, subset, purpose, dealer=dealer)
        self.drawn.append((subset, purpose, dealer, out.copy()))


# -- sharings ---------------------------------------------------------------------------------


def deal(m: int, t: int, components: dict[Subset, Words], party: int) -> Bits:
    """A party's share ``(c, r, w)`` of bits given by their components, ``(w,)`` or ``(r, w)``."""
    return np.stack([np.atleast_2d(components[s]) for s in subsets(m, t) if party in s])


def joined(m: int, t: int, shares: list[Bits]) -> dict[Subset, Words]:
    """The components of a sharing; all holders of one must have the same."""
    components: dict[Subset, Words] = {}
    for party, share in enumerate(shares):
        for s, component in zip([s for s in subsets(m, t) if party in s], share, strict=True):
            assert np.array_equal(components.setdefault(s, component), component), "holders differ"
    return components


def components_of(lanes: Iterable[RecordingLane], purpose: Purpose) -> list[Words]:
    """The XOR of the components of each array drawn for a purpose, in the order of drawing."""
    components: dict[Subset, list[Words]] = {}
    for lane in lanes:
        for subset in {s for s, *_ in lane.drawn}:
            mine = [words for s, use, _, words in lane.drawn if (s, use) == (subset, purpose)]
            components[subset] = mine
    return [np.bitwise_xor.reduce(words) for words in zip(*components.values(), strict=True)]


# -- numbers in the clear ---------------------------------------------------------------------


class Run(NamedTuple):
    """A circuit that was run: its result, its rounds, and its ANDs a bit of a row."""

    result: Any
    rounds: int
    ands: int


def counted(circuit: Circuit[Any]) -> Run:
    """Run a circuit on bits in the clear, shape ``(1, r, w)``: one component, which is the bit."""
    rounds = ands = 0
    try:
        left, right = next(circuit)
        while True:
            assert left.shape == right.shape
            rounds, ands = rounds + 1, ands + left.shape[1]
            left, right = circuit.send(left & right)
    except StopIteration as end:
        return Run(end.value, rounds, ands)


def clear(circuit: Circuit[Any]) -> Any:
    """The result of a circuit on bits in the clear."""
    return counted(circuit).result


def sliced(values: Iterable[int], rows: int) -> Words:
    """``(rows, w)``: bit i of the n-th value is bit n % 64 of word n // 64 of row i."""
    values = list(values)
    bits = np.array([[value >> row & 1 for value in values] for row in range(rows)], np.uint8)
    return np.stack([pack(row) for row in bits]) if rows else np.zeros((0, 1), np.uint64)


def secret(values: Iterable[int], rows: int) -> Bits:
    """The same as bits in the clear, for ``clear``."""
    return sliced(values, rows)[None]


# -- bits -------------------------------------------------------------------------------------


def pack(bits: Row) -> Words:
    """A row of bits as words, filled up with zeros."""
    padded = np.zeros(-(-len(bits) // 64) * 64, np.uint8)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").view(np.uint64)


def unpack(words: Words, bits: int) -> Row:
    """The first bits of a row of words."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")[:bits]


def rank(rows: Iterable[Row]) -> int:
    """Rank over GF(2) of rows of bits, taken as Python integers."""
    left = [int.from_bytes(np.packbits(row).tobytes(), "big") for row in rows]
    found = 0
    while left:
        pivot = left.pop()
        if pivot:
            found += 1
            low = pivot & -pivot
            left = [row ^ pivot if row & low else row for row in left]
    return found
