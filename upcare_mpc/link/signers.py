"""Whose signature it is: the checks that papers about keys and deposits want.

A paper carries the certificate of whoever signed it, so that it can be checked by those who never
had a connection to that registry. What counts is the network's certificate authority.
"""

import datetime
from collections.abc import Mapping

from cryptography import x509

from upcare_mpc.access.papers import Certify
from upcare_mpc.deposits.key import Verify
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.link.certificates import Network, verify_signature

__all__ = ["certifier", "verifier"]


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
