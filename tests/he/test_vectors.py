"""What the vectors say is what this code makes, and what the page's arithmetic accepts."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rlwe_by_the_page as page
from joint import deal, signed, stream

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he.parameters import N
from upcare_mpc.he.proof import _challenge, prove, verify
from upcare_mpc.he.sampling import expand
from upcare_mpc.he.scheme import Ciphertext, PublicKey, encrypt

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "he.json").read_text())
GOOD = {case["name"]: case for case in VECTORS["good"]}


def digest(octets: bytes) -> str:
    return sha256(octets).hexdigest()


def key() -> PublicKey:
    """A key that nobody has the secret of: b is from a seed too."""
    names = VECTORS["key"]
    seed, b_seed = (bytes.fromhex(names[which]) for which in ("seed", "b_seed"))
    return PublicKey(seed=seed, b=tuple(expand(b_seed)))


def made(case: dict[str, Any]) -> tuple[bytes, bytes]:
    """Ciphertext and proof of a case."""
    random = stream(case["random"])
    cells = np.arange(case["cells"]) * case["step"] + case["first"]
    encrypted = encrypt(key(), cells, random)
    context = bytes.fromhex(case["context"])
    proof = prove(key(), encrypted, context=context, random=random)
    return encrypted.ciphertext.to_bytes(), proof


def accepted(case: dict[str, Any], ciphertext: bytes, proof: bytes, context: bytes) -> None:
    parsed = Ciphertext.from_bytes(ciphertext, cells=case["cells"])
    verify(key(), parsed, proof, context=context)


def test_the_public_polynomial_of_a_seed() -> None:
    case = VECTORS["expanded"]
    polynomial = expand(bytes.fromhex(case["seed"]))

    assert [f"{x:044x}" for x in polynomial[:2]] == case["first"]
    assert digest(b"".join(x.to_bytes(22, "little") for x in polynomial)) == case["sha256"]
    assert page.public_polynomial(bytes.fromhex(case["seed"])) == polynomial


def test_the_challenge_of_a_hash() -> None:
    case = VECTORS["challenge"]

    assert np.flatnonzero(_challenge(bytes.fromhex(case["hash"]))).tolist() == case["ones"]


def test_the_key() -> None:
    assert digest(key().to_bytes()) == VECTORS["key"]["sha256"]
    assert key().digest.hex() == VECTORS["key"]["digest"]


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    case = GOOD[name]

    ciphertext, proof = made(case)

    assert digest(ciphertext) == case["ciphertext_sha256"]
    assert digest(proof) == case["proof_sha256"]
    accepted(case, ciphertext, proof, bytes.fromhex(case["context"]))


@pytest.mark.parametrize("bad", VECTORS["bad"], ids=lambda bad: bad["name"])
def test_bad(bad: dict[str, Any]) -> None:
    case = GOOD[bad["of"]]
    parts = dict(zip(("ciphertext", "proof"), made(case), strict=True))
    parts["context"] = bytes.fromhex(case["context"])
    octets = bytearray(parts[bad["part"]])
    octets[bad["at"] : bad["at"] + bad["drop"]] = bytes.fromhex(bad["insert"])

    with pytest.raises(ProtocolError):
        accepted(case, **{**parts, bad["part"]: bytes(octets)})


def test_the_page_accepts_what_is_good_and_refuses_a_changed_proof() -> None:
    case = VECTORS["good"][0]
    ciphertext, proof = made(case)
    context, encoded = bytes.fromhex(case["context"]), key().to_bytes()
    changed = proof[:33] + bytes([proof[33] ^ 1]) + proof[34:]

    assert page.holds(encoded, ciphertext, proof, context)
    assert not page.holds(encoded, ciphertext, changed, context)


def test_a_dealt_key_and_its_decryption_by_the_page() -> None:
    case = VECTORS["dealt"]
    joint = deal(case["holders"], stream(case["random"]))
    one = encrypt(joint.public, [5, -6], stream(case["encrypted"])).ciphertext

    plain = page.decrypted(one.blocks[0], joint.secret.tolist())

    assert digest(joint.public.to_bytes()) == case["key_sha256"]
    assert digest(one.to_bytes()) == case["ciphertext_sha256"]
    assert signed(plain) == [5, -6] + [0] * (N - 2)
    assert joint.decrypt(one) == plain[:2]
