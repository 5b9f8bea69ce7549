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

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc.bits import Bits, Boolean, designated, product_terms
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.prss import Purpose, Subset, subsets

COMMITTEES = [(3, 1), (5, 2), (7, 3)]
Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]


class TableLane:
    """A lane whose streams come from a table that the test sets; it records what is received."""

    def __init__(
        self,
        channel: MemoryChannel,
        parties: int,
        threshold: int,
        stream: Callable[[Subset, Purpose, int, int], Words],
    ) -> None:
        self.index, self.parties, self.threshold = channel.index, parties, threshold
        self.received: dict[int, Words] = {}
        self._channel, self._stream, self._round = channel, stream, 0

    def stream(self, subset: Subset, purpose: Purpose, *, dealer: int, count: int) -> Words:
        assert self.index in subset
        return self._stream(subset, purpose, dealer, count)

    def new_round(self) -> int:
        self._round += 1
        return self._round

    def send(self, peer: int, label: int, words: Words) -> None:
        self._channel.send(peer, label, words.tobytes())

    async def receive(self, peer: int, label: int, *, count: int) -> Words:
        words = np.frombuffer(await self._channel.receive(peer, label), np.uint64)
        assert len(words) == count
        self.received[peer] = words
        return words

    async def drain(self) -> None:
        await asyncio.sleep(0)


def run_lanes(
    m: int,
    t: int,
    stream: Callable[[Subset, Purpose, int, int], Words],
    work: Callable[[Boolean], Awaitable[Any]],
) -> tuple[list[TableLane], list[Any]]:
    lanes = [TableLane(channel, m, t, stream) for channel in connect(m)]

    async def session() -> list[Any]:
        return await asyncio.gather(*[work(Boolean(lane)) for lane in lanes])

    return lanes, asyncio.run(session())


def deal(m: int, t: int, components: dict[Subset, Words], party: int) -> Bits:
    """A party's share, shape (c, 1, w), of a bit given by its components."""
    return np.stack([components[s] for s in subsets(m, t) if party in s])[:, None, :]


def joined(m: int, t: int, shares: list[Bits]) -> dict[Subset, Words]:
    """The components of a sharing; all holders of one must have the same."""
    components: dict[Subset, Words] = {}
    for party, share in enumerate(shares):
        for s, component in zip([s for s in subsets(m, t) if party in s], share, strict=True):
            assert np.array_equal(components.setdefault(s, component), component), "holders differ"
    return components


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
        trials = 64
        bits = columns + trials  # one assignment a bit: the unit vectors, then random ones
        chance = np.random.default_rng(1)
        r = np.zeros((len(self.words), bits), np.uint8)
        x, y = (np.zeros((len(sets), bits), np.uint8) for _ in range(2))
        r[range(len(self.words)), range(len(self.words))] = 1
        for column, (s, s2) in enumerate(self.products, len(self.words)):
            x[sets.index(s), column] = y[sets.index(s2), column] = 1
        for table in (r, x, y):
            table[:, columns:] = chance.integers(0, 2, (len(table), trials))
        packed = {pair: pack(row) for pair, row in zip(self.words, r, strict=True)}

        def stream(subset: Subset, purpose: Purpose, dealer: int, count: int) -> Words:
            assert purpose == "and"
            return packed[dealer if dealer_in_label else 0, subset][:count]

        left, right = (
            {s: pack(row) for s, row in zip(sets, table, strict=True)} for table in (x, y)
        )

        async def work(circuit: Boolean) -> Bits:
            me = circuit._me
            return await conjunction(circuit, deal(m, t, left, me), deal(m, t, right, me))

        lanes, shares = run_lanes(m, t, stream, work)
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
            for sender, words in lane.received.items()
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


def pack(bits: np.ndarray) -> Words:
    padded = np.zeros(-(-len(bits) // 64) * 64, np.uint8)
    padded[: len(bits)] = bits
    return np.packbits(padded, bitorder="little").view(np.uint64)


def unpack(words: Words, bits: int) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")[:bits]


def rank(matrix: np.ndarray) -> int:
    """Rank over GF(2), rows as Python integers."""
    rows = [int("".join(map(str, row)) or "0", 2) for row in matrix.tolist()]
    found = 0
    while rows:
        pivot = rows.pop()
        if pivot:
            found += 1
            low = pivot & -pivot
            rows = [row ^ pivot if row & low else row for row in rows]
    return found


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
    count = shape[0] * shape[1]
    result = np.zeros(left.shape, np.uint64)
    dealt = circuit._own_terms(left, right)
    for subset in circuit._row:
        dealt = dealt ^ lane.stream(subset, "and", dealer=0, count=count).reshape(shape)
    label = lane.new_round()
    for peer in circuit._designated[circuit._me]:
        if peer != circuit._me:
            lane.send(peer, label, dealt)
    result[circuit._row[circuit._designated[circuit._me]]] ^= dealt
    for dealer in circuit._peers_dealing_to_me():
        received = await lane.receive(dealer, label, count=count)
        result[circuit._row[circuit._designated[dealer]]] ^= received.reshape(shape)
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


# -- masks of the conversion to the field -----------------------------------------------------


def masks_as_words(
    m: int, t: int, draw: Callable[[Boolean, int], Bits]
) -> list[set[tuple[Subset, int]]]:
    """Which pseudorandom words each of the masks A_0..A_t is the XOR of, read off the code."""
    every = [(s, dealer) for s in subsets(m, t) for dealer in s]
    units = np.eye(len(every), dtype=np.uint8)

    def stream(subset: Subset, purpose: Purpose, dealer: int, count: int) -> Words:
        assert purpose == "mask"
        return pack(units[every.index((subset, dealer))])[:count]

    async def work(circuit: Boolean) -> list[Bits]:
        return [draw(circuit, owner) for owner in range(t + 1)]

    _, shares = run_lanes(m, t, stream, work)
    masks = []
    for sharings in zip(*shares, strict=True):
        total = np.bitwise_xor.reduce(list(joined(m, t, list(sharings)).values())).reshape(-1)
        masks.append({every[i] for i in np.flatnonzero(unpack(total, len(every)))})
    return masks


def knows_all_masks(masks: list[set[tuple[Subset, int]]], coalition: tuple[int, ...]) -> bool:
    """Whether a coalition knows every word of every mask; masks share no words."""
    assert sum(map(len, masks)) == len(set().union(*masks))
    return all({*s} & {*coalition} for mask in masks for s, _ in mask)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_every_coalition_of_t_misses_a_whole_mask(m: int, t: int) -> None:
    words = len(unpack_width(m, t))
    masks = masks_as_words(m, t, lambda circuit, owner: circuit.known_to(owner, 1, words)[0])

    for coalition in itertools.combinations(range(m), t):
        assert not knows_all_masks(masks, coalition)
        for owner in set(range(t + 1)) - {*coalition}:
            assert any(not {*s} & {*coalition} for s, _ in masks[owner])


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_a_mask_uses_one_word_of_every_set_of_its_owner_drawn_for_it(m: int, t: int) -> None:
    words = len(unpack_width(m, t))
    masks = masks_as_words(m, t, lambda circuit, owner: circuit.known_to(owner, 1, words)[0])

    for owner, mask in enumerate(masks):
        assert mask == {(s, owner) for s in subsets(m, t) if owner in s}


def test_masks_known_to_sets_hand_party_one_of_three_the_noise() -> None:
    """The known mistake: A_0 the word of {0, 1}, A_1 the word of {1, 2}. Party 1 has both."""
    words = len(unpack_width(3, 1))

    def draw(circuit: Boolean, owner: int) -> Bits:
        subset = designated(3, 1)[owner]
        bits = circuit.zeros(1, words)
        if subset in circuit._row:
            drawn = circuit._lane.stream(subset, "mask", dealer=owner, count=words)
            bits[circuit._row[subset]] = drawn.reshape(1, words)
        return bits

    masks = masks_as_words(3, 1, draw)

    assert [c for c in range(3) if knows_all_masks(masks, (c,))] == [1]


def unpack_width(m: int, t: int) -> range:
    """As many words as hold one bit for every pseudorandom word."""
    return range(-(-len(subsets(m, t)) * (m - t) // 64))
