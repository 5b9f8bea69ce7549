"""A ceremony is named by all of its description, and its messages hold in it alone."""

from dataclasses import replace

import pytest
from ceremonies import NAMES, Shares, generation, handover, run, sign, verify

from upcare_mpc.abe.ceremony import MAX_SIGNED_BYTES, Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.errors import InputError, ProtocolError, SessionError

GROUP = default_group()


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP, NAMES[:5]))


def message(ceremony: Ceremony, sender: str = "de-a", body: bytes = b"body") -> Signed:
    return Signed.by(sender, ceremony, Kind.DEALING, body, sign=sign(sender))


def test_every_field_is_in_the_digest(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    again, _ = run(handover(committee), shares)
    first = generation(GROUP, NAMES[:5])
    second = handover(committee)
    changed = [
        replace(first, network="other"),
        replace(first, identifier=bytes(16)),
        replace(first, roster=b"\1" * 32),
        replace(first, threshold=1),
        replace(first, members=NAMES[:4], dealers=NAMES[:4], threshold=1),
        replace(second, identifier=first.identifier),
        replace(second, identifier=first.identifier, dealers=NAMES[:4]),
        replace(second, identifier=first.identifier, members=NAMES[2:]),
        replace(second, identifier=first.identifier, previous=again),
    ]

    assert len({each.digest for each in (first, *changed)}) == 1 + len(changed)


def test_members_and_dealers_do_not_run_into_each_other(made: tuple[Committee, Shares]) -> None:
    one = handover(made[0], members=NAMES[:3], dealers=NAMES[2:5], threshold=1)
    other = replace(one, members=NAMES[:4], dealers=NAMES[2:5])

    assert one.digest != other.digest


def test_generations_are_counted(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    again, _ = run(handover(committee), shares)

    assert (committee.generation, again.generation) == (1, 2)
    assert handover(again).generation == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identifier": bytes(15)}, "identifier of 16 bytes"),
        ({"roster": bytes(31)}, "identifier of 16 bytes"),
        ({"dealers": NAMES[:2]}, "the members deal, all of them"),
        ({"threshold": 2}, "2 t \\+ 1"),
    ],
)
def test_a_ceremony_that_cannot_make_a_key_is_refused(
    changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        replace(generation(GROUP), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dealers",
    [NAMES[:2], NAMES[2::-1], (*NAMES[:2], "de-b"), ("de-a", "de-b", "lu-a"), ()],
)
def test_too_few_dealers_strangers_and_disorder_cannot_hand_over(
    made: tuple[Committee, Shares], dealers: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match="3 members of the committee or more deal, ascending"):
        replace(handover(made[0]), dealers=dealers)


def test_a_committee_does_not_hand_over_to_another_network(made: tuple[Committee, Shares]) -> None:
    with pytest.raises(InputError, match="within its network"):
        replace(handover(made[0]), network="other")


def test_a_message_comes_back_and_holds(made: tuple[Committee, Shares]) -> None:
    ceremony = generation(GROUP)
    sent = Signed.by("de-a", ceremony, Kind.SUB_SHARE, b"x", recipient="de-b", sign=sign("de-a"))

    back = Signed.from_bytes(bytes(sent))

    Transcript(ceremony, verify).check(back)
    assert back == sent


def test_a_message_holds_in_its_own_ceremony_kind_and_names_alone() -> None:
    ceremony, other = generation(GROUP), generation(GROUP)
    sent = message(ceremony)
    transcript = Transcript(ceremony, verify)
    changed = [
        replace(sent, sender="de-b"),
        replace(sent, kind=Kind.REPORT),
        replace(sent, kind=Kind.SUB_SHARE, recipient="de-b"),
        replace(sent, body=b"another"),
        replace(sent, signature=b""),
        message(other),
    ]

    transcript.add(sent)
    for each in changed:
        with pytest.raises(ProtocolError, match="has not signed this"):
            transcript.check(each)


def test_a_sub_share_for_one_member_is_none_for_another() -> None:
    ceremony = generation(GROUP)
    sent = Signed.by("de-a", ceremony, Kind.SUB_SHARE, b"x", recipient="de-b", sign=sign("de-a"))

    with pytest.raises(ProtocolError, match="has not signed this"):
        Transcript(ceremony, verify).check(replace(sent, recipient="de-c"))


def test_who_has_nothing_to_send_is_not_heard(made: tuple[Committee, Shares]) -> None:
    ceremony = handover(made[0], members=("fr-b", "fr-c", "lu-a"), dealers=NAMES[:3])
    transcript = Transcript(ceremony, verify)
    strangers = [
        ("fr-b", Kind.DEALING, ""),
        ("de-a", Kind.REPORT, ""),
        ("fr-a", Kind.CONFIRMATION, ""),
        ("de-a", Kind.DEALING, "fr-b"),
        ("de-a", Kind.SUB_SHARE, "de-b"),
        ("de-a", Kind.SUB_SHARE, ""),
        ("xx", Kind.DEALING, ""),
    ]

    for sender, kind, recipient in strangers:
        sent = Signed.by(sender, ceremony, kind, b"x", recipient=recipient, sign=sign(sender))
        with pytest.raises(ProtocolError, match=f"sends no such {kind.value}"):
            transcript.check(sent)


def test_the_same_message_twice_is_one_whatever_its_signature() -> None:
    ceremony = generation(GROUP)
    transcript = Transcript(ceremony, verify)

    transcript.add(message(ceremony))
    transcript.add(message(ceremony))  # ECDSA signs differently each time

    assert len(transcript.messages()) == 1


def test_what_has_not_come_is_named() -> None:
    transcript = Transcript(generation(GROUP), verify)

    with pytest.raises(SessionError, match="the ceremony has no dealing of de-b"):
        transcript.body(Kind.DEALING, "de-b")


def test_bytes_that_are_no_message_are_refused() -> None:
    encoded = bytes(message(generation(GROUP)))
    long = bytes(message(generation(GROUP), body=bytes(MAX_SIGNED_BYTES)))
    bad = [
        b"",
        b"UAM2" + encoded[4:],
        encoded[:-1],
        encoded + b"\0\0\0\0",
        encoded.replace(b"dealing", b"deeling"),
        encoded.replace(b"de-a", b"d\xc3\xa9a"),
        long,
    ]

    for each in bad:
        with pytest.raises(ProtocolError, match="not the bytes of a message of a ceremony"):
            Signed.from_bytes(each)


def test_the_body_of_a_message_is_not_printed() -> None:
    assert "secret" not in repr(message(generation(GROUP), body=b"secret"))
