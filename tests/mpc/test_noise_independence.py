"""Noise values know nothing of each other, of other releases, or of what one party holds.

Each check is held against ``LEVEL``. Each is shown to see a sampler that uses a word, or a stream,
a second time: the law of every single value is then as it should be.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from draws import (
    MILLION,
    QUARTER,
    Together,
    gaussian_law,
    laplace_law,
    noise_of,
    opened,
    shares_in_memory,
)
from laws import (
    LEVEL,
    Sample,
    comes_back,
    contingency,
    lags,
    ranks,
    scores,
    word_places,
)

from upcare_mpc.mpc import conversion, field
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.noisy_sum import CHUNK_CELLS
from upcare_mpc.mpc.prss import LocalRandom

TEN = laplace_law(Fraction(10))
WIDE = laplace_law(Fraction(10**6))  # no four values in a row come twice by chance
NEAR = [1, 2, 31, 32, 63, 64, 65, 128, 4096]
ACROSS = [CHUNK_CELLS - 1, CHUNK_CELLS, CHUNK_CELLS + 1, 2 * CHUNK_CELLS]


def at_lag(sample: Sample, law: Law, lag: int) -> float:
    classes = ranks(sample, law)
    return contingency(classes[:-lag], classes[lag:])


def within(sample: Sample, law: Law) -> dict[str, float]:
    """All lags, all pairs of places of a word and of neighbouring words, for every score."""
    checks = {}
    for name, score in scores(sample, law).items():
        checks[f"{name}, lags"] = lags(score, score)
        checks[f"{name}, one word"] = word_places(score, score)
        checks[f"{name}, next word"] = word_places(score[:-64], score[64:])
    return checks


def between(first: Sample, second: Sample, law: Law) -> dict[str, float]:
    """Two releases of equal length: cell with cell, all lags, all places of a word."""
    checks = {"cell with cell": contingency(ranks(first, law), ranks(second, law))}
    right = scores(second, law)
    for name, left in scores(first, law).items():
        checks[f"{name}, lags"] = lags(left, right[name])
        checks[f"{name}, one word"] = word_places(left, right[name])
    return checks


# -- within one release -------------------------------------------------------------------------


@pytest.mark.parties
def test_cells_of_a_release_are_independent() -> None:
    sample = noise_of(TEN, cells=QUARTER)

    assert min(within(sample, TEN).values()) > LEVEL
    assert min(at_lag(sample, TEN, lag) for lag in NEAR) > LEVEL


@pytest.mark.parties
@pytest.mark.statistical
@pytest.mark.parametrize("law_of", [laplace_law, gaussian_law])
def test_cells_of_a_release_of_several_chunks_are_independent(
    law_of: Callable[[Fraction], Law],
) -> None:
    law = law_of(Fraction(10))
    sample = noise_of(law)
    assert MILLION > 2 * CHUNK_CELLS  # chunks are drawn side by side, each with its own streams

    assert min(within(sample, law).values()) > LEVEL
    assert min(at_lag(sample, law, lag) for lag in [*NEAR, *ACROSS]) > LEVEL


@pytest.mark.parties
@pytest.mark.statistical
def test_no_run_of_values_comes_back_in_two_releases() -> None:
    releases = [noise_of(WIDE, session=session) for session in range(2)]

    for step in (1, 64):  # neighbouring cells, and the same place of neighbouring words
        assert comes_back(releases, WIDE, step=step) > LEVEL


# -- between releases ---------------------------------------------------------------------------


@pytest.mark.parties
@pytest.mark.statistical
@pytest.mark.parametrize("law_of", [laplace_law, gaussian_law])
def test_two_studies_of_one_committee_have_independent_noise(
    law_of: Callable[[Fraction], Law],
) -> None:
    law = law_of(Fraction(10))

    checks = between(noise_of(law), noise_of(law, session=1), law)

    assert min(checks.values()) > LEVEL, checks


def test_two_batches_of_one_session_have_independent_noise(together: Together) -> None:
    first, second = map(opened, shares_in_memory(together, TEN, batches=2))

    checks = between(first, second, TEN)

    assert min(checks.values()) > LEVEL, checks


# -- mistakes -----------------------------------------------------------------------------------


def breaking(monkeypatch: pytest.MonkeyPatch, mistake: Callable[[Boolean, Bits], None]) -> None:
    """Make every party draw its uniform bits with the same mistake."""
    honest = Boolean.random

    def random(self: Boolean, rows: int, words: int) -> Bits:
        bits = honest(self, rows, words)
        mistake(self, bits)
        return bits

    monkeypatch.setattr(Boolean, "random", random)


def test_a_word_that_serves_two_neighbours_is_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_word_in_twenty_twice(_: Boolean, bits: Bits) -> None:
        bits[..., 1::20] = bits[..., 0::20][..., : bits[..., 1::20].shape[-1]]

    breaking(monkeypatch, one_word_in_twenty_twice)
    (ten,) = map(opened, shares_in_memory(together, TEN))
    (wide,) = map(opened, shares_in_memory(together, WIDE))

    assert at_lag(ten, TEN, 1) > LEVEL  # neighbouring cells are in one word, and independent
    assert within(ten, TEN)["sign, lags"] < LEVEL
    assert comes_back([wide], WIDE, step=1) < LEVEL


def test_two_places_of_each_word_with_the_same_bits_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place_17_is_place_42(_: Boolean, bits: Bits) -> None:
        copied = (bits >> np.uint64(42) & np.uint64(1)) << np.uint64(17)
        bits &= ~np.uint64(1 << 17)
        bits |= copied

    breaking(monkeypatch, place_17_is_place_42)
    (sample,) = map(opened, shares_in_memory(together, TEN))

    assert within(sample, TEN)["sign, one word"] < LEVEL


def test_a_batch_drawn_from_the_streams_of_an_earlier_one_is_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[int, list[Bits]] = {}
    batches: dict[int, dict[Boolean, int]] = {}  # keeps them alive: an id would come back

    def the_first_batch_again(boolean: Boolean, bits: Bits) -> None:
        party = boolean._lane.index
        counters = batches.setdefault(party, {})
        count = counters.setdefault(boolean, 0)
        counters[boolean] += 1
        if len(counters) == 1:
            drawn.setdefault(party, []).append(bits.copy())
        else:
            bits[:] = drawn[party][count]

    breaking(monkeypatch, the_first_batch_again)
    first, second = map(opened, shares_in_memory(together, TEN, batches=2))

    assert np.array_equal(first, second)
    assert min(between(first, second, TEN).values()) < LEVEL


def test_one_cell_in_fifty_that_two_studies_share_is_seen(together: Together) -> None:
    first, second = map(opened, shares_in_memory(together, TEN, batches=2))
    second[::50] = first[::50]

    assert between(first, second, TEN)["cell with cell"] < LEVEL


# -- what a party holds -------------------------------------------------------------------------


def eighths(elements: Words) -> Sample:
    """Which eighth of the field each element is in."""
    return (elements // np.uint64(-(-PRIME // 8))).astype(np.int64)


def about(elements: Words, sample: Sample) -> float:
    """P-value of field elements that are uniform and independent of the noise."""
    return contingency(eighths(elements), ranks(sample, TEN))


def coalitions(shares: list[Words]) -> list[Words]:
    """What every t parties get if they open their shares as if they were enough."""
    threshold = (len(shares) - 1) // 2
    return [
        field.combine([shares[i] for i in group], [i + 1 for i in group])
        for group in combinations(range(len(shares)), threshold)
    ]


@pytest.mark.parametrize("parties", [3, 5, 7])
def test_the_shares_of_t_parties_say_nothing_about_the_noise(
    together: Together, parties: int
) -> None:
    (shares,) = shares_in_memory(together, TEN, cells=50_000, parties=parties)
    sample = opened(shares)

    assert min(about(share, sample) for share in shares) > LEVEL
    assert min(about(guess, sample) for guess in coalitions(shares)) > LEVEL


def test_shares_dealt_without_randomness_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalRandom, "words", lambda self, count: np.zeros(count, np.uint64))
    (shares,) = shares_in_memory(together, TEN, cells=50_000)

    assert np.array_equal(eighths(shares[0]), np.where(opened(shares) < 0, 7, 0))
    assert about(shares[0], opened(shares)) < LEVEL


@pytest.fixture
def unsliced(monkeypatch: pytest.MonkeyPatch) -> list[Words]:
    """Every vector that some party turns from bits into numbers: its mask, or what it opened."""
    seen: list[Words] = []
    honest = conversion.unslice

    def unslice(sliced: Words, cells: int) -> Words:
        seen.append(honest(sliced, cells))
        return seen[-1]

    monkeypatch.setattr(conversion, "unslice", unslice)
    return seen


@pytest.mark.parametrize("parties", [3, 5, 7])
def test_each_opened_vector_and_each_mask_says_nothing_about_the_noise(
    together: Together, unsliced: list[Words], parties: int
) -> None:
    (shares,) = shares_in_memory(together, TEN, cells=50_000, parties=parties)
    sample = opened(shares)

    assert len(unsliced) > (parties - 1) // 2
    assert min(about(vector % np.uint64(PRIME), sample) for vector in unsliced) > LEVEL


def test_an_opened_vector_under_a_mask_of_zeros_is_seen(
    together: Together, unsliced: list[Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_mask(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        known = np.zeros((rows, words), np.uint64) if owner == self._lane.index else None
        return self.zeros(rows, words), known

    monkeypatch.setattr(Boolean, "known_to", no_mask)
    (shares,) = shares_in_memory(together, TEN, cells=50_000)
    sample = opened(shares)

    assert any(
        np.array_equal(field.decode(vector % np.uint64(PRIME)), sample) for vector in unsliced
    )
