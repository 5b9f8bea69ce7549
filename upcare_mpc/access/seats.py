"""Who wants which ceremony, and who takes a seat in it: the papers before its first dealing.

    proposal   "UAL1" | network | CA (32) | time (8) | t (1) | committee that hands over (32 or 0)
               | nonce (16) | m (1) | members ... | dealers ... | proposer | certificate | signature
    seat       "UAT1" | proposal (32) | registry | sealing key (32) | certificate | signature
    sub-share  "UAB1" | dealer | member | sealed

Fields are packed by ``abe.statements``; certificates are PEM, and a signature is by the key of the
certificate before it. The SHA-256 of a proposal is the ceremony's name on the board. A seat brings
a sealing key that is made for this ceremony alone and erased after it: a registry's long-lived key
that is stolen later opens no sub-share.

Once all seats are taken the ceremony is determined, the same for all who see the same seats:

    identifier = the first 16 bytes of SHA-256(proposal)
    roster     = SHA-256(statement "roster": SHA-256(proposal), and of each participant by name:
                 name, SHA-256(certificate), sealing key)

Certificates have to be in force at the time that the proposal states, so whoever reads the papers
years later comes to the same result. Somebody who joins compares that time with the clock.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.abe.ceremony import MAX_SIGNED_BYTES, Ceremony, Kind, Signed
from upcare_mpc.abe.committee import MAX_MEMBERS, Committee, check_members
from upcare_mpc.abe.groups import Group
from upcare_mpc.abe.statements import statement
from upcare_mpc.access.papers import Certify
from upcare_mpc.access.sealing import seal, unseal
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.study.packed import pack, unpack

__all__ = ["CertifyAt", "Proposal", "SealedSubShare", "Seat", "determined"]

_PROPOSAL = b"UAL1"
_SEAT = b"UAT1"
_SUB_SHARE = b"UAB1"
_MAX_BYTES = 16 << 10
_DIGEST_BYTES = 32
_NONCE_BYTES = 16
_TIME_BYTES = 8
_LATEST = 253_402_300_800  # the year 10000, which no certificate names
_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)

CertifyAt: TypeAlias = Callable[[int], Certify]
"""Called with a time, seconds since 1970 UTC; returns the check at which certificates have to be in
force then."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A ceremony that a registry wants; it takes part itself. Public.

    Attributes:
        network: Name of the network.
        authority: SHA-256 of the network's CA certificate.
        time: When it was proposed, by the proposer's clock; seconds since 1970 UTC.
        threshold: t of the committee to be.
        previous: Digest of the committee that hands over; empty to make a key.
        nonce: 16 random bytes.
        members: Of the committee to be; ascending.
        dealers: As ``abe.ceremony.Ceremony`` has them.
        proposer: A participant.
        certificate: PEM.
        signature: Over ``to_sign``.
    """

    network: str
    authority: bytes
    time: int
    threshold: int
    previous: bytes
    nonce: bytes
    members: tuple[str, ...]
    dealers: tuple[str, ...]
    proposer: str
    certificate: bytes = b""
    signature: bytes = b""

    def __post_init__(self) -> None:
        for name in (*self.members, *self.dealers):
            if not _NAME.fullmatch(name):
                raise InputError(f"a registry has a name like de-a, got {name[:80]!a}")
        check_members(self.network, self.members, self.threshold)
        if list(self.dealers) != sorted(set(self.dealers)) or len(self.dealers) > MAX_MEMBERS:
            raise InputError("dealers of a ceremony are named in ascending order, each once")
        if not self.previous and self.dealers != self.members:
            raise InputError("to make a key, the members deal, all of them")
        if self.proposer not in self.participants:
            raise InputError("whoever proposes a ceremony takes part in it")
        lengths = len(self.authority), len(self.nonce), len(self.previous)
        if lengths not in {(_DIGEST_BYTES, _NONCE_BYTES, each) for each in (0, _DIGEST_BYTES)}:
            raise InputError("a field of the proposal has the wrong length")
        if not 0 <= self.time < _LATEST:
            raise InputError("the time of the proposal is none")

    @property
    def participants(self) -> tuple[str, ...]:
        """Dealers and members, ascending."""
        return tuple(sorted({*self.dealers, *self.members}))

    @cached_property
    def topic(self) -> bytes:
        """Name of the ceremony on the board; 32 bytes."""
        return sha256(bytes(self)).digest()

    @property
    def to_sign(self) -> bytes:
        """What the proposer signs."""
        return statement("proposal", *self._fields)

    def __bytes__(self) -> bytes:
        return pack(_PROPOSAL, *self._fields, self.certificate, self.signature)

    def signed(self, certificate: bytes, sign: Callable[[bytes], bytes]) -> "Proposal":
        """Return this proposal with the proposer's certificate and signature."""
        return replace(self, certificate=certificate, signature=sign(self.to_sign))

    @classmethod
    def from_bytes(cls, encoded: bytes, *, certify_at: CertifyAt) -> "Proposal":
        """Decode a proposal and check who signed it.

        Raises:
            ProtocolError: It is anything but a proposal in version 1, signed by its proposer.
        """
        try:
            fields = unpack(_PROPOSAL, encoded, most=_MAX_BYTES)
            network, authority, time, threshold, previous, nonce, count, *rest = fields
            *names, proposer, certificate, signature = rest
            (t,), (m,) = threshold, count
            if len(time) != _TIME_BYTES:
                raise InputError("a time has 8 bytes")
            proposal = cls(
                network=network.decode("ascii"),
                authority=authority,
                time=int.from_bytes(time),
                threshold=t,
                previous=previous,
                nonce=nonce,
                members=tuple(name.decode("ascii") for name in names[:m]),
                dealers=tuple(name.decode("ascii") for name in names[m:]),
                proposer=proposer.decode("ascii"),
                certificate=certificate,
                signature=signature,
            )
        except (ProtocolError, InputError, ValueError):
            raise ProtocolError("these are not the bytes of a proposal, version 1") from None
        signer = certify_at(proposal.time)(certificate, proposal.to_sign, signature)
        if signer != proposal.proposer:
            raise ProtocolError(f"{proposal.proposer} has not signed the proposal")
        return proposal

    @property
    def _fields(self) -> tuple[bytes, ...]:
        return (
            self.network.encode(),
            self.authority,
            self.time.to_bytes(_TIME_BYTES),
            bytes([self.threshold]),
            self.previous,
            self.nonce,
            bytes([len(self.members)]),
            *(name.encode() for name in (*self.members, *self.dealers)),
            self.proposer.encode(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A registry's word that it takes part. Public.

    Attributes:
        topic: Name of the ceremony.
        registry: Who.
        key: X25519 public key for the sub-shares to this registry, made for this ceremony.
        certificate: PEM; everything else that it says here is signed under this one.
        signature: Over ``to_sign``.
    """

    topic: bytes
    registry: str
    key: bytes
    certificate: bytes
    signature: bytes = b""

    def __bytes__(self) -> bytes:
        said = self.topic, self.registry.encode(), self.key
        return pack(_SEAT, *said, self.certificate, self.signature)

    @property
    def to_sign(self) -> bytes:
        """What the registry signs."""
        return statement("seat", self.topic, *self.said)

    @property
    def said(self) -> tuple[bytes, bytes, bytes]:
        """Name, SHA-256 of the certificate, and key: two seats that differ in these are two."""
        return self.registry.encode(), sha256(self.certificate).digest(), self.key

    @classmethod
    def from_bytes(cls, encoded: bytes, *, proposal: Proposal, certify: Certify) -> "Seat":
        """Decode a seat and check whose it is.

        Raises:
            ProtocolError: It is anything but a seat of a participant in this ceremony in version 1,
                signed by it.
        """
        try:
            topic, name, key, certificate, signature = unpack(_SEAT, encoded, most=_MAX_BYTES)
            seat = cls(
                topic=topic,
                registry=name.decode("ascii"),
                key=key,
                certificate=certificate,
                signature=signature,
            )
            seal(b"", key, use="sub-share", digest=topic, names=())  # refuses an unusable key
        except (ProtocolError, ValueError):
            raise ProtocolError("these are not the bytes of a seat, version 1") from None
        if topic != proposal.topic or seat.registry not in proposal.participants:
            raise ProtocolError("the seat is not one of this ceremony")
        if certify(certificate, seat.to_sign, signature) != seat.registry:
            raise ProtocolError(f"{seat.registry} has not signed its seat")
        return seat


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSubShare:
    """A sub-share on its way. Nobody answers for this envelope: what is inside is signed.

    Attributes:
        dealer: Who is said to have sealed it.
        member: Who can open it.
        sealed: ``sealing.seal`` of the bytes of a ``Signed``.
    """

    dealer: str
    member: str
    sealed: bytes

    def __bytes__(self) -> bytes:
        return pack(_SUB_SHARE, self.dealer.encode(), self.member.encode(), self.sealed)

    @classmethod
    def of(cls, message: Signed, ceremony: Ceremony, key: bytes) -> "SealedSubShare":
        """Seal a dealer's signed sub-share to the key of the member's seat.

        Raises:
            ProtocolError: The key is not a usable one.
        """
        names = message.sender, message.recipient
        sealed = seal(bytes(message), key, use="sub-share", digest=ceremony.digest, names=names)
        return cls(dealer=names[0], member=names[1], sealed=sealed)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "SealedSubShare":
        """Decode an envelope.

        Raises:
            ProtocolError: The bytes are anything but one in version 1.
        """
        try:
            dealer, member, sealed = unpack(_SUB_SHARE, encoded, most=2 * MAX_SIGNED_BYTES)
            return cls(dealer=dealer.decode("ascii"), member=member.decode("ascii"), sealed=sealed)
        except (ProtocolError, ValueError):
            raise ProtocolError(
                "these are not the bytes of a sealed sub-share, version 1"
            ) from None

    def opened(self, ceremony: Ceremony, key: X25519PrivateKey) -> Signed:
        """Open it; ``Transcript.check`` says whether the dealer has signed what is inside.

        Raises:
            ProtocolError: It does not open, or is not a sub-share of the dealer for the member.
        """
        names = self.dealer, self.member
        opened = unseal(self.sealed, key, use="sub-share", digest=ceremony.digest, names=names)
        message = Signed.from_bytes(opened)
        if (message.kind, message.sender, message.recipient) != (Kind.SUB_SHARE, *names):
            raise ProtocolError(f"{self.dealer[:80]!a} sealed something else than a sub-share")
        return message


def determined(
    proposal: Proposal, seats: Mapping[str, Seat], group: Group, previous: Committee | None
) -> Ceremony:
    """Return the ceremony that a proposal with all its seats comes to.

    Args:
        proposal: Signed by its proposer.
        seats: Of all participants, by name.
        group: Where to compute.
        previous: The committee whose digest the proposal names; None if it names none.

    Raises:
        InputError: It names dealers that are not t + 1 or more of that committee, or another
            network's committee.
    """
    assert (previous.digest if previous else b"") == proposal.previous
    said = (field for name in proposal.participants for field in seats[name].said)
    return Ceremony(
        group=group,
        network=proposal.network,
        identifier=proposal.topic[:16],
        roster=sha256(statement("roster", proposal.topic, *said)).digest(),
        members=proposal.members,
        threshold=proposal.threshold,
        previous=previous,
        dealers=proposal.dealers,
    )
