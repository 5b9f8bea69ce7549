"""Options of a kind are read strictly; a mistake names its place."""

from fractions import Fraction

import pytest

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.spec import parse

STUDY = """version = 1
title = "t"
kind = "means"
purpose = "DUO:0000007"
registries = ["de-a"]
[cohort]
where = "true"
[privacy]
epsilon = 1
[means]
rates = [0.25, 3, "12.5"]
negative = [-0.5]
words = ["many"]
outcome = { where = "age >= 50" }
deeper = { rates = ["x"] }
[means.arms]
old = "age >= 65"
young = "true"
"""


def options() -> Options:
    return Options(parse(STUDY, name="x").options, "means")


def test_decimals_are_exact_whether_written_as_numbers_or_texts() -> None:
    assert options().decimals("rates") == (Fraction(1, 4), 3, Fraction(25, 2))


def test_conditions_and_arms_keep_their_order() -> None:
    assert [arm.label for arm in options().arms()] == ["old", "young"]
    assert "Comparison" in repr(options().where("outcome"))


@pytest.mark.parametrize(
    ("method", "key", "text"),
    [
        ("decimals", "negative", "means.negative: wanted numbers that are not negative"),
        ("decimals", "words", "means.words: wanted numbers that are not negative"),
        ("decimals", "nothing", "means.nothing: wanted a list"),
        ("table", "rates", "means.rates: wanted a table"),
        ("where", "rates", "means.rates: wanted a table"),
        ("where", "deeper", "means.deeper: unknown key 'rates'"),
        ("arms", "rates", 'means.rates: wanted a table of "label"'),
        ("arms", "nothing", 'means.nothing: wanted a table of "label"'),
    ],
)
def test_what_is_no_such_option_is_refused_by_its_place(method: str, key: str, text: str) -> None:
    with pytest.raises(StudyError) as caught:
        getattr(options(), method)(key)

    assert text in str(caught.value)


def test_a_decimal_in_a_nested_table_names_the_whole_path() -> None:
    with pytest.raises(StudyError, match=r"means\.deeper\.rates: wanted numbers"):
        options().table("deeper").decimals("rates")
