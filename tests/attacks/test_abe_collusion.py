"""Story: two people who each lack something put their keys together.

The policy asks for ethics approval AND the right registry. One project has the one, another has the
other. In FABEO every key carries an r of its own in all its parts, so parts of two keys do not fit.

Two ways in which they would, shown here so that issuance guards against both: an authority that
uses one r for two keys, and fragments of one key that were released to different people.
"""

import secrets
from itertools import product

import pytest

from upcare_mpc.abe.groups import ORDER, default_group, random_scalar
from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import decrypt, encrypt, keygen, setup, verify_key
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
ETHICS, SITE = "ethics:approved", "site:de-a"
POLICY = parse(f"and({ETHICS},{SITE})")


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def pooled(
    sk1: AttributeKey, ethics: AttributeKey, site: AttributeKey, sk3: AttributeKey
) -> AttributeKey:
    return AttributeKey(
        attributes=(ETHICS, SITE),
        sk1=sk1.sk1,
        sk2=(ethics.sk2[0], site.sk2[-1]),
        sk3=sk3.sk3,
    )


def test_neither_opens_alone() -> None:
    alpha = scalar()
    ciphertext, _ = encrypt(setup(GROUP, alpha), POLICY, scalar)

    for attribute in (ETHICS, SITE):
        with pytest.raises(ProtocolError, match="do not satisfy"):
            decrypt(GROUP, ciphertext, keygen(GROUP, alpha, (attribute,), scalar()))


def test_no_mixture_of_two_keys_opens() -> None:
    alpha = scalar()
    ciphertext, element = encrypt(setup(GROUP, alpha), POLICY, scalar)
    ethics = keygen(GROUP, alpha, (ETHICS,), scalar())
    site = keygen(GROUP, alpha, (SITE,), scalar())

    for sk1, sk3 in product((ethics, site), repeat=2):
        mixed = pooled(sk1, ethics, site, sk3)
        assert decrypt(GROUP, ciphertext, mixed) != element
        with pytest.raises(ProtocolError, match="does not belong"):
            verify_key(GROUP, mixed, setup(GROUP, alpha).element, secrets.token_bytes)


def test_nor_does_their_mean() -> None:
    alpha = scalar()
    ciphertext, element = encrypt(setup(GROUP, alpha), POLICY, scalar)
    ethics = keygen(GROUP, alpha, (ETHICS,), scalar())
    site = keygen(GROUP, alpha, (SITE,), scalar())
    half = pow(2, -1, ORDER)

    mean = AttributeKey(
        attributes=(ETHICS, SITE),
        sk1=(ethics.sk1 + site.sk1) * half,
        sk2=(ethics.sk2[0] * half, site.sk2[0] * half),
        sk3=(ethics.sk3 + site.sk3) * half,
    )

    assert decrypt(GROUP, ciphertext, mean) != element


def test_with_one_r_for_two_keys_they_open_and_the_equal_sk3_shows_it() -> None:
    alpha, r = scalar(), scalar()
    ciphertext, element = encrypt(setup(GROUP, alpha), POLICY, scalar)
    ethics = keygen(GROUP, alpha, (ETHICS,), r)
    site = keygen(GROUP, alpha, (SITE,), r)

    both = pooled(ethics, ethics, site, ethics)

    assert decrypt(GROUP, ciphertext, both) == element
    assert ethics.sk3 == site.sk3


def test_fragments_released_to_two_people_make_a_key_that_neither_was_to_have() -> None:
    # Two authorities of threshold 1. The first has released to one person, the second to another.
    alpha, slope = scalar(), scalar()
    shares = [(alpha + slope * place) % ORDER for place in (1, 2)]
    ciphertext, element = encrypt(setup(GROUP, alpha), POLICY, scalar)
    one = keygen(GROUP, shares[0], (ETHICS, SITE), scalar())
    other = keygen(GROUP, shares[1], (ETHICS, SITE, "use:commercial"), scalar())

    weights = lagrange([1, 2])
    together = AttributeKey(
        attributes=(ETHICS, SITE),
        sk1=GROUP.combine([one.sk1, other.sk1], weights),
        sk2=tuple(
            GROUP.combine([a, b], weights) for a, b in zip(one.sk2, other.sk2[:2], strict=True)
        ),
        sk3=GROUP.combine([one.sk3, other.sk3], weights),
    )

    verify_key(GROUP, together, setup(GROUP, alpha).element, secrets.token_bytes)
    assert decrypt(GROUP, ciphertext, together) == element
