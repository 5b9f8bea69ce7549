"""What a server tells its worker at the beginning, on both sides of the pipe.

A worker serves one session of a study, or one fill of a noise bank. Both have a digest, a roster,
a law and this registry's identity; a session has this registry's vector besides, and perhaps
segments of the noise bank.
"""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from cryptography import x509

from upcare_mpc.link.certificates import Identity, Network, verify_signature
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.contract import Rules, program_digest
from upcare_mpc.mpc.programs.fill import FILL_PROGRAM, Fill
from upcare_mpc.mpc.programs.inputs import DealtInput, Signatures, deal_input
from upcare_mpc.mpc.programs.segments import Segments, open_segments
from upcare_mpc.node.law import law_from_json, law_to_json
from upcare_mpc.node.pipe import Message
from upcare_mpc.study.descriptor import Descriptor

__all__ = [
    "FillAssignment",
    "Reach",
    "StudyAssignment",
    "common_fields",
    "fill_fields",
    "study_fields",
]

NO_STUDY = bytes(32)


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


def study_fields(
    descriptor: Descriptor, rules: Rules, vector: bytes, noise: Segments | None
) -> tuple[bytes, dict[str, Any]]:
    """Write what only a session of a study has, as raw bytes and JSON values."""
    keys, sealed = (noise.keys, noise.sealed) if noise else ((), b"")
    return vector + sealed, {
        "descriptor": descriptor.canonical().decode(),
        "rules": asdict(rules),
        "keys": [key.hex() for key in keys],
    }


def fill_fields(fill: Fill) -> dict[str, Any]:
    """Write what only a fill has."""
    return {"fill": fill.canonical().decode()}


def common_fields(
    identity: Identity, certificates: Sequence[str], law: Law, reach: Reach
) -> dict[str, Any]:
    """Write what both have."""
    return {
        "name": identity.party.name,
        "law": law_to_json(law),
        "identity": {
            "ca": identity.network.ca_pem.decode(),
            "certificate": identity.certificate_pem.decode(),
            "key": identity.key_pem.decode(),
        },
        "certificates": list(certificates),
        "reach": asdict(reach),
    }


class _Assignment:
    """What both have, parsed."""

    def __init__(self, message: Message, job: Descriptor | Fill, *, program: str) -> None:
        fields = message.fields
        self.session = job.digest
        self.program = program
        self.name = str(fields["name"])
        self.index = job.place(self.name)
        self.parties = job.parties
        self.threshold = job.threshold
        self.law = law_from_json(fields["law"], digest=job.law)
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

    def _channel(self, study: bytes) -> GrpcChannel:
        return GrpcChannel(
            self._identity,
            self._names,
            parties=self.parties,
            index=self.index,
            hello=SessionHello(
                session_digest=self.session,
                study_digest=study,
                program_digest=program_digest(self.program, self.law.digest),
            ),
            silence_s=self.reach.silence_s,
        )


class StudyAssignment(_Assignment):
    """One session of a study.

    Attributes:
        descriptor: The session.
        rules: The study's, about what is shown.
        noise: ``(n,)`` shares from the noise bank; ``None`` if the noise is to be drawn. Secret.
    """

    def __init__(self, message: Message) -> None:
        """Parse it, and open the segments.

        Raises:
            SessionError: A segment does not open.
        """
        self.descriptor = Descriptor.from_canonical(message.fields["descriptor"].encode())
        super().__init__(message, self.descriptor, program=self.descriptor.program)
        self.rules = Rules(**message.fields["rules"])
        blob, size = memoryview(message.blob), 8 * self.descriptor.cells
        self._vector = np.frombuffer(blob[:size], "<i8")
        keys = tuple(bytes.fromhex(key) for key in message.fields["keys"])
        self.noise = self._open(Segments(keys=keys, sealed=bytes(blob[size:])))

    @property
    def computes(self) -> bool:
        """Whether this registry is one of the m."""
        return self.index < self.parties

    def channel(self) -> GrpcChannel:
        """This party's links, not yet connected."""
        return self._channel(self.descriptor.study)

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

    def channel(self) -> GrpcChannel:
        """This party's links, not yet connected."""
        return self._channel(NO_STUDY)
