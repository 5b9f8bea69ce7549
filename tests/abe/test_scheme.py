"""FABEO hides an element from every key but those whose attributes satisfy the policy."""

import secrets
from dataclasses import replace
from itertools import combinations

import pytest
from trees import subsets

from upcare_mpc.abe.groups import GT, ORDER, Group, random_scalar
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import Ciphertext, decrypt, encrypt, keygen, setup, verify_key
from upcare_mpc.errors import InputError, ProtocolError


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def hidden(group: Group, policy: str, alpha: int) -> tuple[Ciphertext, GT]:
    return encrypt(setup(group, alpha), parse(policy), scalar)


def combined(group: Group, fragments: dict[int, AttributeKey]) -> AttributeKey:
    """What ``keygen`` promises: every component on its own, by Lagrange's coefficients."""
    places = list(fragments)
    weights = lagrange(places)
    keys = list(fragments.values())
    return AttributeKey(
        attributes=keys[0].attributes,
        sk1=group.combine([key.sk1 for key in keys], weights),
        sk2=tuple(
            group.combine(column, weights)
            for column in zip(*(key.sk2 for key in keys), strict=True)
        ),
        sk3=group.combine([key.sk3 for key in keys], weights),
    )


@pytest.mark.parametrize(
    "policy",
    [
        "a:x",
        "and(a:x,a:y)",
        "or(a:x,a:y)",
        "atleast(2,a:x,a:y,b:x)",
        "and(a:x,or(a:y,atleast(2,b:1,b:x,b:y)))",
        "and(or(a:x,a:y),or(a:x,b:x))",
        "or(and(a:x,b:1),and(a:x,b:x),and(a:x,a:y),and(a:x,b:y))",
    ],
)
def test_a_key_recovers_the_element_just_if_it_satisfies_the_policy(
    fast: Group, policy: str
) -> None:
    alpha = scalar()
    ciphertext, element = hidden(fast, policy, alpha)
    for held in subsets(frozenset(ciphertext.policy.rows)):
        key = keygen(fast, alpha, (*held, "c:other"), scalar())
        if ciphertext.policy.holds_for(held):
            assert decrypt(fast, ciphertext, key) == element
        else:
            with pytest.raises(ProtocolError, match="do not satisfy the policy"):
                decrypt(fast, ciphertext, key)


def test_one_use_of_every_attribute_takes_one_prime_and_four_take_four(fast: Group) -> None:
    once, _ = hidden(fast, "and(a:x,a:y,b:x)", 5)
    four, _ = hidden(fast, "or(and(a:x,b:1),and(a:x,b:x),and(a:x,a:y),and(a:x,b:y))", 5)

    assert len(once.ct2) == 1
    assert len(four.ct2) == len(set(four.ct2)) == 4


@pytest.mark.parametrize("policy", ["a:x", "and(or(a:x,a:y),or(a:x,b:x))"])
def test_a_ciphertext_has_the_stated_length_and_comes_back(group: Group, policy: str) -> None:
    ciphertext, _ = hidden(group, policy, 5)
    encoded = bytes(ciphertext)

    rows, uses = len(ciphertext.ct3), len(ciphertext.ct2)
    assert len(encoded) == len(policy) + 98 + 96 * uses + 48 * rows
    assert bytes(Ciphertext.from_bytes(group, encoded)) == encoded


def test_a_ciphertext_cut_or_lengthened_is_refused(fast: Group) -> None:
    encoded = bytes(hidden(fast, "and(a:x,a:y)", 5)[0])

    for length in range(len(encoded)):
        with pytest.raises(ProtocolError, match="these are not the bytes of an ABE ciphertext"):
            Ciphertext.from_bytes(fast, encoded[:length])
    for more in (b"\0", encoded, bytes(20_000)):
        with pytest.raises(ProtocolError, match="these are not the bytes of an ABE ciphertext"):
            Ciphertext.from_bytes(fast, encoded + more)


@pytest.mark.parametrize(
    "text", ["and(a:y,a:x)", "and(a:x, a:y)", "and(a:x,a:y,a:y)", "AND(a:x,a:y)", "", "or(a:x"]
)
def test_a_ciphertext_under_another_text_than_the_canonical_is_refused(
    fast: Group, text: str
) -> None:
    encoded = bytes(hidden(fast, "and(a:x,a:y)", 5)[0])
    points = encoded[2 + len("and(a:x,a:y)") :]

    with pytest.raises(ProtocolError, match="these are not the bytes of an ABE ciphertext"):
        Ciphertext.from_bytes(fast, len(text).to_bytes(2) + text.encode() + points)


def test_the_key_of_another_master_secret_recovers_another_element(fast: Group) -> None:
    ciphertext, element = hidden(fast, "a:x", 5)

    assert decrypt(fast, ciphertext, keygen(fast, 6, ("a:x",), scalar())) != element


def test_both_libraries_recover_what_the_other_hid(fast: Group, reference: Group) -> None:
    alpha, r = scalar(), scalar()
    ciphertext, element = hidden(reference, "or(and(a:x,a:y),b:1)", alpha)
    key = keygen(fast, alpha, ("a:x", "a:y"), r)

    carried = Ciphertext.from_bytes(fast, bytes(ciphertext))
    back = AttributeKey.from_bytes(reference, bytes(key))

    assert bytes(decrypt(fast, carried, key)) == bytes(element)
    assert decrypt(reference, ciphertext, back) == element


def test_a_key_verifies_under_its_public_key_alone(group: Group) -> None:
    key = keygen(group, 5, ("a:x", "a:y"), scalar())

    verify_key(group, key, setup(group, 5).element, secrets.token_bytes)
    with pytest.raises(ProtocolError, match="does not belong to the public key"):
        verify_key(group, key, setup(group, 6).element, secrets.token_bytes)


def test_a_key_with_any_wrong_component_does_not_verify(fast: Group) -> None:
    element = setup(fast, 5).element
    key = keygen(fast, 5, ("a:x", "a:y"), scalar())
    other = keygen(fast, 5, ("a:x", "a:y"), scalar())
    wrong = {
        "sk1": replace(key, sk1=other.sk1),
        "sk1 shifted": replace(key, sk1=key.sk1 + fast.g1),
        "sk2 of another r": replace(key, sk2=(other.sk2[0], key.sk2[1])),
        "sk2 swapped": replace(key, sk2=(key.sk2[1], key.sk2[0])),
        "sk2 shifted against each other": replace(
            key, sk2=(key.sk2[0] + fast.g1, key.sk2[1] + -fast.g1)
        ),
        "sk3": replace(key, sk3=other.sk3),
        "another attribute": replace(key, attributes=("a:x", "a:z")),
        "negated": replace(key, sk1=-key.sk1),
    }

    for changed in wrong.values():
        with pytest.raises(ProtocolError, match="does not belong to the public key"):
            verify_key(fast, changed, element, secrets.token_bytes)


def test_fragments_under_shares_of_the_master_secret_combine_to_a_key(fast: Group) -> None:
    threshold, authorities = 2, [1, 2, 3, 4, 5]
    polynomial = [scalar() for _ in range(threshold + 1)]
    shares = {x: sum(c * x**e for e, c in enumerate(polynomial)) % ORDER for x in authorities}
    public = PublicKey(fast, fast.g2 * polynomial[0])
    ciphertext, element = encrypt(public, parse("and(a:x,a:y)"), scalar)
    fragments = {x: keygen(fast, a, ("a:x", "a:y"), scalar()) for x, a in shares.items()}

    for x, fragment in fragments.items():
        verify_key(fast, fragment, fast.g2 * shares[x], secrets.token_bytes)
    for quorum in combinations(authorities, threshold + 1):
        key = combined(fast, {x: fragments[x] for x in quorum})
        verify_key(fast, key, public.element, secrets.token_bytes)
        assert decrypt(fast, ciphertext, key) == element
    for few in combinations(authorities, threshold):
        key = combined(fast, {x: fragments[x] for x in few})
        assert decrypt(fast, ciphertext, key) != element


def test_attributes_that_are_none_make_no_key(fast: Group) -> None:
    with pytest.raises(InputError, match="written namespace:value"):
        keygen(fast, 5, ("A:x",), 7)


@pytest.mark.parametrize(("alpha", "r"), [(5, 0), (5, ORDER), (-1, 7), (ORDER, 7)])
def test_scalars_out_of_range_are_a_bug(fast: Group, alpha: int, r: int) -> None:
    with pytest.raises(AssertionError):
        keygen(fast, alpha, ("a:x",), r)
