"""What honest-but-curious parties draw and see while noise is drawn, and what they make of it."""

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from upcare_mpc.link.memory import connect
from upcare_mpc.mpc import field as numbers
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.conversion import unslice
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import BITS, PRIME, Words
from upcare_mpc.mpc.noise import noise_shares
from upcare_mpc.mpc.prss import Subset
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

__all__ = ["CELLS", "LAW", "Drawn", "draw_noise"]

LAW = sample_law(Fraction(10), Sensitivity(d0=1, d1=1, dinf=1))
CELLS = 512
WORDS = CELLS // 64

Sample = npt.NDArray[np.int64]


@dataclass
class Drawn:
    """One batch of noise, and what each party knows of its conversion.

    Attributes:
        noise: The true noise, from the shares of all.
        words: Party to the words it drew for masks, by owner of the mask and set.
        opened: Party to the masked noise, if it was opened to it.
    """

    noise: Sample = field(default_factory=lambda: np.zeros(0, np.int64))
    words: dict[int, dict[tuple[int, Subset], Words]] = field(default_factory=dict)
    opened: dict[int, Words] = field(default_factory=dict)

    def left_over(self, coalition: tuple[int, ...], *, without: tuple[int, ...] = ()) -> Words:
        """``y - A_0 - A_1 - ..`` mod p, with what a coalition has of each (y is 0 if it has none).

        ``without`` are owners whose masks are not taken off.
        """
        known = {key: words for party in coalition for key, words in self.words[party].items()}
        masks: dict[int, Words] = {}
        for (owner, _), words in known.items():
            if owner not in without:
                masks[owner] = masks.get(owner, np.zeros_like(words)) ^ words
        seen = [self.opened[party] for party in coalition if party in self.opened]
        left = unslice(seen[0], CELLS) % np.uint64(PRIME) if seen else np.zeros(CELLS, np.uint64)
        for words in masks.values():
            left = numbers.add(left, numbers.negate(unslice(words, CELLS)))
        return left

    def guess(self, coalition: tuple[int, ...]) -> Sample:
        """The noise, if a coalition has all of y and of the masks."""
        return numbers.decode(self.left_over(coalition))

    def nowhere_near(self, coalition: tuple[int, ...]) -> bool:
        """Whether no cell of the guess is even a value that the noise can have.

        Of 512 uniform elements one is, with probability 2^-42. Parties that have neither y nor
        words of a mask have no guess.
        """
        if not any(self.words[party] or party in self.opened for party in coalition):
            return True
        return not np.isin(self.guess(coalition), range(-LAW.support, LAW.support + 1)).any()


def draw_noise(m: int) -> Drawn:
    """Draw noise jointly, every party keeping what it draws and sees."""
    drawn, t, reveal = Drawn(), (m - 1) // 2, Boolean._reveal

    async def watched(self: Boolean, bits: Bits, receivers: Any) -> Words | None:
        value = await reveal(self, bits, receivers)
        if value is not None:
            drawn.opened[self.me] = value.copy()
        return value

    async def party(engine: Engine) -> Words:
        lane, known = engine.lane(), drawn.words.setdefault(engine.index, {})
        fill = lane.fill

        def listening(out: Words, subset: Subset, purpose: Any, *, dealer: int) -> None:
            fill(out, subset, purpose, dealer=dealer)
            if purpose == "mask":
                known[dealer, subset] = out.reshape(BITS, WORDS).copy()

        lane.fill = listening  # type: ignore[method-assign]
        return await noise_shares(lane, LAW, CELLS, random=engine.local_random.words)

    async def session() -> list[Words]:
        engines = [
            Engine(channel, parties=m, threshold=t, session=bytes(32), program="p")
            for channel in connect(m)
        ]
        await asyncio.gather(*[engine.agree_keys() for engine in engines])
        async with asyncio.TaskGroup() as group:
            tasks = [engine.branch(party(engine), group=group) for engine in engines]
        return [task.result() for task in tasks]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Boolean, "_reveal", watched)
        shares = asyncio.run(asyncio.wait_for(session(), 60))
    drawn.noise = numbers.decode(numbers.open_shares(dict(enumerate(shares)), threshold=t))
    return drawn
