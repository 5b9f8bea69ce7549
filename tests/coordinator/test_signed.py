"""A registry that says what it has not signed: its wrong words are its failure, never in the way.

The session is the platform's; the committee is de-a, de-b, de-c, and fr-a contributes. What the
platform stores is what a researcher or a registry will be handed, so a wrong word that is stored
would make a finished study one that cannot be opened, or a refund one that is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from registries import Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.coordinator.attendance import Attendance
from upcare_mpc.coordinator.run import Run
from upcare_mpc.link.statements import spent_in, spent_statement
from upcare_mpc.mpc.opening import output_statement
from upcare_mpc.node.session import no_output


class Session:
    """A session as the platform sees it, and what the registries could say in it."""

    def __init__(self, network: Registries) -> None:
        self.network = network
        self.descriptor, proposal = network.proposal(counts())
        self.kept: list[tuple[str, str, bytes]] = []
        self.story: list[str] = []
        self.run = Run(
            descriptor=self.descriptor,
            certificates=list(proposal.certificates),
            attendance=Attendance(
                hear=lambda _n, _m: None, joined=lambda _: None, left=lambda _: None
            ),
            note=lambda phase, _text: self.story.append(phase),
            store=lambda *paper: self.kept.append(paper),
        )

    def output(self, name: str, **changed: Any) -> study_pb2.Output:
        """A signed output; what is changed is changed before signing."""
        fields = {
            "session_digest": self.descriptor.digest,
            "index": self.descriptor.place(name),
            "agreement": bytes(32),
            "sealed": bytes(8 * self.descriptor.cells + 49),
        }
        made = study_pb2.Output(**{**fields, **changed})
        made.signature = self.network.identity(name).sign(
            output_statement(
                made.session_digest, made.index, made.agreement, made.sealed, made.dropped
            )
        )
        return made

    def spent(self, name: str, **changed: str) -> study_pb2.Spent:
        """A signed charge; what is changed is changed before signing."""
        made = spent_in(self.descriptor, name)
        made.MergeFrom(study_pb2.Spent(**changed))
        made.signature = self.network.identity(name).sign(spent_statement(made))
        return made

    def says(self, name: str, **message: Any) -> None:
        self.run.hear(name, coordinator_pb2.AttendRequest(**message))

    def fails(self, name: str, text: str = "", word: study_pb2.NoOutput | None = None) -> None:
        failure = coordinator_pb2.Failure(
            session_digest=self.descriptor.digest, text=text, no_output=word
        )
        self.says(name, failure=failure)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


@pytest.fixture
def session(network: Registries) -> Session:
    return Session(network)


def test_what_is_truly_signed_is_kept(session: Session) -> None:
    session.says("de-a", output=session.output("de-a"))
    session.says("fr-a", spent=session.spent("fr-a"))
    word = no_output(session.network.identity("de-b"), session.descriptor.digest)
    session.fails("de-b", word=word)

    assert [(kind, name) for kind, name, _ in session.kept] == [
        ("output", "de-a"),
        ("spent", "fr-a"),
        ("no-output", "de-b"),
    ]
    assert session.run.failures == {}


def test_what_an_output_leaves_out_is_kept_as_it_is_signed(session: Session) -> None:
    session.descriptor = replace(session.descriptor, deposits=bytes(32))
    session.run.descriptor = session.descriptor
    session.says("de-a", output=session.output("de-a", dropped=[0, 3, 70_000]))
    assert session.run.failures == {}

    (_, _, kept) = session.kept[0]
    assert list(study_pb2.Output.FromString(kept).dropped) == [0, 3, 70_000]
    for wrong in ([3, 0], [3, 3]):
        session.says("de-b", output=session.output("de-b", dropped=wrong))
    unsigned = session.output("de-c", dropped=[1])
    unsigned.dropped[:] = []
    session.says("de-c", output=unsigned)
    assert len(session.kept) == 1
    assert set(session.run.failures) == {"de-b", "de-c"}


WRONG_OUTPUTS: list[Callable[[Session], study_pb2.Output]] = [
    lambda s: s.output("de-a", dropped=[0]),  # there are no deposits
    lambda s: s.output("de-b", index=0),  # signed by another registry
    lambda s: s.output("de-a", index=1),
    lambda s: s.output("de-a", session_digest=bytes(32)),
    lambda s: s.output("de-a", sealed=b"short"),
    lambda s: s.output("de-a", sealed=bytes(8 * s.descriptor.cells + 50)),
    lambda s: s.output("de-a", agreement=b""),
]


@pytest.mark.parametrize("wrong", WRONG_OUTPUTS)
def test_a_wrong_output_is_dropped_and_the_true_one_is_kept(
    session: Session, wrong: Callable[[Session], study_pb2.Output]
) -> None:
    session.says("de-a", output=wrong(session))

    assert session.kept == []
    assert session.run.outputs == set()
    assert list(session.run.failures) == ["de-a"]

    session.says("de-a", output=session.output("de-a"))

    assert [kind for kind, _, _ in session.kept] == ["output"]
    assert session.run.outputs == {0}


def test_an_output_of_a_contributing_registry_is_dropped(session: Session) -> None:
    session.says("fr-a", output=session.output("fr-a"))

    assert session.kept == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": "not a fraction"},
        {"epsilon": "1/2"},
        {"rho": "1/1000"},
        {"delta": "1/1000"},
        {"registry": "de-b"},
    ],
    ids=str,
)
def test_a_wrong_charge_is_dropped_and_the_true_one_is_kept(
    session: Session, wrong: dict[str, str]
) -> None:
    session.says("de-a", spent=session.spent("de-a", **wrong))
    assert session.kept == []

    session.says("de-a", spent=session.spent("de-a"))
    assert session.run.charged == {"de-a"}


def test_a_wrong_word_is_dropped_and_the_true_one_is_kept(session: Session) -> None:
    true = no_output(session.network.identity("de-a"), session.descriptor.digest)
    other = no_output(session.network.identity("de-a"), bytes(32))
    forged = no_output(session.network.identity("de-b"), session.descriptor.digest)
    forged.registry = "de-a"

    for wrong in (other, forged):
        session.fails("de-a", word=wrong)
    assert session.run.words == {}

    session.fails("de-a", word=true)
    assert session.run.words == {"de-a": true}


def test_one_failure_a_registry_is_kept_and_300_characters_of_it(session: Session) -> None:
    for number in range(50):
        session.fails("de-a", text=f"failure {number} " + "x" * 10_000)

    (text,) = session.run.failures.values()
    assert text.startswith("de-a: failure 0 ")
    assert len(text) == 300


def test_a_phase_that_nobody_knows_is_not_counted(session: Session) -> None:
    for number in range(50):
        phase = coordinator_pb2.Phase(session_digest=session.descriptor.digest, phase=f"p{number}")
        session.says("de-a", phase=phase)

    assert session.run._phases == {}


def test_what_nobody_has_signed_is_not_kept_with_what_was(session: Session) -> None:
    plain = session.output("de-a")
    padded = study_pb2.Output.FromString(plain.SerializeToString() + b"\xfa\x3e\x03abc")
    assert padded.ByteSize() > plain.ByteSize()

    session.says("de-a", output=padded)

    assert session.kept == [("output", "de-a", plain.SerializeToString(deterministic=True))]
