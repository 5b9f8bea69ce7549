"""Collections and deposits whose payload nobody opens."""

import os
import time
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.submission import Deposit, Ticket
from upcare_mpc.link.certificates import Identity

NOW = int(time.time())


def collection_of(holders: Sequence[Identity], **changed: Any) -> Collection:
    """A collection of one table of ten cells, open for a day."""
    return Collection(
        **{
            "network": holders[0].network.fingerprint,
            "study": bytes(32),
            "signing_key": bytes(32),
            "cells": 10,
            "envelope": "sealed",
            "holders": tuple(
                Holder(name=h.party.name, certificate=h.party.fingerprint) for h in holders
            ),
            "threshold": 1,
            "depositors": ("fr-a",),
            "vouchers": ("de-a",),
            "opened": NOW - 60,
            "closes": NOW + 24 * 3600,
            "nonce": os.urandom(16),
        }
        | changed
    )


def table_of(identity: Identity, collection: Collection, payload: bytes = b"table") -> Deposit:
    """A registry's deposit."""
    return Deposit(
        collection=collection.digest,
        role="registry",
        submitter=identity.party.name.encode(),
        ticket=b"",
        certificate=identity.certificate_pem,
        nonce=os.urandom(16),
        payload=payload,
    ).signed(identity.sign)


class Patient:
    """Somebody with a key of her own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.point = self.key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def sign(self, statement: bytes) -> bytes:
        return self.key.sign(statement, ec.ECDSA(hashes.SHA256()))

    def ticket(self, registry: Identity, collection: Collection) -> Ticket:
        """What her registry gives her."""
        name = registry.party.name
        unsigned = Ticket(collection=collection.digest, registry=name, key=self.point)
        return unsigned.signed(registry.sign)

    def answers(
        self,
        registry: Identity,
        collection: Collection,
        payload: bytes = b"answers",
        **changed: Any,
    ) -> Deposit:
        """Her deposit."""
        fields: dict[str, Any] = {
            "collection": collection.digest,
            "role": "patient",
            "submitter": self.point,
            "ticket": self.ticket(registry, collection).to_bytes(),
            "certificate": registry.certificate_pem,
            "nonce": os.urandom(16),
            "payload": payload,
        }
        return Deposit(**fields | changed).signed(self.sign)
