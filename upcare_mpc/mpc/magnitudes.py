"""Secret signed numbers drawn from coins: discrete Laplace and discrete Gaussian.

All work is on secret bits (shapes in ``mpc.bits``; ``w`` words hold 64 w cells). Nothing opens.

Laplace (``privacy.laplace``): ``X = G`` or ``-1 - G``, by a sign coin; in two's complement the
second is the complement of the first. Sign and digits of G are independent coins, all compared side
by side: ``(lambda - 1)(K + 1)`` ANDs a cell, ``lambda - 1`` rounds.

Gaussian (``privacy.gaussian``): magnitudes by digits from the top, each a coin against a threshold
that the digits above it select from a public table. One-hot selectors of those digits make the
selection a sum of public multiples, which is free. ``K lambda + 2^(K-1) - 2`` ANDs a cell and
part, ``K (lambda + 1)`` rounds; parts side by side, then one small adder for each but the first.

A coin is ``[u < T]`` for ``lambda`` uniform secret bits ``u`` of its own. Sharing one ``u`` between
coins would keep every mean and destroy the law. With ``blocks`` above 1 the bits of ``u`` are
compared in so many blocks side by side (``less`` and ``equal`` of each): about twice the ANDs and
``lambda / blocks + blocks`` rounds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from upcare_mpc.mpc.bits import ONES, Bits, Boolean
from upcare_mpc.mpc.circuits import Circuit, abreast, at_once
from upcare_mpc.mpc.field import Words
from upcare_mpc.privacy.digits import Part
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["Signed", "gaussian", "laplace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A secret number in two's complement, ``low - 2^K sign + carry``, within ``[-2^K, 2^K)``.

    Attributes:
        low: ``(c, K, w)``, lowest bit first.
        sign: ``(c, 1, w)``; all bits from the K-th on.
        carry: ``(c, 1, w)``, one more to be added; none is 0.
    """

    low: Bits
    sign: Bits
    carry: Bits | None = None


def laplace(boolean: Boolean, law: SampledLaplace, words: int, *, blocks: int) -> Circuit[Signed]:
    """Draw ``64 words`` values of a discrete Laplace law."""
    coins = yield from _public_coins(boolean, law, words, blocks)
    sign, digits = coins[:, :1], coins[:, 1:]
    return Signed(low=digits ^ sign, sign=sign)


def gaussian(boolean: Boolean, law: SampledGaussian, words: int, *, blocks: int) -> Circuit[Signed]:
    """Draw ``64 words`` values of a discrete Gaussian law.

    Minus a magnitude is its complement plus 1: each part's sign is a carry, and each adder takes
    one carry in. The last is left to whoever adds next.
    """
    magnitudes = yield from abreast(
        *[_magnitude(boolean, part, words, blocks) for part in law.parts]
    )
    signs = [boolean.random(1, words) for _ in law.parts]
    parts = [
        np.concatenate((np.repeat(sign, part.shift, axis=1), magnitude ^ sign), axis=1)
        for part, magnitude, sign in zip(law.parts, magnitudes, signs, strict=True)
    ]
    total, top = parts[0], signs[0]
    if len(parts) > 1:
        rows = (law.support + len(parts)).bit_length()
        for place in range(1, len(parts)):
            total, top = yield from _sum(
                (total, top), (parts[place], signs[place]), carry=signs[place - 1], rows=rows
            )
    return Signed(low=total, sign=top, carry=signs[-1])


def _sum(
    x: tuple[Bits, Bits], y: tuple[Bits, Bits], *, carry: Bits, rows: int
) -> Circuit[tuple[Bits, Bits]]:
    """``x + y + carry`` of (bits, sign) pairs, as ``rows`` bits and a sign; a ripple."""
    left, right = (
        np.concatenate((low, np.repeat(sign, rows + 1 - low.shape[1], axis=1)), axis=1)
        for low, sign in (x, y)
    )
    out = left ^ right
    for row in range(rows + 1):
        bit = slice(row, row + 1)
        out[:, bit] ^= carry
        if row < rows:
            carry = carry ^ (yield left[:, bit] ^ carry, right[:, bit] ^ carry)
    return out[:, :rows], out[:, rows:]


def _magnitude(boolean: Boolean, part: Part, words: int, blocks: int) -> Circuit[Bits]:
    """One part's ``|X|``: ``(c, K, w)``, lowest bit first."""
    digits: list[Bits] = []
    selectors: Bits | None = None  # one-hot: row h says that the digits so far read h
    for table in part.tables:
        digit = yield from _selected_coin(boolean, table, selectors, part.precision, words, blocks)
        digits.append(digit)
        if len(digits) == part.magnitude_bits:
            break
        if selectors is None:
            selectors = np.concatenate((boolean.flip(digit, ONES), digit), axis=1)
        else:
            ones = yield from at_once(selectors, digit)
            rows = np.stack((selectors ^ ones, ones), axis=2)  # h then 0, h then 1
            selectors = rows.reshape(rows.shape[0], -1, words)
    return np.concatenate(digits[::-1], axis=1)


def _selected_coin(
    boolean: Boolean,
    table: tuple[int, ...],
    selectors: Bits | None,
    precision: int,
    words: int,
    blocks: int,
) -> Circuit[Bits]:
    """One coin a cell, ``[u < T]`` for the threshold T that the selectors pick: ``(c, 1, w)``."""

    def threshold(position: int) -> Bits:
        """The XOR of the selectors of those entries that have this bit."""
        if selectors is None:
            bit = boolean.zeros(1, words)
            return boolean.flip(bit, ONES) if table[0] >> position & 1 else bit
        rows = [row for row, entry in enumerate(table) if entry >> position & 1]
        return np.bitwise_xor.reduce(selectors[:, rows], axis=1, keepdims=True)

    def block(positions: range) -> Circuit[tuple[Bits, Bits]]:
        # less becomes T's bit where it differs from u's, else stays.
        less, equal = boolean.zeros(1, words), boolean.zeros(1, words)
        for position in positions:
            bit = threshold(position)
            differ = boolean.random(1, words) ^ bit
            if positions.start == 0:  # nothing is below the lowest block
                less = less ^ (yield differ, less ^ bit)
                continue
            same = boolean.flip(differ, ONES)
            if position == positions.start:
                less, equal = (yield differ, bit), same
                continue
            product = yield (
                np.concatenate((differ, same), axis=1),
                np.concatenate((less ^ bit, equal), axis=1),
            )
            less, equal = less ^ product[:, :1], product[:, 1:]
        return less, equal

    return (yield from _blockwise(block, precision, blocks))


def _public_coins(boolean: Boolean, law: SampledLaplace, words: int, blocks: int) -> Circuit[Bits]:
    """One coin a row and cell, ``[u < T]``, each row with its public threshold: ``(c, r, w)``.

    ``less`` says whether the bits of u seen so far are below those of T. With T's bit 1 it becomes
    ``less or not u``, with 0 ``less and not u``: one AND, its inputs and output flipped by T's bit.
    """
    rows = len(law.thresholds)

    def bits_of_thresholds(position: int) -> Words:
        ones = [ONES if threshold >> position & 1 else ONES ^ ONES for threshold in law.thresholds]
        return np.array(ones, np.uint64).reshape(rows, 1)

    def block(positions: range) -> Circuit[tuple[Bits, Bits]]:
        ones = bits_of_thresholds(positions.start)
        equal = boolean.random(rows, words)
        boolean.flip_in_place(equal, ~ones)
        less = boolean.flip(equal, ONES) & ones  # T's bit and not u's
        before = np.zeros_like(ones)  # what less is flipped by
        for position in positions[1:]:
            ones = bits_of_thresholds(position)
            same = boolean.random(rows, words)
            boolean.flip_in_place(same, ~ones)
            boolean.flip_in_place(less, before ^ ones)
            if positions.start == 0:  # nothing is below the lowest block
                less = yield same, less
            else:
                product = yield (
                    np.concatenate((same, same), axis=1),
                    np.concatenate((less, equal), axis=1),
                )
                less, equal = product[:, :rows], product[:, rows:]
            before = ones
        boolean.flip_in_place(less, before)
        return less, equal

    return (yield from _blockwise(block, law.precision, blocks))


def _blockwise(
    block: Callable[[range], Circuit[tuple[Bits, Bits]]], precision: int, blocks: int
) -> Circuit[Bits]:
    """Compare in blocks of positions side by side, and join them from the lowest."""
    edges = [precision * edge // blocks for edge in range(blocks + 1)]
    ranges = [range(low, high) for low, high in pairwise(edges)]
    less: Bits
    (less, _), *higher = yield from abreast(*[block(positions) for positions in ranges])
    for less_here, equal_here in higher:
        less = less_here ^ (yield equal_here, less)
    return less
