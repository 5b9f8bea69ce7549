"""Story: a share stolen last year, and another one this year.

Refreshing is there for this thief: it takes t + 1 registries between two refreshes. What refreshing
does not do is take back what t + 1 old shares can: they hold the secret for ever, and who does not
erase them gives the thief all the time there is. The tests show both.
"""

import secrets
from itertools import combinations

import pytest
from ceremonies import NAMES, Shares, generation, handover, requested, run

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import ORDER, default_group
from upcare_mpc.abe.issuance import combine, issue
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import keygen
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
Years = tuple[Committee, Shares, Committee, Shares]


@pytest.fixture(scope="module")
def years() -> Years:
    old, old_shares = run(generation(GROUP, NAMES[:5]))
    new, new_shares = run(handover(old), old_shares)
    return old, old_shares, new, new_shares


def stolen_opens(committee: Committee, stolen: list[Share]) -> bool:
    """Whether the secret that the shares interpolate to opens what is sealed for the network."""
    header, wrapping_key = encapsulate(
        committee.public, parse("a:x"), context=b"", random=secrets.token_bytes
    )
    weights = lagrange([committee.place(share.member) for share in stolen])
    alpha = sum(w * share.master for w, share in zip(weights, stolen, strict=True)) % ORDER
    key = keygen(GROUP, alpha, ("a:x",), 5)
    try:
        return decapsulate(committee.public, key, header, context=b"") == wrapping_key
    except ProtocolError:
        return False


def test_t_old_shares_and_t_new_ones_open_nothing(years: Years) -> None:
    old, old_shares, _, new_shares = years

    for last_year in combinations(NAMES[:5], 2):
        for this_year in combinations(sorted(set(NAMES[:5]) - set(last_year)), 2):
            stolen = [old_shares[name] for name in last_year]
            stolen += [new_shares[name] for name in this_year]
            assert not stolen_opens(old, stolen)
            for three in combinations(stolen, 3):
                assert not stolen_opens(old, list(three))


def test_t_and_one_of_either_year_do(years: Years) -> None:
    old, old_shares, new, new_shares = years

    assert stolen_opens(old, [old_shares[name] for name in NAMES[:3]])
    assert stolen_opens(new, [new_shares[name] for name in NAMES[2:5]])


def test_a_registry_with_its_old_share_issues_nothing_more(years: Years) -> None:
    _, old_shares, new, _ = years
    request = requested(new)

    with pytest.raises(AssertionError):
        issue(old_shares["de-a"], new, request)
    with pytest.raises(ProtocolError, match="does not open"):
        Share.from_bytes(new, bytes(old_shares["de-a"]))


def test_what_was_sealed_before_opens_with_keys_issued_after(years: Years) -> None:
    old, _, new, new_shares = years
    header, wrapping_key = encapsulate(
        old.public, parse("site:de-a"), context=b"de-a", random=secrets.token_bytes
    )
    request = requested(new)

    key = combine(new, request, [issue(new_shares[name], new, request) for name in NAMES[1:4]])

    assert decapsulate(new.public, key, header, context=b"de-a") == wrapping_key
