"""Collections and deposits among real certificates, for tests of what a node does with them."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.envelopes import wrap
from upcare_mpc.deposits.key import CollectionKey, seed_of
from upcare_mpc.deposits.submission import Deposit, Ticket
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import Q
from upcare_mpc.he.sampling import binomial, expand, ternary
from upcare_mpc.he.scheme import PublicKey
from upcare_mpc.link.certificates import Identity


def collection_of(holders: Sequence[Identity], **changed: Any) -> Collection:
    """A collection of one table of six cells; fr-a deposits, patients of de-a answer."""
    now = int(time.time())
    fields: dict[str, Any] = {
        "network": holders[0].network.fingerprint,
        "study": bytes(32),
        "signing_key": bytes(32),
        "cells": 6,
        "envelope": "rlwe",
        "holders": tuple(
            Holder(name=h.party.name, certificate=h.party.fingerprint) for h in holders
        ),
        "threshold": 1,
        "depositors": ("fr-a",),
        "vouchers": ("de-a",),
        "opened": now,
        "closes": now + 24 * 3600,
        "nonce": os.urandom(16),
    }
    return Collection(**fields | changed)


@dataclass
class Dealt:
    """The key of a collection, and what its holders have of it."""

    collection: Collection
    key: CollectionKey
    sealing: list[X25519PrivateKey]
    sigma: list[list[int]]

    @property
    def public(self) -> bytes:
        """Encoded; empty with envelope ``sealed``."""
        return b"" if self.key.public is None else self.key.public.to_bytes()

    def table(self, by: Identity, *values: int, **changed: Any) -> Deposit:
        """A registry's deposit."""
        return self._filled(
            Deposit(
                collection=self.collection.digest,
                role="registry",
                submitter=by.party.name.encode(),
                ticket=b"",
                certificate=by.certificate_pem,
                nonce=os.urandom(16),
                payload=b"",
            ),
            values,
            by.sign,
            changed,
        )

    def answers(
        self, by: Identity, *values: int, patient: "Patient | None" = None, **changed: Any
    ) -> Deposit:
        """A patient's deposit, with the word of her registry."""
        patient = patient or Patient()
        ticket = Ticket(
            collection=self.collection.digest, registry=by.party.name, key=patient.point
        )
        return self._filled(
            Deposit(
                collection=self.collection.digest,
                role="patient",
                submitter=patient.point,
                ticket=ticket.signed(by.sign).to_bytes(),
                certificate=by.certificate_pem,
                nonce=os.urandom(16),
                payload=b"",
            ),
            values,
            patient.sign,
            changed,
        )

    def _filled(
        self, empty: Deposit, values: Sequence[int], sign: Any, changed: dict[str, Any]
    ) -> Deposit:
        vector = np.array(values or [0] * self.collection.cells, np.int64)
        payload = wrap(vector, self.collection, self.key, context=empty.context, random=os.urandom)
        return replace(empty, **{"payload": payload} | changed).signed(sign)


class Patient:
    """Somebody with a key of her own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.point = self.key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def sign(self, statement: bytes) -> bytes:
        return self.key.sign(statement, ec.ECDSA(hashes.SHA256()))


def dealt(collection: Collection) -> Dealt:
    """Deal a collection's key, as one who sees all of it."""
    sealing = [X25519PrivateKey.generate() for _ in collection.holders]
    points = tuple(key.public_key().public_bytes_raw() for key in sealing)
    if collection.envelope == "sealed":
        return Dealt(collection, CollectionKey(public=None, sealing=points), sealing, [])
    secret = np.sum([ternary(os.urandom) for _ in collection.holders], axis=0)
    error = np.sum([binomial(os.urandom) for _ in collection.holders], axis=0).tolist()
    seed = seed_of(collection)
    factors = ring.of_elements(ring.of_integers(expand(seed))), ring.of_short(secret)
    product = ring.integers(ring.reduced(ring.product(factors)))
    public = PublicKey(seed, tuple((e - x) % Q for e, x in zip(error, product, strict=True)))
    key = CollectionKey(public=public, sealing=points)
    return Dealt(collection, key, sealing, _shared(secret.tolist(), collection))


def _shared(secret: list[int], collection: Collection) -> list[list[int]]:
    """Shamir shares mod q at the points 1 to h."""
    rows = [
        secret,
        *(
            [int.from_bytes(os.urandom(32), "little") % Q for _ in secret]
            for _ in range(collection.threshold)
        ),
    ]
    return [
        [
            sum(c * point**power for power, c in enumerate(column)) % Q
            for column in zip(*rows, strict=True)
        ]
        for point in range(1, collection.parties + 1)
    ]
