"""What is sealed to one reader opens for this reader, in its place, and nowhere else."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.access.sealing import SEALED_BYTES, seal, unseal
from upcare_mpc.errors import ProtocolError

KEY = X25519PrivateKey.generate()
READER = KEY.public_key().public_bytes_raw()
DIGEST = bytes(32)
TEXT = "^the sealed fragment of de-[ab] does not open$"


def sealed(content: bytes = b"secret") -> bytes:
    return seal(content, READER, use="fragment", digest=DIGEST, names=("de-a",))


def test_opens_for_its_reader() -> None:
    paper = sealed()

    assert unseal(paper, KEY, use="fragment", digest=DIGEST, names=("de-a",)) == b"secret"
    assert len(paper) == len(b"secret") + SEALED_BYTES
    assert sealed() != paper


def test_does_not_open_in_another_place_or_for_another() -> None:
    paper = sealed()
    other = X25519PrivateKey.generate()

    for key, digest, names in [
        (other, DIGEST, ("de-a",)),
        (KEY, b"\1" * 32, ("de-a",)),
        (KEY, DIGEST, ("de-b",)),
        (KEY, DIGEST, ("de-a", "de-b")),
    ]:
        with pytest.raises(ProtocolError, match=TEXT):
            unseal(paper, key, use="fragment", digest=digest, names=names)
    with pytest.raises(ProtocolError, match=r"^the sealed sub-share of de-a does not open$"):
        unseal(paper, KEY, use="sub-share", digest=DIGEST, names=("de-a",))


def test_altered_bytes_do_not_open() -> None:
    paper = sealed()
    cut = [paper[:at] for at in range(len(paper))]
    flipped = [paper[:at] + bytes([paper[at] ^ 1]) + paper[at + 1 :] for at in range(len(paper))]

    for other in [*cut, *flipped, paper + b"\0"]:
        with pytest.raises(ProtocolError, match=TEXT):
            unseal(other, KEY, use="fragment", digest=DIGEST, names=("de-a",))


def test_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not a usable X25519 key"):
        seal(b"", bytes(32), use="fragment", digest=DIGEST, names=("de-a",))
