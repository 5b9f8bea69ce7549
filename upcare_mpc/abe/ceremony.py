"""A ceremony, and the signed messages that make up its public transcript.

A *ceremony* makes the network's key (generation 1), or hands it over to a committee of the next
generation: the same registries, which is a refresh, or others, with another threshold. Everybody
agrees on its description beforehand; the description's digest is in every signed statement and in
every sub-share, so a message of one ceremony is void in any other.

    dealing        of each dealer, to everybody
    sub-share      of each dealer, to each member alone
    report         of each member, to everybody: which dealings it holds, and any sub-share that
                   does not fit its dealing, as evidence
    confirmation   of everybody, to everybody: what came out

All are signed; a sub-share is sealed to its member besides, by whoever calls.

The network is not a broadcast channel: a peer may tell two others two things. So a second message
of a kind by one sender in one ceremony convicts the sender, and nobody uses the outcome before
everybody has signed the same one. Whoever is silent stops a ceremony, and the error names whom it
waits for; when to stop waiting is up to the caller, which has the clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from hashlib import sha256
from typing import Final

from upcare_mpc.abe.committee import Committee, check_members
from upcare_mpc.abe.dealing import SUB_SHARE_BYTES
from upcare_mpc.abe.groups import G2, Group
from upcare_mpc.abe.statements import Verify, statement
from upcare_mpc.errors import InputError, ProtocolError, SessionError
from upcare_mpc.study.packed import pack, unpack

__all__ = ["MAX_SIGNED_BYTES", "Ceremony", "Kind", "Signed", "Transcript"]

MAX_SIGNED_BYTES: Final = 8192
_SIGNED = b"UAM1"
_IDENTIFIER_BYTES = 16
_DIGEST_BYTES = 32


class Kind(Enum):
    """The kinds of messages; all but sub-shares are public."""

    DEALING = "dealing"
    SUB_SHARE = "sub-share"
    REPORT = "report"
    CONFIRMATION = "confirmation"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ceremony:
    """What a ceremony is to do, and who takes part. m members, threshold t.

    Attributes:
        group: Where to compute.
        network: Name of the network.
        identifier: 16 bytes that no other ceremony had.
        roster: SHA-256 of the certificates of all that take part, as the network lists them.
        members: Of the committee to be; ascending.
        threshold: t of the committee to be.
        previous: The committee that hands over; None to make a key.
        dealers: Who deals; ascending. All members to make a key; t + 1 or more members of
            ``previous`` to hand over, with its t.
    """

    group: Group
    network: str
    identifier: bytes
    roster: bytes
    members: tuple[str, ...]
    threshold: int
    previous: Committee | None
    dealers: tuple[str, ...]

    def __post_init__(self) -> None:
        check_members(self.network, self.members, self.threshold)
        if len(self.identifier) != _IDENTIFIER_BYTES or len(self.roster) != _DIGEST_BYTES:
            raise InputError("a ceremony has an identifier of 16 bytes and a roster of 32")
        if self.previous is None:
            if self.dealers != self.members:
                raise InputError("to make a key, the members deal, all of them")
            return
        if self.previous.network != self.network:
            raise InputError("a committee hands over within its network")
        ascending = sorted(set(self.dealers) & set(self.previous.members))
        if list(self.dealers) != ascending or len(ascending) <= self.previous.threshold:
            raise InputError(
                f"to hand over, {self.previous.threshold + 1} members of the committee or more "
                f"deal, ascending, got {len(self.dealers)}"
            )

    @property
    def generation(self) -> int:
        """Generation of the committee to be."""
        return 1 if self.previous is None else self.previous.generation + 1

    @property
    def participants(self) -> tuple[str, ...]:
        """Dealers and members, ascending."""
        return tuple(sorted({*self.dealers, *self.members}))

    @cached_property
    def digest(self) -> bytes:
        """Name this ceremony; 32 bytes."""
        return sha256(
            statement(
                "ceremony",
                self.network.encode(),
                self.identifier,
                self.roster,
                self.generation.to_bytes(8),
                b"" if self.previous is None else self.previous.digest,
                self.threshold.to_bytes(1),
                len(self.members).to_bytes(1),
                *(name.encode() for name in (*self.members, *self.dealers)),
            )
        ).digest()

    def constant(self, dealer: str) -> G2 | None:
        """Return g2 to the constant that a dealer has to deal; None if it is free."""
        return None if self.previous is None else self.previous.verification_keys(dealer)[0]

    def senders(self, kind: Kind) -> tuple[str, ...]:
        """Return who sends messages of a kind."""
        return {
            Kind.DEALING: self.dealers,
            Kind.SUB_SHARE: self.dealers,
            Kind.REPORT: self.members,
            Kind.CONFIRMATION: self.participants,
        }[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A message. Bytes: ``UAM1`` and the fields in this order.

    Attributes:
        kind: Of the message.
        sender: Who answers for it.
        recipient: The member that a sub-share is for; else empty.
        body: Secret if it is a sub-share.
        signature: By the sender, over ``to_sign``.
    """

    kind: Kind
    sender: str
    recipient: str
    body: bytes = field(repr=False)
    signature: bytes

    def __bytes__(self) -> bytes:
        names = self.kind.value.encode(), self.sender.encode(), self.recipient.encode()
        return pack(_SIGNED, *names, self.body, self.signature)

    @classmethod
    def by(
        cls,
        sender: str,
        ceremony: Ceremony,
        kind: Kind,
        body: bytes,
        *,
        recipient: str = "",
        sign: Callable[[bytes], bytes],
    ) -> "Signed":
        """Make and sign a message."""
        unsigned = cls(kind=kind, sender=sender, recipient=recipient, body=body, signature=b"")
        return replace(unsigned, signature=sign(unsigned.to_sign(ceremony)))

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Signed":
        """Decode a message. ``Transcript`` checks who says it.

        Raises:
            ProtocolError: The bytes are anything but a message in version 1.
        """
        try:
            kind, *names, body, signature = unpack(_SIGNED, encoded, most=MAX_SIGNED_BYTES)
            sender, recipient = (name.decode("ascii") for name in names)
            return cls(
                kind=Kind(kind.decode("ascii")),
                sender=sender,
                recipient=recipient,
                body=body,
                signature=signature,
            )
        except (ProtocolError, ValueError):
            raise ProtocolError(
                "these are not the bytes of a message of a ceremony, version 1"
            ) from None

    def to_sign(self, ceremony: Ceremony) -> bytes:
        """Return the statement by which the sender answers for the message."""
        return statement(
            "ceremony-message",
            ceremony.digest,
            self.kind.value.encode(),
            self.sender.encode(),
            self.recipient.encode(),
            sha256(self.body).digest(),
        )


class Transcript:
    """The public messages of one ceremony, as one participant, or an auditor, has them.

    Attributes:
        ceremony: What it is about.
    """

    def __init__(self, ceremony: Ceremony, verify: Verify) -> None:
        self.ceremony = ceremony
        self._verify = verify
        self._messages: dict[tuple[Kind, str], Signed] = {}

    def check(self, message: Signed) -> None:
        """Check that a message is of this ceremony, and by whom it names.

        Raises:
            ProtocolError: The sender has no such message to send, or has not signed this one, or it
                is a sub-share of more than ``SUB_SHARE_BYTES``. It says nothing about the sender;
                pass over the message.
        """
        recipients = self.ceremony.members if message.kind is Kind.SUB_SHARE else ("",)
        if (
            message.sender not in self.ceremony.senders(message.kind)
            or message.recipient not in recipients
        ):
            raise ProtocolError(
                f"{message.sender[:80]!a} sends no such {message.kind.value} in this ceremony"
            )
        if message.kind is Kind.SUB_SHARE and len(message.body) > SUB_SHARE_BYTES:
            # Shown as evidence it would not fit into a report.
            raise ProtocolError(f"{message.sender} sends a sub-share that is too long to be one")
        self._verify(message.sender, message.to_sign(self.ceremony), message.signature)

    def add(self, message: Signed) -> None:
        """Take a public message, from its sender or from anybody who passes it on.

        The same message again changes nothing. Everybody may pass all messages on to everybody:
        that is how a dealer that tells two members two things is found out.

        Raises:
            ProtocolError: ``check`` refuses it; or its sender has signed another one of its kind
                before. The latter convicts the sender before everybody who sees both, and the
                ceremony ends.
        """
        assert message.kind is not Kind.SUB_SHARE
        self.check(message)
        known = self._messages.setdefault((message.kind, message.sender), message)
        if known.body != message.body:
            raise ProtocolError(
                f"{message.sender} signed two different messages of one ceremony, each a "
                f"{message.kind.value}"
            )

    def messages(self) -> tuple[Signed, ...]:
        """Return all messages, to pass them on."""
        return tuple(self._messages.values())

    def body(self, kind: Kind, sender: str) -> bytes:
        """Return a message's body.

        Raises:
            SessionError: It has not come.
        """
        message = self._messages.get((kind, sender))
        if message is None:
            raise SessionError(f"the ceremony has no {kind.value} of {sender}")
        return message.body
