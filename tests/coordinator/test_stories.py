"""The story of a question: where it begins for a watcher, and which line is its last."""

import asyncio
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from upcare_mpc.coordinator.lifecycle import State
from upcare_mpc.coordinator.stories import Stories
from upcare_mpc.errors import RefusedError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies

KEY = b"k" * 32


@pytest.fixture
def stories(tmp_path: Path) -> Iterator[Stories]:
    with Database(f"sqlite:///{tmp_path / 'coordinator.db'}", COORDINATOR) as database:
        studies = Studies(database)
        studies.add(
            digest=KEY,
            researcher="",
            canonical=b"study",
            request=b"request",
            state=State.SUBMITTED,
            time=datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC),
        )
        yield Stories(studies)


async def follow(stories: Stories) -> list[str]:
    told = []
    async for event, last in stories.follow(KEY):
        told.append(event.text)
        if last:
            told.append("last")
    return told


def told(stories: Stories) -> list[str]:
    return asyncio.run(asyncio.wait_for(follow(stories), 5))


def noted(stories: Stories, *lines: str) -> None:
    """Write down lines, each by its kind, numbered."""
    for number, kind in enumerate(lines):
        stories.note(KEY, kind, f"{kind} {number}")


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("submitted key collecting", "submitted 0|key 1|collecting 2|last"),
        ("submitted key collecting closing done", "closing 3|done 4|last"),
        (
            "submitted collecting closing closing collecting",
            "closing 2|closing 3|collecting 4|last",
        ),
        ("submitted collecting closing collecting closing done", "closing 4|done 5|last"),
        ("submitted collecting failed", "failed 2|last"),
        ("submitted collecting collecting", "collecting 2|last"),
        ("submitted collecting closing done stored done", "stored 4|done 5|last"),
        ("submitted failed submitted collecting", "submitted 2|collecting 3|last"),
        ("submitted collecting failed submitted refused", "submitted 3|refused 4|last"),
    ],
)
def test_what_comes_after_collecting_is_another_story(
    stories: Stories, lines: str, wanted: str
) -> None:
    noted(stories, *lines.split())

    assert "|".join(told(stories)) == wanted


def test_who_watches_while_it_collects_hears_that_and_no_more(stories: Stories) -> None:
    async def watch() -> list[str]:
        watching = asyncio.ensure_future(follow(stories))
        await asyncio.sleep(0)
        noted(stories, "submitted", "collecting")
        heard = await asyncio.wait_for(watching, 5)
        noted(stories, "closing", "done")
        return heard + await follow(stories)

    assert asyncio.run(watch()) == [
        *("submitted 0", "collecting 1", "last"),
        *("closing 0", "done 1", "last"),
    ]


def test_an_end_is_a_state_and_a_line(stories: Stories) -> None:
    stories.note(KEY, "submitted", "it begins")
    stories.end(KEY, State.COLLECTING, "until then")
    assert stories.state(KEY) is State.COLLECTING
    stories.begin(KEY, State.RUNNING, b"signed anew", phase="closing", text="of two")
    with pytest.raises(RefusedError, match="to become running it must be"):
        stories.begin(KEY, State.RUNNING, b"another", phase="closing", text="not written")
    stories.end(KEY, State.FAILED, "why")

    row = stories._studies.get(KEY)
    assert (row.state, row.error, row.request) == ("failed", "why", b"signed anew")
    assert told(stories) == ["of two", "why", "last"]
    with pytest.raises(RefusedError, match="to become collecting it must be"):
        stories.end(KEY, State.COLLECTING, "again")
