"""What is in force is said as the gate decides it."""

from datetime import date
from typing import Any

import pytest

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS, categories
from upcare_mpc.consent.gate import Gate
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.node.consent_documents import UNREAD
from upcare_mpc.web.language import LANGUAGES, language
from upcare_mpc.web.standing import Standing, standing, terms_in_words

TODAY = date(2026, 11, 22)
ILLNESS = categories(["C50"])


def consent(terms: Terms | None = None, **changes: Any) -> Consent:
    return Consent(
        **{
            "patient": bytes(16),
            "data_set": "de-a",
            "activity": Activity.RECORDS,
            "version": 1,
            "answer": Answer.REFUSED if terms is None else Answer.PERMITTED,
            "terms": terms,
            "given": date(2026, 1, 3),
            "form": "urn:oid:1.2.3",
            **changes,
        }
    )


def terms(permission: str, **changes: Any) -> Terms:
    return Terms(permission=permission, **{"first_day": date(2026, 1, 3), **changes})


def stood(*consents: Consent, gate: Gate = Gate.CONSENT, **changes: Any) -> Standing:
    fields: dict[str, Any] = {
        "activity": Activity.RECORDS,
        "data_set": "de-a",
        "gate": gate,
        "illness": ILLNESS,
        "today": TODAY,
        "language": language("en"),
    }
    return standing(consents, **(fields | changes))


@pytest.mark.parametrize(
    ("consents", "level", "headline"),
    [
        ([], "no", "You have not answered yet, so nothing happens."),
        ([consent(terms(duo.GRU))], "yes", "You allowed this on 3 January 2026."),
        ([consent(terms(duo.DS, diseases=ILLNESS))], "part", "You allowed this on"),
        ([consent()], "no", "You said no on 3 January 2026."),
        ([consent(answer=Answer.WITHDRAWN)], "no", "You took your permission back on"),
        (
            [consent(terms(duo.GRU, last_day=date(2026, 2, 1)))],
            "no",
            "You allowed this on 3 January 2026. This permission has ended.",
        ),
        (
            [consent(terms(duo.GRU, first_day=date(2027, 2, 1)))],
            "no",
            "You allowed this on 3 January 2026. This permission has not begun yet.",
        ),
        ([consent(), consent(terms(duo.GRU))], "no", "Two of your answers contradict each other."),
        (
            [consent(giver=Giver.GUARDIAN, majority=date(2030, 1, 1))],
            "no",
            "A parent or guardian said no on",
        ),
        ([consent(form=f"{UNREAD}00")], "no", "A document with your answer still has to be read."),
    ],
)
def test_the_last_word_is_said(consents: list[Consent], level: str, headline: str) -> None:
    found = stood(*consents)

    assert found.level == level
    assert found.headline.startswith(headline)


def test_silence_is_said_as_the_gate_takes_it() -> None:
    at_objection = stood(activity=Activity.STATISTICS, gate=Gate.OBJECTION)
    at_consent = stood(activity=Activity.STATISTICS, gate=Gate.CONSENT)

    assert (at_objection.level, at_consent.level) == ("yes", "no")
    assert at_objection.headline == "You have not objected, so you are counted."
    assert (at_objection.said, at_consent.said) == (True, False)


def test_the_examples_are_decided_one_by_one() -> None:
    limits = frozenset({duo.NCU})
    found = stood(consent(terms(duo.HMB, limits=limits)))

    assert [example.permitted for example in found.examples] == [True, True, True, False]
    assert found.examples[-1].sentence.endswith(
        "because you have allowed it only where nobody wants to earn money with it."
    )


def test_what_only_documents_could_permit_is_no_for_statistics() -> None:
    limited = terms(duo.GRU, limits=frozenset({duo.IRB}))

    assert stood(consent(limited)).level == "yes"
    counted = stood(consent(limited, activity=Activity.STATISTICS), activity=Activity.STATISTICS)
    assert counted.level == "no"


def test_of_an_illness_that_nobody_knows_there_is_no_example() -> None:
    found = stood(illness=frozenset())

    assert not any("your illness" in example.what for example in found.examples)


@pytest.mark.parametrize("code", LANGUAGES)
def test_terms_are_said_line_by_line_without_a_code(code: str) -> None:
    said = terms_in_words(
        terms(
            duo.DS,
            limits=frozenset({duo.GS, duo.TS, duo.NPUNCU, *duo.OBLIGATIONS, duo.CC}),
            diseases=categories(["C50", "C43"]),
            regions=frozenset({"DE", "FR"}),
            last_day=date(2031, 3, 14),
        ),
        ILLNESS,
        language(code),
    )

    assert len(said) == 11
    assert not any("DUO" in line or "C50" in line for line in said)
    assert "2031" in said[-1]


@pytest.mark.parametrize(
    ("diseases", "line"),
    [
        (ILLNESS, "only research on your illness: breast cancer"),
        (NEOPLASMS, "research on any cancer"),
        (categories(["C33-C34", "C69"]), "only research on these illnesses: lung cancer, C69"),
    ],
)
def test_a_scope_is_said_by_the_names_of_illnesses(diseases: frozenset[str], line: str) -> None:
    said = terms_in_words(terms(duo.DS, diseases=diseases), ILLNESS, language("en"))

    assert said == [line, "from 3 January 2026"]
