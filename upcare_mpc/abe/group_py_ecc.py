"""BLS12-381 on ``py_ecc``, in Python: the reference.

Two of its ways differ from the encodings of ``groups`` and are translated here:
    Its pairing is another power: e = e_py_ecc^-3. So -3 P is paired in place of P.
    It writes Fp12 as Fp[w] / (w^12 - 2 w^6 + 2), without a tower. With u = w^6 - 1 a coefficient
        pair (c_i, c_i+6) is the element (c_i + c_i+6) + c_i+6 u of Fp2, at w^i; and v = w^2.

Its ``decompress_G1`` and ``decompress_G2`` do not look at the subgroup; ``subgroup_check`` does.

When it is loaded it raises Python's limit of recursion to 100,000 for the whole process, more than
the stack of C holds: after that a message of nested brackets would end a node. Nothing here needs
that, so the limit is put back.
"""

import sys
from functools import reduce
from hashlib import sha256
from typing import Any, ClassVar

_RECURSION_LIMIT = sys.getrecursionlimit()

from py_ecc import optimized_bls12_381 as curve  # noqa: E402
from py_ecc.bls import point_compression as compression  # noqa: E402
from py_ecc.bls.g2_primitives import subgroup_check  # noqa: E402
from py_ecc.bls.hash_to_curve import hash_to_G1  # noqa: E402

sys.setrecursionlimit(_RECURSION_LIMIT)

__all__ = ["PyEcc"]

_TOWER_ORDER = (0, 2, 4, 1, 3, 5)  # powers of w: 1, v, v^2 without w, then with
_FP_BYTES = 48


class PyEcc:
    """The reference backend; see ``groups.Backend``.

    ``Any``: the library's own names for points in three coordinates are generic over its fields.
    """

    name: ClassVar[str] = "py_ecc"

    def __init__(self) -> None:
        self.g1: Any = curve.G1
        self.g2: Any = curve.G2

    def add(self, a: Any, b: Any) -> Any:
        """Add two points of one group."""
        return curve.add(a, b)

    def negate(self, a: Any) -> Any:
        """Return the inverse of a point."""
        return curve.neg(a)

    def multiply(self, a: Any, k: int) -> Any:
        """Return k times a point."""
        return curve.multiply(a, k)

    def combine(self, points: list[Any], scalars: list[int]) -> Any:
        """Return the sum of k times P."""
        return reduce(curve.add, map(curve.multiply, points, scalars))

    def compress_g1(self, a: Any) -> bytes:
        """Encode a point of G1."""
        return int(compression.compress_G1(a)).to_bytes(_FP_BYTES)

    def compress_g2(self, a: Any) -> bytes:
        """Encode a point of G2."""
        return b"".join(int(z).to_bytes(_FP_BYTES) for z in compression.compress_G2(a))

    def decompress_g1(self, encoded: bytes) -> Any:
        """Decode a point of the subgroup."""
        return _in_subgroup(compression.decompress_G1(int.from_bytes(encoded)))

    def decompress_g2(self, encoded: bytes) -> Any:
        """Decode a point of the subgroup."""
        halves = int.from_bytes(encoded[:_FP_BYTES]), int.from_bytes(encoded[_FP_BYTES:])
        return _in_subgroup(compression.decompress_G2(halves))

    def hash_to_g1(self, message: bytes, tag: bytes) -> Any:
        """Hash to G1."""
        return hash_to_G1(message, tag, sha256)

    def pair(self, points_g1: list[Any], points_g2: list[Any]) -> Any:
        """Return the product of the pairings."""
        product = curve.FQ12.one()
        for p, q in zip(points_g1, points_g2, strict=True):
            thrice = curve.neg(curve.add(curve.double(p), p))
            product = product * curve.pairing(q, thrice, final_exponentiate=False)
        return curve.final_exponentiate(product)

    def multiply_gt(self, a: Any, b: Any) -> Any:
        """Return the product of two elements of GT."""
        return a * b

    def gt_bytes(self, a: Any) -> bytes:
        """Encode an element of GT."""
        c = [int(coefficient) for coefficient in a.coeffs]
        tower = [x for i in _TOWER_ORDER for x in (c[i] + c[i + 6], c[i + 6])]
        return b"".join((x % curve.field_modulus).to_bytes(_FP_BYTES, "little") for x in tower)


def _in_subgroup(point: Any) -> Any:
    if not subgroup_check(point):
        raise ValueError("not in the subgroup")
    return point
