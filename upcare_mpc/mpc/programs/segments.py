"""Noise shares at rest: cut into segments, each sealed under a key of its own.

AES-256-GCM; the nonce is zero because a key seals one segment and no more. The key depends on
random bytes and on what the segment is, so that it is another one even in a cloned machine whose
random numbers repeat. The bound data name the fill (and so committee, law and length of the
bank), the party and the segment: a segment moved to another place does not open. All failures to
open are one error with one text.

Whoever has a key and the sealed bytes has the shares; with those of t + 1 parties, the noise. So
keys stay in the memory of a node's process, and are forgotten when their segment is burnt.
"""

import hmac
import os
from dataclasses import dataclass
from dataclasses import field as attribute

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from upcare_mpc.errors import SessionError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.study.draw import SEGMENT_CELLS

__all__ = ["KEY_BYTES", "SEALED_BYTES", "Segments", "open_segments", "seal_segments"]

KEY_BYTES = 32
SEALED_BYTES = 8 * SEGMENT_CELLS + 16
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Sealed segments in their order, and their keys. Secret together.

    Attributes:
        keys: 32 bytes for each.
        sealed: ``SEALED_BYTES`` for each.
    """

    keys: tuple[bytes, ...] = attribute(repr=False)
    sealed: bytes = attribute(repr=False)


def seal_segments(noise: Words, *, epoch: bytes, place: int) -> Segments:
    """Seal one party's noise shares.

    Args:
        noise: ``(k * SEGMENT_CELLS,)`` shares. Secret.
        epoch: Digest of the fill.
        place: The party's place in the committee.
    """
    keys, sealed = [], []
    for index, start in enumerate(range(0, noise.shape[0], SEGMENT_CELLS)):
        bound = _bound(epoch, place, index)
        key = hmac.digest(os.urandom(KEY_BYTES), bound, "sha256")
        content = field.to_bytes(noise[start : start + SEGMENT_CELLS])
        keys.append(key)
        sealed.append(AESGCM(key).encrypt(_NONCE, content, bound))
    return Segments(keys=tuple(keys), sealed=b"".join(sealed))


def open_segments(segments: Segments, *, epoch: bytes, place: int, first: int, cells: int) -> Words:
    """Open segments from number ``first`` on, and give the first ``cells`` shares in them.

    Raises:
        SessionError: One is not this party's segment of this place, or was altered.
    """
    opened = np.empty(len(segments.keys) * SEGMENT_CELLS, np.uint64)
    for offset, key in enumerate(segments.keys):
        content = segments.sealed[offset * SEALED_BYTES : (offset + 1) * SEALED_BYTES]
        try:
            plain = AESGCM(key).decrypt(_NONCE, content, _bound(epoch, place, first + offset))
        except (InvalidTag, ValueError):
            raise SessionError("a segment of the noise bank does not open") from None
        start = offset * SEGMENT_CELLS
        opened[start : start + SEGMENT_CELLS] = field.from_bytes(plain, cells=SEGMENT_CELLS)
    return opened[:cells]


def _bound(epoch: bytes, place: int, index: int) -> bytes:
    return b"upcare/v1/segment|" + epoch + place.to_bytes(2, "big") + index.to_bytes(4, "big")
