"""The certificates and approvals of a session or a fill, held against its descriptor."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Protocol

from cryptography import x509

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.certificates import Network, read_certificate, verify_signature
from upcare_mpc.link.statements import MAX_REQUEST_SECONDS, approval_statement

__all__ = ["agreed_at", "check_approvals", "check_roster"]


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
    descriptor: _Described,
    certificates: Sequence[str],
    network: Network,
    *,
    at: datetime.datetime | None = None,
) -> list[x509.Certificate]:
    """Check that the certificates are the roster's, of this network, and in force.

    Args:
        descriptor: What names them.
        certificates: PEM, in roster order.
        network: Trust anchor.
        at: When they have to be in force; now, unless it is about what is past (``agreed_at``).

    Raises:
        ProtocolError: One is not the certificate that the roster names.
        ConfigError: One is not in force then, or of another network.
    """
    if len(certificates) != len(descriptor.roster):
        raise ProtocolError("a session comes with one certificate for each registry")
    at = at or datetime.datetime.now(datetime.UTC)
    checked = []
    for member, pem in zip(descriptor.roster, certificates, strict=True):
        party, certificate = network.verify(pem, now=at)
        if (party.name, party.role) != (member.name, "registry"):
            raise ProtocolError(f"the certificate of {member.name} names {party.host}")
        if party.fingerprint != member.certificate:
            raise ProtocolError(f"the certificate of {member.name} is not the roster's")
        checked.append(certificate)
    return checked


def agreed_at(
    request: study_pb2.StudyRequest, certificates: Sequence[str], *, now: datetime.datetime
) -> datetime.datetime:
    """The latest moment at which a roster with these certificates can have agreed to a request.

    A registry agrees to a request that is valid then, and for 31 days more at most; so all of this
    lies in the 31 days before its end. Nobody but the researcher can put these 31 days elsewhere:
    she has signed their end, and the caller has checked that. So a certificate that has ended since
    still shows who signed what she asked while it was in force, and nothing that she asks later.

    Adversary: whoever has the keys of t + 1 ended certificates of computing registries can make an
    answer to a study that she asked, or previewed, while they were in force, and to no other.

    Args:
        request: The researcher's; its signature is checked.
        certificates: PEM; not checked.
        now: It was not later than now.

    Raises:
        ProtocolError: One of them ended before the request can have been made.
        ConfigError: One is not a certificate.
    """
    end = datetime.datetime.fromtimestamp(request.not_after, datetime.UTC)
    ends = [read_certificate(pem).not_valid_after_utc for pem in certificates]
    latest = min(now, end, *ends)
    if latest < end - datetime.timedelta(seconds=MAX_REQUEST_SECONDS):
        raise ProtocolError("a certificate had ended before the study was asked")
    return latest


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
