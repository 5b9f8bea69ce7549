"""Story: the platform cannot open a header, so it alters one and watches what a reader makes of it.

FABEO by itself is malleable. From a ciphertext for s anybody computes one for s + delta, which
hides a known multiple of the same element. If readers opened it, the platform would have the old
wrapping key from the new one: by asking for a harmless record to be opened, it opens another. With
the transformation of Fujisaki and Okamoto a header opens only if it was made honestly from a seed.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest

from upcare_mpc.abe.groups import ORDER, default_group, random_scalar
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.keys import PublicKey
from upcare_mpc.abe.lsss import share
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import Ciphertext, decrypt, encrypt, keygen, setup
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
POLICY = parse("and(epoch:2026-11,site:de-a,atleast(2,a:1,a:2,a:3))")
ATTRIBUTES = ("epoch:2026-11", "site:de-a", "a:1", "a:3")
CONTEXT = b"de-a|2026-11"
REFUSAL = "the sealed key does not open"


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def shifted(public: PublicKey, ciphertext: Ciphertext, delta: int) -> Ciphertext:
    """A ciphertext for s + delta, and for fresh s' and shares too, from what is public."""
    primes = [scalar() for _ in ciphertext.ct2]
    more = share(ciphertext.policy, delta, scalar)
    rows = zip(ciphertext.policy.rows, ciphertext.policy.uses, more, strict=True)
    added = [public.row(name, part, primes[use]) for name, use, part in rows]
    return replace(
        ciphertext,
        ct1=ciphertext.ct1 + public.power(delta),
        ct2=tuple(a + public.power(b) for a, b in zip(ciphertext.ct2, primes, strict=True)),
        ct3=tuple(a + b for a, b in zip(ciphertext.ct3, added, strict=True)),
    )


def rerandomised(public: PublicKey, ciphertext: Ciphertext) -> Ciphertext:
    """The same s and d, other s' and shares: another spelling of the same hidden element."""
    return shifted(public, shifted(public, ciphertext, 9), ORDER - 9)


def test_a_bare_ciphertext_is_turned_into_another_that_opens() -> None:
    alpha, delta = scalar(), scalar()
    public = setup(GROUP, alpha)
    ciphertext, element = encrypt(public, POLICY, scalar)
    key = keygen(GROUP, alpha, ATTRIBUTES, scalar())

    asked = decrypt(GROUP, shifted(public, ciphertext, delta), key)

    assert asked != element
    assert asked * public.blind(ORDER - delta) == element


@pytest.mark.parametrize("alter", [rerandomised, lambda public, ct: shifted(public, ct, 1)])
def test_a_header_so_altered_does_not_open(
    alter: Callable[[PublicKey, Ciphertext], Ciphertext],
) -> None:
    alpha = scalar()
    public = setup(GROUP, alpha)
    key = keygen(GROUP, alpha, ATTRIBUTES, scalar())
    header, _ = encapsulate(public, POLICY, context=CONTEXT, random=secrets.token_bytes)
    ciphertext = Ciphertext.from_bytes(GROUP, header[4:-32])

    altered = b"UAH1" + bytes(alter(public, ciphertext)) + header[-32:]

    assert len(altered) == len(header)
    with pytest.raises(ProtocolError, match=REFUSAL):
        decapsulate(public, key, altered, context=CONTEXT)


def test_another_spelling_hides_the_same_element_but_is_no_header() -> None:
    alpha = scalar()
    public = setup(GROUP, alpha)
    ciphertext, element = encrypt(public, POLICY, scalar)
    key = keygen(GROUP, alpha, ATTRIBUTES, scalar())

    again = rerandomised(public, ciphertext)

    assert bytes(again) != bytes(ciphertext)
    assert decrypt(GROUP, again, key) == element


def test_a_row_that_this_reader_does_not_need_cannot_be_used_to_tell_readers_apart() -> None:
    # Spoil the row of a:2: who reads by a:1 and a:3 never touches it, who has a:2 does.
    alpha = scalar()
    public = setup(GROUP, alpha)
    header, _ = encapsulate(public, POLICY, context=CONTEXT, random=secrets.token_bytes)
    ciphertext = Ciphertext.from_bytes(GROUP, header[4:-32])
    spoilt = list(ciphertext.ct3)
    spoilt[POLICY.rows.index("a:2")] = GROUP.g1 * 5
    altered = b"UAH1" + bytes(replace(ciphertext, ct3=tuple(spoilt))) + header[-32:]

    for attributes in (ATTRIBUTES, ("epoch:2026-11", "site:de-a", "a:1", "a:2")):
        key = keygen(GROUP, alpha, attributes, scalar())
        with pytest.raises(ProtocolError, match=REFUSAL):
            decapsulate(public, key, altered, context=CONTEXT)


def test_a_header_under_a_looser_policy_does_not_open() -> None:
    alpha = scalar()
    public = setup(GROUP, alpha)
    strict = parse("and(epoch:2026-11,site:de-a)")
    header, _ = encapsulate(public, strict, context=CONTEXT, random=secrets.token_bytes)
    key = keygen(GROUP, alpha, ("epoch:2026-11", "site:de-a"), scalar())

    for looser in ("and(epoch:2026-12,site:de-a)", "and(epoch:2026-11,site:de-b)"):
        altered = header.replace(str(strict).encode(), looser.encode())
        assert altered != header
        with pytest.raises(ProtocolError, match=REFUSAL):
            decapsulate(public, key, altered, context=CONTEXT)
