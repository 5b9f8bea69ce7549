"""From decryption shares of a deposit to Shamir shares of what is in it, without opening it.

A ciphertext of cells M under the holders' joint key has ``w = Delta M + e mod q``, and m holders
have additive shares ``y_1 + .. + y_m = w mod q`` (``he.scheme.partial``). Party j draws ``r_j``
uniform mod p = 2^61 - 1, which is the plaintext modulus too, and ``f_j`` uniform in
``[-2^FLOOD_BITS, 2^FLOOD_BITS)``; ``zero_j`` are pseudorandom with sum zero. In ONE round it sends

    a_j = y_j + Delta r_j + f_j + zero_j mod q     to all
    its Shamir shares of -r_j mod p                one to each party

and all work out ``z = a_1 + .. + a_m mod q``, ``v = round(z / Delta) mod p`` and their share
``v + sum_j share(-r_j)`` of ``M``. Exact: ``Delta p = -1 mod q``, so reducing ``M + sum_j r_j`` mod
p costs at most m units of error, and error, flooding and units together stay below ``Delta / 2``.

What a coalition C of t honest-but-curious parties sees, and that it says nothing about M:

1. addends   The set S of the other m - t parties has a key that nobody in C knows. Under it the
             honest ``zero_j`` are uniform with sum zero, so the honest ``a_j`` are uniform up to
             their sum: they can be made from z and C's own addends. (The zeros of other sets are
             known to C and change nothing.) Words of 176 bits are taken for elements mod q: at
             distance ``(2^176 - q) / 2^176 < 2^-104`` from uniform, each.
2. shares    t shares of an honest ``-r_j`` are uniform, whatever it is (``field.share``).
3. z         ``v = M + sum_j r_j mod p`` is exactly uniform and independent of M: C does not know
             an honest ``r_j``. What is left, ``z - Delta v``, is ``e``, minus the units, plus
             honest floods; its distance from the floods alone is ``|e| + m`` in ``2^111`` a cell
             (``he.parameters.flooding_distance``).

Nothing else moves. Without the zeros C would see each honest addend alone. With its own key shares
it knows ``y_j`` up to ``beta_j w``, ``beta_j`` the Lagrange coefficient of j among the honest
parties. As soon as that is a fraction mod q, say 5/4, it moves w mod 4 up to where no flooding
hides it. In a deposit with ``u = 0, e1 = 1``, whose proof holds, w is ``Delta m + s``: the key
comes out. Masks are never used twice either: two z under the same masks tell the difference of two
sums. Every call draws all of them afresh; a second attempt is as safe as the first, at the same
distances.

Adversary: up to t honest-but-curious parties of the session, with submitters who have encrypted
what they deposit. A party that DEVIATES shifts the result, unnoticed. How a ciphertext was made is
not checked here: a crafted one makes ``e`` a function of the key. Only ciphertexts whose proofs
hold come this far, and that leaves 16 bits of the key a block to a submitter who deviates and one
curious party (docs/deposits/proof.md). So of patients none come here; of registries tables do.

Source: masked conversion of threshold decryptions to shares as in Cramer, Damgard, Nielsen,
EUROCRYPT 2001; pseudorandom zeros, Cramer, Damgard, Ishai, TCC 2005; flooding, Asharov et al.,
EUROCRYPT 2012.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import DELTA, FLOOD_BITS, Q_BYTES, Q
from upcare_mpc.he.scheme import round_to_plaintext
from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Lane
from upcare_mpc.mpc.conversion import share_parts
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import Subset, subsets

__all__ = ["convert", "reshare"]

CHUNK_CELLS = 1 << 15  # cells of one branch: the event loop is never held for long

_LIMB = 24  # bytes: an element mod q and 16 bits for the carries of a sum
_LIMB_WORDS = 3
_TOP_WORD = np.uint64((1 << (8 * Q_BYTES - 128)) - 1)  # of a limb that holds 176 bits
_FLOOD_WORD = np.uint64((1 << (FLOOD_BITS + 1 - 64)) - 1)  # of a limb that holds 111 bits


async def convert(engine: Engine, addends: Sequence[int]) -> Words:
    """Turn additive shares of ``Delta M + e`` mod q into Shamir shares of M mod p.

    Several deposits are converted in one call by laying their cells one behind the other.

    Args:
        engine: This party's runtime, its keys agreed.
        addends: n elements mod q whose sum over the session's parties is ``Delta M + e``. Secret.

    Returns:
        ``(n,)`` this party's shares of M, of degree t on the points 1 to m. Secret.

    Raises:
        ProtocolError: A peer sent something else than n elements of each field.

    Opens: ``M + sum_j r_j mod p`` and the flooded error, see above.
    Cost: one wait for the peers, whatever n is; ``30 n`` bytes from each party to each.
    """

    async def branch(part: Sequence[int]) -> Words:
        return await _convert(engine, engine.lane(), part)

    return await _in_chunks(engine, branch, addends)


async def reshare(engine: Engine, addends: Words) -> Words:
    """Turn additive shares mod p into fresh Shamir shares of degree t.

    Args:
        engine: This party's runtime.
        addends: ``(n,)`` field elements whose sum over the session's parties is the vector; of an
            older sharing, this party's share times its Lagrange coefficient. Secret.

    Returns:
        ``(n,)`` this party's shares, on the points 1 to m. Secret.

    Opens: nothing; t shares of each honest addend are uniform (``field.share``).
    Cost: one wait for the peers; ``8 n`` bytes from each party to each.
    """

    async def branch(part: Words) -> Words:
        return await _deal(engine, engine.lane(), part)

    return await _in_chunks(engine, branch, addends)


async def _in_chunks(
    engine: Engine, work: Callable[[Any], Coroutine[Any, Any, Words]], vector: Sequence[Any] | Words
) -> Words:
    """Work on pieces of a vector in branches that overlap computing with waiting."""
    tasks = []
    async with asyncio.TaskGroup() as group:
        for start in range(0, len(vector), CHUNK_CELLS):
            piece = vector[start : start + CHUNK_CELLS]
            tasks.append(engine.branch(work(piece), group=group))
            await asyncio.sleep(0)  # one piece in each turn of the event loop
    return np.concatenate([np.empty(0, np.uint64), *(task.result() for task in tasks)])


async def _convert(engine: Engine, lane: Lane, addends: Sequence[int]) -> Words:
    """Convert one piece; what goes to all and what goes to each are on their way together."""
    cells = len(addends)
    mask = field.uniform(engine.local_random.words, cells)
    masked = _masked(lane, addends, mask, engine.local_random.words)
    async with asyncio.TaskGroup() as group:
        opening = engine.branch(engine.transfer(masked), group=group)
        dealing = engine.branch(_deal(engine, lane, field.negate(mask)), group=group)
    sent = [_elements(frame, cells=cells, party=j) for j, frame in enumerate(opening.result())]
    opened = round_to_plaintext([sum(column) % Q for column in zip(*sent, strict=True)])
    return field.add(np.array(opened, np.uint64), dealing.result())


async def _deal(engine: Engine, lane: Lane, part: Words) -> Words:
    """Share the sum of what every party knows one addend of."""
    return await share_parts(
        lane, part, dealers=lane.parties, cells=len(part), random=engine.local_random.words
    )


def _masked(
    lane: Lane, addends: Sequence[int], mask: Words, random: Callable[[int], Words]
) -> bytes:
    """``y + Delta r + f + zero mod q``: n elements of 22 bytes.

    All n sums are one sum of large integers, one limb a cell; each limb stays below 2^192.
    """
    cells = len(addends)
    factors = np.zeros((cells, _LIMB_WORDS), np.uint64)
    factors[:, 0] = mask
    flood = random(_LIMB_WORDS * cells).reshape(cells, _LIMB_WORDS)
    flood[:, 1] &= _FLOOD_WORD
    flood[:, 2] = 0
    plus, minus, most = _zeros(lane, cells)
    shift = (most + 1) * Q - (1 << FLOOD_BITS)  # 0 mod q but for the flood, and above all of minus
    total = (
        int.from_bytes(b"".join([y.to_bytes(_LIMB, "little") for y in addends]), "little")
        + DELTA * _packed(factors)
        + _packed(flood)
        + plus
        + int.from_bytes(shift.to_bytes(_LIMB, "little") * cells, "little")
        - minus
    )
    limbs = total.to_bytes(cells * _LIMB, "little")
    return ring.to_bytes(
        [int.from_bytes(limbs[at : at + _LIMB], "little") % Q for at in range(0, len(limbs), _LIMB)]
    )


def _zeros(lane: Lane, cells: int) -> tuple[int, int, int]:
    """This party's addend of a pseudorandom zero mod q, as limbs to add and limbs to take off.

    In every set, each member but one adds words of its own; the pivot takes all of them off.
    All members know all words of their set; what counts is the set that a coalition misses.

    Returns:
        Sum of the words to add, sum of those to take off, and how many the latter are a cell.
    """
    plus = minus = most = 0
    for subset in subsets(lane.parties, lane.threshold):
        pivot = subset[sum(subset) % len(subset)]
        if lane.index == pivot:
            others = [member for member in subset if member != pivot]
            minus += sum(_zero_words(lane, subset, dealer, cells) for dealer in others)
            most += len(others)
        elif lane.index in subset:
            plus += _zero_words(lane, subset, lane.index, cells)
    return plus, minus, most


def _zero_words(lane: Lane, subset: Subset, dealer: int, cells: int) -> int:
    """One pseudorandom 176-bit word a cell, drawn for a dealer, in limbs."""
    words = np.empty((cells, _LIMB_WORDS), np.uint64)
    lane.fill(words, subset, "zero", dealer=dealer)
    words[:, 2] &= _TOP_WORD
    return _packed(words)


def _packed(limbs: Words) -> int:
    """``(n, 3)`` words as one integer of n limbs."""
    return int.from_bytes(limbs.astype("<u8", copy=False).data.cast("B"), "little")


def _elements(frame: bytes, *, cells: int, party: int) -> list[int]:
    """Decode what a party sent: exactly ``cells`` canonical elements mod q, or refuse."""
    if len(frame) != cells * Q_BYTES:
        raise ProtocolError(
            f"party {party} sent a frame of {len(frame)} bytes where {cells * Q_BYTES} were due"
        )
    elements = [
        int.from_bytes(frame[at : at + Q_BYTES], "little") for at in range(0, len(frame), Q_BYTES)
    ]
    if max(elements) >= Q:
        raise ProtocolError(f"party {party} sent something else than elements mod q")
    return elements
