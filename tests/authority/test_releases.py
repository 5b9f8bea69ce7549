"""Fragments leave once, when nothing is missing, and come again as they were."""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from applications import NOW, SEALING, application, filed, identity
from desks import Cut, Desk, MemoryBoard, committee, outcomes, policy

from upcare_mpc.abe.issuance import Fragment, combine, verify_fragment
from upcare_mpc.access.papers import SealedFragment, fragment_statement
from upcare_mpc.access.sealing import unseal
from upcare_mpc.authority.releases import repeated_randomness
from upcare_mpc.errors import RefusedError

Desks = dict[str, Desk]


@pytest.fixture
def digest(board: MemoryBoard) -> bytes:
    return board.file(filed(committee()[0], application()))


def approve(desks: Desks, digest: bytes, names: Iterable[str] = ("de-a", "de-b", "de-c")) -> None:
    for name in names:
        desks[name].approve(digest)


def opened(board: MemoryBoard, digest: bytes) -> list[Fragment]:
    return [
        Fragment.from_bytes(
            committee()[0].group,
            unseal(paper.sealed, SEALING, use="fragment", digest=digest, names=(paper.author,)),
        )
        for paper in board.read(digest).fragments.values()
    ]


def test_the_fragments_make_the_key(board: MemoryBoard, desks: Desks, digest: bytes) -> None:
    approve(desks, digest)
    assert outcomes(desks["de-a"].issue()) == [("released", "")]
    assert outcomes(desks["de-c"].issue()) == [("released", "")]

    request = desks["de-a"].case(digest).filing.request
    fragments = opened(board, digest)
    for fragment in fragments:
        verify_fragment(committee()[0], request, fragment, os.urandom)
    assert combine(committee()[0], request, fragments).attributes == request.attributes


def test_a_fragment_waits_for_approvals(board: MemoryBoard, desks: Desks, digest: bytes) -> None:
    assert desks["de-a"].issue() == []  # not approved here: nothing to say
    approve(desks, digest, ["de-a"])
    assert outcomes(desks["de-a"].issue()) == [
        ("waits", "2 members of the committee have to approve, 1 do")
    ]
    approve(desks, digest, ["de-c"])
    assert outcomes(desks["de-a"].issue()) == [
        ("waits", "no approval of de-b, whose records the key is for")
    ]
    assert board.read(digest).fragments == {}
    approve(desks, digest, ["de-b"])
    assert outcomes(desks["de-a"].issue()) == [("released", "")]


def test_an_approval_of_somebody_who_is_not_asked_is_in_nobodys_way(
    board: MemoryBoard, desks: Desks, digest: bytes
) -> None:
    other = board.file(filed(committee()[0], application(registries=("fr-a",))))
    desks["fr-a"].approve(other)
    stray = next(paper for paper in board.topics[other] if paper.kind == "approval")
    board.leave(digest, "fr-a", "approval", stray.content)
    approve(desks, digest)

    assert ("released", "") in outcomes(desks["de-a"].issue())


def test_a_fragment_leaves_once(board: MemoryBoard, desks: Desks, digest: bytes) -> None:
    approve(desks, digest)
    desks["de-a"].issue()
    papers = list(board.topics[digest])

    assert desks["de-a"].issue() == []
    assert board.topics[digest] == papers
    assert len(desks["de-a"].journal("access.release")) == 1


@pytest.mark.parametrize("loss", ["cut before posting", "dropped by the platform"])
def test_what_was_lost_is_sent_again_as_it_was(
    board: MemoryBoard, desks: Desks, digest: bytes, loss: str
) -> None:
    approve(desks, digest)
    desk = desks["de-a"]
    if loss == "cut before posting":
        desk.seat.cut = True
        with pytest.raises(Cut):
            desk.issue()
        desk.seat.cut = False
        assert board.read(digest).fragments == {}
    else:
        desk.issue()
        first = board.read(digest).fragments["de-a"]
        board.drop(digest, "fragment", "de-a")
    late = NOW + timedelta(days=20)  # the request has ended; what left before may come again

    assert outcomes(desk.issue(time=late)) == [("sent again", "")]
    assert len(desk.journal("access.release")) == 1
    if loss == "dropped by the platform":
        assert board.read(digest).fragments["de-a"] == first


def test_nothing_leaves_for_a_request_that_has_ended(
    board: MemoryBoard, desks: Desks, digest: bytes
) -> None:
    approve(desks, digest)

    assert desks["de-a"].issue(time=NOW + timedelta(days=15)) == []
    assert board.read(digest).fragments == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"researchers": {}}, "is not known here"), ({"certified": {}}, "does not certify")],
)
def test_nothing_leaves_for_whom_the_policy_has_dropped_since(
    board: MemoryBoard, desks: Desks, digest: bytes, changes: dict[str, Any], reason: str
) -> None:
    approve(desks, digest)
    desks["de-a"].policy = policy(**changes)

    ((outcome, why),) = outcomes(desks["de-a"].issue())
    assert outcome == "waits"
    assert reason in why
    assert board.read(digest).fragments == {}


def test_nothing_leaves_once_the_month_has_ended(
    board: MemoryBoard, desks: Desks, digest: bytes
) -> None:
    approve(desks, digest)
    december = NOW + timedelta(days=10)  # the request is valid until 6 December

    assert outcomes(desks["de-a"].issue(time=december)) == [
        ("waits", "the month 2026-11 has ended; ask for this month")
    ]
    assert board.read(digest).fragments == {}


def test_a_board_that_does_not_take_one_fragment_does_not_stop_another(
    board: MemoryBoard, desks: Desks, digest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = board.file(filed(committee()[0], application(title="Another")))
    for each in (digest, second):
        approve(desks, each)
    take = board.leave

    def leave(topic: bytes, *paper: object) -> None:
        if topic == digest:
            raise RefusedError("there is no request of this name on the board")
        take(topic, *paper)  # type: ignore[arg-type]

    monkeypatch.setattr(board, "leave", leave)

    for _ in range(2):  # made and stored the first time, sent again the second
        assert ("waits", "there is no request of this name on the board") in outcomes(
            desks["de-a"].issue()
        )
        assert set(board.read(second).fragments) == {"de-a"}


def test_one_request_that_cannot_be_issued_does_not_stop_another(
    board: MemoryBoard, desks: Desks, digest: bytes
) -> None:
    approve(desks, digest, ["de-a"])
    second = board.file(filed(committee()[0], application(title="Another")))
    approve(desks, second)

    assert sorted(release.outcome for release in desks["de-a"].issue()) == ["released", "waits"]
    assert set(board.read(second).fragments) == {"de-a"}


def test_repeated_randomness_is_seen_by_all(
    board: MemoryBoard, desks: Desks, digest: bytes
) -> None:
    approve(desks, digest)
    desks["de-a"].issue()
    assert repeated_randomness(desks["de-c"].sync()) is None
    mine = board.read(digest).fragments["de-a"]
    second = board.file(filed(committee()[0], application(title="Another")))
    again = replace(
        mine,
        request=second,
        signature=identity("de-a").sign(
            fragment_statement(second, "de-a", mine.randomness, mine.sealed)
        ),
    )
    board.leave(second, "de-a", "fragment", bytes(again))

    alarm = repeated_randomness(desks["de-c"].sync())
    assert alarm is not None
    assert "fragments of de-a and de-a have one randomness" in alarm


def test_what_is_on_the_board_shows_nothing_of_the_fragment(
    board: MemoryBoard, desks: Desks, digest: bytes
) -> None:
    approve(desks, digest)
    desks["de-a"].issue()
    (fragment,) = opened(board, digest)
    shown = b"".join(paper.content for paper in board.topics[digest])

    assert isinstance(board.read(digest).fragments["de-a"], SealedFragment)
    for point in (fragment.part.sk1, *fragment.part.sk2, fragment.part.sk3):
        assert bytes(point) not in shown
