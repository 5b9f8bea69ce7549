"""The certificates and approvals of a session or a fill, held against its descriptor."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Protocol

from cryptography import x509

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.certificates import Network, verify_signature
from upcare_mpc.link.statements import approval_statement

__all__ = ["check_approvals", "check_roster"]


class _Member(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def certificate(self) -> bytes: ...


class _Described(Protocol):
    """What a session descriptor and a fill have in common."""

    @property
    def roster(self) -> Sequence[_Member]: ...

    @property
    def parties(self) -> int: ...

    @property
    def digest(self) -> bytes: ...


def check_roster(
    descriptor: _Described, certificates: Sequence[str], network: Network
) -> list[x509.Certificate]:
    """Check that the certificates are the roster's, of this network, and in force.

    Raises:
        ProtocolError: One is not the certificate that the roster names.
        ConfigError: One is expired or of another network.
    """
    if len(certificates) != len(descriptor.roster):
        raise ProtocolError("a session comes with one certificate for each registry")
    now = datetime.datetime.now(datetime.UTC)
    checked = []
    for member, pem in zip(descriptor.roster, certificates, strict=True):
        party, certificate = network.verify(pem, now=now)
        if (party.name, party.role) != (member.name, "registry"):
            raise ProtocolError(f"the certificate of {member.name} names {party.host}")
        if party.fingerprint != member.certificate:
            raise ProtocolError(f"the certificate of {member.name} is not the roster's")
        checked.append(certificate)
    return checked


def check_approvals(
    descriptor: _Described,
    certificates: Sequence[x509.Certificate],
    approvals: Sequence[study_pb2.Approval],
) -> dict[str, str]:
    """Check that every registry of the roster has approved this very session or fill.

    Returns:
        Place of each computing registry, decimal, to where its worker listens.

    Raises:
        ProtocolError: One has not, or its signature is not by the roster's certificate.
    """
    by_name: Mapping[str, study_pb2.Approval] = {a.registry: a for a in approvals}
    endpoints: dict[str, str] = {}
    for index, member in enumerate(descriptor.roster):
        approval = by_name.get(member.name)
        if approval is None or approval.session_digest != descriptor.digest:
            raise ProtocolError(f"{member.name} has not approved this session")
        statement = approval_statement(descriptor.digest, member.name, approval.endpoint)
        verify_signature(certificates[index], statement, approval.signature)
        if index < descriptor.parties:
            endpoints[str(index)] = approval.endpoint
    return endpoints
