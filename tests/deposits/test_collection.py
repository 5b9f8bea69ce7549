"""Collections: one spelling, and nothing that no honest platform would compose."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_papers import HOLDERS, collection

from upcare_mpc.deposits.collection import (
    MAX_AT_ONCE,
    Collection,
    Holder,
    check_at_once,
    most_holders,
)
from upcare_mpc.errors import ProtocolError, RefusedError


def holders(count: int) -> tuple[Holder, ...]:
    return tuple(Holder(name=f"r-{i}", certificate=bytes(32)) for i in range(count))


def test_canonical_bytes_are_read_back() -> None:
    assert Collection.from_canonical(collection().canonical()) == collection()


def test_what_differs_has_another_digest() -> None:
    others = [
        collection(nonce=b"\6" * 16),
        collection(closes=2_001),
        collection(vouchers=("de-a",)),
        collection(envelope="sealed"),
        collection(study=bytes(32)),
    ]
    assert len({found.digest for found in [collection(), *others]}) == 6


def test_places_are_those_of_the_holders() -> None:
    assert [collection().place(name) for name in HOLDERS] == [0, 1, 2]
    with pytest.raises(ProtocolError, match="fr-a holds no part"):
        collection().place("fr-a")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"network": bytes(31)}, "32-byte digests"),
        ({"nonce": bytes(15)}, "16-byte nonce"),
        ({"envelope": "open"}, "rlwe or sealed"),
        ({"holders": holders(2)}, "3 to 7 holders"),
        ({"holders": holders(8)}, "3 to 7 holders"),
        ({"holders": holders(5)}, "at most 3t"),
        ({"threshold": 0}, "below half"),
        ({"threshold": 2}, "below half"),
        ({"holders": (*holders(2), holders(1)[0])}, "distinct"),
        ({"depositors": ("fr-a", "fr-a")}, "distinct"),
        ({"depositors": ("FR",)}, "distinct registries"),
        ({"depositors": (), "vouchers": ()}, "registries, patients, or both"),
        ({"cells": 0}, "cells"),
        ({"cells": (1 << 20) + 1}, "cells"),
        ({"closes": 1_000}, "closes after"),
        ({"opened": -1}, "closes after"),
    ],
)
def test_what_no_honest_platform_composes_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        collection(**changed)


@pytest.mark.parametrize(
    "alter",
    [
        lambda c: {**c, "version": 2},
        lambda c: {**c, "more": 1},
        lambda c: {k: v for k, v in c.items() if k != "nonce"},
        lambda c: {**c, "cells": "5"},
        lambda c: {**c, "holders": 3},
        lambda c: [c],
    ],
)
def test_other_json_is_refused(alter: Any) -> None:
    content = json.loads(collection().canonical())
    with pytest.raises(ProtocolError):
        Collection.from_canonical(json.dumps(alter(content)).encode())


def test_another_spelling_is_refused() -> None:
    spaced = json.dumps(json.loads(collection().canonical()), sort_keys=True).encode()
    with pytest.raises(ProtocolError, match="canonical"):
        Collection.from_canonical(spaced)


def test_long_bytes_are_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        Collection.from_canonical(b"[" * 100_000)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_to_be_refused(received: bytes) -> None:
    with pytest.raises(ProtocolError):
        Collection.from_canonical(received)


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_so_few_hold_a_key_that_it_serves_one_release(threshold: int) -> None:
    """A session's holders have all erased their parts before one of them makes an output."""
    most, quorum = most_holders(threshold), 2 * threshold + 1
    assert quorum <= most
    assert most - quorum <= threshold  # what is left converts nothing, and opens no deposit
    assert 2 * quorum - most >= 1  # two sessions share a holder, who joins one set alone


def test_a_researcher_has_so_many_at_once_and_another_s_are_not_hers() -> None:
    hers = [collection(nonce=bytes([n]) * 16) for n in range(MAX_AT_ONCE)]
    others = [collection(signing_key=bytes([n]) * 32) for n in range(4, 64)]
    check_at_once(collection(), [*hers[1:], *others])
    with pytest.raises(RefusedError, match="wanted at most 8 collections of one researcher"):
        check_at_once(collection(), [*hers, *others])
