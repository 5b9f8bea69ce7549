"""What is most of a vault: blocks of sealed slots, sheets of sealed rows, and the list of blocks.

    block    "UVB1" | 64 slots of one size
    sheet    "UVS1" | 1 to 4096 rows of 72 bytes
    shelf    "UVL1" | for each block, from number 0 on: size (1) | name (32)

All sheets of a group but the last have 4096 rows. Slot s of a registry is slot s mod 64 of block
s div 64. All of this is public.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.encoding import VERSION_BYTES, behind
from upcare_mpc.vault.sealing import ROW_BYTES
from upcare_mpc.vault.sizes import BLOCK_SLOTS, MAX_SIZE, MIN_SIZE, slot_bytes

__all__ = [
    "MAX_BLOCKS",
    "MAX_BLOCK_BYTES",
    "MAX_ROWS",
    "MAX_SHEET_BYTES",
    "MAX_SHELF_BYTES",
    "SHEET_ROWS",
    "SHELVED",
    "Shelf",
    "block_bytes",
    "block_slots",
    "sheet_bytes",
    "sheet_rows",
    "shelf_blocks",
    "shelf_bytes",
]

SHEET_ROWS: Final = 4096
MAX_BLOCKS: Final = 2**18
MAX_ROWS: Final = MAX_BLOCKS * BLOCK_SLOTS

SHELVED: Final = np.dtype([("size", "u1"), ("name", "V32")])
"""A block as the shelf lists it."""

Shelf = npt.NDArray[np.void]  # of SHELVED

MAX_BLOCK_BYTES: Final = VERSION_BYTES + BLOCK_SLOTS * slot_bytes(MAX_SIZE)
MAX_SHEET_BYTES: Final = VERSION_BYTES + SHEET_ROWS * ROW_BYTES
MAX_SHELF_BYTES: Final = VERSION_BYTES + MAX_BLOCKS * SHELVED.itemsize


def block_bytes(slots: Iterable[bytes]) -> bytes:
    """Put 64 sealed slots of one size into a block."""
    return b"UVB1" + b"".join(slots)


def block_slots(content: bytes, *, size: int) -> memoryview:
    """Return the slots of a block, one after the other.

    Raises:
        ProtocolError: It is no block of slots of this size.
    """
    if len(content) != VERSION_BYTES + BLOCK_SLOTS * slot_bytes(size):
        raise ProtocolError("a block has another length than its size says")
    return behind(content, b"UVB1")


def sheet_bytes(rows: bytes) -> bytes:
    """Put sealed rows into a sheet."""
    return b"UVS1" + rows


def sheet_rows(content: bytes, *, rows: int) -> bytes:
    """Return the sealed rows of a sheet.

    Raises:
        ProtocolError: It is no sheet of so many rows.
    """
    if len(content) != VERSION_BYTES + rows * ROW_BYTES:
        raise ProtocolError("a sheet has another length than its group says")
    return bytes(behind(content, b"UVS1"))


def shelf_bytes(blocks: Shelf) -> bytes:
    """List all blocks of a registry; ``(n,)`` of ``SHELVED``."""
    return b"UVL1" + blocks.tobytes()


def shelf_blocks(content: bytes) -> Shelf:
    """Return the blocks that a shelf lists.

    Raises:
        ProtocolError: It is no shelf.
    """
    listed = len(content) - VERSION_BYTES
    if not 0 <= listed <= MAX_BLOCKS * SHELVED.itemsize or listed % SHELVED.itemsize:
        raise ProtocolError("a shelf lists whole blocks, and not too many")
    blocks = np.frombuffer(behind(content, b"UVL1"), SHELVED)
    if ((blocks["size"] < MIN_SIZE) | (blocks["size"] > MAX_SIZE)).any():
        raise ProtocolError("a shelf lists a block of a size that there is not")
    return blocks
