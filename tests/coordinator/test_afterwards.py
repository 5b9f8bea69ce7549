"""Words and outputs that come after a session has ended."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from registries import Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.coordinator.afterwards import EndedSessions
from upcare_mpc.mpc.opening import output_statement
from upcare_mpc.node.session import no_output
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies

COMMITTEE = ("de-a", "de-b", "de-c")


@dataclass
class Heard:
    """Stands where the attendance would be; keeps what the registries are told."""

    told: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def tell(self, names: Any, **message: Any) -> None:
        self.told.append((tuple(names), next(iter(message))))


@dataclass
class After:
    """One ended session with papers, and what its end was turned into."""

    network: Registries
    database: Database
    attendance: Heard = field(default_factory=Heard)
    answered: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.descriptor, proposal = self.network.proposal(counts())
        self.session = self.descriptor.digest
        studies = Studies(self.database)
        studies.put_paper(self.session, "descriptor", "", self.descriptor.canonical())
        for member, pem in zip(self.descriptor.roster, proposal.certificates, strict=True):
            studies.put_paper(self.session, "certificate", member.name, pem.encode())
        self.ended = EndedSessions(
            studies,
            self.attendance,
            answered=self.answered.append,  # type: ignore[arg-type]
        )

    def word(self, name: str) -> None:
        failure = coordinator_pb2.Failure(session_digest=self.session, code="session")
        failure.no_output.CopyFrom(no_output(self.network.identity(name), self.session))
        self._hear(name, coordinator_pb2.AttendRequest(failure=failure))

    def output(self, name: str) -> None:
        output = study_pb2.Output(
            session_digest=self.session,
            index=self.descriptor.place(name),
            agreement=bytes(32),
            sealed=bytes(8 * self.descriptor.cells + 49),
        )
        statement = output_statement(self.session, output.index, output.agreement, output.sealed)
        output.signature = self.network.identity(name).sign(statement)
        self._hear(name, coordinator_pb2.AttendRequest(output=output))

    def _hear(self, name: str, message: coordinator_pb2.AttendRequest) -> None:
        async def hear() -> None:
            self.ended.hear(name, self.session, message)

        asyncio.run(hear())

    def joins(self, name: str) -> list[str]:
        """What a registry is told when it comes back."""
        before = len(self.attendance.told)
        self.ended.joined(name, running=frozenset())
        return [what for _, what in self.attendance.told[before:]]


@pytest.fixture
def after(tmp_path: Path) -> Iterator[After]:
    network = registries(tmp_path)
    with Database(f"sqlite:///{tmp_path / 'platform.db'}", COORDINATOR) as database:
        yield After(network, database)
    network.close()


def test_the_last_missing_word_releases_the_charges_of_all(after: After) -> None:
    after.word("de-a")
    after.word("de-b")
    assert after.attendance.told == []

    after.word("de-c")

    assert after.attendance.told == [
        (tuple(member.name for member in after.descriptor.roster), "releases")
    ]


def test_the_second_late_output_makes_an_answer(after: After) -> None:
    after.output("de-a")
    assert after.answered == []

    after.output("de-b")

    assert after.answered == [after.session]


def test_a_registry_that_owes_a_word_or_an_output_is_asked_when_it_is_back(after: After) -> None:
    after.word("de-a")
    after.output("de-b")

    assert after.joins("de-a") == []
    assert after.joins("de-b") == []
    assert after.joins("de-c") == ["recall"]
    assert after.joins("fr-a") == []


def test_a_registry_that_was_away_when_all_had_signed_is_told_of_it(after: After) -> None:
    for name in COMMITTEE:
        after.word(name)

    assert after.joins("fr-a") == ["releases"]


def test_a_session_that_runs_is_left_alone(after: After) -> None:
    after.ended.joined("de-c", running=frozenset({after.session}))

    assert after.attendance.told == []
