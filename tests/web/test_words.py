"""Every code that can meet a patient has its words, and no two of a kind the same."""

from collections.abc import Mapping

import pytest

from upcare_mpc.consent import duo
from upcare_mpc.records.case import Case
from upcare_mpc.records.site_groups import SITE_GROUPS
from upcare_mpc.records.variables import VARIABLES, Code
from upcare_mpc.web import words
from upcare_mpc.web.language import language
from upcare_mpc.web.record import categories_of, illness_of, illnesses, tumours


def codes(name: str) -> set[str]:
    kind = VARIABLES[name].type
    assert isinstance(kind, Code)
    return set(kind.values)


def test_every_code_has_words() -> None:
    assert words.ILLNESSES.keys() == SITE_GROUPS.keys()
    assert words.VARIABLES.keys() == VARIABLES.keys()
    assert words.TREATMENTS.keys() == {name for name in VARIABLES if name.startswith("tx_")}
    assert words.SEXES.keys() == codes("sex")
    assert words.SIDES.keys() == codes("laterality")
    assert words.PERMISSIONS.keys() == duo.PERMISSIONS.keys()
    assert words.PURPOSES.keys() == duo.PURPOSES
    assert {*duo.OBLIGATIONS, duo.NCU, duo.NPU, duo.NPUNCU, duo.NPOA, duo.NMDS, duo.GSO} <= (
        words.LIMITS.keys()
    )


@pytest.mark.parametrize(
    "texts",
    [words.ILLNESSES, words.VARIABLES, words.PURPOSES, words.LIMITS, words.TREATMENTS],
    ids=["illnesses", "variables", "purposes", "limits", "treatments"],
)
@pytest.mark.parametrize("code", ["de", "fr", "en"])
def test_no_two_codes_of_a_kind_have_the_same_words(texts: Mapping[str, str], code: str) -> None:
    said = [language(code).say(text) for text in texts.values()]

    assert len(set(said)) == len(said)


@pytest.mark.parametrize(
    ("codes", "meant"),
    [
        (["C50.9"], {"C50"}),
        (["C18.7"], {"C18", "C19", "C20", "C21"}),
        (["C67.1"], {"C67", "D09", "D41"}),
        (["C50.1", "C34.0"], {"C50", "C33", "C34"}),
        (["C69.2"], {"C69"}),  # in no group of its own
        (["D33.0"], {"D33"}),
        ([], set()),
    ],
)
def test_my_illness_is_the_group_that_reports_count(codes: list[str], meant: set[str]) -> None:
    cases = tuple(
        Case(patient_id="", tumour_id=str(turn), sequence=turn + 1, icd10=code)
        for turn, code in enumerate(codes)
    )

    assert illness_of(cases) == meant


def test_a_tumour_of_which_nothing_is_known_is_no_illness_to_choose() -> None:
    nothing = (Case(patient_id="", tumour_id="0", sequence=1),)

    assert illness_of(nothing) == frozenset()
    assert illnesses(nothing, language("en")) == ""
    (shown,) = tumours(nothing, language("en"))
    assert (shown.illness, shown.facts) == ("Another tumour", ())
    assert [fact.name for fact in shown.everything] == ["number of the tumour"]


def test_a_year_that_is_all_that_is_known_is_shown_as_a_year() -> None:
    case = Case(
        patient_id="",
        tumour_id="0",
        sequence=1,
        diagnosis_year=2001,
        diagnosis_month=7,
        diagnosis_precision="year",
    )

    (shown,) = tumours((case,), language("de"))

    assert [(fact.name, fact.value) for fact in shown.facts] == [("Festgestellt", "2001")]


def test_a_group_of_nothing_holds_nothing() -> None:
    assert categories_of("other") == frozenset()
