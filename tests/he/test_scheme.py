"""Vectors go in encrypted, are added up unread, and come out by enough holders together."""

import os
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joint import Joint, shamir, signed

from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.he.parameters import DELTA, N, Q, T
from upcare_mpc.he.scheme import (
    BLOCK_BYTES,
    Ciphertext,
    KeyShare,
    PublicKey,
    Sum,
    blocks_of,
    encrypt,
    lagrange,
    partial,
    round_to_plaintext,
)

CELLS = st.integers(-T + 1, T - 1)
SLOW = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ciphertext(joint: Joint, cells: Sequence[int]) -> Ciphertext:
    return encrypt(joint.public, np.array(cells, np.int64), os.urandom).ciphertext


def added(*ciphertexts: Ciphertext) -> Ciphertext:
    total = Sum(ciphertexts[0].cells)
    for one in ciphertexts:
        total.add(one)
    return total.ciphertext()


def opened(one: Ciphertext, sigmas: list[list[int]], quorum: Sequence[int]) -> list[int]:
    """What the holders at these points find together."""
    pieces = [
        partial(one, KeyShare.of(sigmas[point - 1], weight), with_c0=point == quorum[0])
        for point, weight in zip(quorum, lagrange(quorum), strict=True)
    ]
    return round_to_plaintext([sum(column) % Q for column in zip(*pieces, strict=True)])


def test_a_worked_example(joint: Joint) -> None:
    first = ciphertext(joint, [3, 0, -7, 1_000_000])
    second = ciphertext(joint, [4, -1, 7, 1])

    total = added(first, second)

    assert signed(joint.decrypt(first)) == [3, 0, -7, 1_000_000]
    assert signed(joint.decrypt(total)) == [7, -1, 0, 1_000_001]


@SLOW
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_a_sum_decrypts_to_the_sum_modulo_t(joint: Joint, rows: list[list[int]]) -> None:
    total = added(*(ciphertext(joint, row) for row in rows))

    assert joint.decrypt(total) == [sum(column) % T for column in zip(*rows, strict=True)]


def test_sums_wrap_around_t_again_and_again(joint: Joint) -> None:
    one = ciphertext(joint, [T - 1, -(T - 1), T // 2, T // 2 + 1])

    total = added(*[one] * 50)

    assert joint.decrypt(total) == [T - 50, 50, 50 * (T // 2) % T, 50 * (T // 2 + 1) % T]


@pytest.mark.parametrize("cells", [1, N - 1, N, N + 1])
def test_a_vector_has_as_many_blocks_as_it_needs(joint: Joint, cells: int) -> None:
    vector = list(range(-5, cells - 5))

    one = ciphertext(joint, vector)

    assert len(one.blocks) == blocks_of(cells) == (2 if cells > N else 1)
    assert len(one.to_bytes()) == 5 + blocks_of(cells) * BLOCK_BYTES
    assert signed(joint.decrypt(one)) == vector


def test_two_encryptions_of_one_vector_have_nothing_in_common(joint: Joint) -> None:
    first, second = (ciphertext(joint, [1] * N).blocks[0] for _ in range(2))

    assert not {first[at : at + 22] for at in range(0, len(first), 22)} & {
        second[at : at + 22] for at in range(0, len(second), 22)
    }


@pytest.mark.parametrize(
    "cells",
    [[T], [-T], [1.0], [[1, 2]], [1 << 62], [True]],
    ids=["t", "-t", "float", "2-D", "wide", "bool"],
)
def test_only_rows_of_integers_that_fit_are_encrypted(joint: Joint, cells: list[object]) -> None:
    with pytest.raises(InputError, match="cells are integers below 2305843009213693951"):
        encrypt(joint.public, cells, os.urandom)


def test_elements_modulo_t_are_encrypted_as_they_are(joint: Joint) -> None:
    words = np.array([T - 1, T - 2, 5], np.uint64)

    assert joint.decrypt(encrypt(joint.public, words, os.urandom).ciphertext) == [T - 1, T - 2, 5]


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64])
def test_integers_of_any_width_are_encrypted(joint: Joint, kind: type[np.integer]) -> None:
    cells = [5, 0, 127] if np.issubdtype(kind, np.unsignedinteger) else [5, 0, -127]

    encrypted = encrypt(joint.public, np.array(cells, kind), os.urandom)

    assert signed(joint.decrypt(encrypted.ciphertext)) == cells


def test_a_ciphertext_has_one_encoding(joint: Joint) -> None:
    one = ciphertext(joint, [1, 2, 3])

    assert Ciphertext.from_bytes(one.to_bytes(), cells=3) == one


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda octets: b"\2" + octets[1:], "a ciphertext of 3 cells is in another form"),
        (
            lambda octets: octets[:1] + b"\4" + octets[2:],
            "a ciphertext of 3 cells is in another form",
        ),
        (lambda octets: octets[:-1], "a ciphertext of 3 cells is in another form"),
        (lambda octets: octets + b"\0", "a ciphertext of 3 cells is in another form"),
        (lambda octets: octets + bytes(BLOCK_BYTES), "a ciphertext of 3 cells is in another form"),
        (lambda octets: b"", "a ciphertext of 3 cells is in another form"),
        (lambda octets: octets[:5] + Q.to_bytes(22, "little") + octets[27:], "not below q"),
        (lambda octets: octets[:-22] + b"\xff" * 22, "not below q"),
    ],
    ids=["version", "cells", "short", "long", "a block more", "empty", "q in c0", "high in c1"],
)
def test_other_bytes_are_no_ciphertext(
    joint: Joint, change: Callable[[bytes], bytes], text: str
) -> None:
    octets = ciphertext(joint, [1, 2, 3]).to_bytes()

    with pytest.raises(ProtocolError, match=text):
        Ciphertext.from_bytes(change(octets), cells=3)


def test_a_key_has_one_encoding(joint: Joint) -> None:
    octets = joint.public.to_bytes()

    assert PublicKey.from_bytes(octets) == joint.public
    assert PublicKey.from_bytes(octets).digest == joint.public.digest
    for other in (b"\2" + octets[1:], octets[:-1], octets + b"\0"):
        with pytest.raises(ProtocolError, match="a public key has 180257 bytes of version 1"):
            PublicKey.from_bytes(other)
    with pytest.raises(ProtocolError, match="not below q"):
        PublicKey.from_bytes(octets[:-22] + Q.to_bytes(22, "little"))


def test_sums_are_of_one_length(joint: Joint) -> None:
    total = Sum(3)

    with pytest.raises(ProtocolError, match="a sum of 3 cells got 2"):
        total.add(ciphertext(joint, [1, 2]))


def test_nothing_secret_is_shown(joint: Joint) -> None:
    encrypted = encrypt(joint.public, [12_345_678], os.urandom)

    assert repr(encrypted) == "Encrypted(ciphertext=Ciphertext(cells=1))"
    assert repr(encrypted.witness) == "(Witness(),)"
    assert repr(KeyShare.of([1] * N, 1)) == "KeyShare()"


@pytest.mark.parametrize("threshold", [1, 2])
def test_every_quorum_decrypts_and_no_coalition_of_t(joint: Joint, threshold: int) -> None:
    cells = list(range(100))
    one = ciphertext(joint, cells)
    sigmas = shamir(joint, holders=5, threshold=threshold, random=os.urandom)

    for size in (threshold + 1, 2 * threshold + 1):
        for quorum in combinations(range(1, 6), size):
            assert opened(one, sigmas, quorum) == cells
    for coalition in combinations(range(1, 6), threshold):
        found = opened(one, sigmas, coalition)
        assert not any(x == y for x, y in zip(found, cells, strict=True))  # by chance: 2^-54


def test_shares_of_a_decryption_can_be_added_in_any_order_with_c0_once(joint: Joint) -> None:
    one = ciphertext(joint, [5, -6])
    sigmas = shamir(joint, holders=3, threshold=1, random=os.urandom)

    assert opened(one, sigmas, [3, 1]) == opened(one, sigmas, [1, 3]) == [5, T - 6]


def test_lagrange_coefficients_carry_polynomials_to_any_point() -> None:
    def value(x: int) -> int:
        return (7 + 5 * x + 11 * x * x) % Q

    for at in (0, 4, 100):
        weights = lagrange([1, 3, 7], at)
        found = sum(w * value(x) for w, x in zip(weights, [1, 3, 7], strict=True)) % Q
        assert found == value(at)


@given(m=st.integers(0, T - 1), error=st.integers(-(DELTA // 2) + 1, DELTA // 2 - 1))
def test_any_error_below_half_of_delta_is_rounded_away(m: int, error: int) -> None:
    assert round_to_plaintext([(DELTA * m + error) % Q]) == [m]


def test_an_error_of_more_than_half_of_delta_is_another_plaintext() -> None:
    assert round_to_plaintext([DELTA * 5 + DELTA // 2, DELTA * 5 - DELTA // 2 - 1]) == [6, 4]
    assert round_to_plaintext([Q - 1]) == [0]  # t Delta
