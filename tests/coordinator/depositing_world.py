"""A served platform with one collection that takes deposits, and those who bring them."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_deposits import Patient, collection_of
from registries import counts
from served_platform import ServedPlatform

from upcare_mpc.coordinator.lifecycle import State
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.link.calls import platform_channel
from upcare_mpc.link.certificates import Identity, Role
from upcare_mpc.link.deposits import Depositor, Holder
from upcare_mpc.study.spec import Study

HOLDERS = ("de-a", "de-b", "de-c")


class World:
    """A platform, its registries, and one collection that takes deposits."""

    def __init__(self, platform: ServedPlatform) -> None:
        self.platform = platform
        self._identities: dict[str, Identity] = {}
        self.collection = self.opened()

    def identity(self, name: str, role: Role = "registry") -> Identity:
        if name not in self._identities:
            self._identities[name] = self.platform.admit(name, role=role)
        return self._identities[name]

    def dealing(self, study: Study | None = None, **changed: Any) -> Collection:
        """A collection of a study of its own."""
        study = study or counts(f"Study {time.monotonic_ns()}")
        collection = collection_of([self.identity(name) for name in HOLDERS], **changed)
        self.platform.studies.add(
            digest=study.digest,
            researcher="",
            canonical=study.canonical(),
            request=b"",
            state=State.COLLECTING,
            time=datetime.datetime.now(datetime.UTC),
        )
        self.platform.deposits.begin(collection, study.digest)
        for name in HOLDERS:
            pem = self.identity(name).certificate_pem
            self.platform.studies.put_paper(collection.digest, "certificate", name, pem)
            self.platform.studies.put_paper(collection.digest, "key", name, name.encode())
        return collection

    def opened(self, **changed: Any) -> Collection:
        collection = self.dealing(**changed)
        self.platform.deposits.open(collection.digest)
        return collection

    def depositor(self) -> Depositor:
        channel = platform_channel(self.platform.researchers, self.platform.network)
        return Depositor(channel)

    def bring(self, encoded: bytes, collection: Collection | None = None) -> Receipt:
        with self.depositor() as depositor:
            digest = (collection or self.collection).digest
            return Receipt.from_bytes(depositor.deposit(digest, encoded))

    def answers(self, collection: Collection | None = None, **changed: Any) -> bytes:
        """A new patient's deposit."""
        collection = collection or self.collection
        return Patient().answers(self.identity("de-a"), collection, **changed).to_bytes()

    def fetched(self, name: str = "de-a", *, count: int, **changed: Any) -> list[bytes]:
        with Holder(self.platform.registries, self.identity(name)) as holder:
            digest = self.collection.digest
            return list(holder.fetch(digest, count=count, at_most=1 << 20, **changed))

    @property
    def folder(self) -> Path:
        return self.platform.deposits._folder / self.collection.digest.hex()

    def arriving(self) -> list[Path]:
        """Deposits that are on their way."""
        return list(self.folder.glob("*.new"))

    def files(self) -> list[str]:
        """What of the collection is on the disk; an upload that was refused goes a moment later."""
        until(lambda: not self.arriving())
        return sorted(path.name for path in self.folder.iterdir())


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
