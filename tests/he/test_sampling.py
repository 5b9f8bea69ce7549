"""Samplers against their laws; a law that is slightly wrong is rejected.

Each check of a law raises a false alarm with probability 1e-9.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from joint import stream
from scipy.stats import binom, chisquare

from upcare_mpc.he import sampling
from upcare_mpc.he.parameters import ERROR_BOUND, N, Q, T
from upcare_mpc.he.sampling import (
    Integers,
    Random,
    binomial,
    expand,
    ternary,
    uniform_box,
    uniform_plain,
)

ALPHA = 1e-9


def fits(counts: Counter[int], chances: dict[int, float]) -> bool:
    """Whether counts are of a law; values that it does not have are a no at once."""
    if counts.keys() - chances.keys():
        return False
    draws = counts.total()
    kept = [value for value, chance in chances.items() if chance * draws >= 10]
    rest = 1 - sum(chances[value] for value in kept)
    seen, wanted = [counts[v] for v in kept], [chances[v] * draws for v in kept]
    if rest * draws >= 10:
        seen, wanted = [*seen, draws - sum(seen)], [*wanted, rest * draws]
    scale = sum(seen) / sum(wanted)
    return bool(chisquare(seen, [w * scale for w in wanted]).pvalue > ALPHA)


def drawn(sampler: Callable[[Random], Integers], times: int) -> Counter[int]:
    counts: Counter[int] = Counter()
    for _ in range(times):
        values, seen = np.unique(sampler(os.urandom), return_counts=True)
        counts.update(dict(zip(values.tolist(), seen.tolist(), strict=True)))
    return counts


def even(values: range) -> dict[int, float]:
    return dict.fromkeys(values, 1 / len(values))


def coins(up: int) -> dict[int, float]:
    """The law of ``up`` fair coins less as many others."""
    return {k: float(binom.pmf(k + up, 2 * up, 0.5)) for k in range(-up, up + 1)}


def ternary_with_all_octets(random: Random) -> Integers:
    """255 is not thrown away: 0 comes 86 times in 256, the others 85 times."""
    return np.frombuffer(random(N), np.uint8).astype(np.int64) % 3 - 1


def binomial_that_wraps(random: Random) -> Integers:
    """Differences of unsigned octets: those below 0 come out near 256."""
    width = 2 * ERROR_BOUND
    bits = np.unpackbits(np.frombuffer(random(width * N // 8), np.uint8)).reshape(N, width)
    up, down = (half.sum(axis=1, dtype=np.uint8) for half in np.hsplit(bits, 2))
    return (up - down).astype(np.int64)


def box_by_remainder(bound: int) -> Callable[[Random], Integers]:
    """Words are reduced, none is thrown away: small values come more often."""
    return lambda random: (
        np.frombuffer(random(4 * N), "<u4").astype(np.int64) % (2 * bound + 1) - bound
    )


@pytest.mark.statistical
def test_ternary_is_uniform_and_a_bias_of_one_octet_is_seen() -> None:
    assert fits(drawn(ternary, 500), even(range(-1, 2)))
    assert not fits(drawn(ternary_with_all_octets, 500), even(range(-1, 2)))


@pytest.mark.statistical
def test_errors_are_centred_binomial_and_one_coin_less_is_seen() -> None:
    counts = drawn(binomial, 50)

    assert fits(counts, coins(ERROR_BOUND))
    assert not fits(counts, coins(ERROR_BOUND - 1))
    assert not fits(drawn(binomial_that_wraps, 1), coins(ERROR_BOUND))


@pytest.mark.statistical
def test_a_box_is_uniform_and_remainders_are_seen() -> None:
    bound = 5 << 27  # 2^32 is 3.2 boxes
    bins = 64

    def placed(sampler: Callable[[Random], Integers]) -> Counter[int]:
        return drawn(lambda random: (sampler(random) + bound) * bins // (2 * bound + 1), 20)

    assert fits(placed(lambda random: uniform_box(bound, random)), even(range(bins)))
    assert not fits(placed(box_by_remainder(bound)), even(range(bins)))


@pytest.mark.parametrize("bound", [1, 2, 20])
def test_a_small_box_has_all_its_values_and_no_other(bound: int) -> None:
    assert fits(drawn(lambda random: uniform_box(bound, random), 5), even(range(-bound, bound + 1)))


@pytest.mark.parametrize("bound", [(1 << 23) - 1, (1 << 31) - 1])
def test_the_boxes_of_a_proof_are_drawn_to_their_ends(bound: int) -> None:
    def random(count: int) -> bytes:
        return b"\0\0\0\0" + (2 * bound).to_bytes(4, "little") + os.urandom(count - 8)

    assert uniform_box(bound, random)[:2].tolist() == [-bound, bound]


@pytest.mark.statistical
@pytest.mark.parametrize("shift", [0, 30, 55])
def test_masks_of_plaintexts_are_uniform_and_a_bit_less_is_seen(shift: int) -> None:
    def digits(random: Random) -> Integers:
        return ((uniform_plain(random) >> np.uint64(shift)) & np.uint64(63)).astype(np.int64)

    assert fits(drawn(digits, 20), even(range(64)))
    assert not fits(drawn(lambda random: digits(random) & 31, 1), even(range(64)))


def test_the_modulus_itself_is_no_mask_of_a_plaintext() -> None:
    ones = (b"\xff" * 8, bytes(8))

    def random(count: int) -> bytes:
        return ones[0] + ones[1] * (count // 8 - 1)

    assert int(uniform_plain(random).max()) < T


def test_a_short_draw_is_made_up_by_another() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return b"\xff" * count if len(asked) == 1 else bytes(count)

    assert ternary(random).tolist() == [-1] * N
    assert len(asked) == 2


def test_a_seed_stands_for_the_words_of_shake256() -> None:
    words = hashlib.shake_256(b"upcare/v1/rlwe-a|" + bytes(32)).digest(22 * N)
    polynomial = expand(bytes(32))

    assert polynomial == [
        int.from_bytes(words[at : at + 22], "little") for at in range(0, 22 * N, 22)
    ]
    assert expand(b"\1" + bytes(31)) != polynomial


def test_a_word_of_a_seed_that_is_not_below_q_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Shake:
        def __init__(self, seed: bytes) -> None:
            pass

        def digest(self, count: int) -> bytes:
            return (Q.to_bytes(22, "little") + (Q - 1).to_bytes(22, "little") + bytes(count))[
                :count
            ]

    monkeypatch.setattr(sampling.hashlib, "shake_256", Shake)

    assert expand(bytes(32)) == [Q - 1] + [0] * (N - 1)


def test_the_stream_of_the_vectors_is_one_stream() -> None:
    pieces, whole = stream("x"), stream("x")

    assert pieces(3) + pieces(5) == whole(8)
