"""The logic of unknown values, the bound per patient, and a tabulation that never fails."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import LifeTable, Reference, Residents, Stratum
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.expression import Integer
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
from upcare_mpc.study.rows import tabulate, tally

SEX = parse("choose when sex = female then 0 when sex = male then 1 end", place="", want="integer")


def case(**known: Any) -> Case:
    return Case(**({"patient_id": "p", "tumour_id": "t", "sequence": 1} | known))


def measures(where: str = "true", per_patient: int = 1) -> Measures:
    return Measures(
        where=parse(where, place=""), tables=(Measure((SEX,)),), per_patient=per_patient
    )


def of_one_table(measures: Measures, *dimensions: Dimension) -> Layout:
    return Layout.of((Table("t", dimensions),), measures)


SEXES = of_one_table(measures(), Dimension("sex", ("female", "male")))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("age > 40", True),
        ("age > 60", False),
        ("grade = 1", None),
        ("not grade = 1", None),
        ("grade in (1, 2)", None),
        ("grade is unknown", True),
        ("age is known", True),
        ("grade = 1 and age > 60", False),
        ("grade = 1 and age > 40", None),
        ("grade = 1 or age > 40", True),
        ("grade = 1 or age > 60", None),
        ("age between diagnosis_month and 60", None),
        ("age between diagnosis_month and 49", False),
        ("min(age, diagnosis_month) = 1", None),
        ("age - 60 = -10", True),
        ("(age - 61) // 10 = -2", True),
        ("max(age, 70) - min(age, 70) = 20", True),
        ("choose when grade = 1 then 1 else 2 end = 2", True),
        ("choose when grade = 1 then 1 end = 2", None),
        ("site = C50", True),
    ],
)
def test_unknown_values_follow_the_logic_of_kleene(text: str, value: bool | None) -> None:
    record = case(age=50, topography="C50.9")

    assert compiled(parse(text, place=""))(record) is value


def test_a_record_enters_the_cohort_only_if_the_condition_is_true() -> None:
    cases = [case(patient_id=str(i), sex="female", age=age) for i, age in enumerate((70, 30, None))]

    assert tabulate(measures("age > 50"), SEXES, cases).tolist() == [1, 0]


def test_the_first_matching_tumours_of_a_patient_count_whatever_their_order() -> None:
    cases = [
        case(tumour_id="c", sequence=3, sex="male", age=60),
        case(tumour_id="b", sequence=2, sex="female", age=60),
        case(tumour_id="a", sequence=1, sex="male", age=10),
    ]

    for given_order in (cases, cases[::-1]):
        assert tabulate(measures("age > 50"), SEXES, given_order).tolist() == [1, 0]
    two = measures("age > 50", per_patient=2)
    layout = of_one_table(two, *SEXES.tables[0].dimensions)
    assert tabulate(two, layout, cases).tolist() == [1, 1]


def test_a_tumour_without_a_position_uses_up_its_turn_and_is_counted() -> None:
    counted = tally(measures(), SEXES, [case(sequence=1, sex=None), case(sequence=2, sex="female")])

    assert counted.vector.tolist() == [0, 0]
    assert (counted.matched, counted.skipped) == (1, 1)


def test_a_position_outside_the_labels_is_left_out() -> None:
    age = Measures(
        where=parse("true", place=""),
        tables=(Measure((parse("age - 40", place="", want="integer"),)),),
    )
    layout = of_one_table(age, Dimension("age", ("40", "41")))
    cases = [case(patient_id=str(a), age=a) for a in (39, 40, 41, 42)]

    assert tabulate(age, layout, cases).tolist() == [1, 1]


def test_cells_are_in_the_order_of_the_layout_with_the_last_axis_fastest() -> None:
    grade = parse("choose when grade = 3 then 2 end", place="", want="integer")
    both = Measures(where=parse("true", place=""), tables=(Measure((SEX, grade)),))
    dimensions = *SEXES.tables[0].dimensions, Dimension("grade", ("1", "2", "3"))
    table = of_one_table(both, *dimensions)

    assert tabulate(both, table, [case(sex="male", grade="3")]).tolist() == [0, 0, 0, 0, 0, 1]


def test_a_malformed_record_is_skipped_and_never_raised() -> None:
    cases = [case(patient_id="x", age="fifty", sex="male"), case(age=60, sex="female")]

    counted = tally(measures("age > 50"), SEXES, cases)

    assert counted.vector.tolist() == [1, 0]
    assert counted.unusable == 1


def test_a_tally_does_not_show_its_counts() -> None:
    assert "7" not in repr(tally(measures(), SEXES, [case(sex="male")] * 7))


PATIENTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 4),
        st.sampled_from(["female", "male", None]),
        st.one_of(st.none(), st.integers(0, 120)),
    ),
    max_size=12,
)


@given(PATIENTS, st.integers(1, 3))
def test_one_patient_moves_the_vector_by_no_more_than_the_bound(
    rows: list[tuple[str, int, str | None, int | None]], per_patient: int
) -> None:
    cases = [
        case(patient_id=p, tumour_id=str(i), sequence=s, sex=sex, age=age)
        for i, (p, s, sex, age) in enumerate(rows)
    ]
    question = measures("age > 50", per_patient)
    days = Factor(parse("age - 60", place="", want="integer"), -20, 30)
    question = replace(question, tables=(*question.tables, Measure((SEX,), (days, days))))
    sexes = SEXES.tables[0].dimensions
    layout = Layout.of((Table("t", sexes, weight=3), Table("days", sexes, weight=2)), question)

    everybody = tabulate(question, layout, cases)
    without_a = tabulate(question, layout, [c for c in cases if c.patient_id != "a"])

    moved = np.abs(everybody - without_a)
    bound = layout.sensitivity
    assert (bound.d0, bound.d1) == (2 * per_patient, (3 + 2 * 900) * per_patient)
    assert np.count_nonzero(moved) <= bound.d0
    assert moved.sum() <= bound.d1
    assert moved.max() <= bound.dinf


YEAR = 365


def rates(*tables: Measure, where: str = "true") -> tuple[Measures, Layout]:
    """Some tables of the two sexes, after one of tumours; their names are their numbers."""
    asked = Measures(where=parse(where, place=""), tables=(Measure((SEX,)), *tables))
    dimensions = SEXES.tables[0].dimensions
    named = (Table(str(i), dimensions, weight=1 + i) for i in range(1 + len(tables)))
    return asked, Layout.of(tuple(named), asked)


def test_a_table_adds_up_the_products_of_its_factors_within_their_bounds() -> None:
    """Weight 2: each unit counts twice; 40 - 60 counts as -10, 75 - 60 as 15, 99 - 60 as 20."""
    years = Factor(parse("age - 60", place="", want="integer"), -10, 20)
    grade = Factor(parse("choose when grade = 3 then 3 end", place="", want="integer"), 0, 2)
    cases = [
        case(patient_id=str(i), sex="male", age=age, grade=grade)
        for i, (age, grade) in enumerate([(40, "3"), (75, "3"), (99, None), (None, "3"), (99, "3")])
    ]

    vector = tabulate(*rates(Measure((SEX,), (years,)), Measure((SEX,), (years, grade))), cases)

    assert vector.tolist() == [0, 5, 0, 2 * (-10 + 15 + 20 + 20), 0, 3 * 2 * (-10 + 15 + 20)]


def test_what_is_left_out_of_one_table_counts_in_the_others() -> None:
    sums = Measure((SEX,), (Factor(parse("age", place="", want="integer"), 0, 120),))
    counted = tally(*rates(sums), [case(sex="male"), case(patient_id="q", sex="male", age=7)])

    assert counted.vector.tolist() == [0, 2, 0, 14]
    assert (counted.matched, counted.skipped) == (2, 0)


def test_expected_deaths_are_those_of_the_life_table() -> None:
    life_table = LifeTable({("female", year): (0.1, 0.2, 0.5) for year in (2000, 2001)})
    expected = Factor(ExpectedDeath(0, YEAR), 0, 300)
    known = {"sex": "female", "age": 1, "diagnosis_year": 2000}
    odd: list[dict[str, Any]] = [
        known,  # 200 in a thousand
        known | {"age": 7},  # half of them die, which counts as 300
        known | {"diagnosis_year": 2050, "age": 0},  # as in 2001
        known | {"diagnosis_year": 1999},  # unknown from here on
        known | {"diagnosis_year": 2101},
        known | {"age": None},
        known | {"age": -1},
        known | {"age": 121},
        known | {"sex": "male"},
    ]
    cases = [case(patient_id=str(i), **values) for i, values in enumerate(odd)]

    question = rates(Measure((Integer(0),), (expected,)))
    vector = tabulate(*question, cases, Reference(life_table=life_table))

    assert vector.tolist()[2:] == [2 * (200 + 300 + 100), 0]
    assert tabulate(*question, cases).tolist()[2:] == [0, 0]


def test_residents_are_counted_beside_the_tumours() -> None:
    people = Measure((SEX,), of="residents")
    residents = (
        Residents(Stratum(2000, "female", 0, 4, None), 10),
        Residents(Stratum(2000, "male", 0, 4, None), 9),
    )

    vector = tabulate(
        *rates(people, where="sex = male"),
        [case(sex="male"), case(patient_id="q", sex="female")],
        Reference(residents=residents),
    )

    assert vector.tolist() == [0, 1, 0, 18]


def test_measures_of_another_layout_are_not_counted() -> None:
    with pytest.raises(StudyError, match="one measure a table"):
        tabulate(measures(), rates(Measure((SEX,)))[1], [])
