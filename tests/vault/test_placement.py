"""Where new payloads go, and which blocks change."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import DataError
from upcare_mpc.vault.objects import MAX_BLOCKS
from upcare_mpc.vault.placement import Placed, place
from upcare_mpc.vault.sizes import blocks_changed, rounded


def placed(
    sizes: list[int],
    taken: set[int],
    must: set[int],
    wanted: list[int],
    groups: list[int] | None = None,
) -> Placed:
    mask = np.zeros(64 * len(sizes), bool)
    mask[list(taken)] = True
    return place(
        np.array(sizes, np.uint8),
        mask,
        must,
        np.array(wanted, np.uint8),
        np.array(groups or [0] * len(wanted), np.uint32),
        os.urandom,
    )


def test_the_first_payloads_get_new_blocks_group_by_group() -> None:
    found = placed([], set(), set(), [9] * 100, [n % 2 for n in range(100)])

    assert found.added == [9, 9]
    assert found.changed == [0, 1]
    assert sorted(found.slots) == list(range(100))
    assert sorted(found.slots[::2]) == list(range(50))


def test_a_block_that_changes_anyway_is_filled_first() -> None:
    found = placed([9] * 100, {64 * 7}, {7}, [9] * 10)

    assert set(found.slots // 64) == {7}
    assert 64 * 7 not in found.slots
    assert 7 in found.changed


def test_when_nothing_changes_16_blocks_do_and_not_always_the_same() -> None:
    runs = [placed([9] * 100, set(), set(), []).changed for _ in range(20)]

    assert {len(run) for run in runs} == {16}
    assert len(set().union(*runs)) > 50  # 20 runs of one choice would give 16


def test_each_block_is_chosen_for_cover_equally_often() -> None:
    counts = np.zeros(32)
    for _ in range(4000):
        counts[placed([9] * 32, set(), set(), []).changed] += 1

    # Each count has mean 2000 and deviation 31.6: beyond 6 deviations once in 5e8 counts.
    assert np.abs(counts - 2000).max() < 6 * 31.6


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_slots_are_free_of_the_right_size_and_blocks_are_shown_in_few_numbers(
    data: st.DataObject,
) -> None:
    sizes = data.draw(st.lists(st.sampled_from([9, 10, 12]), max_size=40))
    slots = 64 * len(sizes)
    taken = data.draw(st.sets(st.integers(0, slots - 1)) if slots else st.just(set()))
    must = data.draw(st.sets(st.integers(0, len(sizes) - 1)) if sizes else st.just(set()))
    wanted = data.draw(st.lists(st.sampled_from([9, 10, 13]), max_size=200))

    found = placed(sizes, taken, must, wanted)

    after = [*sizes, *found.added]
    used = found.slots.tolist()
    assert len(set(used)) == len(used)
    assert not taken.intersection(used)
    assert [after[slot // 64] for slot in used] == wanted
    assert must <= set(found.changed)
    assert {slot // 64 for slot in used} <= set(found.changed)
    assert len(set(found.changed)) == len(found.changed)
    for size in {*after}:
        old = sizes.count(size)
        now = [block for block in found.changed if after[block] == size]
        existing = [block for block in now if block < len(sizes)]
        assert len(existing) in {blocks_changed(n, old) for n in range(old + 1)}
        if len(now) > len(existing):
            assert after.count(size) == rounded(after.count(size))


@pytest.mark.statistical
def test_a_vault_that_is_full_says_so() -> None:
    with pytest.raises(DataError, match="at most 262144 blocks"):
        placed([16] * MAX_BLOCKS, set(range(64 * MAX_BLOCKS)), set(), [16])
