"""A researcher's list of her studies: hers alone, newest first, and only for her signature."""

import datetime
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registries import counts

from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.config import Agreement
from upcare_mpc.coordinator.lifecycle import SOURCES, State
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import question_digest
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies
from upcare_mpc.study.spec import Study

NOON = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)


class World:
    """A platform with a memory, and two researchers."""

    def __init__(self, folder: Path, database: Database) -> None:
        found_network(folder / "net", name="test", overlap=1, committee=3)
        admit_party(folder / "net", "platform", role="platform", out=folder / "platform")
        self.studies = Studies(database)
        now = datetime.datetime.now(datetime.UTC)
        self.platform = Platform(
            Identity.load(folder / "platform", now=now),
            Agreement(name="test", overlap=1, committee=3),
            self.studies,
            Deposits(database, folder / "deposits", room=0),
        )
        self.me, self.other = (self._researcher(folder, name) for name in ("me", "other"))

    def _researcher(self, folder: Path, name: str) -> Researcher:
        new_researcher(folder / name, identity_folder=folder / "net", platform="localhost:1")
        return Researcher.load(folder / name)

    def asked(self, who: Researcher, study: Study, *, minute: int) -> bytes:
        """Enter a study as the platform does."""
        key = question_digest(study.digest, who.signing_key)
        self.studies.add(
            digest=key,
            researcher=who.signing_key.hex(),
            canonical=study.canonical(),
            request=b"",
            state=State.SUBMITTED,
            time=NOON + datetime.timedelta(minutes=minute),
        )
        return key


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Database(f"sqlite:///{tmp_path / 'coordinator.db'}", COORDINATOR) as database:
        yield World(tmp_path, database)


def test_it_holds_her_own_studies_newest_first(world: World) -> None:
    asked = [counts(privacy=f"epsilon = {n}") for n in (1, 2, 3)]
    for minute, study in enumerate(asked):
        world.asked(world.me, study, minute=minute)
    world.asked(world.other, asked[0], minute=9)

    listed = world.platform.listed(world.me.authorize(b"", "list", now=time.time()))

    assert [one.study_digest for one in listed] == [study.digest for study in reversed(asked)]
    assert [one.submitted for one in listed] == [NOON.timestamp() + 60 * n for n in (2, 1, 0)]
    assert {(one.state, one.title, one.reason) for one in listed} == {
        ("submitted", asked[0].title, "")
    }


def test_it_says_why_a_study_ended(world: World) -> None:
    key = world.asked(world.me, counts(), minute=0)
    later = NOON + datetime.timedelta(hours=1)
    world.studies.move(
        key, State.REFUSED, sources=SOURCES[State.REFUSED], time=later, error="de-a: no"
    )

    (only,) = world.platform.listed(world.me.authorize(b"", "list", now=time.time()))

    assert (only.state, only.reason) == ("refused", "de-a: no")
    assert only.changed - only.submitted == 3600


def test_it_is_empty_for_whoever_has_asked_nothing(world: World) -> None:
    world.asked(world.me, counts(), minute=0)

    assert world.platform.listed(world.other.authorize(b"", "list", now=time.time())) == []


def test_only_her_signature_for_the_list_opens_it(world: World) -> None:
    world.asked(world.me, counts(), minute=0)
    watching = world.me.authorize(b"", "watch", now=time.time())
    old = world.me.authorize(b"", "list", now=time.time() - 3600)
    forged = world.other.authorize(b"", "list", now=time.time())
    forged.signing_key = world.me.signing_key

    for authorization in (watching, old, forged):
        with pytest.raises(ProtocolError):
            world.platform.listed(authorization)
