"""Hand-worked examples of rates."""

from math import log, sqrt

import pytest

from upcare_mpc.stats.incidence import (
    annual_change,
    crude_rate,
    expected_cases,
    standardised_rate,
)

PEOPLE = {"young": 1000.0, "old": 500.0}


def test_a_crude_rate_is_cases_over_person_years() -> None:
    rate = crude_rate(["young", "old", "old", "unknown"], PEOPLE)

    assert (rate.value, rate.standard_error) == pytest.approx((3 / 1500, sqrt(3) / 1500))


def test_a_standardised_rate_weighs_the_ages() -> None:
    rate = standardised_rate(["young", "old", "old"], PEOPLE, {"young": 3, "old": 1})

    assert rate.value == pytest.approx(0.75 / 1000 + 0.25 * 2 / 500)
    assert rate.standard_error == pytest.approx(sqrt((0.75 / 1000) ** 2 + 2 * (0.25 / 500) ** 2))


def test_expected_cases_are_those_of_other_rates() -> None:
    assert expected_cases(PEOPLE, {"young": 0.001, "old": 0.01}) == pytest.approx(6)


def test_twice_the_cases_a_year_later_are_a_slope_of_log_2() -> None:
    cases = [(2000, "a")] * 10 + [(2001, "a")] * 20

    slope, error = annual_change(cases, {(2000, "a"): 50.0, (2001, "a"): 50.0})

    assert slope == pytest.approx(log(2))
    assert error == pytest.approx(sqrt(1 / 10 + 1 / 20))
