"""Story: a registry, or somebody on its machine, keeps what was sent and sends it again.

Three replays: a frame twice in one session, to be counted twice; yesterday's signed input in
today's session, to have a registry answer a question it never approved; yesterday's agreement,
to make a party believe that all agree today.
"""

import asyncio

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc.channel import AGREE, COMMIT, INPUT
from upcare_mpc.mpc.programs.inputs import (
    Signatures,
    agreement_digest,
    deal_input,
    send_input,
    take_input,
)
from upcare_mpc.mpc.programs.noisy_sum import _all_agree
from upcare_mpc.mpc.prss import LocalRandom

YESTERDAY, TODAY = bytes([1] * 32), bytes([2] * 32)
KEYS = [Ed25519PrivateKey.generate() for _ in range(3)]


def signatures(index: int) -> Signatures:
    def verify(signer: int, statement: bytes, signature: bytes) -> None:
        try:
            KEYS[signer].public_key().verify(signature, statement)
        except InvalidSignature:
            raise ProtocolError("a signature is not the named party's") from None

    return Signatures(sign=KEYS[index].sign, verify=verify)


async def recorded_input(session: bytes) -> dict[int, bytes]:
    """What registry 1 sends to party 0 in an honest session."""
    channels = connect(3)
    dealt = deal_input(np.array([41, 1]), parties=3, threshold=1, random=LocalRandom().words)
    await send_input(channels[1], dealt, signatures(1), session=session)
    return {label: await channels[0].receive(1, label) for label in (COMMIT, INPUT)}


async def take(channel: MemoryChannel) -> None:
    await take_input(channel, 1, signatures(0), session=TODAY, parties=3, cells=2)


def test_an_input_of_today_is_taken_once() -> None:
    async def story() -> None:
        frames = await recorded_input(TODAY)
        channels = connect(3)
        for label, payload in frames.items():
            channels[1].send(0, label, payload)
        await take(channels[0])
        with pytest.raises(ProtocolError, match="second frame under one label"):
            channels[1].send(0, INPUT, frames[INPUT])

    asyncio.run(story())


def test_an_input_of_yesterday_is_not_taken_today() -> None:
    async def story() -> None:
        frames = await recorded_input(YESTERDAY)
        channels = connect(3)
        for label, payload in frames.items():
            channels[1].send(0, label, payload)
        with pytest.raises(ProtocolError, match="not the named party's"):
            await take(channels[0])

    asyncio.run(story())


def test_another_registrys_input_of_today_is_not_taken_in_its_place() -> None:
    """Registry 2 copies what registry 1 sent, to double its weight."""

    async def story() -> None:
        frames = await recorded_input(TODAY)
        channels = connect(3)
        for label, payload in frames.items():
            channels[2].send(0, label, payload)
        with pytest.raises(ProtocolError, match="not the named party's"):
            await take_input(channels[0], 2, signatures(0), session=TODAY, parties=3, cells=2)

    asyncio.run(story())


def test_an_agreement_of_yesterday_does_not_agree_today() -> None:
    hashes = [bytes([i] * 96) for i in range(3)]
    old, new = (agreement_digest(day, hashes, b"direct") for day in (YESTERDAY, TODAY))
    recorded = old + KEYS[1].sign(b"upcare/v1/agree|" + old)

    async def agree(frame: bytes) -> None:
        channels = connect(3)
        channels[1].send(0, AGREE, frame)
        channels[2].send(0, AGREE, new + KEYS[2].sign(b"upcare/v1/agree|" + new))
        await _all_agree(channels[0], new, signatures(0), parties=3)

    asyncio.run(agree(new + KEYS[1].sign(b"upcare/v1/agree|" + new)))
    with pytest.raises(ProtocolError, match="did not receive the same inputs"):
        asyncio.run(agree(recorded))
    with pytest.raises(ProtocolError, match="not the named party's"):
        asyncio.run(agree(new + recorded[32:]))
