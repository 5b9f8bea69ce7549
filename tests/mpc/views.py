"""What a coalition sees of the REAL conversion, over a field so small that all cases can be tried.

The prime is 7 in place of 2^61 - 1, a mask is a word of 3 bits. A coalition C of t parties does not
know the pseudorandom words of the one set S* of all others: those are set by the test, one case in
each bit. All other words are fixed, the same in all cases.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lanes import Message, TableLane, joined, pack, run_lanes, unpack

from upcare_mpc.mpc import conversion
from upcare_mpc.mpc import field as gf
from upcare_mpc.mpc.bits import ONES, Bits, Boolean
from upcare_mpc.mpc.circuits import Circuit
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.magnitudes import Signed
from upcare_mpc.mpc.prss import LocalRandom, Purpose, Subset

__all__ = [
    "BITS",
    "PRIME",
    "Coalition",
    "Key",
    "Number",
    "Story",
    "View",
    "Watched",
    "hidden_words",
    "play",
    "tiny_field",
]

BITS = 3
PRIME = (1 << BITS) - 1

Coalition = tuple[int, ...]
Key = tuple[Purpose, Subset, int, int]  # purpose, set, dealer, row of the stream
Number = Callable[[Boolean, int], Circuit[Signed]]  # by width in words
Ints = npt.NDArray[np.int64]


@contextmanager
def tiny_field() -> Iterator[None]:
    """Run sharing and conversion mod 7."""
    gf.lagrange.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gf, "BITS", BITS)
        patch.setattr(gf, "PRIME", PRIME)
        patch.setattr(gf, "_P", np.uint64(PRIME))
        patch.setattr(gf, "_SHIFT", np.uint64(BITS))
        patch.setattr(gf, "_SPARE", np.uint64(64 - BITS))
        patch.setattr(conversion, "BITS", BITS)
        yield
    gf.lagrange.cache_clear()


class Watched(Boolean):
    """Keeps the masks, the number and the opened word. What a party does stays the same."""

    def __init__(self, lane: TableLane) -> None:
        super().__init__(lane)
        self.masks: list[Bits] = []
        self.opened: Words | None = None
        self.signed: Signed | None = None

    def known_to(self, owner: int, rows: int, words: int) -> tuple[Bits, Words | None]:
        bits, own = super().known_to(owner, rows, words)
        self.masks.append(bits)
        return bits, own

    async def open_to(self, bits: Bits, party: int) -> Words | None:
        self.opened = await super().open_to(bits, party)
        return self.opened


@dataclass(kw_only=True)
class Story:
    """One way to convert.

    Attributes:
        number: The circuit that draws the number.
        blocks: Form of the adders.
        boolean: Who does it: the real arithmetic, or one with a mistake.
        named: Which words of a stream a draw gives; a mistake may give the same words twice.
    """

    number: Number
    blocks: int = 1
    boolean: type[Watched] = Watched
    named: Callable[[Key], Key] = lambda key: key


@dataclass(kw_only=True)
class View:
    """All cases of one run.

    Attributes:
        cases: Their number.
        x: The number that was drawn.
        masks: ``A_0 .. A_{t-1}``, words of 3 bits.
        result: What the shares open to.
        gates: Rows of bits that members received before the opening, from others outside.
        opening: The same for the opening, if members received any.
        dealt: ``(n,)`` shares that members received from outside.
        opened: The opened word, if some member has it.
    """

    cases: int
    x: Ints
    masks: list[Ints]
    result: Ints
    gates: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    opening: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    dealt: list[Words] = field(default_factory=list)
    opened: Ints | None = None


def play(
    m: int,
    coalition: Coalition,
    story: Story,
    hidden: dict[Key, npt.NDArray[np.uint8]],
    *,
    known: int,
    dealers: dict[int, Ints] | None = None,
) -> View:
    """Convert one number in every case and keep what the coalition sees.

    Args:
        m: Parties.
        coalition: Who pool what they see.
        story: How.
        hidden: Words of streams that nobody of the coalition knows, one bit a case; rows that are
            not there are drawn at random, the same for both holders.
        known: Seed of all words that it knows; 0 and 1 are all zeros and all ones.
        dealers: Coefficients of the Shamir sharing of some dealers, in place of random ones.
    """
    cases, t = len(next(iter(hidden.values()))), (m - 1) // 2
    packed = {key: pack(row) for key, row in hidden.items()}
    width = cases // 64
    actors: dict[int, Watched] = {}

    def fill(out: Words, subset: Subset, purpose: Purpose, dealer: int, start: int) -> None:
        for place, row in enumerate(out.reshape(-1, width), start // width):
            key = story.named((purpose, subset, dealer, place))
            if {*subset} & {*coalition}:
                row[:] = ONES * np.uint64(constant(known, key))
            elif key in packed:
                row[:] = packed[key]
            else:
                seed = random.Random(repr(key)).getrandbits(32)
                row[:] = np.random.default_rng(seed).integers(0, 1 << 64, width, np.uint64)

    def coefficients(party: int) -> Callable[[int], Words]:
        if dealers is None or party not in dealers:
            return LocalRandom().words
        left = iter(dealers[party].astype(np.uint64) << gf._SPARE)
        return lambda count: np.fromiter(left, np.uint64, count)

    async def work(lane: TableLane) -> Words:
        actor = actors.setdefault(lane.index, story.boolean(lane))

        def number() -> Circuit[Signed]:
            actor.signed = yield from story.number(actor, width)
            return actor.signed

        return await conversion.to_field(
            actor, lane, number(), cases, coefficients(lane.index), blocks=story.blocks
        )

    with tiny_field():
        lanes, shares = run_lanes(m, t, fill, work)
        result = gf.decode(gf.open_shares(dict(enumerate(shares[: t + 1])), threshold=t))

    owned = zip(*[actors[party].masks for party in range(m)], strict=True)
    view = View(
        cases=cases,
        x=_drawn(m, t, [actors[party].signed for party in range(m)], cases),
        masks=[_number(m, t, list(sharing), cases) for sharing in owned],
        result=result,
    )
    for party in coalition:
        opened = actors[party].opened
        if opened is not None:
            view.opened = _value(opened, cases)
        for message in lanes[party].received:
            if message.sender not in coalition:
                _sort(view, message, last=lanes[party].rounds)
    return view


def hidden_words(m: int, coalition: Coalition, story: Story) -> list[Key]:
    """The rows of streams that nobody of the coalition knows, in the order of drawing."""
    keys: dict[Key, None] = {}

    def note(key: Key) -> Key:
        named = story.named(key)
        if not {*key[1]} & {*coalition}:
            keys[named] = None
        return named

    noting = Story(number=story.number, blocks=story.blocks, boolean=story.boolean, named=note)
    play(m, coalition, noting, {("bit", (), 0, 0): np.zeros(64, np.uint8)}, known=0)
    return list(keys)


def constant(known: int, key: Key) -> int:
    """A bit that is the same in all cases."""
    return known if known in (0, 1) else random.Random(repr((known, key))).getrandbits(1)


def _sort(view: View, message: Message, *, last: int) -> None:
    """Put a message where it belongs: gates, then one opening, then one round of shares."""
    if message.label == last:
        view.dealt.append(message.words)
        return
    rows = message.words.reshape(-1, view.cases // 64)
    part = view.opening if message.label == last - 1 else view.gates
    part.extend(unpack(row, view.cases) for row in rows)


def _drawn(m: int, t: int, signed: list[Any], cases: int) -> Ints:
    """``low - 2^K sign + carry`` of the number that was drawn."""
    total = _number(m, t, [part.low for part in signed], cases)
    total -= _number(m, t, [part.sign for part in signed], cases) << signed[0].low.shape[1]
    if signed[0].carry is not None:
        total += _number(m, t, [part.carry for part in signed], cases)
    return total


def _number(m: int, t: int, sharing: list[Bits], cases: int) -> Ints:
    return _value(np.bitwise_xor.reduce(list(joined(m, t, sharing).values())), cases)


def _value(rows: Words, cases: int) -> Ints:
    """The numbers that rows of bits stand for."""
    total = np.zeros(cases, np.int64)
    for place, row in enumerate(rows):
        total += unpack(row, cases).astype(np.int64) << place
    return total
