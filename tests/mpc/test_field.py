"""Vectors mod 2^61 - 1 against Python's integers, and Shamir sharing against its definition."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.prss import LocalRandom

EDGES = [0, 1, 2, (1 << 29) - 1, 1 << 29, (1 << 32) - 1, 1 << 32, PRIME // 2, PRIME - 2, PRIME - 1]
ELEMENTS = st.one_of(st.sampled_from(EDGES), st.integers(0, PRIME - 1))
BLOCK = field._BLOCK  # cells that are shared or opened at once
VECTORS = st.lists(ELEMENTS, min_size=1, max_size=20)
COMMITTEES = st.sampled_from([(3, 1), (5, 2), (7, 3), (4, 1), (1, 0), (7, 6)])


def words(values: list[int]) -> Words:
    return np.array(values, np.uint64)


def random(count: int) -> Words:
    return LocalRandom().words(count)


# -- arithmetic -------------------------------------------------------------------------------


def test_addition_wraps_at_the_prime() -> None:
    total = field.add(words([PRIME - 1, PRIME - 1, 5]), words([1, PRIME - 1, 6]))

    assert total.tolist() == [0, PRIME - 2, 11]


@given(VECTORS, st.data())
def test_addition_agrees_with_integers(left: list[int], data: st.DataObject) -> None:
    right = data.draw(st.lists(ELEMENTS, min_size=len(left), max_size=len(left)))

    got = field.add(words(left), words(right)).tolist()

    assert got == [(a + b) % PRIME for a, b in zip(left, right, strict=True)]


@given(VECTORS, st.one_of(ELEMENTS, st.integers(-(1 << 80), 1 << 80)))
def test_multiplication_agrees_with_integers(values: list[int], factor: int) -> None:
    assert field.multiply(words(values), factor).tolist() == [v * factor % PRIME for v in values]


@given(VECTORS, st.data())
def test_products_agree_with_integers(left: list[int], data: st.DataObject) -> None:
    right = data.draw(st.lists(ELEMENTS, min_size=len(left), max_size=len(left)))

    got = field.product(words(left), words(right)).tolist()

    assert got == [a * b % PRIME for a, b in zip(left, right, strict=True)]


def test_products_of_every_pair_of_edges_by_broadcasting() -> None:
    got = field.product(words(EDGES)[:, None], words(EDGES)[None])

    assert got.tolist() == [[a * b % PRIME for b in EDGES] for a in EDGES]


@given(VECTORS)
def test_totals_agree_with_integers(values: list[int]) -> None:
    got = field.total(np.stack((words(values), words(values[::-1]))))

    assert got.tolist() == [[sum(values) % PRIME]] * 2


def test_the_total_of_many_large_elements_does_not_overflow() -> None:
    many = np.full(1 << 20, PRIME - 1, np.uint64)

    assert field.total(many).tolist() == [-(1 << 20) % PRIME]
    assert field.total(words([])).tolist() == [0]


def test_a_word_that_is_p_is_drawn_again() -> None:
    """So elements are exactly uniform: each of the p values comes from 8 words."""
    script = [[PRIME, 5, PRIME], [PRIME, 7], [0]]
    asked = []

    def scripted(count: int) -> Words:
        asked.append(count)
        return words(script[len(asked) - 1]) << np.uint64(3) | np.uint64(len(asked))

    assert field.uniform(scripted, 3).tolist() == [0, 5, 7]
    assert asked == [3, 2, 1]


def test_multiplication_agrees_with_integers_at_every_pair_of_edges() -> None:
    for factor in EDGES:
        got = field.multiply(words(EDGES), factor).tolist()

        assert got == [v * factor % PRIME for v in EDGES]


@pytest.mark.parametrize("factor", [*range(-9, 10), PRIME - 7, PRIME - 8, PRIME + 7, -PRIME])
def test_multiplication_by_small_factors_of_either_sign_agrees_with_integers(factor: int) -> None:
    assert field.multiply(words(EDGES), factor).tolist() == [v * factor % PRIME for v in EDGES]


@given(st.lists(st.one_of(ELEMENTS, st.just(PRIME)), min_size=1, max_size=9))
def test_negation_takes_both_encodings_of_zero(values: list[int]) -> None:
    assert field.negate(words(values)).tolist() == [-v % PRIME for v in values]


def test_operations_leave_their_arguments_alone() -> None:
    left, right = words([PRIME - 1, 7]), words([PRIME - 2, 8])

    field.add(left, right)
    field.negate(left)
    field.multiply(left, 12345)
    field.share(left, parties=3, threshold=1, random=random)

    assert left.tolist() == [PRIME - 1, 7]
    assert right.tolist() == [PRIME - 2, 8]


# -- encodings --------------------------------------------------------------------------------


@given(st.lists(st.integers(1 - (1 << 60), (1 << 60) - 1), min_size=1, max_size=20))
def test_signed_integers_survive_encoding(integers: list[int]) -> None:
    encoded = field.encode(np.array(integers, np.int64))

    assert encoded.tolist() == [v % PRIME for v in integers]
    assert field.decode(encoded).tolist() == integers


def test_encoding_leaves_its_argument_alone_and_takes_nothing_and_every_second() -> None:
    integers = np.array([-5, 5, -1, 0, 1 - (1 << 60), (1 << 60) - 1], np.int64)
    before = integers.copy()

    encoded = field.encode(integers[::2])
    decoded = field.decode(encoded)

    assert np.array_equal(integers, before)
    assert encoded.tolist() == [PRIME - 5, PRIME - 1, PRIME + 1 - (1 << 60)]
    assert decoded.tolist() == [-5, -1, 1 - (1 << 60)]
    assert field.decode(field.encode(np.zeros(0, np.int64))).tolist() == []


@pytest.mark.parametrize("value", [1 << 60, -(1 << 60), (1 << 63) - 1, -(1 << 63)])
def test_an_integer_too_large_to_encode_is_refused(value: int) -> None:
    with pytest.raises(ProtocolError, match="2\\^60"):
        field.encode(np.array([value], np.int64))


def test_the_middle_of_the_field_decodes_to_the_extreme_integers() -> None:
    middle = words([PRIME // 2, PRIME // 2 + 1])

    assert field.decode(middle).tolist() == [(1 << 60) - 1, -((1 << 60) - 1)]


@given(VECTORS)
def test_bytes_are_eight_little_endian_each_and_come_back(values: list[int]) -> None:
    payload = field.to_bytes(words(values))

    assert payload == b"".join(v.to_bytes(8, "little") for v in values)
    assert field.from_bytes(payload, cells=len(values)).tolist() == values


@pytest.mark.parametrize("element", [PRIME, PRIME + 1, (1 << 64) - 1])
def test_a_second_encoding_of_an_element_is_refused(element: int) -> None:
    payload = (3).to_bytes(8, "little") + element.to_bytes(8, "little")

    with pytest.raises(ProtocolError, match="below 2\\^61 - 1"):
        field.from_bytes(payload, cells=2)


@pytest.mark.parametrize("length", [0, 8, 15, 17, 24])
def test_a_vector_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"16 bytes, got {length}"):
        field.from_bytes(bytes(length), cells=2)


# -- Shamir -----------------------------------------------------------------------------------


@given(VECTORS, COMMITTEES)
def test_any_t_plus_one_shares_open(values: list[int], committee: tuple[int, int]) -> None:
    m, t = committee
    shares = field.share(words(values), parties=m, threshold=t, random=random)

    for members in itertools.combinations(range(m), t + 1):
        chosen = {index: shares[index] for index in members}
        assert field.open_shares(chosen, threshold=t).tolist() == values
    assert field.open_shares(dict(enumerate(shares)), threshold=t).tolist() == values


@given(VECTORS, COMMITTEES)
def test_a_sharing_has_degree_at_most_t(values: list[int], committee: tuple[int, int]) -> None:
    m, t = committee
    shares = field.share(words(values), parties=m, threshold=t, random=random)
    points = range(1, t + 2)

    for point in range(1, m + 1):
        predicted = field.combine(list(shares[: t + 1]), list(points), at=point)
        assert np.array_equal(predicted, shares[point - 1])


@pytest.mark.parametrize("cells", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
@pytest.mark.parametrize(("m", "t"), [(3, 1), (7, 3)])
def test_vectors_longer_than_a_block_are_shared_and_opened_whole(
    m: int, t: int, cells: int
) -> None:
    vector = words([7 * v % PRIME for v in range(cells)])
    drawn = []

    def counting(count: int) -> Words:
        drawn.append(count)
        return random(count)

    shares = field.share(vector, parties=m, threshold=t, random=counting)

    assert sum(drawn) == t * cells
    assert np.array_equal(field.open_shares(dict(enumerate(shares)), threshold=t), vector)
    for cell in {0, cells // 2, cells - 1}:
        altered = dict(enumerate(shares.copy()))
        altered[m - 1][cell] = (int(altered[m - 1][cell]) + 1) % PRIME
        with pytest.raises(OpeningError, match="do not belong together"):
            field.open_shares(altered, threshold=t)


def test_no_coefficient_serves_two_blocks() -> None:
    shares = field.share(
        np.zeros(2 * BLOCK, np.uint64), parties=3, threshold=1, random=LocalRandom().words
    )

    assert len(np.unique(shares[0])) > 2 * BLOCK - 3  # coefficients; 2^-32 that two meet


def test_the_sharing_is_the_polynomial_of_its_coefficients() -> None:
    coefficients = [[11, PRIME - 1], [1 << 60, 5]]  # from the highest power down, below t
    raw = words([c << 3 for row in coefficients for c in row])
    secret = [PRIME - 3, 42]

    shares = field.share(words(secret), parties=5, threshold=2, random=lambda _: raw)

    for point in range(1, 6):
        expected = [
            (secret[cell] + coefficients[1][cell] * point + coefficients[0][cell] * point**2)
            % PRIME
            for cell in range(2)
        ]
        assert shares[point - 1].tolist() == expected


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2), (7, 3)])
def test_any_t_shares_are_a_bijection_of_the_coefficients(m: int, t: int) -> None:
    """For every secret: so t uniform coefficients make t uniform shares, whatever the secret."""
    points = range(1, m + 1)
    for coalition in itertools.combinations(points, t):
        matrix = [[pow(x, power, PRIME) for power in range(1, t + 1)] for x in coalition]
        assert determinant(matrix) != 0


def test_one_share_of_a_small_secret_looks_like_any_other_share() -> None:
    n = 200_000
    zeros = field.share(np.zeros(n, np.uint64), parties=3, threshold=1, random=random)[1]
    ones = field.share(np.ones(n, np.uint64), parties=3, threshold=1, random=random)[1]

    for shares in (zeros, ones):
        counts = Counter((shares >> np.uint64(57)).tolist())  # 16 equal classes
        chi2 = sum((counts[k] - n / 16) ** 2 / (n / 16) for k in range(16))
        assert chi2 < 66  # 15 degrees of freedom, false alarm below 1e-7


def test_a_coefficient_of_p_is_drawn_again() -> None:
    """Else zero, which p stands for, would come twice as often as any other."""
    drawn = iter([0xFFFFFFFFFFFFFFFF, 5 << 3])  # >> 3 is p itself, then 5

    shares = field.share(
        words([9]),
        parties=3,
        threshold=1,
        random=lambda count: np.array([next(drawn) for _ in range(count)], np.uint64),
    )

    assert shares.tolist() == [[14], [19], [24]]


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2), (7, 3)])
def test_an_altered_share_is_rejected_wherever_it_is(m: int, t: int) -> None:
    shares = field.share(words([1, 2, 3]), parties=m, threshold=t, random=random)
    for liar in range(m):
        altered = {index: share.copy() for index, share in enumerate(shares)}
        altered[liar][1] ^= np.uint64(1)

        with pytest.raises(OpeningError, match="do not belong together"):
            field.open_shares(altered, threshold=t)


def test_t_liars_that_move_together_are_rejected_and_nobody_is_corrected() -> None:
    shares = field.share(words([5]), parties=5, threshold=2, random=random)
    # Two parties add the same polynomial of degree 2 at their points: a majority is honest.
    altered = dict(enumerate(shares.copy()))
    for liar in (0, 1):
        altered[liar] = field.add(altered[liar], words([(liar + 1) ** 2]))

    with pytest.raises(OpeningError):
        field.open_shares(altered, threshold=2)


def test_too_few_shares_do_not_open() -> None:
    shares = field.share(words([5]), parties=5, threshold=2, random=random)

    with pytest.raises(OpeningError, match="needs 3 shares, got 2"):
        field.open_shares({0: shares[0], 4: shares[4]}, threshold=2)


@pytest.mark.parametrize(("m", "t"), [(3, 3), (3, -1), (8, 2)])
def test_a_sharing_outside_the_supported_sizes_is_refused(m: int, t: int) -> None:
    with pytest.raises(ProtocolError, match="t < m <= 7"):
        field.share(words([5]), parties=m, threshold=t, random=random)


@given(VECTORS, st.sampled_from([(3, 1), (5, 2), (7, 3)]))
def test_mpyc_opens_our_shares_and_we_open_mpycs(
    values: list[int], committee: tuple[int, int]
) -> None:
    from mpyc import finfields, thresha

    m, t = committee
    gf = finfields.GF(PRIME)
    ours = field.share(words(values), parties=m, threshold=t, random=random)
    theirs = thresha.random_split(gf, [gf(v) for v in values], t, m)

    members = range(m - t - 1, m)
    opened_by_mpyc = thresha.recombine(gf, [(i + 1, ours[i].tolist()) for i in members])
    opened_by_us = field.open_shares({i: words(theirs[i]) for i in range(m)}, threshold=t)

    assert [int(v) % PRIME for v in opened_by_mpyc] == values
    assert opened_by_us.tolist() == values


def determinant(matrix: list[list[int]]) -> int:
    """Of a square matrix over the field, by Laplace expansion."""
    if not matrix:
        return 1
    return (
        sum(
            (-1) ** column
            * matrix[0][column]
            * determinant([row[:column] + row[column + 1 :] for row in matrix[1:]])
            for column in range(len(matrix))
        )
        % PRIME
    )
