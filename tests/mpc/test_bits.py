"""Secret bits: the operations are right, and no t parties learn from them what they must not.

The second half is a rank test over GF(2), on the REAL code. One AND is run on many assignments at
once, one in each bit of its words, so that the algebraic form of everything a party sees can be
read off: which pseudorandom words it contains, and which products x_S y_T. For a coalition C only
the component of the complement S* is hidden, of x, of y and of every stream. What C receives is

    message = (known to C)  +  L r  +  Q u,

r the hidden pseudorandom words, u the products with a hidden component in them, taken as unknowns
of their own. C's view is independent of u, whatever x and y are, exactly if no combination of
messages cancels r but not u: rank(L) = rank(L | Q). The hidden component of the result is the
result XOR what C knows, so the view is independent of it as well as far as the result is.
"""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from lanes import COMMITTEES, TableLane, deal, joined, pack, rank, run_lanes, unpack

from upcare_mpc.mpc.bits import Bits, Boolean, designated, product_terms
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import Purpose, Subset, subsets

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]


# -- the operations are right -----------------------------------------------------------------


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_and_xor_flip_and_open_compute_what_they_say(together: Together, m: int, t: int) -> None:
    constant = np.array([[0x0123456789ABCDEF], [0xFFFFFFFFFFFFFFFF]], np.uint64)

    async def work(engine: Engine) -> list[Words]:
        circuit = Boolean(engine.lane())
        x, y = circuit.random(2, 5), circuit.random(2, 5)
        both = await circuit.conjunction(x, y)
        flipped = circuit.flip(x, constant)
        return [await circuit.open(bits) for bits in (x, y, both, x ^ y, flipped)]

    opened = together(m, t, work)

    x, y, both, xor, flipped = opened[0]
    assert np.array_equal(both, x & y)
    assert np.array_equal(xor, x ^ y)
    assert np.array_equal(flipped, x ^ constant)
    assert not np.array_equal(x, y)
    for other in opened[1:]:
        assert [bits.tolist() for bits in other] == [bits.tolist() for bits in opened[0]]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_a_sharing_stays_replicated_through_every_operation(
    together: Together, m: int, t: int
) -> None:
    async def work(engine: Engine) -> list[Bits]:
        circuit = Boolean(engine.lane())
        x, y = circuit.random(3, 2), circuit.random(1, 2)
        both = await circuit.conjunction(x, np.broadcast_to(y, x.shape))
        mask, _ = circuit.known_to(1, 3, 2)
        return [x, both, mask, circuit.flip(both, np.uint64(5)), circuit.zeros(3, 2)]

    shares = together(m, t, work)

    for sharings in zip(*shares, strict=True):
        joined(m, t, list(sharings))


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_an_and_of_broadcast_rows_is_right(together: Together, m: int, t: int) -> None:
    async def work(engine: Engine) -> list[Words]:
        circuit = Boolean(engine.lane())
        x, one = circuit.random(4, 3), circuit.random(1, 3)
        broad = np.broadcast_to(one, x.shape)
        left, right = await circuit.conjunction(x, broad), await circuit.conjunction(broad, x)
        return [await circuit.open(bits) for bits in (x, one, left, right)]

    x, one, left, right = together(m, t, work)[0]

    assert np.array_equal(left, x & one)
    assert np.array_equal(right, x & one)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_bits_known_to_one_party_are_the_bits_that_it_is_told(
    together: Together, m: int, t: int
) -> None:
    async def work(engine: Engine) -> list[tuple[Words | None, Words]]:
        circuit = Boolean(engine.lane())
        drawn = [circuit.known_to(owner, 2, 3) for owner in range(m)]
        return [(told, await circuit.open(bits)) for bits, told in drawn]

    results = together(m, t, work)

    for owner in range(m):
        for party in range(m):
            told, opened = results[party][owner]
            if party == owner:
                assert told is not None
                assert np.array_equal(told, opened)
            else:
                assert told is None
    assert len({results[0][owner][1].tobytes() for owner in range(m)}) == m


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_fresh_bits_are_fresh_on_every_call_and_about_half_ones(
    together: Together, m: int, t: int
) -> None:
    async def work(engine: Engine) -> list[Words]:
        circuit = Boolean(engine.lane())
        return [await circuit.open(circuit.random(1, 1000)) for _ in range(2)]

    first, second = together(m, t, work)[0]

    for bits in (first, second, first ^ second):
        ones = int(np.bitwise_count(bits).sum())
        assert abs(ones - 32_000) < 32_000 * 0.05  # 12 standard deviations


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_every_product_term_is_given_once_to_a_party_that_can_compute_it(m: int, t: int) -> None:
    terms = product_terms(m, t)

    given = [pair for own in terms for pair in own]
    assert sorted(given) == sorted(itertools.product(subsets(m, t), repeat=2))
    for party, own in enumerate(terms):
        assert own
        assert all(party in s and party in s2 for s, s2 in own)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_every_party_deals_through_a_set_that_it_is_in(m: int, t: int) -> None:
    for party, subset in enumerate(designated(m, t)):
        assert party in subset
        assert subset in subsets(m, t)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_bits_open_to_one_party_and_nobody_else_receives_anything(
    together: Together, m: int, t: int
) -> None:
    async def work(engine: Engine) -> tuple[list[Words | None], Words]:
        circuit = Boolean(engine.lane())
        bits = circuit.random(3, 2)
        told = []
        for party in range(m):
            before = engine._channel.bytes_sent
            told.append(await circuit.open_to(bits, party))
            if party == engine.index:
                assert engine._channel.bytes_sent == before
        return told, await circuit.open(bits)

    results = together(m, t, work)

    for me, (told, opened) in enumerate(results):
        for party, words in enumerate(told):
            assert (words is not None) == (party == me)
            assert words is None or np.array_equal(words, opened)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_flipping_in_place_is_flipping(together: Together, m: int, t: int) -> None:
    constant = np.array([[5], [0], [0xFFFFFFFFFFFFFFFF]], np.uint64)

    async def work(engine: Engine) -> list[Words]:
        circuit = Boolean(engine.lane())
        bits = circuit.random(3, 2)
        flipped, before = circuit.flip(bits, constant), bits.copy()
        assert np.array_equal(bits, before)
        circuit.flip_in_place(bits, constant)
        return [await circuit.open(b) for b in (before, flipped, bits)]

    before, flipped, in_place = together(m, t, work)[0]

    assert np.array_equal(flipped, before ^ constant)
    assert np.array_equal(in_place, flipped)


@pytest.mark.parametrize("m", [3, 5, 7])
def test_operands_of_an_and_are_left_alone(together: Together, m: int) -> None:
    async def work(engine: Engine) -> bool:
        circuit = Boolean(engine.lane())
        x, y = circuit.random(2, 3), circuit.random(2, 3)
        before = x.copy(), y.copy()
        await circuit.conjunction(x, y)
        await circuit.conjunction(x, x)
        return np.array_equal(x, before[0]) and np.array_equal(y, before[1])

    assert all(together(m, (m - 1) // 2, work))


@pytest.mark.parametrize(("m", "words"), [(3, 1), (5, 2), (7, 3)])
def test_an_and_costs_one_round_and_the_stated_bytes(
    together: Together, m: int, words: int
) -> None:
    t = (m - 1) // 2

    async def work(engine: Engine) -> tuple[int, int]:
        circuit = Boolean(engine.lane())
        x, y = circuit.random(2, 10), circuit.random(2, 10)
        before = engine.bytes_sent
        await circuit.conjunction(x, y)
        return engine.rounds, engine.bytes_sent - before

    assert together(m, t, work) == [(1, words * 2 * 10 * 8)] * m


# -- no coalition learns anything -------------------------------------------------------------


class AndForm:
    """The algebraic form of what every party receives in one AND, read off the real code.

    Attributes:
        words: The pseudorandom words used: (dealer, set).
        message: (sender, receiver) to the coefficients of the words and of the products.
    """

    def __init__(
        self,
        m: int,
        t: int,
        conjunction: Callable[[Boolean, Bits, Bits], Awaitable[Bits]] = Boolean.conjunction,
        *,
        dealer_in_label: bool = True,
    ) -> None:
        sets = subsets(m, t)
        self.words: list[tuple[int, Subset]] = sorted(
            {(dealer if dealer_in_label else 0, s) for s in sets for dealer in s}
        )
        self.products = list(itertools.product(sets, repeat=2))
        columns = len(self.words) + len(self.products)
        bits = columns + 64  # one assignment a bit: the unit vectors, then random ones
        chance = np.random.default_rng(1)
        r = np.zeros((len(self.words), bits), np.uint8)
        x, y = (np.zeros((len(sets), bits), np.uint8) for _ in range(2))
        r[range(len(self.words)), range(len(self.words))] = 1
        for column, (s, s2) in enumerate(self.products, len(self.words)):
            x[sets.index(s), column] = y[sets.index(s2), column] = 1
        for table in (r, x, y):
            table[:, columns:] = chance.integers(0, 2, (len(table), 64))
        packed = {pair: pack(row) for pair, row in zip(self.words, r, strict=True)}

        def fill(out: Words, subset: Subset, purpose: Purpose, dealer: int, start: int) -> None:
            assert purpose == "and"
            assert not start
            out[:] = packed[dealer if dealer_in_label else 0, subset]

        left, right = (
            {s: pack(row) for s, row in zip(sets, table, strict=True)} for table in (x, y)
        )

        async def work(lane: TableLane) -> Bits:
            x_share, y_share = deal(m, t, left, lane.index), deal(m, t, right, lane.index)
            return await conjunction(Boolean(lane), x_share, y_share)

        lanes, shares = run_lanes(m, t, fill, work)
        self.output = {
            s: unpack(component.reshape(-1), bits) for s, component in joined(m, t, shares).items()
        }
        self.correct = np.array_equal(
            np.bitwise_xor.reduce(list(self.output.values())),
            np.bitwise_xor.reduce(x) & np.bitwise_xor.reduce(y),
        )
        seen = {
            (sender, lane.index): unpack(words, bits)
            for lane in lanes
            for _, sender, words in lane.received
        }
        # The form must hold on assignments it was not read from; else there are other monomials.
        monomials = np.concatenate(
            [r[:, columns:]]
            + [
                (x[sets.index(s), columns:] & y[sets.index(s2), columns:])[None]
                for s, s2 in self.products
            ]
        )
        for values in seen.values():
            assert np.array_equal(values[:columns].astype(int) @ monomials % 2, values[columns:])
        self.message = {pair: values[:columns] for pair, values in seen.items()}

    def leaks_to(self, coalition: tuple[int, ...]) -> bool:
        """Whether the coalition's joint view depends on a hidden component."""
        hidden_words = [
            i for i, (_, subset) in enumerate(self.words) if not {*subset} & {*coalition}
        ]
        hidden_products = [
            i
            for i, (s, s2) in enumerate(self.products, len(self.words))
            if not {*s} & {*coalition} or not {*s2} & {*coalition}
        ]
        seen = [
            form
            for (sender, receiver), form in self.message.items()
            if receiver in coalition and sender not in coalition
        ]
        if not seen:
            return False
        view = np.array(seen)
        masks, secrets = view[:, hidden_words], view[:, hidden_products]
        return rank(masks) != rank(np.concatenate([masks, secrets], axis=1))


async def _conjunction_without_masks(circuit: Boolean, left: Bits, right: Bits) -> Bits:
    """A mistake: the dealer sends its terms as they are, and nothing is drawn."""
    lane, shape = circuit._lane, left.shape[1:]
    result = np.zeros(left.shape, np.uint64)
    dealt = circuit._own_terms(left, right)
    label = lane.new_round()
    for peer in circuit._designated[circuit.me]:
        if peer != circuit.me:
            lane.send(peer, label, dealt)
    result[circuit._row[circuit._designated[circuit.me]]] ^= dealt
    for row, dealer in circuit._sent:
        result[row] ^= (await lane.receive(dealer, label, count=dealt.size)).reshape(shape)
    return result


def leaking(form: AndForm, m: int, t: int) -> list[tuple[int, ...]]:
    return [c for c in itertools.combinations(range(m), t) if form.leaks_to(c)]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_no_coalition_of_t_learns_anything_from_an_and(m: int, t: int) -> None:
    form = AndForm(m, t)

    assert form.correct
    assert leaking(form, m, t) == []


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_the_rank_test_sees_a_dealer_whose_words_are_public(m: int, t: int) -> None:
    form = AndForm(m, t)
    form.words = [(dealer, (*range(m),) if dealer == 0 else s) for dealer, s in form.words]

    assert leaking(form, m, t)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_an_and_without_masks_computes_correctly_and_leaks_to_everybody(m: int, t: int) -> None:
    form = AndForm(m, t, _conjunction_without_masks)

    assert form.correct
    assert leaking(form, m, t) == list(itertools.combinations(range(m), t))


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_each_party_receives_only_from_those_that_deal_through_a_set_it_is_in(
    m: int, t: int
) -> None:
    through = designated(m, t)

    assert set(AndForm(m, t).message) == {
        (dealer, peer) for dealer in range(m) for peer in through[dealer] if peer != dealer
    }


@pytest.mark.parametrize(("m", "t", "leaks"), [(3, 1, False), (5, 2, True), (7, 3, True)])
def test_a_mask_that_forgets_the_dealer_computes_correctly_and_leaks(
    m: int, t: int, leaks: bool
) -> None:
    form = AndForm(m, t, dealer_in_label=False)

    assert form.correct
    assert bool(leaking(form, m, t)) == leaks


async def _conjunction_with_all_own_keys(circuit: Boolean, left: Bits, right: Bits) -> Bits:
    """The known mistake: mask by the XOR of one word of EVERY own set, as three parties may."""
    lane, shape = circuit._lane, left.shape[1:]
    result = np.zeros(left.shape, np.uint64)
    dealt, piece = circuit._own_terms(left, right), np.empty(shape, np.uint64)
    for subset in circuit._row:
        lane.fill(piece, subset, "and", dealer=0)
        dealt ^= piece
    label = lane.new_round()
    for peer in circuit._designated[circuit.me]:
        if peer != circuit.me:
            lane.send(peer, label, dealt)
    result[circuit._row[circuit._designated[circuit.me]]] ^= dealt
    for row, dealer in circuit._sent:
        received = await lane.receive(dealer, label, count=dealt.size)
        result[row] ^= received.reshape(shape)
    return result


@pytest.mark.parametrize(
    ("m", "t", "correct", "leaks"), [(3, 1, True, False), (5, 2, False, True), (7, 3, True, True)]
)
def test_masking_with_all_own_keys_is_wrong_at_five_and_leaks_at_seven(
    m: int, t: int, correct: bool, leaks: bool
) -> None:
    form = AndForm(m, t, _conjunction_with_all_own_keys, dealer_in_label=False)

    assert form.correct == correct
    assert bool(leaking(form, m, t)) == leaks
