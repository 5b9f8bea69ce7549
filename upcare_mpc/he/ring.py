"""Polynomials modulo (q, X^N + 1), multiplied by Kronecker substitution.

A polynomial is written into one large integer, a limb a coefficient, wide enough for every
coefficient of a product; GMP multiplies the integers; the limbs of the product are its
coefficients, and ``X^N = -1`` folds the upper half back. Limbs of either sign are carried along by
adding ``2^(8 w - 2)`` to each before they are read.

    dense   coefficients in [0, q)        short   signed coefficients, below 2^25 in magnitude
    packed  a polynomial as one integer of limbs of a stated width in bytes

A sum of many ciphertexts is one addition of packed integers each, reduced once at the end.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from gmpy2 import mpz

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he.parameters import Q_BYTES, N, Q

__all__ = [
    "DENSE_WIDTH",
    "SHORT_WIDTH",
    "TERNARY_WIDTH",
    "Total",
    "fold",
    "from_bytes",
    "pack",
    "pack_short",
    "to_bytes",
    "widened",
]

TERNARY_WIDTH: Final = 24  # q, N terms, sign: 176 + 13 + 2 bits
SHORT_WIDTH: Final = 28  # q, 2^25, N terms twice, sign: 176 + 25 + 14 + 2 bits
DENSE_WIDTH: Final = 46  # q twice, N terms, sign: 352 + 13 + 2 bits
_TOTAL_WIDTH: Final = Q_BYTES + 3  # 2^24 summands
_HALF: Final = 0x40


def pack(dense: Sequence[int], width: int) -> mpz:
    """Pack a dense polynomial."""
    return mpz(int.from_bytes(b"".join([x.to_bytes(width, "little") for x in dense]), "little"))


def widened(encoded: bytes | memoryview, width: int = SHORT_WIDTH) -> mpz:
    """Pack a dense polynomial from its bytes, whose coefficients were checked."""
    limbs = np.zeros((N, width), np.uint8)
    limbs[:, :Q_BYTES] = np.frombuffer(encoded, np.uint8).reshape(N, Q_BYTES)
    return mpz(int.from_bytes(limbs.tobytes(), "little"))


def pack_short(short: npt.NDArray[np.int64], width: int) -> mpz:
    """Pack a short polynomial; the integer has its sign."""

    def half(magnitudes: npt.NDArray[np.int64]) -> mpz:
        limbs = np.zeros((N, width), np.uint8)
        limbs[:, :8] = magnitudes.astype("<u8").view(np.uint8).reshape(N, 8)
        return mpz(int.from_bytes(limbs.tobytes(), "little"))

    return half(np.maximum(short, 0)) - half(np.maximum(-short, 0))


def fold(product: mpz, width: int) -> list[int]:
    """Read a product of two packed polynomials modulo X^N + 1; N integers, not reduced mod q."""
    octets = int(product + _offset(width)).to_bytes(2 * N * width, "little")
    read, middle = int.from_bytes, N * width
    low = [read(octets[at : at + width], "little") for at in range(0, middle, width)]
    high = [read(octets[at : at + width], "little") for at in range(middle, 2 * middle, width)]
    return [x - y for x, y in zip(low, high, strict=True)]


@functools.cache
def _offset(width: int) -> mpz:
    limbs = np.zeros((2 * N, width), np.uint8)
    limbs[:, -1] = _HALF
    return mpz(int.from_bytes(limbs.tobytes(), "little"))


def to_bytes(dense: Sequence[int]) -> bytes:
    """Encode elements modulo q: 22 bytes each, little-endian."""
    return b"".join([x.to_bytes(Q_BYTES, "little") for x in dense])


def from_bytes(encoded: bytes | memoryview) -> list[int]:
    """Decode N elements modulo q.

    Raises:
        ProtocolError: Another length, or an element of q or more.
    """
    if len(encoded) != N * Q_BYTES:
        raise ProtocolError(f"a polynomial has {N * Q_BYTES} bytes, got {len(encoded)}")
    read = int.from_bytes
    dense = [read(encoded[at : at + Q_BYTES], "little") for at in range(0, len(encoded), Q_BYTES)]
    if max(dense) >= Q:
        raise ProtocolError("a coefficient is not below q")
    return dense


class Total:
    """The sum of many encoded polynomials, at most 2^24 of them."""

    def __init__(self) -> None:
        self._sum = mpz(0)

    def add(self, encoded: bytes | memoryview) -> None:
        """Add one, whose coefficients were checked."""
        self._sum += widened(encoded, _TOTAL_WIDTH)

    def reduced(self) -> list[int]:
        """The sum modulo q."""
        octets = int(self._sum).to_bytes(N * _TOTAL_WIDTH, "little")
        starts: Iterable[int] = range(0, len(octets), _TOTAL_WIDTH)
        return [int.from_bytes(octets[at : at + _TOTAL_WIDTH], "little") % Q for at in starts]
