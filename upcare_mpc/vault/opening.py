"""A researcher's side: the signed edition, and the records of a group that her key satisfies.

The platform is not trusted with anything but bytes. ``check_head`` takes an edition only if the
registry signed it, and if it is not older than the last one seen and than a day that the reader
names; two editions with one number are refused as well. ``open_group`` takes from the store what
the edition names and nothing else, and everything is compared with its name before it is read:
what is missing, added, swapped, older, shortened or altered anywhere does not open.

What the platform sees: which group and which blocks are fetched, and so, of a group, in which
blocks its records lie. Opening itself is local, and the platform does not learn whether it
succeeded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Final, TypeAlias

import numpy as np

from upcare_mpc.abe.kem import decapsulate
from upcare_mpc.abe.keys import AttributeKey, PublicKey
from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.edition import Edition, Group, Root, open_head, signed_bytes
from upcare_mpc.vault.objects import (
    SHEET_ROWS,
    Shelf,
    block_slots,
    sheet_rows,
    shelf_blocks,
)
from upcare_mpc.vault.payload import tumours
from upcare_mpc.vault.sealing import KEY_BYTES, Rows, open_rows, open_slot
from upcare_mpc.vault.sizes import BLOCK_SLOTS, slot_bytes
from upcare_mpc.vault.store import Store, fetch

__all__ = ["Seen", "Verify", "check_head", "open_group"]

Verify: TypeAlias = Callable[[bytes, bytes], None]
"""Takes what was signed, and a signature; raises ``ProtocolError`` if the registry did not sign."""

_BATCH_BYTES: Final = 2**23


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last edition of a registry that a reader has seen; she keeps it.

    Attributes:
        sequence: Its number.
        digest: SHA-256 of it.
    """

    sequence: int
    digest: bytes


def check_head(
    head: bytes, *, registry: str, verify: Verify, earliest: date, seen: Seen | None
) -> tuple[Edition, Seen]:
    """Check what the platform shows as the edition in force.

    Args:
        head: From the platform.
        registry: Whose edition it must be.
        verify: Checks the registry's signature.
        earliest: The oldest day that is accepted: registries publish every day.
        seen: What this reader saw last of this registry; None the first time.

    Returns:
        The edition, and what to keep as ``seen``.

    Raises:
        ProtocolError: It is not a newer edition of this registry, or not the same as before; the
            text says why, as all of this is public.
    """
    encoded, signature = open_head(head)
    edition = Edition.from_bytes(encoded)
    if edition.registry != registry:
        raise ProtocolError(f"the vault of {registry} shows an edition of {edition.registry}")
    verify(signed_bytes(encoded), signature)
    if edition.day < earliest:
        raise ProtocolError(
            f"the vault of {registry} shows its edition of {edition.day}; wanted one of "
            f"{earliest} or later"
        )
    now = Seen(sequence=edition.sequence, digest=sha256(encoded).digest())
    if seen is not None and edition.sequence < seen.sequence:
        raise ProtocolError(
            f"the vault of {registry} goes back: it shows edition {edition.sequence}, and has "
            f"shown {seen.sequence} before"
        )
    if seen is not None and edition.sequence == seen.sequence and now != seen:
        raise ProtocolError(f"{registry} has signed two editions with number {edition.sequence}")
    return edition, now


def open_group(public: PublicKey, key: AttributeKey, store: Store, root: Root) -> Iterator[Any]:
    """Open all records of a group.

    Args:
        public: Of the network.
        key: Of the reader. Secret.
        store: Of the platform; gives any bytes at all.
        root: From an edition that ``check_head`` returned.

    Yields:
        Arrow record batches of ``payload.OPENED``: one row a tumour, with the id of the record.
        Secret. What was yielded counts only if the iterator ends without an error.

    Raises:
        ProtocolError: Something does not open; one text whatever the reason.
        DataError: The store itself fails.

    Cost: all sheets of the group, and all blocks in which it has a slot, each once. Memory does not
    grow with the group but for the list of the registry's blocks: half a byte for each of its
    slots, at most 9 MB. Times are in docs/vault.md.
    """
    try:
        yield from _open(public, key, store, root)
    except ProtocolError:
        raise ProtocolError("the sealed records do not open") from None


def _open(public: PublicKey, key: AttributeKey, store: Store, root: Root) -> Iterator[Any]:
    group = Group.from_bytes(_fetched(store, "group", root.name))
    if group.place != root.place or group.rows != root.rows:
        raise ProtocolError("a group is not the one that the edition names")
    wrapping_key = decapsulate(public, key, group.header, context=group.place.context)
    place = group.place.digest(group.header)
    blocks = _Blocks(store, shelf_blocks(_fetched(store, "shelf", group.shelf)))
    identities: list[bytes] = []
    opened: list[bytes] = []
    opened_bytes, last = 0, -1
    for number, name in enumerate(group.sheets):
        first = number * SHEET_ROWS
        sealed = sheet_rows(
            _fetched(store, "sheet", name), rows=min(SHEET_ROWS, group.rows - first)
        )
        rows = _full(open_rows(sealed, wrapping_key=wrapping_key, place=place, first=first))
        slots = np.append(last, rows["slot"].astype(np.int64))
        if (np.diff(slots) <= 0).any():
            raise ProtocolError("the rows of a group are not in the order of slots")
        last = int(slots[-1])
        for row in rows:
            identity = row["id"].tobytes()
            payload = open_slot(
                blocks.slot(int(row["slot"])),
                registry=group.place.registry,
                identity=identity,
                version=int(row["version"]),
                key=row["key"].tobytes(),
            )
            identities.append(identity)
            opened.append(payload)
            opened_bytes += len(payload)
            if opened_bytes >= _BATCH_BYTES:
                yield tumours(identities, opened)
                identities, opened, opened_bytes = [], [], 0
    if opened:
        yield tumours(identities, opened)


class _Blocks:
    """The slots of a registry; the block that was asked for last is in memory."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._names = shelf["name"]
        self._sizes = shelf["size"].tolist()
        self._number = -1
        self._slots = memoryview(b"")

    def slot(self, number: int) -> bytes:
        """Return a sealed slot."""
        block, at = divmod(number, BLOCK_SLOTS)
        if block >= len(self._sizes):
            raise ProtocolError("a row names a slot that there is not")
        if block != self._number:
            content = _fetched(self._store, "block", self._names[block].tobytes().hex())
            self._slots = block_slots(content, size=self._sizes[block])
            self._number = block
        width = slot_bytes(self._sizes[block])
        return bytes(self._slots[at * width : (at + 1) * width])


def _full(rows: Rows) -> Rows:
    """The rows that stand for a record."""
    keys = np.ascontiguousarray(rows["key"]).view(np.uint8).reshape(-1, KEY_BYTES)
    full: Rows = rows[keys.any(axis=1)]
    return full


def _fetched(store: Store, kind: str, name: str) -> bytes:
    content = fetch(store, kind, name)
    if content is None:
        raise ProtocolError(f"a {kind} is missing, or is not what it should be")
    return content
