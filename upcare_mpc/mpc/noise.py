"""Discrete Laplace noise that the computing parties draw together and nobody knows.

The law is ``privacy.laplace.SampledLaplace``, exactly:

    X = sign * nonzero * (1 + G),   G = sum over i < K of 2^i g_i,

with independent coins ``nonzero`` and ``g_i``. With ``P(g_i = 1) = 1/(1 + e^(2^i/b))`` the
magnitude is geometric, because ``e^(-k/b)`` factors over the bits of ``k``, so ``X`` is discrete
Laplace with scale ``b`` (the two-sided geometric of Ghosh, Roughgarden, Sundararajan 2009). A
coin with threshold T is ``[u < T]`` for ``lambda`` uniform secret bits ``u`` of its own; sharing
one ``u`` between coins would keep every mean and destroy the law.

Steps, all on secret bits (shapes in ``mpc.bits``; ``w = ceil(n / 64)`` words for n cells):

1. coins      compare from the lowest bit; one AND a bit, all coins side by side
2. magnitude  1 + G by a ripple of K half adders, AND with ``nonzero``
3. sign       negation mod p = 2^61 - 1 is the complement of a 61-bit word: an XOR
4. to field   add t + 1 masks mod p, open the sum, take the masks off on shares (``_to_field``)

Opens: one vector ``y = X + A_0 + ... + A_t mod p``, uniform and independent of ``X``.
Secret: everything else. Rounds: (lambda - 1) + K + t + 62 + 2.
Bytes for m = 3, each party: n/8 * ((lambda-1)(K+1) + 2K + 302 + 61), and 16 n more at 0 and 1.

Adversary: any t honest-but-curious parties together learn nothing about X: they miss at least one
component of every secret bit, and at least one mask ``A_k`` is known to a party outside alone. The
view of t parties is within n * 2^-60 of one that is independent of X: a mask is a uniform
61-bit word, and 0 and p are two encodings of zero. A party that DEVIATES can bias the noise.
"""

from collections.abc import Callable

import numpy as np

from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import ONES, Bits, Boolean, Lane
from upcare_mpc.mpc.field import BITS, Words
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["laplace_shares"]


async def laplace_shares(
    lane: Lane, law: SampledLaplace, cells: int, *, random: Callable[[int], Words]
) -> Words:
    """Draw ``cells`` independent values of ``law`` as Shamir shares of degree t.

    Args:
        lane: This party's messages and streams for this batch.
        law: The law; equal at all parties (its digest is part of Hello).
        cells: n, public.
        random: Words known to this party alone, for its own Shamir sharing.

    Returns:
        ``(n,)`` this party's shares. Secret.
    """
    words = -(-cells // 64)
    circuit = Boolean(lane)
    coins = await _coins(circuit, law, words)
    nonzero, digits = coins[:, :1], coins[:, 1:]
    magnitude = await _one_plus(circuit, digits)
    magnitude = await circuit.conjunction(magnitude, np.broadcast_to(nonzero, magnitude.shape))
    sign = circuit.random(1, words)
    rows = magnitude.shape[1]
    signed = np.empty((magnitude.shape[0], BITS, words), np.uint64)
    signed[:, :rows] = magnitude ^ sign
    signed[:, rows:] = sign
    return await _to_field(circuit, lane, signed, cells, random)


async def _coins(circuit: Boolean, law: SampledLaplace, words: int) -> Bits:
    """One biased bit a row and cell: ``[u < T]``, lowest bit of u first.

    ``less`` says whether the bits of u seen so far are below those of T. With T's bit 1 it becomes
    ``less or not u``, with 0 ``less and not u``: one AND, its inputs and output flipped by T's bit.
    """
    thresholds = law.thresholds
    mask = np.empty((len(thresholds), 1), np.uint64)

    def bits_of_thresholds(position: int) -> Words:
        for row, threshold in enumerate(thresholds):
            mask[row] = ONES if threshold >> position & 1 else 0
        return mask

    # Lowest bit: nothing is below yet, so less = T_0 and not u.
    ones = bits_of_thresholds(0)
    less = circuit.flip(circuit.random(len(thresholds), words), ONES) & ones
    for position in range(1, law.precision):
        ones = bits_of_thresholds(position)
        u = circuit.random(len(thresholds), words)
        both = await circuit.conjunction(circuit.flip(u, ~ones), circuit.flip(less, ones))
        less = circuit.flip(both, ones)
    return less


async def _one_plus(circuit: Boolean, digits: Bits) -> Bits:
    """``1 + G`` for G of K bits: ``(c, K, w)`` to ``(c, K + 1, w)``, a ripple of half adders."""
    rows = digits.shape[1]
    out = np.empty((digits.shape[0], rows + 1, digits.shape[2]), np.uint64)
    if rows == 0:
        out[:] = circuit.flip(circuit.zeros(1, digits.shape[2]), ONES)
        return out
    out[:, :1] = circuit.flip(digits[:, :1], ONES)
    carry = digits[:, :1]
    for row in range(1, rows):
        digit = digits[:, row : row + 1]
        out[:, row : row + 1] = digit ^ carry
        carry = await circuit.conjunction(digit, carry)
    out[:, rows:] = carry
    return out


async def _to_field(
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
        total, carries = await _carry_save(circuit, total, carries, addend)
    masked = _unslice(await circuit.open(await _add_mod_p(circuit, total, carries)), cells)

    label = lane.new_round()
    shares = masked % np.uint64(field.PRIME)  # y = p is the second encoding of zero
    if own_mask is not None:
        dealt = field.share(
            field.negate(_unslice(own_mask, cells)),
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


async def _carry_save(circuit: Boolean, x: Bits, y: Bits, z: Bits) -> tuple[Bits, Bits]:
    """Three addends to two, mod p: ``x + y + z = sum + carries``; 1 round, 61 ANDs a cell."""
    xy = x ^ y
    majority = x ^ await circuit.conjunction(xy, x ^ z)
    return xy ^ z, np.roll(majority, 1, axis=1)  # the top carry has weight 2^61 = 1


async def _add_mod_p(circuit: Boolean, x: Bits, y: Bits) -> Bits:
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


def _unslice(sliced: Words, cells: int) -> Words:
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
