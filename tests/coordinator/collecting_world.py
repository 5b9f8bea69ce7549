"""The platform in this process, registries that are scripted, and a study that takes deposits."""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from fake_holders import FakeHolder
from made_deposits import Patient

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.config import load_agreement
from upcare_mpc.coordinator.lifecycle import State
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import question_digest
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies
from upcare_mpc.study.spec import Study, parse

NAMES = ("de-a", "de-b", "de-c", "de-d")
STUDY = """version = 1
title = "Grades"
kind = "counts"
purpose = "DUO:0000007"
registries = [{names}]
overlap = 4
[deposits]
envelope = "sealed"
registries = ["fr-a"]
patients = true
days = 3
[cohort]
where = "true"
[privacy]
epsilon = 1
[counts]
by = ["grade"]
"""


class World:
    """A network, and a platform that can be started more than once."""

    def __init__(self, folder: Path, *, names: Sequence[str] = NAMES) -> None:
        self.folder = folder
        found_network(folder / "net", name="test", overlap=2, committee=3)
        self.now = datetime.datetime.now(datetime.UTC)
        self.platform_identity = self.identity("platform")
        self.holders = {name: FakeHolder(self.identity(name)) for name in names}
        self.fr_a = self.identity("fr-a")
        self.me, self.other = (self._researcher(name) for name in ("me", "other"))
        listed = ", ".join(f'"{name}"' for name in names)
        self.study = parse(STUDY.format(names=listed), name="study.toml")
        self.database = Database(f"sqlite:///{folder / 'coordinator.db'}", COORDINATOR)
        self.studies = Studies(self.database)
        self._serving: dict[str, asyncio.Future[None]] = {}

    def __getitem__(self, name: str) -> FakeHolder:
        return self.holders[name]

    def identity(self, name: str) -> Identity:
        role = "platform" if name == "platform" else "registry"
        admit_party(self.folder / "net", name, role=role, out=self.folder / name)
        return Identity.load(self.folder / name, now=self.now)

    def _researcher(self, name: str) -> Researcher:
        folder = self.folder / f"researcher-{name}"
        new_researcher(folder, identity_folder=self.folder / "net", platform="localhost:1")
        return Researcher.load(folder)

    # -- the platform ---------------------------------------------------------------------------

    def started(self) -> Platform:
        """A new process of the platform, on what an earlier one has left."""
        self.deposits = Deposits(self.database, self.folder / "deposits", room=1 << 20)
        agreement = load_agreement(self.folder / "platform")
        return Platform(self.platform_identity, agreement, self.studies, self.deposits)

    def run(self, story: Callable[[Platform], Awaitable[Any]]) -> Any:
        """Run a story with all registries attending."""

        async def attended() -> Any:
            platform = self.started()
            for name in self.holders:
                self.attend(platform, name)
            await asyncio.sleep(0)
            try:
                return await asyncio.wait_for(story(platform), 10)
            finally:
                for task in [*self._serving.values(), *platform._tasks]:
                    task.cancel()

        return asyncio.run(attended())

    def attend(self, platform: Platform, name: str) -> None:
        self.holders[name].connect()
        serving = platform.attendance.serve(name, self.holders[name])
        self._serving[name] = asyncio.ensure_future(serving)

    async def lose(self, name: str) -> None:
        """A registry's stream ends."""
        self.holders[name].leave()
        await self._serving[name]

    # -- the researcher -------------------------------------------------------------------------

    def request(self, who: Researcher | None = None, study: Study | None = None) -> Any:
        return (who or self.me).request(study or self.study, now=time.time())

    def closing(self, who: Researcher | None = None, study: Study | None = None) -> Any:
        """A request to close what this world's researcher collects, whoever signs it."""
        found = self.deposits.of_question(self.key)
        digest = bytes(32) if found is None else found.collection.digest
        return (who or self.me).request(
            study or self.study, "close", now=time.time(), collection=digest
        )

    @property
    def key(self) -> bytes:
        return question_digest(self.study.digest, self.me.signing_key)

    @property
    def state(self) -> State:
        return State(self.studies.get(self.key).state)

    async def story(self, platform: Platform) -> list[tuple[str, str]]:
        """What a watcher is told until the last line."""
        authorization = self.me.authorize(self.study.digest, "watch", now=time.time())
        return [(e.kind, e.text) async for e, _ in platform.watch(authorization)]

    async def collects(self, platform: Platform) -> Collection:
        """Submit, and wait until it collects."""
        await platform.submit(self.request())
        *_, (phase, text) = await self.story(platform)
        assert phase == "collecting", text
        return self.collection

    async def closes(
        self, platform: Platform, *, without: Sequence[str] = ()
    ) -> list[tuple[str, str]]:
        """Close, and follow."""
        await platform.close(self.closing(), without)
        return await self.story(platform)

    def result(self, platform: Platform) -> list[coordinator_pb2.ResultResponse]:
        return platform.result(self.me.authorize(self.study.digest, "result", now=time.time()))

    # -- deposits -------------------------------------------------------------------------------

    @property
    def collection(self) -> Collection:
        found = self.deposits.of_question(self.key)
        assert found is not None
        return found.collection

    def deposit(self, deposit: Deposit | None = None) -> bytes:
        """Put a deposit where the platform puts it; a new patient's if none is given."""
        collection = self.collection
        made = deposit or Patient().answers(self["de-a"].identity, collection)
        with self.deposits.arriving(collection.digest) as file:
            file.write(made.to_bytes())
            return self.deposits.keep(
                collection.digest,
                file,
                role=made.role,
                submitter=made.submitter,
                digest=made.digest,
                now=time.time(),
                receipt=lambda place: b"receipt %d" % place,
            )
