"""Papers of a ceremony, read: rubbish stops nothing, two words convict, and the end is the end."""

import secrets
from dataclasses import replace

import pytest
from hall import NAMES, Hall, anchor, identity, proposed, signer

from upcare_mpc.abe.ceremony import Kind, Signed
from upcare_mpc.access.ceremony import find_proposal, replay
from upcare_mpc.access.participant import take_seat
from upcare_mpc.access.seats import SealedSubShare
from upcare_mpc.errors import InputError


def said_by(hall: Hall, name: str, kind: Kind, body: bytes) -> bytes:
    ceremony = hall.reading().ceremony
    assert ceremony is not None
    return bytes(Signed.by(name, ceremony, kind, body, sign=identity(name).sign))


def test_everybody_reads_the_same_outcome_and_shares_fit_it() -> None:
    outcome, shares = Hall(proposed()).finish()

    assert outcome.committee.members == NAMES
    assert outcome.committee.generation == 1
    assert outcome.disqualified == {}
    for share in shares.values():
        share.check(outcome.committee)


def test_an_auditor_without_any_secret_and_without_sub_shares_reads_it_too() -> None:
    hall = Hall(proposed())
    outcome, _ = hall.finish()
    public = [paper for paper in hall.papers if paper.kind != "sub-share"]

    replayed = replay(
        hall.proposal,
        public,
        previous=None,
        group=anchor().group,
        certify_at=anchor().certify_at,
    )

    assert replayed is not None
    assert replayed.committee.digest == outcome.committee.digest


@pytest.mark.parametrize("kind", ["seat", "dealing", "report", "confirmation"])
def test_there_is_no_outcome_without_the_paper_of_one_participant(kind: str) -> None:
    hall = Hall(proposed())
    hall.finish()
    hall.papers = [p for p in hall.papers if (p.kind, p.sender) != (kind, "de-b")]

    assert hall.reading().outcome() is None
    assert next(iter(hall.reading().missing().items())) == (kind, ["de-b"])


def test_rubbish_on_the_board_is_passed_over_and_told() -> None:
    hall = Hall(proposed())
    hall.post("de-c", "proposal", b"rubbish")
    hall.post("de-c", "seat", b"rubbish")
    hall.sit()
    for kind in ("dealing", "sub-share", "report", "confirmation", "hello"):
        hall.post("de-c", kind, b"rubbish")
    hall.post("de-c", "dealing", said_by(hall, "de-c", Kind.SUB_SHARE, b"bare"))

    outcome, _ = hall.finish()

    assert outcome.committee.members == NAMES
    assert len(hall.reading().passed_over) == 6
    assert all("from 'de-c' is passed over" in line for line in hall.reading().passed_over)


def test_nobody_speaks_for_another() -> None:
    hall = Hall(proposed())
    hall.sit()
    ceremony = hall.reading().ceremony
    assert ceremony is not None
    forged = Signed.by("de-a", ceremony, Kind.DEALING, b"forged", sign=identity("de-c").sign)
    hall.post("de-a", "dealing", bytes(forged))

    outcome, _ = hall.finish()

    assert outcome.disqualified == {}


def test_a_sender_on_the_board_counts_for_nothing() -> None:
    hall = Hall(proposed())
    hall.finish()
    hall.papers = [replace(paper, sender="platform") for paper in hall.papers]

    assert hall.reading().outcome() is not None


@pytest.mark.parametrize("kind", [Kind.DEALING, Kind.REPORT, Kind.CONFIRMATION])
def test_a_second_message_of_a_kind_convicts_while_the_ceremony_is_under_way(kind: Kind) -> None:
    hall = Hall(proposed())
    hall.sit()
    hall.post("de-c", kind.value, said_by(hall, "de-c", kind, b"one"))
    hall.post("de-c", kind.value, said_by(hall, "de-c", kind, b"two"))

    assert hall.reading().convicted == (
        f"de-c signed two different messages of one ceremony, each a {kind.value}"
    )


def test_a_second_seat_convicts_and_the_same_seat_signed_again_does_not() -> None:
    hall = Hall(proposed())
    hall.sit()
    seat = hall.reading().seats["de-c"]
    again = replace(seat, signature=identity("de-c").sign(seat.to_sign))
    assert again.signature != seat.signature
    hall.post("de-c", "seat", bytes(again))
    assert not hall.reading().convicted

    (_, second), *_ = take_seat(hall.proposal, signer("de-c"), secrets.token_bytes).papers
    hall.post("de-c", "seat", second)

    assert hall.reading().convicted == "de-c signed two different seats of one ceremony"


@pytest.mark.parametrize("kind", [Kind.DEALING, Kind.REPORT, Kind.CONFIRMATION])
def test_what_is_said_after_the_end_takes_the_key_from_nobody(kind: Kind) -> None:
    hall = Hall(proposed())
    outcome, _ = hall.finish()

    hall.post("de-c", kind.value, said_by(hall, "de-c", kind, b"too late"))
    (_, second), *_ = take_seat(hall.proposal, signer("de-c"), secrets.token_bytes).papers
    hall.post("de-c", "seat", second)

    after = hall.reading().outcome()
    assert after is not None
    assert after.committee.digest == outcome.committee.digest


def test_a_topic_is_named_after_its_proposal() -> None:
    first, second = Hall(proposed()), Hall(proposed())
    papers = [*second.papers, *first.papers]
    at = anchor().certify_at

    assert find_proposal(first.proposal.topic, papers, certify_at=at) == first.proposal
    assert find_proposal(bytes(32), papers, certify_at=at) is None


def test_dealers_that_cannot_hand_over_are_no_ceremony() -> None:
    outcome, _ = Hall(proposed()).finish()
    alone = Hall(proposed(NAMES, outcome.committee, ("de-a",)), outcome.committee)
    alone.sit()

    with pytest.raises(InputError, match="2 members of the committee or more deal"):
        alone.reading()


def test_a_bad_sub_share_is_evidence_and_its_dealer_is_left_out() -> None:
    hall = Hall(proposed(("de-a", "de-b", "de-c", "fr-a", "fr-b")))
    hall.sit()
    hall.shows = lambda reader, paper: paper.kind != "sub-share"
    hall.run()  # all have dealt, nobody has reported
    ceremony = hall.reading().ceremony
    assert ceremony is not None
    bad = Signed.by(
        "fr-b",
        ceremony,
        Kind.SUB_SHARE,
        b"UAS1" + bytes(64),
        recipient="de-b",
        sign=identity("fr-b").sign,
    )
    envelope = bytes(SealedSubShare.of(bad, ceremony, hall.reading().seats["de-b"].key))
    hall.papers = [
        replace(p, content=envelope)
        if (p.kind, p.sender) == ("sub-share", "fr-b")
        and SealedSubShare.from_bytes(p.content).member == "de-b"
        else p
        for p in hall.papers
    ]
    kept = hall.parts["fr-b"]
    hall.parts["fr-b"] = replace(kept, papers=tuple(p for p in kept.papers if p[0] != "sub-share"))
    hall.shows = lambda reader, paper: True

    outcome, shares = hall.finish()

    assert outcome.disqualified == {"fr-b": "signed a sub-share for de-b that does not fit"}
    assert set(shares) == set(outcome.committee.members)
    for share in shares.values():
        share.check(outcome.committee)
