"""How a registry's counts enter a session, and how the computing parties agree on what entered.

A registry (computing or contributing) splits its vector into Shamir shares, one for each computing
party. With each share goes a 32-byte salt, and to everybody the signed list of all salted
hashes. Before any output exists, the computing parties sign one digest over the lists of all
registries and the noise; unless all m digests are equal, the session ends. So there are never
two sums under one noise, and no registry can give different inputs to different parties.

The hash is salted because a share of a single cell has only 2^61 values.

This file loads no MPyC: contributing registries run it alone.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import COMMIT, INPUT, READY, Channel
from upcare_mpc.mpc.field import Words

__all__ = [
    "Signatures",
    "agreement_digest",
    "await_ready",
    "commitment_statement",
    "deal_input",
    "send_input",
    "take_input",
]

_SALT = 32
_HASH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Signing as this party, and checking the signature of any party of the roster.

    Attributes:
        sign: Bytes to signature.
        verify: ``verify(party index, bytes, signature)`` raises ``ProtocolError`` if it is bad.
    """

    sign: Callable[[bytes], bytes]
    verify: Callable[[int, bytes, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtInput:
    """One registry's input, ready to send: salted shares and the hashes they are bound by."""

    payloads: tuple[bytes, ...]
    hashes: bytes


def deal_input(
    vector: npt.NDArray[np.int64],
    *,
    parties: int,
    threshold: int,
    random: Callable[[int], Words],
) -> DealtInput:
    """Split a registry's vector into one salted share for each computing party. Local.

    Secret: ``vector``, every payload. Public to the computing parties: the hashes.
    """
    shares = field.share(field.encode(vector), parties=parties, threshold=threshold, random=random)
    payloads = tuple(os.urandom(_SALT) + field.to_bytes(share) for share in shares)
    return DealtInput(
        payloads=payloads,
        hashes=b"".join(hashlib.sha256(payload).digest() for payload in payloads),
    )


def commitment_statement(session: bytes, index: int, hashes: bytes) -> bytes:
    """The bytes a registry signs about its input."""
    return b"upcare/v1/input|" + session + index.to_bytes(2, "big") + hashes


async def await_ready(channel: Channel, *, parties: int) -> None:
    """Wait until every computing party has its noise; nothing has left this registry before."""
    for peer in range(parties):
        if peer != channel.index:
            await channel.receive(peer, READY)


async def send_input(
    channel: Channel, dealt: DealtInput, signatures: Signatures, *, session: bytes
) -> None:
    """Send a dealt input to all computing parties but oneself.

    Cost: ``8 n + 32`` bytes to each; no answer is awaited.
    """
    statement = commitment_statement(session, channel.index, dealt.hashes)
    commitment = dealt.hashes + signatures.sign(statement)
    for peer, payload in enumerate(dealt.payloads):
        if peer != channel.index:
            channel.send(peer, COMMIT, commitment)
            channel.send(peer, INPUT, payload)
    await channel.drain()


async def take_input(
    channel: Channel, peer: int, signatures: Signatures, *, session: bytes, parties: int, cells: int
) -> tuple[Words, bytes]:
    """Receive one registry's share and check it against the registry's signed hashes.

    Returns:
        ``(n,)`` share, and the registry's list of hashes.

    Raises:
        ProtocolError: Wrong length, bad signature, or a share that is not the committed one.
    """
    commitment = bytes(await channel.receive(peer, COMMIT))
    hashes, signature = commitment[: parties * _HASH], commitment[parties * _HASH :]
    if len(hashes) != parties * _HASH:
        raise ProtocolError(f"party {peer} sent a commitment of {len(commitment)} bytes")
    signatures.verify(peer, commitment_statement(session, peer, hashes), signature)
    payload = await channel.receive(peer, INPUT)
    own = hashes[channel.index * _HASH : (channel.index + 1) * _HASH]
    if hashlib.sha256(payload).digest() != own:
        raise ProtocolError(f"party {peer} sent a share that is not the one it committed to")
    return field.from_bytes(payload[_SALT:], cells=cells), hashes


def agreement_digest(session: bytes, hashes: Sequence[bytes], noise_id: bytes) -> bytes:
    """Digest of all that enters the sum: each registry's hashes in roster order, and the noise."""
    digest = hashlib.sha256(b"upcare/v1/agreement|" + session)
    for index, own in enumerate(hashes):
        digest.update(index.to_bytes(2, "big") + own)
    digest.update(noise_id)
    return digest.digest()
