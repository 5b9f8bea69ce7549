"""A questionnaire in a real Chromium, on a phone's screen: answered, refused, interrupted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asking
from gathering import HOLDERS
from joint import signed
from phones import check, phone
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from upcare_mpc.consent.explain import LANGUAGES
from upcare_mpc.deposits.envelopes import check_payload, ciphertext_of, open_share
from upcare_mpc.kinds.answers import answer_vector
from upcare_mpc.mpc import field
from upcare_mpc.storage.tickets import TicketState

pytestmark = [pytest.mark.parties, pytest.mark.slow]

ARRIVED = {"de": "Antworten sind am", "fr": "sont arrivées le", "en": "answers arrived on"}
SECONDS = 60_000


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    found = phone(chromium)
    yield found
    found.close()


def opened(
    context: BrowserContext,
    served: str,
    asking: Asking,
    language: str = "en",
    patient: str = "P-1",
) -> Page:
    """The form, with a patient's visit."""
    page = context.new_page()
    page.goto(f"{served}{language}/")
    page.fill("#code", asking.code(patient))
    page.click("main button")
    page.click(f'a[href="/{language}/questions"]')
    page.click("main .button")
    assert page.url == f"{served}{language}/{asking.place}"
    return page


def choose(page: Page, *answers: str) -> None:
    for question, answer in enumerate(answers):
        page.check(f'input[name="q{question}"][value="{answer}"]')


def contents(asking: Asking) -> list[int]:
    """What the holders together read in the only deposit, which each of them would accept."""
    (encoded,) = asking.platform.deposits
    with asking.platform.client() as client:
        found = client.describe(asking.platform.collection.digest)
        deposit = client.check(found, encoded)
    collection, context = asking.platform.collection, deposit.context
    check_payload(deposit.payload, collection, found.key, context=context)
    if collection.envelope == "rlwe":
        return signed(asking.joint.decrypt(ciphertext_of(deposit.payload, collection)))
    shares = {
        place: open_share(
            deposit.payload,
            collection,
            asking.platform.sealing_key(name),
            place=place,
            context=context,
        )
        for place, name in enumerate(HOLDERS[:2])
    }
    return [int(cell) for cell in field.decode(field.open_shares(shares, threshold=1))]


def vector(asking: Asking, answers: dict[str, str]) -> list[int]:
    kind: Any = asking.platform.question.kind
    return [int(cell) for cell in answer_vector(kind, answers)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_patient_answers_and_the_holders_get_it(
    asking: Asking, context: BrowserContext, language: str
) -> None:
    with asking.served() as served:
        page = opened(context, served, asking, language)
        choose(page, "2", "0")
        page.tap("form[data-place] button")
        expect(page.locator(".state.yes")).to_contain_text(ARRIVED[language], timeout=SECONDS)
        assert page.url == f"{served}{language}/{asking.place}"
        with page.expect_download() as download:
            page.tap('a[href$="/receipt"]')

    assert contents(asking) == vector(asking, {"Smoked?": "today", "Health?": "poor"})
    (given,) = asking.questionnaires.tickets.of(asking.patient())
    assert Path(download.value.path()).read_bytes() == given.receipt


def test_sealed_shares_are_made_here_too(tmp_path: Path, context: BrowserContext) -> None:
    with Asking(tmp_path, envelope="sealed") as asking, asking.served() as served:
        page = opened(context, served, asking)
        choose(page, "1")
        page.tap("form[data-place] button")
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)

        assert contents(asking) == vector(asking, {"Smoked?": "once"})


def test_the_keyboard_is_enough(asking: Asking, chromium: Browser) -> None:
    context = chromium.new_context()
    with asking.served() as served:
        page = opened(context, served, asking)
        page.focus('input[name="q0"] >> nth=3')  # no answer
        for key in ("ArrowUp", "Tab", "Tab", "Enter"):  # today; the next question; the button
            page.keyboard.press(key)
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)
    context.close()

    assert contents(asking) == vector(asking, {"Smoked?": "today"})


@pytest.mark.parametrize(
    ("language", "scheme"), [("de", "light"), ("fr", "light"), ("en", "light"), ("en", "dark")]
)
def test_no_page_breaks_a_rule_of_accessibility(
    asking: Asking, chromium: Browser, language: str, scheme: Any
) -> None:
    context = phone(chromium, color_scheme=scheme, reduced_motion="reduce")
    with asking.served() as served:
        page = opened(context, served, asking, language)
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        check(page)
        for name in page.eval_on_selector_all(
            "[data-said]", "all => all.map((one) => one.dataset.said)"
        ):
            page.evaluate(
                "(name) => document.querySelector(`[data-said=${name}]`).hidden = false", name
            )
        check(page)
        page.goto(f"{served}{language}/questions")
        check(page)
        page.goto(f"{served}{language}/{asking.place}")
        page.tap("form[data-place] button")
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)
        check(page)
        for place in ("questions", "uses"):
            page.goto(f"{served}{language}/{place}")
            check(page)
    context.close()


def test_without_script_the_page_says_what_to_do(asking: Asking, chromium: Browser) -> None:
    context = phone(chromium, java_script_enabled=False)
    with asking.served() as served:
        page = opened(context, served, asking)
        expect(page.locator("noscript p")).to_contain_text("upcare deposit answer")
        assert page.is_disabled("form[data-place] button")
    context.close()


def said(page: Page) -> str:
    """What the page says, when it has said something else than to wait."""
    shown = page.locator('[data-said]:not([hidden]):not([data-said="working"])')
    expect(shown).to_be_visible(timeout=SECONDS)
    return str(shown.get_attribute("data-said"))


def test_a_key_that_a_holder_has_not_signed_gets_nothing(
    asking: Asking, context: BrowserContext
) -> None:
    """Somebody between page and script changes the key; the script asks for no ticket then."""

    def change(route: Route) -> None:
        described = route.fetch().json()
        holders = described["holders"]
        holders[0]["signature"] = holders[1]["signature"]
        route.fulfill(json=described)

    with asking.served() as served:
        page = opened(context, served, asking)
        page.route("**/key", change)
        choose(page, "2")
        page.tap("form[data-place] button")
        assert said(page) == "untrusted"
        assert page.is_disabled("form[data-place] button")

    assert asking.questionnaires.tickets.of(asking.patient()) == ()
    assert asking.platform.deposits == []


def test_a_line_that_breaks_costs_one_more_tap(asking: Asking, context: BrowserContext) -> None:
    with asking.served() as served:
        page = opened(context, served, asking)
        page.route("**/deposit", lambda route: route.abort(), times=1)
        choose(page, "0", "1")
        page.tap("form[data-place] button")
        assert said(page) == "failed"
        assert page.is_disabled('input[name="q0"] >> nth=1')  # what is encrypted stays
        page.tap("form[data-place] button")
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)

    assert contents(asking) == vector(asking, {"Smoked?": "never", "Health?": "good"})


@pytest.mark.parametrize(
    ("lost", "whole"), [("ticket", True), ("ticket", False), ("deposit", True)]
)
def test_an_answer_that_gets_lost_on_the_way_back_costs_one_more_tap(
    asking: Asking, context: BrowserContext, lost: str, whole: bool
) -> None:
    """The registry has done its part, and the page does not know: it may not lock her out."""

    def lose(route: Route) -> None:
        answer = route.fetch()
        assert answer.ok
        if whole:
            route.abort()
        else:
            route.fulfill(response=answer, body=answer.text()[:40])

    with asking.served() as served:
        page = opened(context, served, asking)
        page.route(f"**/{lost}", lose, times=1)
        choose(page, "0", "1")
        page.tap("form[data-place] button")
        assert said(page) == "failed"
        page.tap("form[data-place] button")
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)

    assert contents(asking) == vector(asking, {"Smoked?": "never", "Health?": "good"})


def test_before_there_is_a_ticket_she_can_still_change_her_mind(
    asking: Asking, context: BrowserContext
) -> None:
    with asking.served() as served:
        page = opened(context, served, asking)
        page.route("**/ticket", lambda route: route.abort(), times=1)
        choose(page, "0")
        page.tap("form[data-place] button")
        assert said(page) == "failed"
        choose(page, "1")
        page.tap("form[data-place] button")
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)

    assert contents(asking) == vector(asking, {"Smoked?": "once"})


def test_on_two_devices_the_second_is_refused(asking: Asking, chromium: Browser) -> None:
    one, other = phone(chromium), phone(chromium)
    with asking.served() as served:
        pages = [opened(context, served, asking) for context in (one, other)]
        pages[0].tap("form[data-place] button")
        expect(pages[0].locator(".state.yes")).to_be_visible(timeout=SECONDS)
        pages[1].tap("form[data-place] button")
        assert said(pages[1]) == "refused"
    one.close()
    other.close()

    assert contents(asking) == vector(asking, {})


def test_after_the_visit_nothing_is_sent(asking: Asking, context: BrowserContext) -> None:
    with asking.served() as served:
        page = opened(context, served, asking)
        asking.visits.end(asking.patient())
        page.tap("form[data-place] button")
        assert said(page) == "over"

    assert asking.questionnaires.tickets.of(asking.patient()) == ()


def requests(page: Page) -> list[tuple[str, int]]:
    """What the page asks for from now on: address, and octets that are sent with it."""
    sent: list[tuple[str, int]] = []
    page.on("request", lambda one: sent.append((one.url, len(one.post_data_buffer or b""))))
    return sent


def test_the_answers_are_in_nothing_that_is_sent(asking: Asking, chromium: Browser) -> None:
    """One patient says all, another nothing: their requests differ in nothing but random octets."""
    scripts = ("worker", "deposit", "lattice", "certificates", "keccak", "sealed")
    asked = []
    with asking.served() as served:
        for patient, answers in (("P-1", ("2", "1")), ("P-2", ())):
            context = phone(chromium)
            page = opened(context, served, asking, patient=patient)
            asked.append(requests(page))
            choose(page, *answers)
            page.tap("form[data-place] button")
            expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)
            context.close()

    form = f"{served}en/{asking.place}"
    allowed = {form, f"{form}/key", f"{form}/ticket", f"{form}/deposit", f"{served}style.css"}
    allowed |= {f"{served}script/{name}.js" for name in scripts}
    for sent in asked:
        assert {url for url, _ in sent} == allowed
        assert {url: size for url, size in sent if size}.keys() == {
            f"{form}/ticket",
            f"{form}/deposit",
        }
    one, other = (dict(sent) for sent in asked)
    assert one[f"{form}/ticket"] == other[f"{form}/ticket"] == 65
    # Two signatures are in it, each a few octets longer or shorter by chance.
    assert abs(one[f"{form}/deposit"] - other[f"{form}/deposit"]) <= 10
    assert len(asking.platform.deposits) == 2


def test_no_other_script_runs_on_the_page(asking: Asking, context: BrowserContext) -> None:
    with asking.served() as served:
        page = opened(context, served, asking)
        page.evaluate(
            """() => {
              window.broken = [];
              document.addEventListener("securitypolicyviolation", (event) => {
                window.broken.push(event.violatedDirective);
              });
              const inline = document.createElement("script");
              inline.textContent = "window.ran = true";
              document.head.append(inline);
              const far = document.createElement("script");
              far.src = "https://elsewhere.test/x.js";
              document.head.append(far);
              fetch("https://elsewhere.test/").catch(() => {});
            }"""
        )
        page.wait_for_function("window.broken.length >= 3")
        assert page.evaluate("window.ran") is None


def test_what_is_kept_is_said_until_it_arrives(asking: Asking, context: BrowserContext) -> None:
    asking.platform.answers = False
    with asking.served() as served:
        page = opened(context, served, asking)
        choose(page, "1", "0")
        page.tap("form[data-place] button")
        expect(page.locator(".state.part")).to_be_visible(timeout=SECONDS)
        asking.platform.answers = True
        asking.questionnaires._wake.set()
        for _ in range(100):
            (given,) = asking.questionnaires.tickets.of(asking.patient())
            if given.state is TicketState.DELIVERED:
                break
            page.wait_for_timeout(100)
        page.reload()
        expect(page.locator(".state.yes")).to_be_visible(timeout=SECONDS)

    assert contents(asking) == vector(asking, {"Smoked?": "once", "Health?": "poor"})
