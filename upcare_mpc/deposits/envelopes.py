"""The payload of a deposit: a vector that only enough holders together can use, and cannot read.

    rlwe     "UDR1" | ciphertext | proof of plaintext knowledge            he.scheme, he.proof
    sealed   "UDS1" | a sealed share for each holder, in their order       Shamir, HPKE

``rlwe``: the platform could add deposits that it cannot read; a holder's work does not grow with
the cells of a share; post-quantum by the tables of its parameters. ``sealed``: a share of 8 bytes a
cell for each holder, sealed by standard primitives (HPKE: X25519, HKDF-SHA256, AES-256-GCM); not
post-quantum. Both are bound to the deposit's context: moved to another one they are refused.

Secret: the vector, and what ``random`` gives. Adversary: the platform, the network, and up to t
holders learn nothing about the vector; a submitter may send any bytes at all.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from upcare_mpc.deposits import statement
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.key import CollectionKey
from upcare_mpc.deposits.submission import MAX_DEPOSIT_BYTES
from upcare_mpc.errors import ProtocolError
from upcare_mpc.he.proof import BLOCK_PROOF_BYTES, prove, verify
from upcare_mpc.he.scheme import BLOCK_BYTES, Ciphertext, blocks_of, encrypt
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.study.packed import pack, unpack

__all__ = ["Random", "check_payload", "ciphertext_of", "most_bytes", "open_share", "wrap"]

Random = Callable[[int], bytes]
"""Gives that many random bytes, ``os.urandom`` for one."""

_RLWE: Final = b"UDR1"
_SEALED: Final = b"UDS1"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HPKE_BYTES: Final = 48  # encapsulated key and tag
_AROUND_BYTES: Final = 16 << 10  # certificate, ticket, signature, lengths


def wrap(
    vector: npt.NDArray[np.int64],
    collection: Collection,
    key: CollectionKey,
    *,
    context: bytes,
    random: Random,
) -> bytes:
    """Put a vector into the collection's envelope.

    Args:
        vector: ``(cells,)``, below 2^60 in magnitude. Secret.
        collection: Where it goes.
        key: Its key, checked.
        context: Of the deposit (``Deposit.context``).
        random: Randomness.

    Raises:
        ProtocolError: The vector is not as long as the collection's table.
    """
    if vector.shape != (collection.cells,):
        raise ProtocolError(f"a deposit has {collection.cells} cells, got {len(vector)}")
    if key.public is not None:
        encrypted = encrypt(key.public, vector, random)
        proof = prove(key.public, encrypted, context=context, random=random)
        return pack(_RLWE, encrypted.ciphertext.to_bytes(), proof)

    def words(count: int) -> Words:
        return np.frombuffer(random(8 * count), "<u8").astype(np.uint64)

    shares = field.share(
        field.encode(vector),
        parties=collection.parties,
        threshold=collection.threshold,
        random=words,
    )
    return pack(
        _SEALED,
        *(
            _SUITE.encrypt(
                field.to_bytes(share),
                X25519PublicKey.from_public_bytes(recipient),
                info=_info(context, place),
            )
            for place, (share, recipient) in enumerate(zip(shares, key.sealing, strict=True))
        ),
    )


def check_payload(
    payload: bytes, collection: Collection, key: CollectionKey, *, context: bytes
) -> None:
    """Check what everybody can check of a payload.

    ``rlwe``: form, length, and the proof that the submitter knows what is inside, so that it is not
    made from another's deposit, nor crafted to give away the key. ``sealed``: form and length.

    Raises:
        ProtocolError: It does not hold.
    """
    if key.public is not None:
        ciphertext, proof = _rlwe(payload, collection)
        verify(key.public, ciphertext, proof, context=context)
    else:
        _shares(payload, collection)


def ciphertext_of(payload: bytes, collection: Collection) -> Ciphertext:
    """Read the ciphertext of an ``rlwe`` payload; the proof is not checked here."""
    return _rlwe(payload, collection)[0]


def open_share(
    payload: bytes, collection: Collection, key: X25519PrivateKey, *, place: int, context: bytes
) -> Words:
    """Open the share of one holder of a ``sealed`` payload.

    Returns:
        ``(cells,)`` share at the holder's point. Secret.

    Raises:
        ProtocolError: It does not open, or is no share; one text whatever the reason.
    """
    sealed = _shares(payload, collection)[place]
    try:
        opened = _SUITE.decrypt(sealed, key, info=_info(context, place))
        return field.from_bytes(opened, cells=collection.cells)
    except (InvalidTag, ValueError, ProtocolError):
        raise ProtocolError("a deposit's sealed share does not open") from None


def most_bytes(collection: Collection) -> int:
    """Return what a whole deposit of a collection has at most; nothing longer needs to be read."""
    if collection.envelope == "rlwe":
        payload = blocks_of(collection.cells) * (BLOCK_BYTES + BLOCK_PROOF_BYTES)
    else:
        payload = collection.parties * (8 * collection.cells + _HPKE_BYTES)
    return payload + _AROUND_BYTES


def _read(payload: bytes, version: bytes, fields: int) -> list[bytes]:
    found = unpack(version, payload, most=MAX_DEPOSIT_BYTES)
    if len(found) != fields:
        raise ProtocolError("a deposit's payload is not in the collection's envelope")
    return found


def _rlwe(payload: bytes, collection: Collection) -> tuple[Ciphertext, bytes]:
    encoded, proof = _read(payload, _RLWE, 2)
    return Ciphertext.from_bytes(encoded, cells=collection.cells), proof


def _shares(payload: bytes, collection: Collection) -> list[bytes]:
    shares = _read(payload, _SEALED, collection.parties)
    if any(len(share) != 8 * collection.cells + _HPKE_BYTES for share in shares):
        raise ProtocolError("a deposit's sealed shares are not of the collection's length")
    return shares


def _info(context: bytes, place: int) -> bytes:
    return statement("sealed-share", context, place.to_bytes(1))
