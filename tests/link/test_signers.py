"""Whose signature it is."""

from typing import Any

import pytest

from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.signers import verifier

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
