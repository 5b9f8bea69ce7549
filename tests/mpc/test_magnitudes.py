"""Numbers from coins: bit for bit what their uniform bits say, and in law exactly the stated one.

The uniform bits are either all of them in turn, in the clear, so that the law is counted, not
sampled; or those that a real committee drew, recorded.
"""

import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lanes import COMMITTEES, RecordingLane, clear, components_of, counted, pack, unpack

from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.circuits import Circuit, run
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.magnitudes import Signed, gaussian, laplace
from upcare_mpc.privacy.digits import Part
from upcare_mpc.privacy.gaussian import SampledGaussian, sample_gaussian
from upcare_mpc.privacy.laplace import SampledLaplace, sample_law
from upcare_mpc.study.layout import Sensitivity

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
Law = SampledLaplace | SampledGaussian
ONE = Sensitivity(d0=1, d1=1, dinf=1)


def draw(boolean: Any, law: Law, words: int, blocks: int) -> Circuit[Signed]:
    if isinstance(law, SampledLaplace):
        return laplace(boolean, law, words, blocks=blocks)
    return gaussian(boolean, law, words, blocks=blocks)


class Clear:
    """Arithmetic on bits in the clear, with uniform bits from a list."""

    def __init__(self, rows: Iterator[Words]) -> None:
        self._rows = rows

    def random(self, rows: int, words: int) -> Bits:
        drawn = np.stack([next(self._rows) for _ in range(rows)])[None]
        assert drawn.shape == (1, rows, words)
        return drawn

    def zeros(self, rows: int, words: int) -> Bits:
        return np.zeros((1, rows, words), np.uint64)

    def flip(self, bits: Bits, constant: Words) -> Bits:
        return bits ^ constant

    def flip_in_place(self, bits: Bits, constant: Words) -> None:
        bits ^= constant


def values(signed: Signed, cells: int) -> list[int]:
    """``low - 2^K sign + carry``, of bits in the clear."""
    rows = [unpack(row, cells).astype(object) for row in signed.low[0]]
    total = sum(row << place for place, row in enumerate(rows))
    total = total - (unpack(signed.sign[0, 0], cells).astype(object) << len(rows))
    if signed.carry is not None:
        total = total + unpack(signed.carry[0, 0], cells)
    return [int(value) for value in total]


# -- the law, counted ---------------------------------------------------------------------------


def a_laplace(precision: int, thresholds: tuple[int, ...]) -> SampledLaplace:
    return SampledLaplace(
        scale=Fraction(1),
        precision=precision,
        magnitude_bits=len(thresholds) - 1,
        thresholds=thresholds,
    )


def a_part(precision: int, digits: int, shift: int, seed: int) -> Part:
    """Tables that approximate nothing; coins that are always 0 included."""
    chance = random.Random(seed)
    tables = tuple(
        tuple(chance.randrange(1 << precision) for _ in range(1 << place))
        for place in range(digits)
    )
    return Part(
        shift=shift,
        sigma_squared=Fraction(1),
        precision=precision,
        magnitude_bits=digits,
        tables=tables,
    )


def a_gaussian(*parts: tuple[int, int, int], seed: int = 0) -> SampledGaussian:
    """By (precision, digits, shift) of each part."""
    return SampledGaussian(
        parts=tuple(a_part(*part, seed=seed + place) for place, part in enumerate(parts))
    )


def uniform_bits(law: Law) -> int:
    if isinstance(law, SampledLaplace):
        return law.precision * len(law.thresholds)
    return sum(part.precision * part.magnitude_bits + 1 for part in law.parts)


LAWS = [
    a_laplace(1, (1, 0)),
    a_laplace(1, (1, 1, 1, 1)),
    a_laplace(2, (1, 3)),
    a_laplace(3, (5, 2, 7)),
    a_laplace(4, (0, 15, 8)),
    a_laplace(5, (19, 1, 30)),
    a_laplace(8, (129, 254)),
    a_gaussian((1, 1, 0)),
    a_gaussian((4, 1, 0), seed=1),
    a_gaussian((3, 3, 0), seed=2),
    a_gaussian((5, 3, 0), seed=3),
    a_gaussian((2, 4, 0), seed=4),
    a_gaussian((2, 2, 0), (3, 2, 1), seed=5),
    a_gaussian((2, 3, 0), (2, 2, 3), seed=6),
    a_gaussian((1, 2, 0), (2, 1, 1), (1, 3, 4), seed=7),
    a_gaussian((1, 1, 0), (1, 1, 2), (2, 2, 3), (1, 2, 9), seed=8),
]


def counted_law(law: Law, blocks: int) -> dict[int, Fraction]:
    """The law of the circuit: its value for every assignment of the uniform bits."""
    bits = uniform_bits(law)
    cases = 1 << max(bits, 6)
    number = np.arange(cases)
    rows = [pack((number >> place & 1).astype(np.uint8)) for place in range(bits)]
    left = iter(rows)

    drawn = values(clear(draw(Clear(left), law, cases // 64, blocks)), cases)

    assert next(left, None) is None, "every uniform bit is drawn"
    found, times = np.unique(np.array(drawn), return_counts=True)
    return {int(v): Fraction(int(n), cases) for v, n in zip(found, times, strict=True)}


@pytest.mark.parametrize("law", LAWS, ids=range(len(LAWS)))
def test_the_circuit_has_exactly_the_stated_law_in_every_form(law: Law) -> None:
    expected = {k: law.pmf(k) for k in range(-law.support, law.support + 1)}
    expected = {k: p for k, p in expected.items() if p}
    precisions = (
        [law.precision] if isinstance(law, SampledLaplace) else [p.precision for p in law.parts]
    )

    for blocks in range(1, min(precisions) + 1):
        assert counted_law(law, blocks) == expected


def test_coins_that_share_their_uniform_bits_have_another_law() -> None:
    """The count sees it, though every single digit has the stated chance."""
    law = a_laplace(3, (4, 3, 5))
    number = np.arange(1 << 6)
    rows = [pack((number >> place & 1).astype(np.uint8)) for place in range(3)]
    shared = [row for row in rows for _ in law.thresholds]

    drawn = values(clear(laplace(Clear(iter(shared)), law, 1, blocks=1)), 64)  # type: ignore[arg-type]

    found = {v: Fraction(drawn.count(v), 64) for v in set(drawn)}
    assert found != {k: law.pmf(k) for k in found}
    digits = [[(v if v >= 0 else -1 - v) >> place & 1 for v in drawn] for place in range(2)]
    assert [Fraction(sum(digit), 64) for digit in digits] == [Fraction(3, 8), Fraction(5, 8)]


# -- bit for bit ------------------------------------------------------------------------------


def positions(precision: int, blocks: int, at_start: int) -> list[list[int]]:
    """Which bits of u are drawn before each round: all blocks side by side, from their lowest."""
    edges = [precision * edge // blocks for edge in range(blocks + 1)]
    rounds: list[list[int]] = []
    for low, high in itertools.pairwise(edges):
        first, *others = [[*range(low, min(low + at_start, high))], *range(low + at_start, high)]
        for place, drawn in enumerate([first, *[[position] for position in others]]):
            if place == len(rounds):
                rounds.append([])
            rounds[place] += drawn
    return rounds


def laplace_values(law: SampledLaplace, drawn: list[Words], cells: int, blocks: int) -> list[int]:
    """The sampler in the clear, from the uniform bits in the order they were drawn."""
    order = [position for some in positions(law.precision, blocks, 2) for position in some]
    u = dict(zip(order, drawn, strict=True))
    tosses = []
    for row, threshold in enumerate(law.thresholds):
        words = sum(
            unpack(u[position][row], cells).astype(object) << position
            for position in range(law.precision)
        )
        tosses.append(words < threshold)
    sign, *digits = tosses
    outward = sum(digit.astype(object) << place for place, digit in enumerate(digits))
    return [int(-1 - g if s else g) for g, s in zip(outward, sign, strict=True)]


def gaussian_values(law: SampledGaussian, drawn: list[Words], cells: int, blocks: int) -> list[int]:
    """The same; parts are drawn side by side, each digit of a part after the one above it."""
    schedule: list[tuple[int, int, int, int]] = []  # round, part, digit, position
    for number, part in enumerate(law.parts):
        round_ = 0
        for digit in range(part.magnitude_bits):
            rounds = positions(part.precision, blocks, 1)
            for place, some in enumerate(rounds):
                schedule += [(round_ + place, number, digit, position) for position in some]
            round_ += len(rounds) + blocks - 1  # then blocks are joined
            round_ += 0 < digit < part.magnitude_bits - 1  # and selectors made
    schedule.sort(key=lambda draw: draw[:2])  # stable: within one round and part as listed
    rows = iter(drawn)
    u = {draw[1:]: unpack(next(rows)[0], cells).astype(object) for draw in schedule}
    total = np.zeros(cells, object)
    for number, part in enumerate(law.parts):
        sign = unpack(next(rows)[0], cells)
        read = np.zeros(cells, object)
        for digit, table in enumerate(part.tables):
            word = sum(u[number, digit, place] << place for place in range(part.precision))
            threshold = np.array([table[h] for h in read], object)
            read = 2 * read + (word < threshold)
        total += np.where(sign == 1, -read, read) << part.shift
    assert next(rows, None) is None
    return [int(value) for value in total]


def expected_values(law: Law, drawn: list[Words], cells: int, blocks: int) -> list[int]:
    if isinstance(law, SampledLaplace):
        return laplace_values(law, drawn, cells, blocks)
    return gaussian_values(law, drawn, cells, blocks)


def by_a_committee(
    together: Together, m: int, t: int, law: Law, words: int, blocks: int
) -> tuple[list[int], list[Words]]:
    """The numbers that a committee draws, opened, and the uniform bits that they were made of."""

    async def work(engine: Engine) -> tuple[list[Words | None], RecordingLane]:
        lane = RecordingLane(engine)
        boolean = Boolean(lane)
        signed = await run(boolean, draw(boolean, law, words, blocks))
        parts = (signed.low, signed.sign, signed.carry)
        return [None if part is None else await boolean.open(part) for part in parts], lane

    results = together(m, t, work)
    low, sign, carry = results[0][0]
    assert low is not None
    assert sign is not None
    signed = Signed(low=low[None], sign=sign[None], carry=None if carry is None else carry[None])
    return values(signed, 64 * words), components_of([lane for _, lane in results], "bit")


def small_laws() -> st.SearchStrategy[Law]:
    """Laws of any shape, with thresholds that approximate nothing, 0 and the top included."""
    laplaces = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
        lambda shape: st.builds(
            a_laplace,
            st.just(shape[0]),
            st.tuples(*[st.integers(0, 2 ** shape[0] - 1)] * (shape[1] + 1)),
        )
    )
    parts = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))

    def rising(some: list[tuple[int, int, int]], seed: int) -> SampledGaussian:
        shifts = [0, *itertools.accumulate(gap for _, _, gap in some)]
        shaped = [(p, d, shift) for (p, d, _), shift in zip(some, shifts, strict=False)]
        return a_gaussian(*shaped, seed=seed)

    gaussians = st.builds(rising, st.lists(parts, min_size=1, max_size=4), st.integers(0, 999))
    return st.one_of(laplaces, gaussians)


def finest_blocks(law: Law) -> int:
    parts = [law] if isinstance(law, SampledLaplace) else law.parts
    return min(part.precision for part in parts)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(law=small_laws(), words=st.integers(1, 2), data=st.data())
def test_a_committee_draws_what_its_uniform_bits_say(
    together: Together, m: int, t: int, law: Law, words: int, data: st.DataObject
) -> None:
    blocks = data.draw(st.integers(1, min(5, finest_blocks(law))))

    found, drawn = by_a_committee(together, m, t, law, words, blocks)

    assert found == expected_values(law, drawn, 64 * words, blocks)


REAL = {
    "laplace, b = 1/2": sample_law(Fraction(1, 2), ONE),
    "laplace, b = 10": sample_law(Fraction(10), ONE),
    "gaussian, sigma = 10": sample_gaussian(Fraction(100), ONE),
    "gaussian, sigma = 1000": sample_gaussian(Fraction(10**6), ONE),
}


@pytest.mark.parametrize("blocks", [1, 5])
@pytest.mark.parametrize("name", REAL)
def test_laws_of_releases_are_drawn_bit_for_bit(together: Together, name: str, blocks: int) -> None:
    law = REAL[name]
    if name == "gaussian, sigma = 1000":
        assert isinstance(law, SampledGaussian)
        assert len(law.parts) > 1

    found, drawn = by_a_committee(together, 3, 1, law, 1, blocks)

    assert found == expected_values(law, drawn, 64, blocks)
    assert len(set(found)) > 1


def test_one_changed_threshold_is_seen_bit_for_bit(together: Together) -> None:
    law = a_laplace(4, (7, 9, 3))
    found, drawn = by_a_committee(together, 3, 1, law, 8, 2)  # 512 cells: missed once in 10^14

    for place in range(3):
        changed = tuple(t + (place == i) for i, t in enumerate(law.thresholds))
        assert found != laplace_values(a_laplace(4, changed), drawn, 512, 2)


# -- the price ----------------------------------------------------------------------------------


def cost(law: Law, blocks: int) -> tuple[int, int]:
    zeros = itertools.repeat(np.zeros(1, np.uint64))
    done = counted(draw(Clear(zeros), law, 1, blocks))
    return done.rounds, done.ands


@pytest.mark.parametrize(("precision", "digits"), [(2, 1), (8, 3), (40, 9), (63, 2)])
def test_a_laplace_number_costs_the_stated_ands_and_rounds(precision: int, digits: int) -> None:
    law = a_laplace(precision, (1,) * (digits + 1))

    assert cost(law, 1) == (precision - 1, (precision - 1) * (digits + 1))
    if precision >= 40:
        rounds, ands = cost(law, 5)
        assert rounds <= precision / 5 + 5
        assert ands <= 2.1 * precision * (digits + 1)


@pytest.mark.parametrize(("precision", "digits"), [(4, 1), (8, 3), (40, 5)])
def test_a_gaussian_number_costs_the_stated_ands_and_rounds(precision: int, digits: int) -> None:
    rounds, ands = cost(a_gaussian((precision, digits, 0)), 1)

    assert ands == digits * precision + max(0, 2 ** (digits - 1) - 2)
    assert digits * precision <= rounds <= digits * (precision + 1)


def test_a_law_of_one_threshold_bit_needs_no_and() -> None:
    assert cost(a_laplace(1, (1, 1)), 1) == (0, 0)
