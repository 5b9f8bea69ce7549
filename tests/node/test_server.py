"""A node among messages: what it answers, and what it survives."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from registries import Registries, counts, registries
from sqlalchemy import select

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.errors import DataError, PrivacyError, RefusedError
from upcare_mpc.link.availability import read_availability
from upcare_mpc.link.statements import question_digest
from upcare_mpc.node import server
from upcare_mpc.node import session as session_module
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.server import MAX_SESSIONS
from upcare_mpc.records.availability import Availability, listed_variables
from upcare_mpc.storage.schema import QUESTIONS
from upcare_mpc.study.language import parse

Quote = coordinator_pb2.Quote


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


def quote(network: Registries, **study: str) -> coordinator_pb2.Quote:
    request = network.request(counts(**study))
    (answer,) = network["de-a"].hears(offer=coordinator_pb2.Offer(request=request, submitted=True))
    return answer.quote


def test_a_quote_says_yes_what_is_left_and_on_which_data(network: Registries) -> None:
    answer = quote(network)

    assert answer.verdict == Quote.VERDICT_YES
    assert answer.epsilon_left == "10"
    assert Fraction(answer.rho_left) == network["de-a"].node.books.ledger().caps.everything.rho
    assert answer.snapshot == network["de-a"].node.snapshot.digest
    assert network["de-a"].charges == []


def test_a_node_introduces_itself_with_what_its_operator_states(network: Registries) -> None:
    node = network["de-a"].node
    stated = Availability(
        variables=listed_variables(["sex", "age"]), years=(1999, 2023), note="stage from 2016 on"
    )

    assert node._join() == coordinator_pb2.Join(version="1")
    node.party = replace(node.party, catalogue=stated)
    assert read_availability(node._join().availability) == stated


def test_another_snapshot_is_answered_from_as_soon_as_it_is_in_force(
    network: Registries,
) -> None:
    """An approval that was given on the old data does not hold on the new."""
    node = network["de-a"].node
    old, new = node.snapshot, replace(node.snapshot, digest=b"n" * 32, origin="as made up")
    request = network.request(counts())
    question = question_digest(counts().digest, request.signing_key)
    node.books.grant(question)
    assert node.books.standing(question)[0] is Standing.GRANTED
    node._renew = lambda _: new

    asyncio.run(node.renew_data())

    assert quote(network).snapshot == new.digest != old.digest
    assert node.books.standing(question)[0] is not Standing.GRANTED
    assert network["de-a"].log[-1] == "another snapshot is in force: as made up"


def test_a_snapshot_that_cannot_be_taken_leaves_the_old_one(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network["de-a"].node
    old = node.snapshot

    def broken(*_: object) -> None:
        raise DataError("the snapshot has other rows than its name says")

    async def watch_for_a_while() -> None:
        monkeypatch.setattr(server, "WATCH_S", 0.01)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(node._watch_data(), 0.2)

    node._renew = broken
    asyncio.run(watch_for_a_while())

    assert node.snapshot is old
    told = [line for line in network["de-a"].log if "other rows" in line]
    assert told == [
        "the snapshot that was read stays in use: the snapshot has other rows than its name says"
    ]


def test_the_next_freeze_is_taken_a_fixed_time_after_it_is_due(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network["de-a"].node
    old = node.snapshot.digest
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(server, "renewal_time", lambda cases: 1000.0 + cases)
    network["de-a"].clock.today += timedelta(days=7)
    monkeypatch.setattr(server.asyncio, "sleep", note)
    asyncio.run(node.renew_data())

    assert node.snapshot.digest != old
    assert waits == [pytest.approx(1000.0 + node.party.data.cases_at_most, abs=60)]


def test_a_node_that_cannot_freeze_answers_does_not_go_on_with_old_ones(
    network: Registries,
) -> None:
    """Who objects must not be counted for ever because a disk is full."""
    request = network.researcher.request(counts(), "preview", now=time.time())
    offer = coordinator_pb2.Offer(request=request)
    proposal = network.proposal(counts())[1]
    last_day = network["de-a"].node.snapshot.cases.consents.last_day
    network["de-a"].clock.today = last_day + timedelta(days=1)
    (answer,) = network["de-a"].hears(offer=offer)
    assert answer.quote.verdict == Quote.VERDICT_YES

    network["de-a"].clock.today = last_day + timedelta(days=2)
    (answer,) = network["de-a"].hears(offer=offer)
    assert answer.quote.verdict == Quote.VERDICT_NO
    assert answer.quote.reason == "waits for its operator"
    (answer,) = network["de-a"].hears(proposal=proposal)
    assert answer.failure.text == "waits for its operator"


def test_the_text_of_a_study_that_is_agreed_to_is_kept(network: Registries) -> None:
    network["de-a"].hears(proposal=network.proposal(counts())[1])

    with network["de-a"].database.read() as connection:
        kept = connection.execute(select(QUESTIONS.c.study, QUESTIONS.c.canonical)).all()
    assert kept == [(counts().digest, counts().canonical())]


def test_a_stranger_is_refused_and_told_nothing_of_the_registry(
    network: Registries, tmp_path: Path
) -> None:
    new_researcher(tmp_path / "stranger", identity_folder=tmp_path / "net", platform="localhost:1")
    request = Researcher.load(tmp_path / "stranger").request(counts(), now=time.time())

    (answer,) = network["de-a"].hears(offer=coordinator_pb2.Offer(request=request))

    assert answer.quote == Quote(
        study_digest=counts().digest,
        registry="de-a",
        verdict=Quote.VERDICT_NO,
        reason="does not know this researcher's key",
    )


def test_a_known_key_without_its_signature_is_told_nothing_of_the_registry(
    network: Registries,
) -> None:
    request = network.request(counts())
    request.signature = bytes(64)

    (answer,) = network["de-a"].hears(offer=coordinator_pb2.Offer(request=request))

    assert (answer.quote.snapshot, answer.quote.certificate) == (b"", "")
    assert (answer.quote.epsilon_left, answer.quote.rho_left) == ("", "")


def test_a_quote_over_budget_is_no_in_words(network: Registries) -> None:
    for number in range(2):
        study = counts(f"before {number}", epsilon="4")
        network["de-a"].node.books.agree(
            network.question(study), bytes([number] * 32), network.request(study)
        )

    answer = quote(network, epsilon="3")

    assert answer.verdict == Quote.VERDICT_NO
    assert "epsilon 3 asked, 2 left under the cap for all studies" in answer.reason


def test_what_a_population_file_lacks_is_said_before_anything_is_spent(
    network: Registries,
) -> None:
    """In the quote, and again to a platform that proposes the session all the same."""
    study = replace(
        counts(), kind="incidence", options={}, where=parse("diagnosis_year = 1986", place="")
    )
    request = network.request(study)
    registry = network["de-a"]

    (answer,) = registry.hears(offer=coordinator_pb2.Offer(request=request, submitted=True))
    _, proposal = network.proposal(study, request)
    (refused,) = registry.hears(proposal=proposal)

    assert answer.quote.verdict == Quote.VERDICT_NO
    assert answer.quote.reason == "has no population file"
    assert refused.failure.text == "has no population file"
    assert registry.charges == []
    assert registry.workers == []


def test_a_damaged_journal_is_a_no_not_a_silence(network: Registries) -> None:
    study = counts()
    network["de-a"].node.books.agree(network.question(study), bytes(32), network.request(study))
    with network["de-a"].database.write() as connection:
        connection.exec_driver_sql("UPDATE journal SET body = '{}'")

    answer = quote(network)

    assert answer.verdict == Quote.VERDICT_NO
    assert "journal entry 1: it was altered" in answer.reason


def test_with_manual_approval_a_submitted_study_waits_and_a_previewed_one_does_not(
    tmp_path: Path,
) -> None:
    network = registries(tmp_path, approval="manual")
    node = network["de-a"].node
    request = network.request(counts())

    network["de-a"].hears(offer=coordinator_pb2.Offer(request=request, submitted=False))
    assert not node.waiting
    (answer,) = network["de-a"].hears(offer=coordinator_pb2.Offer(request=request, submitted=True))

    assert answer.quote.verdict == Quote.VERDICT_PENDING
    assert list(node.waiting) == [question_digest(counts().digest, request.signing_key)]
    network.close()


def test_without_the_operators_yes_a_session_is_not_agreed_to(tmp_path: Path) -> None:
    network = registries(tmp_path, approval="manual")
    _, proposal = network.proposal(counts())

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert answer.failure.text == "the operator has not approved this question"
    assert network["de-a"].charges == []
    network.close()


def test_a_reservation_without_the_operators_yes_is_released(tmp_path: Path) -> None:
    """As it is for the deposit of a registry without a node, which nobody has checked before."""
    network = registries(tmp_path, approval="manual")
    study = counts()
    with pytest.raises(RefusedError, match="the operator has not approved this question"):
        network["de-a"].node.books.agree(network.question(study), bytes(32), network.request(study))
    assert network["de-a"].charges == ["released"]
    network.close()


def test_a_session_that_is_never_started_is_given_up_and_costs_nothing(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "START_S", 0.1)
    _, proposal = network.proposal(counts())

    async def approve_and_wait() -> list[coordinator_pb2.AttendRequest]:
        await network["de-a"].hear(proposal=proposal)
        await asyncio.sleep(0.3)
        return network["de-a"].said()

    (answer,) = asyncio.run(approve_and_wait())

    assert "was not started within" in answer.failure.text
    assert answer.failure.HasField("no_output")
    assert network["de-a"].charges == ["released"]
    assert not network["de-a"].workers[0].alive


def test_a_node_takes_no_more_sessions_than_it_says(network: Registries) -> None:
    answers = []
    for number in range(MAX_SESSIONS + 1):
        _, proposal = network.proposal(counts(f"session {number}"))
        answers += network["de-a"].hears(proposal=proposal)

    assert [answer.HasField("approval") for answer in answers] == [True] * MAX_SESSIONS + [False]
    assert "is busy" in answers[-1].failure.text


def test_sessions_under_preparation_count_too(network: Registries) -> None:
    proposals = [network.proposal(counts(f"at once {n}"))[1] for n in range(MAX_SESSIONS + 2)]

    async def all_at_once() -> list[list[coordinator_pb2.AttendRequest]]:
        heard = [network["de-a"].hear(proposal=proposal) for proposal in proposals]
        return await asyncio.gather(*heard)

    answers = [answer for said in asyncio.run(all_at_once()) for answer in said]

    assert [a.HasField("approval") for a in answers].count(True) == MAX_SESSIONS
    assert [a.failure.text for a in answers].count("is busy with 2 sessions") == 2
    assert len(network["de-a"].workers) == MAX_SESSIONS


def test_messages_about_unknown_sessions_change_nothing(network: Registries) -> None:
    registry, digest = network["de-a"], bytes(32)

    answers = [
        *registry.hears(start=coordinator_pb2.Start(session_digest=digest)),
        *registry.hears(abort=coordinator_pb2.Abort(session_digest=digest)),
        *registry.hears(recall=coordinator_pb2.Recall(session_digest=digest)),
        *registry.hears(finished=coordinator_pb2.Finished(session_digest=digest)),
        *registry.hears(releases=coordinator_pb2.Releases(descriptor=b"?")),
    ]

    assert answers == []
    assert registry.charges == []


def test_a_reservation_left_behind_by_a_crash_is_given_back_at_the_next_start(
    network: Registries,
) -> None:
    books, question = network["de-a"].node.books, network.question(counts())
    books.agree(question, bytes(32), network.request(counts()))
    books._sessions.erase(bytes(32), question.digest, time=session_time())

    assert books.unfinished() == [(question.digest, bytes(32))]
    books.erase(question.digest, bytes(32))

    assert network["de-a"].charges == ["released"]
    assert books.unfinished() == []


def session_time() -> object:
    import datetime

    return datetime.datetime.now(datetime.UTC)


def test_a_recall_of_an_erased_session_is_answered_with_the_signed_word(
    network: Registries,
) -> None:
    session = bytes([77] * 32)
    network["de-a"].node.books.erase(bytes(32), session)

    (answer,) = network["de-a"].hears(recall=coordinator_pb2.Recall(session_digest=session))

    assert answer.failure.no_output.registry == "de-a"


def test_a_refusal_for_the_budget_leaves_the_operators_yes_standing(tmp_path: Path) -> None:
    network = registries(tmp_path, approval="manual")
    study = counts("too dear", epsilon="50")
    request = network.request(study)
    books, question = network["de-a"].node.books, network.question(study)
    asked = question_digest(question.digest, request.signing_key)
    books.grant(asked)

    with pytest.raises(PrivacyError):
        books.agree(question, bytes([3] * 32), request)

    assert books.standing(asked)[0] is Standing.GRANTED
    network.close()


def test_patients_are_told_of_no_study_that_the_registry_has_not_agreed_to(
    network: Registries,
) -> None:
    books, database = network["de-a"].node.books, network["de-a"].node.books._sessions._database
    for number, study in enumerate((counts("cheap"), counts("too dear", epsilon="50"))):
        with contextlib.suppress(PrivacyError):
            books.agree(network.question(study), bytes([number] * 32), network.request(study))

    with database.read() as connection:
        kept = connection.execute(select(QUESTIONS.c.study)).scalars().all()

    assert kept == [network.question(counts("cheap")).digest]


def test_a_yes_to_one_researcher_is_none_to_another(tmp_path: Path) -> None:
    network = registries(tmp_path, approval="manual")
    study = counts("asked by two")
    request = network.request(study)
    books, question = network["de-a"].node.books, network.question(study)
    books.grant(question_digest(question.digest, bytes([9] * 32)))

    with pytest.raises(RefusedError, match="has not approved"):
        books.agree(question, bytes([4] * 32), request)
    network.close()
