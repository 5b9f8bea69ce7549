"""The papers of one key ceremony, read: who sits, what was said, and what came of it.

    proposal -> seats of all participants -> dealings, sub-shares -> reports -> confirmations

``abe.threshold`` has the rules from the dealings on. Here papers from a board become its
transcript. The board is trusted with nothing: what does not read, or is not signed by whom it
names, is passed over and told apart, and nobody can stop a ceremony by leaving rubbish on it.

Of two seats, or two messages of one kind, by one registry the first counts and the second convicts
it. A conviction ends a ceremony that is under way. It does not undo one that has come to its end:
once everybody has signed the same outcome, whatever is left on the board afterwards is void, or any
participant could take the key from the network for ever.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from upcare_mpc.abe.ceremony import Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import Group
from upcare_mpc.abe.threshold import Outcome, conclude
from upcare_mpc.access.papers import Certify, PaperLike
from upcare_mpc.access.seats import CertifyAt, Proposal, SealedSubShare, Seat, determined
from upcare_mpc.errors import InputError, ProtocolError, SessionError

__all__ = ["Reading", "find_proposal", "read_ceremony", "replay"]

_PUBLIC: Final = {Kind.DEALING.value, Kind.REPORT.value, Kind.CONFIRMATION.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the papers of one ceremony say so far. Public, but for what is sealed.

    Attributes:
        proposal: What is wanted.
        seats: By registry.
        transcript: Once all seats are taken.
        sealed: Envelopes of sub-shares.
        convicted: Who signed two things, in one line; empty if nobody.
        elsewhere: In whose name there are messages that are not of this ceremony: rubbish, or
            somebody took two seats and they sit in another ceremony.
        passed_over: One line for each paper that is not what it should be.
    """

    proposal: Proposal
    seats: Mapping[str, Seat]
    transcript: Transcript | None
    sealed: tuple[SealedSubShare, ...]
    convicted: str
    elsewhere: frozenset[str]
    passed_over: tuple[str, ...]

    @property
    def ceremony(self) -> Ceremony | None:
        """Once all seats are taken."""
        return self.transcript.ceremony if self.transcript else None

    def outcome(self) -> Outcome | None:
        """What came of it, signed by everybody whose signature it needs; None if it has no end.

        Cost: as ``abe.threshold.conclude``.
        """
        if self.transcript is None:
            return None
        try:
            outcome = conclude(self.transcript)
            outcome.check_confirmed(self.transcript)
        except (SessionError, ProtocolError):
            return None
        return outcome

    def missing(self) -> dict[str, list[str]]:
        """Return by kind of paper whose has not come, what comes first first; seats alone first."""
        if self.transcript is None:
            return {"seat": [n for n in self.proposal.participants if n not in self.seats]}
        ceremony = self.transcript.ceremony
        said = {(message.kind, message.sender) for message in self.transcript.messages()}
        return {
            kind.value: absent
            for kind in (Kind.DEALING, Kind.REPORT, Kind.CONFIRMATION)
            if (absent := [name for name in ceremony.senders(kind) if (kind, name) not in said])
        }


def find_proposal(
    topic: bytes, papers: Iterable[PaperLike], *, certify_at: CertifyAt
) -> Proposal | None:
    """Return the proposal that a topic is named after; None if it is not among the papers."""
    for paper in papers:
        if paper.kind == "proposal":
            try:
                proposal = Proposal.from_bytes(paper.content, certify_at=certify_at)
            except ProtocolError:
                continue
            if proposal.topic == topic:
                return proposal
    return None


def read_ceremony(
    proposal: Proposal,
    papers: Iterable[PaperLike],
    *,
    previous: Committee | None,
    group: Group,
    certify_at: CertifyAt,
) -> Reading:
    """Read the papers of a ceremony.

    Args:
        proposal: What it is about.
        papers: From the board, in the order in which they came; anything at all.
        previous: The committee whose digest the proposal names; None if it names none.
        group: Where to compute.
        certify_at: Checks registries' certificates and signatures.

    Raises:
        InputError: The proposal cannot be one of that committee.

    Cost: a check of a certificate and a signature for each paper.
    """
    papers = list(papers)
    certify = certify_at(proposal.time)
    passed_over: list[str] = []
    convictions: list[str] = []
    seats: dict[str, Seat] = {}
    for paper in papers:
        if paper.kind == "seat":
            try:
                seat = Seat.from_bytes(paper.content, proposal=proposal, certify=certify)
            except ProtocolError as error:
                passed_over.append(_passed_over(paper, error))
                continue
            if seats.setdefault(seat.registry, seat).said != seat.said:
                convictions.append(f"{seat.registry} signed two different seats of one ceremony")
    transcript = None
    if len(seats) == len(proposal.participants):
        ceremony = determined(proposal, seats, group, previous)
        transcript = Transcript(ceremony, _verifier(seats, certify))
    sealed: list[SealedSubShare] = []
    elsewhere = set()
    for paper in papers:
        try:
            if paper.kind == Kind.SUB_SHARE.value:
                sealed.append(SealedSubShare.from_bytes(paper.content))
            elif paper.kind in _PUBLIC and transcript is not None:
                message = Signed.from_bytes(paper.content)
                elsewhere.add(message.sender)
                convictions += _add(transcript, message)
                elsewhere.discard(message.sender)
        except ProtocolError as error:
            passed_over.append(_passed_over(paper, error))
    return Reading(
        proposal=proposal,
        seats=seats,
        transcript=transcript,
        sealed=tuple(sealed),
        convicted=convictions[0] if convictions else "",
        elsewhere=frozenset(elsewhere & seats.keys()),
        passed_over=tuple(passed_over),
    )


def replay(
    proposal: Proposal,
    papers: Iterable[PaperLike],
    *,
    previous: Committee | None,
    group: Group,
    certify_at: CertifyAt,
) -> Outcome | None:
    """Return what came of a ceremony, from its public papers alone; None if it has no end.

    Arguments and cost as of ``read_ceremony`` and ``Reading.outcome``. An outcome is signed by all
    participants but those that it proves to have deviated. The platform can withhold it; to make
    one up takes the keys of all of them.
    """
    try:
        reading = read_ceremony(
            proposal, papers, previous=previous, group=group, certify_at=certify_at
        )
    except InputError:
        return None
    return reading.outcome()


def _add(transcript: Transcript, message: Signed) -> list[str]:
    """Take a public message; return the conviction of its sender, if it is one."""
    if message.kind is Kind.SUB_SHARE:
        raise ProtocolError("a sub-share is sealed")
    transcript.check(message)
    try:
        transcript.add(message)
    except ProtocolError as convicted:
        return [str(convicted)]
    return []


def _verifier(seats: Mapping[str, Seat], certify: Certify) -> Callable[[str, bytes, bytes], None]:
    def verify(name: str, said: bytes, signature: bytes) -> None:
        if certify(seats[name].certificate, said, signature) != name:
            raise ProtocolError(f"{name} has not signed this")

    return verify


def _passed_over(paper: PaperLike, error: ProtocolError) -> str:
    return f"{paper.kind} from {paper.sender[:80]!a} is passed over: {error}"
