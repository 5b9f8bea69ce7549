"""What a server tells its worker at the beginning, on both sides of the pipe.

A worker serves one session of a study, one fill of a noise bank, or the dealing of one collection's
key. All have a digest, a roster and this registry's identity, the first two a law; a session has
this registry's vector besides, and perhaps segments of the noise bank, and deposits with this
registry's part of their key.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as attribute
from typing import Any

import numpy as np
from cryptography import x509

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.link.certificates import Identity, Network, verify_signature
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.contract import KEY_PROGRAM, Rules, program_digest
from upcare_mpc.mpc.programs.fill import FILL_PROGRAM, Fill
from upcare_mpc.mpc.programs.inputs import DealtInput, Signatures, deal_input
from upcare_mpc.mpc.programs.segments import Segments, open_segments
from upcare_mpc.node.law import law_from_json, law_to_json
from upcare_mpc.node.pipe import Message
from upcare_mpc.study.descriptor import Descriptor

__all__ = [
    "Deposited",
    "FillAssignment",
    "KeyAssignment",
    "Reach",
    "StudyAssignment",
    "common_fields",
    "fill_fields",
    "key_fields",
    "study_fields",
]

NO_STUDY = bytes(32)
NO_LAW = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a worker's peers reach it.

    Attributes:
        host: Address to listen on.
        ports: Ports to try; 0 is any.
        silence_s: Patience with silent peers.
    """

    host: str
    ports: tuple[int, ...]
    silence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited:
    """The deposits of a session, and this registry's part of their key.

    Attributes:
        collection: Whose they are.
        folder: Where they lie, one file each, named by its place.
        accepted: Place and digest (hexadecimal) of those that enter.
        tables: Places of registries' tables among these; the others are patients' answers. In a
            questionnaire neither has any: its tables show only who is charged.
        answers: First cell, cells and weight of each table of the layout.
        charged: Registries that take part, online or by a table: patients of others do not enter.
        points: Where the computing registries' shares of the key lie, in their order.
        sealing: This registry's X25519 key for sealed shares, 32 bytes. Secret.
        sigma: Its encoded share of the joint key; empty with envelope ``sealed``. Secret.
    """

    collection: Collection
    folder: str
    accepted: tuple[tuple[int, str], ...]
    tables: tuple[int, ...]
    answers: tuple[tuple[int, int, int], ...]
    charged: tuple[str, ...]
    points: tuple[int, ...]
    sealing: bytes = attribute(repr=False)
    sigma: bytes = attribute(repr=False)

    def to_json(self) -> dict[str, Any]:
        """All but sigma, as JSON values."""
        return {
            "collection": self.collection.canonical().decode(),
            "folder": self.folder,
            "accepted": self.accepted,
            "tables": self.tables,
            "answers": self.answers,
            "charged": self.charged,
            "points": self.points,
            "sealing": self.sealing.hex(),
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any], sigma: bytes) -> "Deposited":
        """The inverse of ``to_json``."""
        return cls(
            collection=Collection.from_canonical(fields["collection"].encode()),
            folder=fields["folder"],
            accepted=tuple((place, digest) for place, digest in fields["accepted"]),
            tables=tuple(fields["tables"]),
            answers=tuple((start, cells, weight) for start, cells, weight in fields["answers"]),
            charged=tuple(fields["charged"]),
            points=tuple(fields["points"]),
            sealing=bytes.fromhex(fields["sealing"]),
            sigma=sigma,
        )


def study_fields(
    descriptor: Descriptor,
    rules: Rules,
    vector: bytes,
    noise: Segments | None,
    law: Law,
    deposited: Deposited | None,
) -> tuple[bytes, dict[str, Any]]:
    """Write what only a session of a study has, as raw bytes and JSON values."""
    keys, sealed = (noise.keys, noise.sealed) if noise else ((), b"")
    sigma = b"" if deposited is None else deposited.sigma
    return vector + sealed + sigma, {
        "descriptor": descriptor.canonical().decode(),
        "rules": asdict(rules),
        "keys": [key.hex() for key in keys],
        "sealed": len(sealed),
        "law": law_to_json(law),
        "deposited": None if deposited is None else deposited.to_json(),
    }


def fill_fields(fill: Fill, law: Law) -> dict[str, Any]:
    """Write what only a fill has."""
    return {"fill": fill.canonical().decode(), "law": law_to_json(law)}


def key_fields(collection: Collection) -> dict[str, Any]:
    """Write what only the dealing of a key has."""
    return {"collection": collection.canonical().decode()}


def common_fields(identity: Identity, certificates: Sequence[str], reach: Reach) -> dict[str, Any]:
    """Write what all have."""
    return {
        "name": identity.party.name,
        "identity": {
            "ca": identity.network.ca_pem.decode(),
            "certificate": identity.certificate_pem.decode(),
            "key": identity.key_pem.decode(),
        },
        "certificates": list(certificates),
        "reach": asdict(reach),
    }


class _Assignment:
    """What all have, parsed."""

    def __init__(
        self, message: Message, job: Descriptor | Fill | Collection, *, program: str
    ) -> None:
        fields = message.fields
        self.session = job.digest
        self.program = program
        self.name = str(fields["name"])
        self.index = job.place(self.name)
        self.parties = job.parties
        self.threshold = job.threshold
        self._names = [member.name for member in job.roster]
        network = Network(fields["identity"]["ca"].encode())
        pem = str(fields["identity"]["certificate"])
        party, _ = network.verify(pem, now=datetime.datetime.now(datetime.UTC))
        self._identity = Identity(
            party=party,
            network=network,
            certificate_pem=pem.encode(),
            key_pem=fields["identity"]["key"].encode(),
        )
        certificates = [x509.load_pem_x509_certificate(c.encode()) for c in fields["certificates"]]

        def verify(index: int, statement: bytes, signature: bytes) -> None:
            verify_signature(certificates[index], statement, signature)

        self.signatures = Signatures(sign=self._identity.sign, verify=verify)
        self.reach = Reach(**fields["reach"])

    def _channel(self, study: bytes, law: bytes) -> GrpcChannel:
        return GrpcChannel(
            self._identity,
            self._names,
            parties=self.parties,
            index=self.index,
            hello=SessionHello(
                session_digest=self.session,
                study_digest=study,
                program_digest=program_digest(self.program, law),
            ),
            silence_s=self.reach.silence_s,
        )


class StudyAssignment(_Assignment):
    """One session of a study.

    Attributes:
        descriptor: The session.
        rules: The study's, about what is shown.
        noise: ``(n,)`` shares from the noise bank; ``None`` if the noise is to be drawn. Secret.
        deposited: Deposits that enter the sum, if this registry computes and there are any. Secret.
    """

    def __init__(self, message: Message) -> None:
        """Parse it, and open the segments.

        Raises:
            SessionError: A segment does not open.
        """
        self.descriptor = Descriptor.from_canonical(message.fields["descriptor"].encode())
        super().__init__(message, self.descriptor, program=self.descriptor.program)
        self.law = law_from_json(message.fields["law"], digest=self.descriptor.law)
        self.rules = Rules(**message.fields["rules"])
        blob, size = memoryview(message.blob), 8 * self.descriptor.cells
        self._vector = np.frombuffer(blob[:size], "<i8")
        keys = tuple(bytes.fromhex(key) for key in message.fields["keys"])
        end = size + int(message.fields["sealed"])
        self.noise = self._open(Segments(keys=keys, sealed=bytes(blob[size:end])))
        stated = message.fields["deposited"]
        self.deposited = None if stated is None else Deposited.from_json(stated, bytes(blob[end:]))

    @property
    def computes(self) -> bool:
        """Whether this registry is one of the m."""
        return self.index < self.parties

    def channel(self) -> GrpcChannel:
        """This party's links, not yet connected."""
        return self._channel(self.descriptor.study, self.law.digest)

    def deal(self, random: Callable[[int], Words]) -> DealtInput:
        """Split this registry's vector into salted shares."""
        return deal_input(
            self._vector, parties=self.parties, threshold=self.threshold, random=random
        )

    def own_share(self, dealt: DealtInput) -> Words:
        """This party's share of its own vector, from what it deals."""
        return field.from_bytes(dealt.payloads[self.index][32:], cells=self.descriptor.cells)

    def _open(self, segments: Segments) -> Words | None:
        draw = self.descriptor.draw
        if draw is None or not self.computes:
            return None
        return open_segments(
            segments,
            epoch=draw.epoch,
            place=self.index,
            first=draw.first,
            cells=self.descriptor.cells,
        )


class FillAssignment(_Assignment):
    """One fill of a noise bank.

    Attributes:
        fill: Its descriptor.
    """

    def __init__(self, message: Message) -> None:
        self.fill = Fill.from_canonical(message.fields["fill"].encode())
        super().__init__(message, self.fill, program=FILL_PROGRAM)
        self.law = law_from_json(message.fields["law"], digest=self.fill.law)

    def channel(self) -> GrpcChannel:
        """This party's links, not yet connected."""
        return self._channel(NO_STUDY, self.law.digest)


class KeyAssignment(_Assignment):
    """The dealing of one collection's key.

    Attributes:
        collection: Its descriptor.
    """

    def __init__(self, message: Message) -> None:
        self.collection = Collection.from_canonical(message.fields["collection"].encode())
        super().__init__(message, self.collection, program=KEY_PROGRAM)

    def channel(self) -> GrpcChannel:
        """This party's links, not yet connected."""
        return self._channel(self.collection.study, NO_LAW)
