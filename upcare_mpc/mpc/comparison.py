"""Comparing shared values with a public bound, exactly, without opening them.

For a bound k, ``u = k - v`` is local on Shamir shares. Masks ``A_0 .. A_t``, each a uniform 61-bit
word that party j alone knows as bits, are shared over the field by their owners;
``y = u + A_0 + ... + A_t mod p`` is opened to all. On secret bits, ``u = y + ~A_0 + ... + ~A_t``,
because the complement of a 61-bit word is its negative mod p = 2^61 - 1. Carry-save layers bring
the sum down to two addends. Of their sum only the top bit is worked out: it is 1 exactly for
``u > p/2``, a negative u, and for u = 0, which an end-around-carry adder gives as p, all ones. So
it says ``v >= k``.

The carry into the top bit comes from the bits below it and, around the end, from the top bit
itself: one group carry over the 61 positions in the order 60, 0, 1, ..., 59, by a tree of pairs.

Exact for ``|k - v| < p/2``, but that zero is given as 0, not p, if every mask is all ones: at most
2^-61.

Secret: shares, masks, result. Opens: y, uniform whatever v is, up to 2^-60 a cell.
Cost: ``9 + t`` rounds; ``61 t + 181`` ANDs, t + 1 dealt and one opened field element a cell.

Adversary: any t honest-but-curious parties together. They miss at least one mask; their own t
shares and y determine all shares of y that they are sent. A party that DEVIATES can move the bound.
That all m shares of y lie on one polynomial of degree t is checked, and else the session ends.

Sources: masked comparison over a prime field, Damgard, Fitzi, Kiltz, Nielsen, Toft, TCC 2006; group
carries, Brent and Kung, 1982. Masking a 61-bit field by uniform field elements needs no statistical
slack, unlike comparisons of integers in a larger field.
"""

from collections.abc import Callable

import numpy as np

from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import ONES, Bits, Boolean, Lane
from upcare_mpc.mpc.circuits import Circuit, run
from upcare_mpc.mpc.conversion import carry_save, share_parts, slice_words, unslice
from upcare_mpc.mpc.field import BITS, Words

__all__ = ["at_least"]


async def at_least(
    boolean: Boolean, lane: Lane, share: Words, bound: int, *, random: Callable[[int], Words]
) -> Bits:
    """Compare every shared value with one public bound.

    Args:
        boolean: This party's arithmetic on secret bits, in ``lane``.
        lane: Messages and streams of this batch.
        share: ``(n,)`` shares of degree t, values centred mod p. Secret.
        bound: k, public, ``|k| < 2^60``.
        random: Words known to this party alone, for its own Shamir sharing.

    Returns:
        ``(c, 1, w)`` bits ``[v >= k]``, 64 cells to a word, in order. Bits past the last cell are
        zero.

    Raises:
        OpeningError: The shares of the masked values do not belong together.
    """
    cells = share.shape[0]
    words = -(-cells // 64)
    dealers = lane.threshold + 1
    drawn = [boolean.known_to(owner, BITS, words) for owner in range(dealers)]
    part: Words | None = None
    if boolean.me < dealers:
        own = next(known for _, known in drawn if known is not None)
        part = unslice(own, cells) % np.uint64(field.PRIME)
    mask = await share_parts(lane, part, dealers=dealers, cells=cells, random=random)
    complements = [boolean.flip(bits, ONES) for bits, _ in drawn]
    x, y = await run(boolean, carry_save(complements))
    both = await boolean.conjunction(x, y)

    difference = field.add(field.negate(share), np.full(cells, bound % field.PRIME, np.uint64))
    masked = slice_words(await _open(lane, field.add(difference, mask)))

    # The third addend is public: the majority of x, y and it needs no further AND.
    carries = np.roll(both ^ ((x ^ y) & masked), 1, axis=1)
    top = await run(boolean, _top_bit_of_sum(boolean.flip(x ^ y, masked), carries))
    return top & _live(cells, words)


async def _open(lane: Lane, share: Words) -> Words:
    """Open shares of a uniform vector to all parties, with the check that all m of them agree."""
    label = lane.new_round()
    for peer in range(lane.parties):
        if peer != lane.index:
            lane.send(peer, label, share)
    await lane.drain()
    shares = {lane.index: share}
    for peer in range(lane.parties):
        if peer != lane.index:
            received = await lane.receive(peer, label, count=share.shape[0])
            shares[peer] = field.checked(received)
    return field.open_shares(shares, threshold=lane.threshold)


def _top_bit_of_sum(x: Bits, y: Bits) -> Circuit[Bits]:
    """Bit 60 of ``x + y`` mod p; 7 rounds, 181 ANDs a cell.

    Each row of ``carry`` and ``passes`` stands for a run of positions: whether a carry leaves it,
    and whether one that enters it would.
    """
    propagate = x ^ y
    carry = np.roll((yield x, y), 1, axis=1)  # the order 60, 0, 1, ..., 59
    passes = np.roll(propagate, 1, axis=1)
    while carry.shape[1] > 1:
        pairs = carry.shape[1] // 2
        low, high = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
        both = yield (
            np.concatenate((passes[:, high], passes[:, high]), axis=1),
            np.concatenate((carry[:, low], passes[:, low]), axis=1),
        )
        odd = slice(2 * pairs, None)
        carry = np.concatenate((carry[:, high] ^ both[:, :pairs], carry[:, odd]), axis=1)
        passes = np.concatenate((both[:, pairs:], passes[:, odd]), axis=1)
    return propagate[:, BITS - 1 :] ^ carry


def _live(cells: int, words: int) -> Words:
    """Ones for the cells that exist, ``(w,)``."""
    live = np.full(words, ONES[0])
    if cells % 64:
        live[-1] >>= np.uint64(64 - cells % 64)
    return live
