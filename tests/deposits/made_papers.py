"""Collections, keys and deposits without certificates: names stand for who signed."""

import hashlib
import os
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.findings import Findings
from upcare_mpc.deposits.key import CollectionKey, HolderKey, seed_of
from upcare_mpc.deposits.submission import Deposit, Ticket
from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import Q
from upcare_mpc.he.sampling import binomial, expand, ternary
from upcare_mpc.he.scheme import PublicKey

HOLDERS: Final = ("de-a", "de-b", "de-c")


def signature(name: str, statement: bytes) -> bytes:
    """What stands for a signature here: nobody can mistake one for another."""
    return hashlib.sha256(name.encode() + b"|" + statement).digest()


def verify(name: str, statement: bytes, signed: bytes) -> None:
    if signed != signature(name, statement):
        raise ProtocolError(f"{name} did not sign this")


def certify(certificate: bytes, statement: bytes, signed: bytes) -> str:
    """A certificate is the name of its registry."""
    verify(certificate.decode(), statement, signed)
    return certificate.decode()


def collection(**changed: Any) -> Collection:
    return Collection(
        **{
            "network": b"\1" * 32,
            "study": b"\2" * 32,
            "signing_key": b"\3" * 32,
            "cells": 5,
            "envelope": "rlwe",
            "holders": tuple(Holder(name=name, certificate=b"\4" * 32) for name in HOLDERS),
            "threshold": 1,
            "depositors": ("fr-a",),
            "vouchers": ("de-a", "fr-a"),
            "opened": 1_000,
            "closes": 2_000,
            "nonce": b"\5" * 16,
        }
        | changed
    )


def public_key(of: Collection) -> PublicKey:
    """An RLWE key of a collection, whose secret nobody keeps."""
    seed = seed_of(of)
    factors = ring.of_elements(ring.of_integers(expand(seed))), ring.of_short(ternary(os.urandom))
    product = ring.integers(ring.reduced(ring.product(factors)))
    errors = binomial(os.urandom).tolist()
    return PublicKey(seed, tuple((e - x) % Q for e, x in zip(errors, product, strict=True)))


def collection_key(of: Collection) -> tuple[CollectionKey, list[X25519PrivateKey]]:
    private = [X25519PrivateKey.generate() for _ in of.holders]
    sealing = tuple(key.public_key().public_bytes_raw() for key in private)
    public = public_key(of) if of.envelope == "rlwe" else None
    return CollectionKey(public=public, sealing=sealing), private


def holder_keys(of: Collection, **changed: Any) -> list[HolderKey]:
    public = public_key(of).to_bytes() if of.envelope == "rlwe" else b""
    keys = []
    for name in of.names:
        fields = {"collection": of.digest, "public": public, "sealing": b"\6" * 32} | changed
        key = HolderKey(holder=name, **fields)
        keys.append(key.signed(lambda text, name=name: signature(name, text)))
    return keys


class Patient:
    """Somebody with a key of her own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.point = self.key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )

    def sign(self, statement: bytes) -> bytes:
        return self.key.sign(statement, ec.ECDSA(hashes.SHA256()))

    def ticket(self, of: Collection, *, by: str = "de-a", key: bytes | None = None) -> Ticket:
        unsigned = Ticket(collection=of.digest, registry=by, key=key or self.point)
        return unsigned.signed(lambda text: signature(by, text))

    def deposit(self, of: Collection, *, by: str = "de-a", **changed: Any) -> Deposit:
        fields = {
            "collection": of.digest,
            "role": "patient",
            "submitter": self.point,
            "ticket": self.ticket(of, by=by).to_bytes(),
            "certificate": by.encode(),
            "nonce": b"\7" * 16,
            "payload": b"answers",
        }
        return Deposit(**fields | changed).signed(self.sign)


def table(of: Collection, *, by: str = "fr-a", **changed: Any) -> Deposit:
    """A registry's deposit."""
    fields = {
        "collection": of.digest,
        "role": "registry",
        "submitter": by.encode(),
        "ticket": b"",
        "certificate": by.encode(),
        "nonce": b"\7" * 16,
        "payload": b"table",
    }
    return Deposit(**fields | changed).signed(lambda text: signature(by, text))


def findings(of: Collection, holder: str, **changed: Any) -> Findings:
    fields = {
        "collection": of.digest,
        "count": 6,
        "deposits": b"\10" * 32,
        "present": of.names,
        "holder": holder,
        "certificate": holder.encode(),
        "refused": {},
    }
    return Findings(**fields | changed).signed(lambda text: signature(holder, text))


def vector(*values: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array(values, np.int64)
