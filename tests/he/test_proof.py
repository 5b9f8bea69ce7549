"""A proof holds for one ciphertext, one key and one context, and for nothing else."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from joint import Joint, deal, exact
from scipy.stats import chisquare

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import proof as module
from upcare_mpc.he import ring, sampling
from upcare_mpc.he.parameters import ERROR_BOUND, N, Q, T
from upcare_mpc.he.proof import BLOCK_PROOF_BYTES, BOX_E, BOX_U, prove, verify
from upcare_mpc.he.sampling import Integers, Random, binomial, ternary
from upcare_mpc.he.scheme import BLOCK_BYTES, Ciphertext, Encrypted, Sum, Witness, encrypt

CONTEXT = b"a deposit's context"
TEXT = r"^a deposit's proof does not hold$"

# Where a block's proof has what, in bytes.
Z_U, Z_0, Z_1, Z_M = (32 + N * place for place in (0, 3, 7, 11))


@dataclass(frozen=True)
class Proved:
    encrypted: Encrypted
    proof: bytes

    @property
    def ciphertext(self) -> Ciphertext:
        return self.encrypted.ciphertext


def proved(joint: Joint, cells: Integers, context: bytes = CONTEXT) -> Proved:
    encrypted = encrypt(joint.public, cells, os.urandom)
    return Proved(encrypted, prove(joint.public, encrypted, context=context, random=os.urandom))


@pytest.fixture(scope="module")
def one(joint: Joint) -> Proved:
    return proved(joint, np.arange(-4000, N - 4000))


@pytest.fixture(scope="module")
def two(joint: Joint) -> Proved:
    """Two blocks, the second nearly empty; cells at the ends of their range."""
    return proved(joint, np.array([T - 1, 1 - T, 0, 1] * (N // 4) + [T - 1]))


def refused(joint: Joint, ciphertext: Ciphertext, proof: bytes, context: bytes = CONTEXT) -> bool:
    with pytest.raises(ProtocolError, match=TEXT):
        verify(joint.public, ciphertext, proof, context=context)
    return True


def test_a_proof_holds(joint: Joint, one: Proved, two: Proved) -> None:
    verify(joint.public, one.ciphertext, one.proof, context=CONTEXT)
    verify(joint.public, two.ciphertext, two.proof, context=CONTEXT)

    assert len(one.proof) == 1 + BLOCK_PROOF_BYTES
    assert len(two.proof) == 1 + 2 * BLOCK_PROOF_BYTES


def test_it_holds_after_a_journey_as_bytes(joint: Joint, two: Proved) -> None:
    arrived = Ciphertext.from_bytes(two.ciphertext.to_bytes(), cells=N + 1)

    verify(joint.public, arrived, two.proof, context=CONTEXT)


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize(
    "place",
    [0, 19, 20, 31, Z_U, Z_0 - 1, Z_0, Z_1 - 1, Z_1, Z_M - 1, Z_M, BLOCK_PROOF_BYTES - 8],
)
def test_no_byte_of_a_proof_may_change(joint: Joint, two: Proved, place: int, block: int) -> None:
    at = 1 + block * BLOCK_PROOF_BYTES + place
    changed = two.proof[at] ^ 1

    assert refused(joint, two.ciphertext, two.proof[:at] + bytes([changed]) + two.proof[at + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: b"",
        lambda proof: proof[:-1],
        lambda proof: proof + b"\0",
        lambda proof: proof[: 1 + BLOCK_PROOF_BYTES],
        lambda proof: proof + proof[1 : 1 + BLOCK_PROOF_BYTES],
        lambda proof: b"\2" + proof[1:],
        lambda proof: proof[:1] + proof[1 + BLOCK_PROOF_BYTES :] + proof[1 : 1 + BLOCK_PROOF_BYTES],
        lambda proof: os.urandom(len(proof)),
        lambda proof: bytes(len(proof)),
    ],
    ids=["none", "short", "long", "fewer", "more", "version", "swapped", "random", "zeros"],
)
def test_other_bytes_are_no_proof(
    joint: Joint, two: Proved, change: Callable[[bytes], bytes]
) -> None:
    assert refused(joint, two.ciphertext, change(two.proof))


@pytest.mark.parametrize("context", [b"", CONTEXT[:-1], CONTEXT + b"\0", b"another"])
def test_a_proof_holds_in_its_context_alone(joint: Joint, one: Proved, context: bytes) -> None:
    assert refused(joint, one.ciphertext, one.proof, context)


def test_a_proof_holds_under_its_key_alone(one: Proved) -> None:
    assert refused(deal(1, os.urandom), one.ciphertext, one.proof)


def test_a_proof_holds_for_its_ciphertext_alone(joint: Joint, one: Proved, two: Proved) -> None:
    octets = one.ciphertext.blocks[0]
    doubled, with_other = Sum(N), Sum(N)
    for total, other in ((doubled, one), (with_other, proved(joint, np.arange(N)))):
        total.add(one.ciphertext)
        total.add(other.ciphertext)
    first = (int.from_bytes(octets[:22], "little") + 1) % Q

    for changed in (
        doubled.ciphertext(),
        with_other.ciphertext(),
        replace(one.ciphertext, blocks=(first.to_bytes(22, "little") + octets[22:],)),
        replace(one.ciphertext, blocks=(octets[BLOCK_BYTES // 2 :] + octets[: BLOCK_BYTES // 2],)),
        replace(one.ciphertext, cells=N - 1),
    ):
        assert refused(joint, changed, one.proof)
    assert refused(joint, replace(two.ciphertext, blocks=two.ciphertext.blocks[::-1]), two.proof)


def test_the_blocks_of_a_deposit_are_proved_together(joint: Joint, two: Proved) -> None:
    # A block with its own valid proof, in a ciphertext that it was not proved in.
    other = proved(joint, np.arange(N + 1))
    blocks = (two.ciphertext.blocks[0], other.ciphertext.blocks[1])
    mixed = two.proof[: 1 + BLOCK_PROOF_BYTES] + other.proof[1 + BLOCK_PROOF_BYTES :]

    assert refused(joint, Ciphertext(N + 1, blocks), mixed)


def test_a_plaintext_response_has_one_encoding(
    joint: Joint, one: Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    # t more in z_m is one less by Delta t = -1, which z_0 makes up for: the equation holds.
    at_m, at_0 = 1 + Z_M, 1 + Z_0
    octets = bytearray(one.proof)
    z_m = int.from_bytes(octets[at_m : at_m + 8], "little")
    z_0 = int.from_bytes(octets[at_0 : at_0 + 4], "little", signed=True)
    octets[at_m : at_m + 8] = (z_m + T).to_bytes(8, "little")
    octets[at_0 : at_0 + 4] = (z_0 + 1).to_bytes(4, "little", signed=True)

    assert refused(joint, one.ciphertext, bytes(octets))
    monkeypatch.setattr(module, "T", 1 << 63)
    verify(joint.public, one.ciphertext, bytes(octets), context=CONTEXT)  # but for that check


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_response_outside_its_box_is_refused(
    joint: Joint, one: Proved, monkeypatch: pytest.MonkeyPatch, which: int, sign: int
) -> None:
    # All masks are small but one coefficient, whose response is outside and fits its bytes.
    box = (BOX_U, BOX_E, BOX_E)[which]
    drawn = 0

    def masks(bound: int, random: Random) -> Integers:
        nonlocal drawn
        y, drawn = np.zeros(N, np.int64), drawn + 1
        if (drawn - 1) % 3 == which:
            y[:] = sign * (module._INNER[which] + 1)
        return y

    with monkeypatch.context() as patch:
        patch.setattr(module, "uniform_box", masks)
        patch.setattr(module, "_inside", lambda responses: True)
        proof = prove(joint.public, one.encrypted, context=CONTEXT, random=os.urandom)
        verify(joint.public, one.ciphertext, proof, context=CONTEXT)  # but for the check
    z = module._decode(proof[33:])[which]

    assert int((sign * z).max()) > module._INNER[which]
    assert int(np.abs(z).max()) <= box
    assert refused(joint, one.ciphertext, proof)


def test_a_challenge_is_the_first_160_bits_of_the_hash() -> None:
    h = hashlib.sha256(b"x").digest()
    bits = int.from_bytes(h, "little")

    assert module._challenge(h).tolist() == [bits >> place & 1 for place in range(160)]


def test_products_with_a_challenge_fold_back() -> None:
    c = module._challenge(hashlib.sha256(b"y").digest())
    short = np.random.default_rng(1).integers(-(2**32), 2**32, N)

    wanted = exact(np.pad(c, (0, N - 160)).tolist(), short.tolist())
    assert module._times(c, short).tolist() == wanted


def test_plaintext_responses_and_their_wraps_are_exact() -> None:
    c = np.ones(160, np.int64)
    for m in (np.full(N, T - 1, np.uint64), sampling.uniform_plain(os.urandom)):
        y = np.full(N, T - 1, np.uint64)
        wanted = exact(np.pad(c, (0, N - 160)).tolist(), m.tolist())

        z, k = module._plain_response(c, y, m)

        both = zip(z.tolist(), k.tolist(), strict=True)
        assert [a + T * b for a, b in both] == [T - 1 + x for x in wanted]
        assert int(z.max()) < T
        assert int(np.abs(k).max()) <= 160


@pytest.mark.statistical
def test_a_block_is_proved_anew_as_often_as_stated(
    joint: Joint, one: Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 0.167 within 0.06, which is five standard deviations at 1000 tries: 1e-6 of false alarms.
    verdicts: list[bool] = []
    inside = module._inside

    def noted(responses: object) -> bool:
        verdicts.append(inside(responses))  # type: ignore[arg-type]
        return verdicts[-1]

    monkeypatch.setattr(module, "_inside", noted)
    while len(verdicts) < 1000:
        module._prove_block(joint.public, b"", one.encrypted.witness[0], os.urandom)

    stated = 1 - float(
        np.prod(
            [
                ((2 * i + 1) / (2 * b + 1)) ** N
                for i, b in zip(module._INNER, module._BOXES, strict=True)
            ]
        )
    )
    assert 0.16 < stated < 0.17
    assert abs(verdicts.count(False) / len(verdicts) - stated) < 0.06


class Tiny:
    """A ring of 8 coefficients and challenges of 4 bits, where a leak would show.

    At full size it cannot: masks are 50,000 times as wide as what they hide.
    """

    N, BITS, BOXES = 8, 4, (100, 2000, 2000)
    REACH = (BITS, BITS * ERROR_BOUND + BITS, BITS * ERROR_BOUND)

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        for place in (ring, sampling, module):
            patch.setattr(place, "N", self.N)
        half = self.N // 2
        twist = np.exp(1j * np.pi * np.arange(half) / self.N)
        for name, value in (("_HALF", half), ("_TWIST", twist), ("_UNTWIST", twist.conj())):
            patch.setattr(ring, name, value)
        patch.setattr(module, "CHALLENGE_BITS", self.BITS)
        patch.setattr(module, "_BOXES", self.BOXES)
        inner = tuple(box - reach for box, reach in zip(self.BOXES, self.REACH, strict=True))
        patch.setattr(module, "_INNER", inner)
        self.inner = inner
        self.key = SimpleNamespace(spectra=2 * (np.zeros((11, half), np.complex128),))

    def responses(self, witness: Witness, *, times: int) -> list[np.ndarray]:
        """z_u, z_0, z_1, z_m of that many proofs, ``(times * N,)`` each."""
        rows = [
            module._decode(module._prove_block(self.key, b"", witness, os.urandom)[32:])
            for _ in range(times)
        ]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]


def extreme(size: int) -> Witness:
    """All that is hidden is as large as it can be, and on one side."""
    ones = np.ones(size, np.int64)
    return Witness(ones, ERROR_BOUND * ones, -ERROR_BOUND * ones, np.full(size, T - 1, np.uint64))


def drawn_witness() -> Witness:
    return Witness(
        ternary(os.urandom), binomial(os.urandom), binomial(os.urandom), np.zeros(Tiny.N, np.uint64)
    )


def uniform(z: np.ndarray, inner: int) -> bool:
    """Whether draws fill [-inner, inner] evenly; a false alarm in 1e-7."""
    if int(np.abs(z).max()) > inner:
        return False
    bins = min(2 * inner + 1, 97)
    counts = np.bincount((z + inner) * bins // (2 * inner + 1), minlength=bins)
    cells = np.bincount(np.arange(2 * inner + 1) * bins // (2 * inner + 1), minlength=bins)
    return bool(chisquare(counts, cells / cells.sum() * len(z)).pvalue > 1e-7)


@pytest.mark.statistical
@pytest.mark.parametrize("which", ["extreme", "drawn"])
def test_what_is_given_out_is_uniform_whatever_the_witness(
    monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    tiny = Tiny(monkeypatch)
    witness = extreme(tiny.N) if which == "extreme" else drawn_witness()

    *short, z_m = tiny.responses(witness, times=8000)

    assert [uniform(z, inner) for z, inner in zip(short, tiny.inner, strict=True)] == [True] * 3
    assert chisquare(np.bincount((z_m >> np.uint64(55)).astype(np.int64))).pvalue > 1e-7


@pytest.mark.statistical
def test_a_box_that_is_too_large_shows_the_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Tiny(monkeypatch)
    monkeypatch.setattr(module, "_INNER", tiny.BOXES)

    z_u, _, _, _ = tiny.responses(extreme(tiny.N), times=8000)

    assert not uniform(z_u, tiny.BOXES[0])
