"""Circuits of ANDs: each form computes its definition in the stated rounds, alone or abreast."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import COMMITTEES, clear, counted

from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.circuits import (
    Circuit,
    abreast,
    at_once,
    chain,
    chain_by_prefixes,
    prefixes,
    run,
)
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words

Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 1 << 32)


def bits(seed: int, rows: int, words: int = 2) -> Bits:
    """Mostly ones, so that long conjunctions are not all zero."""
    chance = np.random.default_rng(seed)
    return np.bitwise_or.reduce(chance.integers(0, 1 << 64, (4, 1, rows, words), np.uint64))


def running_and(rows: Words) -> Words:
    return np.bitwise_and.accumulate(rows, axis=0)


# -- chains -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(SEEDS, SIZES)
def test_a_chain_passes_its_first_bit_on_as_long_as_all_rows_pass(seed: int, rows: int) -> None:
    first, passes = bits(seed, 1), bits(seed + 1, rows)

    done = counted(chain(first, passes))

    assert np.array_equal(done.result[0], running_and(np.concatenate((first, passes), axis=1)[0]))
    assert (done.rounds, done.ands) == (rows, rows)


@settings(deadline=None)
@given(SEEDS, SIZES, st.integers(1, 12))
def test_prefixes_are_the_ands_from_the_start_of_each_block(
    seed: int, rows: int, blocks: int
) -> None:
    passes = bits(seed, rows)

    done = counted(prefixes(passes, blocks))

    size = -(-rows // blocks)
    assert done.result.shape == (1, blocks, size, 2)
    flat = done.result.reshape(blocks * size, 2)
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        assert np.array_equal(flat[start:stop], running_and(passes[0, start:stop]))
    assert not flat[rows:].any()
    assert (done.rounds, done.ands) == (size - 1, blocks * (size - 1))


@settings(deadline=None)
@given(SEEDS, SIZES, st.integers(1, 12))
def test_a_chain_by_prefixes_is_the_chain_in_as_many_rounds_as_blocks(
    seed: int, rows: int, blocks: int
) -> None:
    first, passes = bits(seed, 1), bits(seed + 1, rows)
    prefix = clear(prefixes(passes, blocks))

    done = counted(chain_by_prefixes(first, prefix, rows))

    assert np.array_equal(done.result, clear(chain(first, passes)))
    assert done.rounds == blocks
    assert done.ands == blocks - 1 + blocks * -(-rows // blocks)


def test_a_chain_of_no_rows_is_its_first_bit() -> None:
    first, none = bits(1, 1), bits(2, 0)

    assert np.array_equal(clear(chain(first, none)), first)


def test_a_chain_leaves_its_operands_alone() -> None:
    first, passes = bits(1, 1), bits(2, 7)
    before = first.copy(), passes.copy()

    clear(chain(first, passes))
    prefix = clear(prefixes(passes, 3))
    kept = prefix.copy()
    clear(chain_by_prefixes(first, prefix, 7))

    assert np.array_equal(first, before[0])
    assert np.array_equal(passes, before[1])
    assert np.array_equal(prefix, kept)


@settings(deadline=None)
@given(SEEDS, SIZES)
def test_at_once_takes_one_row_for_all(seed: int, rows: int) -> None:
    left, right = bits(seed, rows), bits(seed + 1, 1)

    done = counted(at_once(left, right))

    assert np.array_equal(done.result, left & right)
    assert (done.rounds, done.ands) == (1, rows)


# -- side by side -----------------------------------------------------------------------------


def some_circuits(seed: int, sizes: list[int]) -> list[Circuit[Bits]]:
    kinds: list[Callable[[int, int], Circuit[Bits]]] = [
        lambda seed, size: chain(bits(seed, 1), bits(seed + 1, size)),
        lambda seed, size: prefixes(bits(seed, size), 2),
        lambda seed, size: at_once(bits(seed, size), bits(seed + 1, 1)),
        lambda seed, size: nothing(bits(seed, size)),
    ]
    return [kinds[(seed + i) % 4](seed + 2 * i, size) for i, size in enumerate(sizes)]


def nothing(result: Bits) -> Circuit[Bits]:
    """A circuit without ANDs."""
    return result
    yield  # a generator all the same


@settings(deadline=None)
@given(SEEDS, st.lists(SIZES, max_size=5))
def test_circuits_abreast_have_their_own_results_in_the_rounds_of_the_longest(
    seed: int, sizes: list[int]
) -> None:
    alone = [counted(circuit) for circuit in some_circuits(seed, sizes)]

    together = counted(abreast(*some_circuits(seed, sizes)))

    for mine, result in zip(alone, together.result, strict=True):
        assert np.array_equal(mine.result.reshape(-1), result.reshape(-1))
    assert together.rounds == max((one.rounds for one in alone), default=0)
    assert together.ands == sum(one.ands for one in alone)


def test_circuits_that_run_circuits_abreast_can_run_abreast() -> None:
    nested = counted(
        abreast(abreast(*some_circuits(0, [5, 3])), abreast(*some_circuits(1, [2, 6])))
    )

    flat = counted(abreast(*some_circuits(0, [5, 3]), *some_circuits(1, [2, 6])))

    assert nested.rounds == flat.rounds
    for mine, other in zip([x for pair in nested.result for x in pair], flat.result, strict=True):
        assert np.array_equal(mine, other)


def test_a_failure_in_one_circuit_ends_all() -> None:
    def failing() -> Generator[tuple[Bits, Bits], Bits, Bits]:
        yield bits(1, 1), bits(2, 1)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        clear(abreast(failing(), *some_circuits(0, [5, 3])))


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_secret_bits_go_through_circuits_as_bits_in_the_clear_do(
    together: Together, m: int, t: int
) -> None:
    def circuits(first: Bits, passes: Bits) -> Circuit[list[Any]]:
        prefix = yield from prefixes(passes, 3)
        return (
            yield from abreast(
                chain(first, passes),
                chain_by_prefixes(first, prefix, passes.shape[1]),
                at_once(passes, first),
            )
        )

    async def work(engine: Engine) -> tuple[list[Words], int]:
        boolean = Boolean(engine.lane())
        first, passes = boolean.random(1, 2), boolean.random(7, 2)
        before = engine.rounds
        results = await run(boolean, circuits(first, passes))
        rounds = engine.rounds - before
        return [await boolean.open(x) for x in (first, passes, *results)], rounds

    (first, passes, *results), rounds = together(m, t, work)[0]

    expected = counted(circuits(first[None], passes[None]))
    assert rounds == expected.rounds
    for mine, other in zip(results, expected.result, strict=True):
        assert np.array_equal(mine, other[0])
