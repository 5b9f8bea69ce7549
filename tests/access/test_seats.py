"""Proposals, seats and sealed sub-shares: their bytes, and who answers for them."""

import secrets
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hall import NAMES, NOW, Hall, anchor, identity, proposed, signer

from upcare_mpc.abe.ceremony import Kind, Signed
from upcare_mpc.access.participant import take_seat
from upcare_mpc.access.seats import Proposal, SealedSubShare, Seat, determined
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.study.packed import pack

CERTIFY_AT = anchor().certify_at
CERTIFY = CERTIFY_AT(int(NOW.timestamp()))


def seat_of(name: str, proposal: Proposal) -> Seat:
    (_, content), *_ = take_seat(proposal, signer(name), secrets.token_bytes).papers
    return Seat.from_bytes(content, proposal=proposal, certify=CERTIFY)


def test_a_proposal_is_read_as_it_was_signed() -> None:
    proposal = proposed()

    read = Proposal.from_bytes(bytes(proposal), certify_at=CERTIFY_AT)

    assert read == proposal
    assert read.topic == proposal.topic
    assert read.participants == NAMES


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 2, "members": ("de-a", "de-b", "de-c", "de-d", "de-e")},
        {"time": 1},
        {"nonce": bytes(16)},
        {"network": "another"},
        {"authority": bytes(32)},
        {"proposer": "de-b"},
    ],
)
def test_no_field_of_a_proposal_can_be_changed_under_its_signature(
    change: dict[str, object],
) -> None:
    changed = {"dealers": change["members"]} if "members" in change else {}
    altered = replace(proposed(), **change, **changed)  # type: ignore[arg-type]

    with pytest.raises(ProtocolError):
        Proposal.from_bytes(bytes(altered), certify_at=CERTIFY_AT)


@pytest.mark.parametrize("cut", [0, 3, 4, 40, 200, -1])
def test_a_proposal_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(ProtocolError, match="not the bytes of a proposal, version 1"):
        Proposal.from_bytes(bytes(proposed())[:cut], certify_at=CERTIFY_AT)


def test_another_version_and_too_many_bytes_are_refused() -> None:
    for encoded in (b"UAL2" + bytes(proposed())[4:], b"UAL1" + bytes(20_000)):
        with pytest.raises(ProtocolError, match="not the bytes of a proposal, version 1"):
            Proposal.from_bytes(encoded, certify_at=CERTIFY_AT)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"members": ("de-a", "de-b", "De_C")}, "a registry has a name like de-a, got 'De_C'"),
        ({"members": ("de-a", "de-b", "de.c")}, "a registry has a name like de-a, got 'de.c'"),
        ({"members": ("de-a", "de-b")}, "2 t \\+ 1 to 15 members"),
        ({"threshold": 2}, "2 t \\+ 1 to 15 members, got t = 2 and 3"),
        ({"threshold": 0}, "threshold t >= 1"),
        ({"members": ("de-b", "de-a", "de-c")}, "in ascending order, each once"),
        ({"members": ("de-a", "de-a", "de-b")}, "in ascending order, each once"),
        ({"proposer": "fr-a"}, "takes part in it"),
        ({"dealers": ("de-a", "de-b")}, "the members deal, all of them"),
        ({"authority": bytes(31)}, "wrong length"),
        ({"nonce": bytes(15)}, "wrong length"),
        ({"time": -1}, "the time of the proposal is none"),
    ],
)
def test_a_proposal_that_cannot_be_is_not_made(fields: dict[str, object], said: str) -> None:
    given = {"members": NAMES, "threshold": 1, "proposer": "de-a"} | fields
    members = given.pop("members")

    with pytest.raises(InputError, match=said):
        proposed(members, **given)  # type: ignore[arg-type]


def test_a_time_that_no_calendar_has_is_refused_before_it_is_looked_up() -> None:
    fields = list(proposed()._fields)
    fields[2] = (1 << 63).to_bytes(8)

    with pytest.raises(ProtocolError, match="not the bytes of a proposal"):
        Proposal.from_bytes(
            pack(b"UAL1", *fields, identity("de-a").certificate_pem, b"-"), certify_at=CERTIFY_AT
        )


def test_a_proposal_needs_a_certificate_of_the_network_in_force_when_it_says() -> None:
    stranger = signer("de-a", "another")
    late = proposed(time=int(NOW.timestamp()) + 500 * 24 * 3600)

    with pytest.raises(ProtocolError, match="not of this network"):
        Proposal.from_bytes(
            bytes(proposed().signed(stranger.certificate, stranger.sign)), certify_at=CERTIFY_AT
        )
    with pytest.raises(ProtocolError, match="is not in force"):
        Proposal.from_bytes(bytes(late), certify_at=CERTIFY_AT)


def test_a_seat_is_read_as_it_was_signed_and_of_one_ceremony() -> None:
    proposal = proposed()
    seat = seat_of("de-b", proposal)

    assert Seat.from_bytes(bytes(seat), proposal=proposal, certify=CERTIFY) == seat
    with pytest.raises(ProtocolError, match="not one of this ceremony"):
        Seat.from_bytes(bytes(seat), proposal=proposed(), certify=CERTIFY)


def test_nobody_takes_a_seat_for_another_or_without_being_asked() -> None:
    proposal = proposed()
    seat = seat_of("de-b", proposal)
    renamed = bytes(replace(seat, registry="de-c"))
    (_, uninvited), *_ = take_seat(proposal, signer("fr-a"), secrets.token_bytes).papers

    with pytest.raises(ProtocolError, match="not the named party's"):
        Seat.from_bytes(renamed, proposal=proposal, certify=CERTIFY)
    with pytest.raises(ProtocolError, match="not one of this ceremony"):
        Seat.from_bytes(uninvited, proposal=proposal, certify=CERTIFY)


@pytest.mark.parametrize("change", [{"key": bytes(32)}, {"signature": b""}])
def test_a_seat_that_was_changed_is_refused(change: dict[str, bytes]) -> None:
    proposal = proposed()
    changed = replace(seat_of("de-b", proposal), **change)  # type: ignore[arg-type]

    with pytest.raises(ProtocolError):
        Seat.from_bytes(bytes(changed), proposal=proposal, certify=CERTIFY)


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), bytes(31)], ids=["0", "1", "short"])
def test_a_seat_with_a_key_that_nothing_can_be_sealed_to_is_none(key: bytes) -> None:
    """Else dealers would fail one by one, and nobody could say over whom."""
    proposal = proposed()
    seat = replace(seat_of("de-b", proposal), key=key)
    signed = replace(seat, signature=signer("de-b").sign(seat.to_sign))

    with pytest.raises(ProtocolError, match="not the bytes of a seat"):
        Seat.from_bytes(bytes(signed), proposal=proposal, certify=CERTIFY)


def test_the_ceremony_is_bound_to_every_key_and_certificate_of_a_seat() -> None:
    proposal = proposed()
    seats = {name: seat_of(name, proposal) for name in NAMES}
    other = seats | {"de-c": seat_of("de-c", proposal)}

    first = determined(proposal, seats, anchor().group, None)
    second = determined(proposal, other, anchor().group, None)

    assert first.digest == determined(proposal, dict(seats), anchor().group, None).digest
    assert first.digest != second.digest


def test_a_sub_share_opens_for_its_member_in_its_ceremony_alone() -> None:
    hall = Hall(proposed())
    hall.sit()
    ceremony = hall.reading().ceremony
    assert ceremony is not None
    message = Signed.by(
        "de-a",
        ceremony,
        Kind.SUB_SHARE,
        b"secret",
        recipient="de-b",
        sign=identity("de-a").sign,
    )
    sealed = SealedSubShare.of(message, ceremony, hall.reading().seats["de-b"].key)
    read = SealedSubShare.from_bytes(bytes(sealed))

    def key(name: str) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(hall.parts[name].key)

    assert b"secret" not in bytes(sealed)
    assert read.opened(ceremony, key("de-b")) == message
    for wrong in (
        lambda: read.opened(ceremony, key("de-c")),
        lambda: replace(read, dealer="de-c").opened(ceremony, key("de-b")),
        lambda: read.opened(replace(ceremony, identifier=bytes(16)), key("de-b")),
    ):
        with pytest.raises(ProtocolError, match="the sealed sub-share of de-"):
            wrong()


def test_something_else_in_the_envelope_of_a_sub_share_is_refused() -> None:
    hall = Hall(proposed())
    hall.sit()
    ceremony = hall.reading().ceremony
    assert ceremony is not None
    report = Signed.by("de-a", ceremony, Kind.REPORT, b"x", sign=identity("de-a").sign)
    envelope = SealedSubShare.of(
        replace(report, recipient="de-b"), ceremony, hall.reading().seats["de-b"].key
    )
    with pytest.raises(ProtocolError, match="sealed something else"):
        envelope.opened(ceremony, X25519PrivateKey.from_private_bytes(hall.parts["de-b"].key))
