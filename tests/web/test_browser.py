"""The page in a real Chromium, on a phone's screen: without script, by keyboard, and held to WCAG.

The server is the command that a registry runs.
"""

import datetime
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from house import House
from phones import check, phone
from playwright.sync_api import Browser, Page

from upcare_mpc.consent.explain import LANGUAGES
from upcare_mpc.consent.model import Answer

pytestmark = [pytest.mark.parties, pytest.mark.slow]

PLACES = ["", "help", "nowhere"]
INSIDE = [
    *("me", "answer/records", "answer/statistics", "withdraw/all"),
    *("record", "uses", "documents"),
]


@pytest.fixture
def served(house: House) -> Iterator[str]:
    """Run the command on the registry's folder; its address."""
    house.now = datetime.datetime.now(datetime.UTC)
    house.agree("A title with <b>signs</b> & a very" + "long" * 20 + "word", "site = 'C50'")
    house.journal("access.approve", house.file(epoch=f"{house.now:%Y-%m}"))
    command = [sys.executable, "-m", "upcare_mpc", "patient", "serve", "--with-parent"]
    with subprocess.Popen(
        [*command, "--party", str(house.folder), "--title", "Registry of Tests"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"http://\S+", line)
        assert address, line
        yield address[0]
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in process.stderr.read()


def entered(page: Page, served: str, house: House, language: str) -> None:
    page.goto(f"{served}{language}/")
    page.fill("#code", house.visits.invite(house.patient(), life=timedelta(hours=1), now=house.now))
    page.click("main button")
    assert page.url == f"{served}{language}/me"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_patient_decides_without_script(
    chromium: Browser, served: str, house: House, language: str
) -> None:
    context = phone(chromium, java_script_enabled=False, locale=language)
    page = context.new_page()
    page.goto(served)  # the browser's language is chosen
    assert page.url == f"{served}{language}/"
    entered(page, served, house, language)

    page.tap('a[href$="/answer/records"]')
    page.wait_for_url("**/answer/records")
    page.check('input[value="illness"]')
    page.check('input[value="non-commercial"]')
    page.check('input[value="patient"]')
    page.fill("#until", "2044-03-14")
    page.tap("main form button")
    page.wait_for_url(re.compile("/me[?]done=answered$"))
    page.tap('a[href$="/withdraw/records"]')  # one tap,
    page.wait_for_url("**/withdraw/records")
    page.tap("main form button")  # and another
    page.wait_for_url(re.compile("/me[?]done=withdrawn$"))
    with page.expect_download() as download:
        page.goto(f"{served}{language}/documents")
        page.tap('a[href*="/documents/answer/"] >> nth=0')
    assert b'"resourceType": "Consent"' in Path(download.value.path()).read_bytes()
    page.tap("footer button")
    page.wait_for_url("**/leave")
    page.goto(f"{served}{language}/me")

    assert page.url == f"{served}{language}/?over=1"
    assert context.cookies() == []
    assert [one.answer for one in house.said()] == [Answer.PERMITTED, Answer.WITHDRAWN]
    context.close()


@pytest.mark.parametrize(
    ("language", "scheme"), [("de", "light"), ("fr", "light"), ("en", "light"), ("en", "dark")]
)
def test_no_page_breaks_a_rule_of_accessibility(
    chromium: Browser, served: str, house: House, language: str, scheme: str
) -> None:
    context = phone(chromium, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    for place in PLACES:
        page.goto(f"{served}{language}/{place}")
        check(page)
    entered(page, served, house, language)
    for place in INSIDE:
        page.goto(f"{served}{language}/{place}")
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        check(page)
    page.goto(f"{served}{language}/answer/records")
    page.check('input[value="any"]')
    page.check('input[value="guardian"]')
    page.click("main form button")  # without the day of majority
    assert page.locator(".wrong").count() == 2
    check(page)
    context.close()


def test_a_rule_that_is_broken_is_seen(chromium: Browser, served: str) -> None:
    context = phone(chromium)
    page = context.new_page()
    page.goto(f"{served}en/")
    page.evaluate("document.querySelector('label').remove()")

    with pytest.raises(AssertionError, match="label"):
        check(page)
    context.close()


def test_the_keyboard_is_enough(chromium: Browser, served: str, house: House) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}en/")

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    press("Tab", "Enter", "Tab")  # skip to the content, and on to the code
    page.keyboard.type(house.code())
    press("Enter")
    page.wait_for_url("**/en/me")
    page.focus('a[href$="/answer/statistics"]')
    press("Enter")
    page.wait_for_url("**/en/answer/statistics")
    page.focus('input[name="scope"]')
    press("Space", "ArrowDown", "ArrowDown", "ArrowDown")  # no, illness, cancer, health
    page.focus('input[name="who"]')
    press("Space", "Enter")
    page.wait_for_url(re.compile("/en/me[?]done=answered$"))

    (consent,) = house.said()
    assert consent.terms is not None
    assert consent.terms.permission == "DUO:0000006"
    context.close()


def test_nothing_is_asked_of_anybody_else(chromium: Browser, served: str, house: House) -> None:
    context = phone(chromium)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    entered(page, served, house, "en")
    for place in INSIDE:
        page.goto(f"{served}en/{place}")

    assert all(url.startswith((served, "data:")) for url in asked)
    assert any(url.endswith("/style.css") for url in asked)
    context.close()
