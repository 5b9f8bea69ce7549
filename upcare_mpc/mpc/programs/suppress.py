"""Which cells of a noisy sum may open: the small-cell rule and the minimum cohort.

    shown[i] = [noisy[i] >= suppress_below] and [sum of the noisy cohort >= minimum_cohort]

The cohort is the first table of the answer, which has each tumour that counts in one cell at most.

Runs between the noisy sum and the sealing, on shares. Both rules look at POOLED NOISY values, never
at a true one and never at one registry's. What opens, to the computing parties and through them to
the researcher, is a function of the noisy vector that the release is charged for: post-processing,
so the guarantee of the release covers it, and nothing is charged beside it.

Opens: one bit a cell if cells are compared, and one bit for the cohort. Below the minimum cohort
the cells' bits are zero whatever the cells are: they are multiplied by the cohort's bit before
anything opens. Rounds and sizes are functions of the study alone.

Cost with t = 1: 12 rounds (one less without both rules), the ANDs and field elements of
``mpc.comparison`` for n cells and the total, and one round of signatures.

Adversary: any t honest-but-curious parties together, with the researcher. Of a cell that is not
shown they learn that its noisy value is below the bound: the one component that they miss of an
opened bit is determined by the bit and theirs. A party that DEVIATES can move the bound of single
cells; that all parties hold the same bits is checked.

The caller makes sure BEFORE this runs that the release stays charged: the bits depend on data.
"""

import asyncio
import hashlib

import numpy as np

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import ONES, Bits, Boolean
from upcare_mpc.mpc.comparison import at_least
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.opening import Passing
from upcare_mpc.mpc.programs.contract import Rules
from upcare_mpc.mpc.programs.inputs import Signatures

__all__ = ["agree_on_passing", "passing_cells"]

CHUNK_CELLS = 1 << 18  # cells of one branch; a multiple of 64


async def passing_cells(engine: Engine, share: Words, rules: Rules) -> Passing:
    """Decide which cells may open.

    Args:
        engine: This party's runtime, its keys agreed.
        share: ``(n,)`` share of the noisy sum. Secret.
        rules: The study's, one of them at least.

    Returns:
        What may open; the same at all parties that follow the protocol.
    """

    async def compare(part: Words, bound: int) -> Bits:
        lane = engine.lane()
        random = engine.local_random.words
        return await at_least(Boolean(lane), lane, part, bound, random=random)

    cells = share.shape[0]
    cohort: list[asyncio.Task[Bits]] = []
    chunks: list[asyncio.Task[Bits]] = []
    async with asyncio.TaskGroup() as group:
        if rules.minimum_cohort is not None:
            total = _total(share[: rules.cohort])
            cohort = [engine.branch(compare(total, rules.minimum_cohort), group=group)]
        if rules.suppress_below is not None:
            parts = [share[start : start + CHUNK_CELLS] for start in range(0, cells, CHUNK_CELLS)]
            chunks = [
                engine.branch(compare(part, rules.suppress_below), group=group) for part in parts
            ]
    met, passed = _joined(cohort), _joined(chunks)
    async with asyncio.TaskGroup() as group:
        opening = engine.branch(_open(engine, met, passed), group=group)
    met_bit, cell_bits = opening.result()
    shown = np.full(cells, met_bit) if cell_bits is None else _unpack(cell_bits, cells)
    return Passing(cohort_met=met_bit, shown=shown)


async def _open(engine: Engine, met: Bits | None, passed: Bits | None) -> tuple[bool, Words | None]:
    """Open the cohort's bit, and the cells' bits multiplied by it."""
    boolean = Boolean(engine.lane())
    if met is not None and passed is not None:
        everywhere = np.broadcast_to((met & np.uint64(1)) * ONES, passed.shape)
        passed = await boolean.conjunction(passed, everywhere)
    pieces = [bits for bits in (met, passed) if bits is not None]
    opened = await boolean.open(np.concatenate(pieces, axis=2))
    met_bit = met is None or bool(opened[0, 0] & np.uint64(1))
    return met_bit, None if passed is None else opened[0, -passed.shape[2] :]


def _joined(tasks: "list[asyncio.Task[Bits]]") -> Bits | None:
    return np.concatenate([task.result() for task in tasks], axis=2) if tasks else None


async def agree_on_passing(
    engine: Engine, passing: Passing, signatures: Signatures, *, agreement: bytes
) -> None:
    """Exchange signatures on what may open; every party must hold the same bits.

    Args:
        engine: This party's runtime.
        passing: What this party holds.
        signatures: Signing and checking.
        agreement: Digest of all that entered the sum.

    Raises:
        ProtocolError: A party holds other bits, or has not signed; nothing is sealed.
    """
    digest = hashlib.sha256(b"upcare/v1/passing|" + agreement + passing.to_bytes()).digest()
    statement = b"upcare/v1/agree-passing|" + digest
    sent = await engine.transfer(digest + signatures.sign(statement))
    for peer, payload in enumerate(sent):
        if peer == engine.index:
            continue
        if payload[:32] != digest:
            raise ProtocolError("the computing parties do not agree on which cells may open")
        signatures.verify(peer, statement, payload[32:])


def _total(share: Words) -> Words:
    """Share of the sum of some cells, ``(1,)``; local."""
    low = int((share & np.uint64(0xFFFFFFFF)).sum())
    high = int((share >> np.uint64(32)).sum())
    return np.array([(low + (high << 32)) % field.PRIME], np.uint64)


def _unpack(bits: Words, cells: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    octets = bits.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=cells, bitorder="little").astype(np.bool_)
