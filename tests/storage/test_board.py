"""The board: papers in order, each once, and bounds that nobody gets round."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upcare_mpc.errors import InputError, RefusedError
from upcare_mpc.storage import board as module
from upcare_mpc.storage.board import MAX_CEREMONY_BYTES, MAX_OPENED, MAX_PAPER_BYTES, Board
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import COORDINATOR

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = timedelta(days=31)
CEREMONY, REQUEST = b"c" * 32, b"r" * 32
KEY = b"k" * 32


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Database(f"sqlite:///{tmp_path / 'coordinator.db'}", COORDINATOR) as database:
        yield Board(database)


def post(
    board: Board, kind: str, content: bytes = b"", *, topic: bytes = CEREMONY, sender: str = "de-a"
) -> None:
    board.post(topic, sender=sender, kind=kind, content=content, time=NOON)


def file(
    board: Board, topic: bytes = REQUEST, *, owner: bytes = KEY, time: datetime = NOON
) -> None:
    board.file(topic, owner=owner, filing=b"filing of " + topic, time=time)


def name(number: int) -> bytes:
    return number.to_bytes(32)


# --- papers ---------------------------------------------------------------------------------------


def test_papers_come_back_as_they_came_in_order(board: Board) -> None:
    post(board, "proposal", b"p")
    post(board, "seat", b"s", sender="fr-a")
    post(board, "dealing", bytes(MAX_CEREMONY_BYTES))

    papers = board.read(CEREMONY)

    assert [(p.number, p.sender, p.kind) for p in papers] == [
        (1, "de-a", "proposal"),
        (2, "fr-a", "seat"),
        (3, "de-a", "dealing"),
    ]
    assert [p.content for p in papers] == [b"p", b"s", bytes(MAX_CEREMONY_BYTES)]
    assert {p.time for p in papers} == {NOON}
    assert [p.number for p in board.read(CEREMONY, after=1)] == [2, 3]
    assert [p.number for p in board.read(CEREMONY, after=1, at_most=1)] == [2]
    assert board.read(CEREMONY, after=3) == ()


def test_the_same_paper_again_changes_nothing(board: Board) -> None:
    for _ in range(2):
        post(board, "proposal", b"p")
        post(board, "seat", b"s")
    post(board, "seat", b"s", sender="fr-a")  # another's, though it says the same
    post(board, "report", b"s")  # nor is it the same as another kind

    assert [p.sender for p in board.read(CEREMONY)] == ["de-a", "de-a", "fr-a", "de-a"]


def test_what_contradicts_an_earlier_paper_is_kept_for_everybody_to_see(board: Board) -> None:
    post(board, "proposal")
    post(board, "dealing", b"one")
    post(board, "dealing", b"two")

    assert [p.content for p in board.read(CEREMONY, after=1)] == [b"one", b"two"]


def test_many_who_post_at_once_get_numbers_without_gaps(board: Board) -> None:
    post(board, "proposal")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: post(board, "seat", b"s", sender=f"de-{n}"), range(20)))

    assert [p.number for p in board.read(CEREMONY)] == list(range(1, 22))


def test_a_filing_opens_a_request_that_its_key_alone_owns(board: Board) -> None:
    file(board)
    file(board)

    (filing,) = board.read(REQUEST)
    assert (filing.sender, filing.kind, filing.content) == ("", "filing", b"filing of " + REQUEST)
    assert board.filed(REQUEST, owner=KEY)
    assert not board.filed(REQUEST, owner=b"l" * 32)
    assert not board.filed(name(1), owner=KEY)


def test_nobody_owns_a_ceremony(board: Board) -> None:
    post(board, "proposal")

    assert not board.filed(CEREMONY, owner=b"")
    with pytest.raises(InputError, match="a ceremony on the board has the name of this request"):
        file(board, CEREMONY)


def test_topics_are_listed_by_kind_oldest_first(board: Board) -> None:
    post(board, "proposal", topic=name(1))
    file(board, name(2))
    post(board, "proposal", topic=name(3))

    assert board.topics("ceremony") == ((1, name(1)), (3, name(3)))
    assert board.topics("ceremony", after=1) == ((3, name(3)),)
    assert board.topics("request") == ((2, name(2)),)


def test_who_has_approved_is_known(board: Board) -> None:
    file(board)
    post(board, "approval", b"yes", topic=REQUEST)

    assert board.has(REQUEST, sender="de-a", kind="approval")
    assert not board.has(REQUEST, sender="fr-a", kind="approval")
    assert not board.has(REQUEST, sender="de-a", kind="refusal")


def test_a_fetch_is_noted_once(board: Board) -> None:
    file(board)
    for edition in (b"1", b"1", b"2"):
        board.note_fetch(REQUEST, edition, time=NOON)

    notes = board.read(REQUEST, after=1)
    assert [(p.sender, p.kind, p.content) for p in notes] == [
        ("platform", "fetch", b"1"),
        ("platform", "fetch", b"2"),
    ]
    with pytest.raises(InputError, match="there is no request"):
        board.note_fetch(name(1), b"1", time=NOON)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fetch", "filing", "", "Seat", "seat ", "x" * 10_000])
def test_a_registry_posts_what_registries_post_and_nothing_else(board: Board, kind: str) -> None:
    file(board)

    with pytest.raises(InputError, match="registries leave papers of kind proposal, seat"):
        post(board, kind, topic=REQUEST)


@pytest.mark.parametrize("kind", ["seat", "dealing", "sub-share", "report", "confirmation"])
def test_a_paper_of_a_ceremony_needs_one(board: Board, kind: str) -> None:
    file(board)

    for topic in (CEREMONY, REQUEST):
        with pytest.raises(InputError, match="there is no ceremony of this name on the board"):
            post(board, kind, topic=topic)


@pytest.mark.parametrize("kind", ["approval", "refusal", "fragment"])
def test_a_paper_on_a_request_needs_one(board: Board, kind: str) -> None:
    post(board, "proposal")

    for topic in (CEREMONY, REQUEST):
        with pytest.raises(InputError, match="there is no request of this name on the board"):
            post(board, kind, topic=topic)


def test_a_proposal_does_not_go_on_a_request(board: Board) -> None:
    file(board)

    with pytest.raises(InputError, match="there is no ceremony"):
        post(board, "proposal", topic=REQUEST)


@pytest.mark.parametrize("topic", [b"", b"c" * 31, b"c" * 33, b"c" * 1000])
def test_a_topic_is_named_by_32_bytes(board: Board, topic: bytes) -> None:
    with pytest.raises(InputError, match=f"named by 32 bytes, got {len(topic)}"):
        post(board, "proposal", topic=topic)
    with pytest.raises(InputError, match=f"named by 32 bytes, got {len(topic)}"):
        file(board, topic)


def test_a_paper_that_is_too_long_is_refused_and_opens_nothing(board: Board) -> None:
    with pytest.raises(InputError, match="at most 16384 bytes, got 16385"):
        post(board, "proposal", bytes(MAX_CEREMONY_BYTES + 1))
    with pytest.raises(InputError, match="at most 65536 bytes, got 65537"):
        board.file(REQUEST, owner=KEY, filing=bytes(MAX_PAPER_BYTES + 1), time=NOON)

    assert board.topics("ceremony") == board.topics("request") == ()


def test_an_unknown_topic_is_said_to_be_unknown(board: Board) -> None:
    with pytest.raises(InputError, match="there is no topic of this name"):
        board.read(CEREMONY)


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "most"), [("seat", 64), ("approval", 16)])
def test_one_registry_does_not_fill_a_topic(board: Board, kind: str, most: int) -> None:
    topic = CEREMONY if kind == "seat" else REQUEST
    post(board, "proposal", sender="fr-a")
    file(board)
    for number in range(most):
        post(board, kind, name(number), topic=topic)

    with pytest.raises(RefusedError, match="the topic is full"):
        post(board, kind, b"one more", topic=topic)
    post(board, kind, name(0), topic=topic)  # is there already
    post(board, kind, b"one more", topic=topic, sender="fr-a")


def test_all_registries_together_do_not_fill_the_disk(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAPERS", 5)
    file(board)
    for number in range(4):
        post(board, "approval", topic=REQUEST, sender=f"de-{number}")

    with pytest.raises(RefusedError, match="the topic is full"):
        post(board, "approval", topic=REQUEST, sender="de-z")
    with pytest.raises(RefusedError, match="the topic is full"):  # and nothing is fetched unnoted
        board.note_fetch(REQUEST, b"1", time=NOON)
    assert len(board.read(REQUEST)) == 5


def test_a_registry_opens_a_hundred_ceremonies_a_month(board: Board) -> None:
    for number in range(MAX_OPENED["ceremony"]):
        post(board, "proposal", topic=name(number))

    with pytest.raises(RefusedError, match="a registry opens at most 10 ceremonies in 31 days"):
        post(board, "proposal")
    post(board, "proposal", sender="fr-a")  # another may
    later = NOON + MONTH
    board.post(name(100), sender="de-a", kind="proposal", content=b"", time=later)


def test_a_key_files_a_hundred_requests_a_month(board: Board) -> None:
    for number in range(MAX_OPENED["request"]):
        file(board, name(number))

    with pytest.raises(RefusedError, match="a key files at most 100 requests in 31 days"):
        file(board)
    file(board, name(0))  # is there already
    file(board, name(100), owner=b"l" * 32)
    file(board, name(101), time=NOON + MONTH)


@pytest.fixture
def small(board: Board, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(module, "MAX_REQUESTS", 3)
    return board


def test_a_full_board_lets_go_of_what_is_void(small: Board) -> None:
    for number in range(3):
        file(small, name(number), time=NOON + timedelta(days=number))
    post(small, "approval", topic=name(0))
    post(small, "refusal", topic=name(1))

    file(small, name(3), time=NOON + timedelta(days=1) + MONTH)

    # The first has an approval, the second had none and is 31 days old.
    assert small.topics("request") == ((1, name(0)), (3, name(2)), (4, name(3)))
    with pytest.raises(InputError, match="there is no topic"):
        small.read(name(1))


def test_a_full_board_lets_go_of_nothing_that_is_valid(small: Board) -> None:
    for number in range(3):
        file(small, name(number))

    with pytest.raises(RefusedError, match="the board is full"):
        file(small, name(3), time=NOON + MONTH - timedelta(seconds=1))

    assert [topic for _, topic in small.topics("request")] == [name(0), name(1), name(2)]


def test_numbers_of_topics_only_grow(small: Board) -> None:
    # A reader who asks behind the last number that it knows misses nothing.
    for month in range(6):
        for number in range(3):
            file(small, name(3 * month + number), time=NOON + month * MONTH)

    assert small.topics("request") == tuple((n + 1, name(n)) for n in (15, 16, 17))


def test_ceremonies_stay_when_requests_make_way(small: Board) -> None:
    post(small, "proposal")
    for number in range(8):
        file(small, name(number), time=NOON + number * MONTH)

    assert [topic for _, topic in small.topics("ceremony")] == [CEREMONY]


def test_the_board_survives_the_platform(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'coordinator.db'}"
    with Database(url, COORDINATOR) as database:
        post(Board(database), "proposal", b"p")

    with Database(url, COORDINATOR) as database:
        assert [p.content for p in Board(database).read(CEREMONY)] == [b"p"]
    (table,) = sqlite3.connect(tmp_path / "coordinator.db").execute("SELECT count(*) FROM board")
    assert table == (1,)
