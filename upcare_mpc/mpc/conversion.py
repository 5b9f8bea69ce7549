"""From secret bits to shares over the field, exactly: masks, adders, one opening.

Opens: one vector ``y = x + A_0 + ... + A_t mod p``, uniform and independent of ``x``.
Cost for m = 3: 64 rounds, about 5 * 61 ANDs and two field elements a cell.

Adversary: any t honest-but-curious parties together. At least one mask ``A_k`` is known to a
party outside alone, so y is uniform to them up to 2^-60 a cell: a mask is a uniform 61-bit word,
and 0 and p are two encodings of zero.
"""

from collections.abc import Callable

import numpy as np

from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Bits, Boolean, Lane
from upcare_mpc.mpc.field import BITS, Words

__all__ = ["to_field", "unslice"]


async def to_field(
    circuit: Boolean, lane: Lane, secret: Bits, cells: int, random: Callable[[int], Words]
) -> Words:
    """Turn 61-bit words into Shamir shares mod p.

    Mask ``A_k``, k = 0..t, is uniform on 61 bits and known to party k alone. The adders work mod
    p with end-around carry, ``y = secret + A_0 + ... + A_t`` is opened, and party k shares
    ``-A_k`` afresh. Any t parties miss at least one A_k, so y is uniform to them.
    """
    words = secret.shape[2]
    own_mask: Words | None = None
    addends = [secret]
    for owner in range(lane.threshold + 1):
        bits, known = circuit.known_to(owner, BITS, words)
        addends.append(bits)
        if known is not None:
            own_mask = known
    total, carries = addends[0], addends[1]
    for addend in addends[2:]:
        total, carries = await carry_save(circuit, total, carries, addend)
    masked = unslice(await circuit.open(await add_mod_p(circuit, total, carries)), cells)

    label = lane.new_round()
    shares = masked % np.uint64(field.PRIME)  # y = p is the second encoding of zero
    if own_mask is not None:
        dealt = field.share(
            field.negate(unslice(own_mask, cells)),
            parties=lane.parties,
            threshold=lane.threshold,
            random=random,
        )
        for peer in range(lane.parties):
            if peer != lane.index:
                lane.send(peer, label, dealt[peer])
        shares = field.add(shares, dealt[lane.index])
        await lane.drain()
    for owner in range(lane.threshold + 1):
        if owner != lane.index:
            dealt_to_me = await lane.receive(owner, label, count=cells)
            shares = field.add(shares, field.checked(dealt_to_me))
    return shares


async def carry_save(circuit: Boolean, x: Bits, y: Bits, z: Bits) -> tuple[Bits, Bits]:
    """Three addends to two, mod p: ``x + y + z = sum + carries``; 1 round, 61 ANDs a cell."""
    xy = x ^ y
    majority = x ^ await circuit.conjunction(xy, x ^ z)
    return xy ^ z, np.roll(majority, 1, axis=1)  # the top carry has weight 2^61 = 1


async def add_mod_p(circuit: Boolean, x: Bits, y: Bits) -> Bits:
    """``x + y`` mod p with end-around carry; 62 rounds, about 4 * 61 ANDs a cell with the last.

    ``carry[i]`` and ``all[i]`` are the group generate and propagate of bits i..0: the carry out of
    bit i is ``carry[i] or (all[i] and carry_in)``, and the carry in is the carry out of the top.
    If all bits propagate the sum is p itself, an encoding of zero, and both forms agree on it.
    """
    propagate = x ^ y
    generate = await circuit.conjunction(x, y)
    pair = np.empty((x.shape[0], 2, x.shape[2]), np.uint64)
    carry, every = np.empty_like(x), np.empty_like(x)
    carry[:, 0], every[:, 0] = generate[:, 0], propagate[:, 0]
    for i in range(1, BITS):
        pair[:, 0], pair[:, 1] = carry[:, i - 1], every[:, i - 1]
        step = np.broadcast_to(propagate[:, i : i + 1], pair.shape)
        result = await circuit.conjunction(step, pair)
        carry[:, i] = generate[:, i] ^ result[:, 0]
        every[:, i] = result[:, 1]
    carry_in = carry[:, BITS - 1 :]
    out = propagate.copy()
    out[:, :1] ^= carry_in
    around = await circuit.conjunction(
        every[:, : BITS - 1], np.broadcast_to(carry_in, (x.shape[0], BITS - 1, x.shape[2]))
    )
    out[:, 1:] ^= carry[:, : BITS - 1] ^ around
    return out


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
