"""Both envelopes: what goes in comes out of enough shares, and nothing can be moved."""

import os
from dataclasses import replace

import numpy as np
import pytest
from made_papers import collection, collection_key, vector

from upcare_mpc.deposits.envelopes import (
    check_payload,
    ciphertext_of,
    most_bytes,
    open_share,
    wrap,
)
from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field

CONTEXT = b"\11" * 32
VECTOR = vector(3, 0, -1, 1 << 40, 7)


def test_sealed_shares_open_at_their_holders_and_recombine() -> None:
    wanted = collection(envelope="sealed")
    key, private = collection_key(wanted)

    payload = wrap(VECTOR, wanted, key, context=CONTEXT, random=os.urandom)
    check_payload(payload, wanted, key, context=CONTEXT)

    shares = {
        place: open_share(payload, wanted, own, place=place, context=CONTEXT)
        for place, own in enumerate(private)
    }
    for pair in ((0, 1), (0, 2), (1, 2)):
        opened = field.open_shares({place: shares[place] for place in pair}, threshold=1)
        assert np.array_equal(field.decode(opened), VECTOR)


@pytest.mark.parametrize("what", ["context", "place", "key", "bytes"])
def test_a_moved_share_does_not_open_and_the_text_is_one(what: str) -> None:
    wanted = collection(envelope="sealed")
    key, private = collection_key(wanted)
    payload = wrap(VECTOR, wanted, key, context=CONTEXT, random=os.urandom)
    context = bytes(32) if what == "context" else CONTEXT
    place = 1 if what == "place" else 0
    own = private[2] if what == "key" else private[0]
    if what == "bytes":
        payload = payload.replace(payload[30:40], bytes(10))

    with pytest.raises(ProtocolError, match=r"^a deposit's sealed share does not open$"):
        open_share(payload, wanted, own, place=place, context=context)


def test_a_ciphertext_holds_with_its_own_context_alone() -> None:
    wanted = collection()
    key, _ = collection_key(wanted)

    payload = wrap(VECTOR, wanted, key, context=CONTEXT, random=os.urandom)

    check_payload(payload, wanted, key, context=CONTEXT)
    assert ciphertext_of(payload, wanted).cells == 5
    with pytest.raises(ProtocolError, match="proof does not hold"):
        check_payload(payload, wanted, key, context=bytes(32))


def test_the_other_envelope_is_refused() -> None:
    rlwe, sealed = collection(), collection(envelope="sealed")
    key, _ = collection_key(rlwe)
    other, _ = collection_key(sealed)
    encrypted = wrap(VECTOR, rlwe, key, context=CONTEXT, random=os.urandom)
    shares = wrap(VECTOR, sealed, other, context=CONTEXT, random=os.urandom)

    with pytest.raises(ProtocolError):
        check_payload(encrypted, sealed, other, context=CONTEXT)
    with pytest.raises(ProtocolError):
        check_payload(shares, rlwe, key, context=CONTEXT)


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
def test_no_deposit_is_longer_than_is_said(envelope: str) -> None:
    wanted = collection(envelope=envelope)
    key, _ = collection_key(wanted)
    payload = wrap(VECTOR, wanted, key, context=CONTEXT, random=os.urandom)
    assert len(payload) < most_bytes(wanted) < len(payload) + (20 << 10)


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
def test_a_vector_of_another_length_is_refused(envelope: str) -> None:
    wanted = collection(envelope=envelope)
    key, _ = collection_key(wanted)
    with pytest.raises(ProtocolError, match="has 5 cells, got 4"):
        wrap(VECTOR[:4], wanted, key, context=CONTEXT, random=os.urandom)


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
def test_a_payload_for_a_table_of_other_length_is_refused(envelope: str) -> None:
    wanted = collection(envelope=envelope)
    key, _ = collection_key(wanted)
    payload = wrap(VECTOR, wanted, key, context=CONTEXT, random=os.urandom)
    with pytest.raises(ProtocolError):
        check_payload(payload, replace(wanted, cells=6), key, context=CONTEXT)
