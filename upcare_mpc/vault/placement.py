"""Which slots new payloads get, and which blocks a batch seals anew.

For each size of slots by itself. Blocks that must change (a record left, narrowed, or has a new
payload) are filled first, then others in random order, then new blocks; the number of blocks stays
one of few (``sizes.rounded``) and never falls. On top of the blocks that must change come others,
drawn at random, until their number is one of few too (``sizes.blocks_changed``).

What the platform sees of it: which blocks changed, and how many there are. As long as 16 blocks of
a size, or all of them, cover what must change, the numbers tell nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.errors import DataError
from upcare_mpc.vault.objects import MAX_BLOCKS
from upcare_mpc.vault.sizes import BLOCK_SLOTS, blocks_changed, rounded

__all__ = ["Placed", "place"]

_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where everything goes.

    Attributes:
        slots: Of each payload that had none, in the order asked for.
        changed: Blocks that are sealed anew, ascending, the added ones included.
        added: Sizes of blocks that are added behind the others.
    """

    slots: _Integers
    changed: list[int]
    added: list[int]


def place(
    sizes: npt.NDArray[np.uint8],
    taken: npt.NDArray[np.bool_],
    must_change: Iterable[int],
    wanted: npt.NDArray[np.uint8],
    groups: npt.NDArray[np.uint32],
    random: RandomBytes,
) -> Placed:
    """Find slots.

    Args:
        sizes: ``(b,)``, of the blocks that there are.
        taken: ``(64 b,)``, whether a slot stays in use.
        must_change: Blocks that are sealed anew in any case.
        wanted: ``(k,)``, sizes of the payloads that need a slot.
        groups: ``(k,)``, their groups; payloads of one group are put side by side.
        random: Draws the order of blocks, and so the ones that change for cover.

    Raises:
        DataError: More blocks would be needed than a vault has.
    """
    forced = set(must_change)
    slots = np.full(len(wanted), -1, np.int64)
    changed: list[int] = []
    added: list[int] = []
    free_of = ~taken.reshape(-1, BLOCK_SLOTS)
    for size in np.union1d(sizes, wanted).tolist():
        mine: list[int] = np.flatnonzero(sizes == size).tolist()
        waiting = np.flatnonzero(wanted == size)
        waiting = waiting[np.argsort(groups[waiting], kind="stable")]
        first = [block for block in mine if block in forced]
        others = _shuffled([block for block in mine if block not in forced], random)
        order = np.array([*first, *others], np.int64)
        room = free_of[order].sum(axis=1).cumsum()
        filled = int(np.searchsorted(room, len(waiting))) + 1 if len(waiting) else 0
        shown = blocks_changed(max(len(first), min(filled, len(order))), len(order))
        free = _free_slots(order[:filled], free_of)
        if len(free) < len(waiting):
            needed = -(-(len(waiting) - len(free)) // BLOCK_SLOTS)
            new = rounded(len(mine) + needed) - len(mine)
            start = len(sizes) + len(added)
            added += [size] * new
            changed += range(start, start + new)
            begin = start * BLOCK_SLOTS
            free = np.append(free, np.arange(begin, begin + needed * BLOCK_SLOTS))
        slots[waiting] = free[: len(waiting)]
        changed += order[:shown].tolist()
    if len(sizes) + len(added) > MAX_BLOCKS:
        raise DataError(f"a vault has at most {MAX_BLOCKS} blocks")
    return Placed(slots=slots, changed=sorted(changed), added=added)


def _shuffled(blocks: list[int], random: RandomBytes) -> list[int]:
    """In an order drawn at random, but for a bias of at most n^2 / 2^65."""
    keys = np.frombuffer(random(8 * len(blocks)), np.uint64)
    return [blocks[at] for at in np.argsort(keys)]


def _free_slots(blocks: _Integers, free_of: npt.NDArray[np.bool_]) -> _Integers:
    """Numbers of free slots, in the order of the blocks."""
    rows, columns = np.nonzero(free_of[blocks])
    return blocks[rows] * BLOCK_SLOTS + columns
