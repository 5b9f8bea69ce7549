"""Vaults of two registries under the key of a committee, and a researcher with a granted key."""

import os
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

from applications import NOW, SEALING, SIGNING, application, filed, identity
from desks import Desk, MemoryBoard, committee
from vault_world import MemoryStore, payload, policy, pseudonym

from upcare_mpc.access.application import Application
from upcare_mpc.access.topic import Topic
from upcare_mpc.client import access
from upcare_mpc.client.request_folder import RequestFolder
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.config import Agreement
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES
from upcare_mpc.vault.keeper import Keeper

COMMITTEE, _ = committee()
DAY = NOW.date()
DS = "and(use:ds,or(disease:c00-d48,disease:c50))"
HMB = "use:hmb"
REFUSAL = "^the sealed records do not open$"


@dataclass
class Platform:
    """What the platform hands out to researchers; a story may replace it."""

    stores: dict[str, MemoryStore] = field(default_factory=dict)
    fetched: list[tuple[str, str]] = field(default_factory=list)

    def vault(self, *_: Any, registry: str, **__: Any) -> "Fetched":
        return Fetched(self, registry)


class Fetched:
    """Stands for ``link.vaults.FetchedVault``."""

    def __init__(self, platform: Platform, registry: str) -> None:
        self.platform, self.registry = platform, registry

    def __enter__(self) -> Self:
        head = self.platform.stores[self.registry].get(HEAD, at_most=MAX_HEAD_BYTES)
        assert head is not None
        self.head = head
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, name: str, *, at_most: int) -> bytes | None:
        self.platform.fetched.append((self.registry, name))
        return self.platform.stores[self.registry].get(name, at_most=at_most)


class World:
    """Registries de-a and de-b with records, and a researcher whose request they granted."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder / "me"
        self.platform = Platform()
        self.board = MemoryBoard()
        self.desks = {name: Desk(folder, self.board, name) for name in ("de-a", "de-b", "de-c")}
        self.researcher = Researcher(
            signing=SIGNING,
            sealing=SEALING,
            network=identity("de-a").network,
            agreement=Agreement(name="eu-cancer", overlap=2, committee=3),
            platform="127.0.0.1:1",
        )
        self.keepers = {}
        for name in ("de-a", "de-b"):
            store = self.platform.stores[name] = MemoryStore()
            self.keepers[name] = Keeper(folder / f"vault-{name}", store, registry=name)
        self.asked = self.file(application(**changes))

    def file(self, asked: Application) -> RequestFolder:
        filing = filed(COMMITTEE, asked)
        self.board.file(filing)
        return RequestFolder.make(self.folder, filing, COMMITTEE)

    def publish(self, registry: str, patients: dict[int, str | None], *, day: date = DAY) -> None:
        """Seal patients under terms; patient ``n`` is known by ``1000 + n`` days of follow-up."""
        changes = [
            Change(
                pseudonym=pseudonym(n),
                policy=None if terms is None else policy(terms, registry=registry, day=day),
                payload=None if terms is None else payload({"follow_up_days": 1000 + n}),
            )
            for n, terms in patients.items()
        ]
        keeper = self.keepers[registry]
        with keeper.writing():
            keeper.publish(
                changes,
                day=day,
                public=COMMITTEE.public,
                sign=identity(registry).sign,
                random=os.urandom,
            )

    def grant(self, *members: str) -> None:
        for name in ("de-a", "de-b"):
            self.desks[name].approve(self.asked.digest)
        for name in members or ("de-a", "de-b"):
            self.desks[name].issue()

    @property
    def topic(self) -> Topic:
        return self.board.read(self.asked.digest)

    def collect(self) -> access.Collected:
        return access.collect_key(self.researcher, self.asked, self.topic, os.urandom)

    def fetch(self, *, now: datetime = NOW) -> list[str]:
        key = self.asked.key()
        if key is None:
            key = self.collect().key
            assert key is not None
            self.asked.keep_key(key)
        told: list[str] = []
        access.fetch(
            self.researcher, self.folder, self.asked, self.topic, key, now=now, tell=told.append
        )
        return told
