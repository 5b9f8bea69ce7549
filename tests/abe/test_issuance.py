"""t + 1 fragments for one request are the key, each can be checked, and no other set is one."""

import hashlib
import hmac
import secrets
from dataclasses import replace
from itertools import combinations

import pytest
from ceremonies import NAMES, Shares, generation, handover, requested, run

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import ORDER, Group, default_group
from upcare_mpc.abe.issuance import MAX_FRAGMENT_BYTES, Fragment, combine, issue, verify_fragment
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.request import Request
from upcare_mpc.abe.scheme import keygen, verify_key
from upcare_mpc.errors import ProtocolError

GROUP = default_group()


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP, NAMES[:5]))


def issued(committee: Committee, shares: Shares, request: Request) -> dict[str, Fragment]:
    return {name: issue(share, committee, request) for name, share in shares.items()}


def checked(committee: Committee, request: Request, fragment: Fragment) -> None:
    verify_fragment(committee, request, fragment, secrets.token_bytes)


@pytest.mark.parametrize("members", [3, 5, 7])
def test_the_fragments_of_any_quorum_are_a_key_that_opens(members: int) -> None:
    committee, shares = run(generation(GROUP, NAMES[:members]))
    request = requested(committee, "duo:hmb")
    fragments = issued(committee, shares, request)
    header, wrapping_key = encapsulate(
        committee.public,
        parse("and(site:de-a,epoch:2026-11,duo:hmb)"),
        context=b"de-a",
        random=secrets.token_bytes,
    )

    for names in combinations(committee.members, committee.threshold + 1):
        key = combine(committee, request, [fragments[name] for name in names])
        verify_key(GROUP, key, committee.public.element, secrets.token_bytes)
        assert decapsulate(committee.public, key, header, context=b"de-a") == wrapping_key


def test_the_key_is_the_one_that_keygen_makes(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    request = requested(committee, "duo:hmb")
    quorum = ("de-b", "fr-a", "fr-b")
    weights = lagrange([2, 4, 5])

    def combination(values: list[int]) -> int:
        return sum(w * value for w, value in zip(weights, values, strict=True)) % ORDER

    # r as ``issuance`` states it, from the standard library alone.
    signed = b"upcare/v1/abe-fragment|\0\0\0\x20" + request.digest
    derived = [hmac.new(shares[name].seed, signed, hashlib.sha512).digest() for name in quorum]
    r = combination([1 + int.from_bytes(each) % (ORDER - 1) for each in derived])
    alpha = combination([shares[name].master for name in quorum])

    key = combine(committee, request, [issue(shares[name], committee, request) for name in quorum])

    assert bytes(key) == bytes(keygen(GROUP, alpha, request.attributes, r))


def test_more_fragments_than_a_quorum_make_a_key_too(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    request = requested(committee)

    key = combine(committee, request, list(issued(committee, shares, request).values()))

    verify_key(GROUP, key, committee.public.element, secrets.token_bytes)


def test_a_fragment_verifies_as_its_authors_for_its_request_alone(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    request, other = requested(committee), requested(committee)
    fragment = issue(shares["de-b"], committee, request)
    handed_over, _ = run(handover(committee), shares)

    checked(committee, request, fragment)
    with pytest.raises(ProtocolError, match="the fragment of de-b is for another request"):
        checked(committee, other, fragment)
    with pytest.raises(ProtocolError, match="the fragment of de-b does not fit"):
        checked(committee, other, replace(fragment, request=other.digest))
    with pytest.raises(ProtocolError, match="the fragment of de-c does not fit"):
        checked(committee, request, replace(fragment, author="de-c"))
    with pytest.raises(ProtocolError, match="'lu-a' is not a member"):
        checked(committee, request, replace(fragment, author="lu-a"))
    with pytest.raises(ProtocolError, match="the fragment of de-b does not fit"):
        checked(handed_over, request, fragment)


def test_a_fragment_wrong_in_any_part_is_pinned_on_its_author(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    request = requested(committee)
    share = shares["de-b"]
    part = issue(share, committee, request).part
    theirs = issue(shares["de-c"], committee, request).part
    wrong = [
        replace(part, sk1=part.sk1 + GROUP.g1),
        replace(part, sk1=theirs.sk1),
        replace(part, sk2=(theirs.sk2[0], *part.sk2[1:])),
        replace(part, sk2=(part.sk2[1], part.sk2[0], *part.sk2[2:])),
        replace(part, sk3=theirs.sk3),
        issue(replace(share, master=share.master + 1), committee, request).part,
        issue(replace(share, binding=share.binding + 1), committee, request).part,
        keygen(GROUP, share.master, request.attributes, 5),  # not bound to the request
    ]

    for each in wrong:
        fragment = Fragment(author="de-b", request=request.digest, part=each)
        with pytest.raises(ProtocolError, match="the fragment of de-b does not fit"):
            checked(committee, request, fragment)


def test_a_fragment_with_other_attributes_is_for_another_request(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    request = requested(committee)
    more = requested(committee, "duo:hmb")
    fragment = replace(issue(shares["de-b"], committee, more), request=request.digest)

    with pytest.raises(ProtocolError, match="the fragment of de-b is for another request"):
        checked(committee, request, fragment)
    with pytest.raises(ProtocolError, match="the fragment of de-b is for another request"):
        combine(committee, request, [fragment])


def test_a_key_takes_a_quorum_of_different_authors_for_one_request(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    request, other = requested(committee), requested(committee)
    fragments = issued(committee, shares, request)
    first, second = fragments["de-a"], fragments["de-b"]
    wrong = [
        ([], "a key takes 3 fragments, got 0"),
        ([first, second], "a key takes 3 fragments, got 2"),
        ([first, second, second], "two fragments are by de-b"),
        ([first, second, issue(shares["de-c"], committee, other)], "de-c is for another request"),
        ([first, second, replace(first, author="lu-a")], "'lu-a' is not a member"),
    ]

    for chosen, reason in wrong:
        with pytest.raises(ProtocolError, match=reason):
            combine(committee, request, chosen)


def test_the_same_request_gives_the_same_fragment_and_another_another_r(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    request = requested(committee)
    fragments = [issue(shares["de-a"], committee, requested(committee)) for _ in range(20)]

    once, again = (issue(shares["de-a"], committee, request) for _ in range(2))

    assert bytes(once) == bytes(again)
    assert len({fragment.randomness for fragment in (once, *fragments)}) == 21
    assert len({share.randomness for share in issued(committee, shares, request).values()}) == 5


def test_randomness_is_that_of_sk3(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    fragment = issue(shares["de-a"], committee, requested(committee))
    sk3 = bytes(fragment.part.sk3)

    expected = hashlib.sha256(b"upcare/v1/abe-randomness|\0\0\0\x60" + sk3).digest()

    assert fragment.randomness == expected


def test_a_fragment_comes_back(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    request = requested(committee)
    fragment = issue(shares["de-a"], committee, request)

    back = Fragment.from_bytes(GROUP, bytes(fragment))

    checked(committee, request, back)
    assert bytes(back) == bytes(fragment)
    assert "sk1" not in repr(fragment)


def test_the_largest_fragment_is_read(fast: Group) -> None:
    many = tuple(f"{'n' * 13}{i:03}:{'v' * 63}" for i in range(128))
    part = AttributeKey(attributes=many, sk1=fast.g1, sk2=(fast.g1,) * 128, sk3=fast.g2)
    fragment = Fragment(author="a" * 63, request=bytes(32), part=part)

    assert bytes(Fragment.from_bytes(fast, bytes(fragment))) == bytes(fragment)


def test_bytes_that_are_no_fragment_are_refused(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    fragment = issue(shares["de-a"], committee, requested(committee))
    encoded = bytes(fragment)
    bad = [
        b"",
        encoded[:-1],
        encoded + b"\0",
        b"UAF2" + encoded[4:],
        bytes(fragment.part),
        encoded + bytes(MAX_FRAGMENT_BYTES),
        bytes(replace(fragment, author="d\u00e9")),
        bytes(replace(fragment, part=replace(fragment.part, sk3=GROUP.g2 * 0))),
    ]

    for each in bad:
        with pytest.raises(ProtocolError, match="not the bytes of a fragment, version 1"):
            Fragment.from_bytes(GROUP, each)


def test_a_share_of_another_committee_makes_no_fragment(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    handed_over, new_shares = run(handover(committee), shares)

    with pytest.raises(AssertionError):
        issue(shares["de-a"], handed_over, requested(handed_over))
    with pytest.raises(AssertionError):
        issue(new_shares["de-a"], handed_over, requested(committee))
