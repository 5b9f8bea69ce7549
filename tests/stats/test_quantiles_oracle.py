"""The oracle for quantiles against values worked out by hand and against numpy."""

from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.stats.quantiles import quantile, quantile_in_ranges


@pytest.mark.parametrize(
    ("values", "percent", "wanted"),
    [
        ([62], 50, 62.5),  # one patient, anywhere from 62 to 63
        ([10, 20], 50, 15.5),  # half are below all of 11 to 20
        ([10, 20, 20, 20], 50, 20 + 1 / 3),
        ([10, 20, 20, 20], 25, 15.5),
    ],
)
def test_by_hand(values: list[int], percent: int, wanted: float) -> None:
    assert quantile(values, percent) == pytest.approx(wanted)


def test_in_ranges_by_hand() -> None:
    assert quantile_in_ranges([41, 43, 44, 57], 50, [40, 50, 60]) == pytest.approx(40 + 20 / 3)


@given(st.lists(st.integers(0, 120), min_size=1, max_size=60), st.integers(1, 99))
def test_its_whole_part_is_the_quantile_of_the_whole_numbers(
    values: list[int], percent: int
) -> None:
    """Where the share is no whole number of patients; there, a step has two ends."""
    found = quantile(values, percent)

    if percent * len(values) % 100:
        assert floor(found) == np.quantile(values, percent / 100, method="inverted_cdf")
    else:
        low, high = (
            np.quantile(values, percent / 100, method=method)
            for method in ("inverted_cdf", "higher")
        )
        assert low <= found <= max(high, low) + 1
