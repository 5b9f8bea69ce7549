"""How far each question is, and its story for those who watch."""

import asyncio
import datetime
from collections.abc import AsyncIterator

from upcare_mpc.coordinator.lifecycle import SOURCES, State
from upcare_mpc.storage.studies import Studies, StudyEvent

__all__ = ["Bell", "Stories"]

_CHARACTERS = 1000  # of a line
_LAST = frozenset({State.COLLECTING, State.DONE, State.REFUSED, State.FAILED})


class Stories:
    """All stories of a platform.

    Args:
        studies: Where they are written down.
    """

    def __init__(self, studies: Studies) -> None:
        self._studies = studies
        self._news = Bell()

    def state(self, key: bytes) -> State:
        """How far a question is."""
        return State(self._studies.get(key).state)

    def note(self, key: bytes, phase: str, text: str) -> None:
        """Add a line."""
        self._studies.add_event(key, kind=phase, text=text[:_CHARACTERS], time=_now())
        self._news.ring()

    def move(self, key: bytes, state: State) -> None:
        """Enter a state without a line.

        Raises:
            RefusedError: It cannot be entered from where the question is.
        """
        self._studies.move(key, state, sources=SOURCES[state], time=_now())

    def begin(self, key: bytes, state: State, request: bytes, *, phase: str, text: str) -> None:
        """Enter a state on a new request with its first line, or do nothing.

        Raises:
            RefusedError: As ``move``.
        """
        line = (phase, text[:_CHARACTERS])
        self._studies.move(
            key, state, sources=SOURCES[state], time=_now(), request=request, line=line
        )
        self._news.ring()

    def end(self, key: bytes, state: State, text: str) -> None:
        """Enter a state that ends a story, and tell everyone who watches.

        Raises:
            RefusedError: As ``move``.
        """
        error = text if state in {State.REFUSED, State.FAILED} else None
        line = (str(state), text[:_CHARACTERS])
        self._studies.move(key, state, sources=SOURCES[state], time=_now(), error=error, line=line)
        self._news.ring()

    async def follow(self, key: bytes) -> AsyncIterator[tuple[StudyEvent, bool]]:
        """The story of the latest attempt, and whether each line is the last."""
        story = self._studies.events(key)
        seen = max((_begins(event, latest=story[-1]) for event in story), default=1) - 1
        while True:
            news = self._news.hold()  # before reading: what is noted meanwhile rings this one
            for event in self._studies.events(key, after=seen):
                seen = event.sequence
                last = event.kind in _LAST
                yield event, last
                if last:
                    return
            await news.wait()


def _begins(event: StudyEvent, *, latest: StudyEvent) -> int:
    """Where a story would begin by this line; what comes after ``collecting`` is another one."""
    if event.kind == State.COLLECTING and event is not latest:
        return event.sequence + 1
    return event.sequence if event.kind in {"submitted", "stored"} else 1


class Bell:
    """Wakes everyone who took hold of it before it rang; so nobody sleeps through a ring."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def hold(self) -> asyncio.Event:
        """What the next ring sets."""
        return self._event

    def ring(self) -> None:
        """Wake all who hold it."""
        self._event.set()
        self._event = asyncio.Event()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
