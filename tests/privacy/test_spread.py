"""The worst spread of one patient's changes: against brute force, and never below it."""

from fractions import Fraction
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.privacy import spread
from upcare_mpc.privacy.spread import worst_spread
from upcare_mpc.study.layout import Sensitivity

PATIENTS = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 12)).map(
    lambda x: Sensitivity(d0=x[0], dinf=x[1], d1=min(x[0] * x[1], max(x[0], x[1]) + x[2]))
)
DELTAS = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


def by_enumeration(deltas: list[Fraction], patient: Sensitivity) -> Fraction:
    shifts = range(1, patient.dinf + 1)
    return max(
        sum((deltas[s - 1] for s in chosen), Fraction(0))
        for cells in range(patient.d0 + 1)
        for chosen in combinations_with_replacement(shifts, cells)
        if sum(chosen) <= patient.d1
    )


@given(PATIENTS, DELTAS)
def test_the_knapsack_finds_the_worst_spread(patient: Sensitivity, costs: list[int]) -> None:
    deltas = [Fraction(cost, 2**20) for cost in costs[: patient.dinf]]

    assert worst_spread(deltas, patient) == by_enumeration(deltas, patient)


@given(PATIENTS, DELTAS)
def test_the_quick_bound_is_never_below_the_worst_spread(
    patient: Sensitivity, costs: list[int]
) -> None:
    deltas = [Fraction(cost, 2**20) for cost in costs[: patient.dinf]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "_MOST_STEPS", 0)
        bound = worst_spread(deltas, patient)

    assert bound >= by_enumeration(deltas, patient)


def test_deltas_are_rounded_up() -> None:
    third = Fraction(1, 3)

    worst = worst_spread([third], Sensitivity(d0=1, d1=1, dinf=1))

    assert third < worst < third + Fraction(1, 2**127)


def test_two_cells_moved_by_one_can_be_worse_than_one_cell_moved_by_two() -> None:
    patient = Sensitivity(d0=2, d1=2, dinf=2)

    assert worst_spread([Fraction(3, 8), Fraction(1, 2)], patient) == Fraction(3, 4)
