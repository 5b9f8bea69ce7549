"""Applications, filings and certificates of a small network, for all stories about requests."""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.request import Request
from upcare_mpc.access.application import Application, attributes_of
from upcare_mpc.access.papers import Filing, filing_statement, requester_of
from upcare_mpc.consent import diseases as icd
from upcare_mpc.link.certificates import Authority, Identity, Network, new_authority

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SIGNING = Ed25519PrivateKey.generate()
SEALING = X25519PrivateKey.generate()
KEY = SIGNING.public_key().public_bytes_raw()


def application(**changes: Any) -> Application:
    fields: dict[str, Any] = {
        "project": "p-17",
        "title": "Survival after breast cancer",
        "purposes": frozenset({"DUO:0000007"}),
        "diseases": icd.categories(["C50"]),
        "registries": ("de-a", "de-b"),
        "epoch": "2026-11",
        "claims": frozenset({"non-commercial"}),
        "evidence": {"DUO:0000021": "ethics vote 12/2026"},
        "region": "DE",
        "salt": os.urandom(16),
    }
    return Application(**(fields | changes))


def requested(committee: Committee, asked: Application, /, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "network": committee.network,
        "committee": committee.digest,
        "epoch": asked.epoch,
        "project": asked.project,
        "requester": requester_of(KEY),
        "sealing_key": SEALING.public_key().public_bytes_raw(),
        "nonce": asked.nonce,
        "not_after": int(NOW.timestamp()) + 14 * 86400,
        "attributes": attributes_of(asked),
    }
    return Request(**(fields | changes))


def filed(committee: Committee, asked: Application, /, **changes: Any) -> Filing:
    request = requested(committee, asked, **changes)
    signature = SIGNING.sign(filing_statement(request))
    return Filing(request=request, application=asked, key=KEY, signature=signature)


@cache
def certificate_authority(network: str = "eu-cancer") -> Authority:
    return new_authority(network, now=NOW)


@cache
def identity(name: str, network: str = "eu-cancer") -> Identity:
    authority = certificate_authority(network)
    certificate, key = authority.admit(name, "registry", now=NOW)
    trusted = Network(authority.certificate_pem)
    party, _ = trusted.verify(certificate.decode(), now=NOW)
    return Identity(party=party, network=trusted, certificate_pem=certificate, key_pem=key)
