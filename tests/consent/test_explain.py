"""Every sentence is there, whole, in three languages, and without a code."""

import re
import tomllib
from datetime import date
from importlib.resources import files
from itertools import product

import pytest
from said import TODAY, permission, use

from upcare_mpc.consent.explain import LANGUAGES, explain
from upcare_mpc.consent.gate import Decision, Gate, Reason, decide
from upcare_mpc.consent.model import Activity
from upcare_mpc.errors import InputError

PERMITTING = {Reason.NO_OBJECTION, Reason.CONSENTED}
WITH_A_DAY = {Reason.CONSENTED, Reason.NOT_YET, Reason.EXPIRED, Reason.OF_AGE}
DAY = date(2031, 3, 14)
CATALOGUE = tomllib.loads(files("upcare_mpc.consent").joinpath("sentences.toml").read_text("utf-8"))
DECISIONS = [
    Decision(
        permitted=reason in PERMITTING,
        activity=activity,
        reason=reason,
        codes=("DUO:0000046",),
        day=day,
    )
    for activity, reason in product(Activity, Reason)
    for day in ([DAY] if reason in WITH_A_DAY else [])
    + [None] * (reason is Reason.CONSENTED or reason not in WITH_A_DAY)
]
ENDINGS = {"en": "because ", "de": ", weil ", "fr": "parce qu"}
CODE = re.compile(r"DUO|[A-Z]{3}|[A-Z][0-9]{2}|_|\{|\}|  |\.\.|None")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: f"{d.activity}-{d.reason}-{d.day}")
def test_a_decision_is_one_whole_sentence_without_a_code(decision: Decision, language: str) -> None:
    sentence = explain(decision, language)

    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert sentence.count(".") == (1 if language != "de" or decision.day is None else 2)
    assert sentence.count(ENDINGS[language]) == 1
    assert not CODE.search(sentence)
    assert ("2031" in sentence) == (decision.day is not None)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: f"{d.activity}-{d.reason}-{d.day}")
def test_no_two_decisions_and_no_two_languages_say_the_same(decision: Decision) -> None:
    assert len({explain(decision, language) for language in LANGUAGES}) == len(LANGUAGES)
    for other in DECISIONS:
        if other != decision:
            assert explain(other, "fr") != explain(decision, "fr")


def test_every_language_has_the_same_texts_and_none_besides() -> None:
    assert set(CATALOGUE) == set(LANGUAGES)
    wanted = {reason.value for reason in Reason} | {"consented_until"}
    for words in CATALOGUE.values():
        assert words["because"].keys() == wanted
        assert words["head"].keys() == {
            f"{activity}_{outcome}" for activity in Activity for outcome in ("permitted", "denied")
        }
        assert len(set(words["months"])) == 12


def test_days_are_written_as_people_write_them() -> None:
    def said(day: date, language: str) -> str:
        return explain(
            Decision(permitted=False, activity=Activity.RECORDS, reason=Reason.EXPIRED, day=day),
            language,
        )

    assert "am 14. März 2031" in said(DAY, "de")
    assert "le 14 mars 2031" in said(DAY, "fr")
    assert "on 14 March 2031" in said(DAY, "en")
    assert "le 1er août 2031" in said(date(2031, 8, 1), "fr")
    assert "am 1. August 2031" in said(date(2031, 8, 1), "de")


def test_codes_are_shown_when_they_are_asked_for() -> None:
    decision = decide([permission(last_day=DAY)], use(), gate=Gate.CONSENT, day=TODAY)

    assert explain(decision, "en") == (
        "Your data may be opened for this project because you have allowed it until 14 March 2031."
    )
    assert explain(decision, "en", codes=True) == (
        "Your data may be opened for this project because you have allowed it until 14 March 2031 "
        "(DUO:0000006)."
    )


@pytest.mark.parametrize("language", ["", "it", "DE", "../de"])
def test_another_language_is_refused(language: str) -> None:
    with pytest.raises(InputError, match="wanted one of de, fr, en"):
        explain(DECISIONS[0], language)
