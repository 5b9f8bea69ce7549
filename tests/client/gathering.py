"""A collection in this process: real certificates and signatures, a key that nobody holds."""

import datetime
import hashlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.deposits import DepositClient
from upcare_mpc.config import Agreement, load_agreement
from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.key import HolderKey, seed_of
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import Ticket
from upcare_mpc.errors import LinkError
from upcare_mpc.he.parameters import N, Q
from upcare_mpc.he.scheme import PublicKey
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.certificates import Identity, Network
from upcare_mpc.study.spec import Study, parse

HOLDERS = ("de-a", "de-b", "de-c")


def study_text(
    *, registries: tuple[str, ...] = ("fr-a",), patients: bool = False, envelope: str = "rlwe"
) -> str:
    """A small study that takes deposits; counts of tables, or a questionnaire."""
    listed = ", ".join(f'"{name}"' for name in registries)
    deposits = f"registries = [{listed}]\n" if registries else ""
    kind, options = "counts", '[counts]\nby = ["sex"]\n'
    if patients:
        kind = "questionnaire"
        options = (
            '[[questionnaire.questions]]\ntext = "Smoked?"\noptions = ["never", "once", "today"]\n'
            '[[questionnaire.questions]]\ntext = "Health?"\noptions = ["poor", "good"]\n'
        )
    return (
        f'version = 1\ntitle = "Gathered"\nkind = "{kind}"\npurpose = "DUO:0000007"\n'
        'registries = ["de-a", "de-b", "de-c"]\noverlap = 1\n'
        f'[deposits]\nenvelope = "{envelope}"\n{deposits}patients = {str(patients).lower()}\n'
        f'[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n{options}'
    )


@dataclass
class Gathering:
    """A network whose platform, in this process, describes one collection and takes deposits.

    Attributes:
        folder: Of the network and its parties.
        study: What is asked.
        collection: What is collected.
        description: What the platform says; a test may change it.
        deposits: What it has taken, in order.
        answers: Whether it answers; if not, uploads are taken and the connection is lost.
    """

    folder: Path
    study: Study
    collection: Collection
    description: deposit_pb2.Description
    deposits: list[bytes] = field(default_factory=list)
    answers: bool = True

    @classmethod
    def of(cls, folder: Path, text: str) -> Self:
        """Found a network, admit its parties, and begin a collection."""
        net = folder / "net"
        found_network(net, name="test", overlap=1, committee=3)
        for name in (*HOLDERS, "fr-a"):
            admit_party(net, name, role="registry", out=folder / name / "identity")
        admit_party(net, "platform", role="platform", out=folder / "platform" / "identity")
        made = cls(folder, parse(text, name="study.toml"), None, deposit_pb2.Description())  # type: ignore[arg-type]
        made.begin()
        return made

    def begin(self) -> None:
        """Compose the collection and its signed key."""
        asked = self.study.deposits
        assert asked is not None
        now = int(time.time())
        self.collection = Collection(
            network=self.network.fingerprint,
            study=self.study.digest,
            signing_key=b"\7" * 32,
            cells=self.question.layout.cells,
            envelope=asked.envelope,
            holders=tuple(
                Holder(name=name, certificate=self.identity(name).party.fingerprint)
                for name in HOLDERS
            ),
            threshold=1,
            depositors=asked.registries,
            vouchers=(*HOLDERS, *asked.registries) if asked.patients else (),
            opened=now,
            closes=now + 3600,
            nonce=os.urandom(16),
        )
        self.describe_as(self.collection, [self.key_of(name) for name in HOLDERS])

    def describe_as(self, collection: Collection, keys: list[HolderKey]) -> None:
        """Let the platform describe a collection with these keys."""
        self.description = deposit_pb2.Description(
            collection=collection.canonical(),
            study=self.study.canonical(),
            certificates=[self.identity(name).certificate_pem.decode() for name in HOLDERS],
            keys=[key.to_bytes() for key in keys],
            platform=self.identity("platform").certificate_pem.decode(),
            open=True,
        )

    def key_of(self, name: str, *, public: bytes | None = None) -> HolderKey:
        """What one holder signs."""
        digest = self.collection.digest
        if public is None:
            draw = hashlib.shake_256(digest).digest(N * 24)
            b = tuple(int.from_bytes(draw[24 * i : 24 * i + 24]) % Q for i in range(N))
            rlwe = PublicKey(seed=seed_of(self.collection), b=b).to_bytes()
            public = rlwe if self.collection.envelope == "rlwe" else b""
        sealing = self.sealing_key(name).public_key().public_bytes_raw()
        key = HolderKey(collection=digest, holder=name, public=public, sealing=sealing)
        return key.signed(self.identity(name).sign)

    def sealing_key(self, name: str) -> X25519PrivateKey:
        """With which a holder opens its sealed shares."""
        return X25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())

    @property
    def network(self) -> Network:
        """Trust anchor."""
        return Network((self.folder / "net" / "ca.pem").read_bytes())

    @property
    def agreement(self) -> Agreement:
        """What the registries have agreed on."""
        return load_agreement(self.folder / "net")

    @property
    def question(self) -> Question:
        """What the study implies."""
        return work_out(self.study, network_overlap=1)

    def identity(self, name: str) -> Identity:
        """A party's certificate and key."""
        now = datetime.datetime.now(datetime.UTC)
        return Identity.load(self.folder / name / "identity", now=now)

    def ticket(self, registry: str, point: bytes, **changed: bytes) -> Ticket:
        """A registry's word for a patient's key."""
        ticket = Ticket(collection=self.collection.digest, registry=registry, key=point)
        return replace(ticket, **changed).signed(self.identity(registry).sign)  # type: ignore[arg-type]

    def client(self) -> DepositClient:
        """A client of this platform."""
        return DepositClient(self, self.network, self.agreement)  # type: ignore[arg-type]

    # -- stands for link.deposits.Depositor -----------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def open(self) -> tuple[deposit_pb2.Listed, ...]:
        said = self.description
        return (deposit_pb2.Listed(collection=said.collection, study=said.study),)

    def describe(self, collection: bytes) -> deposit_pb2.Description:
        return self.description

    def deposit(self, collection: bytes, encoded: bytes) -> bytes:
        if encoded not in self.deposits:
            self.deposits.append(encoded)
        if not self.answers:
            raise LinkError("the platform cannot be reached, or did not answer in time")
        receipt = Receipt(
            collection=collection,
            place=self.deposits.index(encoded),
            deposit=hashlib.sha256(encoded).digest(),
            time=1_800_000_000,
        )
        return receipt.signed(self.identity("platform").sign).to_bytes()
