"""A committee is what its members signed, a share is one of it, and other bytes are neither."""

from dataclasses import replace

import pytest
from ceremonies import NAMES, Shares, generation, handover, run

from upcare_mpc.abe.committee import MAX_MEMBERS, Committee, Share, check_members
from upcare_mpc.abe.groups import ORDER, default_group
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.errors import InputError, ProtocolError

GROUP = default_group()


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP, NAMES[:5]))


def test_verification_keys_are_those_of_the_shares(made: tuple[Committee, Shares]) -> None:
    committee, shares = made

    for name, share in shares.items():
        mine = GROUP.g2 * share.master, GROUP.g2 * share.binding
        assert committee.verification_keys(name) == mine


def test_any_three_shares_of_five_give_the_public_key_and_a_binding_of_zero(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made

    for names in (NAMES[:3], NAMES[2:5], ("de-a", "de-c", "fr-b")):
        weights = lagrange([committee.place(name) for name in names])
        weighted = list(zip(weights, (shares[name] for name in names), strict=True))
        assert GROUP.g2 * sum(w * share.master for w, share in weighted) == committee.public.element
        assert sum(w * share.binding for w, share in weighted) % ORDER == 0


def test_a_committee_comes_back(made: tuple[Committee, Shares]) -> None:
    committee, _ = made

    back = Committee.from_bytes(GROUP, bytes(committee))

    assert bytes(back) == bytes(committee)
    assert back.digest == committee.digest
    assert back.members == NAMES[:5]


def test_every_field_is_in_the_digest(made: tuple[Committee, Shares]) -> None:
    committee, _ = made
    points = committee.commitments
    changed = [
        replace(committee, network="other"),
        replace(committee, generation=2),
        replace(committee, members=("de-a", "de-b", "de-c", "fr-a", "fr-x")),
        replace(committee, threshold=1),
        replace(committee, ceremony=bytes(32)),
        replace(committee, commitments=(points[1], points[0], points[2])),
        replace(committee, bindings=committee.bindings[::-1]),
    ]

    assert len({each.digest for each in (committee, *changed)}) == 1 + len(changed)


def test_bytes_that_are_no_committee_are_refused(made: tuple[Committee, Shares]) -> None:
    committee, _ = made
    encoded = bytes(committee)
    identity = GROUP.g2 * 0
    bad = [
        b"",
        b"UAC2" + encoded[4:],
        encoded[:-1],
        encoded + b"\0",
        encoded + bytes(5000),
        bytes(replace(committee, generation=0)),
        encoded.replace(b"\0\0\0\x08" + bytes(7), b"\0\0\0\x09" + bytes(8)),
        encoded.replace(b"\0\0\0\x08" + bytes(7), b"\0\0\0\x10" + b"\1" + bytes(14)),
        bytes(replace(committee, threshold=1)),
        bytes(replace(committee, threshold=3)),
        bytes(replace(committee, ceremony=bytes(31))),
        bytes(replace(committee, members=committee.members[::-1])),
        bytes(replace(committee, members=committee.members[:4])),
        bytes(replace(committee, network="EU")),
        bytes(replace(committee, commitments=(identity, *committee.commitments[1:]))),
        bytes(replace(committee, bindings=(*committee.bindings[1:], identity))),
    ]

    for each in bad:
        with pytest.raises(ProtocolError, match="not the bytes of a committee, version 1"):
            Committee.from_bytes(GROUP, each)


def test_a_share_comes_back_to_its_committee(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    share = shares["fr-a"]

    back = Share.from_bytes(committee, bytes(share))

    assert (back.member, back.master, back.binding, back.seed) == (
        "fr-a",
        share.master,
        share.binding,
        share.seed,
    )


def test_a_share_that_is_none_of_the_committee_does_not_open(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    other, _ = run(handover(committee), shares)
    share = shares["fr-a"]
    bad = [
        bytes(share)[:-1],
        bytes(share) + b"\0",
        b"UAZ2" + bytes(share)[4:],
        bytes(replace(share, member="fr-b")),
        bytes(replace(share, member="xx")),
        bytes(replace(share, master=share.master ^ 1)),
        bytes(replace(share, binding=share.binding ^ 1)),
        bytes(replace(share, committee=other.digest)),
        bytes(replace(share, seed=bytes(31))),
    ]

    for each in bad:
        with pytest.raises(ProtocolError, match=r"^the share does not open$"):
            Share.from_bytes(committee, each)
    with pytest.raises(ProtocolError, match=r"^the share does not open$"):
        Share.from_bytes(other, bytes(share))


def test_a_share_is_not_printed(made: tuple[Committee, Shares]) -> None:
    assert repr(made[1]["de-a"]) == "Share(member='de-a')"


def test_nobody_but_a_member_has_a_place(made: tuple[Committee, Shares]) -> None:
    assert [made[0].place(name) for name in NAMES[:5]] == [1, 2, 3, 4, 5]
    with pytest.raises(ProtocolError, match="'lu-a' is not a member of the committee"):
        made[0].place("lu-a")


@pytest.mark.parametrize(
    ("members", "threshold", "reason"),
    [
        (("a", "b"), 1, "has 2 t \\+ 1 to"),
        (("a", "b", "c"), 0, "has 2 t \\+ 1 to"),
        (("a", "b", "c", "d"), 2, "has 2 t \\+ 1 to"),
        (tuple(f"m{i:02}" for i in range(MAX_MEMBERS + 1)), 1, "has 2 t \\+ 1 to"),
        (("b", "a", "c"), 1, "ascending"),
        (("a", "a", "c"), 1, "ascending"),
        (("A", "b", "c"), 1, "lower-case"),
        (("", "b", "c"), 1, "lower-case"),
        (("de:a", "b", "c"), 1, "lower-case"),
    ],
)
def test_members_and_thresholds_that_do_not_go_together_are_refused(
    members: tuple[str, ...], threshold: int, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        check_members("net", members, threshold)


def test_four_members_may_have_a_threshold_of_one() -> None:
    check_members("net", ("a", "b", "c", "d"), 1)


def test_seeds_differ(made: tuple[Committee, Shares]) -> None:
    assert len({share.seed for share in made[1].values()}) == 5
