"""Population files and life tables in order, and what a life table expects."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import DataError
from upcare_mpc.records.reference import (
    LAST_YEAR,
    OLDEST,
    DeathProbability,
    LifeTable,
    Reference,
    Residents,
    Stratum,
    in_order,
)

YEAR = 365.25


def people(year: int, first: int, last: int | None, region: str | None = None) -> Residents:
    return Residents(Stratum(year, "female", first, last, region), 10.0)


def death(year: int, first: int, last: int | None, probability: float) -> DeathProbability:
    return DeathProbability(Stratum(year, "male", first, last, None), probability)


def test_a_population_is_put_in_order() -> None:
    rows = [people(2001, 5, 9), people(2000, 5, None), people(2001, 10, None), people(2000, 0, 4)]

    assert in_order(rows) == (rows[3], rows[1], rows[0], rows[2])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([people(2000, 0, 4), people(2000, 4, 9)], "age 4 of female in 2000 twice"),
        ([people(2000, 80, None), people(2000, 85, 89)], "age 85 of female in 2000 twice"),
        ([people(2000, 0, 4), people(2000, 0, 4, "FRF11")], "FRF11 within the whole area"),
        ([people(2000, 0, 4, "FRF1"), people(2001, 0, 4, "FRF11")], "FRF11 within FRF1"),
    ],
)
def test_people_who_would_count_twice_are_refused(rows: list[Residents], words: str) -> None:
    with pytest.raises(DataError, match=words):
        in_order(rows)
    with pytest.raises(DataError, match=words):
        in_order(rows[::-1])


def test_groups_of_ages_and_an_open_one_fill_the_line_of_a_year() -> None:
    rows = [death(2000, 5, None, 0.3), death(2000, 0, 0, 0.1), death(2000, 1, 4, 0.2)]

    table = LifeTable.of(rows)

    assert table.yearly == {("male", 2000): (0.1, 0.2, 0.2, 0.2, 0.2, 0.3)}
    assert table.years("male") == range(2000, 2001)
    assert not table.years("female")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([death(2000, 1, None, 0.1)], "lacks age 0 of male in 2000"),
        ([death(2000, 0, 4, 0.1), death(2000, 6, None, 0.1)], "lacks age 5 of male in 2000"),
        ([death(2000, 0, 4, 0.1), death(2000, 4, None, 0.1)], "age 4 of male in 2000 twice"),
        ([death(2000, 0, None, 0.1), death(2002, 0, None, 0.1)], "lacks the year 2001 of male"),
        ([DeathProbability(Stratum(2000, "male", 0, 1, "FRF"), 0.1)], "got regions"),
    ],
)
def test_a_life_table_with_a_gap_is_refused(rows: list[DeathProbability], words: str) -> None:
    with pytest.raises(DataError, match=words):
        LifeTable.of(rows)


TABLE = LifeTable.of(
    death(year, age, None if age == 3 else age, 0.1 * (age + 1) + 0.01 * (year - 2000))
    for year, age in product((2000, 2001), range(4))
)


@pytest.mark.parametrize(
    ("year", "age", "span", "chance"),
    [
        (2000, 0, (0, 365), 1 - 0.9 ** (365 / YEAR)),
        (2000, 0, (0, 730), 1 - 0.9 * 0.79 ** (730 / YEAR - 1)),
        (2000, 1, (400, 500), 1 - 0.69 ** (100 / YEAR)),
        (2000, 3, (0, 1461), 1 - 0.6 * 0.59**3),  # the last age, then the last year
        (2001, 119, (0, 1), 1 - 0.59 ** (1 / YEAR)),
        (2050, 2, (0, 365), 1 - 0.69 ** (365 / YEAR)),  # as in the last year of the table
    ],
)
def test_chances_follow_age_and_calendar_until_the_last_year(
    year: int, age: int, span: tuple[int, int], chance: float
) -> None:
    expected = TABLE.expected_deaths(*span)["male", year][age]

    assert expected == math.floor(1000 * chance + 0.5)


def test_what_there_is_is_said_in_some_words() -> None:
    residents = (people(2001, 0, None), people(1999, 0, None))

    assert Reference().described() == ""
    assert Reference(residents=residents).described() == "population of 1999-2001"
    assert Reference(life_table=TABLE).described() == "life table of 2000-2001"
    both = Reference(residents=residents, life_table=TABLE)
    assert both.described() == "population of 1999-2001 and life table of 2000-2001"


def test_before_the_first_year_and_for_the_other_sex_nothing_is_known() -> None:
    expected = TABLE.expected_deaths(0, 365)

    assert {sex for sex, _ in expected} == {"male"}
    assert sorted(year for _, year in expected) == list(range(2000, LAST_YEAR + 1))
    assert {len(line) for line in expected.values()} == {OLDEST + 1}
    assert LifeTable({}).expected_deaths(0, 365) == {}


@given(st.integers(0, 3000), st.integers(1, 2000), st.integers(1, 2000))
def test_surviving_two_spans_is_surviving_one_and_then_the_other(
    start: int, first: int, second: int
) -> None:
    middle, end = start + first, start + first + second

    whole = TABLE.expected_deaths(start, end)["male", 2000]
    parts = [TABLE.expected_deaths(*s)["male", 2000] for s in ((start, middle), (middle, end))]

    for both, one, other in zip(whole, *parts, strict=True):
        joined = 1000 - (1000 - one) * (1000 - other) / 1000
        assert abs(both - joined) <= 1.5  # each is rounded to a thousandth
