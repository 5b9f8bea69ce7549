"""Vectors over the prime field of order p = 2^61 - 1, and Shamir shares of them.

Elements are ``uint64`` in ``[0, p)``. Because p is a Mersenne prime, ``2^61 = 1 (mod p)``:
reduction is a shift and an add, and the negative of a 61-bit word is its bitwise complement.
A vector has shape ``(n,)``; shares of it for ``m`` parties have shape ``(m, n)``. Party ``i``
(counted from 0) holds the value of the sharing polynomial at the point ``i + 1``, as in MPyC, so
shares move to and from an MPyC secure array over the same field without conversion.

Integers are encoded centred: ``v`` in ``(-p/2, p/2)`` is ``v mod p``.

Model: Shamir, "How to share a secret" (1979). Any ``t`` shares are uniform and independent of the
vector; ``t + 1`` determine it. Not constant time.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import OpeningError, ProtocolError

__all__ = [
    "PRIME",
    "Words",
    "add",
    "checked",
    "combine",
    "decode",
    "encode",
    "from_bytes",
    "lagrange",
    "multiply",
    "negate",
    "open_shares",
    "product",
    "share",
    "to_bytes",
    "total",
    "uniform",
]

BITS = 61
PRIME = (1 << BITS) - 1
ELEMENT_BYTES = 8

Words = npt.NDArray[np.uint64]

_P = np.uint64(PRIME)
_SHIFT = np.uint64(BITS)
_HALF = np.uint64(32)
_LOW32 = np.uint64(0xFFFFFFFF)
_LOW29 = np.uint64((1 << 29) - 1)
_SPARE = np.uint64(64 - BITS)
_SMALL = 7  # factors whose product with an element stays below 2^64
_BLOCK = 1 << 14  # cells worked on at once: a block of all operands fits in the nearest caches


def _reduce(values: Words) -> Words:
    """Bring any 64-bit words into ``[0, p)``, in place."""
    high = values >> _SHIFT
    values &= _P
    values += high  # < 2^61 + 8
    np.subtract(values, _P, out=high)  # wraps to above 2^63 for what was below p
    np.minimum(values, high, out=values)
    return values


def add(left: Words, right: Words) -> Words:
    """Add two vectors of field elements; ``(n,)`` and ``(n,)`` give ``(n,)``."""
    return _reduce(left + right)


def negate(values: Words) -> Words:
    """Negate field elements; also accepts p itself, the second encoding of zero."""
    return _reduce(_P - values)


def multiply(values: Words, factor: int) -> Words:
    """Multiply a vector by a public field element.

    Small factors of either sign, as in most Lagrange coefficients, take one multiplication.
    """
    factor %= PRIME
    if factor <= _SMALL:
        return _reduce(values * np.uint64(factor))
    if PRIME - factor <= _SMALL:
        return _reduce((_P - values) * np.uint64(PRIME - factor))
    return product(values, np.array(factor, np.uint64))


def product(left: Words, right: Words) -> Words:
    """Multiply field elements cell by cell; shapes are broadcast against each other.

    The 122-bit product is built from 32-bit halves: with ``a = a1 2^32 + a0`` and
    ``b = b1 2^32 + b0``, ``2^64 = 8 (mod p)`` and ``x 2^32 = (x >> 29) + (x mod 2^29) 2^32``.
    """
    a0, a1 = left & _LOW32, left >> _HALF
    b0, b1 = right & _LOW32, right >> _HALF
    top = _reduce(a1 * b1) << np.uint64(3)  # a1, b1 < 2^29; the shift stays below 2^64
    middle = a1 * b0 + a0 * b1  # < 2^62
    shifted = (middle >> np.uint64(29)) + ((middle & _LOW29) << _HALF)
    return _reduce(_reduce(top) + _reduce(shifted) + _reduce(a0 * b0))


def total(values: Words) -> Words:
    """Add up fewer than 2^32 field elements along the last axis; ``(.., n)`` gives ``(.., 1)``."""
    low = (values & _LOW32).sum(axis=-1, dtype=np.uint64, keepdims=True)  # below 2^64
    high = (values >> _HALF).sum(axis=-1, dtype=np.uint64, keepdims=True)
    return add(_reduce(low), multiply(_reduce(high), 1 << 32))


def uniform(random: Callable[[int], Words], count: int) -> Words:
    """Draw field elements that are exactly uniform if ``random(k)`` gives uniform 64-bit words.

    A 61-bit word that is p is drawn again. Whoever reads the same words draws the same elements.
    """
    drawn = random(count) >> _SPARE
    while (again := np.flatnonzero(drawn == _P)).size:
        drawn[again] = random(again.size) >> _SPARE
    return drawn


def encode(integers: npt.NDArray[np.int64]) -> Words:
    """Encode signed integers with ``|v| < 2^60`` as field elements."""
    # not by abs: the smallest int64 has no magnitude in int64
    if integers.size and not -(1 << 60) < int(integers.min()) <= int(integers.max()) < 1 << 60:
        raise ProtocolError("integers must be below 2^60 in magnitude to be shared")
    sign = integers >> 63  # -1 or 0: all bits or none
    sign &= PRIME
    sign += integers
    return sign.view(np.uint64)


def decode(values: Words) -> npt.NDArray[np.int64]:
    """Decode field elements, centred: the inverse of :func:`encode`."""
    signed = values.astype(np.int64)
    signed -= (signed >> (BITS - 1)) * PRIME  # the top bit of 61 says that it is above p/2
    return signed


def share(vector: Words, *, parties: int, threshold: int, random: Callable[[int], Words]) -> Words:
    """Split a vector into Shamir shares of degree at most ``threshold``.

    Args:
        vector: ``(n,)`` field elements. Secret.
        parties: Number of shares, at most 7.
        threshold: Degree ``t``; any ``t`` shares reveal nothing.
        random: ``random(k)`` gives ``k`` uniform 64-bit words, known to the dealer alone.

    Returns:
        ``(parties, n)``; row ``i`` belongs to party ``i``.

    Cost: local. Coefficients are exactly uniform (``uniform``).
    """
    if not 0 <= threshold < parties <= 7:
        raise ProtocolError(f"a sharing needs t < m <= 7, got t={threshold}, m={parties}")
    n = vector.shape[0]
    shares = np.empty((parties, n), np.uint64)
    for start in range(0, n, _BLOCK):
        block = slice(start, min(start + _BLOCK, n))
        count = block.stop - start
        coefficients = uniform(random, threshold * count).reshape(threshold, count)
        for row, point in zip(shares[:, block], range(1, parties + 1), strict=True):
            top, *others = (*coefficients, vector[block])
            row[:] = top
            for coefficient in others:
                row *= np.uint64(point)
                row += coefficient  # at most 7 (p - 1) + (p - 1), which is below 2^64
                _reduce(row)
    return shares


@cache
def lagrange(points: tuple[int, ...], at: int = 0) -> tuple[int, ...]:
    """Lagrange coefficients that carry values at ``points`` to the point ``at``, mod p."""
    coefficients = []
    for x in points:
        numerator, denominator = 1, 1
        for other in points:
            if other != x:
                numerator = numerator * (at - other) % PRIME
                denominator = denominator * (x - other) % PRIME
        coefficients.append(numerator * pow(denominator, -1, PRIME) % PRIME)
    return tuple(coefficients)


def combine(shares: Sequence[Words], points: Sequence[int], *, at: int = 0) -> Words:
    """Evaluate at ``at`` the polynomial through the given shares (degree below their number)."""
    result = np.zeros_like(shares[0])
    for coefficient, values in zip(lagrange(tuple(points), at), shares, strict=True):
        result = add(result, multiply(values, coefficient))
    return result


def open_shares(shares: dict[int, Words], *, threshold: int) -> Words:
    """Recombine the shares of a vector and check that ALL of them agree.

    Args:
        shares: Party index to ``(n,)`` share; at least ``threshold + 1`` of them.
        threshold: Degree ``t`` of the sharing.

    Returns:
        ``(n,)`` field elements.

    Raises:
        OpeningError: Too few shares, or some share does not lie on the one polynomial of degree
            ``t``. Nothing is error-corrected: with ``t`` liars a "correction" could frame an
            honest party.
    """
    points = [index + 1 for index in sorted(shares)]
    values = [shares[point - 1] for point in points]
    if len(points) < threshold + 1:
        raise OpeningError(f"opening needs {threshold + 1} shares, got {len(points)}")
    if len({share.shape for share in values}) != 1:
        raise OpeningError("the shares of this result have different lengths; result rejected")
    base, base_points = values[: threshold + 1], points[: threshold + 1]
    extras = list(zip(points, values, strict=True))[threshold + 1 :]
    opened = np.empty_like(values[0])
    for start in range(0, len(opened), _BLOCK):
        block = slice(start, start + _BLOCK)
        pieces = [share[block] for share in base]
        for point, extra in extras:
            if not np.array_equal(combine(pieces, base_points, at=point), extra[block]):
                raise OpeningError(
                    "the shares of this result do not belong together; result rejected"
                )
        opened[block] = combine(pieces, base_points)
    return opened


def to_bytes(values: Words) -> bytes:
    """Encode a vector as 8-byte little-endian elements, in order."""
    return values.astype("<u8", copy=False).tobytes()


def from_bytes(payload: bytes | memoryview, *, cells: int) -> Words:
    """Decode what a peer sent: exactly ``cells`` canonical elements below p, or refuse."""
    if len(payload) != cells * ELEMENT_BYTES:
        raise ProtocolError(
            f"a vector of {cells} cells has {cells * ELEMENT_BYTES} bytes, got {len(payload)}"
        )
    return checked(np.frombuffer(payload, "<u8").astype(np.uint64, copy=False))


def checked(values: Words) -> Words:
    """Pass words that are canonical field elements; refuse anything a peer made up."""
    if values.size and int(values.max()) >= PRIME:
        raise ProtocolError("a field element must be below 2^61 - 1")
    return values
