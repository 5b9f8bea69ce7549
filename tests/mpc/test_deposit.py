"""Converting deposits: exact at the ends of the field, of degree t, and nothing to see."""

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from holders import additive_shares, dealt_key, element
from scipy import stats

from upcare_mpc.errors import LinkError, OpeningError, ProtocolError
from upcare_mpc.he.parameters import DELTA, FLOOD_BITS, Q, T
from upcare_mpc.he.scheme import Sum, encrypt, round_to_plaintext
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import field as gf
from upcare_mpc.mpc.bits import Lane
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.programs import deposit
from upcare_mpc.mpc.programs.deposit import convert, reshare
from upcare_mpc.mpc.prss import LocalRandom, Subset, subsets

COMMITTEES = [(3, 1), (5, 2), (7, 3), (5, 1)]
Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]

EDGES = [0, 1, 2, T - 1, T - 2, T // 2, T // 2 + 1, 1 << 60, 10**6]
LARGEST_ERROR = 1 << 40  # far above that of any sum of deposits


def split(plain: list[int], parties: int, errors: list[int] | None = None) -> list[list[int]]:
    """Additive shares mod q of ``Delta M + e``."""
    errors = errors or [0] * len(plain)
    rows = [[element() for _ in plain] for _ in range(parties - 1)]
    rows.append(
        [
            (DELTA * value + error - sum(others)) % Q
            for value, error, *others in zip(plain, errors, *rows, strict=True)
        ]
    )
    return rows


def converted(together: Together, m: int, t: int, addends: list[list[int]]) -> list[Words]:
    async def work(engine: Engine) -> Words:
        return await convert(engine, addends[engine.index])

    return together(m, t, work)


def opened(shares: list[Words], t: int) -> list[int]:
    """The vector; all shares must lie on one polynomial of degree t."""
    return list(map(int, gf.open_shares(dict(enumerate(shares)), threshold=t)))


# -- the result ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@pytest.mark.parametrize("error", [0, 1, -1, LARGEST_ERROR, -LARGEST_ERROR])
def test_values_at_the_ends_of_the_field_come_out_exactly(
    together: Together, m: int, t: int, error: int
) -> None:
    shares = converted(together, m, t, split(EDGES, m, [error] * len(EDGES)))

    assert opened(shares, t) == EDGES


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_negative_cells_are_those_of_the_field(together: Together, m: int, t: int) -> None:
    cells = np.array([-1, -(10**9), 5, -(1 << 60) + 1], np.int64)
    shares = converted(together, m, t, split(gf.encode(cells).tolist(), m))

    assert gf.decode(np.array(opened(shares, t), np.uint64)).tolist() == cells.tolist()


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_any_t_plus_1_shares_give_the_result_and_t_do_not(
    together: Together, m: int, t: int
) -> None:
    """The degree is t: not more, and the shares are not the value itself."""
    shares = converted(together, m, t, split(EDGES, m))

    for chosen in itertools.combinations(range(m), t + 1):
        points = [party + 1 for party in chosen]
        assert gf.combine([shares[i] for i in chosen], points).tolist() == EDGES
    for chosen in itertools.combinations(range(m), t):
        points = [party + 1 for party in chosen]
        found = gf.combine([shares[i] for i in chosen], points).tolist()
        assert not set(found) & set(EDGES)  # of 9 elements one hits with 2^-54


def test_an_error_of_half_a_step_is_too_much(together: Together) -> None:
    """The bound is where it is said to be: above it, the next value comes out."""
    flood = 3 << FLOOD_BITS

    below = converted(together, 3, 1, split([5], 3, [DELTA // 2 - flood - 3]))
    above = converted(together, 3, 1, split([5], 3, [DELTA // 2 + flood + 3]))

    assert (opened(below, 1), opened(above, 1)) == ([5], [6])


def test_pieces_join_to_the_whole_vector(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deposit, "CHUNK_CELLS", 64)
    plain = list(range(150))

    assert opened(converted(together, 3, 1, split(plain, 3)), 1) == plain


def test_no_cells_are_no_cells(together: Together) -> None:
    assert [share.size for share in converted(together, 3, 1, [[], [], []])] == [0, 0, 0]


@pytest.mark.parametrize(("h", "t"), [(5, 1), (5, 2), (7, 3)])
def test_any_2t_plus_1_holders_convert_a_sum_of_deposits(
    together: Together, h: int, t: int
) -> None:
    """In a new session with points of its own; the key was dealt for another one."""
    key, sigmas = dealt_key(h, t)
    tables = [np.array([1, 0, 7, -3, 10**12, 0]), np.array([0, 1, 1, -4, 5, 0])]
    total = (tables[0] + tables[1]).tolist()
    deposits = Sum(6)
    for table in tables:
        deposits.add(encrypt(key, table, os.urandom).ciphertext)

    for quorum in some(list(itertools.combinations(range(h), 2 * t + 1))):
        addends = additive_shares(deposits.ciphertext(), sigmas, quorum)
        shares = converted(together, len(quorum), t, addends)
        assert gf.decode(np.array(opened(shares, t), np.uint64)).tolist() == total


def some(quorums: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """At most ten, the first and the last among them."""
    return sorted({quorums[at] for at in np.linspace(0, len(quorums) - 1, 10, dtype=int)})


def test_t_holders_of_five_cannot_convert(together: Together) -> None:
    """A quorum that lacks a share: what comes out is as good as random, for every one of them."""
    key, sigmas = dealt_key(5, 1)
    ciphertext = encrypt(key, np.arange(8), os.urandom).ciphertext
    for place in range(5):
        strangers = [[element() for _ in sigma] for sigma in sigmas]
        strangers[place] = sigmas[place]
        quorum = tuple(sorted({place, (place + 1) % 5, (place + 2) % 5}))
        shares = converted(together, 3, 1, additive_shares(ciphertext, strangers, quorum))
        assert not set(opened(shares, 1)) & set(range(8))  # 8 elements in 8 of 2^61


# -- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_rounds_and_bytes_are_as_stated(together: Together, m: int, t: int) -> None:
    addends = split([3] * 100, m)

    async def work(engine: Engine) -> tuple[int, int]:
        before = engine.bytes_sent
        await convert(engine, addends[engine.index])
        between = engine.bytes_sent
        await reshare(engine, np.ones(100, np.uint64))
        return between - before, engine.bytes_sent - between

    assert together(m, t, work) == [(30 * 100 * (m - 1), 8 * 100 * (m - 1))] * m


def test_all_is_sent_before_anything_is_awaited() -> None:
    """One round: a party that hears nothing has sent all the same."""

    async def session() -> tuple[int, int]:
        engines = [
            Engine(channel, parties=3, threshold=1, session=bytes(32), program="test/1")
            for channel in connect(3)
        ]
        await asyncio.gather(*[engine.agree_keys() for engine in engines])
        first, sent = engines[0], []
        for work in (convert(first, [1] * 100), reshare(first, np.ones(100, np.uint64))):
            before = first.bytes_sent
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(work, 0.2)
            sent.append(first.bytes_sent - before)
        return sent[0], sent[1]

    assert asyncio.run(session()) == (2 * 30 * 100, 2 * 8 * 100)


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], list[int]]:
    """Sender and receiver to the lengths of what was sent, in order."""
    sent: dict[tuple[int, int], list[int]] = defaultdict(list)
    original = MemoryChannel.send

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        sent[self.index, peer].append(len(payload))
        original(self, peer, label, payload)

    monkeypatch.setattr(MemoryChannel, "send", send)
    return sent


def test_lengths_depend_on_the_number_of_cells_alone(
    together: Together, frames: dict[tuple[int, int], list[int]]
) -> None:
    converted(together, 3, 1, split([0] * 50, 3))
    zeros = {link: lengths.copy() for link, lengths in frames.items()}
    frames.clear()
    converted(together, 3, 1, split([T - 1] * 50, 3, [-LARGEST_ERROR] * 50))

    assert frames == zeros
    assert {tuple(sorted(lengths[-2:])) for lengths in zeros.values()} == {(8 * 50, 22 * 50)}


FAULTS: dict[str, tuple[int, Callable[[bytes], bytes], str]] = {
    "an addend short of a byte": (22, lambda frame: frame[:-1], "1099 bytes where 1100 were due"),
    "an addend too long": (22, lambda frame: frame + bytes(22), "1122 bytes where 1100 were due"),
    "no addend": (22, lambda _: b"", "0 bytes where 1100 were due"),
    "q in place of zero": (22, lambda f: Q.to_bytes(22, "little") + f[22:], "elements mod q"),
    "all ones": (22, lambda frame: frame[:-22] + b"\xff" * 22, "elements mod q"),
    "a share too short": (8, lambda frame: frame[:-8], "392 bytes where 400 were due"),
    "a share too long": (8, lambda frame: frame + bytes(1), "401 bytes where 400 were due"),
    "p in place of zero": (8, lambda f: PRIME.to_bytes(8, "little") + f[8:], "below 2\\^61"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_frame_that_is_not_what_was_due_ends_the_session(
    together: Together, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    size, change, text = FAULTS[fault]
    original = MemoryChannel.send

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        faulty = self.index == 1 and peer == 2 and len(payload) == size * 50
        original(self, peer, label, change(bytes(payload)) if faulty else payload)

    monkeypatch.setattr(MemoryChannel, "send", send)

    with pytest.raises(ExceptionGroup) as caught:
        converted(together, 3, 1, split([3] * 50, 3))

    assert caught.group_contains(ProtocolError, match=text)


def test_a_lost_peer_ends_the_conversion(together: Together) -> None:
    addends = split([3] * 50, 3)

    async def work(engine: Engine) -> Words:
        if engine.index == 2:
            assert isinstance(engine._channel, MemoryChannel)
            engine._channel.lose()
            return np.zeros(0, np.uint64)
        return await convert(engine, addends[engine.index])

    with pytest.raises(ExceptionGroup) as caught:
        together(3, 1, work)

    assert caught.group_contains(LinkError, match="lost")


# -- sealed shares ------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_addends_mod_p_become_fresh_shares(together: Together, m: int, t: int) -> None:
    """Those of an old sharing of h = m holders, weighted; the new shares are others each time."""
    vector = np.array([0, 1, PRIME - 1, PRIME // 2, 12345], np.uint64)
    old = gf.share(vector, parties=m, threshold=t, random=LocalRandom().words)
    weights = gf.lagrange(tuple(range(1, m + 1)))

    async def work(engine: Engine) -> Words:
        me = engine.index
        return await reshare(engine, gf.multiply(old[me], weights[me]))

    first, second = (together(m, t, work) for _ in range(2))

    assert opened(first, t) == opened(second, t) == vector.tolist()
    for party in range(m):
        assert not set(first[party].tolist()) & set(second[party].tolist())
        assert not set(first[party].tolist()) & set(old[party].tolist())


def test_shares_of_three_of_five_holders_become_shares_of_their_session(
    together: Together,
) -> None:
    vector = np.array([0, 1, PRIME - 1, 77], np.uint64)
    old = gf.share(vector, parties=5, threshold=1, random=LocalRandom().words)
    for quorum in itertools.combinations(range(5), 3):
        weights = gf.lagrange(tuple(place + 1 for place in quorum))
        addends = [gf.multiply(old[place], w) for place, w in zip(quorum, weights, strict=True)]

        async def work(engine: Engine, addends: list[Words] = addends) -> Words:
            return await reshare(engine, addends[engine.index])

        assert opened(together(3, 1, work), 1) == vector.tolist()


def test_a_liar_among_more_than_t_plus_1_shares_is_found_at_the_opening(
    together: Together,
) -> None:
    shares = converted(together, 3, 1, split([1, 2, 3], 3))
    shares[1] = gf.add(shares[1], np.ones(3, np.uint64))

    with pytest.raises(OpeningError):
        opened(shares, 1)


# -- the view -----------------------------------------------------------------------------------

CELLS = 1 << 13
ALPHA = 1e-9  # false alarms a check; about 4,000 checks in all: 4e-6


@dataclass
class Watched:
    """What each party draws, sends and receives in one conversion."""

    masks: dict[int, Words] = field(default_factory=dict)  # r_j
    floods: dict[int, list[int]] = field(default_factory=dict)  # f_j
    sent: dict[int, list[int]] = field(default_factory=dict)  # a_j
    dealt: dict[int, Words] = field(default_factory=dict)  # all shares of -r_j
    zeros: dict[tuple[int, Subset, int], list[int]] = field(default_factory=dict)
    addends: list[list[int]] = field(default_factory=list)

    @property
    def z(self) -> list[int]:
        return [sum(column) % Q for column in zip(*self.sent.values(), strict=True)]

    def statistics(self, coalition: tuple[int, ...]) -> dict[str, Any]:
        """What a coalition can make of M, e and each honest addend: integers, and their modulus.

        value      v less the masks that it knows: M + honest masks, mod p
        low        what is left of z less the floods that it knows, on top of Delta v
        addend j   an honest addend less Delta r, f and the zeros of sets that it has a member in,
                   all of which are given to it here: y_j and the zeros of the set that it misses
        share j    its first share of an honest -r_j, plus v: all that is masked if r_j is not
        """
        v = round_to_plaintext(self.z)
        value = np.array(v, np.uint64)
        for party in coalition:
            value = gf.add(value, gf.negate(self.masks[party]))
        low = [(a - DELTA * b + Q // 2) % Q - Q // 2 for a, b in zip(self.z, v, strict=True)]
        for party in coalition:
            low = [a - f for a, f in zip(low, self.floods[party], strict=True)]
        views: dict[str, Any] = {
            "value": (value.tolist(), PRIME),
            "low": ([x % 256 for x in low], 256),
        }
        for party in set(self.sent) - set(coalition):
            known = [0] * len(v)
            for (drawer, subset, dealer), words in self.zeros.items():
                if drawer == party and set(subset) & set(coalition):
                    sign = 1 if dealer == drawer else -1
                    known = [a + sign * b for a, b in zip(known, words, strict=True)]
            views[f"addend {party}"] = (
                [
                    (a - DELTA * int(r) - f - k) % Q
                    for a, r, f, k in zip(
                        self.sent[party],
                        self.masks[party],
                        self.floods[party],
                        known,
                        strict=True,
                    )
                ],
                Q,
            )
            for member in coalition[:1]:
                share = gf.add(np.array(v, np.uint64), self.dealt[party][member])
                for other in set(self.sent) - {party}:
                    share = gf.add(share, gf.negate(self.masks[other]))
                views[f"share {party}"] = (share.tolist(), PRIME)
        return views


def watch(together: Together, m: int, t: int, value: int, error: int) -> Watched:
    """Convert many cells of one value, with one error, from addends that are all the same."""
    seen = Watched(addends=[[element()] * CELLS for _ in range(m - 1)])
    rest = (DELTA * value + error - sum(row[0] for row in seen.addends)) % Q
    seen.addends.append([rest] * CELLS)
    masked, zero_words, elements = deposit._masked, deposit._zero_words, deposit._elements
    share = gf.share

    def watched_masked(lane: Lane, addends: list[int], mask: Words, random: Any) -> bytes:
        zeros = [0] * len(addends)
        out = masked(lane, addends, mask, random)
        for (drawer, _, dealer), words in seen.zeros.items():
            if drawer == lane.index:
                sign = 1 if dealer == drawer else -1
                zeros = [a + sign * b for a, b in zip(zeros, words, strict=True)]
        frame = elements(out, cells=len(addends), party=lane.index)
        seen.masks[lane.index] = mask.copy()
        seen.sent[lane.index] = frame
        seen.floods[lane.index] = [
            (a - y - DELTA * int(r) - zero + Q // 2) % Q - Q // 2
            for a, y, r, zero in zip(frame, addends, mask, zeros, strict=True)
        ]
        return out

    def watched_zeros(lane: Lane, subset: Subset, dealer: int, cells: int) -> int:
        packed = zero_words(lane, subset, dealer, cells)
        limbs = packed.to_bytes(24 * cells, "little")
        seen.zeros[lane.index, subset, dealer] = [
            int.from_bytes(limbs[at : at + 24], "little") for at in range(0, len(limbs), 24)
        ]
        return packed

    def watched_share(vector: Words, **more: Any) -> Words:
        dealer = next(
            j for j, mask in seen.masks.items() if np.array_equal(gf.negate(mask), vector)
        )
        seen.dealt[dealer] = share(vector, **more)
        return seen.dealt[dealer]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deposit, "_masked", watched_masked)
        patch.setattr(deposit, "_zero_words", watched_zeros)
        patch.setattr(gf, "share", watched_share)
        shares = converted(together, m, t, seen.addends)
    assert opened(shares, t) == [value] * CELLS
    return seen


def looks_uniform(values: list[int], modulus: int) -> bool:
    """The upper 64ths and the lowest 6 bits are each uniform (chi-square)."""
    upper = np.bincount([value * 64 // modulus for value in values], minlength=64)
    lower = np.bincount([value & 63 for value in values], minlength=64)
    return all(stats.chisquare(counts).pvalue >= ALPHA for counts in (upper, lower))


def suspicious(seen: Watched, coalition: tuple[int, ...]) -> set[str]:
    """Kinds of statistics of a coalition that are not uniform."""
    views = seen.statistics(coalition)
    return {name.split()[0] for name, view in views.items() if not looks_uniform(*view)}


@pytest.mark.statistical
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@pytest.mark.parametrize(("value", "error"), [(0, 0), (1, 77), (T - 1, -(1 << 21)), (T // 2, 5)])
def test_what_a_coalition_sees_is_uniform_whatever_is_in_a_deposit(
    together: Together, m: int, t: int, value: int, error: int
) -> None:
    seen = watch(together, m, t, value, error)

    for coalition in itertools.combinations(range(m), t):
        assert not suspicious(seen, coalition), coalition


@pytest.mark.statistical
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_zeros_sum_to_zero_over_every_set(together: Together, m: int, t: int) -> None:
    seen = watch(together, m, t, 3, 1)

    for subset in {subset for _, subset, _ in seen.zeros}:
        rows = [
            [word if dealer == drawer else -word for word in words]
            for (drawer, own, dealer), words in seen.zeros.items()
            if own == subset
        ]
        assert {sum(column) for column in zip(*rows, strict=True)} == {0}


@pytest.mark.statistical
@pytest.mark.parametrize("bound", [T // 2, 3 * (T // 4), 1 << 58], ids=["half", "3/4", "58 bits"])
def test_masks_from_a_part_of_the_field_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    def below(random: Callable[[int], Words], count: int) -> Words:
        return random(count) % np.uint64(bound)

    # The masks alone: coefficients of shares stay whole.
    monkeypatch.setattr(deposit, "field", SimpleNamespace(**(vars(gf) | {"uniform": below})))
    seen = watch(together, 3, 1, 5, 0)

    for party in range(3):
        assert suspicious(seen, (party,)) == {"value"}


@pytest.mark.statistical
def test_a_flood_that_leaves_low_bits_is_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 110 bits, but of multiples of 8: the error mod 8 shows through."""
    monkeypatch.setattr(deposit, "_packed", packed_with(lambda limbs: limbs[:, 0] & ~np.uint64(7)))
    seen = watch(together, 3, 1, 5, 3)

    for party in range(3):
        assert "low" in suspicious(seen, (party,))


def packed_with(change: Callable[[Words], Words]) -> Callable[[Words], int]:
    """Pack floods, which alone have two words a cell, with another lower word."""
    original = deposit._packed

    def packed(limbs: Words) -> int:
        if limbs[:, 1].any() and not limbs[:, 2].any():
            limbs[:, 0] = change(limbs)
        return original(limbs)

    return packed


@pytest.mark.statistical
def test_addends_without_zeros_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deposit, "_zeros", lambda lane, cells: (0, 0, 0))
    seen = watch(together, 3, 1, 5, 0)

    for party in range(3):
        assert suspicious(seen, (party,)) == {"addend"}


@pytest.mark.statistical
def test_zeros_of_one_set_alone_leave_out_some_coalitions(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with a member in it; the result is right, and so is the view of the third party."""
    monkeypatch.setattr(deposit, "subsets", lambda m, t: subsets(m, t)[:1])  # {0, 1}
    seen = watch(together, 3, 1, 5, 0)

    assert [suspicious(seen, (party,)) for party in range(3)] == [{"addend"}, {"addend"}, set()]


@pytest.mark.statistical
def test_zeros_of_too_few_bits_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deposit, "_TOP_WORD", np.uint64((1 << 47) - 1))  # 175 bits
    seen = watch(together, 3, 1, 5, 0)

    for party in range(3):
        assert suspicious(seen, (party,)) == {"addend"}


@pytest.mark.statistical
def test_shares_of_a_mask_that_say_the_mask_are_seen(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dealt with degree 0: the result is right, and every party takes the masks off."""
    share = gf.share

    def constant(vector: Words, **more: Any) -> Words:
        return share(vector, **{**more, "threshold": 0})

    monkeypatch.setattr(gf, "share", constant)
    seen = watch(together, 3, 1, 5, 0)

    for party in range(3):
        assert suspicious(seen, (party,)) == {"share"}
