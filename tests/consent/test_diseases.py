import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.consent import diseases
from upcare_mpc.consent.diseases import NEOPLASMS, categories, of_cohort, ranges
from upcare_mpc.errors import InputError
from upcare_mpc.study.language import parse

SETS = st.frozensets(st.sampled_from(sorted(NEOPLASMS)), min_size=1)


def scope(where: str) -> list[str]:
    return ranges(of_cohort(parse(where, place="where")))


def test_a_range_is_all_that_lies_between() -> None:
    assert categories(["C18-C21", "C50"]) == {"C18", "C19", "C20", "C21", "C50"}
    assert len(categories(["C00-D48"])) == 98 + 49
    assert categories(["C97-D00"]) == {"C97", "D00"}


@pytest.mark.parametrize(
    "text",
    ["", "C5", "c50", "C98", "D49", "C50.9", "C21-C18", "C50-", "E10", "C50,C51", "C\u0665\u0660"],
)
def test_what_is_no_neoplasm_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="wanted a category of ICD-10's chapter II"):
        categories([text])


@settings(deadline=None)
@given(SETS)
def test_a_set_has_one_text_that_reads_back(held: frozenset[str]) -> None:
    assert categories(ranges(held)) == held
    assert ranges(categories(ranges(held))) == ranges(held)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("site = 'C50'", ["C50"]),
        ("icd10 = 'C50.9' and age >= 18", ["C50"]),
        ("site in ('C33', 'C34') and sex = 'male'", ["C33-C34"]),
        ("site_group = 'colorectum'", ["C18-C21"]),
        ("site_group = 'bladder'", ["C67", "D09", "D41"]),
        ("site = 'C50' or site = 'C61'", ["C50", "C61"]),
        ("site_group = 'lung' and site = 'C34'", ["C34"]),
        ("site = 'C50' or age > 60", ["C00-D48"]),
        ("age > 60", ["C00-D48"]),
        ("not site = 'C50'", ["C00-D48"]),
        ("site != 'C50'", ["C00-D48"]),
        ("site is known", ["C00-D48"]),
        ("site = 'C42'", ["C00-D48"]),
        ("site = 'C44'", ["C43-C44"]),
        ("icd10 = 'C44'", ["C44"]),
        ("site = 'E85'", ["C00-D48"]),
        ("site_group = 'other'", ["C00-D48"]),
        ("cause = 'C50'", ["C00-D48"]),
        ("site = 'C50' and site = 'C61'", ["C00-D48"]),
    ],
)
def test_the_scope_of_a_cohort_is_read_off_its_text(where: str, expected: list[str]) -> None:
    assert scope(where) == expected


@settings(deadline=None)
@given(SETS)
def test_the_largest_terms_inside_a_set_are_the_set(held: frozenset[str]) -> None:
    assert categories(diseases.terms_within(held)) == held


@settings(deadline=None)
@given(SETS, SETS)
def test_a_term_inside_one_set_and_around_another_proves_inclusion(
    outer: frozenset[str], inner: frozenset[str]
) -> None:
    if set(diseases.terms_within(outer)) & set(diseases.terms_around(inner)):
        assert inner <= outer


def test_a_term_names_what_registries_report_together() -> None:
    assert diseases.terms_within(categories(["C18-C21", "C50"])) == ["C18-C21", "C50"]
    assert diseases.terms_around(frozenset({"C50"})) == ["C00-C97", "C00-D48", "C50"]
    assert diseases.terms_within(NEOPLASMS) == ["C00-D48"]
