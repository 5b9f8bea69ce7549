"""When the platform fills a noise bank, and when it lets go."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from announced import NAMES, SESSION, said

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.coordinator import fill as fill_module
from upcare_mpc.coordinator.fill import Fills
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.study.draw import DIRECT

Response = coordinator_pb2.AttendResponse
EMPTY = {"epoch": b"", "segments": 0}


@dataclass
class FakeAttendance:
    """Registries that approve every fill but those of ``refusing``."""

    proposed: list[Fill] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)

    async def approvals(
        self, names: Iterable[str], *, fill: coordinator_pb2.FillProposal
    ) -> list[tuple[str, Any]]:
        self.proposed.append(Fill.from_canonical(fill.fill))
        digest = self.proposed[-1].digest
        answers = []
        for name in names:
            approval = study_pb2.Approval(session_digest=digest, registry=name)
            yes = coordinator_pb2.AttendRequest(approval=approval)
            no = coordinator_pb2.AttendRequest(failure=coordinator_pb2.Failure(text="no"))
            answers.append((name, no if name in self.refusing else yes))
        return answers

    def tell(self, names: Iterable[str], **message: Any) -> None:
        (kind,) = message
        assert tuple(names) == NAMES
        self.told.append(kind)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "IDLE_S", 0.0)
    monkeypatch.setattr(fill_module, "RETRY_S", 0.05)


def run(story: Callable[[Fills, FakeAttendance], Coroutine[Any, Any, None]]) -> FakeAttendance:
    attendance = FakeAttendance()

    async def told() -> None:
        fills = Fills(attendance, SESSION.network)  # type: ignore[arg-type]
        await asyncio.wait_for(story(fills, attendance), 5)
        if fills._task is not None:
            fills._task.cancel()

    asyncio.run(told())
    return attendance


def study(fills: Fills) -> None:
    """A study has run; its committee is known."""
    with fills.making_way(SESSION, ["PEM a", "PEM b", "PEM c", "PEM d"]):
        pass


def all_say(fills: Fills, **what: Any) -> None:
    for name in NAMES:
        fills.hear(name, said(**what))


async def proposed(attendance: FakeAttendance, count: int) -> None:
    while len(attendance.proposed) < count:  # noqa: ASYNC110 - nothing rings when it happens
        await asyncio.sleep(0.001)


def test_after_a_study_what_all_want_is_filled_once() -> None:
    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        all_say(fills, **EMPTY)
        study(fills)
        await proposed(attendance, 1)
        all_say(fills, epoch=attendance.proposed[0].digest)
        await asyncio.sleep(0.02)
        assert fills.noise_for(SESSION).startswith(f"bank/{attendance.proposed[0].digest.hex()}")

    attendance = run(story)

    assert len(attendance.proposed) == 1
    assert attendance.told == ["start"]


def test_nothing_is_filled_while_a_study_runs_and_a_study_ends_a_fill() -> None:
    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        all_say(fills, **EMPTY)
        study(fills)
        await proposed(attendance, 1)
        with fills.making_way(SESSION, ["PEM"] * 4):
            await asyncio.sleep(0.02)
            assert attendance.told == ["start", "abort"]
            assert len(attendance.proposed) == 1
        await proposed(attendance, 2)

    attendance = run(story)

    assert attendance.proposed[0].digest != attendance.proposed[1].digest


def test_a_bank_that_is_being_filled_is_not_drawn_on() -> None:
    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        all_say(fills, first=6)  # less than half is left
        assert fills.noise_for(SESSION) != DIRECT
        study(fills)
        await proposed(attendance, 1)
        assert fills.noise_for(SESSION) == DIRECT

    run(story)


def test_a_fill_that_one_refuses_is_aborted_and_tried_again_later() -> None:
    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        attendance.refusing = {"de-b"}
        all_say(fills, **EMPTY)
        study(fills)
        await proposed(attendance, 1)
        attendance.refusing = set()
        await proposed(attendance, 2)

    attendance = run(story)

    assert attendance.told[:2] == ["abort", "start"]


def test_a_fill_that_fails_at_one_is_aborted_at_all() -> None:
    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        all_say(fills, **EMPTY)
        study(fills)
        await proposed(attendance, 1)
        await asyncio.sleep(0.01)
        fills.hear_failure(bytes(32))  # of something else
        await asyncio.sleep(0.01)
        assert attendance.told == ["start"]
        fills.hear_failure(attendance.proposed[0].digest)
        await proposed(attendance, 2)

    attendance = run(story)

    assert attendance.told[:2] == ["start", "abort"]


def test_a_fill_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "FILL_S", 0.02)

    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        all_say(fills, **EMPTY)
        study(fills)
        await proposed(attendance, 2)

    assert run(story).told[:2] == ["start", "abort"]


def test_a_registry_that_talks_nonsense_counts_as_having_no_bank() -> None:
    async def story(fills: Fills, attendance: FakeAttendance) -> None:
        all_say(fills)
        fills.hear("de-b", said(life=b"nonsense"))
        study(fills)
        await asyncio.sleep(0.02)
        assert fills.noise_for(SESSION) == DIRECT

    assert run(story).proposed == []
