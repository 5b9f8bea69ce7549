"""What t parties see while secret bits become shares says nothing about the number. All of it.

**Why parts of a proof give the whole.** Take t honest-but-curious parties C. They know all
pseudorandom words but those of S*, the set of all others, and they have what they receive.

1. *Gates.* In each AND the messages to C are (known to C) + L r + Q u, with r the words of S* that
   are fresh in this gate, u the products with a component of S* in them, and rank(L) =
   rank(L | Q) (``test_bits``). So for ANY values of u, which may depend on everything before, the
   messages are uniform in one and the same set. All other components of the product are known to C
   or were received by it; so the component of S* is the product XOR something that C knows.
2. *Induction.* XOR and NOT are local. So after any number of gates the messages have the same law
   whatever the secret bits are, jointly; and C knows every wire up to the wire's true value.
3. *Opening.* What is opened to C adds the true value of ``y = x + A_0 + .. + A_{t-1}`` and nothing
   else. If party t is not in C, nobody in C receives it. If it is, some A_k is known to none in C:
   it is uniform given all that C has, and so is y.
4. *Shares.* Each dealer shares with t fresh coefficients: t shares are uniform.

Step 1 is tested gate by gate and step 3 mask by mask, for all coalitions of 3, 5 and 7 parties.
The composition is tested as a whole: exhaustively for three parties, and for five and seven by
looking for ANY linear relation over GF(2) between what C sees and the secret. A step that is wrong
fails: the mistakes below compute correct sums, each of them.

What is not exact: masks and the t coefficients of a sharing are words of 61 bits, two of which
encode zero. That costs at most ``(t + 1) 2^-61`` of statistical distance a cell; mod 7 that is 2^-2
for the mask and one coefficient.
"""

import itertools
from fractions import Fraction
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from lanes import COMMITTEES, TableLane, joined, pack, rank, run_lanes, unpack
from views import (
    BITS,
    PRIME,
    Coalition,
    Key,
    Number,
    Story,
    View,
    Watched,
    hidden_words,
    play,
)

from upcare_mpc.mpc import conversion
from upcare_mpc.mpc.bits import Bits, Boolean, designated
from upcare_mpc.mpc.circuits import Circuit
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.magnitudes import Signed, gaussian, laplace
from upcare_mpc.mpc.prss import Purpose, Subset
from upcare_mpc.privacy.digits import Part
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

Row = npt.NDArray[np.uint8]


def coalitions(m: int, t: int) -> list[Coalition]:
    return list(itertools.combinations(range(m), t))


# -- mistakes ---------------------------------------------------------------------------------


class OpenedToAll(Watched):
    """With t masks only: parties 0 .. t-1 know all of them."""

    async def open_to(self, bits: Bits, party: int) -> Words | None:
        self.opened = await self.open(bits)
        return self.opened if self.me == party else None


class OpenedToAnOwner(Watched):
    """Party t receives y as it should, and so does the owner of A_0."""

    async def open_to(self, bits: Bits, party: int) -> Words | None:
        self.opened = await self._reveal(bits, (0, party))
        return self.opened if self.me == party else None


class MaskOfASet(Watched):
    """A_k is one word of one set that k is in: each member of it knows the mask."""

    def known_to(self, owner: int, rows: int, words: int) -> tuple[Bits, Words | None]:
        bits = self.zeros(rows, words)
        subset = designated(self._lane.parties, self._lane.threshold)[owner]
        if subset in self._row:
            self._lane.fill(bits[self._row[subset]], subset, "mask", dealer=owner)
        self.masks.append(bits)
        return bits, bits[self._row[subset]].copy() if owner == self.me else None


class UnmaskedAnd(Watched):
    """Dealers send their terms as they are."""

    async def conjunction(self, left: Bits, right: Bits) -> Bits:
        lane, rest = self._lane, self._own_terms(left, right)
        result = np.zeros(left.shape, np.uint64)
        label = lane.new_round()
        for peer in self._designated[self.me]:
            if peer != self.me:
                lane.send(peer, label, rest)
        result[self._row[self._designated[self.me]]] ^= rest
        await lane.drain()
        for row, dealer in self._sent:
            received = await lane.receive(dealer, label, count=rest.size)
            result[row] ^= received.reshape(rest.shape)
        return result


def one_mask_stream(key: Key) -> Key:
    """The words of a set serve every owner in it, each from the start."""
    purpose, subset, dealer, row = key
    return (purpose, subset, 0 if purpose == "mask" else dealer, row)


def one_and_stream(key: Key) -> Key:
    """The words of a set serve every dealer in it, each from the start."""
    purpose, subset, dealer, row = key
    return (purpose, subset, 0 if purpose == "and" else dealer, row)


def one_word_for_all_gates(key: Key) -> Key:
    """Every AND draws the words of the first."""
    purpose, subset, dealer, row = key
    return (purpose, subset, dealer, 0 if purpose == "and" else row)


# -- masks: any t parties miss one of the t + 1 numbers -----------------------------------------


def one_bit(boolean: Boolean, width: int) -> Circuit[Signed]:
    """A uniform number from -2 to 1."""
    return Signed(low=boolean.random(1, width), sign=boolean.random(1, width))
    yield


class Addends:
    """Which pseudorandom words each mask is the XOR of, and who gets y: read off the real code."""

    def __init__(self, m: int, t: int, story: Story) -> None:
        self.words: dict[Key, int] = {}
        width = 4  # words, so up to 256 different words of streams

        def fill(out: Words, subset: Subset, purpose: Purpose, dealer: int, start: int) -> None:
            for row in out.reshape(-1, width):
                unit = np.zeros(64 * width, np.uint8)
                if purpose == "mask":
                    key = story.named((purpose, subset, dealer, start))
                    unit[self.words.setdefault(key, len(self.words))] = 1
                row[:] = pack(unit)

        actors: list[Watched] = []

        async def work(lane: TableLane) -> None:
            actors.append(story.boolean(lane))
            number = story.number(actors[lane.index], width)
            await conversion.to_field(
                actors[lane.index], lane, number, 64 * width, draw, blocks=story.blocks
            )

        def draw(count: int) -> Words:
            return np.zeros(count, np.uint64)

        run_lanes(m, t, fill, work)
        self.readers = {actor.me for actor in actors if actor.opened is not None}
        self.masks = []
        for sharing in zip(*[actor.masks for actor in actors], strict=True):
            bits = np.bitwise_xor.reduce(list(joined(m, t, list(sharing)).values()))
            self.masks.append(unpack(bits[0], len(self.words)))

    def known_to(self, coalition: Coalition) -> bool:
        """Whether a coalition has all of A_0, .., A_{t-1} and y, or a sum of them that is x."""
        hidden = [i for key, i in self.words.items() if not {*key[1]} & {*coalition}]
        forms = [mask[hidden] for mask in self.masks]
        missed = any(rank(forms) > rank(forms[:k] + forms[k + 1 :]) for k in range(len(forms)))
        return bool(self.readers & {*coalition}) and not missed


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_any_t_parties_miss_one_of_the_numbers(m: int, t: int) -> None:
    addends = Addends(m, t, Story(number=one_bit))

    assert addends.readers == {t}
    assert len(addends.masks) == t
    assert [c for c in coalitions(m, t) if addends.known_to(c)] == []


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_a_mask_is_one_word_of_every_set_of_its_owner_drawn_for_it(m: int, t: int) -> None:
    addends = Addends(m, t, Story(number=one_bit))

    words = {i: (subset, dealer) for (_, subset, dealer, _), i in addends.words.items()}
    size = m - t
    for owner, mask in enumerate(addends.masks):
        sets = [s for s in itertools.combinations(range(m), size) if owner in s]
        assert {words[i] for i in np.flatnonzero(mask)} == {(s, owner) for s in sets}


WRONG_MASKS = {
    "opened to all": (Story(number=one_bit, boolean=OpenedToAll), {3, 5, 7}),
    "opened to an owner": (Story(number=one_bit, boolean=OpenedToAnOwner), {3, 5, 7}),
    "a mask of a set": (Story(number=one_bit, boolean=MaskOfASet), {3, 5, 7}),
    "one stream for all masks": (Story(number=one_bit, named=one_mask_stream), {5, 7}),
}


@pytest.mark.parametrize("mistake", WRONG_MASKS)
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_some_t_parties_have_all_numbers_if_masks_are_wrong(m: int, t: int, mistake: str) -> None:
    story, seen_at = WRONG_MASKS[mistake]
    addends = Addends(m, t, story)

    assert any(addends.known_to(c) for c in coalitions(m, t)) == (m in seen_at)


def test_party_one_of_three_has_all_numbers_if_a_pair_knows_the_mask() -> None:
    addends = Addends(3, 1, Story(number=one_bit, boolean=MaskOfASet))

    assert [c for c in coalitions(3, 1) if addends.known_to(c)] == [(1,)]


def test_owner_of_the_only_mask_has_all_numbers_if_y_is_opened_to_all() -> None:
    addends = Addends(3, 1, Story(number=one_bit, boolean=OpenedToAll))

    assert [c for c in coalitions(3, 1) if addends.known_to(c)] == [(0,)]


# -- three parties: every case ------------------------------------------------------------------


def a_laplace(precision: int, thresholds: tuple[int, ...], blocks: int = 1) -> Number:
    law = SampledLaplace(
        scale=Fraction(1),
        precision=precision,
        magnitude_bits=len(thresholds) - 1,
        thresholds=thresholds,
    )
    return partial(_draw_laplace, law, blocks)


def _draw_laplace(
    law: SampledLaplace, blocks: int, boolean: Boolean, width: int
) -> Circuit[Signed]:
    return laplace(boolean, law, width, blocks=blocks)


def a_gaussian(precision: int, tables: tuple[tuple[int, ...], ...]) -> Number:
    part = Part(
        shift=0,
        sigma_squared=Fraction(1),
        precision=precision,
        magnitude_bits=len(tables),
        tables=tables,
    )
    law = SampledGaussian(parts=(part,))
    return lambda boolean, width: gaussian(boolean, law, width, blocks=1)


STORIES = {
    "laplace": Story(number=a_laplace(2, (1, 2))),
    "laplace, other coins": Story(number=a_laplace(2, (3, 1))),
    "laplace, coins in blocks": Story(number=a_laplace(2, (1, 3), blocks=2)),
    "laplace, adder in blocks": Story(number=a_laplace(1, (1, 1)), blocks=2),
    "laplace, two digits": Story(number=a_laplace(1, (1, 1, 1))),
    "gaussian": Story(number=a_gaussian(2, ((1,),))),
    "gaussian, two digits": Story(number=a_gaussian(1, ((1,), (0, 1)))),
}
KNOWN = range(8)  # all zeros, all ones, six at random


def all_cases(party: int, story: Story, known: int) -> View:
    """Every assignment of what one of three parties does not know: words, and coefficients."""
    keys = hidden_words(3, (party,), story)
    dealing = [dealer for dealer in (0, 1) if dealer != party]
    cases = PRIME ** len(dealing) << max(len(keys), 6)
    number = np.arange(cases)
    hidden = {key: (number >> place & 1).astype(np.uint8) for place, key in enumerate(keys)}
    number >>= max(len(keys), 6)
    coefficients = {dealer: number // PRIME**place % PRIME for place, dealer in enumerate(dealing)}
    return play(3, (party,), story, hidden, known=known, dealers=coefficients)


def counts(view: View, *, exact: bool) -> dict[int, npt.NDArray[np.int64]]:
    """For each number, how often each view occurs among the cases.

    Exact: given that the mask is not the second zero, and with an opened 0 and p taken as one.
    """
    code = np.zeros(view.cases, np.int64)
    for row in view.gates:
        code = 2 * code + row
    if exact and view.opened is not None:
        code = PRIME * code + view.opened % PRIME
    else:
        for row in view.opening:
            code = 2 * code + row
    for share in view.dealt:
        code = PRIME * code + share.astype(np.int64)
    kept = view.masks[0] != PRIME
    if not exact or not kept.any():  # not any: the party knows the mask, which is p in all cases
        kept[:] = True
    _, code = np.unique(code[kept], return_inverse=True)
    x, views = view.x[kept], int(code.max()) + 1
    return {int(v): np.bincount(code[x == v], minlength=views) for v in np.unique(x)}


def all_alike(table: dict[int, npt.NDArray[np.int64]]) -> bool:
    """Whether the law of the view is the same for every number."""
    first, *others = table.values()
    return all(np.array_equal(first * other.sum(), other * first.sum()) for other in others)


def distance(table: dict[int, npt.NDArray[np.int64]]) -> Fraction:
    """Largest statistical distance between the views of two numbers."""
    laws = [(row, int(row.sum())) for row in table.values()]
    return max(
        Fraction(int(np.abs(one * n - other * k).sum()), 2 * k * n)
        for (one, k), (other, n) in itertools.combinations(laws, 2)
    )


@pytest.mark.parametrize("party", range(3))
@pytest.mark.parametrize("name", STORIES)
def test_every_view_of_a_party_is_as_likely_for_every_number(name: str, party: int) -> None:
    for known in KNOWN:
        view = all_cases(party, STORIES[name], known)

        assert len(np.unique(view.x)) >= 3
        assert not ((view.result - view.x) % PRIME).any()
        assert all_alike(counts(view, exact=True))
        if party == 1:  # it receives y
            assert 0 < distance(counts(view, exact=False)) <= Fraction(2, 1 << BITS)
        else:
            assert all_alike(counts(view, exact=False))


WRONG = {
    "opened to all": (Story(number=a_laplace(2, (1, 2)), boolean=OpenedToAll), {0}),
    "opened to an owner": (Story(number=a_laplace(2, (1, 2)), boolean=OpenedToAnOwner), {0}),
    "a mask of a pair": (Story(number=a_laplace(2, (1, 2)), boolean=MaskOfASet), {1}),
    "an and without masks": (Story(number=a_laplace(2, (1, 2)), boolean=UnmaskedAnd), {0, 1, 2}),
    "one word for all gates": (
        Story(number=a_laplace(2, (1, 2)), named=one_word_for_all_gates),
        {0, 1, 2},
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_some_view_tells_numbers_apart_if_a_step_is_wrong(mistake: str) -> None:
    story, told = WRONG[mistake]

    found = set()
    for party, known in itertools.product(range(3), KNOWN):
        view = all_cases(party, story, known)
        assert not ((view.result - view.x) % PRIME).any()  # a result that nobody would doubt
        if not all_alike(counts(view, exact=True)):
            found.add(party)

    assert found == told


# -- all committees: the masked word, and any linear relation -------------------------------------


def many_cases(m: int, coalition: Coalition, story: Story, known: int, cases: int = 4096) -> View:
    """Every number and every hidden mask, each equally often; what hides the gates is random."""
    keys = [key for key in hidden_words(m, coalition, story) if key[0] != "and"]
    assert cases % (1 << len(keys)) == 0
    number = np.arange(cases)
    hidden = {key: (number >> place & 1).astype(np.uint8) for place, key in enumerate(keys)}
    return play(m, coalition, story, hidden, known=known)


def masked_word_is_uniform(view: View, coalition: Coalition) -> bool:
    """Whether y mod p is uniform for every number, given that no hidden mask is the second zero."""
    if view.opened is None:
        return True
    kept = np.ones(view.cases, bool)
    for owner, mask in enumerate(view.masks):
        kept &= (mask != PRIME) | (owner in coalition)
    table = [
        np.bincount(view.opened[kept & (view.x == x)] % PRIME, minlength=PRIME)
        for x in np.unique(view.x)
    ]
    return len({count for row in table for count in row.tolist()}) == 1


def independent(seen: list[Row], secrets: list[Row], cases: int) -> bool:
    """Whether no XOR of what is seen equals a function of the secrets that is not constant."""
    one = np.ones((1, cases), np.uint8)
    view, secret = np.array([*seen, *one]), np.array([*secrets, *one])
    return rank(np.concatenate((view, secret))) == rank(view) + rank(secret) - 1


def bits_of(numbers: npt.NDArray[np.int64], count: int) -> list[Row]:
    return [(numbers >> place & 1).astype(np.uint8) for place in range(count)]


def gates_say_nothing(view: View, coalition: Coalition) -> bool:
    """Not even about the masks: linear or quadratic functions of all bits that are hidden."""
    hidden = bits_of(view.x, 2)
    for owner, mask in enumerate(view.masks):
        if owner not in coalition:
            hidden += bits_of(mask, BITS)
    products = [a & b for a, b in itertools.combinations(hidden, 2)]
    return independent(view.gates, hidden + products, view.cases)


def all_say_nothing(view: View) -> bool:
    """Gates and opening together, about any function of the number."""
    low, sign = bits_of(view.x, 2)
    return independent(view.gates + view.opening, [low, sign, low & sign], view.cases)


def tells(m: int, coalition: Coalition, story: Story, known: int) -> bool:
    """Whether a coalition's view says something about the number."""
    view = many_cases(m, coalition, story, known)
    assert not ((view.result - view.x) % PRIME).any()  # the number is converted, mistake or not
    return not (
        masked_word_is_uniform(view, coalition)
        and gates_say_nothing(view, coalition)
        and all_say_nothing(view)
    )


SEVEN_SLOWLY = [*COMMITTEES[:2], pytest.param(*COMMITTEES[2], marks=pytest.mark.slow)]


@pytest.mark.parametrize(("known", "blocks"), [(0, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize(("m", "t"), SEVEN_SLOWLY)
def test_no_t_parties_see_anything_of_the_number(m: int, t: int, known: int, blocks: int) -> None:
    story = Story(number=one_bit, blocks=blocks)

    assert [c for c in coalitions(m, t) if tells(m, c, story, known)] == []


@pytest.mark.parametrize(
    ("story", "seen_at"),
    [
        *WRONG_MASKS.values(),
        (Story(number=one_bit, boolean=UnmaskedAnd), {3, 5, 7}),
        (Story(number=one_bit, named=one_and_stream), {5, 7}),
        (Story(number=one_bit, named=one_word_for_all_gates), {3, 5, 7}),
    ],
    ids=[*WRONG_MASKS, "an and without masks", "one stream for all dealers", "one word"],
)
@pytest.mark.parametrize(("m", "t"), SEVEN_SLOWLY)
def test_some_t_parties_see_the_number_if_a_step_is_wrong(
    m: int, t: int, story: Story, seen_at: set[int]
) -> None:
    told = (tells(m, c, story, known) for known in (0, 2) for c in coalitions(m, t))

    assert any(told) == (m in seen_at)
