"""Certificates name one party of one network for a time, and refuse everything else in words."""

import base64
import contextlib
import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.link.certificates import (
    Authority,
    Identity,
    Network,
    host_of,
    new_authority,
    party_of_host,
    verify_signature,
)

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
AUTHORITY = new_authority("test", now=NOW)
NETWORK = Network(AUTHORITY.certificate_pem)
ECDSA_WITH_SHA256 = bytes.fromhex("2a8648ce3d040302")  # RFC 5758, section 3.2


def self_made(*extensions: x509.ExtensionType, issuer: Authority | None = None) -> str:
    """A certificate with the given extensions, of the network if ``issuer`` is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    signer: Any = key
    if issuer is not None:
        name = x509.load_pem_x509_certificate(issuer.certificate_pem).subject
        signer = serialization.load_pem_private_key(issuer.key_pem, None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def names(*hosts: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])


# -- admitting and verifying ------------------------------------------------------------------


@pytest.mark.parametrize("role", ["registry", "platform"])
def test_an_admitted_party_is_who_its_certificate_says(role: Any) -> None:
    pem, _ = AUTHORITY.admit("de-a", role, now=NOW)

    party, certificate = NETWORK.verify(pem.decode(), now=NOW)

    assert (party.name, party.role) == ("de-a", role)
    assert party.host == f"de-a.{role}.upcare"
    assert party.fingerprint == certificate.fingerprint(hashes.SHA256())


@pytest.mark.parametrize(
    "name", ["", "a", "*", "de.a", "De-a", "1de", "-de", "de a", "de|a", "dé", "a" * 32, "de-a\n"]
)
def test_a_name_that_no_roster_can_hold_is_not_admitted(name: str) -> None:
    """A wildcard above all: it would stand for every registry in the TLS check of names."""
    with pytest.raises(ConfigError, match="party's name"):
        AUTHORITY.admit(name, "registry", now=NOW)


@given(
    st.from_regex(r"[a-z][a-z0-9-]{1,30}", fullmatch=True),
    st.sampled_from(["registry", "platform"]),
)
def test_a_host_name_says_the_party_and_back(name: str, role: Any) -> None:
    assert party_of_host(host_of(name, role)) == (name, role)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "registry.upcare",
        ".registry.upcare",
        "*.registry.upcare",
        "de-a.registry.upcare.",
        "de-a.registry.upcare.example.org",
        "x.de-a.registry.upcare",
        "de-a.registry",
        "de-a.researcher.upcare",
        "de-a.example.org",
        "DE-A.registry.upcare",
    ],
)
def test_other_host_names_name_no_party(host: str) -> None:
    assert party_of_host(host) is None


@pytest.mark.parametrize(
    ("when", "words"),
    [(-DAY, "it begins at 11:55 UTC on 2026-11-22"), (397 * DAY + DAY, "it ended on 2027-12-24")],
)
def test_a_certificate_out_of_force_is_refused(when: datetime.timedelta, words: str) -> None:
    pem, _ = AUTHORITY.admit("de-a", "registry", now=NOW)

    with pytest.raises(ConfigError, match=rf"de-a is not in force \({words}\)"):
        NETWORK.verify(pem.decode(), now=NOW + when)


def test_a_certificate_of_another_network_is_refused() -> None:
    other = new_authority("test", now=NOW)  # the same name, another key
    pem, _ = other.admit("de-a", "registry", now=NOW)

    with pytest.raises(ConfigError, match="de-a is not of this network"):
        NETWORK.verify(pem.decode(), now=NOW)


def test_a_self_signed_certificate_with_a_good_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="not of this network"):
        NETWORK.verify(self_made(names("de-a.registry.upcare")), now=NOW)


def test_a_party_cannot_admit_another() -> None:
    pem, key = AUTHORITY.admit("de-a", "registry", now=NOW)
    usurper = Authority(certificate_pem=pem, key_pem=key)
    certificate = x509.load_pem_x509_certificate(pem)
    with pytest.raises(x509.ExtensionNotFound):
        usurper.admit("de-b", "registry", now=NOW)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_ca_certificate_is_no_partys() -> None:
    with pytest.raises(ConfigError, match="names no party"):
        NETWORK.verify(AUTHORITY.certificate_pem.decode(), now=NOW)


@pytest.mark.parametrize(
    "hosts",
    [("de-a.registry.upcare", "de-b.registry.upcare"), ("example.org",), ("*.registry.upcare",)],
    ids=str,
)
def test_a_certificate_of_the_network_that_names_not_one_party_is_refused(
    hosts: tuple[str, ...],
) -> None:
    with pytest.raises(ConfigError, match="names no party"):
        NETWORK.verify(self_made(names(*hosts), issuer=AUTHORITY), now=NOW)


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"\x30\x80", b"\x30\x03\x82\x01\xff"])
def test_a_malformed_extension_is_a_refusal_and_not_a_crash(value: bytes) -> None:
    """Peers' certificates are read before their chain is checked: any bytes may be in them."""
    oid = x509.SubjectAlternativeName.oid

    with pytest.raises(ConfigError):
        NETWORK.verify(self_made(x509.UnrecognizedExtension(oid, value)), now=NOW)


@pytest.mark.parametrize(
    "pem", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\udcff"]
)
def test_bytes_that_are_no_certificate_are_refused(pem: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        NETWORK.verify(pem, now=NOW)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_damage_to_a_certificate_is_refused_and_never_crashes(flip: int) -> None:
    """But for one byte: the signature's number of unused bits is not itself signed. Such a
    certificate says the same and has another fingerprint, so it is not the roster's."""
    pem, _ = AUTHORITY.admit("de-a", "registry", now=NOW)
    good = x509.load_pem_x509_certificate(pem)
    der = good.public_bytes(serialization.Encoding.DER)
    accepted = []
    for place in range(len(der)):
        damaged = bytearray(der)
        damaged[place] ^= flip
        body = base64.encodebytes(bytes(damaged)).decode()
        with contextlib.suppress(ConfigError):
            accepted.append(
                NETWORK.verify(
                    f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n", now=NOW
                )
            )

    assert len(accepted) <= 1
    for party, certificate in accepted:
        assert certificate.tbs_certificate_bytes == good.tbs_certificate_bytes
        assert certificate.signature == good.signature
        assert party.fingerprint != good.fingerprint(hashes.SHA256())


def test_a_certificate_whose_subject_is_no_text_is_refused() -> None:
    """The library cannot even say whose certificate it refuses."""
    pem, _ = AUTHORITY.admit("de-a", "registry", now=NOW)
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    tagged = der.replace(b"\x0c\x04de-a", b"\x4c\x04de-a")
    at = tagged.rindex(ECDSA_WITH_SHA256)
    damaged = tagged[:at] + tagged[at:].replace(b"\xce", b"\x59", 1)
    body = base64.encodebytes(damaged).decode()

    with pytest.raises(ConfigError, match="not of this network"):
        NETWORK.verify(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n", now=NOW)


def test_a_huge_certificate_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigError, match="8 KiB"):
        NETWORK.verify("x" * 9000, now=NOW)


def test_an_unreadable_ca_certificate_is_refused() -> None:
    with pytest.raises(ConfigError, match="CA certificate"):
        Network(b"nothing")


# -- identities -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pem, key = AUTHORITY.admit("de-a", "registry", now=NOW)
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.certificate_pem)
    (tmp_path / "party.pem").write_bytes(pem)
    (tmp_path / "party.key").write_bytes(key)
    return tmp_path


def test_an_identity_is_loaded_from_its_folder(folder: Path) -> None:
    identity = Identity.load(folder, now=NOW)

    assert identity.party.name == "de-a"
    assert identity.network.fingerprint == NETWORK.fingerprint


@pytest.mark.parametrize("missing", ["ca.pem", "party.pem", "party.key"])
def test_a_missing_file_is_named_without_its_folder(folder: Path, missing: str) -> None:
    (folder / missing).unlink()

    with pytest.raises(ConfigError, match=f"^{missing} is missing") as caught:
        Identity.load(folder, now=NOW)
    assert str(folder) not in str(caught.value)


def test_a_key_of_another_certificate_is_refused(folder: Path) -> None:
    _, other = AUTHORITY.admit("de-a", "registry", now=NOW)
    (folder / "party.key").write_bytes(other)

    with pytest.raises(ConfigError, match="not the key of the certificate of de-a"):
        Identity.load(folder, now=NOW)


@pytest.mark.parametrize("kind", ["garbage", "ed25519"])
def test_a_key_that_cannot_be_used_is_refused(folder: Path, kind: str) -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "party.key").write_bytes(other if kind == "ed25519" else b"garbage")

    with pytest.raises(ConfigError, match=r"party\.key"):
        Identity.load(folder, now=NOW)


def test_an_expired_certificate_is_refused_at_loading(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not in force"):
        Identity.load(folder, now=NOW + 400 * DAY)


def test_no_secret_is_shown_by_repr(folder: Path) -> None:
    identity = Identity.load(folder, now=NOW)

    assert repr(identity) == "Identity(de-a.registry.upcare)"
    assert "PRIVATE" not in repr(AUTHORITY)


# -- signatures -------------------------------------------------------------------------------


def test_a_statement_is_the_named_partys_and_nobody_elses(folder: Path) -> None:
    identity = Identity.load(folder, now=NOW)
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
    signature = identity.sign(b"statement")

    verify_signature(certificate, b"statement", signature)
    other_pem, _ = AUTHORITY.admit("de-a", "registry", now=NOW)
    other = x509.load_pem_x509_certificate(other_pem)
    for wrong in (
        (other, b"statement", signature),
        (certificate, b"Statement", signature),
        (certificate, b"statement", signature[:-1]),
        (certificate, b"statement", b""),
        (certificate, b"statement", bytes(70)),
    ):
        with pytest.raises(ProtocolError, match="not the named party's"):
            verify_signature(*wrong)
