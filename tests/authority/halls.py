"""Registries with folders and databases in one hall: ``Ceremonies`` over a board in memory.

``Platform`` is the board; a story changes ``shows`` to withhold papers from somebody, ``takes`` to
throw them away, or ``cut`` to pull the plug.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from hall import NOW, identity

from upcare_mpc.abe.committee import Committee
from upcare_mpc.access.seats import Proposal
from upcare_mpc.authority.ceremonies import Ceremonies
from upcare_mpc.errors import LinkError
from upcare_mpc.journal import Entry
from upcare_mpc.link.board import Paper, RegistryBoard
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import NODE


@dataclass
class Platform:
    """Papers by topic, and what the platform does with them."""

    topics: dict[bytes, list[Paper]] = field(default_factory=dict)
    shows: Callable[[str, Paper], bool] = lambda reader, paper: True
    takes: Callable[[str, str], bool] = lambda sender, kind: True
    cut: Callable[[str], bool] = lambda name: False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def leave(self, topic: bytes, sender: str, kind: str, content: bytes) -> None:
        with self.lock:
            papers = self.topics.setdefault(topic, [])
            if self.takes(sender, kind) and (sender, kind, content) not in [
                (p.sender, p.kind, p.content) for p in papers
            ]:
                number = len(papers) + 1
                papers.append(
                    Paper(number=number, sender=sender, kind=kind, content=content, time=0)
                )

    def said(self, kind: str) -> list[str]:
        """Who has left a paper of a kind, on any topic."""
        return sorted(p.sender for papers in self.topics.values() for p in papers if p.kind == kind)


@dataclass
class Line:
    """One registry's connection."""

    platform: Platform
    name: str

    def post(self, topic: bytes, kind: str, content: bytes) -> None:
        self._check()
        self.platform.leave(topic, self.name, kind, content)

    def read(self, topic: bytes, *, after: int = 0) -> list[Paper]:
        self._check()
        with self.platform.lock:
            papers = list(self.platform.topics[topic])
        return [p for p in papers if p.number > after and self.platform.shows(self.name, p)]

    def topics(self, kind: str) -> list[tuple[int, bytes]]:
        assert kind == "ceremony"
        self._check()
        return list(enumerate(self.platform.topics, 1))

    def _check(self) -> None:
        if self.platform.cut(self.name):
            raise LinkError("the platform cannot be reached, or did not answer in time")


class Registry:
    """One registry's folder, database and commands."""

    def __init__(self, folder: Path, platform: Platform, name: str) -> None:
        self.name = name
        self.folder = folder / name / "authority"
        self.folder.parent.mkdir(parents=True)
        self.database = Database(f"sqlite:///{folder / name}.db", NODE)
        self.now = NOW
        self.told: list[str] = []
        self.line = Line(platform, name)

    @property
    def ceremonies(self) -> Ceremonies:
        """As a new process of the command would make it."""
        return Ceremonies(
            self.folder,
            cast("RegistryBoard", self.line),
            identity(self.name),
            "eu-cancer",
            self.database,
            now=lambda: self.now,
            tell=self.told.append,
        )

    def propose(self, *members: str, threshold: int = 0, dealers: tuple[str, ...] = ()) -> Proposal:
        ceremonies = self.ceremonies
        return ceremonies.propose(
            members=members,
            threshold=threshold or (len(members) - 1) // 2,
            hand_over=bool(ceremonies.committees()),
            dealers=dealers,
        )

    def join(self, topic: bytes, patience_s: float = 30.0) -> Committee:
        ceremonies = self.ceremonies
        return ceremonies.join(ceremonies.find(topic.hex()), patience_s=patience_s)

    def journal(self) -> list[Entry]:
        entries = SqlJournal(self.database).entries()
        return [entry for entry in entries if entry.kind == "authority.committee"]

    def secrets(self) -> list[str]:
        """Names of the secret files in the folder."""
        return sorted(p.name for p in self.folder.iterdir() if p.suffix in {".key", ".secret"})


class Network:
    """Several registries; ``together`` runs their commands at once."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.platform = Platform()
        self.registries = {name: Registry(folder, self.platform, name) for name in names}

    def __getitem__(self, name: str) -> Registry:
        return self.registries[name]

    def together(
        self, proposal: Proposal, *names: str, patience_s: float = 30.0
    ) -> dict[str, Committee | Exception]:
        """Those named, or all that take part, join; what each command returns or raises."""
        names = names or proposal.participants
        with ThreadPoolExecutor(len(names)) as pool:
            running: dict[str, Future[Committee]] = {
                name: pool.submit(self[name].join, proposal.topic, patience_s) for name in names
            }
        return {name: each.exception() or each.result() for name, each in running.items()}  # type: ignore[misc]

    def agreed(self, proposal: Proposal) -> Committee:
        """All that take part join, and all come to the same end."""
        found = []
        for end in self.together(proposal).values():
            assert isinstance(end, Committee), end
            found.append(end)
        assert len({committee.digest for committee in found}) == 1
        return found[0]
