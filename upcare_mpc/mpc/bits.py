"""Secret bits, replicated and bit-sliced 64 to a word.

A secret bit ``x`` is the XOR of components ``x_S``, one for each set ``S`` of ``m - t`` parties
(``prss.subsets``); ``x_S`` is known to exactly the members of ``S``. Any ``t`` parties miss the
component of their complement, so their view is independent of ``x``. (Ito, Saito, Nishizeki 1987;
for m = 3 and this product: Araki, Furukawa, Lindell, Nof, Ohara, CCS 2016.)

Shapes: a party's share of ``r`` rows of ``64 w`` bits is ``(c, r, w)`` words, where ``c`` counts
the sets the party belongs to, in the order of ``prss.subsets``. Everything of type ``Bits`` here
is secret; row counts and word counts are public.

XOR is local. Random bits are free. AND costs one round and, for m = 3, one word of 64 gates sent
by each party. The product terms ``x_S y_T`` are each given to one fixed party of ``S & T``; party
``j`` XORs its terms to ``v_j`` and deals ``v_j`` afresh: for every set it is in, except its
designated set ``S_j``, the piece is a pseudorandom word of that set drawn FOR DEALER j, and the
piece of ``S_j`` is the rest, sent to the other members. A mask that forgets the dealer leaks at
m = 7; a mask over all own sets is wrong at m = 5.

Adversary: up to t honest-but-curious parties. A party that deviates can flip bits unnoticed.
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import Purpose, Subset, subsets

__all__ = ["Bits", "Boolean", "Lane"]

Bits = npt.NDArray[np.uint64]

ONES = np.full(1, 0xFFFFFFFFFFFFFFFF, np.uint64)


class Lane(Protocol):
    """One coroutine's ordered messages and pseudorandom streams; the same at all parties."""

    index: int
    parties: int
    threshold: int

    def fill(self, out: Words, subset: Subset, purpose: Purpose, *, dealer: int) -> None:
        """Write fresh words known to the members of ``subset`` into contiguous ``out``."""
        ...

    def new_round(self) -> int:
        """Give the label of the next message, the same at all parties."""
        ...

    def send(self, peer: int, label: int, words: Words) -> None:
        """Queue words for a peer; they are copied, the caller may change them at once."""
        ...

    async def receive(self, peer: int, label: int, *, count: int) -> Words:
        """Wait for exactly ``count`` words from a peer."""
        ...

    async def drain(self) -> None:
        """Wait until the peers have room for more."""
        ...


@cache
def designated(parties: int, threshold: int) -> tuple[Subset, ...]:
    """The set ``S_j`` through which party ``j`` deals: j and the next ones, cyclically."""
    size = parties - threshold
    return tuple(
        tuple(sorted((j + step) % parties for step in range(size))) for j in range(parties)
    )


@cache
def product_terms(parties: int, threshold: int) -> tuple[tuple[tuple[Subset, Subset], ...], ...]:
    """Give every pair ``(S, T)`` to one party of the intersection, evenly: one tuple a party."""
    terms: list[list[tuple[Subset, Subset]]] = [[] for _ in range(parties)]
    every = subsets(parties, threshold)
    pairs = sorted(
        ((s, t) for s in every for t in every),
        key=lambda pair: (len({*pair[0]} & {*pair[1]}), pair),
    )
    for s, t in pairs:
        owner = min({*s} & {*t}, key=lambda party: (len(terms[party]), party))
        terms[owner].append((s, t))
    return tuple(tuple(own) for own in terms)


class Boolean:
    """Arithmetic on secret bits for one party, in one lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._me = lane.index
        every = subsets(lane.parties, lane.threshold)
        self._mine = [s for s in every if self._me in s]
        self._row = {s: i for i, s in enumerate(self._mine)}
        self._first = self._row.get(every[0])  # public constants are XORed into this component
        self._missing = [s for s in every if self._me not in s]
        self._designated = designated(lane.parties, lane.threshold)
        own = product_terms(lane.parties, lane.threshold)[self._me]
        self._terms = [
            (self._row[s], [self._row[t] for s2, t in own if s2 == s])
            for s in self._mine
            if any(s2 == s for s2, _ in own)
        ]
        self._drawn = [  # pieces of a product that are pseudorandom words
            (row, subset, dealer)
            for subset, row in self._row.items()
            for dealer in subset
            if self._designated[dealer] != subset
        ]
        if {row for row, _, _ in self._drawn} != set(range(len(self._mine))):
            raise AssertionError("some component of a product would not be masked")
        self._sent = [  # pieces of a product that a peer sends
            (self._row[self._designated[dealer]], dealer)
            for dealer in range(lane.parties)
            if dealer != self._me and self._me in self._designated[dealer]
        ]

    @property
    def me(self) -> int:
        """This party's number."""
        return self._me

    @property
    def components(self) -> int:
        """How many components of a secret bit this party holds; the same at all parties."""
        return len(self._mine)

    def zeros(self, rows: int, words: int) -> Bits:
        """A sharing of public zeros."""
        return np.zeros((len(self._mine), rows, words), np.uint64)

    def random(self, rows: int, words: int) -> Bits:
        """Draw uniform secret bits, unknown to any t parties. Local."""
        bits = np.empty((len(self._mine), rows, words), np.uint64)
        for subset, row in self._row.items():
            self._lane.fill(bits[row], subset, "bit", dealer=subset[0])
        return bits

    def known_to(self, owner: int, rows: int, words: int) -> tuple[Bits, Words | None]:
        """Draw uniform bits that party ``owner`` ALONE knows. Local.

        They are the XOR of words of all sets that contain the owner, drawn for the owner. Any t
        parties without the owner miss one of these sets. (A mask known to a set of parties would
        hand that set the noise; an early version did.)

        Returns:
            The sharing, and the ``(rows, words)`` bits themselves at the owner, else ``None``.
        """
        bits = self.zeros(rows, words)
        for subset, row in self._row.items():
            if owner in subset:
                self._lane.fill(bits[row], subset, "mask", dealer=owner)
        own = np.bitwise_xor.reduce(bits, axis=0) if owner == self._me else None
        return bits, own

    def flip(self, bits: Bits, constant: Words) -> Bits:
        """XOR a public constant, broadcast against ``(r, w)``. Local."""
        if self._first is None:
            return bits
        out = bits.copy()
        out[self._first] ^= constant
        return out

    def flip_in_place(self, bits: Bits, constant: Words) -> None:
        """XOR a public constant into ``bits`` itself. Local."""
        if self._first is not None:
            bits[self._first] ^= constant

    async def conjunction(self, left: Bits, right: Bits) -> Bits:
        """AND two secret bit arrays of equal shape.

        Opens: nothing. Cost: 1 round; each party sends ``r w`` words to ``m - t - 1`` peers.
        """
        lane, shape = self._lane, left.shape[1:]
        rest = self._own_terms(left, right)
        result = np.empty(left.shape, np.uint64)
        filled = [False] * len(self._mine)
        for row, subset, dealer in self._drawn:
            piece = np.empty(shape, np.uint64) if filled[row] else result[row]
            lane.fill(piece, subset, "and", dealer=dealer)
            if dealer == self._me:
                rest ^= piece
            if filled[row]:
                result[row] ^= piece
            filled[row] = True
        label = lane.new_round()
        for peer in self._designated[self._me]:
            if peer != self._me:
                lane.send(peer, label, rest)
        result[self._row[self._designated[self._me]]] ^= rest
        await lane.drain()
        for row, dealer in self._sent:
            received = await lane.receive(dealer, label, count=rest.size)
            result[row] ^= received.reshape(shape)
        return result

    async def open(self, bits: Bits) -> Words:
        """Reveal bits to ALL parties: uniformly masked values, or what the release is charged for.

        Opens: ``bits``. Cost: 1 round; each missing component comes from one of its holders.
        """
        opened = await self._reveal(bits, range(self._lane.parties))
        if opened is None:
            raise AssertionError("every party is among all parties")
        return opened

    async def open_to(self, bits: Bits, party: int) -> Words | None:
        """Reveal bits to ONE party; only ever called on values uniform to it.

        Opens: ``bits``, to ``party``. Cost: 1 round, one message a component that it misses.

        Returns:
            The bits at ``party``, else ``None``.
        """
        return await self._reveal(bits, (party,))

    async def _reveal(self, bits: Bits, receivers: Sequence[int]) -> Words | None:
        lane, shape = self._lane, bits.shape[1:]
        label = lane.new_round()
        for peer in receivers:
            pieces = [
                bits[row].reshape(-1)
                for subset, row in self._row.items()
                if peer not in subset and _sender(subset, peer) == self._me
            ]
            if peer != self._me and pieces:
                lane.send(peer, label, np.concatenate(pieces))
        await lane.drain()
        if self._me not in receivers:
            return None
        total: Words = np.bitwise_xor.reduce(bits, axis=0)
        count = shape[0] * shape[1]
        for sender in range(lane.parties):
            pieces_due = sum(_sender(subset, self._me) == sender for subset in self._missing)
            if pieces_due:
                received = await lane.receive(sender, label, count=pieces_due * count)
                total ^= np.bitwise_xor.reduce(received.reshape(pieces_due, *shape), axis=0)
        return total

    def _own_terms(self, left: Bits, right: Bits) -> Words:
        """XOR of the products that this party was given; a fresh array."""
        (first, partners), *others = self._terms  # every party owns some
        total: Words = np.bitwise_and(left[first], _xor_rows(right, partners))
        for row, partners in others:
            total ^= np.bitwise_and(left[row], _xor_rows(right, partners))
        return total


def _xor_rows(bits: Bits, rows: Sequence[int]) -> Words:
    total: Words = bits[rows[0]]
    if len(rows) > 1:
        total = total ^ bits[rows[1]]
        for row in rows[2:]:
            total ^= bits[row]
    return total


def _sender(subset: Subset, receiver: int) -> int:
    """The member of ``subset`` that sends its component to a party outside, spread evenly."""
    return subset[receiver % len(subset)]
