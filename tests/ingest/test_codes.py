"""Codes of the sources become codes of the record, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.ingest import codes
from upcare_mpc.records.variables import VARIABLES


@pytest.mark.parametrize(
    ("icd", "topography"),
    [
        ("C50.4", "C50.4"),
        ("C50", "C50.9"),
        ("C61", "C61.9"),
        ("C44.59", "C44.5"),
        ("C43.5", "C44.5"),
        ("C22.0", "C22.0"),
        ("C22.1", "C22.1"),
        ("C22.7", "C22.0"),
        ("C26.1", "C42.2"),
        ("C80.0", "C80.9"),
        ("C45.0", None),
        ("C77.1", None),
        ("C83.3", None),
        ("C91.0", None),
        ("D05.1", None),
        (None, None),
    ],
)
def test_icd10_gives_the_topography_of_solid_malignant_tumours_only(icd, topography):
    assert codes.topography_from_icd10(icd) == topography


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("0", "0"), ("0a", "0"), ("0is", "0"), ("I", "1"), ("IS", "1"), ("IA1", "1"), ("IIB", "2"),
        ("IIIC1", "3"), ("IV", "4"), ("IVC", "4"), ("3", "3"), ("2A", "2"), ("okk", None),
        ("9", None), ("X", None), ("44", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_stage_is_collapsed(text, stage):
    assert codes.stage(text) == stage


@pytest.mark.parametrize(
    ("component", "text", "category"),
    [
        ("t", "1c", "1"), ("t", "is(DCIS)", "is"), ("t", "T4e", "4"), ("t", "pT2", "2"),
        ("t", "a", None), ("t", "X", None), ("t", "10", None), ("n", "1mi", "1"),
        ("n", "0(sn)", "0"), ("n", "(sn)(mol+)", None), ("n", "4", None), ("m", "1b", "1"),
        ("m", "0(i+)", "0"), ("m", "2(cy-)", None), ("m", None, None),
    ],
)  # fmt: skip
def test_a_category_is_its_first_digit(component, text, category):
    assert codes.category(component, text) == category


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8500/3", ("8500", "3")),
        ("8500/6", ("8500", "3")),
        ("8500/9", ("8500", None)),
        ("8500", ("8500", None)),
        ("85003", (None, None)),
        (None, (None, None)),
    ],
)
def test_morphology_is_split_from_behaviour(text, expected):
    assert codes.morphology(text) == expected


@pytest.mark.parametrize(
    ("text", "basis"),
    [("7.1", "7"), ("7.2", "6"), ("7.3", "7"), ("8", "8"), ("0", "0"), ("3", None), ("9", None)],
)
def test_the_finer_bases_are_merged(text, basis):
    assert codes.basis(text) == basis


@given(
    st.text(max_size=12) | st.from_regex(r"[CDcptnm]?[0-9IVXa-e.]{0,6}(/[0-9])?", fullmatch=True)
)
def test_whatever_the_text_the_result_is_a_code_of_the_record_or_none(text):
    icd = codes.icd10(text)
    found = {
        "icd10": icd,
        "topography": codes.topography(text),
        "morphology": codes.morphology(text)[0],
        "behaviour": codes.morphology(text)[1],
        "grade": codes.grade(text),
        "basis": codes.basis(text),
        "stage": codes.stage(text),
        "t": codes.category("t", text),
        "n": codes.category("n", text),
        "m": codes.category("m", text),
    }
    derived = codes.topography_from_icd10(icd)

    for name, value in found.items():
        assert value is None or VARIABLES[name].type.accepts(value)
    assert derived is None or VARIABLES["topography"].type.accepts(derived)


@pytest.mark.parametrize(
    ("stated", "cause"),
    [
        (["C50.9"], "C50.9"),
        (["c509", "C50.9", "Sonstige", None], "C50.9"),
        (["C50.9", "I21.9"], None),
        (["todo"], None),
        ([], None),
    ],
)
def test_of_several_causes_of_death_none_is_the_underlying_one(stated, cause):
    assert codes.only_cause(stated) == cause


@pytest.mark.parametrize(
    ("course", "recurs"),
    [
        ({"Gesamtbeurteilung_Tumorstatus": "Y"}, True),
        ({"Gesamtbeurteilung_Tumorstatus": "P"}, False),
        ({"Gesamtbeurteilung_Tumorstatus": "R"}, False),  # a partial remission, overall
        ({"Verlauf_Lokaler_Tumorstatus": "R"}, True),
        ({"Verlauf_Tumorstatus_Lymphknoten": "R"}, True),
        ({"Verlauf_Tumorstatus_Fernmetastasen": "R"}, True),
        ({"Verlauf_Lokaler_Tumorstatus": "P"}, False),
        ({}, False),
    ],
)
def test_a_recurrence_is_said_overall_or_in_a_part(course, recurs):
    assert codes.recurs(course) is recurs


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("age", "70", 70),
        ("age", "070", 70),
        ("age", "121", None),
        ("age", "-1", None),
        ("age", "\N{SUPERSCRIPT TWO}", None),
        ("age", "7" * 5000, None),
        ("age", None, None),
        ("sex", "1", None),
        ("follow_up_days", "60000", 60_000),
    ],
)
def test_a_number_lies_in_the_range_of_its_variable(variable, text, value):
    assert codes.number(variable, text) == value


@pytest.mark.parametrize(
    ("variable", "text", "value", "odd"),
    [
        ("sex", "W", "female", False),
        ("sex", "U", None, False),
        ("sex", "F", None, True),
        ("laterality", " T ", "none", False),
        ("laterality", "Q", None, True),
        ("basis", "9", None, False),
        ("basis", "3", None, True),
        ("grade", "X", None, False),
        ("grade", "5", None, True),
        ("icd10", "c509", "C50.9", False),
        ("icd10", "509", None, True),
        ("topography", "D06.9", None, True),
        ("morphology", "850/3", None, True),
        ("t", "Ta", None, False),
        ("stage", "okk", None, False),
        ("stage", "V", None, True),
        ("death_by_tumour", "", None, False),
        ("death_by_tumour", None, None, False),
    ],
)
def test_a_german_value_is_a_code_an_unknown_or_odd(variable, text, value, odd):
    assert codes.german(variable, text) == (value, odd)


@pytest.mark.parametrize(
    ("text", "kinds", "odd"),
    [
        ("CIZ", ("chemo", "immuno", "targeted"), False),
        ("KM", ("transplant",), False),
        ("WW", (), False),
        ("", (), False),
        ("ch", (), True),
    ],
)
def test_a_therapy_code_is_its_kinds_none_or_odd(text, kinds, odd):
    assert codes.german_therapies(text) == (kinds, odd)
