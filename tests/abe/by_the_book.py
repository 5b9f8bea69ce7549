"""A second implementation of one case, from the words of ``abe.kem`` and ``abe.scheme`` alone.

Seals under ``and(a, b)`` of two attributes. Uses ``py_ecc`` and the standard library, nothing of
the package.
"""

import hashlib
import hmac

from py_ecc import optimized_bls12_381 as curve
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2

SUITE = b"-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def g1(point: object) -> bytes:
    return int(compress_G1(point)).to_bytes(48)


def g2(point: object) -> bytes:
    return b"".join(int(half).to_bytes(48) for half in compress_G2(point))


def gt(value: curve.FQ12) -> bytes:
    c = [int(x) for x in value.coeffs]
    pairs = [(c[i] + c[i + 6], c[i + 6]) for i in (0, 2, 4, 1, 3, 5)]
    return b"".join(
        (x % curve.field_modulus).to_bytes(48, "little") for pair in pairs for x in pair
    )


def seal_both(alpha: int, a: str, b: str, context: bytes, seed: bytes) -> tuple[bytes, bytes]:
    """Header and wrapping key for ``and(a,b)``; a comes before b."""
    p = curve.curve_order
    common = hash_to_G1(b"", b"UPCARE-V01-ABE-common" + SUITE, hashlib.sha256)
    hashed = [
        hash_to_G1(name.encode(), b"UPCARE-V01-ABE-attribute" + SUITE, hashlib.sha256)
        for name in (a, b)
    ]
    public = curve.multiply(curve.G2, alpha)
    policy = f"and({a},{b})".encode()

    bound = hashlib.sha256(
        b"upcare/abe/v1/bound"
        + (b"UAP1" + g2(public))
        + len(policy).to_bytes(4)
        + policy
        + len(context).to_bytes(4)
        + context
    ).digest()
    coins = []
    for i in (1, 2, 3):
        message = b"upcare/abe/v1/coin" + bound + i.to_bytes(2)
        wide = hmac.new(seed, message, hashlib.sha512).digest()
        coins.append(1 + int.from_bytes(wide) % (p - 1))
    s, prime, split = coins
    shares = [(s - split) % p, split]

    rows = [
        curve.add(curve.multiply(common, part), curve.multiply(base, prime))
        for part, base in zip(shares, hashed, strict=True)
    ]
    body = b"UAH1" + len(policy).to_bytes(2) + policy
    body += g2(curve.multiply(curve.G2, s)) + g2(curve.multiply(curve.G2, prime))
    body += b"".join(map(g1, rows))
    hidden = curve.pairing(public, curve.multiply(curve.G1, s)) ** (p - 3)
    mask = hkdf(gt(hidden), b"upcare/abe/v1/mask", hashlib.sha256(body).digest())
    header = body + bytes(x ^ y for x, y in zip(seed, mask, strict=True))
    return header, hkdf(seed, b"upcare/abe/v1/key", bound + hashlib.sha256(header).digest())
