"""Somebody tries to make a registry pay twice for one session, or run two for one charge.

The key of a charge is (study, session), and a session is used once: whatever is repeated, by a
platform that replays, by two that race, or by a node that restarts, there is one charge for each
session and one session for each charge.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from registries import Registries, Registry, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import BudgetExceeded, PrivacyError, SessionError
from upcare_mpc.link.statements import approval_statement
from upcare_mpc.node.pipe import Message
from upcare_mpc.node.question import charge
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study

GAUSSIAN = 'mechanism = "gaussian"\nepsilon = 5\ndelta = 1e-7'


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


def approvals(network: Registries, descriptor: Descriptor) -> list[study_pb2.Approval]:
    """The signed approvals of all registries of a session."""
    signed = []
    for member in descriptor.roster:
        statement = approval_statement(descriptor.digest, member.name, "localhost:7000")
        signed.append(
            study_pb2.Approval(
                session_digest=descriptor.digest,
                registry=member.name,
                endpoint="localhost:7000",
                signature=network.identity(member.name).sign(statement),
            )
        )
    return signed


def test_the_same_proposal_again_is_refused(network: Registries) -> None:
    _, proposal = network.proposal(counts())
    network["de-a"].hears(proposal=proposal)

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert answer.failure.text.endswith("already agreed; a session is used once")
    assert network["de-a"].charges == ["reserved"]


def test_a_session_started_twice_runs_and_spends_once(network: Registries) -> None:
    descriptor, proposal = network.proposal(counts())
    start = coordinator_pb2.Start(
        session_digest=descriptor.digest, approvals=approvals(network, descriptor)
    )

    async def start_twice(registry: Registry) -> list[coordinator_pb2.AttendRequest]:
        await registry.hear(proposal=proposal)
        (worker,) = registry.workers
        for say in ("spend", "done"):
            worker.messages.put_nowait(Message(say=say))
        await asyncio.gather(registry.hear(start=start), registry.hear(start=start))
        await registry.hear(start=start)
        return registry.said()

    asyncio.run(start_twice(network["de-a"]))

    (worker,) = network["de-a"].workers
    assert worker.told == ["start", "spent"]
    assert network["de-a"].charges == ["spent"]


def test_a_session_without_every_approval_is_not_started(network: Registries) -> None:
    descriptor, proposal = network.proposal(counts())
    some = approvals(network, descriptor)[:-1]

    async def begin(registry: Registry) -> None:
        await registry.hear(proposal=proposal)
        start = coordinator_pb2.Start(session_digest=descriptor.digest, approvals=some)
        await registry.hear(start=start)

    asyncio.run(begin(network["de-a"]))

    assert network["de-a"].workers[0].told == []
    assert network["de-a"].charges == ["released"]


def test_an_approval_signed_by_another_does_not_start_a_session(network: Registries) -> None:
    descriptor, proposal = network.proposal(counts())
    forged = approvals(network, descriptor)
    forged[1].signature = network.identity("de-c").sign(
        approval_statement(descriptor.digest, "de-b", "localhost:7000")
    )

    async def begin(registry: Registry) -> None:
        await registry.hear(proposal=proposal)
        start = coordinator_pb2.Start(session_digest=descriptor.digest, approvals=forged)
        await registry.hear(start=start)

    asyncio.run(begin(network["de-a"]))

    assert network["de-a"].workers[0].told == []
    assert network["de-a"].charges == ["released"]


def test_two_spends_of_one_session_are_one(network: Registries) -> None:
    descriptor, proposal = network.proposal(counts())
    network["de-a"].hears(proposal=proposal)
    books, question = network["de-a"].node.books, network.question(counts())
    books.spend(question, descriptor.digest)

    with pytest.raises(PrivacyError, match="spend wants a charge reserved, it is spent"):
        books.spend(question, descriptor.digest)

    assert network["de-a"].charges == ["spent"]


def test_two_studies_that_race_for_the_last_of_a_budget_get_it_once(network: Registries) -> None:
    books = network["de-a"].node.books
    for number in range(2):
        study = counts(f"before {number}", epsilon="4")
        books.agree(network.question(study), bytes([number] * 32), network.request(study))

    outcomes = race(network, [counts(f"racer {number}", epsilon="2") for number in range(4)])

    assert outcomes == ["agreed", "refused", "refused", "refused"]
    assert books.ledger().balance().epsilon_left == 0


def race(network: Registries, studies: list[Study]) -> list[str]:
    """Let one thread a study agree to it, all at once; how each ended."""
    books = network["de-a"].node.books
    outcomes: list[str] = []

    def run(number: int, study: Study) -> None:
        question, request = network.question(study), network.request(study)
        try:
            books.agree(question, bytes([100 + number] * 32), request)
            outcomes.append("agreed")
        except BudgetExceeded:
            outcomes.append("refused")

    racers = [threading.Thread(target=run, args=racer) for racer in enumerate(studies)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    return sorted(outcomes)


def test_gaussian_studies_that_run_at_the_same_time_do_not_pass_the_cap_together(
    network: Registries,
) -> None:
    studies = [counts(f"racer {number}", privacy=GAUSSIAN) for number in range(8)]
    cap = network["de-a"].node.books.ledger().caps.everything
    fit = int(cap.rho / network.question(studies[0]).guarantee.loss.rho)
    assert 2 <= fit <= 6

    outcomes = race(network, studies)

    assert outcomes == ["agreed"] * fit + ["refused"] * (8 - fit)
    assert network["de-a"].node.books.ledger().balance().together.rho <= cap.rho


def test_a_laplace_and_a_gaussian_study_that_each_fit_alone_are_not_both_taken(
    network: Registries,
) -> None:
    """The first fits by the sum of epsilons only, which the second ends."""
    studies = [counts("large", epsilon="5"), counts("gaussian", privacy=GAUSSIAN)]
    ledger = network["de-a"].node.books.ledger()
    for study in studies:
        ledger.check(charge(network.question(study)))

    outcomes = race(network, studies)

    assert outcomes == ["agreed", "refused"]


def test_an_output_is_resent_byte_for_byte_and_never_replaced(network: Registries) -> None:
    descriptor, proposal = network.proposal(counts())
    network["de-a"].hears(proposal=proposal)
    books, question = network["de-a"].node.books, network.question(counts())
    books.spend(question, descriptor.digest)
    output = study_pb2.Output(
        session_digest=descriptor.digest, sealed=b"sealed"
    ).SerializeToString()
    books.store_output(question, descriptor.digest, output)
    recall = coordinator_pb2.Recall(session_digest=descriptor.digest)

    first, second = (network["de-a"].hears(recall=recall) for _ in range(2))

    assert first == second
    assert first[0].output.SerializeToString() == output
    with pytest.raises(SessionError):
        books.store_output(question, descriptor.digest, b"another")


def test_after_a_restart_no_session_goes_on(network: Registries) -> None:
    descriptor, proposal = network.proposal(counts())
    network["de-a"].hears(proposal=proposal)
    books, question = network["de-a"].node.books, network.question(counts())
    books.spend(question, descriptor.digest)

    assert books.unfinished() == [(question.digest, descriptor.digest)]
    assert books.erase(question.digest, descriptor.digest)

    with pytest.raises(SessionError):
        books.store_output(question, descriptor.digest, b"late")
    assert network["de-a"].charges == ["spent"]
    assert books.unfinished() == []
