"""A node's sessions: an output and a word that none left can never both exist."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from upcare_mpc.errors import SessionError
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE, QUESTIONS
from upcare_mpc.storage.sessions import Sessions, SessionState

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 13, tzinfo=UTC)
STUDY, SESSION = b"s" * 32, b"n" * 32
REQUEST = b"r" * 32
OUTPUT = b"\x00sealed\xff"
TEXT = b'{"title":"Grades"}'


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database)


def brought_to(sessions: Sessions, state: SessionState, session: bytes = SESSION) -> None:
    sessions.agree(session, STUDY, b"r" + session[1:], canonical=TEXT, time=NOON)
    if state in (SessionState.SPENT, SessionState.REVEALED, SessionState.OUTPUT):
        sessions.spend(session, time=NOON)
    if state is SessionState.REVEALED:
        sessions.reveal(session, time=NOON)
    if state is SessionState.OUTPUT:
        sessions.store_output(session, OUTPUT, time=NOON)
    if state is SessionState.ERASED:
        sessions.erase(session, STUDY, time=NOON)


def test_the_output_is_given_back_byte_for_byte_even_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    with Database(url, NODE) as before:
        brought_to(Sessions(before), SessionState.OUTPUT)

    with Database(url, NODE) as after:
        assert Sessions(after).output(SESSION) == OUTPUT


def test_a_session_remembers_when_it_changed(sessions: Sessions) -> None:
    sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)

    sessions.spend(SESSION, time=LATER)

    row = sessions.get(SESSION)
    assert row is not None
    assert (row.state, row.study, row.output) == (SessionState.SPENT, STUDY, None)
    assert (row.created, row.changed) == ("2026-11-22T12:00:00.000Z", "2026-11-22T13:00:00.000Z")


def test_a_session_is_agreed_once(sessions: Sessions) -> None:
    sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)

    with pytest.raises(SessionError, match="already agreed; a session is used once"):
        sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)


def test_a_signed_request_is_used_once(sessions: Sessions) -> None:
    sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)

    with pytest.raises(SessionError, match="used before"):
        sessions.agree(b"another".ljust(32), STUDY, REQUEST, canonical=TEXT, time=NOON)


def test_an_erased_session_takes_no_output(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.SPENT)
    sessions.erase(SESSION, STUDY, time=NOON)

    with pytest.raises(SessionError, match="must be spent or revealed, it is erased"):
        sessions.store_output(SESSION, OUTPUT, time=NOON)


def test_a_session_with_an_output_cannot_be_erased(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.OUTPUT)

    with pytest.raises(SessionError, match="an output is stored and may have left"):
        sessions.erase(SESSION, STUDY, time=NOON)

    assert sessions.output(SESSION) == OUTPUT


def test_a_session_whose_bits_were_opened_cannot_be_erased(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.REVEALED)

    with pytest.raises(SessionError, match="bits of its result were opened"):
        sessions.erase(SESSION, STUDY, time=NOON)
    sessions.store_output(SESSION, OUTPUT, time=NOON)

    assert sessions.output(SESSION) == OUTPUT


def test_an_erased_session_opens_no_bits(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.SPENT)
    sessions.erase(SESSION, STUDY, time=NOON)

    with pytest.raises(SessionError, match="to become revealed it must be spent, it is erased"):
        sessions.reveal(SESSION, time=NOON)


def test_an_output_is_never_replaced(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.OUTPUT)

    with pytest.raises(SessionError, match="it is output"):
        sessions.store_output(SESSION, b"other", time=NOON)

    assert sessions.output(SESSION) == OUTPUT


def test_nothing_is_stored_before_the_budget_is_spent(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.AGREED)

    with pytest.raises(SessionError, match="must be spent or revealed, it is agreed"):
        sessions.store_output(SESSION, OUTPUT, time=NOON)


@pytest.mark.parametrize("state", [SessionState.SPENT, SessionState.OUTPUT, SessionState.ERASED])
def test_a_session_is_spent_once(sessions: Sessions, state: SessionState) -> None:
    brought_to(sessions, state)

    with pytest.raises(SessionError, match=f"must be agreed, it is {state.value}"):
        sessions.spend(SESSION, time=NOON)


def test_erasing_may_be_repeated(sessions: Sessions) -> None:
    brought_to(sessions, SessionState.ERASED)

    sessions.erase(SESSION, STUDY, time=LATER)

    row = sessions.get(SESSION)
    assert row is not None
    assert row.changed == "2026-11-22T12:00:00.000Z"


def test_a_session_erased_before_it_was_heard_of_is_refused_when_it_comes(
    sessions: Sessions,
) -> None:
    sessions.erase(SESSION, STUDY, time=NOON)

    with pytest.raises(SessionError, match="already erased"):
        sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)


def test_there_is_no_output_of_an_unknown_session(sessions: Sessions) -> None:
    with pytest.raises(SessionError, match="no output stored, it is unknown"):
        sessions.output(SESSION)


def test_a_race_of_output_and_erasure_has_one_winner(sessions: Sessions) -> None:
    def races(number: int) -> tuple[bool, bool]:
        session = number.to_bytes(32, "big")
        brought_to(sessions, SessionState.SPENT, session)
        with ThreadPoolExecutor(2) as pair:
            stored = pair.submit(sessions.store_output, session, OUTPUT, time=NOON)
            erased = pair.submit(sessions.erase, session, STUDY, time=NOON)
        return stored.exception() is None, erased.exception() is None

    outcomes = [races(number) for number in range(30)]

    assert all(stored != erased for stored, erased in outcomes)


def test_the_database_itself_refuses_an_erased_session_with_bytes(
    database: Database, sessions: Sessions
) -> None:
    brought_to(sessions, SessionState.OUTPUT)

    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(text("UPDATE sessions SET state = 'erased'"))


def test_all_sessions_are_listed_oldest_first(sessions: Sessions) -> None:
    sessions.agree(b"2" * 32, STUDY, b"q" * 32, canonical=TEXT, time=LATER)
    sessions.agree(b"1" * 32, STUDY, b"r" * 32, canonical=TEXT, time=NOON)

    assert [row.session[:1] for row in sessions.all()] == [b"1", b"2"]


def kept(database: Database) -> list[tuple[bytes, bytes, str]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(select(QUESTIONS))]


def test_the_text_of_a_study_is_kept_once_with_its_first_session(
    sessions: Sessions, database: Database
) -> None:
    sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)
    sessions.agree(b"2" * 32, STUDY, b"q" * 32, canonical=TEXT, time=LATER)

    assert kept(database) == [(STUDY, TEXT, "2026-11-22T12:00:00.000Z")]


def test_a_session_that_is_refused_leaves_no_text(sessions: Sessions, database: Database) -> None:
    sessions.agree(SESSION, STUDY, REQUEST, canonical=TEXT, time=NOON)

    with pytest.raises(SessionError):
        sessions.agree(b"2" * 32, b"t" * 32, REQUEST, canonical=TEXT, time=NOON)

    assert [study for study, _, _ in kept(database)] == [STUDY]
