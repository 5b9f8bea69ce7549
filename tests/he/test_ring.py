"""Products and sums of polynomials, against the definition and at the ends of their ranges."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint import exact

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import DELTA, N, Q, T
from upcare_mpc.he.proof import BOX_U
from upcare_mpc.he.sampling import expand

PLACES = st.integers(0, N - 1)
ALL = np.ones(N, np.int64)
DENSE = expand(bytes(32))


def drawn() -> list[int]:
    octets = os.urandom(22 * N)
    return [int.from_bytes(octets[at : at + 22], "little") % Q for at in range(0, 22 * N, 22)]


def times(dense: list[int], short: np.ndarray) -> list[int]:
    factors = ring.of_elements(ring.of_integers(dense)), ring.of_short(short)
    return ring.integers(ring.reduced(ring.product(factors)))


def times_dense(left: list[int], right: list[int]) -> list[int]:
    factors = ring.of_elements(ring.of_integers(left)), ring.of_digits(ring.of_integers(right))
    return ring.integers(ring.reduced(ring.dense_product(*factors)))


def monomials(places: dict[int, int]) -> np.ndarray:
    short = np.zeros(N, np.int64)
    for place, value in places.items():
        short[place] = value
    return short


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(PLACES, st.integers(-BOX_U, BOX_U), min_size=1, max_size=4), PLACES)
def test_a_product_is_the_sum_of_its_terms_where_x_to_the_n_is_minus_one(
    places: dict[int, int], at: int
) -> None:
    wanted = sum(
        value * (DENSE[at - place] if at >= place else -DENSE[at - place + N])
        for place, value in places.items()
    )

    assert times(DENSE, monomials(places))[at] == wanted % Q


@pytest.mark.parametrize("short", [1, BOX_U, (1 << 11) - 1, 1 << 11, (1 << 23) - 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_coefficients_do_not_run_into_each_other(short: int, sign: int) -> None:
    found = times([Q - 1] * N, sign * short * ALL)

    # Coefficient k has k + 1 terms, and N - k - 1 more that were folded back with the other sign.
    assert found == [sign * short * (Q - 1) * (2 * (k + 1) - N) % Q for k in range(N)]


@pytest.mark.parametrize("value", [1, 0xFF, 0xFFFF, (1 << 176) - 1 - (0xFFFF << 160), Q - 1])
def test_the_largest_dense_product_does_not_run_over(value: int) -> None:
    found = times_dense([Q - 1] * N, [value] * N)

    assert found == [(Q - 1) * value * (2 * (k + 1) - N) % Q for k in range(N)]


def test_products_of_random_polynomials_are_those_of_large_integers() -> None:
    left, right = drawn(), drawn()
    short = np.random.default_rng(int.from_bytes(os.urandom(8))).integers(-BOX_U, BOX_U + 1, N)

    assert times_dense(left, right) == [x % Q for x in exact(left, right)]
    assert times(left, short) == [x % Q for x in exact(left, short.tolist())]


def test_products_are_added_up_before_they_are_read() -> None:
    left, right, short, c = drawn(), drawn(), BOX_U * ALL, np.where(np.arange(N) < 160, -1, 0)
    pairs = [
        (ring.of_elements(ring.of_integers(dense)), ring.of_short(factor))
        for dense, factor in ((left, short), (right, c))
    ]

    added = zip(exact(left, short.tolist()), exact(right, c.tolist()), strict=True)
    assert ring.integers(ring.reduced(ring.product(*pairs))) == [(x + y) % Q for x, y in added]


def test_a_product_that_is_not_of_integers_is_noticed() -> None:
    dense, short = ring.of_elements(ring.of_integers(DENSE)), ring.of_short(ALL)
    short[0, 7] *= 1 + 1e-6

    with pytest.raises(AssertionError, match="not of integers"):
        ring.product((dense, short))


EDGES = [0, 1, Q - 1, Q, Q + 1, (1 << 176) - 1, 1 << 176, (1 << 176) + Q, (1 << 200) - 1, 1 << 219]


@pytest.mark.parametrize("sign", [1, -1])
def test_whatever_is_in_the_limbs_is_reduced_to_one_element(sign: int) -> None:
    wanted = [sign * edge + off for edge in EDGES for off in (-1, 0, 1)]
    limbs = np.array([[x >> 16 * row & 0xFFFF for x in wanted] for row in range(11)], np.int64)
    top = np.array([[x >> 176 for x in wanted]], np.int64)

    assert ring.integers(ring.reduced(np.concatenate((limbs, top)))) == [x % Q for x in wanted]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-(1 << 60), 1 << 60), min_size=11, max_size=11),
    st.integers(-(1 << 45), 1 << 45),
)
def test_limbs_may_overlap_and_have_either_sign(lower: list[int], top: int) -> None:
    limbs = [*lower, top]
    value = sum(limb << 16 * place for place, limb in enumerate(limbs))

    found = ring.reduced(np.array(limbs, np.int64).reshape(12, 1))

    assert ring.integers(found) == [value % Q]


def test_delta_times_the_largest_plaintext() -> None:
    limbs = np.zeros((12, N), np.int64)
    plain = np.where(np.arange(N) % 2, T - 1, 1 << 32).astype(np.uint64)

    found = ring.integers(ring.reduced(ring.plus(ring.scaled(limbs, plain), -21 * ALL)))

    assert found == [(DELTA * int(m) - 21) % Q for m in plain]


def test_polynomials_have_one_encoding() -> None:
    encoded = ring.to_bytes(DENSE)

    assert ring.from_bytes(encoded) == DENSE
    assert ring.encode(ring.decode(encoded)) == encoded
    assert ring.integers(ring.of_integers(DENSE)) == DENSE
    assert ring.from_bytes(ring.to_bytes([Q - 1] * N)) == [Q - 1] * N


@pytest.mark.parametrize("place", [0, 1, N - 1])
@pytest.mark.parametrize("value", [Q, (1 << 176) - 1])
def test_a_coefficient_of_q_or_more_is_refused(place: int, value: int) -> None:
    high = [*DENSE[:place], value, *DENSE[place + 1 :]]

    with pytest.raises(ProtocolError, match="a coefficient is not below q"):
        ring.from_bytes(ring.to_bytes(high))


@pytest.mark.parametrize("change", [-1, 1, -22, 22])
def test_another_length_is_refused(change: int) -> None:
    with pytest.raises(ProtocolError, match="a polynomial has 180224 bytes"):
        ring.from_bytes(bytes(N * 22 + change))


def test_a_total_is_the_sum_modulo_q() -> None:
    addends = [drawn() for _ in range(3)]
    total = ring.Total()

    for addend in addends:
        total.add(ring.to_bytes(addend))

    wanted = [sum(column) % Q for column in zip(*addends, strict=True)]
    assert ring.integers(total.reduced()) == wanted


def test_a_total_holds_the_largest_coefficients_two_to_the_40_times() -> None:
    total = ring.Total()
    total.add(ring.to_bytes([Q - 1] * N))

    total._sum *= 1 << 40

    assert ring.integers(total.reduced()) == [-(1 << 40) % Q] * N
