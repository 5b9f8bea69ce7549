"""Dates carry how much of them is known, and nothing more is read into them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.ingest.dates import (
    Moment,
    Precision,
    age_on_day,
    before,
    completed_years,
    days_between,
    earliest,
    german,
    iso,
    latest,
    unreadable,
)


@pytest.mark.parametrize(
    ("flag", "year", "month", "precision"),
    [
        ("E", 2010, 7, Precision.DAY),
        (None, 2010, 7, Precision.DAY),
        ("T", 2010, 7, Precision.MONTH),
        ("M", 2010, None, Precision.YEAR),
        ("V", None, None, Precision.ESTIMATED),
        ("?", None, None, Precision.ESTIMATED),
    ],
)
def test_the_flag_says_what_is_known(flag, year, month, precision):
    moment = iso("2010-07-01", flag)

    assert (moment.year, moment.month, moment.precision) == (year, month, precision)


@pytest.mark.parametrize(
    ("text", "year", "month"),
    [("14.02.2010", 2010, 2), ("00.02.2010", 2010, 2), ("00.00.2010", 2010, None)],
)
def test_zeros_say_what_is_unknown(text, year, month):
    moment = german(text)

    assert (moment.year, moment.month) == (year, month)


@pytest.mark.parametrize(
    "text", [None, "", "00.00.1800", "31.02.2010", "2010-02-01", "1.2.2010", "01.13.2010", "x"]
)
def test_what_is_no_german_date_is_none(text):
    assert german(text) is None


@pytest.mark.parametrize("text", [None, "", "2010-02-31", "01.02.2010", "2010-2-1", "0000-01-01"])
def test_what_is_no_iso_date_is_none(text):
    assert iso(text) is None


def test_a_time_zone_is_ignored():
    assert iso("2021-08-26+02:00") == iso("2021-08-26Z") == iso("2021-08-26")


@pytest.mark.parametrize(
    ("birth", "at", "age"),
    [
        ("15.03.1950", "14.03.2010", 59),
        ("15.03.1950", "15.03.2010", 60),
        ("00.03.1950", "01.03.2010", 60),  # reached in its month
        ("00.04.1950", "31.03.2010", 59),
        ("00.00.1950", "30.06.2010", 59),  # July
        ("00.00.1950", "01.07.2010", 60),
        ("00.00.1950", "00.00.2010", 60),
        ("01.01.1880", "01.01.2010", None),
        ("01.01.2011", "01.01.2010", None),
    ],
)
def test_age_is_in_completed_years(birth, at, age):
    assert completed_years(german(birth), german(at)) == age


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("01.03.2010", "31.03.2010", 30),
        ("31.03.2010", "01.03.2010", None),
        ("31.03.2010", "00.03.2010", 0),
        ("00.00.2010", "01.03.2011", None),
        ("01.03.2010", "00.00.2011", None),
        ("01.03.1850", "01.03.2020", None),
    ],
)
def test_days_need_the_month_of_both(start, end, days):
    assert days_between(german(start), german(end)) == days


def test_the_latest_date_has_a_known_month():
    moments = [german("01.03.2010"), None, german("00.00.2012"), german("00.05.2010")]

    assert latest(moments) == german("00.05.2010")
    assert latest([]) is None


def test_the_earliest_date_has_a_known_month():
    moments = [german("00.05.2010"), None, german("00.00.2000"), german("01.03.2011")]

    assert earliest(moments) == german("00.05.2010")
    assert earliest([None]) is None


@pytest.mark.parametrize(
    ("birth", "at", "age"),
    [
        ("1950-06-15", "2010-06-15", 60),
        ("1950-07-15", "2010-06-15", 59),
        ("2011-01-15", "2010-01-15", None),
    ],
)
def test_the_age_of_days_as_they_stand_asks_for_no_precision(birth, at, age):
    for flag in "ETMV":
        assert age_on_day(iso(birth, flag), iso(at, flag)) == age
    assert age_on_day(None, iso(at)) is None


@pytest.mark.parametrize(
    ("one", "other", "surely"),
    [
        ("01.03.2010", "02.03.2010", True),
        ("02.03.2010", "01.03.2010", False),
        ("01.03.2010", "00.03.2010", False),
        ("28.02.2010", "00.03.2010", True),
        ("31.12.2009", "00.00.2010", True),
        ("01.01.2010", "00.00.2010", False),
    ],
)
def test_a_date_is_before_another_only_as_far_as_both_are_known(one, other, surely):
    assert before(german(one), german(other)) is surely
    assert not before(german(one), iso("2020-01-01", "V"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, False),
        (" ", False),
        ("00.00.1800", False),
        ("1800-01-01", False),
        ("00.00.0000", False),
        ("31.02.2010", True),
        ("12.2010", True),
        ("x", True),
    ],
)
def test_a_placeholder_was_not_meant_to_be_a_date(text, meant):
    assert german(text) is None
    assert unreadable(text) is meant


def test_blanks_around_a_date_are_nothing():
    assert iso(" 2010-03-01\n", " T ") == iso("2010-03-01", "T")
    assert german("\t01.03.2010 ") == german("01.03.2010")


@given(birth=st.dates(date(1900, 1, 1)), at=st.dates(date(1900, 1, 1), date(2019, 12, 31)))
def test_exact_age_counts_birthdays(birth, at):
    age = completed_years(Moment(birth, Precision.DAY), Moment(at, Precision.DAY))

    birthdays = [
        year for year in range(birth.year + 1, at.year + 1)
        if (at.year, at.month, at.day) >= (year, birth.month, birth.day)
    ]  # fmt: skip
    assert age == (None if birth > at else len(birthdays))
