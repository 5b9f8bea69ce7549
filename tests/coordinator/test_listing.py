"""A researcher's list of her studies: hers alone, newest first, and only for her signature."""

import asyncio
import datetime
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registries import counts

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.cli.network import found_network
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.coordinator import listing
from upcare_mpc.coordinator.lifecycle import SOURCES, State
from upcare_mpc.errors import ProtocolError, StudyError
from upcare_mpc.link.statements import question_digest
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies
from upcare_mpc.study.spec import Study

NOON = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)


class World:
    """A platform's memory, and two researchers."""

    def __init__(self, folder: Path, database: Database) -> None:
        found_network(folder / "net", name="test", overlap=1, committee=3)
        self.studies = Studies(database)
        self.deposits = Deposits(database, folder / "deposits", room=0)
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


def listed(
    world: World, who: Researcher | None = None, **asked: Any
) -> coordinator_pb2.ListResponse:
    """What the platform lists for whoever signs."""
    authorization = (who or world.me).authorize(b"", "list", now=time.time())
    request = {"authorization": authorization, "limit": 100} | asked
    message = coordinator_pb2.ListRequest(**request)
    return asyncio.run(listing.listed(world.studies, world.deposits, message))


def test_it_holds_her_own_studies_newest_first(world: World) -> None:
    asked = [counts(privacy=f"epsilon = {n}") for n in (1, 2, 3)]
    for minute, study in enumerate(asked):
        world.asked(world.me, study, minute=minute)
    world.asked(world.other, asked[0], minute=9)

    told = listed(world).studies

    assert [one.study_digest for one in told] == [study.digest for study in reversed(asked)]
    assert [one.submitted for one in told] == [NOON.timestamp() + 60 * n for n in (2, 1, 0)]
    assert {(one.state, one.title, one.reason) for one in told} == {
        ("submitted", asked[0].title, "")
    }


def test_it_says_why_a_study_ended(world: World) -> None:
    key = world.asked(world.me, counts(), minute=0)
    later = NOON + datetime.timedelta(hours=1)
    world.studies.move(
        key, State.REFUSED, sources=SOURCES[State.REFUSED], time=later, error="de-a: no"
    )

    (only,) = listed(world).studies

    assert (only.state, only.reason) == ("refused", "de-a: no")
    assert only.changed - only.submitted == 3600


def test_it_is_empty_for_whoever_has_asked_nothing(world: World) -> None:
    world.asked(world.me, counts(), minute=0)

    assert listed(world, world.other) == coordinator_pb2.ListResponse()


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_pages_hold_each_study_once_also_of_one_moment(world: World, limit: int) -> None:
    """Five studies, three of them of one minute."""
    studies = [counts(privacy=f"epsilon = {n}") for n in range(1, 6)]
    for minute, study in zip((0, 1, 1, 1, 2), studies, strict=True):
        world.asked(world.me, study, minute=minute)

    found, after, more = [], b"", True
    while more:
        page = listed(world, limit=limit, after=after)
        assert 1 <= len(page.studies) <= limit
        found += [one.study_digest for one in page.studies]
        after, more = found[-1], page.more

    assert sorted(found) == sorted(study.digest for study in studies)
    assert (found[0], found[-1]) == (studies[4].digest, studies[0].digest)


def test_one_study_is_found_alone_and_only_by_who_asked_it(world: World) -> None:
    studies = [counts(privacy=f"epsilon = {n}") for n in (1, 2)]
    for study in studies:
        world.asked(world.me, study, minute=0)

    (only,) = listed(world, study_digest=studies[1].digest).studies

    assert only.study_digest == studies[1].digest
    assert not listed(world, world.other, study_digest=studies[1].digest).studies
    assert not listed(world, study_digest=bytes(32)).studies


def test_a_page_that_is_none_is_one_clear_line(world: World) -> None:
    world.asked(world.other, counts(), minute=0)

    for after in (counts().digest, bytes(32), b"x"):
        with pytest.raises(StudyError, match="is not known here"):
            listed(world, after=after)
    for limit in (0, 101):
        with pytest.raises(StudyError, match=f"limit: wanted 1 to 100, got {limit}"):
            listed(world, limit=limit)


def test_the_platform_answers_others_while_it_reads_a_list(world: World) -> None:
    """A page of a hundred studies of 64 KiB takes a while."""
    world.asked(world.me, counts(), minute=0)
    reading, go_on = threading.Event(), threading.Event()
    read = world.studies.page

    def slowly(*about: Any, **more: Any) -> Any:
        reading.set()
        assert go_on.wait(10)
        return read(*about, **more)

    world.studies.page = slowly  # type: ignore[method-assign]
    request = coordinator_pb2.ListRequest(
        authorization=world.me.authorize(b"", "list", now=time.time()), limit=1
    )

    async def story() -> int:
        asking = asyncio.ensure_future(listing.listed(world.studies, world.deposits, request))
        await asyncio.to_thread(reading.wait, 10)
        assert not asking.done()  # and this loop runs
        go_on.set()
        return len((await asking).studies)

    assert asyncio.run(story()) == 1


def test_only_her_signature_for_the_list_opens_it(world: World) -> None:
    world.asked(world.me, counts(), minute=0)
    watching = world.me.authorize(b"", "watch", now=time.time())
    old = world.me.authorize(b"", "list", now=time.time() - 3600)
    forged = world.other.authorize(b"", "list", now=time.time())
    forged.signing_key = world.me.signing_key

    for authorization in (watching, old, forged):
        with pytest.raises(ProtocolError):
            listed(world, authorization=authorization)
