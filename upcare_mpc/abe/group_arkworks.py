"""BLS12-381 on ``py_arkworks_bls12381``, a binding of the Rust library arkworks.

What its own interface would let pass, and ``groups`` does not:
    ``Scalar(k)`` reduces silently and takes no negative number: scalars come reduced.
    ``from_compressed_bytes`` checks curve and subgroup, but takes the identity, and other
        spellings of it: what was read is encoded again and compared.
    ``multiexp_unchecked`` cuts the longer list: both have one length.
    ``GT + GT`` adds in the field Fp12; the group law is ``GT * GT``.
    Bytes of GT exist as ``str(GT)`` alone, in hexadecimal.

The interpreter's lock is released in ``multi_pairing``.
"""

from typing import ClassVar, TypeAlias

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

__all__ = ["Arkworks"]

_Point: TypeAlias = "G1Point | G2Point"


class Arkworks:
    """The fast backend; see ``groups.Backend``."""

    name: ClassVar[str] = "arkworks"

    def __init__(self) -> None:
        self.g1 = G1Point()
        self.g2 = G2Point()

    def add(self, a: _Point, b: _Point) -> _Point:
        """Add two points of one group."""
        return a + b  # type: ignore[operator]  # both of G1 or both of G2: Group's types say so

    def negate(self, a: _Point) -> _Point:
        """Return the inverse of a point."""
        return -a

    def multiply(self, a: _Point, k: int) -> _Point:
        """Return k times a point."""
        return a * Scalar(k)

    def combine(self, points: list[_Point], scalars: list[int]) -> _Point:
        """Return the sum of k times P."""
        return type(points[0]).multiexp_unchecked(points, [Scalar(k) for k in scalars])  # type: ignore[arg-type]  # as above

    def compress_g1(self, a: G1Point) -> bytes:
        """Encode a point of G1."""
        return a.to_compressed_bytes()

    def compress_g2(self, a: G2Point) -> bytes:
        """Encode a point of G2."""
        return a.to_compressed_bytes()

    def decompress_g1(self, encoded: bytes) -> G1Point:
        """Decode a point of the subgroup."""
        return G1Point.from_compressed_bytes(encoded)

    def decompress_g2(self, encoded: bytes) -> G2Point:
        """Decode a point of the subgroup."""
        return G2Point.from_compressed_bytes(encoded)

    def hash_to_g1(self, message: bytes, tag: bytes) -> G1Point:
        """Hash to G1."""
        return G1Point.hash_to_curve(message, tag)

    def pair(self, points_g1: list[G1Point], points_g2: list[G2Point]) -> GT:
        """Return the product of the pairings."""
        return GT.multi_pairing(points_g1, points_g2)

    def multiply_gt(self, a: GT, b: GT) -> GT:
        """Return the product of two elements of GT."""
        return a * b

    def gt_bytes(self, a: GT) -> bytes:
        """Encode an element of GT."""
        return bytes.fromhex(str(a))
