"""One participant's part: nothing is signed twice, and what is kept is enough to go on."""

import secrets

import pytest
from hall import NAMES, Hall, proposed, signer

from upcare_mpc.abe.ceremony import Kind, Signed
from upcare_mpc.access.participant import Part, go_on, passed_on, waits_for
from upcare_mpc.access.seats import SealedSubShare
from upcare_mpc.errors import ProtocolError


def test_a_part_is_kept_and_read_byte_for_byte() -> None:
    hall = Hall(proposed())
    hall.finish()

    for part in hall.parts.values():
        assert len(part.sub_shares) == 3
        assert Part.from_bytes(bytes(part)) == part


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"UAY2" + b[4:], lambda b: b[:40]])
def test_a_damaged_part_is_refused(damage) -> None:  # type: ignore[no-untyped-def]
    hall = Hall(proposed())
    hall.sit()

    with pytest.raises(ProtocolError, match="what is kept of the ceremony is damaged"):
        Part.from_bytes(damage(bytes(hall.parts["de-a"])))


def test_a_part_shows_no_secret_when_it_is_printed() -> None:
    hall = Hall(proposed())
    hall.finish()
    part = hall.parts["de-a"]

    assert part.key.hex() not in repr(part)
    assert repr(part.key) not in repr(part)
    assert all(repr(sub_share) not in repr(part) for sub_share in part.sub_shares)


def test_stopped_and_read_again_after_every_step_the_same_is_said_once() -> None:
    hall = Hall(proposed())
    hall.sit()

    said_anything = True
    while said_anything:
        said_anything = False
        for name in NAMES:
            said_anything |= hall.step(name)
            hall.parts[name] = Part.from_bytes(bytes(hall.parts[name]))  # a restart

    assert hall.reading().outcome() is not None
    kinds = [(p.sender, p.kind) for p in hall.papers if p.kind not in {"proposal", "sub-share"}]
    assert len(kinds) == len(set(kinds)) == 4 * 3
    assert len([p for p in hall.papers if p.kind == "sub-share"]) == 9


def test_a_dealer_that_was_stopped_before_it_posted_posts_the_same_dealing() -> None:
    hall = Hall(proposed())
    hall.sit()
    reading = hall.reading("de-a")
    dealt = go_on(
        hall.parts["de-a"], reading, signer("de-a"), share=None, random=secrets.token_bytes
    )

    again = go_on(
        Part.from_bytes(bytes(dealt)),
        reading,
        signer("de-a"),
        share=None,
        random=secrets.token_bytes,
    )

    assert dealt.has(Kind.DEALING)
    assert again == dealt


def test_it_says_whom_it_waits_for() -> None:
    hall = Hall(proposed())
    hall.sit("de-a")

    def waits() -> str:
        return waits_for(hall.reading("de-a"), hall.parts["de-a"], "de-a")

    assert waits() == "the seats of de-b, de-c"
    hall.sit("de-b", "de-c")
    hall.run("de-a", "de-b")
    assert waits() == "the dealings of de-c"
    hall.shows = lambda reader, paper: reader != "de-a" or paper.kind != "sub-share"
    hall.run()
    assert waits() == "the sub-shares of de-a, de-b, de-c for de-a"
    hall.shows = lambda reader, paper: True
    hall.run("de-a")
    assert waits() == "the confirmations of de-b, de-c"
    hall.run()
    assert waits() == ""


def test_seats_that_change_after_the_dealing_are_noticed() -> None:
    hall = Hall(proposed())
    hall.sit()
    hall.step("de-a")
    other = Hall(hall.proposal)
    other.sit()
    other.parts["de-a"] = hall.parts["de-a"]

    with pytest.raises(ProtocolError, match="somebody took two"):
        other.step("de-a")


def test_nothing_is_passed_on_while_all_agree() -> None:
    hall = Hall(proposed())
    hall.finish()

    assert passed_on(hall.reading(), "de-a") == []


def test_an_envelope_of_a_stranger_before_the_dealers_own_changes_nothing() -> None:
    hall = Hall(proposed())
    hall.sit()
    ceremony = hall.reading().ceremony
    assert ceremony is not None
    forged = Signed.by(
        "de-b",
        ceremony,
        Kind.SUB_SHARE,
        b"UAS1" + bytes(64),
        recipient="de-a",
        sign=signer("de-c").sign,
    )
    key = hall.reading().seats["de-a"].key
    hall.post("de-c", "sub-share", bytes(SealedSubShare.of(forged, ceremony, key)))

    outcome, _ = hall.finish()

    assert outcome.disqualified == {}
