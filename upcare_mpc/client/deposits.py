"""Depositing: what is collected, checked before anything leaves, and the receipt afterwards.

    with DepositClient.of_network("net", "localhost:7444") as deposits:
        found = deposits.describe(digest)
        vector = found.question.kind.vector(answers)
        receipt = deposits.send(found, patient_deposit(found, vector, key=key, ticket=ticket, ...))

Adversary: the platform and the network. They may hand out any bytes: a collection is used only if
it is what its study implies, in this network, and EVERY holder has signed its key with the
certificate that the collection names. They can refuse a deposit, or lose one: whoever has the
platform's receipt, and does not find her deposit in the closed list, can prove that.

Secret: the vector and the keys that sign. Nothing of the vector is in a deposit that t holders, the
platform and everybody else together could read.
"""

import datetime
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.client.deposit_files import point_of
from upcare_mpc.config import Agreement, load_agreement
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import Random, wrap
from upcare_mpc.deposits.key import CollectionKey, HolderKey, agreed_key
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import NONCE_BYTES, Deposit, Ticket
from upcare_mpc.errors import ConfigError, InputError, ProtocolError, RefusedError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.calls import platform_channel, registry_channel
from upcare_mpc.link.certificates import Identity, Network, verify_signature
from upcare_mpc.link.deposits import Depositor
from upcare_mpc.link.roster import check_roster
from upcare_mpc.link.signers import certifier
from upcare_mpc.study.spec import Study

__all__ = [
    "DepositClient",
    "OpenCollection",
    "check_description",
    "patient_deposit",
    "registry_deposit",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCollection:
    """A collection that was checked: anybody may deposit in it whom it names.

    Attributes:
        collection: What is collected, until when, and by whom the key is held.
        study: What is asked.
        question: What follows from the study.
        key: What deposits are encrypted to; all holders have signed it.
        platform: The platform's certificate; it signs receipts.
        taking: Whether the platform says that it takes deposits now.
    """

    collection: Collection
    study: Study
    question: Question
    key: CollectionKey
    platform: x509.Certificate
    taking: bool


def check_description(
    description: deposit_pb2.Description,
    *,
    digest: bytes,
    network: Network,
    agreement: Agreement,
    now: datetime.datetime,
) -> OpenCollection:
    """Check what the platform says about a collection.

    Args:
        description: As it came.
        digest: Of the collection that was asked for, 32 bytes.
        network: Whose certificates count.
        agreement: What its registries have agreed on.
        now: When certificates have to be in force, UTC.

    Raises:
        ProtocolError: It is another collection, or not what its study implies; or not every holder
            has signed one and the same key.
        StudyError: The study cannot be answered in this network.
        ConfigError: A certificate is not of this network, or not in force.
    """
    collection = Collection.from_canonical(description.collection)
    if collection.digest != digest:
        raise ProtocolError("the platform describes another collection than it was asked for")
    study = Study.from_canonical(description.study)
    question = work_out(study, network_overlap=agreement.overlap)
    check_collection(
        collection, question, network=network.fingerprint, committee=agreement.committee
    )
    certificates = dict(
        zip(
            collection.names,
            check_roster(collection, list(description.certificates), network),
            strict=True,
        )
    )

    def verify(holder: str, statement: bytes, signature: bytes) -> None:
        verify_signature(certificates[holder], statement, signature)

    key = agreed_key(collection, [HolderKey.from_bytes(k) for k in description.keys], verify)
    party, platform = network.verify(description.platform, now=now)
    if party.role != "platform":
        raise ProtocolError(f"{party.host} is not the platform")
    return OpenCollection(
        collection=collection,
        study=study,
        question=question,
        key=key,
        platform=platform,
        taking=description.open,
    )


class DepositClient:
    """A connection to the platform for whoever deposits; use as a context manager."""

    def __init__(self, depositor: Depositor, network: Network, agreement: Agreement) -> None:
        self._depositor = depositor
        self._network = network
        self._agreement = agreement

    @classmethod
    def of_network(cls, folder: str | Path, platform: str) -> Self:
        """Reach the platform as a patient or a researcher does; it does not learn who asks.

        Args:
            folder: With the network's ``ca.pem`` and ``network.toml``.
            platform: Its address for researchers, ``host:port``.

        Raises:
            ConfigError: A file is missing or not usable.
        """
        try:
            network = Network((Path(folder) / "ca.pem").read_bytes())
        except FileNotFoundError:
            raise ConfigError("ca.pem of the network is missing in the folder given") from None
        agreement = load_agreement(Path(folder))
        return cls(Depositor(platform_channel(platform, network)), network, agreement)

    @classmethod
    def of_registry(cls, platform: str, identity: Identity, agreement: Agreement) -> Self:
        """Reach the platform as a registry; ``platform`` is its address for registries."""
        channel = registry_channel(platform, identity)
        return cls(Depositor(channel), identity.network, agreement)

    def __enter__(self) -> Self:
        self._depositor.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._depositor.__exit__(*exception)

    def open(self) -> list[tuple[Collection, Study]]:
        """List the collections that the platform says take deposits now, the newest first.

        Only that collection and study belong together is checked here; see ``describe``.

        Raises:
            ProtocolError: An entry is no collection with its study.
            LinkError: The platform cannot be reached.
        """
        found = []
        for listed in self._depositor.open():
            collection = Collection.from_canonical(listed.collection)
            study = Study.from_canonical(listed.study)
            if study.digest != collection.study:
                raise ProtocolError("the platform lists a collection with another study")
            found.append((collection, study))
        return found

    def find(self, prefix: str) -> bytes:
        """Return the digest of the collection whose digest begins with these hexadecimal digits.

        Raises:
            InputError: They are no such digits, at least 8.
            RefusedError: None that takes deposits begins like this, or several do.
        """
        digits = prefix.lower()
        if not 8 <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
            raise InputError("a collection: wanted 8 to 64 hexadecimal digits of its digest")
        if len(digits) == 64:
            return bytes.fromhex(digits)
        found = {c.digest for c, _ in self.open() if c.digest.hex().startswith(digits)}
        if len(found) != 1:
            many = "several collections begin" if found else "no collection that is open begins"
            raise RefusedError(f"{many} with {digits}; 'upcare deposit open' lists them")
        return found.pop()

    def describe(self, digest: bytes) -> OpenCollection:
        """Fetch one collection and its key, and check both.

        Raises:
            RefusedError: There is no such collection.
            LinkError: The platform cannot be reached.
            ProtocolError, StudyError, ConfigError: As ``check_description``.
        """
        return check_description(
            self._depositor.describe(digest),
            digest=digest,
            network=self._network,
            agreement=self._agreement,
            now=datetime.datetime.now(datetime.UTC),
        )

    def check(self, found: OpenCollection, encoded: bytes) -> Deposit:
        """Check what holders will check of a deposit but the proof: is it of who may deposit?

        Raises:
            ProtocolError: It is not.
        """
        deposit = Deposit.from_bytes(encoded)
        now = datetime.datetime.now(datetime.UTC)
        deposit.check(found.collection, certifier(self._network, now=now))
        return deposit

    def send(self, found: OpenCollection, encoded: bytes) -> Receipt:
        """Deposit, and check the receipt; the same bytes again get the same receipt.

        Raises:
            RefusedError: The collection is closed or full, or has another deposit of this
                submitter.
            LinkError: The platform cannot be reached; send the same bytes again.
            ProtocolError: What it answers is no receipt of its for this deposit.
        """
        receipt = Receipt.from_bytes(self._depositor.deposit(found.collection.digest, encoded))
        about = (receipt.collection, receipt.deposit)
        if about != (found.collection.digest, hashlib.sha256(encoded).digest()):
            raise ProtocolError("the platform answers with a receipt for another deposit")
        verify_signature(found.platform, receipt.statement(), receipt.signature)
        return receipt


# -- making a deposit ------------------------------------------------------------------------------


def registry_deposit(
    found: OpenCollection,
    vector: npt.NDArray[np.int64],
    identity: Identity,
    *,
    random: Random = os.urandom,
) -> bytes:
    """Encrypt a registry's table and sign it; the encoded deposit.

    Args:
        found: Where it goes.
        vector: ``(cells,)``. Secret.
        identity: The registry's.
        random: Randomness.
    """
    return _deposit(
        found,
        vector,
        role="registry",
        submitter=identity.party.name.encode(),
        ticket=b"",
        certificate=identity.certificate_pem,
        sign=identity.sign,
        random=random,
    )


def patient_deposit(
    found: OpenCollection,
    vector: npt.NDArray[np.int64],
    *,
    key: ec.EllipticCurvePrivateKey,
    ticket: Ticket,
    certificate: bytes,
    random: Random = os.urandom,
) -> bytes:
    """Encrypt a patient's answers and sign them; the encoded deposit.

    Args:
        found: Where it goes.
        vector: ``(cells,)``, as the study's kind makes it of her answers. Secret.
        key: P-256, made for this collection alone. Secret.
        ticket: A registry's word for this key.
        certificate: That registry's, PEM.
        random: Randomness.
    """
    return _deposit(
        found,
        vector,
        role="patient",
        submitter=point_of(key),
        ticket=ticket.to_bytes(),
        certificate=certificate,
        sign=lambda statement: key.sign(statement, ec.ECDSA(hashes.SHA256())),
        random=random,
    )


def _deposit(
    found: OpenCollection,
    vector: npt.NDArray[np.int64],
    *,
    role: Literal["registry", "patient"],
    submitter: bytes,
    ticket: bytes,
    certificate: bytes,
    sign: Callable[[bytes], bytes],
    random: Random,
) -> bytes:
    empty = Deposit(
        collection=found.collection.digest,
        role=role,
        submitter=submitter,
        ticket=ticket,
        certificate=certificate,
        nonce=random(NONCE_BYTES),
        payload=b"",
    )
    context = empty.context  # the payload is no part of it
    payload = wrap(vector, found.collection, found.key, context=context, random=random)
    return replace(empty, payload=payload).signed(sign).to_bytes()
