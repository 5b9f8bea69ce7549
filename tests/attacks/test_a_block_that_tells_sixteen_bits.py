"""Story: a proof that holds for a ciphertext that decrypts to a part of the key.

There are 8192 prime ideals of norm 65537 in the ring, one for each root r of X^N + 1 modulo 65537.
A submitter adds F / 65537 to c1, where F is divisible by all of them but that of r, and tries
first messages until the challenge vanishes at r: once in 65537 hashes. His proof holds. What the
block decrypts to is F s / 65537: a function of s(r) modulo 65537, sixteen bits of the key. With
2048 such blocks the key is known.

It takes somebody who sees what the block decrypts to. A masked opening shows it, next to the masks,
to every computing registry: so patients' ciphertexts are refused where more than three compute.
Where three compute two of them round their halves, and nothing opens.

Adversary: a submitter with a ticket, together with one curious computing registry.
"""

import hashlib
import os
import secrets

import numpy as np
import pytest
from joint import Joint, deal

from upcare_mpc.he import proof as module
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import DELTA, FLOOD_BITS, Q_BYTES, N, Q, T
from upcare_mpc.he.proof import verify
from upcare_mpc.he.sampling import binomial, ternary, uniform_box, uniform_plain
from upcare_mpc.he.scheme import Ciphertext, Witness, linear, round_to_plaintext

PRIME = 65537
CELLS = 12
CONTEXT = b"the submitter's own deposit"
PART = pow(PRIME, -1, Q)


@pytest.fixture(scope="module")
def joint() -> Joint:
    return deal(3, os.urandom)


def quotient(root: int) -> np.ndarray:
    """(X^N + 1) / (X - r) modulo 65537, centred."""
    found, value = np.empty(N, np.int64), 1
    for place in range(N - 1, -1, -1):
        found[place] = value if value <= PRIME // 2 else value - PRIME
        value = value * root % PRIME
    return found


def crafted(joint: Joint, root: int) -> tuple[Ciphertext, bytes, np.ndarray]:
    """The ciphertext, its proof, and F."""
    far, key = quotient(root), joint.public
    u, e0, e1 = ternary(os.urandom), binomial(os.urandom), binomial(os.urandom)
    m = np.zeros(N, np.uint64)
    c0, honest = (ring.integers(half) for half in linear(key, Witness(u, e0, e1, m)))
    c1 = [(x + int(f) * PART) % Q for x, f in zip(honest, far, strict=True)]
    ciphertext = Ciphertext(CELLS, (ring.to_bytes(c0) + ring.to_bytes(c1),))
    prefix = module._prefix(key, ciphertext, CONTEXT) + (0).to_bytes(4)
    powers = np.array([pow(root, place, PRIME) for place in range(160)], np.int64)
    for _ in range(100):
        y_u, y_0, y_1 = (uniform_box(bound, os.urandom) for bound in module._BOXES)
        y_m, y_1[N - 1] = uniform_plain(os.urandom), 0
        first = b"".join(map(ring.encode, linear(key, Witness(y_u, y_0, y_1, y_m))))
        head = hashlib.sha256(prefix + first[:-Q_BYTES])
        last = int.from_bytes(first[-Q_BYTES:], "little")
        for k in range(1 << 19):  # one block of SHA-256 each
            tried = head.copy()
            tried.update(((last + k) % Q).to_bytes(Q_BYTES, "little"))
            c = module._challenge(h := tried.digest())
            if int(c @ powers) % PRIME == 0:
                break
        else:
            continue
        y_1[N - 1] = k
        z_m, wraps = module._plain_response(c, y_m, m)
        responses = (
            y_u + module._times(c, u),
            y_0 + module._times(c, e0) - wraps,
            y_1 + module._times(c, e1) + module._times(c, far) // PRIME,
        )
        if module._inside(responses):
            return ciphertext, b"\1" + h + module._encode(*responses, z_m), far
    raise AssertionError("not once in 100 first messages")


def test_a_masked_opening_would_show_sixteen_bits_of_the_key(joint: Joint) -> None:
    """z is Delta (M + r) + e and the floods of two honest parties; the rest is to be read."""
    root = next(x for x in range(2, PRIME) if pow(x, N, PRIME) == PRIME - 1)
    ciphertext, proof, far = crafted(joint, root)

    verify(joint.public, ciphertext, proof, context=CONTEXT)  # a known limit of the proof

    table = np.array([value * PART % Q % DELTA / DELTA for value in range(PRIME)])
    possible, values = np.ones(PRIME, bool), np.arange(PRIME)
    for cell, w in enumerate(joint.phase(ciphertext)):
        floods = sum(secrets.randbelow(2 << FLOOD_BITS) - (1 << FLOOD_BITS) for _ in range(2))
        opened = (w + DELTA * secrets.randbelow(T) + floods) % Q
        apart = (opened % DELTA / DELTA - table[values * int(far[cell]) % PRIME]) % 1.0
        possible &= np.minimum(apart, 1 - apart) < 0.0635
    powers = [pow(root, place, PRIME) for place in range(N)]
    truth = sum(int(x) * power for x, power in zip(joint.secret, powers, strict=True)) % PRIME
    assert truth in np.flatnonzero(possible)
    assert possible.sum() < 4


def test_it_is_no_answer_and_that_is_all_that_is_learnt(joint: Joint) -> None:
    """What three registries convert it to is dropped; `test_rounding` shows that nothing opens."""
    root = next(x for x in range(2, PRIME) if pow(x, N, PRIME) == PRIME - 1)
    ciphertext, _, _ = crafted(joint, root)
    cells = round_to_plaintext(joint.phase(ciphertext))
    assert not set(cells) <= {0, 1}
