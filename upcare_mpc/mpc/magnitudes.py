"""The secret magnitude of one noise value, drawn from coins: discrete Laplace and Gaussian.

All work is on secret bits (shapes in ``mpc.bits``; ``w`` words hold 64 w cells). Nothing opens.

Laplace (``privacy.laplace``): ``nonzero * (1 + G)``, the digits of G from independent coins, all
compared side by side. ``(lambda - 1)(K + 1) + 2K + 1`` ANDs a cell, ``lambda + K`` rounds.

Gaussian (``privacy.gaussian``): digits from the top, each a coin against a threshold that the
digits above it select from a public table. One-hot selectors of those digits make the selection a
sum of public multiples, which is free. ``K lambda + 2^(K-1) - 2`` ANDs a cell, ``K (lambda + 1)``
rounds.

A coin is ``[u < T]`` for ``lambda`` uniform secret bits ``u`` of its own. Sharing one ``u`` between
coins would keep every mean and destroy the law.
"""

import numpy as np

from upcare_mpc.mpc.bits import ONES, Bits, Boolean
from upcare_mpc.mpc.field import Words
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["gaussian_magnitude", "laplace_magnitude"]


async def laplace_magnitude(circuit: Boolean, law: SampledLaplace, words: int) -> Bits:
    """Draw ``|X|`` of a discrete Laplace law: ``(c, K + 1, w)``, lowest bit first."""
    coins = await _coins(circuit, law, words)
    nonzero, digits = coins[:, :1], coins[:, 1:]
    magnitude = await _one_plus(circuit, digits)
    return await circuit.conjunction(magnitude, np.broadcast_to(nonzero, magnitude.shape))


async def gaussian_magnitude(circuit: Boolean, law: SampledGaussian, words: int) -> Bits:
    """Draw ``|X|`` of a discrete Gaussian law: ``(c, K, w)``, lowest bit first."""
    digits: list[Bits] = []
    selectors: Bits | None = None  # one-hot: row h says that the digits so far read h
    for table in law.tables:
        digit = await _selected_coin(circuit, table, selectors, law.precision, words)
        digits.append(digit)
        if len(digits) == law.magnitude_bits:
            break
        if selectors is None:
            selectors = np.concatenate((circuit.flip(digit, ONES), digit), axis=1)
        else:
            ones = await circuit.conjunction(selectors, np.broadcast_to(digit, selectors.shape))
            rows = np.stack((selectors ^ ones, ones), axis=2)  # h then 0, h then 1
            selectors = rows.reshape(rows.shape[0], -1, words)
    return np.concatenate(digits[::-1], axis=1)


async def _selected_coin(
    circuit: Boolean, table: tuple[int, ...], selectors: Bits | None, precision: int, words: int
) -> Bits:
    """One coin a cell, ``[u < T]`` for the threshold T that the selectors pick: ``(c, 1, w)``.

    From the lowest bit: ``less`` becomes T's bit where it differs from u's, else stays, which is
    ``less ^ ((u ^ T) & (less ^ T))``: one AND a bit, T being secret.
    """
    less = circuit.zeros(1, words)
    for position in range(precision):
        threshold = _selected_bit(circuit, table, selectors, position, words)
        u = circuit.random(1, words)
        less = less ^ await circuit.conjunction(u ^ threshold, less ^ threshold)
    return less


def _selected_bit(
    circuit: Boolean, table: tuple[int, ...], selectors: Bits | None, position: int, words: int
) -> Bits:
    """Bit ``position`` of the selected threshold: the XOR of the selectors of entries with it."""
    if selectors is None:
        bit = circuit.zeros(1, words)
        return circuit.flip(bit, ONES) if table[0] >> position & 1 else bit
    rows = [row for row, threshold in enumerate(table) if threshold >> position & 1]
    return np.bitwise_xor.reduce(selectors[:, rows], axis=1, keepdims=True)


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
