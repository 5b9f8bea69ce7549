"""Who is who: the network's certificate authority, and what its certificates say.

A certificate names one party and its role in a DNS name that exists nowhere else:
``de-a.registry.upcare`` or ``platform.platform.upcare``. The same P-256 key proves the party in
mutual TLS and signs its statements; neither signature can stand for the other: every statement
begins with its use (``link.statements``), TLS 1.3 signs under a context string of its own, and what
TLS 1.2 signs, which a peer may ask for, has fresh random bytes where a statement has a digest.

Adversary: whoever holds a certificate of another network, an expired one, or one that names
another party. The CA itself is trusted to name registries truthfully; it can read nothing.
"""

import datetime
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from upcare_mpc.errors import ConfigError, ProtocolError

__all__ = ["Authority", "Identity", "Network", "Party", "Role", "new_authority", "new_request"]

Role = Literal["registry", "platform"]

_SUFFIX = ".upcare"
_CA_DAYS = 3650
_PARTY_DAYS = 397
_MAX_PEM = 8 << 10
# What reading a peer's certificate can raise before its chain is checked.
_MALFORMED = (
    ValueError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What a verified certificate says.

    Attributes:
        name: Name of the party in the network, for example ``de-a``.
        role: ``registry`` or ``platform``.
        fingerprint: SHA-256 of the certificate, 32 bytes.
    """

    name: str
    role: Role
    fingerprint: bytes

    @property
    def host(self) -> str:
        """The DNS name in the certificate; what TLS checks."""
        return host_of(self.name, self.role)


def host_of(name: str, role: Role) -> str:
    """The DNS name under which a party is certified."""
    return f"{name}.{role}{_SUFFIX}"


def party_of_host(host: str) -> tuple[str, str] | None:
    """Split a certified DNS name into name and role, if it is one."""
    name, _, rest = host.partition(".")
    if _NAME.fullmatch(name) and rest in {f"registry{_SUFFIX}", f"platform{_SUFFIX}"}:
        return name, rest.removesuffix(_SUFFIX)
    return None


class Network:
    """The trust anchor of one network: checks certificates and signatures against its CA."""

    def __init__(self, ca_pem: bytes) -> None:
        self.ca_pem = ca_pem
        try:
            self._ca = x509.load_pem_x509_certificate(ca_pem)
        except ValueError as error:
            raise ConfigError("the network's CA certificate cannot be read") from error
        self._store = Store([self._ca])

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the CA certificate; names the network."""
        return self._ca.fingerprint(hashes.SHA256())

    def verify(self, pem: str, *, now: datetime.datetime) -> tuple[Party, x509.Certificate]:
        """Check a certificate: of this network, in force at ``now``, naming one party.

        Raises:
            ConfigError: One line that says which of these fails.
        """
        certificate = read_certificate(pem)
        name, role = _named_party(certificate)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begin <= now <= end:
            when = (
                f"begins at {begin:%H:%M} UTC on {begin.date()}"
                if now < begin
                else f"ended on {end.date()}"
            )
            raise ConfigError(f"the certificate of {name} is not in force (it {when})")
        try:
            PolicyBuilder().store(self._store).time(now).build_client_verifier().verify(
                certificate, []
            )
        except (VerificationError, ValueError) as error:  # the latter of names that are none
            raise ConfigError(f"the certificate of {name} is not of this network") from error
        fingerprint = certificate.fingerprint(hashes.SHA256())
        return Party(name=name, role=role, fingerprint=fingerprint), certificate


def read_certificate(pem: str) -> x509.Certificate:
    """Read a certificate that nobody has checked; ``Network.verify`` does.

    Raises:
        ConfigError: It is none.
    """
    if len(pem) > _MAX_PEM:
        raise ConfigError("a certificate may have 8 KiB")
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except _MALFORMED as error:
        raise ConfigError("a certificate cannot be read") from error


def _named_party(certificate: x509.Certificate) -> tuple[str, Role]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, *_MALFORMED) as error:
        raise ConfigError("a certificate names no party") from error
    hosts = extension.value.get_values_for_type(x509.DNSName)
    party = party_of_host(hosts[0]) if len(hosts) == 1 else None
    if party is None:
        raise ConfigError("a certificate names no party")
    name, role = party
    return name, "registry" if role == "registry" else "platform"


def verify_signature(certificate: x509.Certificate, statement: bytes, signature: bytes) -> None:
    """Check a statement's signature.

    Raises:
        ProtocolError: It is not the certified party's.
    """
    key = certificate.public_key()
    try:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InvalidSignature
        key.verify(signature, statement, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise ProtocolError("a signature is not the named party's") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """This party: its certificate, its key, and its network.

    Attributes:
        party: What the certificate says.
        network: The trust anchor.
        certificate_pem: Public.
        key_pem: Secret.
    """

    party: Party
    network: Network
    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        """Show who, never the key."""
        return f"Identity({self.party.host})"

    @classmethod
    def load(cls, folder: Path, *, now: datetime.datetime) -> "Identity":
        """Read ``ca.pem``, ``party.pem`` and ``party.key`` and check that they belong together.

        Raises:
            ConfigError: A file is missing, or the certificate is expired, of another network, or
                not of this key.
        """
        try:
            ca, pem, key_pem = (
                (folder / name).read_bytes() for name in ("ca.pem", "party.pem", "party.key")
            )
        except FileNotFoundError as error:
            missing = Path(str(error.filename)).name
            raise ConfigError(
                f"{missing} is missing; 'upcare network admit' makes the keys of a party"
            ) from error
        network = Network(ca)
        party, certificate = network.verify(pem.decode("ascii", "replace"), now=now)
        key = _load_key(key_pem)
        if key.public_key() != certificate.public_key():
            raise ConfigError(f"party.key is not the key of the certificate of {party.name}")
        return cls(party=party, network=network, certificate_pem=pem, key_pem=key_pem)

    def sign(self, statement: bytes) -> bytes:
        """Sign a statement with this party's key."""
        return _load_key(self.key_pem).sign(statement, ec.ECDSA(hashes.SHA256()))


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError("party.key cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("party.key is not a P-256 key")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The network's certificate authority: admits parties, and does nothing else.

    Attributes:
        certificate_pem: Public; every party pins it.
        key_pem: Secret; kept offline between admissions.
    """

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        """Hide the key."""
        return f"Authority({hashlib.sha256(self.certificate_pem).hexdigest()[:8]})"

    def admit(
        self, name: str, role: Role, *, now: datetime.datetime, days: int = _PARTY_DAYS
    ) -> tuple[bytes, bytes]:
        """Make a key and a certificate for one party, where one person runs both.

        Returns:
            Certificate and private key, both PEM.

        Raises:
            ConfigError: The name is not one that a roster can hold.
        """
        request, key = new_request(name)
        return self.certify(request, name, role, now=now, days=days), key

    def certify(
        self,
        request: bytes,
        name: str,
        role: Role,
        *,
        now: datetime.datetime,
        days: int = _PARTY_DAYS,
    ) -> bytes:
        """Certify the key of a party's request under the name that the network gives it.

        Args:
            request: PKCS #10 request, PEM; only its key is taken from it.
            name: Name in the network.
            role: What it may act as.
            now: Start of validity.
            days: Length of validity.

        Returns:
            Certificate, PEM.

        Raises:
            ConfigError: The request is not one, or not signed by its own P-256 key, or the name is
                not one that a roster can hold.
        """
        _check_name(name)
        ca = x509.load_pem_x509_certificate(self.certificate_pem)
        ca_key = _load_key(self.key_pem)
        public_key = _requested_key(request)
        authority_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.SubjectAlternativeName([x509.DNSName(host_of(name, role))]), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
                ),
                False,
            ),
            (
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id),
                False,
            ),
        ]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(ca_key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


def new_request(name: str) -> tuple[bytes, bytes]:
    """Make a party's key and its request to be certified; the key never leaves the party.

    Returns:
        PKCS #10 request and private key, both PEM.

    Raises:
        ConfigError: The name is not one that a roster can hold.
    """
    _check_name(name)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM), _pem(key)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a party's name has 2 to 31 of a-z, 0-9 and '-', a letter first, got {name!r}"
        )


def _requested_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
    except _MALFORMED as error:
        raise ConfigError("the party's request cannot be read") from error
    p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not p256 or not request.is_signature_valid:
        raise ConfigError("the party's request is not signed by a P-256 key of its own")
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def new_authority(network: str, *, now: datetime.datetime) -> Authority:
    """Make the certificate authority of a new network."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{network} UPCARE network")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM), key_pem=_pem(key)
    )
