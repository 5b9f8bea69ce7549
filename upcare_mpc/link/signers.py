"""Whose signature it is: the checks that papers about keys and deposits want.

A paper carries the certificate of whoever signed it, so that it can be checked by those who never
had a connection to that registry. What counts is the network's certificate authority.
"""

import datetime
from collections.abc import Iterable, Mapping

from cryptography import x509

from upcare_mpc.access.papers import Certify
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.findings import Findings
from upcare_mpc.deposits.key import Verify
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.link.certificates import Network, verify_signature

__all__ = ["certifier", "holders_verifier", "verifier"]


def certifier(network: Network, *, now: datetime.datetime) -> Certify:
    """Return the check of a certificate and a signature, for one moment.

    Args:
        network: Whose certificates count.
        now: When certificates have to be in force, UTC.
    """

    def certify(certificate: bytes, statement: bytes, signature: bytes) -> str:
        try:
            party, checked = network.verify(certificate.decode("ascii", "replace"), now=now)
        except ConfigError as error:
            raise ProtocolError(str(error)) from None
        if party.role != "registry":
            raise ProtocolError(f"{party.host} is not a registry")
        verify_signature(checked, statement, signature)
        return party.name

    return certify


def verifier(certificates: Mapping[str, str]) -> Verify:
    """Return the check of a signature by one of several registries.

    Args:
        certificates: Name to PEM; checked before, ``roster.check_roster`` for one.
    """
    keys = {name: x509.load_pem_x509_certificate(c.encode()) for name, c in certificates.items()}

    def verify(name: str, statement: bytes, signature: bytes) -> None:
        if name not in keys:
            raise ProtocolError(f"{name} has no part in this")
        verify_signature(keys[name], statement, signature)

    return verify


def holders_verifier(
    collection: Collection,
    findings: Iterable[Findings],
    network: Network,
    *,
    at: datetime.datetime,
) -> Verify:
    """Return the check of a signature by one of a collection's holders, who have found something.

    Args:
        collection: Names the holders' certificates.
        findings: Hold the certificates; nothing of them is checked yet.
        network: Whose certificates count.
        at: When they have to be in force, UTC.

    Raises:
        ProtocolError: One is not by a holder, or comes with another certificate than the
            collection names.
        ConfigError: One is not in force then, or of another network.
    """
    certificates: dict[str, str] = {}
    for found in findings:
        wanted = collection.holders[collection.place(found.holder)].certificate
        pem = found.certificate.decode("ascii")
        party, _ = network.verify(pem, now=at)
        if (party.name, party.role, party.fingerprint) != (found.holder, "registry", wanted):
            raise ProtocolError(f"the findings of {found.holder} come without its certificate")
        certificates[found.holder] = pem
    return verifier(certificates)
