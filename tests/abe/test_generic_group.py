"""In the symbolic generic group keys open what they should, and each known mistake is seen."""

from itertools import combinations

import pytest
from generic_group import opens, plus, scaled, spans, times, variable
from trees import subsets

from upcare_mpc.abe.policy import parse

POLICIES = [
    "and(a:x,a:y)",
    "or(a:x,and(a:y,b:1))",
    "atleast(2,a:x,a:y,b:1)",
    "and(or(a:x,a:y),or(a:x,b:1))",
    "or(and(a:x,a:y),and(a:x,b:1),and(a:y,b:1))",
]
NOTHING: frozenset[str] = frozenset()


def test_the_span_is_that_of_linear_algebra() -> None:
    x, y, z = map(variable, "xyz")

    assert spans([plus(x, y), plus(y, z), plus(x, z)], x)
    assert not spans([plus(x, y), plus(y, scaled(z, -1))], x)
    assert spans([times(x, y)], times(y, x))


@pytest.mark.parametrize("text", POLICIES)
def test_one_key_opens_just_if_it_satisfies_the_policy(text: str) -> None:
    policy = parse(text)

    for held in subsets(frozenset(policy.rows)):
        assert opens(policy, [held]) == policy.holds_for(held)


@pytest.mark.parametrize("text", POLICIES)
def test_two_keys_that_do_not_satisfy_the_policy_do_not_open_together(text: str) -> None:
    policy = parse(text)
    unsatisfying = [s for s in subsets(frozenset(policy.rows)) if not policy.holds_for(s)]
    pooling = [
        pair for pair in combinations(unsatisfying, 2) if policy.holds_for(pair[0] | pair[1])
    ]

    assert pooling
    for one, other in pooling:
        assert not opens(policy, [one, other], ciphertexts=2)


def test_two_keys_with_one_r_do() -> None:
    policy = parse("and(a:x,a:y)")
    keys = [frozenset({"a:x"}), frozenset({"a:y"})]

    assert opens(policy, keys, one_r=True)
    assert not opens(policy, keys)


def test_one_prime_for_all_uses_of_an_attribute_does() -> None:
    policy = parse("and(or(a:x,a:y),or(a:x,b:1))")

    assert opens(policy, [frozenset({"a:y"})], one_prime=True)
    assert not opens(policy, [frozenset({"a:y"})])


def test_publishing_the_master_secret_in_g1_does() -> None:
    policy = parse("and(a:x,a:y)")

    assert opens(policy, [NOTHING], known_g1=[variable("alpha")])
    assert not opens(policy, [NOTHING])
