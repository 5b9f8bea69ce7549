"""The blocks of an edition: those that must change, and some for cover, are sealed anew.

A block changes as a whole. Every record that stays in it is opened and sealed again with a new id,
version, data key and nonce, and slots that are free are filled with random bytes: the platform sees
that the block changed, and not what in it. The old block is left alone; it goes when the new
edition is in force.
"""

from collections.abc import Callable
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.errors import DataError
from upcare_mpc.vault.changes import Collected
from upcare_mpc.vault.objects import SHELVED, Shelf, block_bytes, block_slots
from upcare_mpc.vault.placement import place
from upcare_mpc.vault.sealing import ID_BYTES, KEY_BYTES, open_slot, seal_slot
from upcare_mpc.vault.sizes import BLOCK_SLOTS, slot_bytes
from upcare_mpc.vault.state import Records, State, pseudonym_order
from upcare_mpc.vault.store import Store, fetch, keep

__all__ = ["seal_blocks"]

_Integers = npt.NDArray[np.int64]


def seal_blocks(
    state: State, found: Collected, *, store: Store, spool: IO[bytes], random: RandomBytes
) -> tuple[Shelf, Records]:
    """Put the blocks of the next edition that are not there yet into the store.

    Args:
        state: What is sealed; its blocks are in the store.
        found: What is to change.
        store: Where blocks are.
        spool: Sealed payloads of ``found.newcomers``.
        random: Source of keys and ids, of what fills free slots, and of the choice of blocks.

    Returns:
        All blocks, and all records by pseudonym. Groups are still numbered as in ``found.terms``.

    Raises:
        DataError: The store fails or has lost a block, or the vault is full.
    """
    return _Batch(state, found, store=store, spool=spool, random=random).seal()


class _Batch:
    def __init__(
        self,
        state: State,
        found: Collected,
        *,
        store: Store,
        spool: IO[bytes],
        random: RandomBytes,
    ) -> None:
        self._state = state
        self._store = store
        self._spool = spool
        self._random = random
        self._found = found
        self._staying = ~(found.leaving | found.replaced)
        self._records = state.records.copy()
        self._records["group"] = found.groups

    def seal(self) -> tuple[Shelf, Records]:
        newcomers = self._found.newcomers
        slots, changed, added = self._placed()
        blocks = np.concatenate([self._state.blocks, np.zeros(len(added), SHELVED)])
        blocks["size"][len(self._state.blocks) :] = added
        staying = _by_block(self._records["slot"], np.flatnonzero(self._staying))
        arriving = _by_block(slots, np.arange(len(slots)))
        for block in changed:
            sealed = self._arrived(slots, arriving(block)) | self._stayed(block, staying(block))
            width = slot_bytes(int(blocks["size"][block]))
            free = self._random(width * (BLOCK_SLOTS - len(sealed)))
            unused = (free[at : at + width] for at in range(0, len(free), width))
            content = block_bytes(
                sealed[at] if at in sealed else next(unused) for at in range(BLOCK_SLOTS)
            )
            blocks["name"][block] = np.void(bytes.fromhex(keep(self._store, "block", content)))
        arrived = newcomers.records.copy()
        arrived["slot"] = slots
        merged = np.concatenate([self._records[self._staying], arrived])
        return blocks, merged[pseudonym_order(merged["pseudonym"])]

    def _placed(self) -> tuple[_Integers, list[int], list[int]]:
        """Slots of all newcomers, blocks to be sealed, and sizes of added blocks.

        A new payload that fits the old slot's size takes the old slot.
        """
        found, newcomers = self._found, self._found.newcomers
        sizes, old_slots = self._state.blocks["size"], self._state.records["slot"]
        taken = np.zeros(len(sizes) * BLOCK_SLOTS, bool)
        taken[old_slots[self._staying]] = True
        slots = np.full(len(newcomers.places), -1, np.int64)
        known = np.flatnonzero(newcomers.places >= 0)
        before = old_slots[newcomers.places[known]]
        fits = sizes[before // BLOCK_SLOTS] == newcomers.sizes[known]
        slots[known[fits]] = before[fits]
        taken[before[fits]] = True
        touched = old_slots[found.leaving | found.replaced | found.narrowed] // BLOCK_SLOTS
        homeless = slots < 0
        placed = place(
            sizes,
            taken,
            np.unique(touched).tolist(),
            newcomers.sizes[homeless],
            newcomers.records["group"][homeless],
            self._random,
        )
        slots[homeless] = placed.slots
        return slots, placed.changed, placed.added

    def _arrived(self, slots: _Integers, arriving: _Integers) -> dict[int, bytes]:
        """Sealed newcomers of a block, by their place in it."""
        newcomers = self._found.newcomers
        sealed = {}
        for one in arriving.tolist():
            self._spool.seek(newcomers.offsets[one])
            width = slot_bytes(int(newcomers.sizes[one]))
            sealed[int(slots[one]) % BLOCK_SLOTS] = self._spool.read(width)
        return sealed

    def _stayed(self, block: int, staying: _Integers) -> dict[int, bytes]:
        """The next versions of the records that stay in a block, by their place in it."""
        if not len(staying):
            return {}
        shelved = self._state.blocks[block]
        size = int(shelved["size"])
        content = fetch(self._store, "block", shelved["name"].tobytes().hex())
        if content is None:
            raise DataError(
                "a block of the vault is missing or damaged; put it back, or seal all records anew"
            )
        slots, width = block_slots(content, size=size), slot_bytes(size)
        sealed = {}
        for one in staying.tolist():
            old, new = self._state.records[one], self._records[one : one + 1]
            at = int(old["slot"]) % BLOCK_SLOTS
            payload = open_slot(
                bytes(slots[at * width : (at + 1) * width]),
                registry=self._state.registry,
                identity=old["id"].tobytes(),
                version=int(old["version"]),
                key=old["key"].tobytes(),
            )
            fresh = self._random(ID_BYTES + KEY_BYTES)
            identity, key, version = fresh[:ID_BYTES], fresh[ID_BYTES:], int(old["version"]) + 1
            new["id"], new["key"], new["version"] = np.void(identity), np.void(key), version
            sealed[at] = seal_slot(
                payload,
                size=size,
                registry=self._state.registry,
                identity=identity,
                version=version,
                key=key,
            )
        return sealed


def _by_block(slots: npt.NDArray[Any], which: _Integers) -> Callable[[int], _Integers]:
    """Return a function from a block to those of ``which`` that have their slot in it."""
    blocks = slots[which] // BLOCK_SLOTS
    order = np.argsort(blocks, kind="stable")
    which, blocks = which[order], blocks[order]

    def of(block: int) -> _Integers:
        low, high = np.searchsorted(blocks, [block, block + 1])
        return which[low:high]

    return of
