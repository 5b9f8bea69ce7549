"""Proof of plaintext knowledge: whoever made a ciphertext knows what is in it.

Without it two things break, both shown in ``tests/attacks``: a ciphertext ``(0, K Delta)`` decrypts
to ``K s``, the key; and a multiple of another's ciphertext decrypts to a multiple of her answers.

For each block, with witness (u, e_0, e_1, m), Fiat-Shamir with aborts:

    masks      y_u, y_0, y_1 uniform in boxes, y_m uniform modulo t
    first      t_0 = b y_u + y_0 + Delta y_m,   t_1 = a y_u + y_1
    challenge  c = h_0 + h_1 X + .. + h_159 X^159, the first 160 bits of a hash h
    response   z_u = y_u + c u,  z_0 = y_0 + c e_0 - k,  z_1 = y_1 + c e_1,  z_m = y_m + c m - t k
    check      z_u, z_0, z_1 in the inner boxes, and h is the hash of
               t_0 = b z_u + z_0 + Delta z_m - c c_0,  t_1 = a z_u + z_1 - c c_1

k is what brings z_m into [0, t): as ``Delta t = -1 mod q``, it moves to z_0. Responses that leave
the inner box are thrown away and the block is proved anew (probability 0.17); what is
given out is uniform whatever the witness. h covers the parameters, the key, the context, the whole
ciphertext and the number of the block: a proof fits one submitter, one deposit, one collection.

What is proved is RELAXED: short (u, e_0, e_1) and some m for ``f c_0, f c_1``, with f a difference
of two challenges. So witnesses x/f get through whose f divides many differences. Bits in a row
keep that rare: c is uniform modulo ``(1 - X)^j``, and hits a residue with probability ``2^-j``.
Sparse signs, as in signatures, do not: ``1 - X`` divides ALL differences of 14 signs, and
``1 - X^64``, which is 64 parities of the key, one in 2^25.

It is no range proof: cells may be anything. See docs/deposits/proof.md for the argument, its slack,
and what it does not exclude.

Source: Lyubashevsky, "Lattice signatures without trapdoors", EUROCRYPT 2012, with uniform masks as
in his ASIACRYPT 2009 paper. Adversary: any submitter, with the platform.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import (
    CHALLENGE_BITS,
    ERROR_BOUND,
    PARAMETERS,
    N,
    T,
)
from upcare_mpc.he.ring import Elements
from upcare_mpc.he.sampling import Random, uniform_box, uniform_plain
from upcare_mpc.he.scheme import Ciphertext, Encrypted, PublicKey, Witness, halves, linear
from upcare_mpc.study.packed import framed

__all__ = ["BLOCK_PROOF_BYTES", "TRIES", "prove", "verify"]

REACH_U: Final = CHALLENGE_BITS  # of c u
REACH_1: Final = CHALLENGE_BITS * ERROR_BOUND  # of c e_1
REACH_0: Final = REACH_1 + CHALLENGE_BITS  # of c e_0 - k
BOX_U: Final = (1 << 23) - 1  # what three bytes hold
BOX_E: Final = (1 << 31) - 1  # what four bytes hold
TRIES: Final = 200  # 0.17^200 is below 2^-500

_BOXES: Final = (BOX_U, BOX_E, BOX_E)
_INNER: Final = (BOX_U - REACH_U, BOX_E - REACH_0, BOX_E - REACH_1)
_VERSION: Final = b"\x01"
_HASH_BYTES: Final = 32
_U_BYTES: Final = 3
BLOCK_PROOF_BYTES: Final = _HASH_BYTES + N * (_U_BYTES + 4 + 4 + 8)

Integers = npt.NDArray[np.int64]
Plain = npt.NDArray[np.uint64]


def prove(key: PublicKey, encrypted: Encrypted, *, context: bytes, random: Random) -> bytes:
    """Prove that the plaintext of a fresh ciphertext is known.

    Args:
        key: The joint key it is encrypted under.
        encrypted: Ciphertext and witness.
        context: What the proof is bound to.
        random: Uniform bytes, known to nobody else.

    Returns:
        Version byte, then for each block h and the responses: 155,680 bytes.
    """
    prefix = _prefix(key, encrypted.ciphertext, context)
    pairs = zip(encrypted.ciphertext.blocks, encrypted.witness, strict=True)
    return _VERSION + b"".join(
        _prove_block(key, prefix + number.to_bytes(4), witness, random)
        for number, (_, witness) in enumerate(pairs)
    )


def verify(key: PublicKey, ciphertext: Ciphertext, proof: bytes, *, context: bytes) -> None:
    """Check a proof.

    Raises:
        ProtocolError: It does not hold; one text whatever the reason.
    """
    blocks = ciphertext.blocks
    holds = len(proof) == 1 + len(blocks) * BLOCK_PROOF_BYTES and proof[:1] == _VERSION
    if holds:
        prefix = _prefix(key, ciphertext, context)
        starts = range(1, len(proof), BLOCK_PROOF_BYTES)
        holds = all(
            _holds(
                key, prefix + number.to_bytes(4), block, proof[start : start + BLOCK_PROOF_BYTES]
            )
            for number, (block, start) in enumerate(zip(blocks, starts, strict=True))
        )
    if not holds:
        raise ProtocolError("a deposit's proof does not hold")


def _prefix(key: PublicKey, ciphertext: Ciphertext, context: bytes) -> bytes:
    whole = hashlib.sha256(ciphertext.to_bytes()).digest()
    return b"upcare/v1/deposit-proof|" + framed(PARAMETERS.encode(), key.digest, context, whole)


def _prove_block(key: PublicKey, prefix: bytes, witness: Witness, random: Random) -> bytes:
    for _ in range(TRIES):
        y_u, y_0, y_1 = (uniform_box(bound, random) for bound in _BOXES)
        y_m = uniform_plain(random)
        h = _hash(prefix, linear(key, Witness(y_u, y_0, y_1, y_m)))
        c = _challenge(h)
        z_m, k = _plain_response(c, y_m, witness.m)
        z_u = y_u + _times(c, witness.u)
        z_0 = y_0 + _times(c, witness.e0) - k
        z_1 = y_1 + _times(c, witness.e1)
        if _inside((z_u, z_0, z_1)):
            return h + _encode(z_u, z_0, z_1, z_m)
    raise AssertionError("a proof was thrown away more often than can be")


def _holds(key: PublicKey, prefix: bytes, block: bytes, proof: bytes) -> bool:
    h = proof[:_HASH_BYTES]
    z_u, z_0, z_1, z_m = _decode(proof[_HASH_BYTES:])
    if not _inside((z_u, z_0, z_1)) or int(z_m.max()) >= T:
        return False
    minus_c = ring.of_short(-np.pad(_challenge(h), (0, N - CHALLENGE_BITS)))
    c_0, c_1 = ((ring.of_elements(half), minus_c) for half in halves(block))
    return _hash(prefix, linear(key, Witness(z_u, z_0, z_1, z_m), c_0, c_1)) == h


def _hash(prefix: bytes, first: tuple[Elements, Elements]) -> bytes:
    digest = hashlib.sha256(prefix)
    for half in first:
        digest.update(ring.encode(half))
    return digest.digest()


def _challenge(h: bytes) -> Integers:
    """``(160,)`` the lowest coefficients of c, 0 or 1; the others are 0."""
    octets = np.frombuffer(h, np.uint8)
    return np.unpackbits(octets, count=CHALLENGE_BITS, bitorder="little").astype(np.int64)


def _times(c: Integers, short: Integers) -> Integers:
    """The product c v modulo X^N + 1, over the integers; exact below 2^55."""
    full = np.convolve(short, c)
    product = full[:N]
    product[: CHALLENGE_BITS - 1] -= full[N:]
    return product


def _plain_response(c: Integers, y_m: Plain, m: Plain) -> tuple[Plain, Integers]:
    """``y_m + c m = z_m + t k`` over the integers, with z_m in [0, t)."""
    low = (y_m & np.uint64(0xFFFFFFFF)).astype(np.int64)
    high = (y_m >> np.uint64(32)).astype(np.int64)
    low += _times(c, (m & np.uint64(0xFFFFFFFF)).astype(np.int64))
    high += _times(c, (m >> np.uint64(32)).astype(np.int64))
    high += low >> 32  # rounds down, so what is left of low is not negative
    k = high >> 29
    z_m = ((high & ((1 << 29) - 1)) << 32) + (low & 0xFFFFFFFF) + k  # 2^61 = 1 mod t
    over, under = z_m >= T, z_m < 0
    return (z_m - T * over + T * under).astype(np.uint64), k + over - under


def _inside(responses: Iterable[Integers]) -> bool:
    pairs = zip(responses, _INNER, strict=True)
    return all(int(np.abs(z).max()) <= bound for z, bound in pairs)


def _encode(z_u: Integers, z_0: Integers, z_1: Integers, z_m: Plain) -> bytes:
    narrow = z_u.astype("<i4").view(np.uint8).reshape(N, 4)[:, :_U_BYTES]
    return b"".join(
        (
            narrow.tobytes(),
            z_0.astype("<i4").tobytes(),
            z_1.astype("<i4").tobytes(),
            z_m.astype("<u8").tobytes(),
        )
    )


def _decode(encoded: bytes) -> tuple[Integers, Integers, Integers, Plain]:
    octets = np.frombuffer(encoded, np.uint8)
    u, at = np.zeros((N, 4), np.uint8), N * _U_BYTES
    u[:, 1:] = octets[:at].reshape(N, _U_BYTES)
    z_u = (u.view("<i4").reshape(N) >> 8).astype(np.int64)  # brings its sign down
    z_0 = np.frombuffer(encoded, "<i4", N, at).astype(np.int64)
    z_1 = np.frombuffer(encoded, "<i4", N, at + 4 * N).astype(np.int64)
    z_m = np.frombuffer(encoded, "<u8", N, at + 8 * N).astype(np.uint64)
    return z_u, z_0, z_1, z_m
