"""Worked examples, then the property for all expressions, then what is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.study import expression as e
from upcare_mpc.study.language import parse

AGE, SITE = e.Field("age"), e.Field("site")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("age >= 18", e.Comparison(">=", AGE, e.Integer(18))),
        ("site = 'C50'", e.Comparison("=", SITE, e.Text("C50"))),
        ("site == C50", e.Comparison("=", SITE, e.Text("C50"))),
        ('icd10 <> "C50.9"', e.Comparison("!=", e.Field("icd10"), e.Text("C50.9"))),
        ("tx_hormone = yes", e.Comparison("=", e.Field("tx_hormone"), e.Text("yes"))),
        ("stage in (1, 2)", e.InList(e.Field("stage"), (e.Text("1"), e.Text("2")))),
        ("t = is", e.Comparison("=", e.Field("t"), e.Text("is"))),
        ("grade is unknown", e.IsKnown(e.Field("grade"), known=False)),
        ("grade IS NOT unknown", e.IsKnown(e.Field("grade"), known=True)),
        ("age between 18 and 64", e.Between(AGE, e.Integer(18), e.Integer(64))),
        ("age not in (1, 2)", e.Not(e.InList(AGE, (e.Integer(1), e.Integer(2))))),
        ("site between C00 and C97", e.Between(SITE, e.Text("C00"), e.Text("C97"))),
        ("true", e.Truth(value=True)),
    ],
)
def test_a_phrase_means_what_it_says(text: str, tree: e.Expression) -> None:
    assert parse(text, place="here") == tree


def test_and_binds_more_tightly_than_or_and_not_most_tightly() -> None:
    read = parse("not age = 1 and age = 2 or age = 3", place="here")

    one, two, three = (e.Comparison("=", AGE, e.Integer(i)) for i in (1, 2, 3))
    assert read == e.Or((e.And((e.Not(one), two)), three))


def test_redundant_parentheses_make_no_difference() -> None:
    assert parse("(age > 1 and age > 2) and (age > 3)", place="here") == parse(
        "age > 1 and age > 2 and age > 3", place="here"
    )


def test_arithmetic_groups_from_the_left() -> None:
    read = parse("age - 1 + diagnosis_year // 5", place="here", want="integer")

    difference = e.Arithmetic("-", AGE, e.Integer(1))
    fifths = e.Arithmetic("//", e.Field("diagnosis_year"), e.Integer(5))
    assert read == e.Arithmetic("+", difference, fifths)


def _expressions() -> st.SearchStrategy[e.Expression]:
    """Trees of conditions such as the parser can build."""
    integers = st.recursive(
        st.one_of(
            st.sampled_from([AGE, e.Field("follow_up_days")]),
            st.integers(-120, 120).map(e.Integer),
        ),
        lambda inner: st.one_of(
            st.builds(e.Arithmetic, st.sampled_from(["+", "-", "min", "max"]), inner, inner),
            st.builds(e.Arithmetic, st.just("//"), inner, st.integers(1, 99).map(e.Integer)),
        ),
        max_leaves=4,
    )
    sums = integers.map(lambda i: e.Arithmetic("+", i, e.Integer(0)))  # no range check on a sum
    codes = st.sampled_from([e.Text("1"), e.Text("2")])
    leaves = st.one_of(
        st.builds(e.Comparison, st.sampled_from(["=", "!=", "<", ">="]), sums, sums),
        st.builds(e.Comparison, st.sampled_from(["=", "!="]), st.just(e.Field("stage")), codes),
        st.builds(
            e.InList, st.just(e.Field("stage")), st.lists(codes, min_size=1, max_size=3).map(tuple)
        ),
        st.builds(e.Between, sums, sums, sums),
        st.builds(e.IsKnown, sums, st.booleans()),
        st.builds(e.Truth, st.booleans()),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(e.Not, inner),
            st.lists(inner.filter(lambda t: not isinstance(t, e.And)), min_size=2, max_size=3).map(
                lambda terms: e.And(tuple(terms))
            ),
            st.lists(inner.filter(lambda t: not isinstance(t, e.Or)), min_size=2, max_size=3).map(
                lambda terms: e.Or(tuple(terms))
            ),
            st.builds(
                lambda when, then: e.Comparison(
                    "=", e.Choose(((when, then),), e.Integer(0)), e.Integer(1)
                ),
                inner,
                integers,
            ),
        ),
        max_leaves=6,
    )


@given(_expressions())
def test_the_canonical_spelling_parses_back_to_the_same_tree(tree: e.Expression) -> None:
    assert parse(e.canonical(tree), place="here") == tree


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_study_error(text: str) -> None:
    with suppress(StudyError):
        parse(text, place="here")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("agee >= 18", "column 1: unknown variable 'agee'; did you mean age"),
        ("age >= 18 and sex = femal", "column 21: wanted one of female, male, other for sex"),
        ("site = c50", "did you mean C50?"),
        ("age >= 200", "wanted a whole number of years from 0 to 120 for age, got 200"),
        ("200 >= age", "wanted a whole number of years from 0 to 120 for age, got 200"),
        ("stage >= 2", "write stage in (...)"),
        ("age between 60 and 50", "wanted the lower bound first, got 60 and 50"),
        ("age = 'x'", "wanted a variable, a number or '('"),
        ("tx_hormone", "wanted a condition"),
        ("age + 1", "wanted a condition"),
        ("not age", "wanted a condition"),
        ("age > 1 and site", "column 13: wanted a condition"),
        ("age is", "wanted 'known' or 'unknown' after 'is', got the end"),
        ("age > 18 & true", "column 10"),
        ("sex = 'female", "this quote is never closed"),
        ("age // 0 = 1", "wanted a positive number after '//'"),
        ("age // age = 1", "wanted a positive number after '//'"),
        ("18years = age", "wanted a number or a name, got a mixture"),
        ("age > 1000000000000", "at most 9 digits"),
        ("age > 1\nand agee > 2", "line 2, column 5"),
        ("", "column 1"),
        ("age > 1 age > 2", "wanted 'and', 'or' or the end"),
        ("x" * 5000, "wanted at most 4096 characters"),
        ("(" * 40 + "age > 1" + ")" * 40, "nested at most 32 deep"),
        ("not " * 40 + "age > 1", "nested at most 32 deep"),
        ("+".join(["age"] * 60) + " > 1", "nested at most 32 deep"),
    ],
)
def test_a_mistake_is_named_where_it_stands(text: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        parse(text, place="cohort.where")

    assert wanted in str(refused.value)


def test_the_caret_stands_under_the_mistake() -> None:
    with pytest.raises(StudyError) as refused:
        parse("age >= 18 and sexx = female", place="cohort.where")

    _, line, caret = str(refused.value).split("\n")
    assert line[caret.index("^") :].startswith("sexx")


def test_the_fields_of_an_expression_are_known_without_evaluating_it() -> None:
    assert e.fields(parse("age > 1 and not (site = C50)", place="here")) == {"age", "site"}
