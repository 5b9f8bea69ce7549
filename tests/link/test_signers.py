"""Whose signature it is."""

import datetime
from typing import Any

import pytest

from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.findings import Findings
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.signers import holders_verifier, verifier

SAID = b"statement"


def test_only_the_named_one_of_several_registries_has_signed(lab: Any) -> None:
    first, second = lab.identity("de-a"), lab.identity("de-b")
    verify = verifier({i.party.name: i.certificate_pem.decode() for i in (first, second)})

    verify("de-a", SAID, first.sign(SAID))
    for name, said, signature in (
        ("de-b", SAID, first.sign(SAID)),
        ("de-a", b"another statement", first.sign(SAID)),
        ("de-a", SAID, b""),
    ):
        with pytest.raises(ProtocolError, match="not the named party's"):
            verify(name, said, signature)
    with pytest.raises(ProtocolError, match="fr-a has no part in this"):
        verify("fr-a", SAID, first.sign(SAID))


NOW = datetime.datetime.now(datetime.UTC)


def findings(holder: str, identity: Identity) -> Findings:
    found = Findings(
        collection=bytes(32),
        count=0,
        deposits=bytes(32),
        present=("de-a", "de-b", "de-c"),
        holder=holder,
        certificate=identity.certificate_pem,
        refused={},
    )
    return found.signed(identity.sign)


def test_holders_are_known_by_the_certificates_that_their_collection_names(lab: Any) -> None:
    holders = [lab.identity(name) for name in ("de-a", "de-b", "de-c")]
    collection = Collection(
        network=lab.network.fingerprint,
        study=bytes(32),
        signing_key=bytes(32),
        cells=1,
        envelope="sealed",
        holders=tuple(Holder(name=h.party.name, certificate=h.party.fingerprint) for h in holders),
        threshold=1,
        depositors=("fr-a",),
        vouchers=(),
        opened=0,
        closes=1,
        nonce=bytes(16),
    )
    found = [findings(h.party.name, h) for h in holders[:2]]
    verify = holders_verifier(collection, found, lab.network, at=NOW)
    for one in found:
        verify(one.holder, one.statement(), one.signature)
    with pytest.raises(ProtocolError, match="not the named party's"):
        verify("de-a", found[0].statement(), found[1].signature)
    with pytest.raises(ProtocolError, match="de-c has no part in this"):
        verify("de-c", found[0].statement(), found[0].signature)

    with pytest.raises(ProtocolError, match="the findings of de-b come without its certificate"):
        holders_verifier(collection, [findings("de-b", holders[0])], lab.network, at=NOW)
    with pytest.raises(ProtocolError, match="fr-a holds no part"):
        holders_verifier(collection, [findings("fr-a", lab.identity("fr-a"))], lab.network, at=NOW)
    late = NOW + datetime.timedelta(days=1000)
    with pytest.raises(ConfigError, match="is not in force"):
        holders_verifier(collection, found, lab.network, at=late)
