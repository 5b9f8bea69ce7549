"""Rounding the halves of a decryption: exact, and nothing opens."""

import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from holders import dealt_key, element
from scipy import stats

from upcare_mpc.he.parameters import DELTA, Q, T
from upcare_mpc.he.scheme import KeyShare, Sum, encrypt, lagrange, partial, round_to_plaintext
from upcare_mpc.mpc import field as gf
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs import rounding
from upcare_mpc.mpc.programs.rounding import PAIR, round_shares

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]

EDGES = [0, 1, 2, T - 1, T - 2, T // 2, T // 2 + 1, 1 << 60, 10**6]
LARGEST_ERROR = 1 << 38  # above that of the sum of 65,536 deposits


def halves(plain: list[int], errors: list[int] | None = None) -> list[list[int]]:
    """Additive shares mod q of ``Delta M + e`` for two parties."""
    first = [element() for _ in plain]
    whole = zip(plain, errors or [0] * len(plain), first, strict=True)
    return [first, [(DELTA * value + error - y) % Q for value, error, y in whole]]


def rounded(together: Together, addends: list[list[int]], cells: int) -> list[Words]:
    async def work(engine: Engine) -> Words:
        own = addends[engine.index] if engine.index < PAIR else None
        return await round_shares(engine, own, cells=cells)

    return together(3, 1, work)


def opened(shares: list[Words]) -> list[int]:
    """The vector; all shares must lie on one polynomial of degree 1."""
    return list(map(int, gf.open_shares(dict(enumerate(shares)), threshold=1)))


@pytest.mark.parametrize("error", [0, LARGEST_ERROR, -LARGEST_ERROR])
def test_values_at_the_ends_of_the_field_come_out_exactly(together: Together, error: int) -> None:
    shares = rounded(together, halves(EDGES, [error] * len(EDGES)), len(EDGES))
    assert opened(shares) == EDGES


def test_any_two_of_four_holders_decrypt_a_sum_of_deposits(together: Together) -> None:
    key, sigmas = dealt_key(4, 1)
    tables = [np.array([1, 0, 7, -3, 10**12, 0]), np.array([0, 1, 1, -4, 5, 0])]
    deposits = Sum(6)
    for table in tables:
        deposits.add(encrypt(key, table, os.urandom).ciphertext)

    for pair in itertools.combinations(range(4), 2):
        weights = lagrange([place + 1 for place in pair])
        addends = [
            partial(deposits.ciphertext(), KeyShare.of(sigmas[place], weight), with_c0=number == 0)
            for number, (place, weight) in enumerate(zip(pair, weights, strict=True))
        ]
        shares = rounded(together, addends, 6)
        assert gf.decode(np.array(opened(shares), np.uint64)).tolist() == sum(tables).tolist()


def test_pieces_join_to_the_whole_vector(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "CHUNK_CELLS", 4)
    plain = list(range(10))
    assert opened(rounded(together, halves(plain), 10)) == plain


def test_no_cells_are_no_cells(together: Together) -> None:
    assert [share.size for share in rounded(together, [[], []], 0)] == [0, 0, 0]


def test_two_send_shares_and_the_third_sends_nothing(together: Together) -> None:
    """No frame but the shares that are dealt: nothing that could open anything."""

    async def work(engine: Engine) -> int:
        before = engine.bytes_sent
        own = addends[engine.index] if engine.index < PAIR else None
        await round_shares(engine, own, cells=100)
        return engine.bytes_sent - before

    addends = halves([3] * 100)
    assert together(3, 1, work) == [2 * 8 * 100, 2 * 8 * 100, 0]


def test_it_is_for_two_of_three(together: Together) -> None:
    async def work(engine: Engine) -> None:
        with pytest.raises(AssertionError):
            await round_shares(engine, [0], cells=1)

    together(5, 2, work)


def test_three_halves_would_not_do() -> None:
    """Each rounds off up to half a step: of three, the sum is often wrong by one."""
    wrong = 0
    for _ in range(1000):
        parts = [element(), element()]
        parts.append((DELTA * 5 - sum(parts)) % Q)
        wrong += sum(round_to_plaintext(parts)) % T != 5
    assert wrong > 100


def test_without_the_zero_a_half_at_a_boundary_rounds_wrong(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the halves are turned first: a submitter cannot choose where they lie."""
    first = [DELTA // 2] * 50
    second = [(DELTA * 5 + 9 - y) % Q for y in first]
    assert opened(rounded(together, [first, second], 50)) == [5] * 50

    plain = [sum(round_to_plaintext([a, b])) % T for a, b in zip(first, second, strict=True)]
    assert plain != [5] * 50


@pytest.mark.statistical
@pytest.mark.parametrize("value", [0, 1, T - 1])
def test_a_half_is_uniform_whatever_is_in_a_deposit(
    together: Together, monkeypatch: pytest.MonkeyPatch, value: int
) -> None:
    """What party 0 deals, over 20,000 cells whose first share is 0: false alarm 1e-6 each.

    Without the pseudorandom zero it would be 0 each time, which is seen.
    """
    seen: dict[int, Words] = {}
    own = rounding._half

    def noted(lane: Any, addends: Any) -> Words:
        seen[lane.index] = own(lane, addends)
        return seen[lane.index]

    monkeypatch.setattr(rounding, "_half", noted)
    cells = 20_000
    addends = [[0] * cells, [DELTA * value % Q] * cells]
    assert opened(rounded(together, addends, cells)) == [value] * cells

    for half in seen.values():
        assert stats.kstest(half.astype(float) / T, "uniform").pvalue > 1e-6
        low = np.bincount((half & np.uint64(15)).astype(np.int64), minlength=16)
        assert stats.chisquare(low).pvalue > 1e-6
    without = np.array(round_to_plaintext([0] * cells), float)
    assert stats.kstest(without / T, "uniform").pvalue < 1e-6
