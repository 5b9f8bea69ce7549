"""From secret bits to shares over the field, exactly: masks, one adder, one opening.

A number x in secret bits becomes a sum of t + 1 numbers, each known to ONE party:

    y = x + A_0 + .. + A_{t-1} mod p       opened to party t alone
    x = y - A_0 - .. - A_{t-1} mod p       party k shares -A_k afresh, party t shares y

Mask ``A_k`` is a uniform 61-bit word that party k alone knows. Cost for m = 3: about 60 + 2K ANDs
and two field elements a cell, for x of K bits and a sign.

Adversary: any t honest-but-curious parties together. If party t is not among them, none of them
sees y. If it is, some A_k is known to none of them, so y is uniform to them, whatever x is. Exact
up to 2^-60 a cell: a mask is a uniform 61-bit word, and 0 and p are two encodings of zero.
(Opening y to all would need a mask more.)
"""

from collections.abc import Callable

import numpy as np

from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Bits, Boolean, Lane
from upcare_mpc.mpc.circuits import Circuit, abreast, chain, chain_by_prefixes, prefixes, run
from upcare_mpc.mpc.field import BITS, Words
from upcare_mpc.mpc.magnitudes import Signed

__all__ = ["add_mod_p", "add_signed", "share_parts", "to_field", "unslice"]


async def to_field(
    boolean: Boolean,
    lane: Lane,
    number: Circuit[Signed],
    cells: int,
    random: Callable[[int], Words],
    *,
    blocks: int,
) -> Words:
    """Run a circuit that draws signed numbers, and turn them into Shamir shares mod p.

    Args:
        boolean: This party's arithmetic on secret bits, in ``lane``.
        lane: Messages and streams of this batch.
        number: What is drawn; the masks are added up beside it.
        cells: n, public.
        random: Words known to this party alone, for its own Shamir sharing.
        blocks: Form of the adder, see ``mpc.circuits``.

    Returns:
        ``(n,)`` this party's shares. Secret.
    """
    words, receiver = -(-cells // 64), lane.threshold
    drawn = [boolean.known_to(owner, BITS, words) for owner in range(receiver)]
    signed, mask = await run(boolean, abreast(number, _sum_mod_p([bits for bits, _ in drawn])))
    masked = await run(boolean, add_signed(signed, mask, blocks=blocks))
    opened = await boolean.open_to(masked, receiver)
    part: Words | None = None
    if opened is not None:
        part = unslice(opened, cells) % np.uint64(field.PRIME)  # p is the second encoding of zero
    elif boolean.me < receiver:
        own = next(known for _, known in drawn if known is not None)
        part = field.negate(unslice(own, cells))
    return await share_parts(lane, part, dealers=receiver + 1, cells=cells, random=random)


async def share_parts(
    lane: Lane, part: Words | None, *, dealers: int, cells: int, random: Callable[[int], Words]
) -> Words:
    """Share the sum of numbers that the first ``dealers`` parties know, one each.

    Args:
        lane: Messages of this batch.
        part: ``(n,)`` field elements that this party knows, if it is a dealer. Secret.
        dealers: How many parties deal.
        cells: n.
        random: Words known to this party alone.

    Returns:
        ``(n,)`` share of degree t. Cost: 1 round; ``8 n`` bytes from each dealer to each party.
    """
    label = lane.new_round()
    shares = np.zeros(cells, np.uint64)
    if part is not None:
        dealt = field.share(part, parties=lane.parties, threshold=lane.threshold, random=random)
        for peer in range(lane.parties):
            if peer != lane.index:
                lane.send(peer, label, dealt[peer])
        shares = dealt[lane.index]
        await lane.drain()
    for dealer in range(dealers):
        if dealer != lane.index:
            received = await lane.receive(dealer, label, count=cells)
            shares = field.add(shares, field.checked(received))
    return shares


def add_signed(x: Signed, mask: Bits, *, blocks: int) -> Circuit[Bits]:
    """``x + mask`` mod p, of a small signed number and a 61-bit word, as a 61-bit word.

    Above the K low bits x is all sign, so adding it there only carries (sign 0) or borrows (sign
    1): a bit is switched as long as all bits below it pass. What leaves at the top is worth 2^61 =
    1 and goes in again at the bottom, up or down by the sign. It then stays within K + 1 bits:
    after an overflow the word is below ``2^K - 1``, after a borrow at least ``2^61 - 2^K``.

    Cost: ``61 + K`` ANDs and rounds with one block; with more about twice the ANDs, and
    ``K + 58 / blocks + blocks`` rounds.
    """
    rows = x.low.shape[1]
    below, passes = mask[:, :rows], mask[:, rows:] ^ x.sign
    if blocks == 1:
        low, carry = yield from _ripple(x.low, below, x.carry)
        switch = yield from chain(carry ^ x.sign, passes)
        around = yield from chain(switch[:, -1:], low ^ x.sign)
    else:
        (low, carry), prefix = yield from abreast(
            _ripple(x.low, below, x.carry), prefixes(passes, blocks)
        )
        switch, prefix = yield from abreast(
            chain_by_prefixes(carry ^ x.sign, prefix, passes.shape[1]),
            prefixes(low ^ x.sign, 2),
        )
        around = yield from chain_by_prefixes(switch[:, -1:], prefix, rows)
    word = np.concatenate((low, mask[:, rows:] ^ switch[:, :-1]), axis=1)
    word[:, : rows + 1] ^= around
    return word


def add_mod_p(x: Bits, y: Bits) -> Circuit[Bits]:
    """``x + y`` mod p of 61-bit words with end-around carry; 62 rounds, about 4 * 61 ANDs a cell.

    ``carry[i]`` and ``all[i]`` are the group generate and propagate of bits i..0: the carry out of
    bit i is ``carry[i] or (all[i] and carry_in)``, and the carry in is the carry out of the top.
    If all bits propagate the sum is p itself, an encoding of zero, and both forms agree on it.
    """
    propagate = x ^ y
    generate = yield x, y
    pair = np.empty((x.shape[0], 2, x.shape[2]), np.uint64)
    carry, every = np.empty_like(x), np.empty_like(x)
    carry[:, 0], every[:, 0] = generate[:, 0], propagate[:, 0]
    for i in range(1, BITS):
        pair[:, 0], pair[:, 1] = carry[:, i - 1], every[:, i - 1]
        result = yield np.broadcast_to(propagate[:, i : i + 1], pair.shape), pair
        carry[:, i] = generate[:, i] ^ result[:, 0]
        every[:, i] = result[:, 1]
    carry_in = carry[:, BITS - 1 :]
    out = propagate.copy()
    out[:, :1] ^= carry_in
    around = yield every[:, : BITS - 1], np.broadcast_to(carry_in, every[:, : BITS - 1].shape)
    out[:, 1:] ^= carry[:, : BITS - 1] ^ around
    return out


def _sum_mod_p(words: list[Bits]) -> Circuit[Bits]:
    total = words[0]
    for other in words[1:]:
        total = yield from add_mod_p(total, other)
    return total


def _ripple(x: Bits, y: Bits, carry: Bits | None) -> Circuit[tuple[Bits, Bits]]:
    """``x + y + carry`` bit by bit: the bits, and the carry out."""
    out = x ^ y
    for row in range(x.shape[1]):
        bit = slice(row, row + 1)
        if carry is None:
            carry = yield x[:, bit], y[:, bit]
        else:
            out[:, bit] ^= carry
            carry = carry ^ (yield x[:, bit] ^ carry, y[:, bit] ^ carry)
    if carry is None:
        raise AssertionError("numbers have at least one bit below their sign")
    return out, carry


def unslice(sliced: Words, cells: int) -> Words:
    """Turn 61 rows of bits, 64 cells to a word, into one 61-bit word a cell.

    Transposes 64 x 64 bit blocks in six swaps (Warren, "Hacker's Delight", section 7-3).
    """
    words = sliced.shape[1]
    block = np.zeros((64, words), np.uint64)
    block[:BITS] = sliced
    width, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while width:
        shift = np.uint64(width)
        view = block.reshape(64 // (2 * width), 2, width, words)
        low, high = view[:, 0], view[:, 1]
        swap = ((low >> shift) ^ high) & mask
        high ^= swap
        low ^= swap << shift
        width //= 2
        mask ^= mask << np.uint64(width) if width else np.uint64(0)
    return np.ascontiguousarray(block.T).reshape(-1)[:cells]
