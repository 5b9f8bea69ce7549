"""The certificates of a session's roster, checked against its descriptor."""

import datetime
from collections.abc import Sequence

from cryptography import x509

from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.certificates import Network
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["check_roster"]


def check_roster(
    descriptor: Descriptor, certificates: Sequence[str], network: Network
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
