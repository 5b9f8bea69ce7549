"""The exact bytes of everything that is signed, and checks of researchers' signatures.

Each statement begins with its version and use, then fixed-length fields, or variable ones with a
4-byte big-endian length before them; so no statement can be read as another.
"""

import hashlib
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from upcare_mpc._proto.upcare.board.v1 import board_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.descriptor import Descriptor

__all__ = [
    "RequestMethod",
    "access_statement",
    "approval_statement",
    "authorization_statement",
    "authorize_access",
    "check_access",
    "check_authorization",
    "check_request",
    "no_output_statement",
    "question_digest",
    "request_digest",
    "request_statement",
    "spent_in",
    "spent_statement",
]

RequestMethod: TypeAlias = Literal["preview", "submit", "close"]
"""What a researcher signs a question for; the network does nothing else with it."""

AUTHORIZATION_SECONDS = 600
MAX_REQUEST_SECONDS = 31 * 24 * 3600
_MAX_STUDY = 64 << 10


def _statement(use: str, *fields: bytes) -> bytes:
    body = b"".join(len(part).to_bytes(4, "big") + part for part in fields)
    return f"upcare/v1/{use}|".encode() + body


def request_statement(request: study_pb2.StudyRequest) -> bytes:
    """What a researcher signs when she asks."""
    return _statement(
        "study-request",
        request.study,
        request.signing_key,
        request.sealing_key,
        request.not_after.to_bytes(8, "big", signed=True),
        request.nonce,
        request.method.encode(),
        request.collection,
    )


def request_digest(request: study_pb2.StudyRequest) -> bytes:
    """Name a signed request, whatever its signature; 32 bytes."""
    return hashlib.sha256(request_statement(request)).digest()


def question_digest(study: bytes, signing_key: bytes) -> bytes:
    """Name a question: the digest of the study and the key of who asks it; 32 bytes."""
    return hashlib.sha256(b"upcare/v1/question|" + study + signing_key).digest()


def check_request(request: study_pb2.StudyRequest, *methods: RequestMethod, now: float) -> None:
    """Check form, validity and signature of a study request.

    Args:
        request: From anybody.
        methods: What it may be signed for.
        now: Seconds since 1970.

    Raises:
        ProtocolError: It is not a request that the holder of the key signed, or signed for
            something else, it is too old or valid for too long, or nothing can be sealed to its
            sealing key.
    """
    if not 0 < len(request.study) <= _MAX_STUDY:
        raise ProtocolError(f"a study has 1 to {_MAX_STUDY} bytes, got {len(request.study)}")
    if len(request.sealing_key) != 32 or len(request.nonce) != 16:
        raise ProtocolError("a study request carries a 32-byte sealing key and a 16-byte nonce")
    _check_signature(request.signing_key, request_statement(request), request.signature)
    if request.method not in methods:
        wanted = " or ".join(methods)
        signed = f"{request.method!r:.20}"
        raise ProtocolError(f"wanted a study request signed to {wanted}, not {signed}")
    if len(request.collection) != (32 if request.method == "close" else 0):
        raise ProtocolError("a study request names a collection if it closes one, and else none")
    if request.not_after < now:
        raise ProtocolError("the study request is no longer valid; submit it again")
    if request.not_after > now + MAX_REQUEST_SECONDS:
        raise ProtocolError("a study request is valid for 31 days at most; check this clock")
    _check_sealing_key(request.sealing_key)


def authorization_statement(authorization: study_pb2.Authorization) -> bytes:
    """What a researcher signs to watch or fetch her own study."""
    return _statement(
        "authorization",
        authorization.study_digest,
        authorization.signing_key,
        authorization.not_after.to_bytes(8, "big", signed=True),
        authorization.method.encode(),
    )


def check_authorization(authorization: study_pb2.Authorization, method: str, *, now: float) -> None:
    """Check that the holder of the key asks for this method, and asks now."""
    _check_in_force(authorization, authorization_statement(authorization), method, now=now)


def access_statement(authorization: board_pb2.AccessAuthorization) -> bytes:
    """What a researcher signs to follow her own request for a key, or to fetch what it opens."""
    return _statement(
        "access-authorization",
        authorization.request_digest,
        authorization.signing_key,
        authorization.not_after.to_bytes(8, "big", signed=True),
        authorization.method.encode(),
    )


def authorize_access(
    request: bytes, method: str, signing: Ed25519PrivateKey, *, now: float
) -> board_pb2.AccessAuthorization:
    """Sign that the holder of a key asks about her own request for a key, now.

    Args:
        request: Digest of the request, 32 bytes.
        method: ``follow``, or ``fetch REGISTRY``.
        signing: The key that filed the request. Secret.
        now: Seconds since 1970, UTC.
    """
    authorization = board_pb2.AccessAuthorization(
        request_digest=request,
        signing_key=signing.public_key().public_bytes_raw(),
        not_after=int(now) + AUTHORIZATION_SECONDS,
        method=method,
    )
    authorization.signature = signing.sign(access_statement(authorization))
    return authorization


def check_access(authorization: board_pb2.AccessAuthorization, method: str, *, now: float) -> None:
    """Check that the holder of the key asks for this method, and asks now.

    Raises:
        ProtocolError: It is not signed by the key that it names, or is for another method or time.
    """
    _check_in_force(authorization, access_statement(authorization), method, now=now)


def approval_statement(session: bytes, registry: str, endpoint: str) -> bytes:
    """What a registry signs when it agrees to one session."""
    return _statement("approval", session, registry.encode(), endpoint.encode())


def no_output_statement(session: bytes, registry: str) -> bytes:
    """What a computing registry signs when its output does not and will not exist."""
    return _statement("no-output", session, registry.encode())


def spent_in(session: Descriptor, registry: str) -> study_pb2.Spent:
    """What a registry states about its charge for a session: the session's own; unsigned."""
    return study_pb2.Spent(
        session_digest=session.digest,
        registry=registry,
        epsilon="" if session.epsilon is None else str(session.epsilon),
        rho=str(session.rho),
        delta=str(session.delta),
    )


def spent_statement(spent: study_pb2.Spent) -> bytes:
    """What a registry signs about its charge."""
    return _statement(
        "spent",
        spent.session_digest,
        spent.registry.encode(),
        spent.epsilon.encode(),
        spent.rho.encode(),
        spent.delta.encode(),
    )


def _check_sealing_key(key: bytes) -> None:
    """Refuse what HPKE cannot seal to, a point of small order: RFC 9180, section 7.1.4."""
    probe = X25519PrivateKey.from_private_bytes(bytes(range(32)))  # any key: no secret
    try:
        probe.exchange(X25519PublicKey.from_public_bytes(key))  # all zero raises
    except ValueError:
        raise ProtocolError("a study request carries a sealing key that can be sealed to") from None


def _check_in_force(
    authorization: study_pb2.Authorization | board_pb2.AccessAuthorization,
    signed: bytes,
    method: str,
    *,
    now: float,
) -> None:
    _check_signature(authorization.signing_key, signed, authorization.signature)
    if authorization.method != method:
        raise ProtocolError(f"the authorization is for {authorization.method}, not {method}")
    if not now <= authorization.not_after <= now + AUTHORIZATION_SECONDS + 60:
        raise ProtocolError("the authorization is not in force; check this machine's clock")


def _check_signature(key: bytes, statement: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        raise ProtocolError("the request is not signed by the key it names") from None
