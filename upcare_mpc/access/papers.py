"""The papers on a request's topic: what is asked, who agrees, who does not, parts of the key.

    filing     "UAI1" | request | application | signing key (32) | signature (64)      researcher
    approval   "UAA1" | registry | request's digest | signature | certificate          registry
    refusal    "UAN1" | registry | request's digest | reason | signature | certificate registry
    fragment   "UAE1" | author | request's digest | randomness (32) | sealed fragment | signature
                      | certificate                                                   committee

Fields are packed by ``abe.statements``; a certificate is PEM. A filing is signed with the
researcher's Ed25519 key, which the request names as ``ed25519:`` and 64 hexadecimal digits; the
others with the key of the certificate that they carry. Nothing is taken on the word of who carries
it: the sender that a board notes down is not read here.

What is on a topic is public to the network; the fragment inside is sealed to the researcher.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from upcare_mpc.abe.request import Approval, Request, approval_statement
from upcare_mpc.abe.statements import statement
from upcare_mpc.access.application import Application, check_line
from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.study.packed import pack, unpack

__all__ = [
    "MAX_PAPER_BYTES",
    "Certify",
    "Filing",
    "PaperLike",
    "Refusal",
    "SealedFragment",
    "SignedApproval",
    "filing_statement",
    "fragment_statement",
    "refusal_statement",
    "requester_of",
]

MAX_PAPER_BYTES: Final = 64 << 10
_FILING = b"UAI1"
_APPROVAL = b"UAA1"
_REFUSAL = b"UAN1"
_FRAGMENT = b"UAE1"
_KEY_BYTES = 32

Certify: TypeAlias = Callable[[bytes, bytes, bytes], str]
"""Called with a certificate (PEM), a statement and a signature; returns the name of the registry of
this network that the certificate is of. Raises ``ProtocolError`` unless it is in force, and its key
has signed the statement."""


class PaperLike(Protocol):
    """What a board hands out. Nothing of it is trusted."""

    @property
    def sender(self) -> str:
        """Who left it, by the board's word: a registry, ``platform``, or empty: the researcher."""

    @property
    def kind(self) -> str:
        """What it is said to be."""

    @property
    def content(self) -> bytes:
        """Its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """A request for a key with the application that it is for, signed by the researcher.

    Attributes:
        request: Its nonce is the application's, its requester the key below.
        application: For people, and for the attributes.
        key: Ed25519 public key, 32 bytes.
        signature: Over ``filing_statement``.
    """

    request: Request
    application: Application
    key: bytes
    signature: bytes

    def __bytes__(self) -> bytes:
        application = self.application.canonical
        return pack(_FILING, bytes(self.request), application, self.key, self.signature)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Filing":
        """Decode a filing and check its signature: there is no filing that is not signed.

        Whether the request is in force, for which committee, and whether its attributes are those
        of the application, is looked at where it is approved of.

        Raises:
            ProtocolError: The bytes are anything but a filing in version 1; or its parts do not
                belong together; or the key that it names has not signed it.
        """
        try:
            first, second, key, signature = unpack(_FILING, encoded, most=MAX_PAPER_BYTES)
        except (ProtocolError, ValueError):
            raise ProtocolError("these are not the bytes of a filing, version 1") from None
        request, application = Request.from_bytes(first), Application.from_canonical(second)
        if (request.nonce, request.project, request.epoch, request.sites) != (
            application.nonce,
            application.project,
            application.epoch,
            application.registries,
        ):
            raise ProtocolError("the application is not the one that the request is for")
        if len(key) != _KEY_BYTES or request.requester != requester_of(key):
            raise ProtocolError("the filing is signed with another key than the requester's")
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, filing_statement(request))
        except (InvalidSignature, ValueError):
            raise ProtocolError("the filing's signature is not by the key it names") from None
        return cls(request=request, application=application, key=key, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedApproval:
    """A registry's yes, with the certificate that shows whose it is.

    Attributes:
        registry: Whose.
        request: Digest of the request.
        signature: Over ``abe.request.approval_statement``.
        certificate: PEM.
    """

    registry: str
    request: bytes
    signature: bytes
    certificate: bytes

    def __bytes__(self) -> bytes:
        said = self.registry.encode(), self.request
        return pack(_APPROVAL, *said, self.signature, self.certificate)

    @classmethod
    def from_bytes(cls, encoded: bytes, *, request: bytes, certify: Certify) -> "SignedApproval":
        """Decode an approval and check it.

        Args:
            encoded: From anybody.
            request: Digest of the request that it must be of.
            certify: Checks certificate and signature.

        Raises:
            ProtocolError: It is anything but an approval of this request in version 1, signed by
                the registry that it names.
        """
        registry, (signature, certificate) = _fields(_APPROVAL, encoded, request, count=2)
        signed = approval_statement(request, registry)
        _check_signer(registry, certify(certificate, signed, signature))
        return cls(registry=registry, request=request, signature=signature, certificate=certificate)

    @property
    def approval(self) -> Approval:
        """As ``abe.request.check_approvals`` takes it."""
        return Approval(registry=self.registry, request=self.request, signature=self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A registry's no, for the researcher to read. It binds nobody, the registry included.

    Attributes:
        registry: Whose.
        request: Digest of the request.
        reason: One line.
        signature: Over ``refusal_statement``.
        certificate: PEM.
    """

    registry: str
    request: bytes
    reason: str
    signature: bytes
    certificate: bytes

    def __bytes__(self) -> bytes:
        said = self.registry.encode(), self.request, self.reason.encode()
        return pack(_REFUSAL, *said, self.signature, self.certificate)

    @classmethod
    def from_bytes(cls, encoded: bytes, *, request: bytes, certify: Certify) -> "Refusal":
        """Decode a refusal and check it, as an approval.

        Raises:
            ProtocolError: It is anything but a refusal of this request in version 1, signed by the
                registry that it names.
        """
        registry, (said, signature, certificate) = _fields(_REFUSAL, encoded, request, count=3)
        try:
            reason = check_line(said.decode(), name="refusal")
        except (InputError, ValueError):
            raise ProtocolError("the reason of a refusal is one line") from None
        signed = refusal_statement(request, registry, reason)
        _check_signer(registry, certify(certificate, signed, signature))
        return cls(
            registry=registry,
            request=request,
            reason=reason,
            signature=signature,
            certificate=certificate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFragment:
    """A member's fragment on its way to the researcher.

    Attributes:
        author: The member.
        request: Digest of the request.
        randomness: ``Fragment.randomness``, for everybody to see that it is no earlier one's.
        sealed: The fragment, sealed to the request's sealing key (``sealing``).
        signature: Over ``fragment_statement``.
        certificate: PEM.
    """

    author: str
    request: bytes
    randomness: bytes
    sealed: bytes
    signature: bytes
    certificate: bytes

    def __bytes__(self) -> bytes:
        said = self.author.encode(), self.request, self.randomness, self.sealed
        return pack(_FRAGMENT, *said, self.signature, self.certificate)

    @classmethod
    def from_bytes(cls, encoded: bytes, *, request: bytes, certify: Certify) -> "SealedFragment":
        """Decode a sealed fragment and check who sealed it; what is inside, only its reader sees.

        Raises:
            ProtocolError: It is anything but a sealed fragment for this request in version 1,
                signed by the registry that it names.
        """
        author, rest = _fields(_FRAGMENT, encoded, request, count=4)
        randomness, sealed, signature, certificate = rest
        signed = fragment_statement(request, author, randomness, sealed)
        _check_signer(author, certify(certificate, signed, signature))
        return cls(
            author=author,
            request=request,
            randomness=randomness,
            sealed=sealed,
            signature=signature,
            certificate=certificate,
        )


def requester_of(key: bytes) -> str:
    """How a request names the researcher with this Ed25519 public key."""
    return f"ed25519:{key.hex()}"


def filing_statement(request: Request) -> bytes:
    """What a researcher signs when she files a request; its nonce binds the application."""
    return statement("filing", request.digest)


def refusal_statement(request: bytes, registry: str, reason: str) -> bytes:
    """What a registry signs when it refuses the request of this digest."""
    return statement("refusal", request, registry.encode(), reason.encode())


def fragment_statement(request: bytes, author: str, randomness: bytes, sealed: bytes) -> bytes:
    """What a member signs when it lets out a fragment for the request of this digest."""
    return statement("released", request, author.encode(), randomness, sealed)


def _fields(
    version: bytes, encoded: bytes, request: bytes, *, count: int
) -> tuple[str, list[bytes]]:
    """Return the registry that a paper names, and its ``count`` fields behind the digest."""
    try:
        name, digest, *rest = unpack(version, encoded, most=MAX_PAPER_BYTES)
        registry = name.decode("ascii")
        if len(rest) != count:
            raise ProtocolError("too few fields, or too many")
    except (ProtocolError, ValueError):
        raise ProtocolError(
            f"these are not the bytes of a paper of kind {version.decode()}"
        ) from None
    if digest != request:
        raise ProtocolError("the paper is about another request")
    return registry, rest


def _check_signer(named: str, signer: str) -> None:
    if signer != named:
        raise ProtocolError(f"a paper in the name of {named[:80]!a} is signed by {signer}")
