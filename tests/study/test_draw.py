"""Where a session's noise comes from: one text, read one way."""

import pytest

from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.draw import (
    DIRECT,
    SEGMENT_CELLS,
    Draw,
    committee_digest,
    read_draw,
    segments_of,
)

EPOCH = bytes(range(32))


def test_a_draw_is_read_as_it_was_written() -> None:
    draw = Draw(epoch=EPOCH, first=7, count=2)

    assert str(draw) == f"bank/{EPOCH.hex()}/7/2"
    assert read_draw(str(draw), cells=SEGMENT_CELLS + 1) == draw
    assert read_draw(DIRECT, cells=1) is None


@pytest.mark.parametrize(
    "noise",
    [
        "",
        "Direct",
        "bank",
        f"bank/{EPOCH.hex()}/7",
        f"bank/{EPOCH.hex()}/7/0",
        f"bank/{EPOCH.hex()}/07/1",
        f"bank/{EPOCH.hex()}/-1/1",
        f"bank/{EPOCH.hex()}/1234567890/1",
        f"bank/{EPOCH.hex().upper()}/7/1",
        f"bank/{EPOCH.hex()[2:]}/7/1",
        f"bank/{EPOCH.hex()}/7/1\n",
        f"bank/{EPOCH.hex()}/\u0667/1",
    ],
)
def test_anything_else_is_refused(noise: str) -> None:
    with pytest.raises(ProtocolError, match="is direct, or bank/EPOCH/FIRST/COUNT"):
        read_draw(noise, cells=1)


@pytest.mark.parametrize("count", [1, 3])
def test_a_draw_has_the_segments_that_its_cells_need(count: int) -> None:
    draw = Draw(epoch=EPOCH, first=0, count=count)

    with pytest.raises(ProtocolError, match=f"5000 cells take 2 segments .*, got {count}"):
        read_draw(str(draw), cells=5000)


def test_a_study_burns_whole_segments() -> None:
    assert [segments_of(n) for n in (0, 1, 4096, 4097, 1 << 20)] == [0, 1, 1, 2, 256]


def test_a_committee_is_its_network_its_members_and_their_order() -> None:
    seats = [("de-a", bytes(32)), ("de-b", bytes(32)), ("fr-a", bytes(32))]
    others = [
        committee_digest(b"\1" * 32, seats),
        committee_digest(bytes(32), seats[::-1]),
        committee_digest(bytes(32), seats[:2]),
        committee_digest(bytes(32), [*seats[:2], ("fr-a", b"\1" * 32)]),
    ]

    assert len({committee_digest(bytes(32), seats), *others}) == 5
