"""No text of the page is left in one language, unfinished, or outside of the catalogues."""

import re
from datetime import date
from html import unescape

import pytest
from asking import Asking
from babel.messages.catalog import Message
from catalogues import TRANSLATED, catalogue, extracted
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.client.deposit_files import point_of
from upcare_mpc.consent import duo
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.storage.tickets import TicketState
from upcare_mpc.web.language import LANGUAGES, NAMES, Language, language, marked, preferred

TEXTS = sorted(str(message.id) for message in extracted() if message.id)
HOLES = re.compile(r"%\([a-z]+\)s")
UNFINISHED = re.compile(r"TODO|FIXME|XXX|\?\?\?|lorem", re.IGNORECASE)


def translations(code: str) -> dict[str, Message]:
    return {str(message.id): message for message in catalogue(code) if message.id}


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_has_the_texts_of_the_page_and_no_others(code: str) -> None:
    assert sorted(translations(code)) == TEXTS
    assert {*TRANSLATED, "en"} == set(LANGUAGES)


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated_and_finished(code: str) -> None:
    for text, message in translations(code).items():
        said = str(message.string)
        assert said.strip(), text
        assert not message.fuzzy, text
        assert not UNFINISHED.search(said), text
        assert sorted(HOLES.findall(said)) == sorted(HOLES.findall(text)), text
        assert said[-1] in ".?" or text[-1] not in ".?", text
        assert "%" not in HOLES.sub("", said), text
        assert "<" not in said, text


@pytest.mark.parametrize("code", TRANSLATED)
def test_what_is_the_same_in_two_languages_is_the_same_word(code: str) -> None:
    same = {text for text, one in translations(code).items() if str(one.string) == text}

    assert same <= {"Stage", "Sex", "Operation", "lymphoma", "radiotherapy", "grade", "sex"}


WRITTEN = ("Gathered", "Smoked?", "never", "once", "today", "Health?", "poor", "good")


def progress(asking: Asking, state: str) -> None:
    """Bring a ticket of P-1 to a state, if it is one."""
    if state == "form":
        return
    collection, patient = asking.platform.collection.digest, asking.patient()
    key = ec.generate_private_key(ec.SECP256R1())
    asking.office.give(asking.platform.collection, asking.platform.question, patient, point_of(key))
    tickets = asking.questionnaires.tickets
    if state != TicketState.GIVEN:
        tickets.keep(collection, patient, b"a deposit")
    if state == TicketState.DELIVERED:
        tickets.deliver(collection, patient, asking.platform.deposit(collection, b"a deposit"))
    if state == TicketState.DROPPED:
        tickets.drop(collection, patient)


class Bracketed(Language):
    """A language that says every text in brackets: what is outside was never looked up."""

    def __init__(self) -> None:
        super().__init__("en", {text: f"⟦{text}⟧" for text in TEXTS})

    def day(self, day: date) -> str:
        return f"⟦{day}⟧"

    def month(self, year: int, month: int) -> str:
        return f"⟦{year}-{month}⟧"

    def span(self, days: int) -> str:
        return f"⟦{days}⟧"


@pytest.fixture
def bracketed(monkeypatch: pytest.MonkeyPatch) -> Language:
    found = Bracketed()
    for module in ("visit", "language"):
        monkeypatch.setattr(f"upcare_mpc.web.{module}.language", lambda _: found)
    monkeypatch.setattr("upcare_mpc.web.standing.explain", lambda decision, _: "⟦because⟧")
    return found


@pytest.mark.parametrize(
    "place",
    [
        *("", "help", "nowhere", "me", "answer/records", "answer/statistics"),
        *("withdraw/records", "withdraw/statistics", "withdraw/all"),
        *("record", "uses", "documents"),
        *("questions", "form", "given", "kept", "delivered", "dropped"),
    ],
)
def test_no_word_of_a_page_is_outside_of_the_catalogue(
    asking: Asking, bracketed: Language, place: str
) -> None:
    house = asking
    house.record(
        Consent(
            patient=house.patient(),
            data_set="de-a",
            activity=Activity.RECORDS,
            version=1,
            answer=Answer.PERMITTED,
            terms=Terms(
                permission=duo.HMB, limits=frozenset({duo.IRB}), first_day=date(2026, 1, 1)
            ),
            given=date(2026, 1, 1),
            form="urn:oid:1.2.3",
        )
    )
    browser = house.browser()
    if place:
        browser.enter(house.code())
    if place in {*TicketState, "form"}:
        progress(asking, place)
        place = asking.place

    page = browser.get(f"/en/{place}").text

    assert "⟦" in page
    body = page[page.index("<body>") :]
    body = re.sub(r"<code>.*?</code>", "", body)  # codes, as they are stored
    for written in WRITTEN:  # by a researcher
        body = body.replace(f">{written}<", "><").replace(f" {written}<", "<")
    body = body.replace("de-a, de-b, de-c", "")
    texts = re.findall(r">([^<>]+)<", body) + re.findall(r'aria-label="([^"]*)"', body)
    for text in map(unescape, texts):
        outside = text
        while "⟦" in outside:  # a text in a text
            outside, before = re.sub(r"⟦[^⟦⟧]*⟧", "", outside), outside
            assert outside != before, text
        outside = outside.replace("Registry of Tests", "")
        for name in NAMES.values():
            outside = outside.replace(name, "")
        assert not re.search(r"[A-Za-z]", outside), text


def test_a_word_outside_of_the_catalogue_would_be_seen(asking: Asking, bracketed: Language) -> None:
    """The test above can fail: a title that nobody translates is outside."""
    asking.agree("A title", "site = 'C50'")
    with pytest.raises(AssertionError, match="A title"):
        test_no_word_of_a_page_is_outside_of_the_catalogue(asking, bracketed, "uses")


def test_days_and_spans_are_written_as_people_write_them() -> None:
    said = {
        code: (language(code).day(date(2031, 8, 1)), language(code).span(730)) for code in LANGUAGES
    }

    assert said == {
        "de": ("1. August 2031", "2 Jahre"),
        "fr": ("1er août 2031", "2 ans"),
        "en": ("1 August 2031", "2 years"),
    }
    assert language("fr").month(2019, 3) == "mars 2019"
    assert language("de").country("CH") == "Schweiz"
    assert language("de").country("XZ") == "XZ"


def test_what_a_template_is_given_is_escaped() -> None:
    page = language("de").templates.from_string('{{ _("until %(day)s", day=day) }} {{ day }}')

    assert page.render(day="<b>") == "bis zum &lt;b&gt; &lt;b&gt;"


def test_marking_changes_nothing() -> None:
    assert marked("text") == "text"
    assert preferred(None) == "en"
