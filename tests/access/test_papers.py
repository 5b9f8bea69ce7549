"""Papers of a request: signed by whom they name, about this request, in one encoding each."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from applications import KEY, NOW, SIGNING, application, filed, identity, requested
from ceremonies import generation, run
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.groups import default_group
from upcare_mpc.abe.request import approval_statement
from upcare_mpc.access.papers import (
    MAX_PAPER_BYTES,
    Filing,
    Refusal,
    SealedFragment,
    SignedApproval,
    filing_statement,
    fragment_statement,
    refusal_statement,
)
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.signers import certifier
from upcare_mpc.study.packed import pack, unpack

REQUEST = bytes(range(32))
CERTIFY = certifier(identity("de-a").network, now=NOW)


@pytest.fixture(scope="module")
def committee() -> Committee:
    return run(generation(default_group()))[0]


def approval(name: str = "de-a", by: str = "", request: bytes = REQUEST) -> SignedApproval:
    signer = identity(by or name)
    return SignedApproval(
        registry=name,
        request=request,
        signature=signer.sign(approval_statement(request, name)),
        certificate=signer.certificate_pem,
    )


def refusal(reason: str = "no vote yet") -> Refusal:
    signer = identity("de-a")
    return Refusal(
        registry="de-a",
        request=REQUEST,
        reason=reason,
        signature=signer.sign(refusal_statement(REQUEST, "de-a", reason)),
        certificate=signer.certificate_pem,
    )


def fragment(author: str = "de-a") -> SealedFragment:
    signer, randomness, sealed = identity("de-a"), b"\1" * 32, b"sealed"
    return SealedFragment(
        author=author,
        request=REQUEST,
        randomness=randomness,
        sealed=sealed,
        signature=signer.sign(fragment_statement(REQUEST, author, randomness, sealed)),
        certificate=signer.certificate_pem,
    )


def test_a_filing_reads_back(committee: Committee) -> None:
    filing = filed(committee, application())

    assert Filing.from_bytes(bytes(filing)) == filing
    assert len(bytes(filing)) < MAX_PAPER_BYTES


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f: replace(f, signature=SIGNING.sign(b"")), "signature is not by the key"),
        (lambda f: replace(f, signature=b""), "signature is not by the key"),
        (lambda f: replace(f, key=KEY[:31]), "another key than the requester's"),
        (lambda f: replace(f, application=application()), "is not the one that the request is for"),
    ],
)
def test_a_filing_whose_parts_do_not_belong_together(
    committee: Committee, spoil: Callable[[Filing], Filing], reason: str
) -> None:
    with pytest.raises(ProtocolError, match=reason):
        Filing.from_bytes(bytes(spoil(filed(committee, application()))))


def test_a_filing_in_the_name_of_another_researcher(committee: Committee) -> None:
    asked = application()
    request = requested(committee, asked)  # names KEY
    thief = Ed25519PrivateKey.generate()
    filing = Filing(
        request=request,
        application=asked,
        key=thief.public_key().public_bytes_raw(),
        signature=thief.sign(filing_statement(request)),
    )

    with pytest.raises(ProtocolError, match="another key than the requester's"):
        Filing.from_bytes(bytes(filing))


def test_a_request_for_other_registries_than_the_application(committee: Committee) -> None:
    asked = application()
    wider = requested(committee, asked).attributes
    filing = filed(committee, asked, attributes=tuple(sorted({*wider, "site:fr-a"})))

    with pytest.raises(ProtocolError, match="is not the one that the request is for"):
        Filing.from_bytes(bytes(filing))


@pytest.mark.parametrize(
    "made", [approval(), refusal(), fragment()], ids=lambda p: type(p).__name__
)
def test_a_registrys_paper_reads_back_and_nothing_else_does(
    made: SignedApproval | Refusal | SealedFragment,
) -> None:
    read, encoded = type(made).from_bytes, bytes(made)
    fields = unpack(encoded[:4], encoded, most=MAX_PAPER_BYTES)

    assert read(encoded, request=REQUEST, certify=CERTIFY) == made
    spoilt = [
        b"",
        encoded[:-1],
        encoded + bytes(4),
        b"UAX1" + encoded[4:],
        bytes(MAX_PAPER_BYTES + 1),
    ]
    for at, field in enumerate(fields):
        flipped = bytes([field[0] ^ 1]) + field[1:] if at != len(fields) - 1 else field[:-40]
        spoilt.append(pack(encoded[:4], *fields[:at], flipped, *fields[at + 1 :]))
    for other in spoilt:
        with pytest.raises(ProtocolError):
            read(other, request=REQUEST, certify=CERTIFY)
    with pytest.raises(ProtocolError, match="about another request"):
        read(encoded, request=bytes(32), certify=CERTIFY)


def test_a_paper_in_anothers_name() -> None:
    with pytest.raises(ProtocolError, match="in the name of 'de-b' is signed by de-a"):
        SignedApproval.from_bytes(
            bytes(approval("de-b", by="de-a")), request=REQUEST, certify=CERTIFY
        )
    with pytest.raises(ProtocolError, match="in the name of 'de-b' is signed by de-a"):
        SealedFragment.from_bytes(bytes(fragment("de-b")), request=REQUEST, certify=CERTIFY)


def test_a_certificate_of_another_network_or_time() -> None:
    elsewhere = certifier(identity("de-a", "elsewhere").network, now=NOW)
    later = certifier(identity("de-a").network, now=NOW.replace(year=2030))

    for certify in (elsewhere, later):
        with pytest.raises(ProtocolError, match=r"not of this network|not in force"):
            SignedApproval.from_bytes(bytes(approval()), request=REQUEST, certify=certify)


def test_a_refusal_that_a_terminal_would_act_on() -> None:
    with pytest.raises(ProtocolError, match="the reason of a refusal is one line"):
        Refusal.from_bytes(bytes(refusal("\x1b[2J")), request=REQUEST, certify=CERTIFY)


def test_signatures_of_one_use_are_none_of_another() -> None:
    """The same fields under another use: what is signed differs."""
    name = b"de-a"
    said = {
        approval_statement(REQUEST, "de-a"),
        refusal_statement(REQUEST, "de-a", ""),
        fragment_statement(REQUEST, "de-a", b"", b""),
    }

    assert len(said) == 3
    assert all(REQUEST in statement and name in statement for statement in said)
