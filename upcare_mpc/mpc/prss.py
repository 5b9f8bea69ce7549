"""Pseudorandom words that every member of a set of parties can draw without a message.

For ``m`` parties and threshold ``t`` there is one key ``K_S`` for every set ``S`` of ``m - t``
parties. Any ``t`` parties miss at least one ``S`` entirely, so its words are uniform to them
(Cramer, Damgard, Ishai, "Share conversion, pseudorandom secret-sharing", TCC 2005).

Every member of ``S`` contributes 32 bytes to ``K_S``, so it is uniform as soon as one member is
honest; MPyC alone would let the lowest member choose it. Words come in streams: the AES-CTR key of
a stream is HKDF-Expand(K_S, program, purpose, dealer, chunk), its counter block starts at zero, and
whoever holds it reads on, so that no word is drawn twice. Asking twice for one stream raises.

Adversary: up to t honest-but-curious parties. Keys live as long as their worker process.
"""

import hashlib
import hmac
import itertools
import os
from collections.abc import Mapping
from typing import Literal

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from upcare_mpc.mpc.field import Words

__all__ = ["LocalRandom", "Prss", "Purpose", "Stream", "Subset", "agree_key", "subsets"]

Subset = tuple[int, ...]
Purpose = Literal["bit", "and", "mask", "zero", "field", "bank"]

CONTRIBUTION_BYTES = 32
_DOMAIN = b"upcare/v1/prss"
_ZEROS = bytes(1 << 16)


def subsets(parties: int, threshold: int) -> tuple[Subset, ...]:
    """List the sets of ``m - t`` parties that share a key, in the order all parties use."""
    return tuple(itertools.combinations(range(parties), parties - threshold))


def agree_key(contributions: Mapping[int, bytes], subset: Subset, *, transcript: bytes) -> bytes:
    """Derive ``K_S`` from one 32-byte contribution of every member (HKDF-Extract, RFC 5869).

    Args:
        contributions: Member to its contribution.
        subset: The members of S.
        transcript: Digest of the session descriptor; binds the key to one session.
    """
    material = b"".join(contributions[member] for member in subset)
    salt = hashlib.sha256(_DOMAIN + bytes(subset) + transcript).digest()
    return hmac.digest(salt, material, "sha256")


class Stream:
    """AES-128-CTR output under a key used for nothing else, from counter block zero, in order."""

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Stream()"

    def fill(self, out: Words) -> None:
        """Write the next words into ``out``, which is contiguous."""
        view = out.reshape(-1, copy=False).data.cast("B")  # raises where a copy would be filled
        for start in range(0, len(view), len(_ZEROS)):
            piece = view[start : start + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(piece)], piece)

    def words(self, count: int) -> Words:
        """Give the next ``count`` words."""
        out = np.empty(count, np.uint64)
        self.fill(out)
        return out


class Prss:
    """One party's pseudorandom streams for one session and program."""

    def __init__(self, keys: Mapping[Subset, bytes], *, program: bytes) -> None:
        self._keys = dict(keys)
        self._program = hashlib.sha256(_DOMAIN + program).digest()
        self._used: set[bytes] = set()

    def __repr__(self) -> str:
        """Show which sets have keys, never the keys."""
        return f"Prss(subsets={sorted(self._keys)})"

    def stream(self, subset: Subset, purpose: Purpose, *, dealer: int, chunk: int) -> Stream:
        """Open a stream of uniform words known to exactly the members of ``subset``; once.

        Args:
            subset: A set that this party belongs to.
            purpose: What the words are for.
            dealer: The party on whose behalf they are drawn.
            chunk: Label of the coroutine that draws, the same at all members.
        """
        label = b"".join(
            (
                purpose.encode().ljust(8, b"\0"),
                bytes(subset).ljust(8, b"\xff"),
                dealer.to_bytes(2, "big"),
                chunk.to_bytes(8, "big", signed=True),
            )
        )
        if label in self._used:
            raise AssertionError("a pseudorandom stream was asked for twice")
        self._used.add(label)
        return Stream(self._expand(subset, self._program + label)[:16])

    def subkey(self, subset: Subset) -> bytes:
        """Derive the 16-byte key that MPyC's own pseudorandom functions use for ``subset``."""
        return self._expand(subset, b"mpyc")[:16]

    def _expand(self, subset: Subset, info: bytes) -> bytes:
        """HKDF-Expand to one block (RFC 5869, section 2.3)."""
        return hmac.digest(self._keys[subset], info + b"\x01", "sha256")


class LocalRandom:
    """Uniform words known to this party alone: AES-CTR under keys from the operating system."""

    def words(self, count: int) -> Words:
        """Draw ``count`` words under a fresh key."""
        return Stream(os.urandom(16)).words(count)
