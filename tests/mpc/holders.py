"""Holders of a key for deposits, dealt by the test in place of ``mpc.programs.deposit_key``."""

import os
from collections.abc import Sequence

import numpy as np

from upcare_mpc.he import ring
from upcare_mpc.he.parameters import Q
from upcare_mpc.he.sampling import binomial, expand, ternary
from upcare_mpc.he.scheme import Ciphertext, KeyShare, PublicKey, lagrange, partial

__all__ = ["additive_shares", "dealt_key", "element", "shamir"]


def element() -> int:
    """An element mod q, at distance 2^-80 from uniform."""
    return int.from_bytes(os.urandom(32), "little") % Q


def shamir(secret: Sequence[int], parties: int, threshold: int) -> list[list[int]]:
    """Shares mod q of a vector, at the points 1 to ``parties``."""
    rows = [list(secret), *([element() for _ in secret] for _ in range(threshold))]
    return [
        [
            sum(c * point**power for power, c in enumerate(column)) % Q
            for column in zip(*rows, strict=True)
        ]
        for point in range(1, parties + 1)
    ]


def dealt_key(holders: int, threshold: int) -> tuple[PublicKey, list[list[int]]]:
    """A public key, and every holder's share of the secret one."""
    seed = os.urandom(32)
    secret = np.sum([ternary(os.urandom) for _ in range(holders)], axis=0)
    error = np.sum([binomial(os.urandom) for _ in range(holders)], axis=0)
    factors = ring.of_elements(ring.of_integers(expand(seed))), ring.of_short(secret)
    product = ring.integers(ring.reduced(ring.product(factors)))
    b = tuple((e - x) % Q for e, x in zip(error.tolist(), product, strict=True))
    shares = shamir([s % Q for s in secret.tolist()], holders, threshold)
    return PublicKey(seed=seed, b=b), shares


def additive_shares(
    ciphertext: Ciphertext, sigmas: Sequence[Sequence[int]], quorum: Sequence[int]
) -> list[list[int]]:
    """What each holder of a quorum makes of a ciphertext, in the quorum's order of places."""
    weights = lagrange([place + 1 for place in quorum])
    return [
        partial(ciphertext, KeyShare.of(sigmas[place], weight), with_c0=place == quorum[0])
        for place, weight in zip(quorum, weights, strict=True)
    ]
