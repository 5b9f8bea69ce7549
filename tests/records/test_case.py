"""The common record: what is derived from it, and which records can be evaluated at all."""

from dataclasses import fields
from typing import Any

import pytest

from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.records.dictionary import ORIGINS
from upcare_mpc.records.variables import VARIABLES


def case(**known: Any) -> Case:
    return Case(**({"patient_id": "p", "tumour_id": "t", "sequence": 1} | known))


def test_every_variable_of_the_language_is_in_the_record_and_in_the_dictionary() -> None:
    identifiers = {"patient_id", "tumour_id"}

    assert all(hasattr(case(), name) for name in VARIABLES)
    assert {field.name for field in fields(Case)} - identifiers <= set(VARIABLES)
    assert list(ORIGINS) == list(VARIABLES)


def test_groups_and_regions_are_derived() -> None:
    record = case(icd10="C50.4", age=61, region="DE21H")

    assert (record.site, record.site_group, record.age_group) == ("C50", "breast", "60-64")
    assert (record.nuts1, record.nuts2) == ("DE2", "DE21")


def test_a_region_that_is_too_short_has_no_part() -> None:
    assert (case(region="DE2").nuts1, case(region="DE2").nuts2) == ("DE2", None)
    assert case().nuts1 is None


@pytest.mark.parametrize(
    ("cause", "judged", "group"),
    [
        (None, None, None),
        ("C50.9", None, "cancer"),
        ("I21.9", None, "other"),
        ("I21.9", "yes", "cancer"),
        (None, "no", "other"),
    ],
)
def test_the_source_judges_a_death_before_its_code_does(
    cause: str | None, judged: str | None, group: str | None
) -> None:
    assert case(cause=cause, death_by_tumour=judged).cause_group == group


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"age": -5, "follow_up_days": 2**31 - 1},
        {"sex": "Z", "region": ""},
        {"tumour_id": "Müller-1"},
    ],
)
def test_a_record_with_values_of_the_right_types_is_well_formed(known: dict[str, Any]) -> None:
    assert well_formed(case(**known))


@pytest.mark.parametrize(
    "known",
    [
        {"age": "fifty"},
        {"age": True},
        {"age": 2**31},
        {"age": 50.0},
        {"sex": 1},
        {"region": "Zürich"},
        {"sequence": None},
        {"patient_id": None},
        {"tumour_id": 7},
        {"tumour_id": "\ud800"},
    ],
)
def test_a_record_with_a_value_of_another_type_is_not(known: dict[str, Any]) -> None:
    assert not well_formed(case(**known))
