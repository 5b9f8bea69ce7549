"""Sizes that the platform sees are few, and never too small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.vault.sizes import (
    MAX_PAYLOAD,
    blocks_changed,
    rounded,
    rounded_rows,
    size_for,
    slot_bytes,
)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (1, 1), (7, 7), (8, 8), (9, 10), (17, 20), (1563, 1792), (64, 64)]
)
def test_examples_of_rounded_numbers(count: int, shown: int) -> None:
    assert rounded(count) == shown


@given(st.integers(1, 2**24))
def test_a_number_grows_by_a_quarter_at_most_and_to_one_of_four_a_doubling(count: int) -> None:
    shown = rounded(count)

    assert count <= shown <= count * 5 / 4
    odd = shown
    while odd % 2 == 0:
        odd //= 2
    assert odd in (1, 3, 5, 7)
    assert rounded(shown) == shown


@given(st.integers(0, MAX_PAYLOAD))
def test_a_slot_holds_its_payload_and_no_smaller_one_does(length: int) -> None:
    size = size_for(length)

    assert length + 16 <= slot_bytes(size) <= 2**16
    assert size == 9 or length + 16 > slot_bytes(size - 1)


def test_a_group_shows_rows_in_whole_blocks_even_if_it_is_empty() -> None:
    assert [rounded_rows(n) for n in (0, 1, 64, 65, 600)] == [64, 64, 64, 128, 640]


@pytest.mark.parametrize(
    ("needed", "blocks", "shown"),
    [
        (0, 100, 16),
        (16, 100, 16),
        (17, 100, 64),
        (64, 100, 64),
        (65, 100, 100),
        (0, 3, 3),
        (0, 0, 0),
    ],
)
def test_how_many_blocks_change_is_one_of_few(needed: int, blocks: int, shown: int) -> None:
    assert blocks_changed(needed, blocks) == shown
