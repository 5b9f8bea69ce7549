"""Hand-worked examples: the oracles must be right on their own."""

import pytest

from upcare_mpc.stats.counts import bounded, cross_table
from upcare_mpc.stats.lifetable import life_table, product_limit
from upcare_mpc.stats.logrank import logrank, logrank_on_grid

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
