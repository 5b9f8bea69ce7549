"""Vectors of the distributions that the scheme is about, from given random bytes.

``random(k)`` gives k uniform bytes. All samplers reject where bytes do not divide evenly: none has
a bias. Secret: whatever comes out.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.he.parameters import ERROR_BOUND, Q_BYTES, N, Q, T

__all__ = ["Random", "binomial", "expand", "ternary", "uniform_box", "uniform_plain"]

Random = Callable[[int], bytes]
"""Gives that many uniform random bytes."""

Integers = npt.NDArray[np.int64]

_SEED_TAG: Final = b"upcare/v1/rlwe-a|"
_MARGIN: Final = 64  # coefficients drawn beyond N, so that one extension of the seed suffices


def ternary(random: Random) -> Integers:
    """``(N,)`` uniform in {-1, 0, 1}."""
    kept = np.empty(0, np.int64)
    while len(kept) < N:
        octets = np.frombuffer(random(N + N // 16), np.uint8)
        kept = np.concatenate((kept, octets[octets < 255].astype(np.int64) % 3 - 1))
    return kept[:N]


def binomial(random: Random) -> Integers:
    """``(N,)`` centred binomial: 21 fair coins less 21 others; variance 10.5."""
    width = 2 * ERROR_BOUND
    octets = np.frombuffer(random(-(-width * N // 8)), np.uint8)
    coins = np.unpackbits(octets, count=width * N).reshape(N, width)
    up, down = (half.sum(axis=1, dtype=np.int64) for half in np.hsplit(coins, 2))
    difference: Integers = up - down
    return difference


def uniform_box(bound: int, random: Random) -> Integers:
    """``(N,)`` uniform in [-bound, bound], ``bound < 2^31``."""
    mask = np.uint32((1 << (2 * bound).bit_length()) - 1)
    kept = np.empty(0, np.int64)
    while len(kept) < N:
        words = np.frombuffer(random(4 * (N + N // 8)), "<u4") & mask
        kept = np.concatenate((kept, words[words <= 2 * bound].astype(np.int64) - bound))
    return kept[:N]


def uniform_plain(random: Random) -> npt.NDArray[np.uint64]:
    """``(N,)`` uniform modulo t."""
    kept = np.empty(0, np.uint64)
    while len(kept) < N:
        words = np.frombuffer(random(8 * N), "<u8").astype(np.uint64) & np.uint64(T)
        kept = np.concatenate((kept, words[words != T]))
    return kept[:N]


def expand(seed: bytes) -> list[int]:
    """The public polynomial a of a seed of 32 bytes: N uniform elements modulo q (SHAKE256)."""
    octets = hashlib.shake_256(_SEED_TAG + seed).digest(Q_BYTES * (N + _MARGIN))
    drawn = (
        int.from_bytes(octets[at : at + Q_BYTES], "little") for at in range(0, len(octets), Q_BYTES)
    )
    kept = [element for element in drawn if element < Q]
    assert len(kept) >= N  # an element is refused with probability below 2^-104
    return kept[:N]
