"""Noise as shares: their degree, what is refused, and what drawing it costs.

Its law is in ``test_noise_law``, its independence in ``test_noise_independence``; that it is what
its coins say, bit for bit, in ``test_magnitudes`` and ``test_conversion``.
"""

from fractions import Fraction

import numpy as np
import pytest
from draws import QUARTER, Together, gaussian_law, laplace_law, opened, shares_in_memory

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.noise import Law, noise_shares
from upcare_mpc.privacy.laplace import rounded_law

COMMITTEES = [(3, 1), (5, 2), (7, 3)]
LAWS = [laplace_law(Fraction(10)), gaussian_law(Fraction(10)), gaussian_law(Fraction(1000))]


@pytest.mark.parametrize("law", LAWS, ids=["laplace", "gaussian", "sum of gaussians"])
@pytest.mark.parametrize(("parties", "threshold"), COMMITTEES)
def test_shares_have_degree_t_and_no_fewer_than_t_plus_one_open_them(
    together: Together, law: Law, parties: int, threshold: int
) -> None:
    (shares,) = shares_in_memory(together, law, cells=70, parties=parties)

    enough, points = shares[: threshold + 1], list(range(1, threshold + 2))
    for point in range(threshold + 2, parties + 1):
        assert np.array_equal(field.combine(enough, points, at=point), shares[point - 1])
    assert np.abs(opened(shares)).max() <= law.support
    too_few = field.decode(field.combine(shares[:threshold], points[:threshold]))
    assert np.abs(too_few).min() > law.support  # by chance once in 2^30 times or less


def test_an_element_that_a_party_deals_outside_the_field_is_refused(together: Together) -> None:
    law, cells = laplace_law(Fraction(1)), 65

    async def work(engine: Engine) -> str:
        lane = engine.lane()
        if engine.index == 0:
            honest = lane.send

            def send(peer: int, label: int, words: Words) -> None:
                dealing = (
                    words.size == cells
                )  # bits travel in pairs of words: 65 are field elements
                honest(peer, label, np.full(cells, PRIME, np.uint64) if dealing else words)

            lane.send = send  # type: ignore[method-assign]
        try:
            await noise_shares(lane, law, cells, random=engine.local_random.words)
        except ProtocolError as error:
            return str(error)
        return "done"

    assert together(3, 1, work) == ["done", *["a field element must be below 2^61 - 1"] * 2]


LARGE = QUARTER + 64  # cells from which on every circuit has the form with the fewest ANDs


def rounds_of(together: Together, cells: int) -> int:
    law = rounded_law(Fraction(10), 40, 9)

    async def work(engine: Engine) -> int:
        await noise_shares(engine.lane(), law, cells, random=engine.local_random.words)
        return engine.rounds

    (rounds,) = set(together(3, 1, work))
    return int(rounds)


def test_a_large_batch_takes_the_stated_rounds_and_a_small_one_a_third(
    together: Together,
) -> None:
    """Coins, adder, opening and dealing."""
    large = rounds_of(together, LARGE)

    assert large == (40 - 1) + (61 + 9) + 2
    assert rounds_of(together, 64) < large / 3


def test_the_bytes_of_a_large_batch_are_the_stated_ones(together: Together) -> None:
    """An AND is one bit from each party; y travels to party 1, and two parties deal 8 bytes."""
    law, cells = rounded_law(Fraction(10), 40, 9), LARGE

    async def work(engine: Engine) -> int:
        before = engine.bytes_sent
        await noise_shares(engine.lane(), law, cells, random=engine.local_random.words)
        return engine.bytes_sent - before

    ands = cells // 8 * ((40 - 1) * (9 + 1) + 61 + 9)
    opening = cells // 8 * 61
    assert sorted(together(3, 1, work)) == sorted(
        [ands + 16 * cells, ands + 16 * cells, ands + opening]
    )
