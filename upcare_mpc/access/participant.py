"""One participant's part in a key ceremony: papers in, papers out.

    take_seat -> go_on, again with all papers whenever new ones have come -> ``Reading.outcome``

Whatever ``take_seat`` and ``go_on`` return is to be on the disk before its papers are posted, and
is posted again as it is after a crash: nothing is signed twice, since two dealings of one ceremony
would convict an honest dealer. The part holds secrets: the sealing key, one's own sub-shares as
they were dealt (sealed), and those that came. Erase it when the share is kept, not before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.abe.ceremony import Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Share
from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.threshold import conclude, deal_in, report
from upcare_mpc.access.ceremony import Reading
from upcare_mpc.access.seats import Proposal, SealedSubShare, Seat
from upcare_mpc.errors import ProtocolError, SessionError
from upcare_mpc.study.packed import pack, unpack

__all__ = ["Part", "Signer", "go_on", "passed_on", "take_seat", "waits_for"]

_PART = b"UAY1"
_MAX_BYTES: Final = 1 << 20
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A participant that can sign.

    Attributes:
        registry: Its name.
        certificate: PEM.
        sign: Signs a statement with the certified key.
    """

    registry: str
    certificate: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a participant holds of a ceremony. Secret.

    Bytes: ``UAY1`` and the fields: key, ceremony, number of papers (1 byte), kind and content of
    each, sub-shares.

    Attributes:
        key: X25519 private key of the seat, 32 bytes.
        ceremony: Its digest, once this participant has dealt or reported in it; else empty.
        papers: Kinds and contents of its own papers, in the order in which they are posted.
        sub_shares: Bytes of the ``Signed`` that came, as reported on.
    """

    key: bytes = field(repr=False)
    ceremony: bytes = b""
    papers: tuple[tuple[str, bytes], ...]
    sub_shares: tuple[bytes, ...] = field(default=(), repr=False)

    def __bytes__(self) -> bytes:
        papers = (part for kind, content in self.papers for part in (kind.encode(), content))
        count = bytes([len(self.papers)])
        return pack(_PART, self.key, self.ceremony, count, *papers, *self.sub_shares)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Part":
        """Decode one's own part.

        Raises:
            ProtocolError: The bytes are damaged.
        """
        try:
            key, ceremony, (count,), *rest = unpack(_PART, encoded, most=_MAX_BYTES)
            kinds, contents = rest[: 2 * count : 2], rest[1 : 2 * count : 2]
            papers = [
                (kind.decode("ascii"), content)
                for kind, content in zip(kinds, contents, strict=True)
            ]
            if len(key) != _KEY_BYTES or len(papers) != count:
                raise ProtocolError("a field is missing")
        except (ProtocolError, ValueError):
            raise ProtocolError("what is kept of the ceremony is damaged") from None
        return cls(
            key=key, ceremony=ceremony, papers=tuple(papers), sub_shares=tuple(rest[2 * count :])
        )

    def has(self, kind: Kind) -> bool:
        """Say whether this participant has made its paper of a kind."""
        return any(known == kind.value for known, _ in self.papers)

    def received(self) -> dict[str, Signed]:
        """Return the sub-shares by dealer, as ``Outcome.share`` takes them. Secret."""
        messages = map(Signed.from_bytes, self.sub_shares)
        return {message.sender: message for message in messages}

    def saying(self, *messages: Signed) -> "Part":
        """Return the part with more public messages."""
        papers = tuple((message.kind.value, bytes(message)) for message in messages)
        return replace(self, papers=(*self.papers, *papers))


def take_seat(proposal: Proposal, signer: Signer, random: RandomBytes) -> Part:
    """Begin a part: a fresh sealing key, and the seat that shows it."""
    key = X25519PrivateKey.from_private_bytes(random(_KEY_BYTES))
    seat = Seat(
        topic=proposal.topic,
        registry=signer.registry,
        key=key.public_key().public_bytes_raw(),
        certificate=signer.certificate,
    )
    signed = replace(seat, signature=signer.sign(seat.to_sign))
    return Part(key=key.private_bytes_raw(), papers=(("seat", bytes(signed)),))


def go_on(
    part: Part, reading: Reading, signer: Signer, *, share: Share | None, random: RandomBytes
) -> Part:
    """Do whatever can be done now.

    Args:
        part: So far.
        reading: Of all papers that have come.
        signer: This participant.
        share: Of the committee that hands over, if this participant deals in that. Secret.
        random: For a dealing.

    Returns:
        The part, with more papers if there is something to say.

    Raises:
        ProtocolError: Somebody signed two things, or participants were told different things; the
            text names whom it can. ``passed_on`` is what the others should see.
        SessionError: Too few dealers are left.
    """
    if reading.convicted:
        raise ProtocolError(reading.convicted)
    transcript = reading.transcript
    if transcript is None:
        return part
    ceremony = transcript.ceremony
    if part.ceremony not in {b"", ceremony.digest}:
        raise ProtocolError(
            "the seats are not those in which this registry has dealt; somebody took two"
        )
    part = replace(part, ceremony=ceremony.digest)
    name = signer.registry
    if name in ceremony.dealers and not part.has(Kind.DEALING):
        part = _deal(part, reading.seats, ceremony, signer, share, random)
    if name in ceremony.members and not part.has(Kind.REPORT):
        part = _report(part, reading, transcript, signer)
    if not part.has(Kind.CONFIRMATION) and reading.missing().keys() <= {Kind.CONFIRMATION.value}:
        body = conclude(transcript).confirmation
        part = part.saying(Signed.by(name, ceremony, Kind.CONFIRMATION, body, sign=signer.sign))
    elif part.has(Kind.CONFIRMATION):
        _check_agreement(transcript)
    return part


def passed_on(reading: Reading, registry: str) -> list[tuple[str, bytes]]:
    """Return what others said and participants disagree about, to be posted once more.

    Whoever told two participants two things signed both; on one board they convict it. Empty while
    nothing looks like it.
    """
    if reading.transcript is None:
        return []
    try:
        _check_agreement(reading.transcript)
    except ProtocolError:
        return [
            (message.kind.value, bytes(message))
            for message in reading.transcript.messages()
            if message.sender != registry and message.kind is not Kind.CONFIRMATION
        ]
    seats = reading.seats.items() if reading.elsewhere else ()
    return [("seat", bytes(seat)) for name, seat in seats if name != registry]


def waits_for(reading: Reading, part: Part | None, registry: str) -> str:
    """Say whose papers have not come, in words; empty if nobody's."""
    for kind, names in reading.missing().items():
        if kind == Kind.REPORT.value and part is not None and registry in names:
            absent = _absent_sub_shares(part, reading, registry)
            if absent:
                return f"the sub-shares of {', '.join(absent)} for {registry}"
        others = [name for name in names if name != registry]
        return f"the {kind}s of {', '.join(others or names)}"
    return ""


def _deal(
    part: Part,
    seats: Mapping[str, Seat],
    ceremony: Ceremony,
    signer: Signer,
    share: Share | None,
    random: RandomBytes,
) -> Part:
    dealing, sub_shares = deal_in(ceremony, signer.registry, share, random)
    told = Signed.by(signer.registry, ceremony, Kind.DEALING, dealing, sign=signer.sign)
    part = part.saying(told)
    for member, body in sub_shares.items():
        message = Signed.by(
            signer.registry,
            ceremony,
            Kind.SUB_SHARE,
            body,
            recipient=member,
            sign=signer.sign,
        )
        sealed = bytes(SealedSubShare.of(message, ceremony, seats[member].key))
        part = replace(part, papers=(*part.papers, (Kind.SUB_SHARE.value, sealed)))
    return part


def _report(part: Part, reading: Reading, transcript: Transcript, signer: Signer) -> Part:
    name, ceremony = signer.registry, transcript.ceremony
    came = _came(part, reading, transcript, name)
    try:
        body = report(transcript, name, came)
    except SessionError:  # something has not come
        return part
    kept = tuple(bytes(came[dealer]) for dealer in ceremony.dealers)
    said = Signed.by(name, ceremony, Kind.REPORT, body, sign=signer.sign)
    return replace(part, sub_shares=kept).saying(said)


def _came(part: Part, reading: Reading, transcript: Transcript, name: str) -> dict[str, Signed]:
    """Return the sub-shares for oneself: of each dealer the first that it has signed."""
    key = X25519PrivateKey.from_private_bytes(part.key)
    came: dict[str, Signed] = {}
    for envelope in reading.sealed:
        if envelope.member == name and envelope.dealer not in came:
            try:
                message = envelope.opened(transcript.ceremony, key)
                transcript.check(message)
            except ProtocolError:  # anybody can post an envelope; the dealer is awaited
                continue
            came[envelope.dealer] = message
    return came


def _absent_sub_shares(part: Part, reading: Reading, name: str) -> list[str]:
    assert reading.transcript is not None
    came = _came(part, reading, reading.transcript, name)
    return [dealer for dealer in reading.transcript.ceremony.dealers if dealer not in came]


def _check_agreement(transcript: Transcript) -> None:
    """Check that nobody who has confirmed has confirmed something else."""
    try:
        conclude(transcript).check_confirmed(transcript)
    except SessionError:  # somebody's confirmation has not come
        return
