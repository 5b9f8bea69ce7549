"""Story: the platform puts a patient's answers into a questionnaire that she did not answer.

She has answered one study. The platform keeps every byte of it, and serves another study with the
same table. It would like her answers to be counted there too: at the door, from the disk, or with
her payload under a submitter of its own.

Even if both collections had the same key: a payload is bound to its deposit, and a deposit to its
collection, submitter and ticket. The door refuses it, and every holder does, whatever is on the
disk. First it is shown that without the binding the answers would be counted.
"""

import datetime
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from depositing_world import World
from made_deposits import Patient
from served_platform import ServedPlatform

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import check_payload, open_share, wrap
from upcare_mpc.deposits.key import CollectionKey, seed_of
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.he.parameters import N, Q
from upcare_mpc.he.scheme import PublicKey
from upcare_mpc.link.deposits import Holder
from upcare_mpc.link.signers import certifier
from upcare_mpc.mpc import field

ANSWERS = np.arange(10, dtype=np.int64)
SECRETS = [X25519PrivateKey.generate() for _ in range(3)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ServedPlatform(tmp_path) as served:
        yield World(served)


def key_of(collection: Collection) -> CollectionKey:
    """Some key: for ``sealed`` the same in all collections, which no honest holder does."""
    public = None
    if collection.envelope == "rlwe":
        b = tuple(int.from_bytes(os.urandom(32)) % Q for _ in range(N))
        public = PublicKey(seed=seed_of(collection), b=b)
    return CollectionKey(
        public=public, sealing=tuple(s.public_key().public_bytes_raw() for s in SECRETS)
    )


def answered(world: World, patient: Patient, collection: Collection, key: CollectionKey) -> Deposit:
    """An honest deposit: the payload is wrapped in the deposit's context."""
    registry = world.identity("de-a")
    empty = patient.answers(registry, collection)
    payload = wrap(ANSWERS, collection, key, context=empty.context, random=os.urandom)
    return replace(empty, payload=payload).signed(patient.sign)


def opened(deposit: Deposit, collection: Collection, context: bytes) -> list[int]:
    """What two holders together read, if they had to."""
    shares = {
        place: open_share(deposit.payload, collection, SECRETS[place], place=place, context=context)
        for place in (0, 1)
    }
    return [int(x) for x in field.decode(field.open_shares(shares, threshold=1))]


def found_by_a_holder(world: World, collection: Collection, key: CollectionKey) -> list[str]:
    """What a holder that fetches everything finds, as ``deposits.findings`` names it."""
    certify = certifier(world.platform.network, now=datetime.datetime.now(datetime.UTC))
    found = []
    with Holder(world.platform.registries, world.identity("de-b")) as holder:
        count, _ = world.platform.deposits.listing(collection.digest)
        for encoded in holder.fetch(collection.digest, count=count, at_most=1 << 21):
            try:
                deposit = Deposit.from_bytes(encoded)
                deposit.check(collection, certify)
            except ProtocolError:
                found.append("submitter")
                continue
            try:
                check_payload(deposit.payload, collection, key, context=deposit.context)
                if collection.envelope == "sealed":
                    opened(deposit, collection, deposit.context)
                found.append("good")
            except ProtocolError:
                found.append("proof")
    return found


def test_a_deposit_counts_nowhere_else(world: World) -> None:
    hers = world.collection
    other = world.opened()
    key = key_of(hers)
    patient = Patient()
    deposit = answered(world, patient, hers, key)
    world.bring(deposit.to_bytes())

    # Without the binding it would open in the other one: shares, key and table are alike.
    assert opened(deposit, other, deposit.context) == ANSWERS.tolist()

    # At the door, as it is.
    with pytest.raises(RefusedError, match="for another collection"):
        world.bring(deposit.to_bytes(), other)
    # On the disk: the platform writes whatever it likes, and lists it.
    accomplice = Patient()  # with a true ticket for the other collection
    registry = world.identity("de-a")
    for moved in (deposit, accomplice.answers(registry, other, deposit.payload)):
        _forced(world, other, moved)
    world.platform.deposits.close(other.digest)

    assert found_by_a_holder(world, other, key) == ["submitter", "proof"]


def test_a_proof_holds_for_one_deposit_alone(world: World) -> None:
    hers = world.opened(envelope="rlwe")
    other = world.opened(envelope="rlwe")
    key = key_of(hers)  # again, one key for both
    deposit = answered(world, Patient(), hers, key)
    check_payload(deposit.payload, hers, key, context=deposit.context)

    copied = Patient().answers(world.identity("de-a"), other, deposit.payload)
    again = Patient().answers(world.identity("de-a"), hers, deposit.payload)
    for stolen, collection in ((copied, other), (again, hers)):
        _forced(world, collection, stolen)
        world.platform.deposits.close(collection.digest)
        assert found_by_a_holder(world, collection, key) == ["proof"]


def _forced(world: World, collection: Collection, deposit: Deposit) -> None:
    """The platform keeps a deposit without looking at it."""
    deposits = world.platform.deposits
    with deposits.arriving(collection.digest) as file:
        file.write(deposit.to_bytes())
        deposits.keep(
            collection.digest,
            file,
            role=deposit.role,
            submitter=deposit.submitter,
            digest=deposit.digest,
            now=collection.opened,
            receipt=lambda _: b"",
        )
