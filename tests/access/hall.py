"""Registries in one hall, with real certificates and a board that a story can bend.

``Hall`` has the board, of which everybody sees all papers unless ``shows`` says otherwise. ``run``
lets everybody go on in turn until nothing more is said.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.threshold import Outcome
from upcare_mpc.access.ceremony import Reading, read_ceremony
from upcare_mpc.access.committees import Anchor, chain
from upcare_mpc.access.participant import Part, Signer, go_on, passed_on, take_seat
from upcare_mpc.access.seats import Proposal
from upcare_mpc.link.anchor import anchor_of
from upcare_mpc.link.certificates import Authority, Identity, Network, new_authority

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = ("de-a", "de-b", "de-c")


@cache
def authority(network: str) -> Authority:
    return new_authority(network, now=NOW)


def identity(name: str, network: str = "eu-cancer") -> Identity:
    return _identity(name, network)


@cache
def _identity(name: str, network: str) -> Identity:
    ca = authority(network)
    pem, key = ca.admit(name, "registry", now=NOW)
    anchor = Network(ca.certificate_pem)
    party, _ = anchor.verify(pem.decode(), now=NOW)
    return Identity(party=party, network=anchor, certificate_pem=pem, key_pem=key)


def anchor(network: str = "eu-cancer") -> Anchor:
    return anchor_of(Network(authority(network).certificate_pem), network)


def signer(name: str, network: str = "eu-cancer") -> Signer:
    who = identity(name, network)
    return Signer(registry=name, certificate=who.certificate_pem, sign=who.sign)


@dataclass(frozen=True)
class Paper:
    number: int
    sender: str
    kind: str
    content: bytes
    time: float = 0.0


def proposed(
    members: Sequence[str] = NAMES,
    previous: Committee | None = None,
    dealers: Sequence[str] = (),
    **changes: object,
) -> Proposal:
    """By the first of those that take part, unless told otherwise."""
    dealers = tuple(dealers) or (previous.members if previous else tuple(members))
    fields: dict[str, object] = {
        "network": "eu-cancer",
        "authority": anchor().authority,
        "time": int(NOW.timestamp()),
        "threshold": (len(members) - 1) // 2,
        "previous": previous.digest if previous else b"",
        "nonce": secrets.token_bytes(16),
        "members": tuple(members),
        "dealers": dealers,
        "proposer": dealers[0],
    }
    proposal = Proposal(**(fields | changes))  # type: ignore[arg-type]
    proposer = signer(proposal.proposer)
    return proposal.signed(proposer.certificate, proposer.sign)


@dataclass
class Hall:
    """One ceremony, and what each participant holds of it."""

    proposal: Proposal
    previous: Committee | None = None
    shares: dict[str, Share] = field(default_factory=dict)
    papers: list[Paper] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    shows: Callable[[str, Paper], bool] = lambda reader, paper: True

    def __post_init__(self) -> None:
        self.post(self.proposal.proposer, "proposal", bytes(self.proposal))

    def post(self, sender: str, kind: str, content: bytes) -> None:
        if not any((p.sender, p.kind, p.content) == (sender, kind, content) for p in self.papers):
            self.papers.append(Paper(len(self.papers) + 1, sender, kind, content))

    def reading(self, name: str = "") -> Reading:
        return read_ceremony(
            self.proposal,
            [paper for paper in self.papers if self.shows(name, paper)],
            previous=self.previous,
            group=anchor().group,
            certify_at=anchor().certify_at,
        )

    def sit(self, *names: str) -> None:
        """Those named, or all, take their seats."""
        for name in names or self.proposal.participants:
            self.parts[name] = take_seat(self.proposal, signer(name), secrets.token_bytes)
            self._post_all(name)

    def step(self, name: str) -> bool:
        """One participant looks once; says whether it had something to say."""
        reading, before = self.reading(name), self.parts[name]
        for kind, content in passed_on(reading, name):
            self.post(name, kind, content)
        self.parts[name] = go_on(
            before,
            reading,
            signer(name),
            share=self.shares.get(name) if self.previous else None,
            random=secrets.token_bytes,
        )
        self._post_all(name)
        return self.parts[name] != before

    def run(self, *names: str) -> None:
        while sum(self.step(name) for name in names or self.parts):
            pass

    def finish(self) -> tuple[Outcome, dict[str, Share]]:
        """All take part; the outcome, and the shares of the members."""
        if not self.parts:
            self.sit()
        self.run()
        outcome = self.reading().outcome()
        assert outcome is not None
        return outcome, {
            name: outcome.share(name, self.parts[name].received(), secrets.token_bytes)
            for name in outcome.committee.members
        }

    def _post_all(self, name: str) -> None:
        for kind, content in self.parts[name].papers:
            self.post(name, kind, content)


def committees(*halls: Hall, known: str | None = None) -> list[Committee]:
    return chain({hall.proposal.topic: hall.papers for hall in halls}, anchor(), known=known)
