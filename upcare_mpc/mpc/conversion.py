"""From secret bits to shares over the field, exactly: masks, one adder, one opening.

A number x in secret bits becomes a sum of t + 1 numbers, each known to ONE party:

    y = x + A_0 + .. + A_{t-1} mod p       opened to party t alone
    x = y - A_0 - .. - A_{t-1} mod p       party k shares -A_k afresh, party t shares y

Mask ``A_k`` is a uniform 61-bit word that party k alone knows. Cost for m = 3: ``61 + K`` ANDs and
two field elements a cell, for x of K bits and a sign; for each mask more about 61 ANDs.

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

__all__ = [
    "add_signed",
    "add_words",
    "carry_save",
    "share_parts",
    "slice_words",
    "sum_of_masks",
    "to_field",
    "unslice",
]


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
    masks = sum_of_masks([bits for bits, _ in drawn], blocks=blocks)
    signed, (mask, carry) = await run(boolean, abreast(number, masks))
    masked = await run(boolean, add_signed(signed, mask, carry, blocks=blocks))
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


def sum_of_masks(masks: list[Bits], *, blocks: int) -> Circuit[tuple[Bits, Bits | None]]:
    """``masks`` added up mod p: a 61-bit word, and 1 more or not; free if there is one mask.

    The two words that carry-save leaves are added mod 2^61. What that carries out is worth 1 too,
    and is left to the next adder to carry in.
    """
    if len(masks) == 1:
        return masks[0], None
    x, y = yield from carry_save(masks)
    return (yield from add_words(x, y, blocks=blocks))


def carry_save(words: list[Bits]) -> Circuit[tuple[Bits, Bits]]:
    """Two or more 61-bit words to two with the same sum mod p; 1 round of 61 ANDs for each more.

    The carry out of the top bit is worth 2^61 = 1.
    """
    x, y, *others = words
    for z in others:
        xy = x ^ y
        majority = x ^ (yield xy, x ^ z)
        x, y = xy ^ z, np.roll(majority, 1, axis=1)
    return x, y


def add_signed(x: Signed, mask: Bits, carry: Bits | None, *, blocks: int) -> Circuit[Bits]:
    """``x + mask + carry`` mod p, of a small signed number and a 61-bit word, as a 61-bit word.

    Above the K low bits x is all sign, so adding it there only carries (sign 0) or borrows (sign
    1): a bit is switched as long as all bits below it pass. What leaves at the top is worth 2^61 =
    1 and goes in again at the bottom, up or down by the sign. It then stays within K + 1 bits:
    after an overflow the word is below ``2^K``, after a borrow at least ``2^61 - 2^K``.

    Cost: ``61 + K`` ANDs and rounds with one block; with more about twice the ANDs, and about
    ``K + 61 / blocks + blocks`` rounds. Two carries take K more of both.
    """
    if x.carry is not None and carry is not None:
        x = yield from _with_carry_in(x, x.carry)
    carry = x.carry if carry is None else carry
    rows = x.low.shape[1]
    below, passes = mask[:, :rows], mask[:, rows:] ^ x.sign
    if blocks == 1:
        low, out = yield from _ripple(x.low, below, carry)
        switch = yield from chain(out ^ x.sign, passes)
        around = yield from chain(switch[:, -1:], low ^ x.sign)
    else:
        (low, out), prefix = yield from abreast(
            _ripple(x.low, below, carry), prefixes(passes, blocks)
        )
        switch, prefix = yield from abreast(
            chain_by_prefixes(out ^ x.sign, prefix, passes.shape[1]),
            prefixes(low ^ x.sign, 2),
        )
        around = yield from chain_by_prefixes(switch[:, -1:], prefix, rows)
    word = np.concatenate((low, mask[:, rows:] ^ switch[:, :-1]), axis=1)
    word[:, : rows + 1] ^= around
    return word


def add_words(x: Bits, y: Bits, *, blocks: int) -> Circuit[tuple[Bits, Bits]]:
    """``x + y`` as a word of as many bits, and the carry out.

    One block: a ripple, one AND and one round a bit. More: in each block ``carry`` and ``all``, the
    group generate and propagate from its lowest bit on (Brent and Kung 1982); about 4 ANDs a bit
    and ``61 / blocks + blocks`` rounds.
    """
    if blocks == 1:
        return (yield from _ripple(x, y, None))
    c, rows, words = x.shape
    size = -(-rows // blocks)
    shape = (c, blocks, size, words)

    def in_blocks(bits: Bits) -> Bits:
        padded = np.zeros((c, blocks * size, words), np.uint64)
        padded[:, :rows] = bits
        return padded.reshape(shape)

    every = in_blocks(x ^ y)
    carries = in_blocks((yield x, y))
    propagate = every.copy()
    for place in range(1, size):
        before = np.concatenate((carries[:, :, place - 1], every[:, :, place - 1]), axis=1)
        step = yield np.concatenate((propagate[:, :, place],) * 2, axis=1), before
        carries[:, :, place] ^= step[:, :blocks]
        every[:, :, place] = step[:, blocks:]
    into = np.zeros((c, blocks, words), np.uint64)  # the carry into each block
    for block in range(1, blocks):
        last = slice(block - 1, block)
        into[:, block : block + 1] = carries[:, last, -1] ^ (
            yield every[:, last, -1], into[:, last]
        )
    every_bit = every.reshape(c, -1, words)
    passed = yield every_bit, np.repeat(into, size, axis=1)
    out = carries.reshape(c, -1, words)[:, :rows] ^ passed[:, :rows]
    total = x ^ y
    total[:, 1:] ^= out[:, :-1]
    return total, out[:, -1:]


def _with_carry_in(x: Signed, carry: Bits) -> Circuit[Signed]:
    """``x + carry`` without a carry left over: half adders. There is room: x is not the largest."""
    low = np.empty_like(x.low)
    for row in range(low.shape[1]):
        bit = slice(row, row + 1)
        low[:, bit] = x.low[:, bit] ^ carry
        carry = yield x.low[:, bit], carry
    return Signed(low=low, sign=x.sign ^ carry)


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
        raise AssertionError("a number has at least one bit")
    return out, carry


def unslice(sliced: Words, cells: int) -> Words:
    """Turn 61 rows of bits, 64 cells to a word, into one 61-bit word a cell."""
    block = np.zeros((64, sliced.shape[1]), np.uint64)
    block[:BITS] = sliced
    _transpose(block)
    return np.ascontiguousarray(block.T).reshape(-1)[:cells]


def slice_words(values: Words) -> Words:
    """Turn one 61-bit word a cell into 61 rows of bits, 64 cells to a word."""
    words = -(-values.shape[0] // 64)
    padded = np.zeros(64 * words, np.uint64)
    padded[: values.shape[0]] = values
    block = np.ascontiguousarray(padded.reshape(words, 64).T)
    _transpose(block)
    return block[:BITS]


def _transpose(block: Words) -> None:
    """Transpose ``(64, w)``, w blocks of 64 x 64 bits, in place.

    In six swaps (Warren, "Hacker's Delight", section 7-3).
    """
    words = block.shape[1]
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
