"""Story: a policy names an attribute twice, and one random number serves both rows.

``and(or(a, b), or(a, c))``: a alone opens, or b with c. A researcher holds b and nothing else. The
rows of a are H(*)^share H(a)^s' each; if both have the SAME s', their quotient is H(*) to the
difference of the shares, without any key. That is what she lacks. So FABEO needs another s' for
each use of an attribute; with one for all rows it opens to her.
"""

import secrets

import pytest

from upcare_mpc.abe.groups import GT, ORDER, Group, default_group, random_scalar
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.abe.lsss import share
from upcare_mpc.abe.policy import Policy, parse
from upcare_mpc.abe.scheme import Ciphertext, decrypt, encrypt, keygen, setup
from upcare_mpc.errors import ProtocolError

GROUP: Group = default_group()
POLICY = parse("and(or(a:1,b:1),or(a:1,c:1))")
ROW = {"a first": 0, "b": 1, "a second": 2, "c": 3}


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def encrypt_with_one_prime(public: PublicKey, policy: Policy) -> tuple[Ciphertext, GT]:
    """``scheme.encrypt`` without its care: one s' for all rows."""
    s, prime = scalar(), scalar()
    rows = zip(policy.rows, share(policy, s, scalar), strict=True)
    ciphertext = Ciphertext(
        policy=policy,
        ct1=public.power(s),
        ct2=(public.power(prime),) * 2,
        ct3=tuple(public.row(attribute, part, prime) for attribute, part in rows),
    )
    return ciphertext, public.blind(s)


def attack(ciphertext: Ciphertext, key: AttributeKey) -> GT:
    """s = 2 share(b) - (share(a first) - share(a second)): two rows of a, whose H(a)^s' cancel.

    ``or`` repeats, so share(a first) = share(b), share(a second) = share(c), and their sum is s.
    """
    coefficients = {"b": 2, "a first": ORDER - 1, "a second": 1}
    masked = GROUP.combine(
        [ciphertext.ct3[ROW[name]] for name in coefficients], list(coefficients.values())
    )
    mine = key.sk2[0] * 2
    return GROUP.pair((key.sk1, ciphertext.ct1), (mine, ciphertext.ct2[0]), (-masked, key.sk3))


def test_the_rows_are_those_of_the_story() -> None:
    assert [POLICY.rows[row] for row in ROW.values()] == ["a:1", "b:1", "a:1", "c:1"]


def test_with_one_prime_a_key_for_b_alone_opens() -> None:
    alpha = scalar()
    ciphertext, element = encrypt_with_one_prime(setup(GROUP, alpha), POLICY)

    assert attack(ciphertext, keygen(GROUP, alpha, ("b:1",), scalar())) == element


def test_with_a_prime_for_each_use_it_does_not() -> None:
    alpha = scalar()
    ciphertext, element = encrypt(setup(GROUP, alpha), POLICY, scalar)
    key = keygen(GROUP, alpha, ("b:1",), scalar())

    assert attack(ciphertext, key) != element
    with pytest.raises(ProtocolError, match="do not satisfy"):
        decrypt(GROUP, ciphertext, key)


def test_the_primes_of_all_four_uses_differ() -> None:
    policy = parse("or(and(a:1,b:1),and(a:1,c:1),and(a:1,d:1),and(a:1,e:1))")
    numbers = iter(range(1, 100))

    ciphertext, _ = encrypt(setup(GROUP, 5), policy, lambda: next(numbers))

    assert [bytes(point) for point in ciphertext.ct2] == [bytes(GROUP.g2 * k) for k in (2, 3, 4, 5)]
