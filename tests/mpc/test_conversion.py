"""Secret bits to shares: adders at every edge, all committees, the price."""

import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import COMMITTEES, TableLane, clear, counted, run_lanes, secret, sliced

from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.memory import MemoryChannel
from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Boolean
from upcare_mpc.mpc.circuits import Circuit
from upcare_mpc.mpc.conversion import (
    add_signed,
    add_words,
    share_parts,
    sum_of_masks,
    to_field,
    unslice,
)
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import BITS, PRIME, Words
from upcare_mpc.mpc.magnitudes import Signed
from upcare_mpc.mpc.prss import LocalRandom, Purpose, Subset, subsets

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
FORMS = [1, 2, 3, 5, 8]
Number = tuple[int, int, int]  # low, sign, carry


def numbers(lows: Iterable[int]) -> list[Number]:
    return list(itertools.product([*dict.fromkeys(lows)], (0, 1), (0, 1)))


def value(number: Number, low_bits: int) -> int:
    low, sign, carry = number
    return low - (sign << low_bits) + carry


def signed(chosen: list[Number], low_bits: int, *, with_carry: bool = True) -> Signed:
    lows, signs, carries = zip(*chosen, strict=True)
    return Signed(
        low=secret(lows, low_bits),
        sign=secret(signs, 1),
        carry=secret(carries, 1) if with_carry else None,
    )


def word_of_sum(total: int, bits: int) -> int:
    """A sum with what leaves at the top going in at the bottom, up or down: one of two zeros."""
    if total >= 1 << bits:
        return total - (1 << bits) + 1
    return total if total >= 0 else total + (1 << bits) - 1


def words(bits: Any, rows: int, cells: int) -> list[int]:
    """The numbers that rows of bits in the clear stand for."""
    taken = np.array([np.unpackbits(row.view(np.uint8), bitorder="little") for row in bits[0]])
    return [sum(int(taken[row, n]) << row for row in range(rows)) for n in range(cells)]


# -- a small signed number and a word ---------------------------------------------------------


@pytest.mark.parametrize("blocks", FORMS)
@pytest.mark.parametrize(
    ("bits", "low_bits"), [(b, k) for b in (2, 3, 4, 5, 7) for k in range(1, b)]
)
def test_every_number_and_every_word_of_a_small_field_add_exactly(
    bits: int, low_bits: int, blocks: int
) -> None:
    cases = list(itertools.product(numbers(range(1 << low_bits)), range(1 << bits)))
    chosen, masks = [number for number, _ in cases], [mask for _, mask in cases]

    total = clear(add_signed(signed(chosen, low_bits), secret(masks, bits), None, blocks=blocks))

    assert words(total, bits, len(cases)) == [
        word_of_sum(value(number, low_bits) + mask, bits) for number, mask in cases
    ]


@pytest.mark.parametrize("blocks", FORMS)
@pytest.mark.parametrize(("bits", "low_bits"), [(3, 1), (3, 2), (5, 2), (5, 3)])
def test_every_carry_that_comes_with_the_word_is_added_as_well(
    bits: int, low_bits: int, blocks: int
) -> None:
    """A word and a carry as ``sum_of_masks`` gives them: never all ones and 1 more."""
    cases = [
        (number, mask, carry)
        for number in numbers(range(1 << low_bits))
        for mask in range(1 << bits)
        for carry in (0, 1)
        if value(number, low_bits) < 1 << low_bits and (mask, carry) != ((1 << bits) - 1, 1)
    ]
    chosen, masks, carries = ([case[place] for case in cases] for place in range(3))
    mask, carry = secret(masks, bits), secret(carries, 1)
    without = [(low, sign, 0) for low, sign, _ in chosen]

    both = clear(add_signed(signed(chosen, low_bits), mask, carry, blocks=blocks))
    one = clear(add_signed(signed(without, low_bits, with_carry=False), mask, carry, blocks=blocks))

    for total, xs in ((both, chosen), (one, without)):
        assert words(total, bits, len(cases)) == [
            word_of_sum(value(x, low_bits) + a + c, bits)
            for x, a, c in zip(xs, masks, carries, strict=True)
        ]


def edge_masks(low_bits: int) -> list[int]:
    """Both zeros, what is near them, what is near the number's own size, and the middle."""
    near = [center + step for center in (0, 1 << low_bits, PRIME) for step in range(-3, 4)]
    return sorted(
        {m for m in [*near, 1 << 60, PRIME - (1 << low_bits), PRIME >> 1] if 0 <= m <= PRIME}
    )


@pytest.mark.parametrize("blocks", FORMS)
@pytest.mark.parametrize("low_bits", range(1, 13))
def test_every_edge_adds_exactly_mod_p(low_bits: int, blocks: int) -> None:
    top = (1 << low_bits) - 1
    chosen = numbers([0, 1, 2 & top, top >> 1, 1 << (low_bits - 1), top - 1, top])
    cases = list(itertools.product(chosen, edge_masks(low_bits)))
    picked, masks = [number for number, _ in cases], [mask for _, mask in cases]

    total = clear(add_signed(signed(picked, low_bits), secret(masks, BITS), None, blocks=blocks))

    for found, (number, mask) in zip(words(total, BITS, len(cases)), cases, strict=True):
        assert found % PRIME == (value(number, low_bits) + mask) % PRIME
        assert found == word_of_sum(value(number, low_bits) + mask, BITS)


@settings(deadline=None)
@given(st.integers(1, 24), st.sampled_from(FORMS), st.data())
def test_any_number_and_word_add_exactly(low_bits: int, blocks: int, data: st.DataObject) -> None:
    number = st.tuples(st.integers(0, (1 << low_bits) - 1), st.integers(0, 1), st.integers(0, 1))
    masks = st.one_of(st.integers(0, PRIME), st.sampled_from(edge_masks(low_bits)))
    cases = data.draw(st.lists(st.tuples(number, masks), min_size=1, max_size=64))
    chosen, mask = [number for number, _ in cases], [mask for _, mask in cases]

    total = clear(add_signed(signed(chosen, low_bits), secret(mask, BITS), None, blocks=blocks))

    assert words(total, BITS, len(cases)) == [
        word_of_sum(value(number, low_bits) + mask, BITS) for number, mask in cases
    ]


@pytest.mark.parametrize("low_bits", range(1, 13))
def test_the_lean_form_costs_an_and_and_a_round_for_each_bit(low_bits: int) -> None:
    number, mask = signed([(0, 0, 0)], low_bits), secret([0], BITS)

    lean = counted(add_signed(number, mask, None, blocks=1))
    two_carries = counted(add_signed(number, mask, secret([0], 1), blocks=1))

    assert (lean.rounds, lean.ands) == (61 + low_bits, 61 + low_bits)
    assert (two_carries.rounds, two_carries.ands) == (61 + 2 * low_bits, 61 + 2 * low_bits)


@pytest.mark.parametrize("blocks", [2, 3, 5, 8])
@pytest.mark.parametrize("low_bits", range(1, 13))
def test_the_short_form_has_fewer_rounds_for_about_twice_the_ands(
    low_bits: int, blocks: int
) -> None:
    number, mask = signed([(0, 0, 0)], low_bits), secret([0], BITS)

    short = counted(add_signed(number, mask, None, blocks=blocks))

    assert short.rounds <= low_bits + 61 / blocks + blocks + 2
    assert short.rounds < 61 + low_bits
    assert short.ands <= 2.3 * (61 + low_bits)


# -- masks ------------------------------------------------------------------------------------


def added_up(masks: list[list[int]], bits: int, blocks: int) -> list[int]:
    """What ``sum_of_masks`` makes of columns of masks: its word, and its carry as 1 more."""
    total, carry = clear(sum_of_masks([secret(column, bits) for column in masks], blocks=blocks))
    cells = len(masks[0])
    carries = [0] * cells if carry is None else words(carry, 1, cells)
    return [word + one for word, one in zip(words(total, bits, cells), carries, strict=True)]


@pytest.mark.parametrize("blocks", FORMS)
@pytest.mark.parametrize(("count", "bits"), [(1, 4), (2, 2), (2, 3), (2, 5), (3, 2), (3, 3)])
def test_all_masks_of_a_small_field_add_up_mod_p(count: int, bits: int, blocks: int) -> None:
    cases = list(itertools.product(range(1 << bits), repeat=count))
    prime = (1 << bits) - 1

    sums = added_up([list(column) for column in zip(*cases, strict=True)], bits, blocks)

    assert [found % prime for found in sums] == [sum(case) % prime for case in cases]
    assert max(sums) <= prime


@pytest.mark.parametrize("blocks", FORMS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_masks_add_up_mod_p_at_all_edges(count: int, blocks: int) -> None:
    edges = [0, 1, 2, 5, 1 << 60, PRIME // 2, PRIME // 2 + 1, PRIME - 2, PRIME - 1, PRIME]
    cases = list(itertools.product(edges, repeat=count))

    sums = added_up([list(column) for column in zip(*cases, strict=True)], BITS, blocks)

    assert [found % PRIME for found in sums] == [sum(case) % PRIME for case in cases]
    assert max(sums) <= PRIME


MASKS = st.integers(0, PRIME)


@settings(deadline=None)
@given(st.lists(st.tuples(MASKS, MASKS, MASKS), min_size=1, max_size=64), st.sampled_from(FORMS))
def test_any_masks_add_up_mod_p(cases: list[tuple[int, int, int]], blocks: int) -> None:
    sums = added_up([list(column) for column in zip(*cases, strict=True)], BITS, blocks)

    assert [found % PRIME for found in sums] == [sum(case) % PRIME for case in cases]


@pytest.mark.parametrize("blocks", FORMS)
@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_all_words_of_a_few_bits_add_up_with_their_carry(bits: int, blocks: int) -> None:
    cases = list(itertools.product(range(1 << bits), repeat=2))
    left, right = secret([a for a, _ in cases], bits), secret([b for _, b in cases], bits)
    before = left.copy(), right.copy()

    total, carry = clear(add_words(left, right, blocks=blocks))

    low, high = words(total, bits, len(cases)), words(carry, 1, len(cases))
    assert [a + (b << bits) for a, b in zip(low, high, strict=True)] == [a + b for a, b in cases]
    assert np.array_equal(left, before[0])
    assert np.array_equal(right, before[1])


def test_masks_cost_what_is_stated() -> None:
    def cost(count: int, blocks: int) -> tuple[int, int]:
        masks = [secret([0], BITS) for _ in range(count)]
        run = counted(sum_of_masks(masks, blocks=blocks))
        return run.rounds, run.ands

    assert cost(1, 1) == cost(1, 5) == (0, 0)
    assert cost(2, 1) == (61, 61)
    assert cost(3, 1) == (62, 122)
    rounds, ands = cost(2, 5)
    assert rounds <= 61 / 5 + 5 + 2
    assert ands <= 4.3 * 61


# -- rows to words ----------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 3), st.data())
def test_unslicing_collects_the_bits_of_each_cell(width: int, data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, 64 * width))
    seed = data.draw(st.integers(0, 1000))
    rows = np.random.default_rng(seed).integers(0, 1 << 64, (61, width), np.uint64)

    got = unslice(rows, cells)

    assert got.tolist() == [
        sum((int(rows[row, cell // 64]) >> (cell % 64) & 1) << row for row in range(61))
        for cell in range(cells)
    ]


# -- the whole conversion ---------------------------------------------------------------------


def constant(boolean: Boolean, chosen: list[Number], low_bits: int) -> Circuit[Signed]:
    """Draws nothing: numbers that the test has chosen."""
    lows, signs, carries = zip(*chosen, strict=True)

    def bits(values: Iterable[int], rows: int) -> Any:
        plain = sliced(values, rows)
        return boolean.flip(boolean.zeros(*plain.shape), plain)

    return Signed(low=bits(lows, low_bits), sign=bits(signs, 1), carry=bits(carries, 1))
    yield


EDGES = [number for number in numbers([0, 1, 3, 4, 7]) if number != (7, 0, 1)]  # 8 has no room


def opened(shares: list[Words], t: int) -> list[int]:
    return field.decode(field.open_shares(dict(enumerate(shares)), threshold=t)).tolist()


@pytest.mark.parametrize("blocks", [1, 5])
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_the_shares_open_to_the_number_and_have_degree_t(
    together: Together, m: int, t: int, blocks: int
) -> None:
    chosen = EDGES * 10

    async def work(engine: Engine) -> Words:
        lane = engine.lane()
        boolean, random = Boolean(lane), engine.local_random.words
        number = constant(boolean, chosen, 3)
        return await to_field(boolean, lane, number, len(chosen), random, blocks=blocks)

    shares = together(m, t, work)

    assert opened(shares, t) == [value(number, 3) for number in chosen]
    points = list(range(1, t + 1))
    too_few = field.decode(field.combine(shares[:t], points))
    assert np.abs(too_few).min() > 1 << 30  # 2^-30 a cell that it is not


def masks_at_edges(m: int, t: int, cells: list[int]) -> Callable[..., None]:
    """Streams of fixed words: mask ``A_k`` is ``cells`` turned by k places; the rest is random."""

    def fill(out: Words, subset: Subset, purpose: Purpose, dealer: int, start: int) -> None:
        seed = [*subset, 99, ord(purpose[0]), ord(purpose[1]), dealer, start]
        out[:] = np.random.default_rng(seed).integers(0, 1 << 64, out.size, np.uint64)
        if purpose == "mask":
            first = next(s for s in subsets(m, t) if dealer in s)
            turned = cells[dealer:] + cells[:dealer]
            out[:] = sliced(turned, BITS).reshape(-1) if subset == first else 0

    return fill


@pytest.mark.parametrize("blocks", [1, 5])
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_masks_at_every_edge_come_off_again_both_zeros_included(
    m: int, t: int, blocks: int
) -> None:
    cases = list(itertools.product(EDGES, edge_masks(3)))
    chosen, masks = [number for number, _ in cases], [mask for _, mask in cases]

    async def work(lane: TableLane) -> Words:
        boolean, number = Boolean(lane), constant(Boolean(lane), chosen, 3)
        return await to_field(boolean, lane, number, len(cases), LocalRandom().words, blocks=blocks)

    _, shares = run_lanes(m, t, masks_at_edges(m, t, masks), work)

    assert opened(shares, t) == [value(number, 3) for number in chosen]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_only_party_t_sees_the_masked_word_and_only_owners_their_masks(
    together: Together, m: int, t: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, bool]] = []
    known: list[tuple[int, int, bool]] = []
    open_to, known_to = Boolean.open_to, Boolean.known_to

    async def watched(self: Boolean, bits: Any, party: int) -> Words | None:
        result = await open_to(self, bits, party)
        seen.append((self.me, party, result is not None))
        return result

    def drawn(self: Boolean, owner: int, rows: int, width: int) -> Any:
        bits, own = known_to(self, owner, rows, width)
        known.append((self.me, owner, own is not None))
        return bits, own

    async def work(engine: Engine) -> Words:
        lane = engine.lane()
        boolean, random = Boolean(lane), engine.local_random.words
        return await to_field(boolean, lane, constant(boolean, EDGES, 3), 16, random, blocks=1)

    monkeypatch.setattr(Boolean, "open_to", watched)
    monkeypatch.setattr(Boolean, "known_to", drawn)
    monkeypatch.setattr(Boolean, "open", None)  # nothing opens to all
    together(m, t, work)

    assert sorted(seen) == [(me, t, me == t) for me in range(m)]
    assert sorted(known) == [(me, owner, me == owner) for me in range(m) for owner in range(t)]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_the_price_is_the_stated_one(together: Together, m: int, t: int) -> None:
    """Lean form, 3 low bits: the masks' sum, the adder, one opening, t + 1 dealers."""
    chosen = [(low, sign, 0) for low in range(8) for sign in (0, 1)] * 40

    async def work(engine: Engine) -> tuple[int, int]:
        lane = engine.lane()
        boolean, random = Boolean(lane), engine.local_random.words
        number, before = constant(boolean, chosen, 3), engine.bytes_sent
        await to_field(boolean, lane, number, len(chosen), random, blocks=1)
        return engine.rounds, engine.bytes_sent - before

    cells = len(chosen)
    costs = together(m, t, work)

    masks = {1: 0, 2: 61, 3: 61 + 61}[t]  # ANDs; one round less for the carry-save step
    ands = masks + 61 + 3 + (3 if t > 1 else 0)  # a carry of x beside one of the masks: 3 more
    rounds = (61 + t - 2 if t > 1 else 0) + 61 + 3 + (3 if t > 1 else 0) + 1 + 1
    dealt = [8 * cells * (m - 1) if party <= t else 0 for party in range(m)]
    assert [cost[0] for cost in costs] == [rounds] * m
    pieces = len([s for s in subsets(m, t) if t not in s])  # what party t misses
    sent = sum(cost[1] for cost in costs) - sum(dealt)
    assert sent == cells // 8 * (ands * m * (m - t - 1) + 61 * pieces)


@pytest.mark.parametrize("element", [PRIME, (1 << 64) - 1])
@pytest.mark.parametrize("liar", [0, 1])
def test_a_part_that_a_dealer_shares_outside_the_field_is_refused(
    together: Together, liar: int, element: int
) -> None:
    async def work(engine: Engine) -> str:
        lane = engine.lane()
        part = np.array([1, 2], np.uint64) if engine.index < 2 else None
        if engine.index == liar:
            honest = lane.send

            def send(peer: int, label: int, dealt: Words) -> None:
                honest(peer, label, np.full_like(dealt, element))

            lane.send = send  # type: ignore[method-assign]
        try:
            await share_parts(lane, part, dealers=2, cells=2, random=engine.local_random.words)
        except ProtocolError as error:
            return str(error)
        return "done"

    answers = together(3, 1, work)

    refused = "a field element must be below 2^61 - 1"
    assert answers == ["done" if party == liar else refused for party in range(3)]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_the_parts_of_the_first_parties_are_summed(together: Together, m: int, t: int) -> None:
    numbers = [PRIME // 9 * i % PRIME for i in range(1, 3 * (t + 1) + 1)]
    parts = np.array(numbers, np.uint64).reshape(t + 1, 3)

    async def work(engine: Engine) -> Words:
        part = parts[engine.index] if engine.index <= t else None
        return await share_parts(
            engine.lane(), part, dealers=t + 1, cells=3, random=engine.local_random.words
        )

    shares = together(m, t, work)

    got = field.open_shares(dict(enumerate(shares)), threshold=t).tolist()
    assert got == [int(parts[:, cell].astype(object).sum()) % PRIME for cell in range(3)]


def test_a_peer_that_deals_too_few_cells_is_refused(together: Together) -> None:
    async def work(engine: Engine) -> str:
        part = np.zeros(3 if engine.index == 0 else 5, np.uint64)
        assert isinstance(engine._channel, MemoryChannel)
        try:
            await share_parts(
                engine.lane(),
                part if engine.index == 0 else None,
                dealers=1,
                cells=len(part),
                random=engine.local_random.words,
            )
        except ProtocolError as error:
            return str(error)
        return "done"

    refused = "party 0 sent a frame of 24 bytes where 40 were due"
    assert together(3, 1, work) == ["done", refused, refused]
