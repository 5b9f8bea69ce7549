"""Story: a key that was good once, or elsewhere, is tried on what it was not issued for.

A project of November keeps its key and tries the headers of December; one with a licence for a
registry tries another's; a key from a test network meets the real one. Epoch, site and purpose are
attributes that the policy requires; the network is its public key, and the context says which
registry's object a header belongs to. All of them fail alike, with nothing opened.
"""

import secrets

import pytest

from upcare_mpc.abe.groups import default_group, random_scalar
from upcare_mpc.abe.kem import decapsulate, encapsulate
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import keygen, setup
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
NOVEMBER = ("site:de-a", "epoch:2026-11", "duo:hmb", "project:p-17")
ALPHA, ELSEWHERE = (random_scalar(secrets.token_bytes) for _ in range(2))
PUBLIC = setup(GROUP, ALPHA)


def sealed(policy: str, context: bytes = b"de-a|7") -> tuple[bytes, bytes]:
    return encapsulate(PUBLIC, parse(policy), context=context, random=secrets.token_bytes)


def opened(
    header: bytes,
    attributes: tuple[str, ...] = NOVEMBER,
    *,
    alpha: int = ALPHA,
    context: bytes = b"de-a|7",
) -> bytes:
    key = keygen(GROUP, alpha, attributes, random_scalar(secrets.token_bytes))
    return decapsulate(PUBLIC, key, header, context=context)


def test_the_key_opens_what_it_was_issued_for() -> None:
    header, wrapping_key = sealed("and(site:de-a,epoch:2026-11,duo:hmb)")

    assert opened(header) == wrapping_key


@pytest.mark.parametrize(
    "policy",
    [
        "and(site:de-a,epoch:2026-12,duo:hmb)",
        "and(site:de-b,epoch:2026-11,duo:hmb)",
        "and(site:de-a,epoch:2026-11,duo:ds)",
        "and(site:de-a,epoch:2026-11,duo:hmb,project:p-18)",
        "and(site:de-a,epoch:2026-11,duo:hmb,project:p-1)",
    ],
)
def test_another_epoch_site_purpose_or_project_stays_closed(policy: str) -> None:
    header, _ = sealed(policy)

    with pytest.raises(ProtocolError, match="the sealed key does not open"):
        opened(header)


def test_the_key_of_another_network_opens_nothing() -> None:
    header, _ = sealed("and(site:de-a,epoch:2026-11)")

    with pytest.raises(ProtocolError, match="the sealed key does not open"):
        opened(header, alpha=ELSEWHERE)


def test_a_header_of_another_network_does_not_open_here() -> None:
    # The reader's key is good for the header, but the header is not of the reader's network.
    header, _ = encapsulate(
        setup(GROUP, ELSEWHERE), parse("duo:hmb"), context=b"de-a|7", random=secrets.token_bytes
    )

    with pytest.raises(ProtocolError, match="the sealed key does not open"):
        opened(header, alpha=ELSEWHERE)


def test_a_header_moved_to_another_registry_or_object_does_not_open() -> None:
    header, _ = sealed("and(site:de-a,epoch:2026-11)", context=b"de-a|8")

    with pytest.raises(ProtocolError, match="the sealed key does not open"):
        opened(header)


def test_two_keys_of_one_person_do_not_add_up() -> None:
    # Commercial and non-commercial purposes are never in one key; two keys are not one.
    header, _ = sealed("and(use:commercial,use:non-commercial)")

    for use in ("use:commercial", "use:non-commercial"):
        with pytest.raises(ProtocolError, match="the sealed key does not open"):
            opened(header, (*NOVEMBER, use))
