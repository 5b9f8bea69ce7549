"""Papers that only one reader may open: HPKE, in the one suite that results are sealed with too.

    sealed = 0x01 | encapsulated key (32) | ciphertext | tag (16)
    info   = "upcare/v1/abe-sealed-" use "|" length | digest | length | name ...

HPKE (RFC 9180): X25519, HKDF-SHA256, AES-256-GCM. The info binds what it is, which ceremony or
request it belongs to, and who wrote it for whom: moved to another place it does not open. It does
not say who wrote it; the paper around it is signed.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from upcare_mpc.abe.statements import statement
from upcare_mpc.errors import ProtocolError

__all__ = ["SEALED_BYTES", "seal", "unseal"]

SEALED_BYTES: Final = 49
"""How much longer the sealed form is."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_VERSION = b"\x01"


def seal(
    content: bytes, recipient: bytes, *, use: str, digest: bytes, names: tuple[str, ...]
) -> bytes:
    """Seal something to one reader.

    Args:
        content: Secret.
        recipient: X25519 public key, 32 bytes.
        use: What it is, for example ``fragment``.
        digest: Of the ceremony or request that it belongs to.
        names: Who wrote it, and for whom if that is a registry.

    Raises:
        ProtocolError: The recipient's bytes are not a usable key.
    """
    try:
        key = X25519PublicKey.from_public_bytes(recipient)
        return _VERSION + _SUITE.encrypt(content, key, info=_info(use, digest, names))
    except ValueError:
        raise ProtocolError("the sealing key is not a usable X25519 key") from None


def unseal(
    sealed: bytes, key: X25519PrivateKey, *, use: str, digest: bytes, names: tuple[str, ...]
) -> bytes:
    """Open what ``seal`` gives.

    Args:
        sealed: From anybody.
        key: Of the reader. Secret.
        use: As it was sealed.
        digest: As it was sealed.
        names: As it was sealed.

    Raises:
        ProtocolError: It does not open; one text whatever the reason.
    """
    try:
        if sealed[:1] != _VERSION:
            raise InvalidTag
        return _SUITE.decrypt(sealed[1:], key, info=_info(use, digest, names))
    except (InvalidTag, ValueError):
        raise ProtocolError(f"the sealed {use} of {names[0]} does not open") from None


def _info(use: str, digest: bytes, names: tuple[str, ...]) -> bytes:
    return statement(f"sealed-{use}", digest, *(name.encode() for name in names))
