"""A platform in memory: it tells the story it is given, breaks when told, and holds one answer."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from test_result import Answer as Sealed  # a true sealed answer of four registries

from upcare_mpc.client import Network
from upcare_mpc.client.platform import Answer, CatalogueEntry, Event
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.client.study import Study
from upcare_mpc.errors import LinkError
from upcare_mpc.study import spec

DONE = ("submitted", "approvals", "noise", "opening", "done")


def story(*phases: str) -> list[Event]:
    """Events of these phases, a second apart; the last is the end."""
    return [
        Event(phase=phase, text=f"{phase} it is", time=float(n), last=n == len(phases) - 1)
        for n, phase in enumerate(phases)
    ]


@dataclass
class FakePlatform:
    """Stands for ``PlatformClient``.

    Attributes:
        sealed: The answer.
        events: The story of the study.
        breaks_after: For each time somebody listens, after how many events the connection is
            lost; afterwards it holds.
        silent: Tell all but the end, and then nothing.
        lost_results: So many times the connection is lost while the answer is fetched.
        holds_result: Never finish the answer.
    """

    sealed: Sealed
    events: list[Event] = field(default_factory=lambda: story(*DONE))
    breaks_after: list[int] = field(default_factory=list)
    lost_results: int = 0
    silent: bool = False
    holds_result: bool = False
    submitted: list[bytes] = field(default_factory=list)
    closed: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)
    listened: int = 0
    connections: int = 0

    def __enter__(self) -> Self:
        self.connections += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.connections -= 1

    def preview(self, study: spec.Study) -> list[Answer]:
        return [
            Answer(registry=name, verdict="yes", reason="", epsilon_left=None, rho_left=None)
            for name in study.registries
        ]

    def catalogue(self) -> list[CatalogueEntry]:
        since = datetime(2026, 11, 22, tzinfo=UTC)
        return [CatalogueEntry(registry="de-a", attending=True, since=since, availability=None)]

    def submit(self, study: spec.Study) -> bool:
        known = study.digest in self.submitted
        self.submitted.append(study.digest)
        return known

    def close(self, study: spec.Study, without: Sequence[str] = ()) -> int:
        self.closed.append((study.digest, tuple(without)))
        self.events = story("closing", *DONE[1:])
        return 5

    def watch(self, study: bytes) -> Iterator[Event]:
        self.listened += 1
        holds_for = self.breaks_after.pop(0) if self.breaks_after else None
        for n, event in enumerate(self.events):
            if n == holds_for:
                raise LinkError("the platform cannot be reached, or did not answer in time")
            if self.silent and event.last:
                while self.connections:  # until whoever waits closes the connection
                    pass
                return
            yield event

    def result(self, study: spec.Study) -> OpenedResult:
        while self.holds_result and self.connections:  # until whoever waits closes it
            time.sleep(0.01)
        if self.holds_result:
            raise LinkError("the platform cannot be reached, or did not answer in time")
        if self.lost_results:
            self.lost_results -= 1
            raise LinkError("the platform cannot be reached, or did not answer in time")
        return self.sealed.open()


class FakeNetwork(Network):
    """A network reached through a platform in memory."""

    def __init__(self, fake: FakePlatform) -> None:
        self.researcher = fake.sealed.network.researcher
        self.fake = fake

    def platform(self) -> FakePlatform:
        return self.fake


def study_of(sealed: Sealed) -> Study:
    """The study that the answer belongs to, as a file."""
    return Study.counts(
        title="Grades",
        purpose="DUO:0000007",
        registries=list(sealed.study.registries),
        overlap=1,
        epsilon=1,
        by=["grade"],
    )
