"""BLS12-381 behind one small interface, on two libraries that agree byte for byte.

Three groups of the prime order ``ORDER`` and a pairing e: G1 x G2 -> GT. G1 and G2 are written
additively (``P + Q``, ``P * k``), GT multiplicatively (``a * b``).

``default_group`` is fast: the compiled ``py_arkworks_bls12381``, if it is installed. ``py_ecc`` is
the reference, slow and always there. Both give the same bytes for everything below; the tests hold
them together.

Encodings:
    G1, G2: compressed points of 48 and 96 bytes, as ZCash and the Ethereum consensus layer write
        them (big-endian, three flag bits on top).
    GT: 576 bytes, twelve elements of the base field of 48 bytes each, little-endian, in the order
        of the tower Fp12 = Fp6[w], Fp6 = Fp2[v], Fp2 = Fp[u]: c0.c0.c0, c0.c0.c1, c0.c1.c0, ...
        An output only, the input of a key derivation: no bytes are ever read as an element of GT.
    e: the pairing as arkworks computes it. That of ``py_ecc`` to the power -3 is the same value;
        -3 is invertible modulo ``ORDER``, so the two are equally hard to invert.

A decoded point is in the subgroup of order ``ORDER``, is not the identity, and encodes to the same
bytes again. Everything else is refused with one text. Neither library, nor Python's integers, is
constant in time or can be wiped from memory: an adversary on the same machine is not excluded.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeAlias, TypeVar

from upcare_mpc.errors import ProtocolError

__all__ = [
    "G1",
    "G1_BYTES",
    "G2",
    "G2_BYTES",
    "GT",
    "GT_BYTES",
    "ORDER",
    "Backend",
    "Group",
    "PowerTable",
    "RandomBytes",
    "default_group",
    "random_scalar",
    "reference_group",
]

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
G1_BYTES: Final = 48
G2_BYTES: Final = 96
GT_BYTES: Final = 576
_LONGEST_TAG = 255  # RFC 9380, section 5.3.3: longer ones would have to be hashed first
_HASHES_KEPT = 4096  # about 1 MB; a hash costs more than a multiplication
_WINDOW_BITS = 6

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives so many fresh uniform bytes, known to the caller alone: ``secrets.token_bytes``."""


def random_scalar(random: RandomBytes) -> int:
    """Draw from 1 to ``ORDER - 1``, within 2^-256 of uniform (512 bits are reduced). Secret."""
    return 1 + int.from_bytes(random(64)) % (ORDER - 1)


class Backend(Protocol):
    """What a library has to bring: raw values of its own types, scalars already reduced.

    ``Any``: points of the two libraries have no type in common. Only ``Group`` and the elements
    below touch them.
    """

    name: ClassVar[str]
    g1: Any
    g2: Any

    def add(self, a: Any, b: Any) -> Any:
        """Add two points of one group."""

    def negate(self, a: Any) -> Any:
        """Return the inverse of a point."""

    def multiply(self, a: Any, k: int) -> Any:
        """Return k times a point; 0 <= k < ORDER."""

    def combine(self, points: list[Any], scalars: list[int]) -> Any:
        """Return the sum of k times P over the two lists, which are equally long and not empty."""

    def compress_g1(self, a: Any) -> bytes:
        """Encode a point of G1."""

    def compress_g2(self, a: Any) -> bytes:
        """Encode a point of G2."""

    def decompress_g1(self, encoded: bytes) -> Any:
        """Decode 48 bytes; ``ValueError`` unless they are on the curve and in the subgroup."""

    def decompress_g2(self, encoded: bytes) -> Any:
        """Decode 96 bytes; ``ValueError`` unless they are on the curve and in the subgroup."""

    def hash_to_g1(self, message: bytes, tag: bytes) -> Any:
        """Hash by BLS12381G1_XMD:SHA-256_SSWU_RO_ of RFC 9380."""

    def pair(self, points_g1: list[Any], points_g2: list[Any]) -> Any:
        """Return the product of the pairings of two equally long lists."""

    def multiply_gt(self, a: Any, b: Any) -> Any:
        """Return the product of two elements of GT."""

    def gt_bytes(self, a: Any) -> bytes:
        """Encode an element of GT."""


class _Element(ABC):
    """An element of one of the groups; equal when its canonical bytes are."""

    __slots__ = ("backend", "raw")

    def __init__(self, backend: Backend, raw: Any) -> None:
        self.backend = backend
        self.raw = raw

    @abstractmethod
    def __bytes__(self) -> bytes: ...

    @abstractmethod
    def compose(self, other: Self) -> Self:
        """Apply the group's operation."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and bytes(self) == bytes(other)

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # may be part of a key


class _Point(_Element):
    __slots__ = ()

    def compose(self, other: Self) -> Self:
        return type(self)(self.backend, self.backend.add(self.raw, other.raw))

    __add__ = compose

    def __neg__(self) -> Self:
        return type(self)(self.backend, self.backend.negate(self.raw))

    def __mul__(self, k: int) -> Self:
        return type(self)(self.backend, self.backend.multiply(self.raw, k % ORDER))


class G1(_Point):
    """A point of G1."""

    __slots__ = ()

    def __bytes__(self) -> bytes:
        return self.backend.compress_g1(self.raw)


class G2(_Point):
    """A point of G2."""

    __slots__ = ()

    def __bytes__(self) -> bytes:
        return self.backend.compress_g2(self.raw)


class GT(_Element):
    """An element of the target group."""

    __slots__ = ()

    def compose(self, other: Self) -> Self:
        """Apply the group's operation."""
        return type(self)(self.backend, self.backend.multiply_gt(self.raw, other.raw))

    __mul__ = compose

    def __bytes__(self) -> bytes:
        return self.backend.gt_bytes(self.raw)

    @property
    def is_one(self) -> bool:
        """Whether this is the neutral element."""
        return bytes(self) == b"\x01" + bytes(GT_BYTES - 1)


E = TypeVar("E", G1, G2, GT)
P = TypeVar("P", G1, G2)


class Group:
    """The three groups and their pairing, on one backend.

    Attributes:
        backend: The library underneath.
        g1: Generator of G1.
        g2: Generator of G2.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.g1 = G1(backend, backend.g1)
        self.g2 = G2(backend, backend.g2)
        self._hashed = lru_cache(_HASHES_KEPT)(backend.hash_to_g1)

    def hash_to_g1(self, message: bytes, *, tag: bytes) -> G1:
        """Hash to G1 by BLS12381G1_XMD:SHA-256_SSWU_RO_ (RFC 9380): as a random oracle.

        The last few thousand are remembered, so the time tells what was hashed before.

        Args:
            message: Public.
            tag: Names the one use of this hash; 1 to 255 bytes.
        """
        assert 1 <= len(tag) <= _LONGEST_TAG
        return G1(self.backend, self._hashed(message, tag))

    def pair(self, *pairs: tuple[G1, G2]) -> GT:
        """Return the product of e(P, Q) over ``pairs``, with one final exponentiation."""
        raw = self.backend.pair([p.raw for p, _ in pairs], [q.raw for _, q in pairs])
        return GT(self.backend, raw)

    def combine(self, points: Sequence[P], scalars: Sequence[int]) -> P:
        """Return the sum of ``k * P`` over two equally long, non-empty sequences."""
        assert len(points) == len(scalars) > 0
        if all(k == 1 for k in scalars):
            total = points[0]
            for point in points[1:]:
                total = total + point
            return total
        raw = self.backend.combine([p.raw for p in points], [k % ORDER for k in scalars])
        return type(points[0])(self.backend, raw)

    def g1_from_bytes(self, encoded: bytes) -> G1:
        """Decode a point of G1 other than the identity.

        Raises:
            ProtocolError: The bytes are anything else; one text whatever is wrong.
        """
        return self._decoded(G1, encoded, G1_BYTES, self.backend.decompress_g1)

    def g2_from_bytes(self, encoded: bytes) -> G2:
        """Decode a point of G2 other than the identity.

        Raises:
            ProtocolError: The bytes are anything else; one text whatever is wrong.
        """
        return self._decoded(G2, encoded, G2_BYTES, self.backend.decompress_g2)

    def _decoded(
        self, kind: type[P], encoded: bytes, length: int, decompress: Callable[[bytes], Any]
    ) -> P:
        if len(encoded) == length and encoded != b"\xc0" + bytes(length - 1):
            try:
                point = kind(self.backend, decompress(encoded))
            except ValueError:
                pass  # refused below, in the words of every other reason
            else:
                if bytes(point) == encoded:  # arkworks also reads other spellings of the identity
                    return point
        raise ProtocolError(f"these are not the bytes of a point of {kind.__name__}")


class PowerTable(Generic[E]):
    """Multiples of one point, or powers of one element of GT, by windows of six bits.

    Making a table takes 2709 additions (or products), and it holds as many elements, 0.6 MB in G1;
    a multiple then takes 43 at most. The place of an entry depends on the scalar, which a neighbour
    on the same machine may observe.
    """

    def __init__(self, base: E) -> None:
        self._windows: list[list[E]] = []
        for _ in range(-(-ORDER.bit_length() // _WINDOW_BITS)):
            multiples = [base]
            for _ in range(2, 1 << _WINDOW_BITS):
                multiples.append(multiples[-1].compose(base))
            self._windows.append(multiples)
            base = multiples[-1].compose(base)

    def power(self, k: int) -> E:
        """Return the k-fold of the base; 1 <= k < ORDER, secret."""
        assert 1 <= k < ORDER
        total: E | None = None
        for multiples in self._windows:
            digit = k % (1 << _WINDOW_BITS)
            k >>= _WINDOW_BITS
            if digit:
                multiple = multiples[digit - 1]
                total = multiple if total is None else total.compose(multiple)
        assert total is not None
        return total


def default_group() -> Group:
    """Return the groups on the fastest library that is installed."""
    try:
        from upcare_mpc.abe.group_arkworks import Arkworks  # noqa: PLC0415 - may not be installed
    except ModuleNotFoundError:
        return reference_group()
    return Group(Arkworks())


def reference_group() -> Group:
    """Return the groups on the reference: Python alone, about a hundred times slower."""
    from upcare_mpc.abe.group_py_ecc import PyEcc  # noqa: PLC0415 - a third of a second to load

    return Group(PyEcc())
