"""One registry's input on its way: what the receiver refuses, and what is bound by what."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import COMMIT, INPUT, READY
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs.inputs import (
    DealtInput,
    Signatures,
    agreement_digest,
    await_ready,
    commitment_statement,
    deal_input,
    send_input,
    take_input,
)
from upcare_mpc.mpc.prss import LocalRandom

SESSION = bytes(range(32))
VECTOR = np.array([3, -1, 1 << 40], np.int64)


def toy_sign(index: int) -> Callable[[bytes], bytes]:
    return lambda statement: hashlib.sha256(bytes([index]) + statement).digest()


def signatures(index: int) -> Signatures:
    """Signatures that anyone could forge, which no test here does."""

    def verify(signer: int, statement: bytes, signature: bytes) -> None:
        if toy_sign(signer)(statement) != signature:
            raise ProtocolError("a signature is not the named party's")

    return Signatures(sign=toy_sign(index), verify=verify)


def deal(vector: np.ndarray = VECTOR) -> DealtInput:
    return deal_input(vector, parties=3, threshold=1, random=LocalRandom().words)


def taken(
    sender: Callable[[MemoryChannel], Any], *, taker: int = 0, peer: int = 3, cells: int = 3
) -> tuple[Words, bytes]:
    """What computing party ``taker`` makes of what ``sender`` does as roster place ``peer``."""

    async def session() -> tuple[Words, bytes]:
        channels = connect(4)
        done = sender(channels[peer])
        if asyncio.iscoroutine(done):
            await done
        return await asyncio.wait_for(
            take_input(
                channels[taker], peer, signatures(taker), session=SESSION, parties=3, cells=cells
            ),
            5,
        )

    return asyncio.run(session())


def frames(commitment: bytes, payload: bytes) -> Callable[[MemoryChannel], None]:
    def send(channel: MemoryChannel) -> None:
        for peer in range(3):
            channel.send(peer, COMMIT, commitment)
            channel.send(peer, INPUT, payload)

    return send


def signed(hashes: bytes, *, index: int = 3, session: bytes = SESSION) -> bytes:
    return hashes + toy_sign(3)(commitment_statement(session, index, hashes))


@given(st.lists(st.integers(-(1 << 50), 1 << 50), min_size=1, max_size=10))
def test_dealt_shares_open_to_the_vector(vector: list[int]) -> None:
    dealt = deal(np.array(vector, np.int64))

    shares = {
        i: field.from_bytes(payload[32:], cells=len(vector))
        for i, payload in enumerate(dealt.payloads)
    }
    assert field.decode(field.open_shares(shares, threshold=1)).tolist() == vector
    assert dealt.hashes == b"".join(hashlib.sha256(p).digest() for p in dealt.payloads)


def test_equal_vectors_have_unequal_hashes() -> None:
    """The salt: without it one cell's share could be found from its hash by trying."""
    assert deal().hashes != deal().hashes
    assert len({payload[:32] for payload in deal().payloads}) == 3


def test_an_honest_input_is_taken_by_every_computing_party() -> None:
    dealt = deal()

    async def send(channel: MemoryChannel) -> None:
        await send_input(channel, dealt, signatures(3), session=SESSION)

    shares = {}
    for taker in range(3):
        share, hashes = taken(send, taker=taker)
        shares[taker] = share
        assert hashes == dealt.hashes
    assert field.decode(field.open_shares(shares, threshold=1)).tolist() == VECTOR.tolist()


def test_a_share_that_is_not_the_committed_one_is_refused() -> None:
    dealt = deal()

    with pytest.raises(ProtocolError, match="not the one it committed to"):
        taken(frames(signed(dealt.hashes), dealt.payloads[1]))  # meant for party 1


def test_a_signature_of_somebody_else_is_refused() -> None:
    dealt = deal()
    forged = dealt.hashes + toy_sign(2)(commitment_statement(SESSION, 3, dealt.hashes))

    with pytest.raises(ProtocolError, match="not the named party's"):
        taken(frames(forged, dealt.payloads[0]))


@pytest.mark.parametrize("moved", [{"session": bytes(32)}, {"index": 2}], ids=str)
def test_a_commitment_moved_from_another_session_or_place_is_refused(moved: dict[str, Any]) -> None:
    dealt = deal()

    with pytest.raises(ProtocolError, match="not the named party's"):
        taken(frames(signed(dealt.hashes, **moved), dealt.payloads[0]))


@pytest.mark.parametrize("length", [0, 31, 64, 95])
def test_a_commitment_of_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"commitment of {length} bytes"):
        taken(frames(bytes(length), b""))


def test_a_commitment_without_a_signature_is_refused() -> None:
    dealt = deal()

    with pytest.raises(ProtocolError, match="not the named party's"):
        taken(frames(dealt.hashes, dealt.payloads[0]))


@pytest.mark.parametrize("length", [0, 16, 32, 32 + 16, 32 + 25, 32 + 32])
def test_a_committed_share_of_a_wrong_length_is_refused(length: int) -> None:
    payload = bytes(length)
    hashes = hashlib.sha256(payload).digest() * 3

    with pytest.raises(ProtocolError, match="vector of 3 cells has 24 bytes"):
        taken(frames(signed(hashes), payload))


def test_a_committed_share_outside_the_field_is_refused() -> None:
    payload = bytes(32) + field.PRIME.to_bytes(8, "little") * 3
    hashes = hashlib.sha256(payload).digest() * 3

    with pytest.raises(ProtocolError, match="below 2\\^61 - 1"):
        taken(frames(signed(hashes), payload))


def test_a_registry_that_is_lost_before_its_input_fails_the_wait() -> None:
    with pytest.raises(LinkError, match="lost"):
        taken(lambda channel: channel.lose())


def test_nothing_is_sent_before_every_computing_party_is_ready() -> None:
    async def session() -> list[bool]:
        channels = connect(4)
        waiting = asyncio.ensure_future(await_ready(channels[3], parties=3))
        seen = []
        for peer in (0, 2, 1):
            await asyncio.sleep(0)
            seen.append(waiting.done())
            channels[peer].send(3, READY, b"")
        await waiting
        return seen

    assert asyncio.run(session()) == [False, False, False]


def test_everything_that_enters_the_sum_enters_the_agreement() -> None:
    hashes = [bytes([i] * 96) for i in range(4)]
    base = agreement_digest(SESSION, hashes, b"noise 1")

    others = [
        agreement_digest(bytes(32), hashes, b"noise 1"),
        agreement_digest(SESSION, hashes, b"noise 2"),
        agreement_digest(SESSION, hashes[:3], b"noise 1"),
        agreement_digest(SESSION, [hashes[1], hashes[0], *hashes[2:]], b"noise 1"),
        agreement_digest(SESSION, [*hashes[:3], bytes(96)], b"noise 1"),
    ]

    assert len({base, *others}) == 6
