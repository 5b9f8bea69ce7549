"""What a study wants that a registry's population file or life table does not have."""

from dataclasses import replace

import pytest

from upcare_mpc.errors import RefusedError
from upcare_mpc.records.reference import (
    NOTHING,
    DeathProbability,
    LifeTable,
    Reference,
    Residents,
    Stratum,
)
from upcare_mpc.study.expression import Expression
from upcare_mpc.study.lacking import check_reference
from upcare_mpc.study.language import parse
from upcare_mpc.study.layout import (
    Dimension,
    ExpectedDeath,
    Factor,
    Layout,
    Measure,
    Measures,
    Table,
)

BOTH = ("female", "male")


def number(text: str) -> Expression:
    return parse(text, place="", want="integer")


AGES = number("min(age // 5, 17)")
SIZES = Dimension("age", tuple(map(str, range(18))))


def people(
    *, years: range = range(1998, 2006), regions: tuple[str | None, ...] = (None,)
) -> tuple[Residents, ...]:
    return tuple(
        Residents(Stratum(year, sex, 5 * a, None if a == 17 else 5 * a + 4, region), 100)
        for year in years
        for sex in BOTH
        for region in regions
        for a in range(18)
    )


def deaths(*sexes: str, years: range = range(1998, 2006)) -> LifeTable:
    return LifeTable.of(
        DeathProbability(Stratum(year, sex, 0, None, None), 0.1) for year in years for sex in sexes
    )


def checked(where: str, reference: Reference, *, axis: Expression = AGES) -> None:
    """A study of rates and of expected deaths."""
    tables = Table("cases", (SIZES,)), Table("people", (SIZES,)), Table("expected", (SIZES,))
    expected = Factor(ExpectedDeath(0, 365), 0, 1000)
    measures = Measures(
        where=parse(where, place=""),
        tables=(
            Measure((axis,)),
            Measure((axis,), of="residents"),
            Measure((axis,), (expected,)),
        ),
    )
    check_reference(measures, Layout.of(tables, measures), reference)


REFERENCE = Reference(residents=people(), life_table=deaths(*BOTH))
CUT = "of its population file are not all in one group of the study"
YEARS = "diagnosis_year between 2000 and 2004"


def without(**which: object) -> Reference:
    """All strata but those with these values."""
    kept = [
        group
        for group in REFERENCE.residents
        if any(getattr(group.stratum, name) != value for name, value in which.items())
    ]
    return replace(REFERENCE, residents=tuple(kept))


@pytest.mark.parametrize(
    "where",
    [
        YEARS,
        f"{YEARS} and site = C50",
        f"{YEARS} and sex = female and age >= 15",
        "diagnosis_year in (2005, 1998)",
        "diagnosis_year < 1980 and diagnosis_year > 1990",  # nobody at all
    ],
)
def test_files_that_have_everything_are_enough(where: str) -> None:
    checked(where, REFERENCE)


def test_tables_of_tumours_need_neither_file() -> None:
    measures = Measures(where=parse("true", place=""), tables=(Measure((AGES,)),))

    check_reference(measures, Layout.of((Table("t", (SIZES,)),), measures), NOTHING)


@pytest.mark.parametrize(
    ("where", "reference", "words"),
    [
        (YEARS, NOTHING, "has no population file"),
        (
            YEARS,
            without(year=2003, sex="female", first_age=70),
            "has a population file without ages 70-74 of female residents in 2003",
        ),
        (
            YEARS,
            without(year=2003, sex="male"),
            "has a population file without male residents in 2003",
        ),
        (
            "diagnosis_year between 1996 and 2004",
            REFERENCE,
            "has a population file without female residents in 1996",
        ),
        (
            "age >= 15",  # from when to when is not said
            REFERENCE,
            "has a population file without female residents in 1900",
        ),
        (
            f"{YEARS} and age >= 18",
            REFERENCE,
            f"cannot answer, for the ages 15-19 {CUT}",
        ),
        (f"{YEARS} and nuts1 = FRF", REFERENCE, "has a population file without regions"),
        (
            f"{YEARS} and region = FRF11",
            Reference(residents=people(regions=("FRF1", "FRK2")), life_table=deaths(*BOTH)),
            "has a population file of FRF1, not of FRF11 in it",
        ),
        (
            YEARS,
            replace(REFERENCE, life_table=deaths("female")),
            "has no life table of male residents",
        ),
        (
            YEARS,
            replace(REFERENCE, life_table=deaths(*BOTH, years=range(2001, 2006))),
            "has a life table of female residents from 2001, not from 2000",
        ),
    ],
)
def test_what_is_lacking_is_said_in_one_line(where: str, reference: Reference, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        checked(where, reference)

    assert str(refused.value) == words


def test_only_what_is_asked_has_to_be_there() -> None:
    """Years, sexes and ages that the study leaves out may be lacking."""
    checked(f"{YEARS} and sex = female", without(sex="male"))
    checked(f"{YEARS} and sex = female", replace(REFERENCE, life_table=deaths("female")))
    checked("diagnosis_year between 2004 and 2005", without(year=2003))
    checked(f"{YEARS} and age < 70", without(first_age=70))
    checked(f"{YEARS} and age // 5 != 14", without(first_age=70))


def test_regions_of_the_file_are_each_held_against_the_question() -> None:
    residents = people(regions=("FRF11", "FRK24"))
    asked = f"{YEARS} and nuts1 = FRF"
    less = [g for g in residents if (g.stratum.region, g.stratum.year) != ("FRF11", 2001)]
    other = [g for g in residents if (g.stratum.region, g.stratum.year) != ("FRK24", 2001)]

    checked(asked, replace(REFERENCE, residents=residents))
    checked(asked, replace(REFERENCE, residents=tuple(other)))  # a region that is not asked
    with pytest.raises(RefusedError, match=r"without female residents in 2001 in FRF11$"):
        checked(asked, replace(REFERENCE, residents=tuple(less)))


def test_after_the_last_year_of_a_life_table_it_holds() -> None:
    checked(YEARS, replace(REFERENCE, life_table=deaths(*BOTH, years=range(1998, 2001))))
