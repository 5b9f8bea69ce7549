"""Tokens for the public interface: short, scoped, signed by the researcher's own key.

    header   alg Ed25519 (RFC 9864), typ JWT, kid: her public signing key in hexadecimal
    claims   aud: SHA-256 of the network's CA certificate in hexadecimal
             iat, exp: whole seconds since 1970, at most 24 h apart
             scope: words of `SCOPES` between spaces; jti: a name of this token

A token says which key calls and what the call may do. It is not what registries go by: questions,
and every word about a study, carry a signature of their own. So whoever steals a token learns what
the catalogue says, and uses up the key's rate; they ask nothing, watch nothing and fetch nothing.
RFC 7519 with the algorithm fixed (RFC 8725, section 3.1): no header chooses it.
"""

import base64
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from upcare_mpc.client.researcher import Researcher
from upcare_mpc.errors import ConfigError, ProtocolError

__all__ = ["MAX_HOURS", "SCOPES", "Token", "new_token", "read_token"]

SCOPES: Final = ("catalogue", "studies:read", "studies:write", "results")
MAX_HOURS: Final = 24
_ALGORITHMS: Final = ["Ed25519"]
_MAX_TEXT: Final = 2048
_LEEWAY_S: Final = 60  # a clock may be ahead of ours by so much
_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token says that was checked.

    Attributes:
        key: Public signing key of whoever made it, 32 bytes.
        scopes: What it allows.
        expires: Seconds since 1970.
    """

    key: bytes
    scopes: frozenset[str]
    expires: int


def new_token(researcher: Researcher, scopes: Collection[str], *, seconds: int, now: float) -> str:
    """Sign a token.

    Args:
        researcher: Whose.
        scopes: Some of ``SCOPES``.
        seconds: How long it holds, at most 24 hours.
        now: Seconds since 1970.

    Raises:
        ConfigError: A scope is not known, or it would hold too long.
    """
    if not scopes or not set(scopes) <= set(SCOPES):
        raise ConfigError(f"token: wanted some of {', '.join(SCOPES)}")
    if not 0 < seconds <= MAX_HOURS * 3600:
        raise ConfigError(f"token: wanted at most {MAX_HOURS} hours")
    pem = researcher.signing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    claims = {
        "aud": researcher.network.fingerprint.hex(),
        "iat": int(now),
        "exp": int(now) + seconds,
        "scope": " ".join(scope for scope in SCOPES if scope in scopes),
        "jti": os.urandom(16).hex(),
    }
    header = {"alg": "Ed25519", "kid": researcher.signing_key.hex()}
    return jwt.encode(header, claims, OKPKey.import_key(pem), algorithms=_ALGORITHMS)


def read_token(text: str, *, network: bytes, now: float) -> Token:
    """Check a token.

    Args:
        text: As it came.
        network: SHA-256 of the network's CA certificate.
        now: Seconds since 1970.

    Raises:
        ProtocolError: One line: it is not signed by the key it names, for another network, not in
            force, or something else.
    """
    if len(text) > _MAX_TEXT:
        raise ProtocolError("the token cannot be read")
    try:
        decoded = jwt.decode(text, _key, algorithms=_ALGORITHMS)
    except (JoseError, ValueError, RecursionError):
        raise ProtocolError("the token cannot be read, or is not signed by its key") from None
    claims = decoded.claims
    if claims.get("aud") != network.hex():
        raise ProtocolError("the token is for another network")
    issued, expires = (_seconds(claims.get(name)) for name in ("iat", "exp"))
    if expires - issued > MAX_HOURS * 3600:
        raise ProtocolError(f"a token holds for {MAX_HOURS} hours at most")
    if issued > now + _LEEWAY_S:
        raise ProtocolError("the token is not in force yet; check this machine's clock")
    if now >= expires:
        raise ProtocolError("the token has expired")
    if expires <= issued:
        raise ProtocolError("the token ends before it begins")
    scope, name = claims.get("scope"), claims.get("jti")
    if not isinstance(scope, str) or not isinstance(name, str) or not name:
        raise ProtocolError("a token carries a scope and a jti")
    return Token(
        key=bytes.fromhex(decoded.header["kid"]),
        scopes=frozenset(scope.split()).intersection(SCOPES),
        expires=expires,
    )


def _key(guest: Any) -> OKPKey:
    """Return the public key that a token's header names; the header chooses nothing else."""
    header = guest.headers()
    named = header.get("kid")
    if not isinstance(named, str) or not _KEY.fullmatch(named):
        raise ValueError("kid")
    encoded = base64.urlsafe_b64encode(bytes.fromhex(named)).decode("ascii").rstrip("=")
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": encoded})


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise ProtocolError("a token carries iat and exp in whole seconds")
    return value
