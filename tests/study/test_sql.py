"""SQL for measures: what may get into its text, and how long it gets.

That it counts as the rows do is tested where it is executed, in ``tests/storage``.
"""

import pytest

from upcare_mpc.errors import StudyError
from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Choose,
    Comparison,
    Expression,
    Field,
    Integer,
    Text,
    Truth,
)
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
from upcare_mpc.study.sql import MAX_INTEGER, MAX_STEPS, count_query, sql


def measures(where: Expression, axes: int = 1) -> Measures:
    return Measures(where=where, tables=(Measure((Integer(0),) * axes),))


ONE = Layout.of((Table("t", (Dimension("all", ("all",)),)),), measures(Truth(value=True)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sex = female", "(\"sex\" = 'female')"),
        ("age != 5", '("age" <> (5)::BIGINT)'),
        ("not age is known", '(NOT ("age" IS NOT NULL))'),
        ("stage in (1, 2)", "(\"stage\" IN ('1', '2'))"),
        (
            "max(age, 7) = 7",
            "(list_sort([\"age\", (7)::BIGINT], 'DESC', 'NULLS FIRST')[1] = (7)::BIGINT)",
        ),
        ("age_group = '85+'", "(\"age_group\" = '85+')"),
    ],
)
def test_an_expression_is_spelled_with_every_part_in_its_place(text: str, expected: str) -> None:
    assert sql(parse(text, place="")) == expected


@pytest.mark.parametrize("value", ["'", "''", "x' OR 'a' = 'a", "a;b", "ä", "", "\0", "a" * 33])
def test_a_code_that_is_no_code_never_reaches_the_text(value: str) -> None:
    with pytest.raises(StudyError, match="wanted a code of letters"):
        sql(Comparison("=", Field("sex"), Text(value)))


@pytest.mark.parametrize("name", ["patient", "pseudonym", 'age" OR "age', "1"])
def test_a_name_that_is_no_variable_never_reaches_the_text(name: str) -> None:
    with pytest.raises(StudyError, match="wanted a variable"):
        sql(Comparison("=", Field(name), Integer(1)))


def test_a_number_that_could_overflow_is_refused() -> None:
    assert sql(Integer(-MAX_INTEGER))
    with pytest.raises(StudyError, match="at most 1000000000"):
        sql(Integer(MAX_INTEGER + 1))


@pytest.mark.parametrize("divisor", [Integer(0), Integer(-1), Field("age")])
def test_a_divisor_that_is_no_positive_number_is_refused(divisor: Expression) -> None:
    with pytest.raises(StudyError, match="positive number"):
        sql(Arithmetic("//", Field("age"), divisor))


def test_an_expression_of_too_many_steps_is_refused() -> None:
    many = And((Truth(value=True),) * MAX_STEPS)

    with pytest.raises(StudyError, match="steps"):
        count_query(measures(many), ONE)


def test_axes_that_are_not_those_of_the_layout_are_refused() -> None:
    with pytest.raises(StudyError, match="one axis a dimension"):
        count_query(measures(Truth(value=True), axes=2), ONE)


def test_what_tables_share_is_worked_out_once_and_a_life_table_read_only_if_asked() -> None:
    age, grade = Factor(Field("age"), 0, 9), Factor(Integer(7), 0, 9)
    axes = (parse("diagnosis_year // 10", place="", want="integer"),)
    dimension = (Dimension("d", ("0", "1")),)

    def query(*factors: Factor) -> str:
        tables = (Measure(axes), Measure(axes, (age,)), Measure(axes, factors))
        asked = Measures(where=Truth(value=True), tables=tables)
        layout = Layout.of(tuple(Table(str(i), dimension) for i in range(3)), asked)
        return count_query(asked, layout)

    assert query(age, grade).count("diagnosis_year") == 2  # within the bound a patient, and beyond
    assert "expected" not in query(age, grade)
    assert "LEFT JOIN expected" in query(Factor(ExpectedDeath(0, 365), 0, 1000))


def nested(depth: int) -> Expression:
    """``min`` in ``max`` in ``//`` in ``choose``, again and again."""
    inner: Expression = Field("age")
    for _ in range(depth):
        inner = Arithmetic("max", Arithmetic("min", inner, Integer(1)), Integer(2))
        inner = Choose(((Truth(value=True), Arithmetic("//", inner, Integer(3))),))
    return inner


def test_the_query_grows_with_the_expression_and_not_faster() -> None:
    lengths = [len(sql(nested(depth))) for depth in (1, 5, 9)]

    assert lengths[2] - lengths[1] == lengths[1] - lengths[0]
