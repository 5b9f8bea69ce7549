"""Comparing shared values with a bound: right to the last value, and what opens is uniform."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from upcare_mpc.errors import OpeningError
from upcare_mpc.mpc import comparison, field
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.comparison import at_least
from upcare_mpc.mpc.conversion import slice_words, unslice
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.prss import LocalRandom

COMMITTEES = [(3, 1), (5, 2), (7, 3)]
HALF = PRIME // 2  # the largest number
Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]


def shares_of(values: list[int], m: int, t: int) -> Words:
    encoded = np.array([value % PRIME for value in values], np.uint64)
    return field.share(encoded, parties=m, threshold=t, random=LocalRandom().words)


def compared(together: Together, m: int, t: int, shares: Words, bound: int) -> list[int]:
    """Bits ``[v >= bound]`` as every party opens them, with those past the last cell."""

    async def work(engine: Engine) -> Words:
        lane = engine.lane()
        circuit = Boolean(lane)
        random = engine.local_random.words
        bits = await at_least(circuit, lane, shares[engine.index], bound, random=random)
        return await circuit.open(bits)

    first, *others = together(m, t, work)
    assert all(np.array_equal(first, other) for other in others)
    return np.unpackbits(first.view(np.uint8).reshape(-1), bitorder="little").tolist()


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@pytest.mark.parametrize("bound", [-3, 0, 1, 5, 10**9])
def test_values_around_the_bound_and_at_the_ends_of_the_field(
    together: Together, m: int, t: int, bound: int
) -> None:
    edges = [bound - HALF, bound - HALF + 1, bound + HALF - 1, bound + HALF]
    values = [bound - 1, bound, bound + 1, -1, 0, 1, -(10**6), 10**6, *edges]

    bits = compared(together, m, t, shares_of(values, m, t), bound)

    assert bits[: len(values)] == [value >= bound for value in values]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_random_values_of_every_size(together: Together, m: int, t: int) -> None:
    chance = np.random.default_rng(m)
    values = [int(chance.integers(-(2**size), 2**size)) for size in range(60) for _ in range(5)]

    bits = compared(together, m, t, shares_of(values, m, t), 11)

    assert bits[: len(values)] == [value >= 11 for value in values]


def test_the_bound_itself_passes_every_time(together: Together) -> None:
    """The difference is then zero, which has two encodings."""
    bits = compared(together, 3, 1, shares_of([5] * 2000, 3, 1), 5)

    assert sum(bits) == 2000


def test_bits_past_the_last_cell_are_zero(together: Together) -> None:
    bits = compared(together, 3, 1, shares_of([9] * 70, 3, 1), 0)

    assert bits == [1] * 70 + [0] * 58


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1000])
def test_slicing_is_the_inverse_of_unslicing(count: int) -> None:
    values = np.random.default_rng(count).integers(0, PRIME, count, np.uint64)

    assert np.array_equal(unslice(slice_words(values), count), values)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_rounds_and_words_are_as_stated(together: Together, m: int, t: int) -> None:
    cells = 640
    shares = shares_of([3] * cells, m, t)

    async def work(engine: Engine) -> tuple[int, int]:
        lane = engine.lane()
        rounds, sent = engine.rounds, engine.bytes_sent
        await at_least(
            Boolean(lane), lane, shares[engine.index], 5, random=engine.local_random.words
        )
        return engine.rounds - rounds, engine.bytes_sent - sent

    ands = 61 * t + 181
    for party, (rounds, sent) in enumerate(together(m, t, work)):
        vectors = 1 + (party <= t)  # opened by all, dealt by the owners of masks
        assert rounds == 9 + t
        assert sent == ands * cells // 8 * (m - t - 1) + vectors * 8 * cells * (m - 1)


def test_shares_that_do_not_belong_together_end_it(together: Together) -> None:
    """Nothing is corrected: a share of too high a degree, or a liar among more than t + 1."""
    shares = shares_of([3] * 10, 3, 1)
    shares[2] = field.add(shares[2], np.ones(10, np.uint64))

    with pytest.raises(ExceptionGroup) as caught:
        compared(together, 3, 1, shares, 5)

    assert caught.group_contains(OpeningError, match="do not belong together")


# -- the view -----------------------------------------------------------------------------------

CELLS = 1 << 14
ALPHA = 1e-9  # false alarms a check; 62 checks a view, 48 views: 3e-6 in all


def residues(together: Together, m: int, t: int, values: list[int]) -> dict[tuple[int, ...], Words]:
    """What every coalition of t is left with: the opened y less the masks that it knows."""
    shares = shares_of(values, m, t)
    opened: list[Words] = []
    masks: dict[int, Words] = {}
    open_, known_to = comparison._open, Boolean.known_to

    async def watched_open(lane: Any, share: Words) -> Words:
        opened.append(await open_(lane, share))
        return opened[-1]

    def watched_masks(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        bits, own = known_to(self, owner, rows, words)
        if own is not None:
            masks[owner] = unslice(own, len(values)) % np.uint64(PRIME)
        return bits, own

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "_open", watched_open)
        patch.setattr(Boolean, "known_to", watched_masks)
        compared(together, m, t, shares, 5)
    assert len(masks) == t + 1
    views = {}
    for coalition in itertools.combinations(range(m), t):
        left = opened[0]
        for owner in set(coalition) & set(masks):
            left = field.add(left, field.negate(masks[owner]))
        views[coalition] = left
    return views


def looks_uniform(view: npt.NDArray[np.uint64]) -> bool:
    """Every bit is a fair coin, and the lowest 6 bits together are uniform."""
    for place in range(61):
        ones = int((view >> np.uint64(place) & np.uint64(1)).sum())
        if stats.binomtest(ones, len(view)).pvalue < ALPHA:
            return False
    counts = np.bincount((view & np.uint64(63)).astype(np.int64), minlength=64)
    return bool(stats.chisquare(counts).pvalue >= ALPHA)


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2)])
@pytest.mark.parametrize("value", [4, 0, -HALF + 5])
def test_what_opens_is_uniform_to_every_coalition(
    together: Together, m: int, t: int, value: int
) -> None:
    for left in residues(together, m, t, [value] * CELLS).values():
        assert looks_uniform(left)


def test_a_difference_that_opens_without_masks_is_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_masks(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        own = np.zeros((rows, words), np.uint64) if owner == self._me else None
        return self.zeros(rows, words), own

    monkeypatch.setattr(Boolean, "known_to", no_masks)

    for left in residues(together, 3, 1, [4] * CELLS).values():
        assert not looks_uniform(left)


@pytest.mark.parametrize("bits", [28, 40, 59])
def test_masks_of_too_few_bits_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    known_to = Boolean.known_to

    def short(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        sharing, own = known_to(self, owner, rows, words)
        sharing[:, bits:] = 0
        if own is not None:
            own[bits:] = 0
        return sharing, own

    monkeypatch.setattr(Boolean, "known_to", short)

    for left in residues(together, 3, 1, [4] * CELLS).values():
        assert not looks_uniform(left)


def test_one_mask_alone_leaves_its_owner_nothing_to_guess(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With only party 0's mask the result is right, and party 0 knows every value."""
    known_to = Boolean.known_to

    def only_first(self: Boolean, owner: int, rows: int, words: int) -> tuple[Bits, Any]:
        sharing, own = known_to(self, owner, rows, words)
        if owner > 0:
            sharing[:] = 0
            own = None if own is None else np.zeros_like(own)
        return sharing, own

    monkeypatch.setattr(Boolean, "known_to", only_first)

    views = residues(together, 3, 1, [4] * CELLS)

    assert not looks_uniform(views[0,])
    assert set(views[0,].tolist()) == {5 - 4}
