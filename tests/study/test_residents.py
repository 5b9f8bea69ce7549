"""How many people live in each cell of a table."""

from typing import Any

import numpy as np
import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import Residents, Stratum
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.expression import Expression, size
from upcare_mpc.study.language import parse
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.residents import count_residents, placing_steps, resident_vector

AGES = ("0-14", "15-64", "65+")


def number(text: str) -> Expression:
    return parse(text, place="", want="integer")


BY_AGE = number("choose when age < 15 then 0 when age < 65 then 1 else 2 end")
TABLE = Table("people", (Dimension("age", AGES),))


def group(
    first: int,
    last: int | None,
    count: float,
    *,
    sex: str = "female",
    year: int = 2000,
    region: str | None = None,
) -> Residents:
    return Residents(Stratum(year, sex, first, last, region), count)


def counted(where: str, *residents: Residents, axis: Expression = BY_AGE) -> list[int]:
    measure = Measure((axis,), of="residents")
    return count_residents(parse(where, place=""), TABLE, measure, residents).tolist()


EVERYBODY = (group(0, 14, 5.5), group(15, 64, 60), group(65, None, 17, sex="male"))


def test_people_are_counted_where_their_tumours_would_be() -> None:
    assert counted("true", *EVERYBODY, group(65, 84, 2), group(15, 24, 0.25)) == [6, 60, 19]


@pytest.mark.parametrize(
    ("where", "people"),
    [
        ("sex = female", [6, 60, 0]),
        ("site = C50 and sex = female", [6, 60, 0]),  # nobody is kept out by what is unknown
        ("site = C50 or sex = female", [6, 60, 17]),
        ("not site = C50", [6, 60, 17]),
        ("sequence >= 2", [6, 60, 17]),  # which tumour it is belongs to the tumour too
        ("sequence = 1 and sex = female", [6, 60, 0]),
        ("sex = female and (site = C50 and age >= 15)", [0, 60, 0]),
        ("diagnosis_year between 1990 and 1999 or site = C50", [6, 60, 17]),
        ("diagnosis_year = 2001", [0, 0, 0]),
        ("age >= 15", [0, 60, 17]),
        ("region = FRF11", [6, 60, 17]),  # a file without regions; ``lacking`` refuses this
    ],
)
def test_a_condition_keeps_out_those_for_whom_it_is_false(where: str, people: list[int]) -> None:
    assert counted(where, *EVERYBODY) == people


def test_regions_place_people() -> None:
    axis = number("choose when nuts2 = FRF1 then 0 when nuts2 = FRK2 then 1 end")
    residents = [group(0, 9, 3, region="FRF11"), group(0, 9, 4, region="FRK24")]

    assert counted("true", *residents, group(0, 9, 5, region="FRB"), axis=axis) == [3, 4, 0]


@pytest.mark.parametrize("ages", [(10, 19), (0, None), (60, None)])
def test_a_group_of_the_file_in_two_groups_of_the_study_is_refused(
    ages: tuple[int, int | None],
) -> None:
    with pytest.raises(DataError, match="not all in one group of the study"):
        counted("true", group(*ages, 9))


def test_a_group_that_a_condition_cuts_is_refused() -> None:
    with pytest.raises(DataError, match=r"^the ages 15-19 of its population file are not all"):
        counted("age >= 18", group(15, 19, 9))
    with pytest.raises(DataError, match=r"^the ages 85\+ of its population file are not all"):
        counted("age between 0 and 99", group(85, None, 9))


def test_so_many_people_that_sums_could_overflow_are_refused() -> None:
    assert counted("true", group(0, 9, 2.0**34)) == [2**34, 0, 0]
    with pytest.raises(DataError, match="more than 17179869184 people"):
        counted("true", group(0, 9, 2.0**34), group(65, None, 1))


def test_only_tables_of_residents_are_filled_in_with_their_weight() -> None:
    measures = Measures(
        where=parse("true", place=""),
        tables=(Measure((BY_AGE,)), Measure((BY_AGE,), of="residents")),
    )
    tables = Table("cases", TABLE.dimensions), Table("people", TABLE.dimensions, weight=2)
    vector = resident_vector(measures, Layout.of(tables, measures), EVERYBODY)

    assert vector.dtype == np.int64
    assert vector.tolist() == [0, 0, 0, 11, 120, 34]


def test_no_more_is_evaluated_than_the_text_and_the_file_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each term and axis once for each combination of what it reads."""
    steps = 0

    def counting(expression: Expression) -> Any:
        evaluate = compiled(expression)

        def evaluated(case: Case) -> Any:
            nonlocal steps
            steps += size(expression)
            return evaluate(case)

        return evaluated

    monkeypatch.setattr("upcare_mpc.study.residents.compiled", counting)
    people = [
        group(age, age, 1, sex=sex, year=year, region=region)
        for age in range(121)
        for sex in ("female", "male")
        for year in range(2000, 2003)
        for region in ("FRF11", "FRK24")
    ]
    where = "diagnosis_year between 2000 and 2001 and age >= diagnosis_year - 2000"
    measure = Measure((BY_AGE,), of="residents")

    assert counted(where, *people) == [116, 400, 448]
    assert steps == 2 * size(parse("diagnosis_year between 2000 and 2001", place="")) + (
        2 * 121 * size(parse("age >= diagnosis_year - 2000", place="")) + 121 * size(BY_AGE)
    )
    assert steps <= placing_steps(parse(where, place=""), measure, people)
