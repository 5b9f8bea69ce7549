"""Story: a registry is shown one project, and the key is for another.

What an operator reads is the application: title, purposes, diseases, claims. What a key opens is
said by the attributes of the request. Whoever could show one and have the other signed would get a
key for methods development approved as a study on breast cancer. The adversary is the researcher
together with the platform, which may show each registry another filing under one topic.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from applications import KEY, NOW, SIGNING, application, filed
from desks import Desk, MemoryBoard, committee

from upcare_mpc.access.application import Application, attributes_of
from upcare_mpc.access.papers import Filing, filing_statement
from upcare_mpc.errors import InputError, ProtocolError, RefusedError

COMMITTEE, _ = committee()
HARMLESS = application(title="Survival after breast cancer")
GREEDY = application(
    title="Everything about everybody",
    purposes=frozenset({"DUO:0000042"}),
    diseases=application().diseases | {"C61"},
    salt=HARMLESS.salt,
)


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


@pytest.fixture
def desk(tmp_path: Path, board: MemoryBoard) -> Desk:
    return Desk(tmp_path, board, "de-a")


def under(shown: Application, request_of: Application) -> Filing:
    """A filing that shows one application over the request of another, properly signed."""
    request = filed(COMMITTEE, request_of).request
    return Filing(
        request=request,
        application=shown,
        key=KEY,
        signature=SIGNING.sign(filing_statement(request)),
    )


def test_the_harmless_application_over_the_greedy_request_is_no_filing(
    board: MemoryBoard, desk: Desk
) -> None:
    swapped = under(HARMLESS, GREEDY)
    board.leave(swapped.request.digest, "", "filing", bytes(swapped))

    with pytest.raises(ProtocolError, match="not the one that the request is for"):
        Filing.from_bytes(bytes(swapped))
    assert desk.sync() == []


def test_the_harmless_nonce_over_greedy_attributes_is_not_approved(
    board: MemoryBoard, desk: Desk
) -> None:
    """The application is the request's; the attributes are more than it says."""
    digest = board.file(filed(COMMITTEE, HARMLESS, attributes=attributes_of(GREEDY)))

    with pytest.raises(RefusedError, match="are not those of the application"):
        desk.approve(digest)
    assert board.read(digest).approvals == {}


def test_fewer_attributes_than_the_application_says_are_not_approved_either(
    board: MemoryBoard, desk: Desk
) -> None:
    """One text, one key: what was read is what is issued, not something inside it."""
    fewer = tuple(name for name in attributes_of(HARMLESS) if name != "use:ds")
    digest = board.file(filed(COMMITTEE, HARMLESS, attributes=fewer))

    with pytest.raises(RefusedError, match="are not those of the application"):
        desk.approve(digest)


@pytest.mark.parametrize(
    "other",
    [
        replace(HARMLESS, title="Survival after breast cancers"),
        replace(HARMLESS, evidence={}),
        replace(HARMLESS, salt=bytes(16)),
    ],
    ids=["title", "evidence", "salt"],
)
def test_two_applications_never_share_a_request(other: Application) -> None:
    """Even where the attributes are equal, another word is another request."""
    mine, theirs = filed(COMMITTEE, HARMLESS), filed(COMMITTEE, other)

    assert mine.request.digest != theirs.request.digest
    with pytest.raises(ProtocolError):
        Filing.from_bytes(bytes(replace(mine, application=other)))


def test_the_platform_swaps_the_filing_after_the_registry_has_read_it(
    board: MemoryBoard, desk: Desk
) -> None:
    filing = filed(COMMITTEE, HARMLESS)
    digest = board.file(filing)
    shown = desk.case(digest)
    greedy = filed(COMMITTEE, GREEDY)
    board.topics[digest] = [replace(board.topics[digest][0], content=bytes(greedy))]

    desk.requests.approve(shown, policy=desk.policy, time=NOW)
    assert desk.case(digest).filing == filing  # its own copy counts
    assert [entry.fields()["request"] for entry in desk.journal("access.approve")] == [digest.hex()]
    assert set(board.read(digest).approvals) == {"de-a"}


def test_a_title_that_hides_something_on_the_operators_screen() -> None:
    for title in ("good\x1b[2K\rbad", "good\u202edab", "good\u200bbad", "a\nb"):
        with pytest.raises(InputError, match="title: wanted one line"):
            application(title=title)
