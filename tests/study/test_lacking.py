"""What a study wants that a registry's population file or life table does not have."""

import json
from dataclasses import replace
from typing import Any

import pytest

from upcare_mpc import kinds
from upcare_mpc.errors import RefusedError
from upcare_mpc.records.reference import (
    NOTHING,
    DeathProbability,
    LifeTable,
    Reference,
    Residents,
    Stratum,
)
from upcare_mpc.study import spec
from upcare_mpc.study.expression import Expression
from upcare_mpc.study.lacking import MOST_STEPS, check_reference
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
            "has a population file of FRF1, which is too coarse for region",
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


def asked(kind: str, where: str, reference: Reference, **options: Any) -> None:
    """A study as a researcher sends it."""
    study = {
        "version": 1,
        "title": "t",
        "purpose": "DUO:0000007",
        "registries": ["de-a"],
        "overlap": 1,
        "privacy": {"epsilon": 5},
        "cohort": {"where": where},
        "kind": kind,
        kind: options,
    }
    question = kinds.of(spec.parse(json.dumps(study), name=""))
    check_reference(question.measures(), question.layout(), reference)


def relative_survival(where: str, life_table: LifeTable, **options: Any) -> None:
    options = {"interval_days": 365, "intervals": 3, "relative": True} | options
    asked("survival", where, Reference(life_table=life_table), **options)


SINCE = "diagnosis_year >= 2000"
LATE = deaths("female", years=range(2001, 2006))


@pytest.mark.parametrize(
    ("where", "life_table", "words"),
    [
        (SINCE, LifeTable({}), "has no life table of female residents"),
        (SINCE, deaths("female"), "has no life table of male residents"),
        (SINCE, LATE, "has a life table of female residents from 2001, not from 2000"),
        ("age >= 15", deaths(*BOTH), "has a life table of female residents from 1998, not from "),
        (f"{SINCE} and sex = male", deaths("female"), "has no life table of male residents"),
        (f"{SINCE} and sex in (male, other)", LATE, "has no life table of male residents"),
        (f"{SINCE} and (sex = female or site = C50)", LATE, "has a life table of female"),
        (f"{SINCE} and not sex = male", deaths("female"), "has no life table of male residents"),
    ],
)
def test_relative_survival_wants_a_life_table(
    where: str, life_table: LifeTable, words: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        relative_survival(where, life_table)

    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    "where",
    [
        f"{SINCE} and sex = female",
        f"{SINCE} and sex != male",
        f"{SINCE} and sex in (female, other)",
        f"{SINCE} and (sex = female and site = C50 or sex = female and stage = 2)",
        f"{SINCE} and sex = other",
    ],
)
def test_a_life_table_has_to_have_the_sexes_that_the_text_leaves(where: str) -> None:
    relative_survival(where, deaths("female"))


def test_arms_narrow_the_sexes_too() -> None:
    arms = {"women": "sex = female and age < 60", "old women": "sex = female"}

    relative_survival(SINCE, deaths("female"), arms=arms)
    with pytest.raises(RefusedError, match="no life table of male"):
        relative_survival(SINCE, deaths("female"), arms=arms | {"rest": "true"})


def incidence(where: str, residents: tuple[Residents, ...], *by: Any) -> None:
    ages = {"from": 0, "width": 5, "open": 85}
    options = {"by": list(by) or ["sex"], "ages": ages, "standards": ["world"]}
    asked("incidence", where, Reference(residents=residents), **options)


@pytest.mark.parametrize(
    ("asks", "axis", "regions", "words"),
    [
        ("nuts2 is known", "sex", ("FRF",), "of FRF, which is too coarse for nuts2"),
        ("nuts2 >= 'FRA1'", "sex", ("FRF",), "of FRF, which is too coarse for nuts2"),
        ("nuts1 >= 'FRA'", "sex", ("FR",), "of FR, which is too coarse for nuts1"),
        ("region >= 'FRF11'", "sex", ("FRF1",), "of FRF1, which is too coarse for region"),
        ("nuts2 = FRK2", "sex", ("FRF", "FRK24"), "of FRF, which is too coarse for nuts2"),
        (
            "true",
            {"name": "r", "arms": {"known": "nuts2 is known", "rest": "true"}},
            ("FRF",),
            "of FRF, which is too coarse for nuts2",
        ),
        ("nuts2 is unknown", "sex", (None,), "without regions"),
        (
            "true",
            {"name": "r", "arms": {"a": "region = FRF11", "rest": "true"}},
            (None,),
            "without regions",
        ),
    ],
)
def test_a_population_file_that_is_coarser_than_the_question_is_refused(
    asks: str, axis: Any, regions: tuple[str | None, ...], words: str
) -> None:
    with pytest.raises(RefusedError, match=f"^has a population file {words}$"):
        incidence(f"{YEARS} and {asks}", people(regions=regions), axis)


def test_a_population_file_that_is_finer_than_the_question_is_enough() -> None:
    incidence(f"{YEARS} and nuts1 = FRF and nuts2 is known", people(regions=("FRF1", "FRK24")))
    incidence(f"{YEARS} and region >= 'FRF11'", people(regions=("FRF11", "FRK24")))
    incidence(YEARS, people(regions=("FR",)))  # asks for no region


@pytest.mark.parametrize("asks", ["sequence >= 2", "sequence = 1", "not sequence > 1"])
def test_what_is_asked_of_a_tumour_lets_no_lacking_people_through(asks: str) -> None:
    with pytest.raises(RefusedError, match="without male residents in 2003"):
        incidence(f"{YEARS} and {asks}", without(year=2003, sex="male").residents)


def test_a_study_whose_check_would_take_long_is_refused_by_its_text() -> None:
    regions = tuple(f"DE{a}{b}{c}" for a in "123456789ABC" for b in "1234" for c in "12")
    residents = people(regions=regions, years=range(2000, 2005))
    by = {"variable": "region", "values": list(regions)}
    hidden = "not (diagnosis_year < 2000) and not (diagnosis_year > 2004)"

    incidence(f"{YEARS} and nuts1 is known", residents, by)
    with pytest.raises(RefusedError, match=f"in {MOST_STEPS} steps, for it wants [0-9]+: ask "):
        incidence(f"diagnosis_year between 1901 and 2099 and {hidden}", residents, by)
