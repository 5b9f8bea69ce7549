"""Stories: what the masks of a conversion are for.

To turn a decrypted deposit into shares, each party sends ``y_j + Delta r_j + f_j + zero_j`` to all.
Only the sum of these addends decrypts, and the sum is masked by ``r`` and flooded by ``f``. So one
might leave out the zeros, or, when a first attempt broke off, send the same bytes again.

Adversary: one honest-but-curious party of three, and a submitter that it talks to.
"""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from upcare_mpc.he.parameters import DELTA, Q, T
from upcare_mpc.he.scheme import lagrange, round_to_plaintext
from upcare_mpc.link.memory import connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs import deposit
from upcare_mpc.mpc.programs.deposit import convert
from upcare_mpc.mpc.prss import Stream

HOLDERS = 5
CELLS = 1000


class Seen:
    """What every party of a conversion sees: the addends of all, party by party."""

    def __init__(self) -> None:
        self.addends: dict[int, list[int]] = {}
        self.shares: list[Words] = []

    @property
    def opened(self) -> list[int]:
        total = [sum(column) % Q for column in zip(*self.addends.values(), strict=True)]
        return round_to_plaintext(total)


def watch(
    addends: list[list[int]], patch: pytest.MonkeyPatch, *, seeds: list[bytes] | None = None
) -> Seen:
    """Convert among three parties; with ``seeds`` each draws its own masks from one of them."""
    seen, decode = Seen(), deposit._elements

    def elements(frame: bytes, *, cells: int, party: int) -> list[int]:
        seen.addends[party] = decode(frame, cells=cells, party=party)
        return seen.addends[party]

    async def session() -> list[Words]:
        engines = [
            Engine(channel, parties=3, threshold=1, session=bytes(32), program="story/1")
            for channel in connect(3)
        ]
        for engine, seed in zip(engines, seeds or [], strict=False):
            engine.local_random.words = Stream(seed).words  # type: ignore[method-assign]
        await asyncio.gather(*[engine.agree_keys() for engine in engines])
        async with asyncio.TaskGroup() as group:
            tasks = [
                engine.branch(convert(engine, own), group=group)
                for engine, own in zip(engines, addends, strict=True)
            ]
        return [task.result() for task in tasks]

    with patch.context() as inner:
        inner.setattr(deposit, "_elements", elements)
        seen.shares = asyncio.run(asyncio.wait_for(session(), 20))
    return seen


def no_zeros(lane: object, cells: int) -> tuple[int, int, int]:
    return 0, 0, 0


# -- the key, out of addends that nothing but their own masks hides -------------------------------


class Holders:
    """Five holders of a key, t = 1, and a deposit that says the key.

    Its submitter encrypts zeros with ``u = e0 = 0`` and ``e1 = 1``. These are as short as they
    have to be, so the proof holds; it decrypts to zeros with the error s.
    """

    def __init__(self) -> None:
        chance = np.random.default_rng(5)
        self.key = chance.integers(-1, 2, (HOLDERS, CELLS)).sum(axis=0).tolist()
        slope = [int.from_bytes(chance.bytes(40), "little") % Q for _ in range(CELLS)]
        self.shares = {
            point: [(s + point * c) % Q for s, c in zip(self.key, slope, strict=True)]
            for point in range(1, HOLDERS + 1)
        }

    def addends(self, points: tuple[int, ...]) -> list[list[int]]:
        """``lambda_j c1 sigma_j`` for ``c1 = 1``; ``c0`` is zero."""
        weights = lagrange(points)
        return [
            [weight * share % Q for share in self.shares[point]]
            for point, weight in zip(points, weights, strict=True)
        ]

    def key_modulo(self, seen: Seen, points: tuple[int, ...]) -> list[int]:
        """What the party in the middle makes of the first one's addend: s mod ``last - 1``.

        With its own share it writes ``y_1 = known + beta s``, ``beta = last / (last - 1)`` mod q.
        The fraction is ``(last s + j q) / modulus``, j a function of s mod modulus; and ``j q /
        modulus`` lies ``j T / modulus`` times Delta up. Flooding of 2^110 is far below a fourth of
        ``Delta = 2^115``.
        """
        first, own, last = points
        modulus, weight = last - first, lagrange(points)[0]
        found = []
        for addend, share in zip(seen.addends[0], self.shares[own], strict=True):
            rest = (addend - weight * first * pow(own, -1, Q) * share) % Q
            step = round(rest % DELTA * modulus / DELTA) % modulus
            found.append(-step * Q * pow(last * T, -1, modulus) % modulus)
        return found

    def whole_key(self, patch: pytest.MonkeyPatch) -> list[int]:
        """From two sessions: the first broke off, in the second another holder took part."""
        quorums = (1, 2, 5), (1, 2, 4)
        fourths, thirds = (
            self.key_modulo(watch(self.addends(points), patch), points) for points in quorums
        )
        twelfths = ((9 * a + 4 * b) % 12 for a, b in zip(fourths, thirds, strict=True))
        return [value - 12 if value > HOLDERS else value for value in twelfths]


def test_without_zeros_one_party_and_one_submitter_read_the_whole_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holders = Holders()
    monkeypatch.setattr(deposit, "_zeros", no_zeros)

    assert holders.whole_key(monkeypatch) == holders.key


def test_with_zeros_the_same_calculation_gives_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess is right with one in twelve; that 200 of 1,000 are has a probability below 1e-26."""
    holders = Holders()

    guess = holders.whole_key(monkeypatch)

    assert sum(a == b for a, b in zip(guess, holders.key, strict=True)) < 200


def test_what_is_converted_is_right_with_and_without_zeros(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No test of the result tells the two apart."""
    addends = Holders().addends((1, 2, 5))
    right = watch(addends, monkeypatch)
    monkeypatch.setattr(deposit, "_zeros", no_zeros)
    wrong = watch(addends, monkeypatch)

    for seen in (right, wrong):
        assert not field.open_shares(dict(enumerate(seen.shares)), threshold=1).any()


# -- a second attempt ---------------------------------------------------------------------------


def split(cells: list[int]) -> list[list[int]]:
    """Additive shares of ``Delta M + e`` for three parties."""
    chance = np.random.default_rng()
    first, second = (
        [int.from_bytes(chance.bytes(40), "little") % Q for _ in cells] for _ in range(2)
    )
    third = [
        (DELTA * cell + int(chance.integers(-(1 << 20), 1 << 20)) - a - b) % Q
        for cell, a, b in zip(cells, first, second, strict=True)
    ]
    return [first, second, third]


def two_attempts(
    patch: pytest.MonkeyPatch, victim: list[int], seeds: list[list[bytes]]
) -> list[int]:
    """A sum is converted, then the same sum without the victim's deposit; the difference of v."""
    others = list(range(100, 100 + len(victim)))
    both = [a + b for a, b in zip(others, victim, strict=True)]
    opened = [
        watch(split(cells), patch, seeds=own).opened
        for cells, own in zip((both, others), seeds, strict=True)
    ]
    return [(a - b) % T for a, b in zip(*opened, strict=True)]


def test_the_same_masks_for_two_attempts_give_away_what_was_dropped_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    victim = [0, 1, 0, 0, 1, 0, 1, 0]
    seeds = [bytes([party]) * 16 for party in range(3)]

    assert two_attempts(monkeypatch, victim, [seeds, seeds]) == victim


def test_fresh_masks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are drawn in every call; eight differences of 2^61 values never come out small."""
    victim = [0, 1, 0, 0, 1, 0, 1, 0]

    differences = two_attempts(monkeypatch, victim, [[], []])

    assert all(10**6 < value < T - 10**6 for value in differences)
    assert all(a != b for a, b in pairwise(differences))


def test_one_fresh_mask_of_an_honest_party_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parties repeat theirs; the third alone hides the difference."""
    victim = [0, 1, 0, 0, 1, 0, 1, 0]
    seeds = [bytes([party]) * 16 for party in range(3)]

    differences = two_attempts(monkeypatch, victim, [seeds, [*seeds[:2], bytes([9]) * 16]])

    assert all(10**6 < value < T - 10**6 for value in differences)
