"""Whose signature it is: the check that papers about keys for sealed records want.

A paper carries the certificate of whoever signed it, so that it can be checked by those who never
had a connection to that registry. What counts is the network's certificate authority.
"""

import datetime

from upcare_mpc.access.papers import Certify
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.link.certificates import Network, verify_signature

__all__ = ["certifier"]


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
