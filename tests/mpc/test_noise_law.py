"""The noise that a real committee opens has exactly its law.

Every sample passes all checks of ``laws`` at ``LEVEL`` each, and fails them against the law of a
scale 2 % larger or smaller. What other mistakes the checks see is in ``test_laws``; here two are
built into the real circuit.
"""

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from draws import (
    QUARTER,
    Together,
    gaussian_law,
    laplace_law,
    noise_of,
    opened,
    shares_in_memory,
)
from laws import LEVEL, Sample, law_checks, smallest

from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.noise import Law
from upcare_mpc.privacy.laplace import MAX_SCALE

LawOf = Callable[[Fraction], Law]

LAPLACE = [Fraction(scale) for scale in ("1/2", "1", "10", "1000", "1000000")]
GAUSSIAN = [Fraction(sigma) for sigma in ("1/2", "1", "10", "30", "300", "10000", "1000000")]
LAWS = [*((laplace_law, scale) for scale in LAPLACE), *((gaussian_law, s) for s in GAUSSIAN)]


def name_of(value: object) -> str:
    return getattr(value, "__name__", str(value))


def follows(law_of: LawOf, scale: Fraction, sample: Sample, *, off: str = "2/100") -> None:
    """The sample passes every check against its law, and none of its neighbours passes.

    The largest scale has only the smaller neighbour.
    """
    checks = law_checks(sample, law_of(scale))

    assert smallest(checks) > LEVEL, checks
    for neighbour in (scale * (1 - Fraction(off)), scale * (1 + Fraction(off))):
        if neighbour <= MAX_SCALE:
            assert smallest(law_checks(sample, law_of(neighbour))) < LEVEL


@pytest.mark.parties
@pytest.mark.parametrize("law_of", [laplace_law, gaussian_law])
def test_a_quarter_of_a_million_draws_follow_their_law(law_of: LawOf) -> None:
    follows(law_of, Fraction(10), noise_of(law_of(Fraction(10)), cells=QUARTER), off="3/100")


@pytest.mark.parties
@pytest.mark.statistical
@pytest.mark.parametrize(("law_of", "scale"), LAWS, ids=name_of)
def test_a_million_draws_follow_their_law(law_of: LawOf, scale: Fraction) -> None:
    follows(law_of, scale, noise_of(law_of(scale)))


@pytest.mark.parties
@pytest.mark.statistical
@pytest.mark.parametrize("law_of", [laplace_law, gaussian_law])
def test_ten_million_draws_follow_their_law_and_none_one_percent_off(law_of: LawOf) -> None:
    law = law_of(Fraction(10))
    sample = np.concatenate([noise_of(law, session=session) for session in range(10)])

    follows(law_of, Fraction(10), sample, off="1/100")


@pytest.mark.parties
@pytest.mark.statistical
@pytest.mark.parametrize("law_of", [laplace_law, gaussian_law])
@pytest.mark.parametrize("parties", [5, 7])
def test_larger_committees_draw_from_the_same_law(law_of: LawOf, parties: int) -> None:
    sample = noise_of(law_of(Fraction(10)), cells=QUARTER, parties=parties)

    follows(law_of, Fraction(10), sample, off="3/100")


@pytest.mark.parties
@pytest.mark.statistical
def test_the_smallest_scale_gives_no_noise_that_anyone_will_ever_see() -> None:
    law = laplace_law(Fraction(1, 50))
    assert law.pmf(0) > 1 - Fraction(1, 2**38)

    assert not noise_of(law).any()


@pytest.mark.parties
def test_what_the_bench_command_writes_follows_the_law(tmp_path: Path) -> None:
    """Anybody can draw a sample and test it."""
    file = tmp_path / "noise.npy"
    bench = [sys.executable, "-m", "upcare_mpc", "bench", "noise", "--runs=1", f"--out={file}"]
    subprocess.run([*bench, "--scale=10", f"--cells={QUARTER}"], check=True, timeout=120)

    follows(laplace_law, Fraction(10), np.load(file), off="3/100")


# -- mistakes in the circuit --------------------------------------------------------------------


TEN, SUM = laplace_law(Fraction(10)), gaussian_law(Fraction(1000))


def drawn(together: Together, law: Law) -> Sample:
    (batch,) = shares_in_memory(together, law)
    return opened(batch)


def one_word_for_two_coins(bits: Bits) -> None:
    """The coins of the two lowest digits compare the same uniform word."""
    if bits.shape[1] > 2:
        bits[:, 2] = bits[:, 1]


def one_bit_for_all_places(bits: Bits, first: dict[int, Bits]) -> None:
    """Every draw of a batch is the first one again: the stream does not move on."""
    kept = first.setdefault(bits.shape[1], bits.copy())
    bits[:] = kept


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any, Bits], None]], None]:
    """Make every party draw its uniform bits with a mistake; the same one at all."""

    def breaking(mistake: Callable[[Any, Bits], None]) -> None:
        honest = Boolean.random

        def random(self: Boolean, rows: int, words: int) -> Bits:
            bits = honest(self, rows, words)
            mistake(self, bits)
            return bits

        monkeypatch.setattr(Boolean, "random", random)

    return breaking


@pytest.mark.parametrize("law", [TEN, SUM], ids=["laplace", "sum of gaussians"])
def test_in_memory_the_circuit_draws_from_its_law(together: Together, law: Law) -> None:

    checks = law_checks(drawn(together, law), law)

    assert smallest(checks) > LEVEL, checks


def test_two_coins_that_share_a_word_are_seen(
    together: Together, broken: Callable[[Callable[[Any, Bits], None]], None]
) -> None:
    broken(lambda _, bits: one_word_for_two_coins(bits))

    assert law_checks(drawn(together, TEN), TEN)["digits"] < LEVEL


@pytest.mark.parametrize("law", [TEN, SUM], ids=["laplace", "sum of gaussians"])
def test_a_stream_that_does_not_move_on_is_seen(
    together: Together, broken: Callable[[Callable[[Any, Bits], None]], None], law: Law
) -> None:
    firsts: dict[Any, dict[int, Bits]] = {}
    broken(lambda me, bits: one_bit_for_all_places(bits, firsts.setdefault(me, {})))

    assert smallest(law_checks(drawn(together, law), law)) < LEVEL
