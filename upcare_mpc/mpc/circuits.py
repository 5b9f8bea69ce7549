"""Circuits of ANDs on secret bits, and how they are run: one after another or side by side.

A circuit is a generator. It yields the two operands of all ANDs of one round and is sent their
product; what it returns is its result. So a circuit says WHAT is multiplied in which round, and the
caller decides what else travels in the same message (``abreast``). XOR, NOT and fresh bits are
local and need no round.

Rounds cost latency, ANDs cost bytes and time. The circuits here come in a short form (few rounds,
about twice the ANDs) for small batches and a lean form for large ones.

Shapes as in ``mpc.bits``: ``(c, r, w)``, r rows of 64 w secret bits. Nothing opens here.
"""

from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np

from upcare_mpc.mpc.bits import Bits, Boolean

__all__ = ["Circuit", "abreast", "at_once", "chain", "chain_by_prefixes", "prefixes", "run"]

T = TypeVar("T")
Circuit = Generator[tuple[Bits, Bits], Bits, T]


async def run(boolean: Boolean, circuit: Circuit[T]) -> T:
    """Run one circuit to its result."""
    try:
        operands = next(circuit)
        while True:
            operands = circuit.send(await boolean.conjunction(*operands))
    except StopIteration as end:
        result: T = end.value
        return result


def abreast(*circuits: Circuit[Any]) -> Circuit[list[Any]]:
    """Run circuits side by side: the ANDs of all in one round make one message.

    Takes as many rounds as the longest of them.
    """
    results: dict[int, Any] = {}
    waiting: dict[int, tuple[Bits, Bits]] = {}

    def step(number: int, product: Bits | None) -> None:
        try:
            circuit = circuits[number]
            waiting[number] = next(circuit) if product is None else circuit.send(product)
        except StopIteration as end:
            results[number] = end.value

    for number in range(len(circuits)):
        step(number, None)
    while waiting:
        asked, waiting = waiting, {}
        if len(asked) == 1:
            ((number, operands),) = asked.items()
            step(number, (yield operands))
            continue
        product = yield (
            np.concatenate([left for left, _ in asked.values()], axis=1),
            np.concatenate([right for _, right in asked.values()], axis=1),
        )
        start = 0
        for number, (left, _) in asked.items():
            step(number, product[:, start : start + left.shape[1]])
            start += left.shape[1]
    return [results[number] for number in range(len(circuits))]


def at_once(left: Bits, right: Bits) -> Circuit[Bits]:
    """AND row by row; ``right`` may be one row for all. One round."""
    return (yield left, np.broadcast_to(right, left.shape))


def chain(first: Bits, passes: Bits) -> Circuit[Bits]:
    """``s_0 = first, s_{i+1} = s_i & passes_i``: one row and r rows to r + 1 rows.

    r ANDs, r rounds.
    """
    c, rows, words = passes.shape
    out = np.empty((c, rows + 1, words), np.uint64)
    out[:, :1] = first
    for row in range(rows):
        out[:, row + 1 : row + 2] = yield out[:, row : row + 1], passes[:, row : row + 1]
    return out


def prefixes(passes: Bits, blocks: int) -> Circuit[Bits]:
    """In each of so many blocks of rows, the AND of each row with those before it.

    Rows to ``(c, blocks, r / blocks, w)``, rows of zeros at the end. About r ANDs and
    ``r / blocks - 1`` rounds.
    """
    c, rows, words = passes.shape
    size = -(-rows // blocks)
    out = np.zeros((c, blocks * size, words), np.uint64)
    out[:, :rows] = passes
    out = out.reshape(c, blocks, size, words)
    for place in range(1, size):
        out[:, :, place] = yield out[:, :, place - 1], out[:, :, place]
    return out


def chain_by_prefixes(first: Bits, prefix: Bits, rows: int) -> Circuit[Bits]:
    """The result of ``chain``, when ``prefixes`` of its r rows are there; as many rounds as blocks.

    About ``r + blocks`` ANDs.
    """
    c, blocks, size, words = prefix.shape
    heads = np.empty((c, blocks, words), np.uint64)
    heads[:, :1] = first
    for block in range(1, blocks):
        heads[:, block : block + 1] = yield heads[:, block - 1 : block], prefix[:, block - 1, -1:]
    every = prefix.reshape(c, blocks * size, words)
    reached = yield np.repeat(heads, size, axis=1), every
    return np.concatenate((first, reached[:, :rows]), axis=1)
