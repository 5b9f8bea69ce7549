"""Three registries with a key, a board in memory, and a researcher: stories about requests.

``Desk`` is one registry: its database, its policy, and the functions that its commands call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, cast

from applications import KEY, NOW, identity
from ceremonies import NAMES, generation, run

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import default_group
from upcare_mpc.access.papers import Filing
from upcare_mpc.access.topic import Topic, read_topic
from upcare_mpc.authority.releases import Release, issue_all
from upcare_mpc.authority.requests import Case, Requests
from upcare_mpc.config import Certified, Policy
from upcare_mpc.errors import RefusedError
from upcare_mpc.journal import Entry
from upcare_mpc.link.board import Paper, RegistryBoard
from upcare_mpc.link.signers import certifier
from upcare_mpc.privacy.accountant import Cap
from upcare_mpc.privacy.ledger import Caps
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import NODE


@cache
def committee() -> tuple[Committee, dict[str, Share]]:
    return run(generation(default_group(), NAMES[:3]))  # de-a, de-b, de-c with t = 1


@dataclass
class MemoryBoard:
    """What the platform keeps; a story may take away or add what it likes."""

    topics: dict[bytes, list[Paper]] = field(default_factory=dict)

    def file(self, filing: Filing) -> bytes:
        self.leave(filing.request.digest, "", "filing", bytes(filing))
        return filing.request.digest

    def leave(self, topic: bytes, sender: str, kind: str, content: bytes) -> None:
        papers = self.topics.setdefault(topic, [])
        if (sender, kind, content) not in [(p.sender, p.kind, p.content) for p in papers]:
            number = len(papers) + 1
            papers.append(Paper(number=number, sender=sender, kind=kind, content=content, time=0))

    def drop(self, topic: bytes, kind: str, sender: str) -> None:
        papers = self.topics[topic]
        papers[:] = [p for p in papers if (p.kind, p.sender) != (kind, sender)]

    def read(self, topic: bytes) -> Topic:
        certify = certifier(identity("de-a").network, now=NOW)
        return read_topic(self.topics[topic], request=topic, certify=certify)


@dataclass
class Seat:
    """A registry's connection to the board, which may be cut."""

    board: MemoryBoard
    name: str
    cut: bool = False

    def post(self, topic: bytes, kind: str, content: bytes) -> None:
        if self.cut:
            raise Cut
        self.board.leave(topic, self.name, kind, content)

    def read(self, topic: bytes) -> list[Paper]:
        if topic not in self.board.topics:
            raise RefusedError("no such topic")
        return list(self.board.topics[topic])

    def topics(self, kind: str) -> list[tuple[int, bytes]]:
        assert kind == "request"
        return list(enumerate(self.board.topics, 1))


class Cut(Exception):
    """The plug is pulled."""


def policy(**changes: Any) -> Policy:
    fields: dict[str, Any] = {
        "automatic": False,
        "purposes": frozenset({"DUO:0000007"}),
        "kinds": frozenset(),
        "researchers": {"ada": KEY},
        "certified": {KEY: Certified(claims=frozenset({"non-commercial"}), region="DE")},
        "epsilon_per_study": Fraction(1),
        "delta_per_study": Fraction(1),
        "minimum_cohort": None,
        "caps": Caps(everything=Cap.of_epsilon(Fraction(1), Fraction(1, 10)), purposes={}),
    }
    return Policy(**(fields | changes))


class Desk:
    """One registry."""

    def __init__(self, folder: Path, board: MemoryBoard, name: str, **changes: Any) -> None:
        self.name = name
        self.identity = identity(name)
        self.policy = policy(**changes)
        self.seat = Seat(board, name)
        self.database = Database(f"sqlite:///{folder / name}.db", NODE)
        self.committee, shares = committee()
        self.committees = [self.committee]
        self.share = shares.get(name)

    @property
    def requests(self) -> Requests:
        seat = cast("RegistryBoard", self.seat)
        return Requests(self.database, seat, self.identity, self.committees)

    def sync(self, *, time: datetime = NOW) -> list[Case]:
        return self.requests.sync(time=time)

    def case(self, digest: bytes, *, time: datetime = NOW) -> Case:
        return next(case for case in self.sync(time=time) if case.digest == digest)

    def approve(self, digest: bytes, *, time: datetime = NOW) -> bool:
        return self.requests.approve(self.case(digest), policy=self.policy, time=time)

    def refuse(self, digest: bytes, reason: str = "no vote yet") -> None:
        self.requests.refuse(self.case(digest), reason=reason, time=NOW)

    def issue(self, *, time: datetime = NOW) -> list[Release]:
        if self.share is None:
            raise RefusedError(f"{self.name} is not a member")
        return issue_all(
            self.sync(time=time),
            database=self.database,
            board=cast("RegistryBoard", self.seat),
            identity=self.identity,
            policy=self.policy,
            committee=self.committee,
            share=self.share,
            time=time,
        )

    def journal(self, kind: str) -> Sequence[Entry]:
        return [e for e in SqlJournal(self.database).entries() if e.kind == kind]


def outcomes(releases: Sequence[Release]) -> list[tuple[str, str]]:
    return [(release.outcome, release.reason) for release in releases]
