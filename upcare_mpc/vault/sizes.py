"""Sizes that the platform sees: each is one of few.

A slot has a power of two of bytes. The number of blocks of a size, and of rows of a group (in units
of 64), is rounded up to m 2^k with m from 4 to 7: at most a quarter more, four numbers a doubling.
How many blocks a batch seals anew is rounded up to 16, 64, 256, ..., or is all of them.
"""

from typing import Final

__all__ = [
    "BLOCK_SLOTS",
    "MAX_PAYLOAD",
    "MAX_SIZE",
    "MIN_SIZE",
    "blocks_changed",
    "rounded",
    "rounded_rows",
    "size_for",
    "slot_bytes",
]

BLOCK_SLOTS: Final = 64
MIN_SIZE: Final = 9
MAX_SIZE: Final = 16
"""Sizes of slots, as the exponent of two: 512 bytes to 64 KiB."""

_TAG_BYTES: Final = 16
MAX_PAYLOAD: Final = 2**MAX_SIZE - _TAG_BYTES
_FEWEST_CHANGED: Final = 16


def slot_bytes(size: int) -> int:
    """Bytes of a slot of a size."""
    return 1 << size


def size_for(payload_bytes: int) -> int:
    """The smallest size whose slots hold a payload of at most ``MAX_PAYLOAD`` bytes, sealed."""
    return max(MIN_SIZE, (payload_bytes + _TAG_BYTES - 1).bit_length())


def rounded(count: int) -> int:
    """The smallest number m 2^k that is at least ``count``, m from 4 to 7; below 4, ``count``."""
    step = 1 << max(0, count.bit_length() - 3)
    return -(-count // step) * step


def rounded_rows(records: int) -> int:
    """Rows of a group that holds so many records."""
    return BLOCK_SLOTS * rounded(max(1, -(-records // BLOCK_SLOTS)))


def blocks_changed(needed: int, blocks: int) -> int:
    """How many of so many blocks a batch seals anew when it needs to for ``needed`` of them."""
    shown = _FEWEST_CHANGED
    while shown < needed:
        shown *= 4
    return min(shown, blocks)
