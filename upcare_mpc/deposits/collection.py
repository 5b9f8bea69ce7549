"""A collection: what is deposited for one question of one researcher, until when, and to whom.

Its digest names it; it is in every key, ticket, proof, deposit, receipt and finding. So nothing of
one collection means anything in another, and a collection that is begun again has another key.

Canonical bytes: JSON, keys sorted, ASCII, no spaces; only the exact canonical form is read.
Everything in it is public.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.he.parameters import MAX_DEPOSITS

__all__ = [
    "ENVELOPES",
    "MAX_AT_ONCE",
    "MAX_DEPOSITS",
    "Collection",
    "Holder",
    "check_at_once",
    "most_holders",
]

ENVELOPES: Final = ("rlwe", "sealed")
MAX_CELLS: Final = 1 << 20
MAX_AT_ONCE: Final = 8
"""Collections of one researcher that are not over, by her signing key."""
_MOST_HOLDERS: Final = 7
_MAX_BYTES: Final = 64 << 10
_VERSION: Final = 1
_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


def most_holders(threshold: int) -> int:
    """How many may hold a key, so that it serves one release whatever the platform does.

    All 2t + 1 holders of a session erase their parts before one of them makes an output; of 3t + 1
    then t are left, and it takes 2t + 1 to convert. Two sessions share t + 1 holders, each of which
    joins one set of deposits alone.
    """
    return min(_MOST_HOLDERS, 3 * threshold + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A registry that holds a part of the key.

    Attributes:
        name: As in its certificate.
        certificate: SHA-256 of the certificate, 32 bytes.
    """

    name: str
    certificate: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What is collected.

    Attributes:
        network: SHA-256 of the network's CA certificate.
        study: Digest of the study.
        signing_key: Ed25519 key of the researcher who asks, 32 bytes.
        cells: Of the study's table.
        envelope: ``rlwe`` or ``sealed``.
        holders: Who holds the key, at most ``most_holders``; its Shamir point is its place + 1.
        threshold: t; any t + 1 holders could open a deposit, and any 2t + 1 convert the sum.
        depositors: Registries that deposit their tables; may be none.
        vouchers: Registries that give patients tickets; none if patients do not deposit.
        opened: When it was opened, and
        closes: from when on no deposit is taken; seconds since 1970, UTC.
        nonce: 16 bytes chosen by the platform.
    """

    network: bytes
    study: bytes
    signing_key: bytes
    cells: int
    envelope: str
    holders: tuple[Holder, ...]
    threshold: int
    depositors: tuple[str, ...]
    vouchers: tuple[str, ...]
    opened: int
    closes: int
    nonce: bytes

    def __post_init__(self) -> None:
        """Refuse what no honest platform would compose."""
        digests = [
            self.network,
            self.study,
            self.signing_key,
            *(h.certificate for h in self.holders),
        ]
        if any(len(digest) != 32 for digest in digests) or len(self.nonce) != 16:
            raise ProtocolError("a collection holds 32-byte digests and a 16-byte nonce")
        if self.envelope not in ENVELOPES:
            raise ProtocolError("a collection's envelope is rlwe or sealed")
        for names in ([h.name for h in self.holders], self.depositors, self.vouchers):
            if len(set(names)) != len(names) or not all(_NAME.fullmatch(name) for name in names):
                raise ProtocolError("a collection names distinct registries")
        if not 3 <= len(self.holders) <= 7 or not 1 <= self.threshold <= (self.parties - 1) // 2:
            raise ProtocolError("a collection has 3 to 7 holders, and t of at least 1 below half")
        if self.parties > most_holders(self.threshold):
            raise ProtocolError(f"a key with t = {self.threshold} has at most 3t + 1 holders")
        if not (self.depositors or self.vouchers):
            raise ProtocolError("a collection is for registries, patients, or both")
        if not 1 <= self.cells <= MAX_CELLS:
            raise ProtocolError(f"a table has 1 to {MAX_CELLS} cells, got {self.cells}")
        if not 0 <= self.opened < self.closes < 1 << 40:
            raise ProtocolError("a collection closes after it is opened")

    @property
    def roster(self) -> tuple[Holder, ...]:
        """The holders."""
        return self.holders

    @property
    def parties(self) -> int:
        """How many holders there are."""
        return len(self.holders)

    @property
    def names(self) -> tuple[str, ...]:
        """The holders' names."""
        return tuple(holder.name for holder in self.holders)

    def place(self, name: str) -> int:
        """Give a holder's place."""
        if name not in self.names:
            raise ProtocolError(f"{name} holds no part of this collection's key")
        return self.names.index(name)

    def canonical(self) -> bytes:
        """Encode as canonical bytes."""
        content = {
            "version": _VERSION,
            "network": self.network.hex(),
            "study": self.study.hex(),
            "signing_key": self.signing_key.hex(),
            "cells": self.cells,
            "envelope": self.envelope,
            "holders": [
                {"name": holder.name, "certificate": holder.certificate.hex()}
                for holder in self.holders
            ],
            "threshold": self.threshold,
            "depositors": list(self.depositors),
            "vouchers": list(self.vouchers),
            "opened": self.opened,
            "closes": self.closes,
            "nonce": self.nonce.hex(),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated; names the collection."""
        return hashlib.sha256(b"upcare/v1/collection|" + self.canonical()).digest()

    @classmethod
    def from_canonical(cls, received: bytes) -> "Collection":
        """Decode canonical bytes from the network.

        Raises:
            ProtocolError: They are not the canonical form of a collection.
        """
        if len(received) > _MAX_BYTES:
            raise ProtocolError(f"a collection has at most {_MAX_BYTES} bytes")
        try:
            content = json.loads(received)
            if content["version"] != _VERSION:
                raise ProtocolError(f"collections of version {_VERSION} are spoken here")
            collection = cls(
                network=bytes.fromhex(content["network"]),
                study=bytes.fromhex(content["study"]),
                signing_key=bytes.fromhex(content["signing_key"]),
                cells=int(content["cells"]),
                envelope=str(content["envelope"]),
                holders=tuple(
                    Holder(name=str(h["name"]), certificate=bytes.fromhex(h["certificate"]))
                    for h in content["holders"]
                ),
                threshold=int(content["threshold"]),
                depositors=tuple(str(name) for name in content["depositors"]),
                vouchers=tuple(str(name) for name in content["vouchers"]),
                opened=int(content["opened"]),
                closes=int(content["closes"]),
                nonce=bytes.fromhex(content["nonce"]),
            )
        except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProtocolError("a collection cannot be read") from error
        if collection.canonical() != received:
            raise ProtocolError("a collection is not in canonical form")
        return collection


def check_at_once(collection: Collection, live: Iterable[Collection]) -> None:
    """Check that its researcher has few enough others; platform and holders ask this.

    Args:
        collection: Which is about to begin.
        live: All that are not over, or whose key is held.

    Raises:
        RefusedError: She has not.
    """
    hers = sum(other.signing_key == collection.signing_key for other in live)
    if hers >= MAX_AT_ONCE:
        raise RefusedError(
            f"wanted at most {MAX_AT_ONCE} collections of one researcher at once, "
            f"and {hers} are not over: close one first"
        )
