"""Products and sums of polynomials, against the definition and at the ends of their ranges."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joint import product

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import N, Q
from upcare_mpc.he.proof import BOX_U
from upcare_mpc.he.sampling import expand

PLACES = st.integers(0, N - 1)
ALL = np.ones(N, np.int64)
DENSE = expand(bytes(32))


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

    assert product(DENSE, monomials(places))[at] == wanted % Q


@pytest.mark.parametrize(
    ("width", "size"), [(ring.TERNARY_WIDTH, 1), (ring.SHORT_WIDTH, BOX_U), (ring.DENSE_WIDTH, 1)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_coefficients_do_not_run_into_each_other(
    width: int, size: int, sign: int
) -> None:
    packed = ring.pack([Q - 1] * N, width) * ring.pack_short(sign * size * ALL, width)

    # Coefficient k has k + 1 terms, and N - k - 1 more that were folded back with the other sign.
    assert ring.fold(packed, width) == [sign * size * (Q - 1) * (2 * (k + 1) - N) for k in range(N)]


def test_the_largest_dense_product_does_not_run_over() -> None:
    packed = ring.pack([Q - 1] * N, ring.DENSE_WIDTH)

    assert ring.fold(packed * packed, ring.DENSE_WIDTH) == [
        (Q - 1) ** 2 * (2 * (k + 1) - N) for k in range(N)
    ]


def test_polynomials_have_one_encoding() -> None:
    encoded = ring.to_bytes(DENSE)

    assert ring.from_bytes(encoded) == DENSE
    assert ring.pack(DENSE, ring.SHORT_WIDTH) == ring.widened(encoded)
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
    addends = [[int.from_bytes(os.urandom(22)) % Q for _ in range(N)] for _ in range(3)]
    total = ring.Total()

    for addend in addends:
        total.add(ring.to_bytes(addend))

    assert total.reduced() == [sum(column) % Q for column in zip(*addends, strict=True)]


def test_a_total_holds_the_largest_coefficients_two_to_the_24_times() -> None:
    total = ring.Total()
    total.add(ring.to_bytes([Q - 1] * N))

    total._sum *= 1 << 24

    assert total.reduced() == [-(1 << 24) % Q] * N
