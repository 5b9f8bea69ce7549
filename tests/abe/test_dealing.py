"""A dealing says what its sub-shares are, and that its dealer knows its constant."""

import secrets
from dataclasses import replace

import pytest

from upcare_mpc.abe.dealing import SUB_SHARE_BYTES, Dealing, SubShare, deal
from upcare_mpc.abe.groups import G2_BYTES, ORDER, Group, random_scalar
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.errors import ProtocolError

CEREMONY = bytes(range(32))


def dealt(
    group: Group, constant: int | None = 77, threshold: int = 2
) -> tuple[Dealing, tuple[SubShare, ...]]:
    return deal(
        group,
        ceremony=CEREMONY,
        dealer="de-a",
        members=5,
        threshold=threshold,
        constant=constant,
        coin=lambda: random_scalar(secrets.token_bytes),
    )


def read(group: Group, encoded: bytes, **changes: object) -> Dealing:
    bound: dict[str, object] = {"threshold": 2, "ceremony": CEREMONY, "dealer": "de-a"}
    return Dealing.from_bytes(group, encoded, **(bound | changes))  # type: ignore[arg-type]


def test_a_dealing_comes_back_and_has_the_stated_length(group: Group) -> None:
    dealing, _ = dealt(group)

    assert bytes(read(group, bytes(dealing))) == bytes(dealing)
    assert len(bytes(dealing)) == 4 + 5 * G2_BYTES + 64


def test_every_sub_share_fits_its_place_and_no_other(fast: Group) -> None:
    dealing, sub_shares = dealt(fast)

    for i, sub_share in enumerate(sub_shares, start=1):
        for place in range(1, 6):
            assert dealing.fits(fast, place, sub_share) == (place == i)


def test_a_sub_share_wrong_in_either_half_does_not_fit(fast: Group) -> None:
    dealing, (sub_share, *_) = dealt(fast)

    assert not dealing.fits(fast, 1, replace(sub_share, master=sub_share.master ^ 1))
    assert not dealing.fits(fast, 1, replace(sub_share, binding=sub_share.binding ^ 1))
    assert not dealing.fits(fast, 1, SubShare(master=sub_share.binding, binding=sub_share.master))


def test_any_three_sub_shares_give_the_constant_and_zero(fast: Group) -> None:
    _, sub_shares = dealt(fast, constant=77)

    for places in ([1, 2, 3], [2, 4, 5], [5, 1, 3]):
        weights = lagrange(places)
        parts = [(w, sub_shares[place - 1]) for w, place in zip(weights, places, strict=True)]
        assert sum(w * part.master for w, part in parts) % ORDER == 77
        assert sum(w * part.binding for w, part in parts) % ORDER == 0


def test_without_a_constant_a_fresh_one_is_drawn(fast: Group) -> None:
    constants = [dealt(fast, None)[0].commitments[0] for _ in range(3)]

    assert len(set(constants)) == 3


def test_a_dealing_is_void_elsewhere(fast: Group) -> None:
    encoded = bytes(dealt(fast)[0])

    for changes in ({"ceremony": bytes(32)}, {"dealer": "de-b"}, {"threshold": 1}):
        with pytest.raises(ProtocolError, match="not the bytes of a dealing for this ceremony"):
            read(fast, encoded, **changes)


def test_a_dealing_altered_anywhere_is_refused(fast: Group) -> None:
    dealing, _ = dealt(fast)
    encoded = bytes(dealing)
    first, second, third = dealing.commitments
    bad = [
        b"",
        encoded[:-1],
        encoded + b"\0",
        b"UAD2" + encoded[4:],
        bytes(replace(dealing, challenge=dealing.challenge ^ 1)),
        bytes(replace(dealing, response=dealing.response ^ 1)),
        bytes(replace(dealing, commitments=(second, first, third))),
        bytes(replace(dealing, commitments=(first, third, second))),  # the proof covers them all
        bytes(replace(dealing, commitments=(fast.g2 * 0, second, third))),
        encoded[:-32] + ORDER.to_bytes(32),
    ]

    for each in bad:
        with pytest.raises(ProtocolError, match="not the bytes of a dealing for this ceremony"):
            read(fast, each)


def test_a_proof_for_nothing_at_all_is_refused(fast: Group) -> None:
    # c = 0 would need no knowledge of the constant, were c not a hash.
    dealing, _ = dealt(fast)

    with pytest.raises(ProtocolError, match="not the bytes of a dealing for this ceremony"):
        read(fast, bytes(replace(dealing, challenge=0, response=5)))


def test_a_sub_share_comes_back_and_is_not_printed(fast: Group) -> None:
    _, (sub_share, *_) = dealt(fast)

    assert SubShare.from_bytes(bytes(sub_share)) == sub_share
    assert len(bytes(sub_share)) == SUB_SHARE_BYTES
    assert repr(sub_share) == "<SubShare>"


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"UAS1" + bytes(63),
        b"UAS1" + bytes(65),
        b"UAS2" + bytes(64),
        b"UAS1" + ORDER.to_bytes(32) + bytes(32),
        b"UAS1" + bytes(32) + ORDER.to_bytes(32),
    ],
)
def test_other_bytes_are_no_sub_share(encoded: bytes) -> None:
    with pytest.raises(ProtocolError, match="these are not the bytes of a"):
        SubShare.from_bytes(encoded)
