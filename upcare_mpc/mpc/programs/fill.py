"""A fill: the committee draws a noise bank in the background, on no data and for no study.

Its descriptor is to a fill what ``study.descriptor`` is to a session; the digest of it names the
fill, and the *epoch* of the bank that comes of it. It holds one random *life* of each registry's
process, so no bank outlives a process that shares it: a node that was started again has another.

Order: every party draws its shares, seals them (``segments``) and stores them; only then does it
sign that it has; only when all m have signed is the bank there. Loads no MPyC.

Adversary: up to t honest-but-curious computing parties learn nothing about the noise.
"""

import hashlib
import json
import re
from dataclasses import dataclass

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc.channel import STORED, Channel
from upcare_mpc.mpc.programs.inputs import Signatures
from upcare_mpc.study.draw import SEGMENT_CELLS, committee_digest, segments_of
from upcare_mpc.study.layout import MAX_CELLS

__all__ = ["FILL_PROGRAM", "LIFE_BYTES", "MAX_SEGMENTS", "Fill", "Seat", "confirm_stored"]

FILL_PROGRAM = "noise-bank/1"
MAX_SEGMENTS = segments_of(MAX_CELLS)
LIFE_BYTES = 16
_MAX_BYTES = 16 << 10
_VERSION = 1
_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One registry of the committee.

    Attributes:
        name: As in its certificate.
        certificate: SHA-256 of the certificate, 32 bytes.
        life: What its present process chose at random when it started, 16 bytes.
    """

    name: str
    certificate: bytes
    life: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill.

    Attributes:
        network: SHA-256 of the network's CA certificate.
        law: Digest of the exact law of the noise.
        segments: How many segments are drawn.
        roster: The m registries, in the order in which they compute.
        nonce: 16 bytes chosen by the platform.
    """

    network: bytes
    law: bytes
    segments: int
    roster: tuple[Seat, ...]
    nonce: bytes

    def __post_init__(self) -> None:
        """Refuse what no honest platform would compose."""
        names = [seat.name for seat in self.roster]
        if len(names) not in (3, 5, 7) or len(set(names)) != len(names):
            raise ProtocolError("a noise bank belongs to 3, 5 or 7 distinct registries")
        if not all(_NAME.fullmatch(name) for name in names):
            raise ProtocolError("a noise bank belongs to registries with proper names")
        digests = [self.network, self.law, *(seat.certificate for seat in self.roster)]
        lives = [self.nonce, *(seat.life for seat in self.roster)]
        if any(len(d) != 32 for d in digests) or any(len(x) != LIFE_BYTES for x in lives):
            raise ProtocolError("a fill has digests of 32 bytes and random words of 16")
        if not 1 <= self.segments <= MAX_SEGMENTS:
            raise ProtocolError(
                f"a noise bank has 1 to {MAX_SEGMENTS} segments, got {self.segments}"
            )

    @property
    def parties(self) -> int:
        """How many registries compute, m."""
        return len(self.roster)

    @property
    def threshold(self) -> int:
        """How many of them may pool what they see, t."""
        return (self.parties - 1) // 2

    @property
    def cells(self) -> int:
        """How many noise values are drawn."""
        return self.segments * SEGMENT_CELLS

    @property
    def committee(self) -> bytes:
        """Digest of the m registries in their order."""
        return committee_digest(self.network, [(s.name, s.certificate) for s in self.roster])

    def place(self, name: str) -> int:
        """Give a registry's place in the committee."""
        for index, seat in enumerate(self.roster):
            if seat.name == name:
                return index
        raise ProtocolError(f"{name} is not in the committee of this noise bank")

    def canonical(self) -> bytes:
        """Encode as canonical bytes: JSON, keys sorted, ASCII, no spaces."""
        content = {
            "version": _VERSION,
            "program": FILL_PROGRAM,
            "network": self.network.hex(),
            "law": self.law.hex(),
            "segments": self.segments,
            "roster": [
                {
                    "name": seat.name,
                    "certificate": seat.certificate.hex(),
                    "life": seat.life.hex(),
                }
                for seat in self.roster
            ],
            "nonce": self.nonce.hex(),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated; names the fill and its epoch."""
        return hashlib.sha256(b"upcare/v1/fill|" + self.canonical()).digest()

    @classmethod
    def from_canonical(cls, received: bytes) -> "Fill":
        """Decode canonical bytes from the network.

        Raises:
            ProtocolError: They are not the canonical form of a fill.
        """
        if len(received) > _MAX_BYTES:
            raise ProtocolError(f"a fill has at most {_MAX_BYTES} bytes")
        try:
            content = json.loads(received)
            fill = cls(
                network=bytes.fromhex(content["network"]),
                law=bytes.fromhex(content["law"]),
                segments=int(content["segments"]),
                roster=tuple(
                    Seat(
                        name=str(seat["name"]),
                        certificate=bytes.fromhex(seat["certificate"]),
                        life=bytes.fromhex(seat["life"]),
                    )
                    for seat in content["roster"]
                ),
                nonce=bytes.fromhex(content["nonce"]),
            )
        except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProtocolError("a fill cannot be read") from error
        if fill.canonical() != received:
            raise ProtocolError(f"a fill is not in the canonical form of {FILL_PROGRAM}")
        return fill


async def confirm_stored(channel: Channel, signatures: Signatures, fill: Fill) -> None:
    """Sign that this party has stored its shares, and wait until all others have signed too.

    Cost: 1 round, a signature to each.

    Raises:
        ProtocolError: A signature is not that of the party it came from; there is no bank.
    """
    peers = [peer for peer in range(fill.parties) if peer != channel.index]
    signed = signatures.sign(_stored_statement(fill.digest, channel.index))
    for peer in peers:
        channel.send(peer, STORED, signed)
    for peer in peers:
        signature = bytes(await channel.receive(peer, STORED))
        signatures.verify(peer, _stored_statement(fill.digest, peer), signature)


def _stored_statement(epoch: bytes, index: int) -> bytes:
    return b"upcare/v1/stored|" + epoch + index.to_bytes(2, "big")
