"""Keys, encryption, sums, and shares of a decryption.

With a public from a seed, ``b = e - a s``, plaintext m of N cells modulo t:

    encrypt    c0 = b u + e_0 + Delta m        u ternary, e_0 and e_1 centred binomial
               c1 = a u + e_1
    add        cell by cell
    decrypt    c0 + c1 s = Delta m + e mod q,  m = round((Delta m + e) / Delta) mod t

q is also the field of the Shamir shares of s: with shares sigma_j and Lagrange coefficients
lambda_j of any t + 1 or more holders, ``lambda_j c1 sigma_j`` are additive shares of ``c1 s``. They
are local, and secret: what becomes of them is the matter of ``mpc.programs.deposit``.

Scheme: Fan and Vercauteren, "Somewhat practical fully homomorphic encryption" (2012), section 3,
additions only; Lyubashevsky, Peikert and Regev, EUROCRYPT 2010. IND-CPA under ring-LWE; it is
malleable and gives no integrity: ``proof`` and signatures do.

A vector of n cells has ceil(n / N) blocks; the last is filled with cells 0.
"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import DELTA, Q_BYTES, N, Q, T
from upcare_mpc.he.ring import Elements, Spectrum
from upcare_mpc.he.sampling import Random, binomial, expand, ternary

__all__ = [
    "BLOCK_BYTES",
    "Ciphertext",
    "Encrypted",
    "KeyShare",
    "PublicKey",
    "Sum",
    "Witness",
    "blocks_of",
    "encrypt",
    "halves",
    "lagrange",
    "linear",
    "partial",
    "round_to_plaintext",
]

BLOCK_BYTES: Final = 2 * N * Q_BYTES
_VERSION: Final = b"\x01"
_SEED_BYTES: Final = 32
_COUNT_BYTES: Final = 4


def blocks_of(cells: int) -> int:
    """How many blocks a vector has."""
    return -(-cells // N)


@dataclass(frozen=True)
class PublicKey:
    """A joint public key.

    Attributes:
        seed: Of the public polynomial a, 32 bytes.
        b: N elements modulo q.
    """

    seed: bytes
    b: tuple[int, ...] = attribute(repr=False)

    def to_bytes(self) -> bytes:
        """Encode: version byte, seed, b; 180,257 bytes."""
        return _VERSION + self.seed + ring.to_bytes(self.b)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "PublicKey":
        """Decode.

        Raises:
            ProtocolError: These are not the canonical bytes of a key.
        """
        length = 1 + _SEED_BYTES + N * Q_BYTES
        if len(encoded) != length or encoded[:1] != _VERSION:
            raise ProtocolError(f"a public key has {length} bytes of version 1")
        start = 1 + _SEED_BYTES
        return cls(seed=encoded[1:start], b=tuple(ring.from_bytes(encoded[start:])))

    @functools.cached_property
    def digest(self) -> bytes:
        """SHA-256 of the encoded key, domain separated."""
        return hashlib.sha256(b"upcare/v1/rlwe-key|" + self.to_bytes()).digest()

    @functools.cached_property
    def a(self) -> list[int]:
        """The public polynomial."""
        return expand(self.seed)

    @functools.cached_property
    def spectra(self) -> tuple[Spectrum, Spectrum]:
        """The polynomials b and a, ready for products."""
        b, a = (ring.of_elements(ring.of_integers(x)) for x in (self.b, self.a))
        return b, a


@dataclass(frozen=True, slots=True)
class Witness:
    """What a submitter alone knows of one block: its randomness and its plaintext. Secret."""

    u: npt.NDArray[np.int64] = attribute(repr=False)
    e0: npt.NDArray[np.int64] = attribute(repr=False)
    e1: npt.NDArray[np.int64] = attribute(repr=False)
    m: npt.NDArray[np.uint64] = attribute(repr=False)


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """An encrypted vector.

    Attributes:
        cells: How many cells it has.
        blocks: c0 then c1 of each block, encoded; every coefficient is below q.
    """

    cells: int
    blocks: tuple[bytes, ...] = attribute(repr=False)

    def to_bytes(self) -> bytes:
        """Encode: version byte, number of cells (4 bytes, little-endian), blocks."""
        return b"".join((_VERSION, self.cells.to_bytes(_COUNT_BYTES, "little"), *self.blocks))

    @classmethod
    def from_bytes(cls, encoded: bytes, *, cells: int) -> "Ciphertext":
        """Decode a ciphertext of so many cells.

        Raises:
            ProtocolError: Another number, another length, or a coefficient of q or more.
        """
        count, head = blocks_of(cells), _VERSION + cells.to_bytes(_COUNT_BYTES, "little")
        if len(encoded) != len(head) + count * BLOCK_BYTES or not encoded.startswith(head):
            raise ProtocolError(f"a ciphertext of {cells} cells is in another form")
        starts = range(len(head), len(encoded), BLOCK_BYTES)
        blocks = tuple(encoded[start : start + BLOCK_BYTES] for start in starts)
        for block in blocks:
            halves(block)
        return cls(cells=cells, blocks=blocks)


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A fresh ciphertext and what its submitter knows of it.

    Attributes:
        ciphertext: Public.
        witness: One a block. Secret.
    """

    ciphertext: Ciphertext
    witness: tuple[Witness, ...] = attribute(repr=False)


def encrypt(key: PublicKey, cells: npt.ArrayLike, random: Random) -> Encrypted:
    """Encrypt a vector.

    Args:
        key: The joint key.
        cells: ``(n,)`` integers between -t and t; those below 0 stand for t more. Secret.
        random: Uniform bytes; known to nobody else.

    Raises:
        InputError: A cell is none of these.

    Cost: two products of polynomials a block; 360,448 bytes a block.
    """
    vector = np.asarray(cells)
    if vector.dtype.kind not in "iu" or vector.ndim != 1 or not _fits(vector):
        raise InputError(f"cells are integers below {T} in magnitude, in one row")
    wide = vector.astype(np.int64 if vector.dtype.kind == "i" else np.uint64)
    plain = np.where(wide < 0, wide + T, wide).astype(np.uint64)
    n = len(plain)
    padded = np.zeros(blocks_of(n) * N, np.uint64)
    padded[:n] = plain
    blocks, witnesses = [], []
    for m in padded.reshape(-1, N):
        witness = Witness(ternary(random), binomial(random), binomial(random), m)
        blocks.append(b"".join(map(ring.encode, linear(key, witness))))
        witnesses.append(witness)
    return Encrypted(Ciphertext(n, tuple(blocks)), tuple(witnesses))


def _fits(vector: npt.NDArray[np.integer[Any]]) -> bool:
    return vector.size == 0 or (int(vector.min()) > -T and int(vector.max()) < T)


def linear(
    key: PublicKey, short: Witness, *minus: tuple[Spectrum, Spectrum]
) -> tuple[Elements, Elements]:
    """``b u + e_0 + Delta m`` and ``a u + e_1``, each plus a product of its own if one is given.

    Args:
        key: The joint key.
        short: u, e_0, e_1 and m, of an encryption or of a proof.
        minus: For the first and for the second, what ``ring.product`` adds.
    """
    b, a = key.spectra
    u = ring.of_short(short.u)
    c0 = ring.plus(ring.product((b, u), *minus[:1]), short.e0)
    c1 = ring.plus(ring.product((a, u), *minus[1:]), short.e1)
    return ring.reduced(ring.scaled(c0, short.m)), ring.reduced(c1)


def halves(block: bytes) -> tuple[Elements, Elements]:
    """Decode a block.

    Raises:
        ProtocolError: A coefficient is q or more.
    """
    middle = N * Q_BYTES
    return ring.decode(block[:middle]), ring.decode(block[middle:])


class Sum:
    """The sum of many ciphertexts of one length, without a key.

    Args:
        cells: Of each.
    """

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._totals = [(ring.Total(), ring.Total()) for _ in range(blocks_of(cells))]

    def add(self, ciphertext: Ciphertext) -> None:
        """Add one."""
        if ciphertext.cells != self._cells:
            raise ProtocolError(f"a sum of {self._cells} cells got {ciphertext.cells}")
        middle = N * Q_BYTES
        for (c0, c1), block in zip(self._totals, ciphertext.blocks, strict=True):
            view = memoryview(block)
            c0.add(view[:middle])
            c1.add(view[middle:])

    def ciphertext(self) -> Ciphertext:
        """The sum, as a ciphertext."""
        blocks = (ring.encode(c0.reduced()) + ring.encode(c1.reduced()) for c0, c1 in self._totals)
        return Ciphertext(self._cells, tuple(blocks))


@dataclass(frozen=True, slots=True)
class KeyShare:
    """A holder's share of s times its Lagrange coefficient, ready for products. Secret."""

    spectrum: Spectrum = attribute(repr=False)

    @classmethod
    def of(cls, sigma: Sequence[int], weight: int) -> "KeyShare":
        """Weigh a share of N elements modulo q."""
        return cls(ring.of_digits(ring.of_integers([x * weight % Q for x in sigma])))


def partial(ciphertext: Ciphertext, share: KeyShare, *, with_c0: bool) -> list[int]:
    """This holder's additive share of ``c0 + c1 s``: local.

    Args:
        ciphertext: A deposit, or a sum.
        share: Its weighted key share. Secret.
        with_c0: Whether this holder adds c0; exactly one does.

    Returns:
        n elements modulo q. Secret: in the clear they give away the share of the key.
    """
    shares: list[int] = []
    for block in ciphertext.blocks:
        c0, c1 = halves(block)
        limbs = ring.dense_product(ring.of_elements(c1), share.spectrum)
        if with_c0:
            limbs[: len(c0)] += c0
        shares += ring.integers(ring.reduced(limbs[:, : ciphertext.cells - len(shares)]))
    return shares


def lagrange(points: Sequence[int], at: int = 0) -> list[int]:
    """Lagrange coefficients modulo q that carry values at distinct points to ``at``."""
    coefficients = []
    for x in points:
        top, bottom = 1, 1
        for other in points:
            if other != x:
                top = top * (at - other) % Q
                bottom = bottom * (x - other) % Q
        coefficients.append(top * pow(bottom, -1, Q) % Q)
    return coefficients


def round_to_plaintext(values: Sequence[int]) -> list[int]:
    """``round(z / Delta) mod t`` of elements modulo q."""
    half = DELTA // 2
    return [(z + half) // DELTA % T for z in values]
