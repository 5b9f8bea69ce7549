"""The pages, as a browser without script meets them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from house import BREAST, NOW, Browser, House, words

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.fhir import read_consent
from upcare_mpc.consent.fhir_mii import EEA
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.storage.receipts import PatientReceipt, Receipts
from upcare_mpc.storage.schema import CONSENTS
from upcare_mpc.web import visit
from upcare_mpc.web.app import HEADERS
from upcare_mpc.web.attempts import MOST

PLACES = [
    "/en/me",
    "/en/answer/records",
    "/en/answer/statistics",
    "/en/withdraw/all",
    "/en/record",
    "/en/uses",
    "/en/documents",
]
YES = {"scope": "health", "who": "patient", "until": "", "majority": ""}


@pytest.fixture
def inside(house: House) -> Browser:
    """A browser in a visit of P-1."""
    browser = house.browser()
    assert browser.enter(house.code()).url.path == "/en/me"
    return browser


def test_a_patient_allows_her_illness_in_europe_until_a_day(house: House, inside: Browser) -> None:
    page = inside.send(
        "/en/answer/records",
        {
            "scope": "illness",
            "limit": ["non-commercial", "europe"],
            "until": "2031-03-14",
            "who": "patient",
            "majority": "",
        },
    )

    (consent,) = house.said()
    assert consent == Consent(
        patient=house.patient(),
        data_set="de-a",
        activity=Activity.RECORDS,
        version=1,
        answer=Answer.PERMITTED,
        terms=Terms(
            permission=duo.DS,
            limits=frozenset({duo.NCU, duo.GS, duo.TS}),
            diseases=categories(["C50"]),
            regions=EEA,
            first_day=NOW.date(),
            last_day=date(2031, 3, 14),
        ),
        given=NOW.date(),
        form="urn:upcare:patient-page:1:en",
    )
    text = words(page)
    assert "Thank you. Your answer is recorded." in text
    assert "only research on your illness: breast cancer" in text
    assert "because you have allowed it until 14 March 2031." in text


def test_everything_is_taken_back_in_two_taps(house: House, inside: Browser) -> None:
    inside.send("/en/answer/records", YES)
    overview = inside.get("/en/me").text
    assert 'href="/en/withdraw/all"' in overview  # the first tap

    page = inside.send("/en/withdraw/all", {})  # the second

    assert {(one.activity, one.version, one.answer) for one in house.said()} == {
        (Activity.RECORDS, 1, Answer.PERMITTED),
        (Activity.RECORDS, 2, Answer.WITHDRAWN),
        (Activity.STATISTICS, 1, Answer.REFUSED),
    }
    assert words(page).count("Not allowed") == 2
    assert "/withdraw/" not in page.text  # nothing is left to take back


def test_a_new_answer_counts_from_the_next_point_of_the_calendar(inside: Browser) -> None:
    assert "New answers count for statistics from 23 November 2026 on" in words(
        inside.get("/en/me")
    )


def test_what_is_stored_is_said_without_codes(inside: Browser) -> None:
    text = words(inside.get("/en/record"))
    said, _, codes = text.partition("Everything, as it is stored")

    assert "Breast cancer Diagnosed March 2019 Age at that time 54 years" in said
    assert "Treatments within a year operation, chemotherapy" in said
    assert "Not given within a year radiotherapy" in said
    assert "about 2 years after the diagnosis" in said
    assert "C50" not in said
    assert "illness (ICD-10) C50.9" in codes
    assert BREAST.patient_id not in text


def test_another_patient_sees_her_own_record(house: House) -> None:
    browser = house.browser()
    browser.enter(house.code("P-2"))

    assert "Lung cancer" in words(browser.get("/en/record"))
    assert "breast" not in browser.get("/en/record").text


def test_a_patient_without_a_record_can_object_too(house: House) -> None:
    browser = house.browser()
    browser.enter(house.code("P-9"))
    assert "There is no record about you" in words(browser.get("/en/record"))
    assert "Only research on my illness" not in words(browser.get("/en/answer/records"))

    browser.send("/en/withdraw/statistics", {})

    assert [one.answer for one in house.said("P-9")] == [Answer.REFUSED]


def test_a_record_that_cannot_be_read_keeps_nobody_from_objecting(
    house: House, inside: Browser
) -> None:
    (rows,) = house.folder.glob("frozen/*.parquet")
    rows.unlink()
    assert "Your record cannot be looked up here" in words(inside.get("/en/record"))

    inside.send("/en/withdraw/statistics", {})

    assert [one.answer for one in house.said()] == [Answer.REFUSED]


def test_a_guardian_answers_until_the_child_is_of_age(house: House, inside: Browser) -> None:
    page = inside.send("/en/answer/records", {**YES, "who": "guardian", "majority": "2030-05-04"})

    (consent,) = house.said()
    assert (consent.giver, consent.majority) == (Giver.GUARDIAN, date(2030, 5, 4))
    assert "A parent or guardian allowed this on 22 November 2026." in words(page)
    assert "holds until 4 May 2030" in words(page)
    house.now = NOW.replace(year=2030, month=5, day=4)
    browser = house.browser()
    browser.enter(house.code())
    assert "since 4 May 2030 only you can decide" in words(browser.get("/en/me"))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"scope": "everything"}, "Please choose one of the answers."),
        ({"limit": ["only-on-sundays"]}, "One of these limits is not known here."),
        ({"until": "2026-11-22"}, "Please give a day in the future"),
        ({"until": "14.3.2031"}, "Please give a day in the future"),
        ({"until": "2031-02-30"}, "Please give a day in the future"),
        ({"until": "9999-01-01"}, "Please give a day in the future"),
        ({"who": "neighbour"}, "Please say who is answering."),
        ({"who": "guardian", "majority": ""}, "Please give the day of the eighteenth birthday"),
        ({"who": "guardian", "majority": "2020-01-01"}, "it has to be in the future"),
        ({"who": "guardian", "majority": "2060-01-01"}, "it has to be in the future"),
    ],
)
def test_what_is_wrong_in_a_form_is_said_and_nothing_is_recorded(
    house: House, inside: Browser, fields: dict[str, object], complaint: str
) -> None:
    page = inside.send("/en/answer/records", {**YES, **fields})

    assert page.status_code == 422
    assert complaint in words(page)
    assert "Nothing is recorded yet." in words(page)
    assert house.said() == ()


def test_what_was_ticked_is_ticked_again_where_something_is_wrong(inside: Browser) -> None:
    page = inside.send("/en/answer/records", {**YES, "limit": ["ethics"], "until": "soon"}).text

    assert re.findall(r'value="([^"]+)"[^>]* checked', page) == ["health", "ethics", "patient"]
    assert 'value="soon"' in page


def test_the_same_answer_twice_is_one_answer(house: House, inside: Browser) -> None:
    inside.send("/en/answer/records", YES)

    page = inside.send("/en/answer/records", YES)

    assert "That was in force already." in words(page)
    assert len(house.said()) == 1


def test_a_form_that_was_tapped_twice_is_recorded_once(house: House, inside: Browser) -> None:
    hidden = inside.hidden("/en/answer/records")

    for _ in range(2):
        answer = inside.post("/en/answer/records", data={**hidden, **YES})
        assert answer.status_code == 200

    assert len(house.said()) == 1


def test_of_two_visits_the_one_that_has_seen_the_answer_can_change_it(house: House) -> None:
    """A patient and her guardian answer at once: the second is told, and nothing is overwritten."""
    one, other = house.browser(), house.browser()
    one.enter(house.code())
    other.enter(house.code())
    hidden = other.hidden("/en/answer/records")
    one.send("/en/withdraw/all", {})

    late = other.post("/en/answer/records", data={**hidden, **YES})

    assert late.status_code == 409
    assert "Somebody has answered meanwhile" in words(late)
    assert [consent.answer for consent in house.said()] == [Answer.REFUSED, Answer.REFUSED]


def test_an_answer_that_the_page_cannot_say_is_shown_in_words(
    house: House, inside: Browser
) -> None:
    house.record(
        Consent(
            patient=house.patient(),
            data_set="de-a",
            activity=Activity.RECORDS,
            version=4,
            answer=Answer.PERMITTED,
            terms=Terms(
                permission=duo.DS,
                limits=frozenset({duo.GS, "DUO:0000026"}),
                diseases=categories(["C18-C21", "C71"]),
                regions=frozenset({"DE", "CH"}),
                first_day=date(2026, 1, 1),
            ),
            given=date(2026, 1, 1),
            form="urn:oid:1.2.3",
        )
    )

    text = words(inside.get("/en/me"))

    assert "only research on these illnesses: bowel cancer, C71" in text
    assert "only in these countries: Germany, Switzerland" in text
    assert "a limit that cannot be checked here, so nothing is permitted (DUO:0000026)" in text
    assert "says more than this page can" in words(inside.get("/en/answer/records"))


def test_answers_and_receipts_are_there_to_download(house: House, inside: Browser) -> None:
    inside.send("/en/answer/records", YES)
    receipt = '{"edition":3,"token":"00"}'
    given = PatientReceipt(patient=house.patient(), token="00", text=receipt)
    other = PatientReceipt(patient=house.patient("P-2"), token="01", text='{"edition":4}')
    Receipts(house.database).record(3, [given, other], time=house.now)
    page = inside.get("/en/documents").text
    (answer,) = re.findall(r'href="(/en/documents/answer/[^"]+)"', page)
    (place,) = re.findall(r'href="(/en/documents/receipt/[^"]+)"', page)

    document, paper = inside.get(answer), inside.get(place)

    assert (read_consent(document.content),) == house.said()
    assert document.headers["content-type"] == "application/fhir+json"
    assert document.headers["content-disposition"].startswith('attachment; filename="consent-')
    assert paper.text == receipt
    assert json.loads(paper.text)["edition"] == 3
    assert inside.get("/en/documents/receipt/2").status_code == 404


# --- codes and visits -------------------------------------------------------------------------


def test_a_code_opens_one_visit(house: House) -> None:
    code = house.code()
    assert house.browser().enter(code).url.path == "/en/me"

    again = house.browser().enter(code)

    assert again.status_code == 403
    assert "This code is not known" in words(again)


def test_a_visit_ends_after_a_quarter_of_an_hour_without_a_tap(
    house: House, inside: Browser
) -> None:
    house.now += timedelta(minutes=14)
    assert inside.get("/en/me").url.path == "/en/me"
    house.now += timedelta(minutes=14)
    assert inside.get("/en/me").url.path == "/en/me"  # each tap puts it off
    house.now += timedelta(minutes=16)

    page = inside.get("/en/me")

    assert page.url.path == "/en/"
    assert "Your visit is over" in words(page)


def test_who_ends_the_visit_is_out(house: House, inside: Browser) -> None:
    token = inside.cookies["upcare-visit"]
    assert "Your visit is over." in words(inside.post("/en/leave", data={"x": "y"}))

    inside.cookies.set("upcare-visit", token)

    assert inside.get("/en/me").url.path == "/en/"


@pytest.mark.parametrize("place", PLACES)
def test_without_a_visit_there_is_no_page(house: House, place: str) -> None:
    assert house.browser().get(place).url.path == "/en/"
    stranger = house.browser()
    stranger.cookies.set("upcare-visit", "00" * 32)
    assert stranger.get(place).url.path == "/en/"


def test_after_many_wrong_codes_none_is_looked_at_and_visits_go_on(
    house: House, inside: Browser
) -> None:
    stranger, code = house.browser(), house.code()
    for _ in range(MOST):
        assert stranger.enter("7K3M-9QXA-2FHT-W8RD").status_code == 403

    refused = stranger.enter(code)

    assert refused.status_code == 429
    assert "too many codes" in words(refused)
    assert inside.get("/en/me").status_code == 200


# --- what others may try ----------------------------------------------------------------------


@pytest.mark.parametrize("place", [*PLACES, "/", "/en/", "/style.css", "/en/help", "/nowhere"])
def test_every_answer_has_the_headers(house: House, inside: Browser, place: str) -> None:
    answer = inside.get(place, follow_redirects=False)

    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["strict-transport-security"]
    assert "script" not in HEADERS["content-security-policy"]


@pytest.mark.parametrize("place", [*PLACES, "/en/", "/en/help"])
def test_no_page_has_a_script_or_anything_from_elsewhere(inside: Browser, place: str) -> None:
    page = inside.get(place).text

    assert not re.search(r"<script|javascript:|\son[a-z]+=|style=|https?://", page)
    assert set(re.findall(r'<link[^>]*href="([^"]*)"', page)) == {"data:,", "/style.css"}


def test_the_cookie_is_for_this_site_alone(house: House) -> None:
    answer = house.browser(follow_redirects=False).enter(house.code())

    cookie = answer.headers["set-cookie"]

    assert re.fullmatch(
        r"upcare-visit=[0-9a-f]{64}; HttpOnly; Path=/; SameSite=strict; Secure", cookie
    )


@pytest.mark.parametrize("proof", [None, "", "0" * 64, "é"])
def test_a_form_of_another_site_is_refused(
    house: House, inside: Browser, proof: str | None
) -> None:
    fields = {**YES, "seen-records": "0"} | ({} if proof is None else {"proof": proof})

    answer = inside.post("/en/answer/records", data=fields)

    assert answer.status_code in {400, 403}
    assert house.said() == ()


def test_the_proof_of_one_visit_is_none_for_another(house: House, inside: Browser) -> None:
    page = inside.get("/en/withdraw/all").text
    (proof,) = re.findall(r'name="proof" value="([^"]*)"', page)
    other = house.browser()
    other.enter(house.code("P-2"))

    answer = other.post(
        "/en/withdraw/all", data={"proof": proof, "seen-records": "0", "seen-statistics": "0"}
    )

    assert answer.status_code == 403
    assert house.said("P-2") == ()


def test_a_browser_that_says_it_comes_from_another_site_is_refused(
    house: House, inside: Browser
) -> None:
    answer = inside.post(
        "/en/", data={"code": house.code()}, headers={"sec-fetch-site": "cross-site"}
    )

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"code=" + b"A" * 5000, {}, 413),
        (b"&".join(b"a=%d" % n for n in range(50)), {}, 400),
        (b"code=\xff\xfe", {}, 400),
        (b"{}", {"content-type": "application/json"}, 400),
        (b"x", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"", {}, 403),
    ],
)
def test_other_bytes_than_a_form_get_a_sentence(
    house: House, content: bytes, headers: dict[str, str], status: int
) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}

    answer = house.browser().post("/de/", content=content, headers=kind | headers)

    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert 'lang="de"' in answer.text


def test_a_form_without_a_length_is_refused(house: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"A" * 1024

    answer = house.browser().post(
        "/en/",
        content=endless(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 400


def test_a_form_that_is_longer_than_its_header_says_is_not_read_to_its_end(house: House) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 1 << 20:
            read += 1024
            yield b"A" * 1024

    answer = house.browser().post(
        "/en/",
        content=endless(),
        headers={"content-type": "application/x-www-form-urlencoded", "content-length": "5"},
    )

    assert answer.status_code == 413
    assert read < 10_000


def test_a_form_that_does_not_end_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "_FORM_SECONDS", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"code="
        await asyncio.sleep(30)

    answer = house.browser().post(
        "/en/",
        content=stalled(),
        headers={"content-type": "application/x-www-form-urlencoded", "content-length": "9"},
    )

    assert answer.status_code == 408
    assert "That took too long." in words(answer)


@pytest.mark.parametrize(
    ("place", "language", "sentence"),
    [
        ("/de/nirgends", "de", "Diese Seite gibt es nicht."),
        ("/fr/nulle-part", "fr", "Cette page n'existe pas."),
        ("/xx/me", "en", "There is no such page."),
        ("/de/answer/dreams", "de", "Ihr Browser hat etwas geschickt"),
        ("/docs", "en", "There is no such page."),
        ("/openapi.json", "en", "There is no such page."),
    ],
)
def test_an_error_is_a_sentence_in_the_patients_language(
    house: House, inside: Browser, place: str, language: str, sentence: str
) -> None:
    answer = inside.get(place)

    assert answer.status_code in {400, 404}
    assert f'<html lang="{language}">' in answer.text
    assert sentence in words(answer)


def test_what_nobody_expected_is_a_sentence_and_a_line_without_a_value(
    house: House, inside: Browser
) -> None:
    with house.database.write() as connection:
        connection.execute(
            CONSENTS.insert().values(
                patient=house.patient(),
                data_set="de-a",
                activity="records",
                version=1,
                digest=b"d",
                canonical=b"\xff",
                salt=b"",
                recorded="never",
            )
        )

    page = inside.get("/fr/me")

    assert page.status_code in {500, 503}
    assert "<h1>" in page.text
    assert 'lang="fr"' in page.text
    assert "Traceback" not in page.text


def test_the_log_tells_nobody_apart(house: House, inside: Browser) -> None:
    inside.send("/en/answer/records", YES)
    inside.enter("wrong")

    assert house.logged == ["a visit begins", "an answer is recorded", "a wrong code"]


def test_a_hostile_title_is_text(house: House, inside: Browser) -> None:
    house.agree("<script>alert(1)</script><b>bold</b>", "site = 'C50'")

    page = inside.get("/en/uses")

    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;bold&lt;/b&gt;" in page.text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        ("de", "de"),
        ("pl,de-AT;q=0.5", "de"),
        ("pl", "en"),
        ("", "en"),
        ("\\,;q=;;;=" * 99, "en"),
    ],
)
def test_the_browser_chooses_the_language(house: House, accepted: str, language: str) -> None:
    answer = house.browser().get("/", headers={"accept-language": accepted})

    assert answer.url.path == f"/{language}/"


def test_an_address_without_its_last_stroke_leads_on(house: House) -> None:
    assert house.browser().get("/fr").url.path == "/fr/"
