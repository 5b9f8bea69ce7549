"""Story: one registry of three knows all the noise, and every test of the result passes.

To turn secret bits X into shares, y = X + A_0 is opened to party 1 alone, and party 0, who alone
knows A_0, takes it off again: X = y - A_0. With a set of parties that know a mask this breaks. An
early version drew the mask from the key of the pair {0, 1}, because pair keys were there and free.
Party 1 is in the pair: it knew the mask and read X = y - A_0 off the opened value. Law, sums and
shares were all as they should be. With the noise known, the result minus the noise is the exact
count: no privacy at all.

Now mask A_k is made of words of EVERY set that party k is in, drawn for k: any t parties without k
miss one of them. The attack below is a coalition's best use of all that it draws and sees.
"""

import itertools
from typing import Any

import pytest
from noise_spies import CELLS, LAW, draw_noise
from numpy import array_equal

from upcare_mpc.mpc.bits import Bits, Boolean, designated

COMMITTEES = [(3, 1), (5, 2), (7, 3)]


def mask_of_a_set(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
    """The early version: one word of one set that the owner is in is the whole mask."""
    subset = designated(self._lane.parties, self._lane.threshold)[owner]
    bits = self.zeros(rows, words)
    if subset not in self._row:
        return bits, None
    self._lane.fill(bits[self._row[subset]], subset, "mask", dealer=owner)
    return bits, bits[self._row[subset]].copy() if owner == self.me else None


def test_with_a_mask_known_to_a_pair_party_one_computes_all_the_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Boolean, "known_to", mask_of_a_set)

    drawn = draw_noise(3)

    assert 0.5 < drawn.noise.var() / float(LAW.variance) < 2  # nothing looks wrong ...
    assert array_equal(drawn.guess((1,)), drawn.noise)  # ... and nothing is secret
    assert drawn.nowhere_near((0,))
    assert drawn.nowhere_near((2,))


@pytest.mark.parametrize(("m", "t"), [(5, 2), (7, 3)])
def test_in_larger_committees_party_t_alone_computes_it(
    monkeypatch: pytest.MonkeyPatch, m: int, t: int
) -> None:
    """It is in the set of every mask: {0 .. m-t-1}, {1 .. m-t}, and so on."""
    monkeypatch.setattr(Boolean, "known_to", mask_of_a_set)

    drawn = draw_noise(m)

    assert array_equal(drawn.guess((t,)), drawn.noise)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_with_masks_known_to_one_party_no_coalition_computes_any(m: int, t: int) -> None:
    drawn = draw_noise(m)

    assert drawn.noise.any()
    assert [*drawn.opened] == [t]
    for coalition in itertools.combinations(range(m), t):
        assert drawn.nowhere_near(coalition)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_one_party_more_than_t_computes_it(m: int, t: int) -> None:
    """The bound is sharp: all owners and the reader together have all numbers."""
    drawn = draw_noise(m)

    assert array_equal(drawn.guess(tuple(range(t + 1))), drawn.noise)


def test_a_reader_with_one_owner_of_two_is_left_with_uniform_words() -> None:
    """Five parties, party 2 has y and party 0 its mask. What remains is X + A_1."""
    left = draw_noise(5).left_over((0, 2), without=(1,))

    for place in range(50, 61):
        ones = int((left >> place & 1).sum())
        assert abs(ones - CELLS / 2) < 6 * (CELLS / 4) ** 0.5  # false alarm 2e-9 a place
