"""What a study reads, held against what a registry states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.records.availability import Availability, listed_variables
from upcare_mpc.records.case import Case
from upcare_mpc.study.coverage import Gaps, asked_years, gaps, years_of
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.language import parse
from upcare_mpc.study.layout import Measure, Measures


def measures(where: str, *axes: str) -> Measures:
    positions = tuple(parse(axis, place="", want="integer") for axis in axes)
    return Measures(where=parse(where, place=""), tables=(Measure(positions),))


def stated(*names: str, years: tuple[int, int] = (1999, 2023)) -> Availability:
    return Availability(variables=listed_variables(names), years=years)


def test_cohort_dimensions_and_arms_are_looked_at() -> None:
    study = measures(
        "site = 'C50' and tx_chemo = yes",
        "choose when stage = 1 then 0 when grade = 1 then 1 end",
        "age // 10",
    )

    assert gaps(study, stated("icd10", "age")).variables == ("stage", "grade", "tx_chemo")
    assert gaps(study, stated("site", "age", "stage", "grade", "tx_chemo")) == Gaps((), ())


@pytest.mark.parametrize(
    ("where", "years"),
    [
        ("true", (1900, 2100)),
        ("diagnosis_year between 1984 and 1991", (1984, 1991)),
        ("1984 <= diagnosis_year and diagnosis_year < 1992 and age > 3", (1984, 1991)),
        ("diagnosis_year = 1990 or diagnosis_year in (1987, 1985)", (1985, 1990)),
        ("diagnosis_year > 2009", (2010, 2100)),
        ("diagnosis_year = 1990 or age > 3", (1900, 2100)),
        ("diagnosis_year != 1990", (1900, 2100)),
        ("not diagnosis_year < 1990", (1900, 2100)),
        ("diagnosis_year - 1 = 1990", (1900, 2100)),
        ("diagnosis_year < 1980 and diagnosis_year > 1990", None),
        ("(diagnosis_year < 1980 and diagnosis_year > 1990) or diagnosis_year < 1900", None),
        ("diagnosis_year > 2100 or diagnosis_year = 1990", (1990, 1990)),
    ],
)
def test_the_years_are_read_where_they_are_plain(where: str, years: tuple[int, int] | None) -> None:
    assert asked_years(measures(where)) == years


def test_years_of_a_dimension_narrow_too() -> None:
    axis = "choose when diagnosis_year between 1984 and 1999 then diagnosis_year - 1984 end"
    open_end = "choose when diagnosis_year between 1984 and 1999 then 0 else 1 end"

    assert asked_years(measures("diagnosis_year >= 1990", axis)) == (1990, 1999)
    assert asked_years(measures("diagnosis_year >= 1990", open_end)) == (1990, 2100)


def test_the_years_of_several_tables_are_those_of_any() -> None:
    cases = parse("choose when diagnosis_year = 1990 then 0 end", place="", want="integer")
    people = parse("choose when diagnosis_year = 1987 then 0 end", place="", want="integer")
    where = parse("diagnosis_year <= 1988 or diagnosis_year = 1990", place="")
    both = Measures(where=where, tables=(Measure((cases,)), Measure((people,), of="residents")))

    assert asked_years(both) == (1987, 1990)
    assert years_of(where, both.tables[0]) == (1990, 1990)
    assert years_of(where, both.tables[1]) == (1987, 1987)


@pytest.mark.parametrize(
    ("where", "years"),
    [
        ("diagnosis_year between 2000 and 2010", ()),
        ("diagnosis_year between 1999 and 2023", ()),
        ("diagnosis_year between 1998 and 2024", ((1998, 1998), (2024, 2024))),
        ("diagnosis_year between 1990 and 2010", ((1990, 1998),)),
        ("diagnosis_year between 2000 and 2030", ((2024, 2030),)),
        ("diagnosis_year between 1990 and 2030", ((1990, 1998), (2024, 2030))),
        ("diagnosis_year between 1980 and 1985", ((1980, 1985),)),
        ("diagnosis_year >= 2000", ()),  # a side that is left open asks for what there is
        ("diagnosis_year <= 2000", ()),
        ("diagnosis_year < 1990", ((1900, 1989),)),
        ("age > 3", ()),
        ("diagnosis_year < 1980 and diagnosis_year > 1990", ()),
    ],
)
def test_years_that_a_registry_does_not_cover(
    where: str, years: tuple[tuple[int, int], ...]
) -> None:
    assert gaps(measures(where), stated("age")).years == years


PLAIN = st.one_of(
    st.builds(
        "diagnosis_year {} {}".format,
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.integers(1900, 1910),
    ),
    st.builds(
        "diagnosis_year {} between {} and {}".format,
        st.sampled_from(["", "not"]),
        st.integers(1900, 1905),
        st.integers(1905, 1910),
    ),
    st.builds("{} >= diagnosis_year".format, st.integers(1900, 1910)),
    st.sampled_from(["age > 50", "age is unknown", "true", "diagnosis_year in (1902, 1905)"]),
)
CONDITIONS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)


@given(where=CONDITIONS, year=st.integers(1900, 1912), age=st.sampled_from([None, 40, 60]))
def test_no_case_of_the_cohort_is_outside_the_years_that_are_said_to_be_asked(
    where: str, year: int, age: int | None
) -> None:
    study = measures(where)
    case = Case(patient_id="p", tumour_id="t", sequence=1, diagnosis_year=year, age=age)

    asked = asked_years(study)

    if compiled(study.where)(case) is True:
        assert asked is not None
        assert asked[0] <= year <= asked[1]


def test_a_position_within_a_branch_narrows_the_years_too() -> None:
    axis = parse(
        "choose when age > 1 then choose when diagnosis_year = 2001 then 0"
        " when diagnosis_year = 2003 then 1 end end",
        place="",
        want="integer",
    )
    measure = Measure((axis,))

    assert years_of(parse("diagnosis_year >= 2002", place=""), measure) == (2002, 2003)
