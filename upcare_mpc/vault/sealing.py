"""Slots and rows: AES-256-GCM, with a data key for each version of each record.

    slot    AES-256-GCM(data key, nonce: the first 12 bytes of the id,
                "upcare/vault/v1/slot|" registry | "|" id | version,
                payload and bytes 0 up to the size of the slot less 16)
    row     AES-256-GCM(wrapping key, nonce: number of the row in its group, 12 bytes,
                "upcare/vault/v1/row|" SHA-256(place), id | slot | version | data key)

An id has 16 random bytes and is used for one version of one record: a new version has a new id, a
new data key and so a new nonce. Version and slot have 4 bytes. The wrapping key comes from one
``abe.kem.encapsulate`` for each group and edition, so a row's number never meets it twice. *Place*
is registry, policy, month, sequence number of the edition, and SHA-256 of the header
(``edition.Place``): a row opens in its own place alone, a slot as its own record alone.

Id and version are sealed in the row, not written beside it: it authenticates them as well, and the
platform cannot follow a record from one edition to the next.

A row of zero bytes stands for no record; a slot without a record holds random bytes. What is
claimed: who has neither the wrapping key nor the data keys tells rows apart from empty rows, and
slots from empty slots, only by breaking AES-256-GCM. Data keys and payloads are secret; in Python
they cannot be wiped from memory.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.sizes import slot_bytes

__all__ = [
    "ID_BYTES",
    "KEY_BYTES",
    "ROW",
    "ROW_BYTES",
    "TAG_BYTES",
    "Rows",
    "open_rows",
    "open_slot",
    "seal_rows",
    "seal_slot",
]

ID_BYTES: Final = 16
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
_NONCE_BYTES: Final = 12

ROW: Final = np.dtype([("id", "V16"), ("slot", ">u4"), ("version", ">u4"), ("key", "V32")])
"""A row before it is sealed. Secret."""

ROW_BYTES: Final = ROW.itemsize + TAG_BYTES
_SLOT_LABEL: Final = b"upcare/vault/v1/slot|"
_ROW_LABEL: Final = b"upcare/vault/v1/row|"

Rows = npt.NDArray[Any]  # of ROW; numpy's types do not name the fields of a record


def seal_slot(
    payload: bytes, *, size: int, registry: str, identity: bytes, version: int, key: bytes
) -> bytes:
    """Seal one payload.

    Args:
        payload: Secret; at most ``slot_bytes(size) - 16`` bytes, and not ending in a zero byte.
        size: Of the slot. Public, like the result.
        registry: Whose record it is.
        identity: The id, 16 bytes, never used before.
        version: Of the record.
        key: The data key, 32 bytes, never used before. Secret.

    Returns:
        ``slot_bytes(size)`` bytes.
    """
    padded = payload.ljust(slot_bytes(size) - TAG_BYTES, b"\0")
    bound = _slot_bound(registry, identity, version)
    return AESGCM(key).encrypt(identity[:_NONCE_BYTES], padded, bound)


def open_slot(sealed: bytes, *, registry: str, identity: bytes, version: int, key: bytes) -> bytes:
    """Return the payload of a slot. Secret.

    Raises:
        ProtocolError: It is not what was sealed as this version of this record.
    """
    bound = _slot_bound(registry, identity, version)
    try:
        padded = AESGCM(key).decrypt(identity[:_NONCE_BYTES], sealed, bound)
    except InvalidTag:
        raise ProtocolError("a slot does not open") from None
    return padded.rstrip(b"\0")


def seal_rows(rows: Rows, *, wrapping_key: bytes, place: bytes, first: int = 0) -> bytes:
    """Seal rows of a group.

    Args:
        rows: ``(n,)`` of ``ROW``. Secret.
        wrapping_key: Of the group in this edition, 32 bytes. Secret.
        place: SHA-256 of the place, as the module says.
        first: Number of the first of them in the group.

    Returns:
        ``72 n`` bytes.
    """
    encrypt, bound = AESGCM(wrapping_key).encrypt, _ROW_LABEL + place
    plain, width = rows.tobytes(), ROW.itemsize
    nonces = _numbered(first, len(rows))
    return b"".join(
        [
            encrypt(nonce, plain[at : at + width], bound)
            for nonce, at in zip(nonces, range(0, len(plain), width), strict=True)
        ]
    )


def open_rows(sealed: bytes, *, wrapping_key: bytes, place: bytes, first: int) -> Rows:
    """Open what ``seal_rows`` made; ``(n,)`` of ``ROW``, the empty ones included. Secret.

    Raises:
        ProtocolError: They are not the rows that were sealed here under these numbers.
    """
    decrypt, bound = AESGCM(wrapping_key).decrypt, _ROW_LABEL + place
    nonces = _numbered(first, len(sealed) // ROW_BYTES)
    try:
        plain = [
            decrypt(nonce, sealed[at : at + ROW_BYTES], bound)
            for nonce, at in zip(nonces, range(0, len(sealed), ROW_BYTES), strict=True)
        ]
    except InvalidTag:
        raise ProtocolError("a row does not open") from None
    return np.frombuffer(b"".join(plain), ROW)


def _slot_bound(registry: str, identity: bytes, version: int) -> bytes:
    return _SLOT_LABEL + registry.encode() + b"|" + identity + version.to_bytes(4)


def _numbered(first: int, count: int) -> list[bytes]:
    return [number.to_bytes(_NONCE_BYTES) for number in range(first, first + count)]
