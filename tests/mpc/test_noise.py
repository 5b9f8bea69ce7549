"""The joint noise: bit for bit what its coins say, and in law exactly ``SampledLaplace``.

Every law test compares 10^6 draws of the real protocol with exact probabilities by chi-square. Its
false-alarm rate is 10^-6 a check, and each is shown to reject a scale that is 5 % off.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc import conversion, field, noise
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.engine import Engine, EngineLane
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.prss import LocalRandom, Purpose, Subset
from upcare_mpc.privacy.gaussian import SampledGaussian, rounded_gaussian, sample_gaussian
from upcare_mpc.privacy.laplace import SampledLaplace, rounded_law, sample_law
from upcare_mpc.study.layout import Sensitivity

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
ALPHA = 1e-6
ONE = Sensitivity(d0=1, d1=1, dinf=1)
COMMITTEES = [(3, 1), (5, 2), (7, 3)]
SIGMAS = [Fraction(1, 2), Fraction(1), Fraction(10), Fraction(30)]
SCALES = [Fraction(1, 2), Fraction(1), Fraction(10), Fraction(1000)]


def opened(shares: list[Words], threshold: int) -> npt.NDArray[np.int64]:
    return field.decode(field.open_shares(dict(enumerate(shares)), threshold=threshold))


def draw(
    together: Together, law: noise.Law, cells: int, m: int = 3, t: int = 1
) -> npt.NDArray[np.int64]:
    async def work(engine: Engine) -> Words:
        return await noise.noise_shares(engine.lane(), law, cells, random=engine.local_random.words)

    return opened(together(m, t, work), t)


# -- bit for bit ------------------------------------------------------------------------------


class RecordingLane(EngineLane):
    """The real lane, keeping every word it draws."""

    def __init__(self, engine: Engine) -> None:
        lane = engine.lane()
        self.__dict__ = lane.__dict__
        self.drawn: list[tuple[Subset, Purpose, int, Words]] = []

    def stream(self, subset: Subset, purpose: Purpose, *, dealer: int, count: int) -> Words:
        words = super().stream(subset, purpose, dealer=dealer, count=count)
        self.drawn.append((subset, purpose, dealer, words))
        return words


def small_laws() -> st.SearchStrategy[SampledLaplace]:
    """Laws of any shape, with thresholds that approximate nothing, 0 and the top included."""
    return st.tuples(st.integers(1, 6), st.integers(0, 5)).flatmap(
        lambda shape: st.builds(
            SampledLaplace,
            scale=st.just(Fraction(1)),
            precision=st.just(shape[0]),
            magnitude_bits=st.just(shape[1]),
            thresholds=st.tuples(*[st.integers(0, 2 ** shape[0] - 1)] * (shape[1] + 1)),
        )
    )


def values_of(law: SampledLaplace, bits: list[Words], cells: int) -> list[int]:
    """The sampler in the clear, from the same uniform bits in the order they were drawn."""
    coins = len(law.thresholds)
    words = len(bits[0]) // coins
    planes = [plane.reshape(-1, words) for plane in bits]
    values = []
    for cell in range(cells):
        word, bit = divmod(cell, 64)

        def at(plane: int, row: int, word: int = word, bit: int = bit) -> int:
            return int(planes[plane][row, word]) >> bit & 1

        tosses = [
            sum(at(place, row) << place for place in range(law.precision)) < threshold
            for row, threshold in enumerate(law.thresholds)
        ]
        magnitude = tosses[0] * (1 + sum(g << i for i, g in enumerate(tosses[1:])))
        values.append(-magnitude if at(law.precision, 0) else magnitude)
    return values


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(law=small_laws(), cells=st.integers(1, 70))
def test_the_noise_is_what_its_uniform_bits_say(
    together: Together, m: int, t: int, law: SampledLaplace, cells: int
) -> None:
    async def work(engine: Engine) -> tuple[Words, list[tuple[Subset, Purpose, int, Words]]]:
        lane = RecordingLane(engine)
        shares = await noise.noise_shares(lane, law, cells, random=engine.local_random.words)
        return shares, lane.drawn

    results = together(m, t, work)

    components: dict[Subset, list[Words]] = {}
    for _, drawn in results:
        for subset in {s for s, *_ in drawn}:
            components[subset] = [w for s, use, _, w in drawn if (s, use) == (subset, "bit")]
    bits = [np.bitwise_xor.reduce(words) for words in zip(*components.values(), strict=True)]
    assert opened([shares for shares, _ in results], t).tolist() == values_of(law, bits, cells)


@given(st.integers(1, 3), st.data())
def test_unslicing_collects_the_bits_of_each_cell(words: int, data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, 64 * words))
    seed = data.draw(st.integers(0, 1000))
    sliced = np.random.default_rng(seed).integers(0, 1 << 64, (61, words), np.uint64)

    got = conversion.unslice(sliced, cells)

    assert got.tolist() == [
        sum((int(sliced[row, cell // 64]) >> (cell % 64) & 1) << row for row in range(61))
        for cell in range(cells)
    ]


def slice_of(values: list[int]) -> Words:
    """61 rows of bits, one word wide; the inverse of ``unslice`` for up to 64 cells."""
    rows = [sum((v >> row & 1) << cell for cell, v in enumerate(values)) for row in range(61)]
    return np.array(rows, np.uint64).reshape(61, 1)


PAIRS = [
    (a, b)
    for a in (0, 1, 2, 1 << 60, PRIME // 2, PRIME - 1, PRIME)
    for b in (0, 1, 5, 1 << 60, PRIME // 2 + 1, PRIME - 1, PRIME)
]


def test_the_adders_add_mod_p_at_every_pair_of_edges(together: Together) -> None:
    left, right = [a for a, _ in PAIRS], [b for _, b in PAIRS]
    third = [(17 * a + 3 * b) % PRIME for a, b in PAIRS]

    async def work(engine: Engine) -> list[Words]:
        circuit = Boolean(engine.lane())

        def secret(values: list[int]) -> Bits:  # a constant, hidden behind random components
            blind = circuit.random(61, 1)
            return circuit.flip(blind ^ blind, slice_of(values))

        x, y, z = secret(left), secret(right), secret(third)
        two = await conversion.add_mod_p(circuit, x, y)
        three = await conversion.add_mod_p(circuit, *await conversion.carry_save(circuit, x, y, z))
        return [conversion.unslice(await circuit.open(out), len(PAIRS)) for out in (two, three)]

    two, three = together(3, 1, work)[0]

    for got, a, b in zip(two.tolist(), left, right, strict=True):
        assert got <= PRIME
        assert got % PRIME == (a + b) % PRIME
    for got, a, b, c in zip(three.tolist(), left, right, third, strict=True):
        assert got <= PRIME
        assert got % PRIME == (a + b + c) % PRIME


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_noise_shares_have_degree_t_and_no_less_is_enough(
    together: Together, m: int, t: int
) -> None:
    law = sample_law(Fraction(10), ONE)

    async def work(engine: Engine) -> Words:
        return await noise.noise_shares(engine.lane(), law, 70, random=engine.local_random.words)

    shares = together(m, t, work)

    points = list(range(1, t + 2))
    for point in range(t + 2, m + 1):
        assert np.array_equal(field.combine(shares[: t + 1], points, at=point), shares[point - 1])
    assert np.abs(opened(shares, t)).max() <= law.support
    too_few = field.decode(field.combine(shares[:t], points[:t]))
    assert np.abs(too_few).min() > law.support  # 2^-50 a cell that it is not


def test_a_masked_value_that_peers_deal_outside_the_field_is_refused(together: Together) -> None:
    law = rounded_law(Fraction(1), 8, 1)

    async def work(engine: Engine) -> str:
        lane = engine.lane()
        if engine.index == 0:
            dealt_at = lane._chunk + (8 - 1) + 1 + 1 + 62 + 2  # the last round
            honest = lane.send

            def send(peer: int, label: int, words: Words) -> None:
                dealt = np.full(64, PRIME, np.uint64) if label == dealt_at else words
                honest(peer, label, dealt)

            lane.send = send  # type: ignore[method-assign]
        try:
            await noise.noise_shares(lane, law, 64, random=LocalRandom().words)
        except ProtocolError as error:
            return str(error)
        return "done"

    assert together(3, 1, work) == ["done", *["a field element must be below 2^61 - 1"] * 2]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_the_rounds_are_the_stated_ones(together: Together, m: int, t: int) -> None:
    law = rounded_law(Fraction(10), 40, 9)

    async def work(engine: Engine) -> int:
        await noise.noise_shares(engine.lane(), law, 64, random=engine.local_random.words)
        return engine.rounds

    assert together(m, t, work) == [(40 - 1) + 9 + t + 62 + 2] * m


def test_the_bytes_are_the_stated_ones(together: Together) -> None:
    law, n = rounded_law(Fraction(10), 40, 9), 6400

    async def work(engine: Engine) -> int:
        before = engine.bytes_sent
        await noise.noise_shares(engine.lane(), law, n, random=engine.local_random.words)
        return engine.bytes_sent - before

    bits = n // 8 * (39 * 10 + 2 * 9 + 302 + 61)
    assert together(3, 1, work) == [bits + 16 * n, bits + 16 * n, bits]


def test_two_batches_of_one_session_share_no_noise(together: Together) -> None:
    law = sample_law(Fraction(1000), ONE)

    async def work(engine: Engine) -> list[Words]:
        async def batch() -> Words:
            return await noise.noise_shares(
                engine.lane(), law, 200, random=engine.local_random.words
            )

        async with asyncio.TaskGroup() as group:
            tasks = [engine.branch(batch(), group=group) for _ in range(2)]
        return [task.result() for task in tasks]

    results = together(3, 1, work)

    first, second = (opened([party[k] for party in results], 1) for k in range(2))
    assert int((first == second).sum()) < 20  # about 200/2000 by chance


# -- the law ----------------------------------------------------------------------------------


def cumulative(law: noise.Law, k: int) -> Fraction:
    """P(X <= k), exactly."""
    return (1 + law.within(k)) / 2 if k >= 0 else (1 - law.within(-k - 1)) / 2


def p_value(sample: npt.NDArray[np.int64], law: noise.Law, classes: int = 120) -> float:
    """Chi-square over classes of about equal probability, all tails included.

    The classes depend on the law alone. A class has at least 100 expected draws.
    """
    edges: list[int] = []
    low, step = Fraction(0), max(Fraction(1, classes), Fraction(100, len(sample)))
    k = -law.error(1 - Fraction(1, 10**5)) - 1
    while k < law.support and len(edges) < 4 * classes:
        # next k whose class is full, by bisection
        left, right = k, law.support
        while left < right:
            middle = (left + right) // 2
            if cumulative(law, middle) - low >= step:
                right = middle
            else:
                left = middle + 1
        if 1 - cumulative(law, left) < step:
            break
        edges.append(left)
        low, k = cumulative(law, left), left + 1
    bounds = [Fraction(0), *(cumulative(law, edge) for edge in edges), Fraction(1)]
    expected = np.array([float((b - a) * len(sample)) for a, b in pairwise(bounds)])
    observed = np.bincount(
        np.searchsorted(np.array(edges, np.int64), sample, side="left"), minlength=len(expected)
    )
    statistic = float((((observed - expected) ** 2) / expected).sum())
    return float(chi2.sf(statistic, len(expected) - 1))


def off(law: SampledLaplace, factor: Fraction) -> SampledLaplace:
    return rounded_law(law.scale * factor, law.precision, law.magnitude_bits)


def test_the_chi_square_accepts_its_law_and_rejects_one_five_percent_off() -> None:
    """The instrument itself, on draws made in the clear."""
    law = rounded_law(Fraction(10), 40, 9)
    uniform = np.random.default_rng(3)
    chances = [t / 2**40 for t in law.thresholds]
    tosses = [uniform.random(200_000) < chance for chance in chances]
    sample = tosses[0] * (1 + sum(toss.astype(np.int64) << i for i, toss in enumerate(tosses[1:])))
    sample *= uniform.integers(0, 2, 200_000) * 2 - 1

    assert p_value(sample, law) > ALPHA
    assert p_value(sample, off(law, Fraction(95, 100))) < ALPHA
    assert p_value(sample, off(law, Fraction(105, 100))) < ALPHA


@pytest.mark.statistical
@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_a_million_draws_follow_the_law_and_no_neighbouring_one(
    together: Together, scale: Fraction
) -> None:
    law = sample_law(scale, ONE)

    sample = draw(together, law, 1_000_000)

    assert p_value(sample, law) > ALPHA
    assert p_value(sample, off(law, Fraction(95, 100))) < ALPHA
    assert p_value(sample, off(law, Fraction(105, 100))) < ALPHA


@pytest.mark.statistical
@pytest.mark.parametrize(("m", "t", "cells"), [(5, 2, 200_000), (7, 3, 100_000)])
def test_larger_committees_draw_from_the_same_law(
    together: Together, m: int, t: int, cells: int
) -> None:
    law = sample_law(Fraction(10), ONE)

    sample = draw(together, law, cells, m, t)

    assert p_value(sample, law) > ALPHA
    assert p_value(sample, off(law, Fraction(9, 10))) < ALPHA


@pytest.mark.statistical
def test_the_smallest_scale_gives_no_noise_that_anyone_will_ever_see(together: Together) -> None:
    law = sample_law(Fraction(1, 50), ONE)
    assert law.pmf(0) > 1 - Fraction(1, 2**39)

    assert not draw(together, law, 1_000_000).any()


@pytest.mark.statistical
@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_the_tails_are_as_heavy_as_they_should_be(together: Together, scale: Fraction) -> None:
    """Counts beyond the 10^-2, 10^-3 and 10^-4 quantiles, each side, each within 6 sigma."""
    law, n = sample_law(scale, ONE), 1_000_000
    sample = draw(together, law, n)

    assert np.abs(sample).max() <= law.support
    for tail in (2, 3, 4):
        k = law.error(1 - Fraction(1, 10**tail))
        chance = float((1 - law.within(k)) / 2)
        bound = 6 * math.sqrt(n * chance) + 6
        assert abs(int((sample > k).sum()) - n * chance) < bound
        assert abs(int((sample < -k).sum()) - n * chance) < bound


def dependence(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    """P-value of independence of two small class labels, by the contingency chi-square."""
    rows, columns = int(left.max()) + 1, int(right.max()) + 1
    table = np.bincount(left * columns + right, minlength=rows * columns).reshape(rows, columns)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    used = expected > 0
    statistic = float((((table - expected) ** 2)[used] / expected[used]).sum())
    return float(chi2.sf(statistic, (rows - 1) * (columns - 1)))


def classes(sample: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Six classes of a value: its sign and the third of magnitudes it is in."""
    magnitude = np.abs(sample)
    thirds = np.searchsorted(np.quantile(magnitude, [1 / 3, 2 / 3]), magnitude)
    return thirds * 2 + (sample > 0)


@pytest.mark.statistical
@pytest.mark.parametrize("lag", [1, 2, 31, 32, 63, 64, 128], ids=lambda lag: f"{lag} cells apart")
def test_cells_are_independent_in_one_word_and_across_words(together: Together, lag: int) -> None:
    sample = draw(together, sample_law(Fraction(10), ONE), 500_000)
    left, right = classes(sample[:-lag]), classes(sample[lag:])

    assert dependence(left, right) > ALPHA
    linked = np.where(np.arange(len(right)) % 50 == 0, left, right)  # 2 % copied is seen
    assert dependence(left, linked) < ALPHA


@pytest.mark.statistical
def test_sign_and_magnitude_are_independent(together: Together) -> None:
    sample = draw(together, sample_law(Fraction(10), ONE), 1_000_000)
    nonzero = sample[sample != 0]
    sign = (nonzero > 0).astype(np.int64)
    magnitude = np.minimum(np.abs(nonzero), 60) // 3

    assert dependence(sign, magnitude) > ALPHA
    assert dependence(np.where(magnitude == 5, 1, sign), magnitude) < ALPHA


@pytest.mark.statistical
def test_the_digits_of_the_magnitude_are_independent(together: Together) -> None:
    """They have uniform words of their own; sharing one would keep every mean."""
    sample = draw(together, sample_law(Fraction(10), ONE), 1_000_000)
    digits = np.abs(sample[sample != 0]) - 1
    low = [(digits >> place & 1).astype(np.int64) for place in range(5)]

    for first in range(5):
        for second in range(first):
            assert dependence(low[first], low[second]) > ALPHA


# -- discrete Gaussian: digits from the top -----------------------------------------------------


def odd_law(seed: int) -> SampledGaussian:
    """A law whose tables approximate nothing; coins that are always 0 included."""
    chance = random.Random(seed)
    tables = tuple(tuple(chance.randrange(16) for _ in range(1 << j)) for j in range(3))
    return SampledGaussian(sigma_squared=Fraction(1), precision=4, magnitude_bits=3, tables=tables)


@pytest.mark.parametrize("seed", range(4))
def test_each_digit_is_a_coin_against_the_entry_that_the_higher_digits_select(
    together: Together, seed: int
) -> None:
    sample = draw(together, odd_law(seed), 20_000)

    assert p_value(sample, odd_law(seed), classes=16) > ALPHA
    assert p_value(sample, odd_law(seed + 1), classes=16) < ALPHA


@pytest.mark.statistical
@pytest.mark.parametrize("sigma", SIGMAS, ids=str)
def test_a_million_gaussian_draws_follow_the_law_and_no_neighbouring_one(
    together: Together, sigma: Fraction
) -> None:
    law = sample_gaussian(sigma**2, ONE)

    sample = draw(together, law, 1_000_000)

    assert p_value(sample, law) > ALPHA
    for factor in (Fraction(95, 100), Fraction(105, 100)):
        off = rounded_gaussian((sigma * factor) ** 2, law.precision, law.magnitude_bits)
        assert p_value(sample, off) < ALPHA


@pytest.mark.parametrize(("m", "t"), [(5, 2), (7, 3)])
def test_larger_committees_draw_the_same_digits(together: Together, m: int, t: int) -> None:
    sample = draw(together, odd_law(1), 2_000, m, t)

    assert p_value(sample, odd_law(1), classes=10) > ALPHA
    assert p_value(sample, odd_law(2), classes=10) < ALPHA
