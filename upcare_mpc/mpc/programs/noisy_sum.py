"""The one program of a release: the sum of all registries' vectors plus one joint noise vector.

    output = input_1 + ... + input_r + noise            (r registries, n cells, mod 2^61 - 1)

Order: noise first, because it depends on no data and costs nobody budget if it fails; then
every registry's input; then the agreement on what entered; only then do output shares exist.

Secret: inputs, noise, output. Opens: only what ``mpc.noise`` opens, uniform masked values.
Cost for m = 3: rounds of the noise + 3; bytes of the noise + 8 n from each registry to each party.
Output shares have degree at most t: sums of fresh Shamir sharings of degree t. MPyC's sharing
of zero, which has degree 2t, is never added.

Adversary: up to t honest-but-curious computing parties, any number of contributing registries.
"""

import asyncio
from dataclasses import dataclass

import numpy as np

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import AGREE, READY, Channel
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.noise import Law, noise_shares
from upcare_mpc.mpc.programs.inputs import Signatures, agreement_digest, take_input

__all__ = ["Inputs", "NoisySum", "agree_on_sum", "announce_ready", "draw_noise", "take_inputs"]

CHUNK_CELLS = 1 << 18  # cells of one branch; branches overlap computing with waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What all registries have put in.

    Attributes:
        share: ``(n,)`` this party's share of the sum of their vectors. Secret.
        hashes: What each has committed to, in the roster's order.
    """

    share: Words
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisySum:
    """What a computing party holds at the end.

    Attributes:
        share: ``(n,)`` share of the noisy sum. Secret until sealed.
        agreement: Digest that all computing parties signed.
    """

    share: Words
    agreement: bytes


async def draw_noise(engine: Engine, law: Law, cells: int) -> Words:
    """Draw the noise shares in concurrent branches of bounded size.

    Returns:
        ``(n,)`` this party's shares. Secret.
    """

    async def branch(size: int) -> Words:
        return await noise_shares(engine.lane(), law, size, random=engine.local_random.words)

    sizes = [min(CHUNK_CELLS, cells - start) for start in range(0, cells, CHUNK_CELLS)]
    async with asyncio.TaskGroup() as group:
        tasks = [engine.branch(branch(size), group=group) for size in sizes]
    return np.concatenate([task.result() for task in tasks])


async def take_inputs(
    channel: Channel,
    own_input: tuple[Words, bytes],
    signatures: Signatures,
    *,
    session: bytes,
    parties: int,
    registries: int,
) -> Inputs:
    """Wait for every registry's share of its vector, and add them up.

    Args:
        channel: Frames to all registries of the roster.
        own_input: This party's share of its own vector, and the hashes it committed to.
        signatures: Signing and checking.
        session: Digest of the session descriptor.
        parties: m, the computing parties; they come first.
        registries: Length of the roster.

    Raises:
        ProtocolError: A share is not what its registry has committed to.
        LinkError: A registry is lost.
    """
    total, own = own_input
    hashes = []
    for peer in range(registries):
        if peer == channel.index:
            hashes.append(own)
            continue
        share, committed = await take_input(
            channel, peer, signatures, session=session, parties=parties, cells=len(total)
        )
        total = field.add(total, share)
        hashes.append(committed)
    return Inputs(share=total, hashes=tuple(hashes))


async def agree_on_sum(
    channel: Channel,
    inputs: Inputs,
    noise: Words,
    signatures: Signatures,
    *,
    session: bytes,
    parties: int,
    noise_id: bytes,
) -> NoisySum:
    """Add the noise, after all parties agree on what it is that they add.

    Args:
        channel: Frames to all registries of the roster.
        inputs: What was taken.
        noise: ``(n,)`` shares of the noise, and of whatever else enters with it.
        signatures: Signing and checking.
        session: Digest of the session descriptor.
        parties: m, the computing parties.
        noise_id: What identifies the noise, equal at all parties.

    Raises:
        ProtocolError: The parties did not receive the same inputs; no output exists.
    """
    agreement = agreement_digest(session, inputs.hashes, noise_id)
    await _all_agree(channel, agreement, signatures, parties=parties)
    return NoisySum(share=field.add(noise, inputs.share), agreement=agreement)


async def _all_agree(
    channel: Channel, agreement: bytes, signatures: Signatures, *, parties: int
) -> None:
    """Exchange signatures on the agreement; every party must have signed the same digest."""
    signed = signatures.sign(b"upcare/v1/agree|" + agreement)
    peers = [peer for peer in range(parties) if peer != channel.index]
    for peer in peers:
        channel.send(peer, AGREE, agreement + signed)
    for peer in peers:
        payload = bytes(await channel.receive(peer, AGREE))
        if payload[:32] != agreement:
            raise ProtocolError("the computing parties did not receive the same inputs")
        signatures.verify(peer, b"upcare/v1/agree|" + agreement, payload[32:])


def announce_ready(channel: Channel, registries: int) -> None:
    """Tell every registry that this party has its noise and awaits inputs."""
    for peer in range(registries):
        if peer != channel.index:
            channel.send(peer, READY, b"")
