"""A fill of the noise bank: one canonical descriptor, and a bank only when all have stored."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc.channel import STORED
from upcare_mpc.mpc.programs.fill import MAX_SEGMENTS, Fill, Seat, confirm_stored
from upcare_mpc.mpc.programs.inputs import Signatures

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bank.json").read_text())
SEATS = tuple(
    Seat(name=name, certificate=bytes([i]) * 32, life=bytes([i]) * 16)
    for i, name in enumerate(("de-a", "de-b", "fr-a"))
)
FILL = Fill(network=bytes(32), law=b"l" * 32, segments=3, roster=SEATS, nonce=bytes(16))


def test_a_fill_is_read_as_it_was_written() -> None:
    assert Fill.from_canonical(FILL.canonical()) == FILL
    assert (FILL.parties, FILL.threshold, FILL.cells) == (3, 1, 3 * 4096)


def test_the_vectors_have_their_digests() -> None:
    fill = Fill.from_canonical(VECTORS["fill"].encode())

    assert fill.digest.hex() == VECTORS["epoch"]
    assert fill.committee.hex() == VECTORS["committee"]


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_bad_vectors_are_refused(case: dict[str, str]) -> None:
    with pytest.raises(ProtocolError):
        Fill.from_canonical(case["fill"].encode())


@pytest.mark.parametrize(
    "change",
    [
        {"network": b"n" * 32},
        {"law": b"m" * 32},
        {"segments": 4},
        {"nonce": b"n" * 16},
        {"roster": (replace(SEATS[0], life=b"n" * 16), *SEATS[1:])},
        {"roster": (SEATS[1], SEATS[0], SEATS[2])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_differs_makes_another_epoch(change: dict[str, object]) -> None:
    assert replace(FILL, **change).digest != FILL.digest  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segments": 0}, "1 to 256 segments, got 0"),
        ({"segments": MAX_SEGMENTS + 1}, "1 to 256 segments, got 257"),
        ({"roster": SEATS[:2]}, "3, 5 or 7 distinct registries"),
        ({"roster": (SEATS[0], SEATS[0], SEATS[1])}, "3, 5 or 7 distinct registries"),
        ({"roster": (replace(SEATS[0], name="DE/A"), *SEATS[1:])}, "proper names"),
        ({"roster": (replace(SEATS[0], life=b""), *SEATS[1:])}, "random words of 16"),
        ({"law": b""}, "digests of 32 bytes"),
    ],
)
def test_what_no_honest_platform_composes_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        replace(FILL, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 10_000,
        b" " * 20_000,
        FILL.canonical().replace(b"noise-bank/1", b"noise-bank/2"),
        FILL.canonical().replace(b'"version":1', b'"version":2'),
        FILL.canonical().replace(b'"segments":3', b'"segments":3.0'),
        FILL.canonical() + b" ",
    ],
)
def test_only_the_canonical_bytes_of_this_version_are_read(received: bytes) -> None:
    with pytest.raises(ProtocolError, match="a fill "):
        Fill.from_canonical(received)


# -- the end of a fill ---------------------------------------------------------------------------

KEYS = [Ed25519PrivateKey.generate() for _ in range(3)]


def signatures(index: int) -> Signatures:
    def verify(signer: int, statement: bytes, signature: bytes) -> None:
        try:
            KEYS[signer].public_key().verify(signature, statement)
        except InvalidSignature:
            raise ProtocolError("a signature is not the named party's") from None

    return Signatures(sign=KEYS[index].sign, verify=verify)


def end(*parties: int, before: object = None) -> list[object]:
    """Let these parties confirm; what came of each."""

    async def together() -> list[object]:
        channels = connect(3)
        if callable(before):
            before(channels)
        work = [confirm_stored(channels[i], signatures(i), FILL) for i in parties]
        return await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 5)

    return asyncio.run(together())


def test_a_fill_ends_when_all_have_signed_that_they_stored_it() -> None:
    assert end(0, 1, 2) == [None, None, None]


def test_without_the_word_of_one_there_is_no_bank() -> None:
    def lose(channels: list[MemoryChannel]) -> None:
        channels[2].lose()

    assert [type(result) for result in end(0, 1, before=lose)] == [LinkError, LinkError]


def test_a_word_about_another_fill_or_of_another_party_is_refused() -> None:
    def forge(channels: list[MemoryChannel]) -> None:
        other = replace(FILL, nonce=b"n" * 16)
        statement = b"upcare/v1/stored|" + other.digest + bytes([0, 2])
        channels[2].send(0, STORED, KEYS[2].sign(statement))
        statement = b"upcare/v1/stored|" + FILL.digest + bytes([0, 0])
        channels[2].send(1, STORED, KEYS[2].sign(statement))

    assert [type(result) for result in end(0, 1, before=forge)] == [ProtocolError, ProtocolError]
