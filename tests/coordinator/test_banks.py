"""What the platform makes of what registries say about their noise."""

from dataclasses import replace

import pytest
from announced import EPOCH, NAMES, NONCE, SESSION, said

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.coordinator.banks import Banks
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.draw import DIRECT, SEGMENT_CELLS, Draw


def heard(*sayings: coordinator_pb2.Banks) -> Banks:
    """A platform that remembers the committee and has heard de-a, de-b and de-c."""
    banks = Banks(SESSION.network)
    banks.remember(SESSION, ["PEM a", "PEM b", "PEM c", "PEM d"])
    for name, saying in zip(NAMES, sayings, strict=False):
        banks.hear(name, saying)
    return banks


def test_a_session_draws_behind_what_any_of_them_has_burnt() -> None:
    banks = heard(said(first=1), said(first=3), said(first=2))

    assert banks.noise_for(SESSION) == str(Draw(epoch=EPOCH, first=3, count=2))


@pytest.mark.parametrize(
    "sayings",
    [
        [],
        [said(), said()],
        [said(), said(), said(epoch=b"f" * 32)],
        [said(), said(), said(epoch=b"", segments=0)],
        [said(epoch=b"", segments=0)] * 3,
        [said(), said(first=7), said()],
        [said(), said(), said(segments=1)],
    ],
    ids=["none", "one-absent", "epochs", "one-empty", "all-empty", "burnt", "lengths"],
)
def test_else_the_noise_is_drawn_directly(sayings: list[coordinator_pb2.Banks]) -> None:
    assert heard(*sayings).noise_for(SESSION) == DIRECT


@pytest.mark.parametrize(
    "other",
    [
        replace(SESSION, law=b"m" * 32),
        replace(SESSION, roster=(*SESSION.roster[1::-1], *SESSION.roster[2:])),
        replace(SESSION, cells=9 * SEGMENT_CELLS),
    ],
    ids=["law", "order", "size"],
)
def test_a_session_of_another_law_committee_or_size_is_direct(other: Descriptor) -> None:
    assert heard(said(), said(), said()).noise_for(other) == DIRECT


def test_a_registry_that_is_gone_has_no_bank() -> None:
    banks = heard(said(), said(), said())

    banks.left("de-b")

    assert banks.noise_for(SESSION) == DIRECT
    assert banks.due(NONCE) is None


@pytest.mark.parametrize(
    ("sayings", "segments"),
    [
        ([said(epoch=b"", segments=0)] * 3, 8),
        ([said(), said(), said(epoch=b"f" * 32)], 8),
        ([said(first=5), said(), said()], 8),
        ([said(epoch=b"", segments=0, room=r) for r in (8, 3, 300)], 3),
        ([said(first=4), said(), said()], None),
        ([said(), said()], None),
        ([said(), said(), said(room=0)], None),
    ],
    ids=["none", "epochs", "half-used", "smallest-room", "half-full", "absent", "no-room"],
)
def test_a_bank_is_filled_when_less_than_half_is_left_at_all(
    sayings: list[coordinator_pb2.Banks], segments: int | None
) -> None:
    due = heard(*sayings).due(NONCE)

    assert (due and due[0].segments) == segments


def test_a_fill_is_of_the_committee_as_it_lives_now() -> None:
    lives = [bytes([i]) * 16 for i in range(3)]
    banks = heard(*[said(epoch=b"", segments=0, life=life) for life in lives])

    due = banks.due(NONCE)

    assert due is not None
    fill, committee = due
    assert [(seat.name, seat.life) for seat in fill.roster] == list(zip(NAMES, lives, strict=True))
    assert (fill.committee, fill.law) == (SESSION.committee, SESSION.law)
    assert committee.certificates == ("PEM a", "PEM b", "PEM c")
    assert not banks.filled(fill)
    for name, life in zip(NAMES, lives, strict=True):
        banks.hear(name, said(epoch=fill.digest, life=life))
    assert banks.filled(fill)


@pytest.mark.parametrize(
    "saying",
    [
        said(life=b""),
        said(epoch=b"e"),
        said(first=9),
        said(segments=1000, room=1000),
        coordinator_pb2.Banks(life=NONCE, banks=list(said().banks) * 17),
    ],
    ids=["life", "epoch", "beyond-its-end", "too-long", "too-many"],
)
def test_a_registry_that_says_what_cannot_be_counts_as_having_none(
    saying: coordinator_pb2.Banks,
) -> None:
    banks = heard(said(), said(), said())

    with pytest.raises(ProtocolError, match="noise banks that cannot be"):
        banks.hear("de-c", saying)

    assert banks.noise_for(SESSION) == DIRECT
