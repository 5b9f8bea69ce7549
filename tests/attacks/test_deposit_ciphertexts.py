"""Stories: crafted ciphertexts among honest deposits.

Deposits are added up by whoever cannot read them, and the holders of the key decrypt the sum: that
is what additive encryption is for. So each of these decrypts like any other ciphertext. Noise
for differential privacy does not help: what is crafted is as large as its maker likes.

Adversary: a submitter who sends any bytes at all, and reads the published, noisy sum.
"""

import os
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from joint import Joint, deal, encoded, signed

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import proof as module
from upcare_mpc.he.parameters import CHALLENGE_BITS, DELTA, N, Q, T
from upcare_mpc.he.proof import prove, verify
from upcare_mpc.he.sampling import uniform_box, uniform_plain
from upcare_mpc.he.scheme import Ciphertext, Sum, Witness, encrypt, linear

CONTEXT = b"the submitter's own deposit"
RNG = np.random.default_rng(20_261_123)


@pytest.fixture(scope="module")
def joint() -> Joint:
    return deal(3, os.urandom)


def published(joint: Joint, deposits: list[Ciphertext], *, scale: float) -> np.ndarray:
    """A sum as it comes out of the unprotected variant: no proofs; Laplace noise on each cell."""
    total = Sum(deposits[0].cells)
    for deposit in deposits:
        total.add(deposit)
    plain = np.array(signed(joint.decrypt(total.ciphertext())))
    return plain + RNG.laplace(scale=scale, size=len(plain))


def honest(joint: Joint, most: int) -> tuple[np.ndarray, Ciphertext, bytes]:
    """A deposit of cells up to ``most``, with its proof."""
    cells = RNG.integers(0, most + 1, N)
    encrypted = encrypt(joint.public, cells, os.urandom)
    proof = prove(joint.public, encrypted, context=b"the victim's deposit", random=os.urandom)
    return cells, encrypted.ciphertext, proof


def refused_with_all_proofs_at_hand(joint: Joint, crafted: Ciphertext, seen: bytes) -> bool:
    """Whether these are refused: another's proof, one for another plaintext, and made-up bytes."""
    own = encrypt(joint.public, np.zeros(crafted.cells, np.int64), os.urandom)
    of_zeros = prove(joint.public, own, context=CONTEXT, random=os.urandom)
    for attempt in (seen, of_zeros, os.urandom(len(seen)), b"\1" + bytes(len(seen) - 1), b""):
        with pytest.raises(ProtocolError, match=r"^a deposit's proof does not hold$"):
            verify(joint.public, crafted, attempt, context=CONTEXT)
    return True


def test_a_ciphertext_that_decrypts_to_the_key(joint: Joint) -> None:
    # c0 = 0 and c1 = K Delta decrypts to K s. One release with noise of scale 50 is enough.
    large = 100_000
    crafted = encoded([0] * N, [large * DELTA] + [0] * (N - 1), cells=N)
    deposits = [honest(joint, most=100) for _ in range(3)]

    release = published(joint, [*(c for _, c, _ in deposits), crafted], scale=50)

    assert np.array_equal(np.rint(release / large).astype(np.int64), joint.secret)
    assert refused_with_all_proofs_at_hand(joint, crafted, deposits[0][2])


def test_a_multiple_of_anothers_ciphertext(joint: Joint) -> None:
    # 1000 times her answers, of 0 and 1, read through noise of scale 10.
    answers, victim, seen = honest(joint, most=1)
    thousand = Sum(N)
    for _ in range(1000):
        thousand.add(victim)

    release = published(joint, [thousand.ciphertext(), victim], scale=10)

    assert np.array_equal(np.rint(release / 1001).astype(np.int64), answers)
    assert refused_with_all_proofs_at_hand(joint, thousand.ciphertext(), seen)


def test_a_ciphertext_added_to_anothers(joint: Joint) -> None:
    # Her deposit, hidden under one's own: it would count her twice.
    _, victim, seen = honest(joint, most=1)
    hidden = Sum(N)
    hidden.add(victim)
    hidden.add(encrypt(joint.public, np.zeros(N, np.int64), os.urandom).ciphertext)

    assert refused_with_all_proofs_at_hand(joint, hidden.ciphertext(), seen)


def fraction(parities: int) -> Ciphertext:
    """c0 = 0 and c1 = 1/(1 - X^j) mod q, which is half of ``1 + X^j + X^2j + ..``.

    It decrypts to 0 in cell i if the coefficients of s at i mod j have an even sum, give or take
    signs; else to t/2.
    """
    half = (Q + 1) // 2
    return encoded([0] * N, [half if place % parities == 0 else 0 for place in range(N)], cells=N)


def folded(values: np.ndarray, parities: int) -> np.ndarray:
    """Parities of the sums over every j-th coefficient."""
    padded = np.pad(values, (0, -len(values) % parities))
    parity: np.ndarray = padded.reshape(-1, parities).sum(axis=0) % 2
    return parity


def proof_of_a_fraction(joint: Joint, crafted: Ciphertext, parities: int) -> tuple[bytes, int]:
    """Try first messages until ``1 - X^j`` divides the challenge modulo 2; and how many it took."""
    prefix = module._prefix(joint.public, crafted, CONTEXT) + (0).to_bytes(4)
    for tries in range(1, 400):
        y_u, y_0, y_1 = (uniform_box(bound // 2, os.urandom) for bound in module._BOXES)
        y_m = uniform_plain(os.urandom)
        h = module._hash(prefix, linear(joint.public, Witness(y_u, y_0, y_1, y_m)))
        c = module._challenge(h)
        if not folded(c, parities).any():
            comb_of_ones = (np.arange(N) % parities == 0).astype(np.int64)
            z_1 = y_1 + module._times(c, comb_of_ones) // 2
            return b"\1" + h + module._encode(y_u, y_0, z_1, y_m), tries
    raise AssertionError("not once in 400 tries")


def test_parities_of_the_key_cost_as_many_tries_as_their_values(joint: Joint) -> None:
    """A known limit, in docs/deposits/proof.md: two bits of the key for four hashes or so."""
    crafted = fraction(2)

    proof, _ = proof_of_a_fraction(joint, crafted, 2)

    verify(joint.public, crafted, proof, context=CONTEXT)
    read = [abs(cell) > T // 4 for cell in signed(joint.decrypt(crafted))]
    assert read[:2] == folded(joint.secret, 2).astype(bool).tolist()
    assert read == read[:2] * (N // 2)


def test_challenges_of_few_signs_would_sell_the_key_cheaply() -> None:
    """14 places with signs, as signatures have them, against 160 bits in a row.

    Places fall into j classes; a try succeeds if each class gets an even number of them.
    """

    def by_signs(parities: int, places: int = 14) -> Fraction:
        total = sum(comb(parities, k) * (parities - 2 * k) ** places for k in range(parities + 1))
        return Fraction(total, parities**places << parities)

    drawn = RNG.integers(0, N, (20_000, 14))
    even = np.array([not (np.bincount(row % 4) % 2).any() for row in drawn]).mean()

    assert abs(even - float(by_signs(4))) < 0.015  # six deviations
    assert by_signs(1) == 1  # every time
    assert by_signs(64) > Fraction(1, 1 << 26) > 2**30 * Fraction(1, 1 << 64)
    assert by_signs(256) > Fraction(1, 1 << 40) > Fraction(1, 1 << CHALLENGE_BITS)


def test_bits_in_a_row_are_even_in_j_classes_once_in_2_to_the_j() -> None:
    hashes = [os.urandom(32) for _ in range(20_000)]
    even = np.array([not folded(module._challenge(h), 4).any() for h in hashes]).mean()

    assert abs(even - 1 / 16) < 0.0103  # six deviations; with signs it is 1/8
    for parities in (1, 2, 4, 64, CHALLENGE_BITS):  # exact: bits below j alone reach all parities
        below = [folded(bit, parities) for bit in np.eye(CHALLENGE_BITS, dtype=np.int64)[:parities]]
        assert np.array_equal(below, np.eye(parities, dtype=np.int64))
