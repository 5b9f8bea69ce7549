"""Story: the masked noise is opened to all, one mask too few, and the owners of masks know it.

The noise X is turned into t + 1 numbers, one a party: masks A_0 .. A_{t-1} and the masked noise
y = X + A_0 + .. + A_{t-1}, opened to party t ALONE. Opening it to everybody looks harmless: y is
uniform, one message goes to each party in place of one, the result is the same. But parties 0 ..
t-1 hold all t masks. With y they have all t + 1 numbers: of three registries, registry 0 reads the
noise by itself.

Opening y to all needs a mask more, t + 1 of them; opening it to one of t + 1 parties does not.
"""

import itertools

import pytest
from noise_spies import LAW, draw_noise
from numpy import array_equal

from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.field import Words

COMMITTEES = [(3, 1), (5, 2), (7, 3)]


async def open_to_everybody(self: Boolean, bits: Bits, party: int) -> Words | None:
    """The mistake: all receive it, one uses it."""
    opened = await self.open(bits)
    return opened if self.me == party else None


async def open_to_an_owner_as_well(self: Boolean, bits: Bits, party: int) -> Words | None:
    """The smaller mistake: party 0 gets a copy."""
    opened = await self._reveal(bits, (0, party))
    return opened if self.me == party else None


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_opened_to_all_the_owners_of_the_masks_compute_all_the_noise(
    monkeypatch: pytest.MonkeyPatch, m: int, t: int
) -> None:
    monkeypatch.setattr(Boolean, "open_to", open_to_everybody)

    drawn = draw_noise(m)

    assert 0.5 < drawn.noise.var() / float(LAW.variance) < 2  # nothing looks wrong ...
    owners = tuple(range(t))
    assert array_equal(drawn.guess(owners), drawn.noise)  # ... and nothing is secret
    for coalition in itertools.combinations(range(m), t):
        assert drawn.nowhere_near(coalition) == (coalition != owners)


def test_a_copy_for_one_owner_is_enough_for_it_among_three(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Boolean, "open_to", open_to_an_owner_as_well)

    drawn = draw_noise(3)

    assert array_equal(drawn.guess((0,)), drawn.noise)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_opened_to_party_t_alone_the_owners_have_masks_and_nothing_to_take_them_off(
    m: int, t: int
) -> None:
    drawn = draw_noise(m)

    owners = tuple(range(t))
    assert not set(drawn.opened) & set(owners)
    assert drawn.nowhere_near(owners)
