"""Whether shared answers are answers: in every table at most one cell, of the table's weight.

For each deposit x of n cells in tables of weight w, with public uniform coefficients c drawn after
all shares exist,

    T = sum_cells c x (x - w) + sum_tables c S (S - w)        S: sum of the table's cells

is zero if every cell and every S is 0 or its w, that is, if at most one cell of each table is not
zero; otherwise it is zero with probability 1/p. What opens is ``r T`` for a shared uniform r that
nobody knows: zero says "an answer", anything else "none".

1. coin    32 bytes from each party, XORed, give the coefficients
2. reshare T has degree 2t; every party deals its Lagrange multiple of it, so it has degree t again
3. open    ``r T`` has degree 2t; a pseudorandom zero of degree 2t is added, so that the shares say
           nothing beyond the value

A deposit that is no answer passes with probability below ``2 / p``, about ``2^-60``: T is zero with
``1/p``, r is zero with ``1/p``. An answer always passes. All deposits share the coefficients, each
has an r.

Opens: 0 for an answer. For any other deposit ``r T``, uniform and independent of what is in it. So
all computing parties learn one bit a deposit; which table or cell is wrong, nobody learns. What is
judged is what a deposit DECRYPTS to: of a crafted one that may depend on the key (``he.proof``),
and so may its bit.

Adversary: any t honest-but-curious parties together with any submitters. t shares of what is dealt
are uniform; r and the zeros have a component of a set that the coalition misses. Without the zeros
the opened polynomial is the product of two sharings, and its factors give T. A party that DEVIATES
can make deposits pass or fail; that all parties hold the same verdicts is checked.

Cost: 3 waits for the peers, and one for signatures; for K deposits ``32 + 16 K`` bytes from each
party to each.

Source: pseudorandom sharings and zeros of degree 2t, Cramer, Damgard, Ishai, TCC 2005; products by
resharing, Gennaro, Rabin, Rabin, PODC 1998.
"""

import asyncio
import hashlib
from collections.abc import Sequence

import numpy as np

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Lane
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.programs.deposit import reshare
from upcare_mpc.mpc.programs.inputs import Signatures
from upcare_mpc.mpc.prss import Purpose, Stream, Subset, subsets

__all__ = ["AnswerTable", "agree_on_answers", "check_answers"]

BLOCK_CELLS = 1 << 15  # cells worked on in one turn of the event loop

_COIN = 32

AnswerTable = tuple[int, int, int]
"""First cell, number of cells, and the weight that one answer has in them."""


async def check_answers(engine: Engine, shares: Words, tables: Sequence[AnswerTable]) -> list[bool]:
    """Check every deposit of a batch.

    Args:
        engine: This party's runtime, its keys agreed.
        shares: ``(K, n)`` this party's shares, of degree t. Secret.
        tables: All cells of the vector, table by table; public.

    Returns:
        For each deposit whether it is an answer; the same at all parties that follow the protocol.

    Raises:
        ProtocolError: The tables are not those of the vector, or a peer sent something else than
            what was due.
    """
    deposits, cells = shares.shape
    _check_tables(tables, cells)
    parties, threshold, me = len(engine.parties), int(engine.threshold), engine.index
    coefficients = field.uniform((await _joint_stream(engine)).words, cells + len(tables))
    violations = np.empty(deposits, np.uint64)
    step = max(1, BLOCK_CELLS // cells)
    for start in range(0, deposits, step):
        block = slice(start, start + step)
        violations[block] = _violations(shares[block], tables, coefficients)
        await asyncio.sleep(0)
    weight = field.lagrange(tuple(range(1, parties + 1)))[me]
    violations = await reshare(engine, field.multiply(violations, weight))

    async def opening() -> Words:
        lane = engine.lane()
        masked = field.product(violations, _nobodys_elements(lane, deposits))
        masked = field.add(masked, _zeros(lane, deposits))
        frames = await engine.transfer(field.to_bytes(masked))
        sent = {j: field.from_bytes(frame, cells=deposits) for j, frame in enumerate(frames)}
        return field.open_shares(sent, threshold=2 * threshold)

    async with asyncio.TaskGroup() as group:
        opened = engine.branch(opening(), group=group)
    return [bool(value) for value in opened.result() == 0]


async def agree_on_answers(
    engine: Engine, verdicts: Sequence[bool], signatures: Signatures, *, session: bytes
) -> None:
    """Exchange signatures on the verdicts; every party must hold the same ones.

    Args:
        engine: This party's runtime.
        verdicts: What this party holds, one a deposit.
        signatures: Signing and checking.
        session: Digest of the session descriptor, which names the deposits in their order.

    Raises:
        ProtocolError: A party holds other verdicts, or has not signed; no deposit enters the sum.
    """
    text = b"upcare/v1/answers|" + session + bytes(verdicts)
    digest = hashlib.sha256(text).digest()
    statement = b"upcare/v1/agree-answers|" + digest
    sent = await engine.transfer(digest + signatures.sign(statement))
    for peer, payload in enumerate(sent):
        if peer == engine.index:
            continue
        if payload[:32] != digest:
            raise ProtocolError("the computing parties do not agree on which deposits are answers")
        signatures.verify(peer, statement, payload[32:])


def _check_tables(tables: Sequence[AnswerTable], cells: int) -> None:
    """Refuse tables that leave out a cell, or whose weight cannot be told from zero."""
    following = 0
    for start, size, weight in tables:
        if start != following or size < 1 or not 0 < weight < PRIME:
            break
        following += size
    if following != cells or not tables:
        raise ProtocolError(f"wanted tables that follow each other over {cells} cells")


async def _joint_stream(engine: Engine) -> Stream:
    """Words that all parties know; of those who follow the protocol none knew them before."""
    mine = engine.local_random.words(_COIN // 8).tobytes()
    coin = bytes(_COIN)
    for peer, part in enumerate(await engine.transfer(mine)):
        if len(part) != _COIN:
            raise ProtocolError(f"party {peer} sent {len(part)} bytes where {_COIN} were due")
        coin = bytes(a ^ b for a, b in zip(coin, part, strict=True))
    return Stream(hashlib.sha256(b"upcare/v1/answers-coin|" + coin).digest()[:16])


def _violations(shares: Words, tables: Sequence[AnswerTable], coefficients: Words) -> Words:
    """This party's share of T, of degree 2t: ``(K, n)`` gives ``(K,)``. Local."""
    sums = [field.total(shares[:, start : start + size]) for start, size, _ in tables]
    values = np.concatenate((shares, *sums), axis=1)
    each = [weight for _, _, weight in tables]
    sizes = [size for _, size, _ in tables]
    weights = np.array([*np.repeat(np.array(each, np.uint64), sizes), *each], np.uint64)
    products = field.product(values, field.add(values, field.negate(weights)))
    return field.total(field.product(products, coefficients))[:, 0]


def _nobodys_elements(lane: Lane, count: int) -> Words:
    """Shares of degree t of uniform elements that no t parties know. Local."""
    result = np.zeros(count, np.uint64)
    for subset in _own_subsets(lane):
        elements = _drawn(lane, subset, "field", count)
        result = field.add(result, field.multiply(elements, _indicator(lane, subset)))
    return result


def _zeros(lane: Lane, count: int) -> Words:
    """Shares of zeros on polynomials of degree 2t that are otherwise uniform. Local."""
    result, point = np.zeros(count, np.uint64), lane.index + 1
    for subset in _own_subsets(lane):
        for power in range(1, lane.threshold + 1):
            elements = _drawn(lane, subset, "zero", count)
            factor = _indicator(lane, subset) * point**power
            result = field.add(result, field.multiply(elements, factor))
    return result


def _own_subsets(lane: Lane) -> list[Subset]:
    return [s for s in subsets(lane.parties, lane.threshold) if lane.index in s]


def _drawn(lane: Lane, subset: Subset, purpose: Purpose, count: int) -> Words:
    """The next uniform elements that the members of ``subset`` know."""

    def words(size: int) -> Words:
        out = np.empty(size, np.uint64)
        lane.fill(out, subset, purpose, dealer=subset[0])
        return out

    return field.uniform(words, count)


def _indicator(lane: Lane, subset: Subset) -> int:
    """At this party's point, the polynomial that is 1 at 0 and 0 at all who are not in the set."""
    outside = [party + 1 for party in range(lane.parties) if party not in subset]
    return field.lagrange((0, *outside), lane.index + 1)[0]
