"""The only place that reveals: noisy output shares, sealed to the researcher who asked.

Each computing party seals its share of the noisy vector to the researcher's X25519 key (HPKE,
RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) and signs the sealed bytes. The platform carries them
and can open none. The researcher opens all, checks that every share lies on ONE polynomial of
degree t, and recombines.

What is opened: sums over registries plus noise. Adversary: the platform, the network and any t
computing parties learn nothing about it. Shares are not re-randomised: t shares and the opened
vector already determine the sharing polynomial, so the remaining shares tell the researcher
nothing more.

Bound into every sealed share (HPKE info): session digest, sender, its index, and the number of
cells; a share moved to another session, sender or length does not open. All failures to open are
one error with one text.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words

__all__ = ["Opened", "open_result", "output_statement", "seal_share", "unseal_share"]

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_VERSION = b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A recombined noisy vector.

    Attributes:
        noisy: ``(n,)`` signed integers.
        shares: How many shares were used.
        checked: Whether more than t + 1 shares were there, so that a wrong one would show.
    """

    noisy: npt.NDArray[np.int64]
    shares: int
    checked: bool


def _info(session: bytes, sender: str, index: int, cells: int) -> bytes:
    return b"upcare/v1/output|%s|%s|%d|%d" % (session, sender.encode(), index, cells)


def seal_share(share: Words, recipient: bytes, *, session: bytes, sender: str, index: int) -> bytes:
    """Seal one party's output share to the researcher.

    Args:
        share: ``(n,)`` field elements. Secret.
        recipient: Raw X25519 public key, 32 bytes.
        session: Digest of the session descriptor.
        sender: Name of the computing party.
        index: Its place in the roster.

    Returns:
        Version byte and HPKE ciphertext, ``8 n + 49`` bytes.

    Raises:
        ProtocolError: The recipient's bytes are not a usable key (a point of small order, say).
    """
    info = _info(session, sender, index, share.shape[0])
    try:
        key = X25519PublicKey.from_public_bytes(recipient)
        return _VERSION + _SUITE.encrypt(field.to_bytes(share), key, info=info)
    except ValueError:
        raise ProtocolError("the researcher's sealing key is not a usable X25519 key") from None


def unseal_share(
    sealed: bytes, key: X25519PrivateKey, *, session: bytes, sender: str, index: int, cells: int
) -> Words:
    """Open one sealed share.

    Raises:
        OpeningError: It does not open under this key for this session, sender and length.
    """
    try:
        if sealed[:1] != _VERSION:
            raise InvalidTag
        payload = _SUITE.decrypt(sealed[1:], key, info=_info(session, sender, index, cells))
    except (InvalidTag, ValueError):
        raise OpeningError(f"the sealed share of {sender} does not open") from None
    return field.from_bytes(payload, cells=cells)


def output_statement(session: bytes, index: int, agreement: bytes, sealed: bytes) -> bytes:
    """The bytes a computing party signs with its output: what was agreed, and what it sealed."""
    return b"upcare/v1/output-statement|" + b"".join(
        (session, index.to_bytes(2, "big"), agreement, hashlib.sha256(sealed).digest())
    )


def open_result(shares: Mapping[int, Words], *, parties: int, threshold: int) -> Opened:
    """Recombine the noisy vector from unsealed shares, checking them against each other.

    Raises:
        OpeningError: Fewer than t + 1 shares, or they do not belong together. A party that is
            framed by this could be honest, so nobody is named and nothing is corrected.
    """
    if any(not 0 <= index < parties for index in shares):
        raise OpeningError("a share comes from outside the committee")
    values = field.open_shares(dict(shares), threshold=threshold)
    return Opened(
        noisy=field.decode(values), shares=len(shares), checked=len(shares) > threshold + 1
    )
