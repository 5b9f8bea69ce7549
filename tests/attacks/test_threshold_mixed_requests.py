"""Story: three people each persuade one registry, and put together what they got.

In plain threshold issuance a fragment does not say whom it is for. Fragments that three registries
gave to three people, each for a request that two other registries would have refused, combine to a
key for what the requests have in common, and an attribute with each person's name only drops out.
No choice of the fragments' randomness helps: a fragment is linear in (share, r), whatever r is.

So a fragment carries H(q)^b(j), which goes away only among t + 1 fragments for the same request q
(``abe.issuance``). Beside it stands a rule: an honest registry lets nothing out before t + 1 have
signed the same request. Either would stop the three; the first needs no one to keep a rule.
"""

import secrets
from dataclasses import replace
from itertools import product

import pytest
from ceremonies import NAMES, Shares, generation, requested, run

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import GT, default_group, random_scalar
from upcare_mpc.abe.issuance import Fragment, combine, issue
from upcare_mpc.abe.keys import AttributeKey, request_point
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.request import Request
from upcare_mpc.abe.scheme import Ciphertext, decrypt, encrypt, verify_key
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
COMMON = ("epoch:2026-11", "project:p-17", "site:de-a")
QUORUM = NAMES[:3]


@pytest.fixture(scope="module")
def made() -> tuple[Committee, Shares]:
    return run(generation(GROUP, NAMES[:5]))


def sealed(committee: Committee) -> tuple[Ciphertext, GT]:
    return encrypt(
        committee.public,
        parse("and(site:de-a,epoch:2026-11)"),
        lambda: random_scalar(secrets.token_bytes),
    )


def pooled(committee: Committee, parts: dict[str, AttributeKey]) -> AttributeKey:
    """What the people compute: the common attributes, by the coefficients of the authors."""
    weights = lagrange([committee.place(name) for name in parts])
    found = [dict(zip(part.attributes, part.sk2, strict=True)) for part in parts.values()]
    return AttributeKey(
        attributes=COMMON,
        sk1=GROUP.combine([part.sk1 for part in parts.values()], weights),
        sk2=tuple(GROUP.combine([each[name] for each in found], weights) for name in COMMON),
        sk3=GROUP.combine([part.sk3 for part in parts.values()], weights),
    )


def three_people(committee: Committee) -> list[Request]:
    return [
        requested(committee, f"user:{name}", requester=name, sealing_key=secrets.token_bytes(32))
        for name in ("ada", "bob", "eve")
    ]


def unbound(share_of: Shares, name: str, committee: Committee, request: Request) -> AttributeKey:
    """A fragment as plain threshold issuance makes it."""
    part = issue(share_of[name], committee, request).part
    blind = request_point(GROUP, request.digest) * share_of[name].binding
    return replace(part, sk1=part.sk1 + -blind)


def test_plain_fragments_of_three_requests_open_what_no_request_was_granted(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    ciphertext, element = sealed(committee)
    people = three_people(committee)

    key = pooled(
        committee,
        {
            name: unbound(shares, name, committee, request)
            for name, request in zip(QUORUM, people, strict=True)
        },
    )

    verify_key(GROUP, key, committee.public.element, secrets.token_bytes)
    assert decrypt(GROUP, ciphertext, key) == element


def test_fragments_as_they_are_issued_do_not(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    ciphertext, element = sealed(committee)
    people = three_people(committee)

    for chosen in product(people, repeat=3):
        key = pooled(
            committee,
            {
                name: issue(shares[name], committee, request).part
                for name, request in zip(QUORUM, chosen, strict=True)
            },
        )
        one_request = len(set(chosen)) == 1
        assert (decrypt(GROUP, ciphertext, key) == element) == one_request


def test_nor_do_all_five_registries_for_two_people(made: tuple[Committee, Shares]) -> None:
    # Two registries for the one, two for the other: a quorum in number, for none in fact.
    committee, shares = made
    ciphertext, element = sealed(committee)
    ada, bob, _ = three_people(committee)
    released = {"de-a": ada, "de-b": ada, "de-c": bob, "fr-a": bob}

    for left_out in released:
        parts = {
            name: issue(shares[name], committee, request).part
            for name, request in released.items()
            if name != left_out
        }
        assert decrypt(GROUP, ciphertext, pooled(committee, parts)) != element


def test_nor_does_one_request_that_differs_in_its_nonce_alone(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    ciphertext, element = sealed(committee)
    first, again = requested(committee), requested(committee)

    key = pooled(
        committee,
        {
            name: issue(shares[name], committee, request).part
            for name, request in zip(QUORUM, (first, first, again), strict=True)
        },
    )

    assert decrypt(GROUP, ciphertext, key) != element


def test_the_client_says_which_fragment_is_of_another_request(
    made: tuple[Committee, Shares],
) -> None:
    committee, shares = made
    ada, bob, _ = three_people(committee)
    mine = [issue(shares[name], committee, ada) for name in NAMES[:2]]
    theirs = issue(shares["de-c"], committee, bob)

    with pytest.raises(ProtocolError, match="the fragment of de-c is for another request"):
        combine(committee, ada, [*mine, theirs])


def test_relabelled_it_combines_to_nothing(made: tuple[Committee, Shares]) -> None:
    committee, shares = made
    first, again = requested(committee), requested(committee)
    mine = [issue(shares[name], committee, first) for name in NAMES[:2]]
    moved = Fragment(
        author="de-c",
        request=first.digest,
        part=issue(shares["de-c"], committee, again).part,
    )

    key = combine(committee, first, [*mine, moved])

    with pytest.raises(ProtocolError, match="does not belong to the public key"):
        verify_key(GROUP, key, committee.public.element, secrets.token_bytes)


def test_t_registries_held_and_one_that_was_not_asked_are_no_quorum(
    made: tuple[Committee, Shares],
) -> None:
    # The adversary holds two shares of five, and a third registry's fragment for another request.
    # That one is issued, three in all: it opens what it says. The other stays closed.
    committee, shares = made
    approved = requested(committee, "duo:hmb")
    wanted = requested(committee, "duo:ds")
    honest = issue(shares["de-c"], committee, approved)
    held = ("de-a", "de-b")
    ciphertext, element = encrypt(
        committee.public,
        parse("and(site:de-a,duo:ds)"),
        lambda: random_scalar(secrets.token_bytes),
    )

    granted = combine(
        committee, approved, [*(issue(shares[name], committee, approved) for name in held), honest]
    )
    verify_key(GROUP, granted, committee.public.element, secrets.token_bytes)
    with pytest.raises(ProtocolError, match="do not satisfy"):
        decrypt(GROUP, ciphertext, granted)
    parts = {name: issue(shares[name], committee, wanted).part for name in held}
    swapped = replace(honest.part, attributes=wanted.attributes)
    forced = combine(
        committee,
        wanted,
        [
            Fragment(author=name, request=wanted.digest, part=part)
            for name, part in {**parts, "de-c": swapped}.items()
        ],
    )
    assert decrypt(GROUP, ciphertext, forced) != element
