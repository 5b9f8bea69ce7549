"""Polynomials modulo (q, X^N + 1) in limbs of 16 bits, multiplied by Fourier transforms.

    elements   ``(11, N)`` uint16: N coefficients in [0, q); row i is the limb of ``2^(16 i)``
    limbs      ``(l, N)`` int64: the same, but limbs have either sign and may overlap
    short      ``(N,)`` int64: coefficients below 2^23 in magnitude

Two real polynomials modulo ``X^N + 1`` are multiplied by complex transforms of N/2 points: the
upper half is the imaginary part, and ``X^N = -1`` is a twist by roots of unity. Limbs of one
operand meet digits of the other, of 12 bits if it is short and of 8 if it is not, in doubles.

Exact: by Brent, Percival and Zimmermann, "Error bounds on complex floating-point multiplication",
Math. Comp. 76 (2007), Theorem 5.1, a product of vectors x and y is off by less than
``|x| |y| 2^-45`` for transforms of 2^12 points. Here ``|x| |y|`` is at most 2^40, or 2^37 for each
of 11 that are added up: off by 1/20 at most. Each result is checked to be within 1/4 of an integer.

As q is ``2^176 - d`` for a d of 73 bits, limbs above 2^176 are multiplied by d and added below.
Not constant time.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he.parameters import DELTA, Q_BYTES, N, Q

__all__ = [
    "Elements",
    "Limbs",
    "Spectrum",
    "Total",
    "decode",
    "dense_product",
    "encode",
    "from_bytes",
    "integers",
    "of_digits",
    "of_elements",
    "of_integers",
    "of_short",
    "plus",
    "product",
    "reduced",
    "scaled",
    "to_bytes",
]

Elements = npt.NDArray[np.uint16]
Limbs = npt.NDArray[np.int64]
Spectrum = npt.NDArray[np.complex128]

_BITS: Final = 16
_LIMBS: Final = Q_BYTES // 2
_MASK: Final = (1 << _BITS) - 1
_DIGIT: Final = 12  # bits of a digit of a short polynomial; two are enough
_HALF: Final = N // 2
_TWIST: Final = np.exp(1j * np.pi * np.arange(_HALF) / N)
_UNTWIST: Final = _TWIST.conj()


def _in_limbs(number: int) -> list[int]:
    count = -(-number.bit_length() // _BITS)
    return [number >> _BITS * place & _MASK for place in range(count)]


_BELOW: Final = _in_limbs((1 << _BITS * _LIMBS) - Q)  # d
_DELTA: Final = _in_limbs(DELTA)


def decode(encoded: bytes | memoryview) -> Elements:
    """Decode N elements modulo q: 22 bytes each, little-endian.

    Raises:
        ProtocolError: Another length, or an element of q or more.
    """
    if len(encoded) != N * Q_BYTES:
        raise ProtocolError(f"a polynomial has {N * Q_BYTES} bytes, got {len(encoded)}")
    elements = np.ascontiguousarray(np.frombuffer(encoded, "<u2").reshape(N, _LIMBS).T)
    if _excessive(elements):
        raise ProtocolError("a coefficient is not below q")
    return elements.astype(np.uint16, copy=False)


def encode(elements: Elements) -> bytes:
    """Encode elements: 22 bytes each."""
    return elements.T.astype("<u2").tobytes()


def integers(elements: Elements) -> list[int]:
    """Elements as Python's integers."""
    octets, read = encode(elements), int.from_bytes
    return [read(octets[at : at + Q_BYTES], "little") for at in range(0, len(octets), Q_BYTES)]


def of_integers(values: Sequence[int]) -> Elements:
    """Elements of integers in [0, q)."""
    octets = np.frombuffer(to_bytes(values), "<u2").astype(np.uint16)
    return np.ascontiguousarray(octets.reshape(len(values), _LIMBS).T)


def to_bytes(values: Sequence[int]) -> bytes:
    """Encode integers in [0, q)."""
    return b"".join([x.to_bytes(Q_BYTES, "little") for x in values])


def from_bytes(encoded: bytes | memoryview) -> list[int]:
    """Decode N elements modulo q as integers.

    Raises:
        ProtocolError: Another length, or an element of q or more.
    """
    return integers(decode(encoded))


def _excessive(elements: Elements) -> list[int]:
    """Places of what is q or more."""
    # d has 73 bits, so above q all limbs but five are full
    full = np.flatnonzero((elements[len(_BELOW) :] == _MASK).all(axis=0))
    return [int(at) for at, x in zip(full, integers(elements[:, full]), strict=True) if x >= Q]


def of_elements(elements: Elements) -> Spectrum:
    """``(11, N/2)`` transforms of limbs: the first operand of either product."""
    return _forward(elements)


def of_short(short: Limbs) -> Spectrum:
    """``(2, N/2)`` transforms of digits of 12 bits: the second operand of ``product``."""
    low = ((short + (1 << _DIGIT - 1)) & ((1 << _DIGIT) - 1)) - (1 << _DIGIT - 1)
    return _forward(np.stack((low, (short - low) >> _DIGIT)))


def of_digits(elements: Elements) -> Spectrum:
    """``(22, N/2)`` transforms of digits of 8 bits: the second operand of ``dense_product``."""
    return _forward(np.stack((elements & 0xFF, elements >> 8), axis=1).reshape(2 * _LIMBS, N))


def product(*pairs: tuple[Spectrum, Spectrum]) -> Limbs:
    """``(12, N)`` limbs of the sum of products of elements with short polynomials.

    Args:
        pairs: ``of_elements`` and ``of_short``; all short ones but the first are of at most 160
            coefficients 0, 1 or -1.
    """
    limbs = np.zeros((_LIMBS + 1, N), np.int64)
    for place, limb in enumerate(limbs[:-1]):
        for digit in range(2):
            spectrum = sum(dense[place] * short[digit] for dense, short in pairs)
            limb += _backward(np.asarray(spectrum)) << _DIGIT * digit
    return limbs


def dense_product(first: Spectrum, second: Spectrum) -> Limbs:
    """``(22, N)`` limbs of the product of ``of_elements`` with ``of_digits``."""
    limbs = np.zeros((2 * _LIMBS, N), np.int64)
    for place in range(4 * _LIMBS - 2):  # of 8 bits: limb i and digit j meet at 2 i + j
        low, high = max(0, (place - 2 * _LIMBS) // 2 + 1), min(_LIMBS, place // 2 + 1)
        digits = second[place - 2 * (high - 1) : place - 2 * low + 1 : 2][::-1]
        limbs[place // 2] += _backward(np.einsum("ik,ik->k", first[low:high], digits)) << (
            8 * (place % 2)
        )
    return limbs


def _forward(rows: npt.NDArray[np.integer]) -> Spectrum:
    twisted = np.empty((len(rows), _HALF), np.complex128)
    twisted.real, twisted.imag = rows[:, :_HALF], rows[:, _HALF:]
    twisted *= _TWIST
    return np.fft.fft(twisted, axis=-1)


def _backward(spectrum: Spectrum) -> Limbs:
    values = np.fft.ifft(spectrum)
    values *= _UNTWIST
    parts = values.view(np.float64)
    whole = np.rint(parts)
    parts -= whole
    if not float(np.abs(parts, out=parts).max()) < 0.25:
        raise AssertionError("a product is not of integers")
    return np.concatenate((whole[0::2], whole[1::2])).astype(np.int64)


def plus(limbs: Limbs, short: Limbs) -> Limbs:
    """Add a short polynomial, in place."""
    limbs[0] += short
    return limbs


def scaled(limbs: Limbs, plain: npt.NDArray[np.uint64]) -> Limbs:
    """Add Delta times a polynomial with coefficients below 2^61, in place; 12 limbs or more."""
    for shift, part in enumerate((plain & np.uint64(0xFFFFFFFF), plain >> np.uint64(32))):
        word = part.astype(np.int64)
        for place, factor in enumerate(_DELTA, 2 * shift):
            limbs[place] += factor * word
    return limbs


def reduced(limbs: Limbs) -> Elements:
    """Reduce modulo q.

    Args:
        limbs: ``(l, n)`` below 2^61 in magnitude; what is left above the first 11 after carrying
            has at most 11 rows, the last below 2^46. Is overwritten.

    Returns:
        ``(11, n)`` elements.
    """
    while True:
        low, high = _carried(limbs)
        if not high.any():
            break
        limbs = np.zeros((max(_LIMBS + 1, len(high) + len(_BELOW)), limbs.shape[1]), np.int64)
        limbs[:_LIMBS] = low
        for place, row in enumerate(high):
            for offset, factor in enumerate(_BELOW):
                limbs[place + offset] += factor * row
    elements = low.astype(np.uint16)
    for at in _excessive(elements):
        elements[:, at] = of_integers([integers(elements[:, at : at + 1])[0] - Q])[:, 0]
    return elements


def _carried(limbs: Limbs) -> tuple[Limbs, Limbs]:
    """Bring all limbs but the last into 16 bits, in place; those below q's, those above."""
    for row, above in pairwise(limbs):
        above += row >> _BITS
        row &= _MASK
    return limbs[:_LIMBS], limbs[_LIMBS:]


class Total:
    """The sum of many encoded polynomials, at most 2^40 of them."""

    def __init__(self) -> None:
        self._sum = np.zeros((N, _LIMBS), np.int64)

    def add(self, encoded: bytes | memoryview) -> None:
        """Add one, whose coefficients were checked."""
        self._sum += np.frombuffer(encoded, "<u2").reshape(N, _LIMBS)

    def reduced(self) -> Elements:
        """The sum modulo q."""
        limbs = np.zeros((_LIMBS + 1, N), np.int64)
        limbs[:_LIMBS] = self._sum.T
        return reduced(limbs)
