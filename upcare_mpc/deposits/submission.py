"""One deposit: who deposits, on whose word, and the payload that nobody on the way can read.

    ticket  = "UDT1" | collection (32) | registry | patient's key (65) | signature
    deposit = "UDP1" | collection (32) | role | submitter | ticket | certificate | nonce (16)
                     | payload | signature                                     (study.packed)

``role`` is ``registry`` (the submitter is its name, the ticket empty, the certificate its own) or
``patient`` (the submitter is a P-256 point that she made for this collection alone, and the ticket
a registry's word, with that registry's certificate, that this key is of one of its patients, whose
consent permits the study). The signature is by the submitter's key (ECDSA P-256, SHA-256, DER).

The ticket names no patient. The registry that gave it knows whose it is and cannot read the
deposit; the platform sees the key and the registry. One submitter deposits once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.deposits import statement
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.packed import pack, unpack, unpack_first

__all__ = ["MAX_DEPOSIT_BYTES", "NONCE_BYTES", "POINT_BYTES", "Certify", "Deposit", "Ticket"]

MAX_DEPOSIT_BYTES: Final = 80 << 20
NONCE_BYTES: Final = 16
POINT_BYTES: Final = 65  # of P-256, uncompressed
_MAX_TICKET: Final = 1 << 10
_TICKET: Final = b"UDT1"
_DEPOSIT: Final = b"UDP1"
_BEFORE_PAYLOAD: Final = 6  # fields

Certify = Callable[[bytes, bytes, bytes], str]
"""Called with a certificate (PEM), a statement and a signature; returns the name of the registry of
this network that the certificate is of. Raises ``ProtocolError`` unless it is in force, and its key
has signed the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A registry's word that a key is of one of its patients, whose consent permits the study.

    Attributes:
        collection: Digest of the collection that it is for.
        registry: Who gives it.
        key: The patient's public key, an uncompressed P-256 point, 65 bytes.
        signature: By the registry's certificate's key.
    """

    collection: bytes
    registry: str
    key: bytes
    signature: bytes = b""

    def statement(self) -> bytes:
        """The bytes that the registry signs."""
        return statement("ticket", self.collection, self.registry.encode(), self.key)

    def signed(self, sign: Callable[[bytes], bytes]) -> "Ticket":
        """Sign it."""
        return replace(self, signature=sign(self.statement()))

    def to_bytes(self) -> bytes:
        """Encode."""
        return pack(_TICKET, self.collection, self.registry.encode(), self.key, self.signature)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Ticket":
        """Decode; the signature is not checked here.

        Raises:
            ProtocolError: These are not the bytes of a ticket.
        """
        fields = unpack(_TICKET, encoded, most=_MAX_TICKET)
        if len(fields) != 4 or len(fields[0]) != 32 or len(fields[2]) != POINT_BYTES:
            raise ProtocolError("these are not the bytes of a ticket")
        collection, registry, key, signature = fields
        return cls(
            collection=collection,
            registry=registry.decode("ascii", "replace"),
            key=key,
            signature=signature,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One deposit.

    Attributes:
        collection: Digest of the collection.
        role: ``registry`` or ``patient``.
        submitter: A registry's name, or a patient's public key.
        ticket: Encoded; empty for a registry.
        certificate: PEM, of the registry that deposits or vouches.
        nonce: 16 bytes chosen by the submitter.
        payload: See ``envelopes``.
        signature: By the submitter.
    """

    collection: bytes
    role: Literal["registry", "patient"]
    submitter: bytes
    ticket: bytes
    certificate: bytes
    nonce: bytes
    payload: bytes
    signature: bytes = b""

    @property
    def context(self) -> bytes:
        """What the payload is bound to, 32 bytes; the collection binds network, study and key."""
        fields = (self.collection, self.role.encode(), self.submitter, self.ticket, self.nonce)
        return hashlib.sha256(statement("context", *fields)).digest()

    @property
    def digest(self) -> bytes:
        """SHA-256 of the encoded deposit."""
        return hashlib.sha256(self.to_bytes()).digest()

    def statement(self) -> bytes:
        """The bytes that the submitter signs."""
        payload = hashlib.sha256(self.payload).digest()
        return statement("submission", self.context, self.certificate, payload)

    def signed(self, sign: Callable[[bytes], bytes]) -> "Deposit":
        """Sign it."""
        return replace(self, signature=sign(self.statement()))

    def to_bytes(self) -> bytes:
        """Encode."""
        return pack(
            _DEPOSIT,
            self.collection,
            self.role.encode(),
            self.submitter,
            self.ticket,
            self.certificate,
            self.nonce,
            self.payload,
            self.signature,
        )

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Deposit":
        """Decode; nothing is checked but the form.

        Raises:
            ProtocolError: These are not the bytes of a deposit.
        """
        return cls._of(unpack(_DEPOSIT, encoded, most=MAX_DEPOSIT_BYTES))

    @classmethod
    def begun(cls, first: bytes) -> "Deposit":
        """Decode all that stands before the payload, from the first bytes of a deposit.

        Payload and signature are empty.

        Raises:
            ProtocolError: These are not the first bytes of a deposit, or too few.
        """
        return cls._of([*unpack_first(_DEPOSIT, first, fields=_BEFORE_PAYLOAD), b"", b""])

    @classmethod
    def _of(cls, fields: list[bytes]) -> "Deposit":
        if len(fields) != 8 or len(fields[0]) != 32 or len(fields[5]) != NONCE_BYTES:
            raise ProtocolError("these are not the bytes of a deposit")
        collection, role, submitter, ticket, certificate, nonce, payload, signature = fields
        if role not in (b"registry", b"patient"):
            raise ProtocolError("a deposit is of a registry or of a patient")
        return cls(
            collection=collection,
            role="registry" if role == b"registry" else "patient",
            submitter=submitter,
            ticket=ticket,
            certificate=certificate,
            nonce=nonce,
            payload=payload,
            signature=signature,
        )

    def check(self, collection: Collection, certify: Certify) -> None:
        """Check who deposits, and that he may; the payload is checked by ``envelopes``.

        Raises:
            ProtocolError: It is of another collection, of nobody who may deposit in this one, or
                not signed by its submitter.
        """
        self.check_begun(collection, certify)
        if self.role == "registry":
            name = certify(self.certificate, self.statement(), self.signature)
            if self.ticket or self.submitter != name.encode():
                raise ProtocolError("the deposit names another registry than its certificate")
            if name not in collection.depositors:
                raise ProtocolError(f"{name} deposits nothing in this collection")
            return
        _check_signature(self.submitter, self.statement(), self.signature)

    def check_begun(self, collection: Collection, certify: Certify) -> None:
        """Check what stands before the payload: the collection, and a patient's ticket.

        Raises:
            ProtocolError: It is of another collection, or no registry that vouches for patients
                in this one has given its word for the patient's key.
        """
        if self.collection != collection.digest:
            raise ProtocolError("the deposit is for another collection")
        if self.role == "registry":  # nothing is shown before its signature
            return
        ticket = Ticket.from_bytes(self.ticket)
        if ticket.collection != collection.digest or ticket.key != self.submitter:
            raise ProtocolError("the ticket is of another patient or collection")
        name = certify(self.certificate, ticket.statement(), ticket.signature)
        if name != ticket.registry or name not in collection.vouchers:
            raise ProtocolError("the ticket is not of a registry that vouches in this collection")


def _check_signature(point: bytes, signed: bytes, signature: bytes) -> None:
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise ProtocolError("the deposit is not signed by its submitter") from None
