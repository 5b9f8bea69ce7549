"""Noise from a bank has the law of noise drawn in the session.

A committee of real workers fills a bank; another one, linked anew, draws on it. Checks and
false-alarm rate as in ``test_noise_law``: each sample passes all checks of ``laws`` at ``LEVEL``,
and fails them against a law 2 % off.
"""

import asyncio
from fractions import Fraction

import numpy as np
import pytest
from draws import QUARTER, gaussian_law, laplace_law
from laws import LEVEL, law_checks, smallest

from upcare_mpc.cli.committee import rehearse
from upcare_mpc.study.draw import SEGMENT_CELLS
from upcare_mpc.study.spec import Release

pytestmark = [pytest.mark.parties, pytest.mark.statistical]


@pytest.mark.parametrize("law_of", [laplace_law, gaussian_law], ids=["laplace", "gaussian"])
def test_noise_from_a_bank_follows_the_law_and_no_neighbouring_one(law_of: object) -> None:
    assert callable(law_of)
    law = law_of(Fraction(10))

    drawn = asyncio.run(rehearse(law, 4 * QUARTER - 1, parties=3, bank=True))

    assert drawn.rounds == 2  # inputs, agreement: nothing was drawn in the session
    assert drawn.noise.shape == (4 * QUARTER - 1,)
    assert smallest(law_checks(drawn.noise, law)) > LEVEL
    for factor in ("98/100", "102/100"):
        assert smallest(law_checks(drawn.noise, law_of(Fraction(10) * Fraction(factor)))) < LEVEL


def test_two_banks_hold_different_noise() -> None:
    law = laplace_law(Fraction(1000))

    one, other = (
        asyncio.run(rehearse(law, 2 * SEGMENT_CELLS, parties=3, bank=True)).noise for _ in range(2)
    )

    # By chance about 2 and 1 of them are equal, and 20 less than once in 10^12.
    assert np.count_nonzero(one == other) < 20
    assert np.count_nonzero(one[:SEGMENT_CELLS] == one[SEGMENT_CELLS:]) < 20


def test_a_session_with_a_rule_draws_on_the_bank_too() -> None:
    law, rule = laplace_law(Fraction(10)), Release(suppress_below=5)

    drawn = asyncio.run(rehearse(law, 5000, parties=3, release=rule, bank=True))

    shown = drawn.noise.compressed()  # type: ignore[attr-defined]  # masked where it is not shown
    assert 0 < len(shown) < 5000
    assert shown.min() >= 5
