"""Story: one registry of three knows all the noise, and every test of the result passes.

To turn secret bits X into shares, the parties open y = X + A_0 + A_1 and take the masks off again.
An early version drew mask A_k from the key of the pair {k, k+1}, because pair keys were there
and free. Party 1 is in {0, 1} and in {1, 2}: it knew both masks, and read X = y - A_0 - A_1 off the
opened value. Law, sums and shares were all as they should be. With the noise known, the result
minus the noise is the exact count: no privacy at all.

Now mask A_k is made of words of EVERY set that party k is in, drawn for k: each other party misses
one of them. The attack below is party 1's best use of all that it draws and sees.
"""

import asyncio
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from upcare_mpc.link.memory import connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.conversion import unslice
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.noise import noise_shares
from upcare_mpc.mpc.prss import Subset
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

LAW = sample_law(Fraction(10), Sensitivity(d0=1, d1=1, dinf=1))
CELLS = 512
WORDS = CELLS // 64


def mask_known_to_a_pair(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
    """The early version: the word of {owner, owner + 1} is the whole mask."""
    pair: Subset = tuple(sorted((owner, (owner + 1) % 3)))
    bits = self.zeros(rows, words)
    if pair not in self._row:
        return bits, None
    drawn = self._lane.stream(pair, "mask", dealer=owner, count=rows * words)
    bits[self._row[pair]] = drawn.reshape(rows, words)
    return bits, bits[self._row[pair]].copy() if owner == self._me else None


class Spy:
    """What one honest-but-curious party draws and sees: its mask words, and the opened value."""

    def __init__(self, party: int) -> None:
        self.party = party
        self.masks: dict[int, Words] = {}
        self.opened: Words | None = None

    def noise(self) -> npt.NDArray[np.int64]:
        """X = y - A_0 - A_1, with what it knows of each mask."""
        assert self.opened is not None
        guess = unslice(self.opened, CELLS) % np.uint64(field.PRIME)
        for bits in self.masks.values():
            guess = field.add(guess, field.negate(unslice(bits, CELLS)))
        return field.decode(guess)


def run(spy: Spy) -> npt.NDArray[np.int64]:
    """Draw the noise jointly, one party spying; returns the true noise."""

    async def party(engine: Engine) -> Words:
        lane = engine.lane()
        if engine.index == spy.party:
            stream = lane.stream

            def listen(subset: Subset, purpose: Any, *, dealer: int, count: int) -> Words:
                words = stream(subset, purpose, dealer=dealer, count=count)
                if purpose == "mask":
                    known = words.reshape(field.BITS, WORDS)
                    spy.masks[dealer] = spy.masks.get(dealer, np.uint64(0)) ^ known
                return words

            lane.stream = listen  # type: ignore[method-assign]
        return await noise_shares(lane, LAW, CELLS, random=engine.local_random.words)

    async def session() -> list[Words]:
        engines = [
            Engine(channel, parties=3, threshold=1, session=bytes(32), program="p")
            for channel in connect(3)
        ]
        await asyncio.gather(*[engine.agree_keys() for engine in engines])
        async with asyncio.TaskGroup() as group:
            tasks = [engine.branch(party(engine), group=group) for engine in engines]
        return [task.result() for task in tasks]

    original = Boolean.open

    async def watched(self: Boolean, bits: Bits) -> Words:
        value = await original(self, bits)
        if self._me == spy.party:
            spy.opened = value
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Boolean, "open", watched)
        shares = asyncio.run(asyncio.wait_for(session(), 30))
    return field.decode(field.open_shares(dict(enumerate(shares)), threshold=1))


def test_with_masks_known_to_pairs_party_one_computes_all_the_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Boolean, "known_to", mask_known_to_a_pair)
    spy = Spy(1)

    true_noise = run(spy)

    assert abs(true_noise.var() - float(LAW.variance)) < 100  # nothing looks wrong ...
    assert np.array_equal(spy.noise(), true_noise)  # ... and nothing is secret


@pytest.mark.parametrize("party", [0, 1, 2])
def test_with_masks_known_to_one_party_nobody_computes_any(party: int) -> None:
    spy = Spy(party)

    true_noise = run(spy)

    assert true_noise.any()
    assert not np.isin(spy.noise(), range(-LAW.support, LAW.support + 1)).any()
    assert not np.array_equal(spy.noise(), true_noise)


@pytest.mark.parametrize("party", [0, 1])
def test_an_owner_that_takes_its_own_mask_off_is_left_with_uniform_words(party: int) -> None:
    """What remains is X + A_other: its top bits are as even as coins."""
    spy = Spy(party)
    run(spy)
    spy.masks = {party: spy.masks[party]}

    left = spy.noise() % field.PRIME

    for place in range(50, 61):
        ones = int((left >> place & 1).sum())
        assert abs(ones - CELLS / 2) < 6 * (CELLS / 4) ** 0.5
