"""From a decryption that TWO parties share to Shamir shares of the plaintext; nothing opens.

For t = 1 two holders decrypt: the first two parties of the session have additive shares
``y_0 + y_1 = w = Delta M + e mod q`` (``he.scheme.partial``). They turn them by a pseudorandom
element that both know, ``y_0 + rho`` and ``y_1 - rho``, and each rounds ALONE:

    round((y_0 + rho) / Delta) + round((y_1 - rho) / Delta) = M mod t

unless ``y_0 + rho`` lies within ``|e| + 2`` of where rounding changes: each is uniform mod q, so
with probability below ``(2 |e| + 4) / Delta`` a cell comes out wrong by one. For a collection of K
deposits ``|e| < 2^21.2 K``: below 2^-76 for the largest. (For honest ciphertexts. For others the
result is some vector, as from any wrong input.) Each party then deals its half by fresh Shamir
shares of degree 1 (``field.share``).

What one honest-but-curious party sees, whatever is in a deposit: its own share of w, which follows
from its share of the key and from what is public, and one share of each half that it did not deal,
which is uniform. NOTHING is opened. That matters against submitters: a ciphertext whose proof holds
and that is crafted all the same decrypts to something that depends on the key
(docs/deposits/proof.md), and what a masked opening shows of it next to its masks, this does not
show. rho hides nothing from either party: it is there so that no submitter can place w where
rounding changes.

With three halves or more the errors of rounding no longer cancel: for t > 1 see ``deposit``.

Source: Boyle, Kohl and Scholl, EUROCRYPT 2019, Lemma 1 (after Dodis, Halevi, Rothblum and Wichs,
CRYPTO 2016). Adversary: one honest-but-curious party of three, with any submitters.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from upcare_mpc.he.parameters import Q_BYTES, Q
from upcare_mpc.he.scheme import round_to_plaintext
from upcare_mpc.mpc.bits import Lane
from upcare_mpc.mpc.conversion import share_parts
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words

__all__ = ["PAIR", "round_shares"]

PAIR = 2  # parties that decrypt
CHUNK_CELLS = 1 << 15  # cells of one branch: the event loop is never held for long
_WORDS = 3  # of 64 bits, for 176


async def round_shares(engine: Engine, addends: Sequence[int] | None, *, cells: int) -> Words:
    """Turn the first two parties' additive shares of ``Delta M + e`` mod q into shares of M mod p.

    Args:
        engine: This party's runtime for three parties and t = 1, its keys agreed.
        addends: n elements mod q, of the first two parties; None of the third. Secret.
        cells: n.

    Returns:
        ``(n,)`` this party's shares of M, of degree 1. Secret.

    Opens: nothing.
    Cost: one wait for the peers; ``8 n`` bytes from each of the two to each party.
    """
    if int(engine.threshold) != 1 or (addends is None) != (engine.index >= PAIR):
        raise AssertionError("two parties decrypt, where t is 1")

    async def branch(part: Sequence[int] | None, count: int) -> Words:
        lane = engine.lane()
        half = None if part is None else _half(lane, part)
        return await share_parts(
            lane, half, dealers=PAIR, cells=count, random=engine.local_random.words
        )

    tasks = []
    async with asyncio.TaskGroup() as group:
        for start in range(0, cells, CHUNK_CELLS):
            count = min(CHUNK_CELLS, cells - start)
            part = None if addends is None else addends[start : start + count]
            tasks.append(engine.branch(branch(part, count), group=group))
            await asyncio.sleep(0)  # one piece in each turn of the event loop
    return np.concatenate([np.empty(0, np.uint64), *(task.result() for task in tasks)])


def _half(lane: Lane, addends: Sequence[int]) -> Words:
    """This party's rounded half, ``(n,)`` elements mod p."""
    words = np.empty((len(addends), _WORDS), np.uint64)
    lane.fill(words, (0, 1), "zero", dealer=0)
    octets, width = words.astype("<u8", copy=False).tobytes(), 8 * _WORDS
    sign = 1 if lane.index == 0 else -1
    turned = [
        # 176 of 192 bits, taken mod q: at distance below 2^-104 from uniform
        (y + sign * int.from_bytes(octets[at : at + Q_BYTES], "little")) % Q
        for y, at in zip(addends, range(0, len(octets), width), strict=True)
    ]
    return np.array(round_to_plaintext(turned), np.uint64)
