"""A joint key of several holders, all of whose secrets the test knows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from upcare_mpc.he import ring
from upcare_mpc.he.parameters import DELTA, N, Q, T
from upcare_mpc.he.sampling import Integers, Random, binomial, expand, ternary
from upcare_mpc.he.scheme import Ciphertext, KeyShare, PublicKey, partial, round_to_plaintext

__all__ = ["Joint", "deal", "encoded", "exact", "product", "shamir", "signed", "stream"]


@dataclass(frozen=True)
class Joint:
    """What all holders would know together.

    Attributes:
        public: The key.
        secret: ``(N,)`` s, the sum of ternary vectors.
        error: ``(N,)`` of the public key.
    """

    public: PublicKey
    secret: Integers
    error: Integers

    def decrypt(self, ciphertext: Ciphertext) -> list[int]:
        """Cells modulo t."""
        return round_to_plaintext(self.phase(ciphertext))

    def errors(self, ciphertext: Ciphertext) -> Integers:
        """What is left beside multiples of Delta, one a cell."""
        phase = self.phase(ciphertext)
        plain = round_to_plaintext(phase)
        left = [(w - DELTA * m) % Q for w, m in zip(phase, plain, strict=True)]
        return np.array([x - Q if x > Q // 2 else x for x in left])

    def phase(self, ciphertext: Ciphertext) -> list[int]:
        """``c0 + c1 s``."""
        share = KeyShare.of([x % Q for x in self.secret.tolist()], 1)
        return partial(ciphertext, share, with_c0=True)


def deal(holders: int, random: Random) -> Joint:
    """Make a key as that many holders do."""
    seed = random(32)
    secret = np.sum([ternary(random) for _ in range(holders)], axis=0)
    error = np.sum([binomial(random) for _ in range(holders)], axis=0)
    masked = product(expand(seed), secret)
    b = tuple((e - x) % Q for e, x in zip(error.tolist(), masked, strict=True))
    return Joint(PublicKey(seed=seed, b=b), secret, error)


def product(dense: list[int], short: Integers) -> list[int]:
    """A product modulo (q, X^N + 1)."""
    factors = ring.of_elements(ring.of_integers(dense)), ring.of_short(short)
    return ring.integers(ring.reduced(ring.product(factors)))


def exact(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """A product modulo X^N + 1 over the integers, of any sign, as one of two large integers."""
    count, width = len(left), 56

    def packed(values: Sequence[int]) -> int:
        up, down = (
            int.from_bytes(
                b"".join(max(sign * x, 0).to_bytes(width, "little") for x in values), "little"
            )
            for sign in (1, -1)
        )
        return up - down

    half = 1 << 8 * width - 1
    offset = int.from_bytes(half.to_bytes(width, "little") * 2 * count, "little")
    octets = (packed(left) * packed(right) + offset).to_bytes(2 * count * width + 1, "little")
    full = [
        int.from_bytes(octets[at : at + width], "little") - half
        for at in range(0, len(octets) - 1, width)
    ]
    return [x - y for x, y in zip(full[:count], full[count:], strict=True)]


def shamir(joint: Joint, *, holders: int, threshold: int, random: Random) -> list[list[int]]:
    """Shares of the secret at the points 1 to ``holders``."""
    rows = [[x % Q for x in joint.secret.tolist()]]
    for _ in range(threshold):
        octets = random(32 * N)
        rows.append(
            [int.from_bytes(octets[at : at + 32], "little") % Q for at in range(0, 32 * N, 32)]
        )
    return [
        [
            sum(coefficient * point**power for power, coefficient in enumerate(column)) % Q
            for column in zip(*rows, strict=True)
        ]
        for point in range(1, holders + 1)
    ]


def encoded(c0: list[int], c1: list[int], *, cells: int) -> Ciphertext:
    """One block, of whatever a submitter likes."""
    return Ciphertext.from_bytes(
        Ciphertext(cells, (ring.to_bytes(c0) + ring.to_bytes(c1),)).to_bytes(), cells=cells
    )


def signed(plain: list[int]) -> list[int]:
    """Elements modulo t as integers around 0."""
    return [x - T if x > T // 2 else x for x in plain]


def stream(seed: str) -> Random:
    """Randomness of a seed: the bytes of SHAKE256, in order."""
    state, at = hashlib.shake_256(b"upcare/v1/vectors|" + seed.encode()), 0

    def random(count: int) -> bytes:
        nonlocal at
        drawn = state.digest(at + count)[at:]
        at += count
        return drawn

    return random
