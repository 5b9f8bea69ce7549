"""Key ceremonies at one registry: proposed, joined, brought to their end, given up.

At the end, in this order: the share is kept, the key is pinned, the journal has its entry, and then
the shares of older generations and the part in the ceremony are erased. Before everybody has
confirmed nothing is erased, and each step may be repeated after a crash.

A registry sits in one ceremony at a time, and one process works on its folder: a second part in one
ceremony would be two dealings, and would convict.

Adversary: the platform, which carries all papers, and up to t of the members, as ``abe.threshold``
says. They can stop a ceremony, and nothing else.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from upcare_mpc.abe.ceremony import Kind
from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.threshold import Outcome
from upcare_mpc.access.ceremony import Reading, find_proposal, read_ceremony
from upcare_mpc.access.committees import PapersByTopic
from upcare_mpc.access.papers import PaperLike
from upcare_mpc.access.participant import Part, Signer, take_seat, waits_for
from upcare_mpc.access.seats import Proposal
from upcare_mpc.authority.committees import ceremonies_on
from upcare_mpc.authority.participation import Participation, Parts
from upcare_mpc.authority.shares import Shares
from upcare_mpc.errors import ConfigError, InputError, RefusedError
from upcare_mpc.journal import Event, Json
from upcare_mpc.link.anchor import anchor_of
from upcare_mpc.link.board import RegistryBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.durable import held
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.key_pin import keep_key, pinned_chain

__all__ = ["Ceremonies", "Waiting"]

TIME_TO_JOIN_S: Final = 24 * 3600.0
"""How far the time of a proposal may be from the clock of who takes a seat."""

_COMMITTEE: Final = "authority.committee"
_NONCE_BYTES = 16
_PREFIX = re.compile(r"[0-9a-f]{6,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A ceremony that this registry can join, or takes part in.

    Attributes:
        proposal: What is wanted.
        joined: Whether this registry takes part.
        waits_for: Whose papers have not come, in words.
    """

    proposal: Proposal
    joined: bool
    waits_for: str


class Ceremonies:
    """The ceremonies of one registry.

    Args:
        folder: ``state/authority`` of the registry.
        board: Of the platform.
        identity: Of the registry.
        network: Name of the network.
        database: Of the registry; its journal gets an entry for each committee.
        now: The time, UTC.
        tell: Called with a line whenever something happens, or somebody is awaited.
        random: For keys and dealings. Secret.

    Raises:
        LinkError: From every method but ``abandon``: the board cannot be reached.
        RefusedError: Likewise: the platform says no.
        ConfigError: Likewise: the board does not show the key that is pinned.
    """

    def __init__(
        self,
        folder: Path,
        board: RegistryBoard,
        identity: Identity,
        network: str,
        database: Database,
        *,
        now: Callable[[], datetime],
        tell: Callable[[str], None],
        random: RandomBytes = secrets.token_bytes,
    ) -> None:
        self._folder = folder
        self._board = board
        self._network = network
        self._anchor = anchor_of(identity.network, network)
        self._journal = SqlJournal(database)
        self._signer = Signer(
            registry=identity.party.name,
            certificate=identity.certificate_pem,
            sign=identity.sign,
        )
        self._now = now
        self._tell = tell
        self._random = random
        self._parts = Parts(folder)
        self.shares = Shares(folder)

    def committees(self) -> list[Committee]:
        """Return the committees of the network's key, oldest first; none if there is no key."""
        return self._committees(ceremonies_on(self._board))

    def propose(
        self, *, members: Sequence[str], threshold: int, hand_over: bool, dealers: Sequence[str]
    ) -> Proposal:
        """Propose a ceremony to everybody on the board.

        Args:
            members: Of the committee to be.
            threshold: t.
            hand_over: From the committee in force; else to make the network's key.
            dealers: Members of the committee in force that deal; all of them if none is named.

        Raises:
            InputError: Names or numbers cannot be a committee's.
            RefusedError: There is a key already, or none to hand over.
        """
        committees = self.committees()
        if committees and not hand_over:
            raise RefusedError("the network has a key already; --hand-over passes it on")
        if hand_over and not committees:
            raise RefusedError("the network has no key yet that could be handed over")
        deal = (dealers or committees[-1].members) if committees else members
        proposal = Proposal(
            network=self._network,
            authority=self._anchor.authority,
            time=int(self._now().timestamp()),
            threshold=threshold,
            previous=committees[-1].digest if committees else b"",
            nonce=self._random(_NONCE_BYTES),
            members=tuple(sorted(members)),
            dealers=tuple(sorted(deal)),
            proposer=self._signer.registry,
        )
        if committees:
            _check_dealers(proposal, committees[-1])
        proposal = proposal.signed(self._signer.certificate, self._signer.sign)
        self._board.post(proposal.topic, "proposal", bytes(proposal))
        return proposal

    def find(self, prefix: str) -> Proposal:
        """Return the ceremony whose name begins so.

        Raises:
            InputError: None does, or several; or it is of another network, or not for this one.
        """
        if not _PREFIX.fullmatch(prefix):
            raise InputError(
                f"a ceremony is named by 6 to 64 hexadecimal digits, got {prefix[:80]!a}"
            )
        topics = [t for _, t in self._board.topics("ceremony") if t.hex().startswith(prefix)]
        if len(topics) != 1:
            what = "more than one ceremony" if topics else "no ceremony"
            raise InputError(f"there is {what} on the board whose name begins with {prefix}")
        proposal = self._proposal(topics[0], self._board.read(topics[0]))
        if proposal is None:
            raise InputError(f"{prefix} is no ceremony of this network")
        if self._signer.registry not in proposal.participants:
            names = ", ".join(proposal.participants)
            raise InputError(f"{self._signer.registry} takes no part in {prefix}, but {names}")
        return proposal

    def waiting(self) -> list[Waiting]:
        """Return the ceremonies that wait for this registry or that it takes part in."""
        papers = ceremonies_on(self._board)
        known = {committee.digest: committee for committee in self._committees(papers)}
        last = next(reversed(known), b"")
        found = []
        for topic, left in papers.items():
            proposal = self._proposal(topic, left)
            if proposal is None or self._signer.registry not in proposal.participants:
                continue
            part = self._parts.load(topic)
            if part is None and not (proposal.previous == last and self._in_time(proposal)):
                continue
            reading = self._reading(proposal, left, known.get(proposal.previous))
            if reading is None or (part is None and reading.outcome() is not None):
                continue
            found.append(
                Waiting(
                    proposal=proposal,
                    joined=part is not None,
                    waits_for=waits_for(reading, part, self._signer.registry),
                )
            )
        return found

    def join(self, proposal: Proposal, *, patience_s: float) -> Committee:
        """Take part until there is a committee that everybody has confirmed.

        Args:
            proposal: As ``find`` or ``propose`` returns it.
            patience_s: How long to wait for others; to join again goes on.

        Raises:
            RefusedError: This registry cannot join; the text says why.
            SessionError, ProtocolError: As ``Participation.go_through``.
        """
        with self._alone():
            committees = self.committees()
            previous = _named(proposal, committees)
            participation = Participation(
                proposal=proposal,
                previous=previous,
                anchor=self._anchor,
                signer=self._signer,
                parts=self._parts,
                board=self._board,
                tell=self._tell,
            )
            reading = participation.reading()
            ended = _followed(reading, previous, committees)
            part = self._parts.load(proposal.topic)
            if part is None:
                if ended is not None:
                    return ended
                part = self._parts.finished(proposal.topic)
            if part is None:
                self._check_joining(reading, previous)
                part = take_seat(proposal, self._signer, self._random)
                self._tell("takes its seat")
            share = self._share_to_deal(proposal, previous, part)
            self._parts.keep(proposal.topic, part)
            part, outcome = participation.go_through(
                part, share=share, random=self._random, patience_s=patience_s
            )
            self._finish(part, outcome)
            self._parts.finish(proposal.topic, part)
            return outcome.committee

    def abandon(self, prefix: str) -> str:
        """Give up a ceremony: erase this registry's part in it. It can then never end here.

        Returns:
            The name of the ceremony.

        Raises:
            InputError: This registry has no part in a ceremony whose name begins so.
        """
        with self._alone():
            found = [topic for topic in self._parts.topics() if topic.hex().startswith(prefix)]
            if not _PREFIX.fullmatch(prefix) or len(found) != 1:
                raise InputError("this registry has no part in a ceremony whose name begins so")
            self._parts.erase(found[0])
            return found[0].hex()

    # -- taking a seat ---------------------------------------------------------------------------

    def _check_joining(self, reading: Reading, previous: Committee | None) -> None:
        """Check that this registry may take a seat now.

        Raises:
            RefusedError: It may not.
            InputError: The dealers cannot hand over.
        """
        proposal = reading.proposal
        if previous is not None:
            _check_dealers(proposal, previous)
        if not self._in_time(proposal):
            proposed = datetime.fromtimestamp(proposal.time, self._now().tzinfo)
            raise RefusedError(
                f"it was proposed at {proposed:%Y-%m-%d %H:%M} UTC; a registry joins within a day"
            )
        others = [topic.hex()[:12] for topic in self._parts.topics()]
        if others:
            raise RefusedError(
                f"this registry takes part in the ceremony {others[0]}; end it first, or give it "
                "up with 'upcare authority abandon'"
            )
        if self._signer.registry in reading.seats:
            raise RefusedError(
                "this registry took a seat in it before, and what it held of it is gone; propose "
                "another ceremony"
            )

    def _share_to_deal(
        self, proposal: Proposal, previous: Committee | None, part: Part
    ) -> Share | None:
        """Return the share that this registry hands over, if it still has to."""
        deals = self._signer.registry in proposal.dealers and not part.has(Kind.DEALING)
        return self.shares.load(previous) if previous is not None and deals else None

    def _in_time(self, proposal: Proposal) -> bool:
        return abs(self._now().timestamp() - proposal.time) <= TIME_TO_JOIN_S

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(self._folder / "lock", "another process goes through a ceremony on this folder"):
            yield

    # -- the end ---------------------------------------------------------------------------------

    def _finish(self, part: Part, outcome: Outcome) -> None:
        committee, name = outcome.committee, self._signer.registry
        if name in committee.members and not self._holds(committee):
            share = outcome.share(name, part.received(), self._random)
            self.shares.keep(share, committee.generation)
        keep_key(self._folder, committee)
        self._write_down(outcome)
        for generation in self.shares.generations():
            if generation < committee.generation:
                self.shares.erase(generation)

    def _holds(self, committee: Committee) -> bool:
        """Say whether the share was kept before: its seed must not change."""
        try:
            self.shares.load(committee)
        except ConfigError:
            return False
        return True

    def _write_down(self, outcome: Outcome) -> None:
        committee = outcome.committee
        body: dict[str, Json] = {
            "generation": committee.generation,
            "committee": committee.digest.hex(),
            "members": committee.members,
            "threshold": committee.threshold,
            "disqualified": sorted(outcome.disqualified),
        }
        for entry in self._journal.entries():
            if entry.kind == _COMMITTEE and entry.fields()["committee"] == body["committee"]:
                return
        self._journal.record(lambda _: Event(kind=_COMMITTEE, body=body), time=self._now())

    # -- papers ----------------------------------------------------------------------------------

    def _committees(self, papers: PapersByTopic) -> list[Committee]:
        return pinned_chain(self._folder, papers, self._anchor)

    def _proposal(self, topic: bytes, papers: Sequence[PaperLike]) -> Proposal | None:
        """Return the proposal of a topic if it is one of this network."""
        proposal = find_proposal(topic, papers, certify_at=self._anchor.certify_at)
        if proposal is None:
            return None
        ours = proposal.network == self._network and proposal.authority == self._anchor.authority
        return proposal if ours else None

    def _reading(
        self, proposal: Proposal, papers: Sequence[PaperLike], previous: Committee | None
    ) -> Reading | None:
        """Read a ceremony; None if it cannot be one of the committee that it names."""
        if bool(proposal.previous) != (previous is not None):
            return None
        try:
            return read_ceremony(
                proposal,
                papers,
                previous=previous,
                group=self._anchor.group,
                certify_at=self._anchor.certify_at,
            )
        except InputError:
            return None


def _named(proposal: Proposal, committees: Sequence[Committee]) -> Committee | None:
    """Return the committee that hands over in a ceremony; None if one makes a key.

    Raises:
        RefusedError: It is none of the network's.
    """
    if not proposal.previous:
        return None
    for committee in committees:
        if committee.digest == proposal.previous:
            return committee
    raise RefusedError("the ceremony hands over from a committee that is none of the network's")


def _followed(
    reading: Reading, previous: Committee | None, committees: Sequence[Committee]
) -> Committee | None:
    """Return the committee that came of a ceremony, if it has come to its end.

    Raises:
        RefusedError: Another ceremony has, and this one has no more use.
    """
    generation = 1 if previous is None else previous.generation + 1
    if generation > len(committees):
        return None
    following = committees[generation - 1]
    if reading.ceremony is None or following.ceremony != reading.ceremony.digest:
        raise RefusedError(
            f"the network's key is in generation {len(committees)} already, by another ceremony"
        )
    return following


def _check_dealers(proposal: Proposal, previous: Committee) -> None:
    """Check that those who are to deal can hand over.

    Raises:
        InputError: They cannot.
    """
    strangers = [name for name in proposal.dealers if name not in previous.members]
    if strangers:
        raise InputError(f"{strangers[0]} is not in the committee in force and cannot deal")
    if len(proposal.dealers) <= previous.threshold:
        raise InputError(
            f"to hand over, {previous.threshold + 1} members of the committee in force deal, got "
            f"{len(proposal.dealers)}"
        )
