"""The numbers of the one parameter set, exactly."""

from fractions import Fraction

import numpy as np
import pytest
from joint import product
from mpyc.gmpy import is_prime

from upcare_mpc.he.parameters import (
    CHALLENGE_BITS,
    DELTA,
    ERROR_BOUND,
    FLOOD_BITS,
    MAX_DEPOSITS,
    Q_BYTES,
    N,
    Q,
    T,
    flooding_distance,
    fresh_error,
)

MOST_PARTIES = 7


def test_the_moduli_are_primes_that_fit_together() -> None:
    assert is_prime(Q)
    assert is_prime(T)
    assert Q.bit_length() == 8 * Q_BYTES == 176
    assert DELTA * T % Q == Q - 1


def test_the_ring_has_two_factors_that_are_fields_so_challenge_differences_can_be_inverted() -> (
    None
):
    # q = 5 mod 8: -1 has a square root r and r has none, so that X^(N/2) -+ r, with N/2 a power of
    # two, have no factors. A difference of degree below N/2 is itself modulo both.
    root = pow(2, (Q - 1) // 4, Q)

    assert Q % 8 == 5
    assert root * root % Q == Q - 1
    assert pow(root, (Q - 1) // 2, Q) == Q - 1
    assert CHALLENGE_BITS <= N // 2


@pytest.mark.parametrize("parties", range(3, MOST_PARTIES + 1))
def test_the_largest_collection_still_decrypts_under_all_floods(parties: int) -> None:
    errors = MAX_DEPOSITS * (fresh_error(parties) + 1)  # one unit for each wrap of their sum
    floods = parties * (1 << FLOOD_BITS)

    assert errors + floods + parties < DELTA // 2


@pytest.mark.parametrize("holders", [1, 3, MOST_PARTIES])
def test_the_bound_of_a_fresh_error_is_reached(holders: int) -> None:
    ones = np.ones(N, np.int64)
    key_error, secret = ERROR_BOUND * holders * ones, holders * ones

    of_u = product(key_error.tolist(), ones)
    of_key = product(secret.tolist(), ERROR_BOUND * ones)

    assert of_u[-1] + ERROR_BOUND + of_key[-1] == fresh_error(holders)


def test_the_flooding_distance_counts_cells_errors_and_units() -> None:
    one = flooding_distance(cells=1, deposits=1, holders=3)

    assert one == Fraction(fresh_error(3) + 1 + 3, 2 << FLOOD_BITS)
    assert flooding_distance(cells=1000, deposits=1, holders=3) == 1000 * one
    assert flooding_distance(cells=100_000, deposits=1000, holders=7) < Fraction(1, 1 << 62)
