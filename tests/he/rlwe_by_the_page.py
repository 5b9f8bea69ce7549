"""Decryption and the check of a proof as docs/deposits writes them, in plain integers.

Nothing of ``upcare_mpc.he`` is used, nor numpy, nor GMP.
"""

import hashlib

N, T = 8192, 2**61 - 1
Q = 0xFFFFFFFFFFFFFFFFFFFFFFFFFF1D7FC0000000000715
DELTA = (Q - 1) // T

Polynomial = list[int]


def integers(octets: bytes, size: int, *, signed: bool = False) -> Polynomial:
    return [
        int.from_bytes(octets[at : at + size], "little", signed=signed)
        for at in range(0, len(octets), size)
    ]


def packed(coefficients: Polynomial) -> int:
    return int.from_bytes(b"".join((x % Q).to_bytes(48, "little") for x in coefficients), "little")


def times(left: Polynomial, right: Polynomial) -> Polynomial:
    """Modulo q and X^N + 1: one product of two integers of 48 bytes a coefficient."""
    digits = integers((packed(left) * packed(right)).to_bytes(2 * N * 48, "little"), 48)
    return [(low - high) % Q for low, high in zip(digits[:N], digits[N:], strict=True)]


def public_polynomial(seed: bytes) -> Polynomial:
    return integers(hashlib.shake_256(b"upcare/v1/rlwe-a|" + seed).digest(22 * N), 22)


def framed(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4) + field for field in fields)


def plus(*terms: Polynomial) -> Polynomial:
    return [sum(column) % Q for column in zip(*terms, strict=True)]


def decrypted(block: bytes, secret: Polynomial) -> Polynomial:
    c0, c1 = integers(block[: 22 * N], 22), integers(block[22 * N :], 22)
    return [(2 * w + DELTA) // (2 * DELTA) % T for w in plus(c0, times(c1, secret))]


def holds(key: bytes, ciphertext: bytes, proof: bytes, context: bytes) -> bool:
    """Whether the proof of a ciphertext of one block holds."""
    seed, b = key[1:33], integers(key[33:], 22)
    c0, c1 = integers(ciphertext[5 : 5 + 22 * N], 22), integers(ciphertext[5 + 22 * N :], 22)
    h, rest = proof[1:33], proof[33:]
    z_u = integers(rest[: 3 * N], 3, signed=True)
    z_0 = integers(rest[3 * N : 7 * N], 4, signed=True)
    z_1 = integers(rest[7 * N : 11 * N], 4, signed=True)
    z_m = integers(rest[11 * N :], 8)
    c = [int.from_bytes(h, "little") >> place & 1 if place < 160 else 0 for place in range(N)]
    t_0 = plus(times(b, z_u), z_0, [DELTA * z for z in z_m], [-x for x in times(c, c0)])
    t_1 = plus(times(public_polynomial(seed), z_u), z_1, [-x for x in times(c, c1)])
    first = b"".join(x.to_bytes(22, "little") for x in t_0 + t_1)
    told = framed(
        b"upcare-rlwe/1",
        hashlib.sha256(b"upcare/v1/rlwe-key|" + key).digest(),
        context,
        hashlib.sha256(ciphertext).digest(),
    )
    wanted = hashlib.sha256(b"upcare/v1/deposit-proof|" + told + (0).to_bytes(4) + first).digest()
    return (
        max(map(abs, z_u)) <= 2**23 - 1 - 160
        and max(map(abs, z_0)) <= 2**31 - 1 - 160 * 22
        and max(map(abs, z_1)) <= 2**31 - 1 - 160 * 21
        and max(z_m) < T
        and wanted == h
    )
