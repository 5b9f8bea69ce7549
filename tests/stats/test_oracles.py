"""Hand-worked examples: the oracles must be right on their own."""

import pytest

from upcare_mpc.stats.competing import incidence_on_grid
from upcare_mpc.stats.counts import bounded, cross_table
from upcare_mpc.stats.lifetable import life_table, product_limit
from upcare_mpc.stats.logrank import logrank, logrank_on_grid
from upcare_mpc.stats.relative import Patient, relative_survival
from upcare_mpc.stats.restricted_mean import restricted_mean

# Freireich et al. 1963, remission of leukaemia under 6-MP and placebo, in weeks: the textbook
# example of Cox (1972) and Kalbfleisch and Prentice; log-rank chi-square 16.79.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_kaplan_meier_gives_the_textbook_curve() -> None:
    found = product_limit(TREATED, [bool(r) for r in RELAPSED], [5, 6, 10, 23])

    assert [round(s, 4) for s, _ in found] == [1.0, 0.8571, 0.7529, 0.4482]
    assert [round(e, 4) for _, e in found] == [0.0, 0.0764, 0.0963, 0.1346]


def test_the_log_rank_test_gives_the_textbook_value() -> None:
    test = logrank(
        [0] * 21 + [1] * 21, TREATED + PLACEBO, [bool(r) for r in RELAPSED] + [True] * 21
    )

    assert round(test.statistic, 2) == 16.79
    assert test.observed == (9, 21)
    assert [round(e, 2) for e in test.expected] == [19.25, 10.75]


def test_an_actuarial_table_counts_leavers_for_half_of_their_interval() -> None:
    lines = life_table([5, 10, 15, 20, 20], [True, False, True, False, False], [0, 10, 20])

    assert [(line.at_risk, line.deaths, line.leavers) for line in lines] == [(5, 1, 1), (3, 1, 2)]
    assert lines[0].survival == pytest.approx(1 - 1 / 4.5)
    assert lines[1].survival == pytest.approx((1 - 1 / 4.5) * (1 - 1 / 2))


def test_on_unit_intervals_the_grid_test_is_the_exact_one() -> None:
    arm = [0] * 21 + [1] * 21
    died = [bool(r) for r in RELAPSED] + [True] * 21

    on_grid = logrank_on_grid(arm, TREATED + PLACEBO, died, list(range(36)), actuarial=False)

    assert on_grid.statistic == pytest.approx(logrank(arm, TREATED + PLACEBO, died).statistic)


def test_a_table_leaves_out_unknown_values() -> None:
    rows = [{"sex": "f", "age": 1}, {"sex": "f", "age": 1}, {"sex": None, "age": 1}]

    assert cross_table(rows, ["sex", "age"]) == {("f", 1): 2}


def test_only_the_first_tumours_of_a_patient_are_kept() -> None:
    assert bounded([("a", 2, "x"), ("a", 1, "y"), ("b", 1, "z")], per_patient=1) == ["y", "z"]


def test_relative_survival_divides_by_the_mean_chance_of_those_observed() -> None:
    """Three patients, ten days an interval: 3 at risk, then 2; chances .1, .2, .3 in each."""
    patients = [
        Patient(exit_days=5, died=True, chance=lambda _s, _e: 0.1),
        Patient(exit_days=15, died=True, chance=lambda _s, _e: 0.2),
        Patient(exit_days=30, died=False, chance=lambda _s, _e: 0.3),
    ]

    lines = relative_survival(patients, [0, 10, 20])

    assert [line.survival for line in lines] == pytest.approx([2 / 3, 1 / 3])
    assert [line.expected for line in lines] == pytest.approx([0.8, 0.8 * 0.75])
    assert [line.relative for line in lines] == pytest.approx([2 / 3 / 0.8, 1 / 3 / 0.6])
    assert [line.due for line in lines] == pytest.approx([0.6, 0.5])


def test_who_enters_late_counts_for_half_of_the_interval() -> None:
    patients = [
        Patient(exit_days=5, died=True),
        Patient(entry_days=5, exit_days=25, died=False),
        Patient(entry_days=12, exit_days=14, died=False),
    ]

    lines = relative_survival(patients, [0, 10, 20])

    assert [line.at_risk for line in lines] == [2, 2]
    assert [line.survival for line in lines] == pytest.approx([1 - 1 / 1.5] * 2)


def test_incidence_of_a_cause_and_of_the_other_and_survival_add_up_to_one() -> None:
    first, second = incidence_on_grid([5, 12, 14, 30], [1, 2, 0, 0], [0, 10, 20], actuarial=True)

    assert first == pytest.approx([1 / 4, 1 / 4])
    assert second == pytest.approx([0, 3 / 4 / 2.5])


def test_the_restricted_mean_is_the_area_under_the_steps() -> None:
    area, variance = restricted_mean([2, 4, 6], [True, False, True], 10)

    assert area == pytest.approx(2 + 4 * 2 / 3)  # 1 to day 2, then 2/3 to day 6, then 0
    assert variance == pytest.approx((area - 2) ** 2 / (3 * 2))


def test_a_stratified_test_compares_within_strata_only() -> None:
    """Two strata with one arm each have nothing to compare; a third decides alone."""
    arm, days, died = [0, 1, 0, 1, 1, 0], [5, 3, 2, 4, 6, 7], [True] * 6

    test = logrank(arm, days, died, ["x", "y", "z", "z", "z", "z"])
    alone = logrank(arm[2:], days[2:], died[2:])

    assert test.statistic == pytest.approx(alone.statistic)
