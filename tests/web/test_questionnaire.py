"""The pages of questionnaires, with Python in place of the script, and a platform that fails."""

import base64
import json
import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from asking import Asking, joint_key
from cryptography.hazmat.primitives.asymmetric import ec
from gathering import HOLDERS
from house import House, words

from upcare_mpc.client.deposit_files import point_of
from upcare_mpc.client.deposits import patient_deposit
from upcare_mpc.config import load_party
from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import Ticket
from upcare_mpc.errors import LinkError, RefusedError
from upcare_mpc.kinds.answers import answer_vector
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.tickets import TicketState
from upcare_mpc.study.spec import parse
from upcare_mpc.web import questionnaires
from upcare_mpc.web.app import HEADERS
from upcare_mpc.web.questionnaire import SCRIPTED

ANSWERS = {"Smoked?": "today"}
OCTETS = "application/octet-stream"


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread runs here that would deliver: the page does not wait for one."""
    monkeypatch.setattr(questionnaires, "DELIVERY_S", 0.01)


class Patient:
    """Does what the script does."""

    def __init__(self, asking: Asking, name: str = "P-1") -> None:
        self.asking = asking
        self.browser = asking.browser()
        self.browser.enter(asking.code(name))
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.place = f"/en/{asking.place}"

    def page(self, place: str = "") -> str:
        return words(self.browser.get(self.place + place))

    def send(self, what: str, content: bytes, **headers: Any) -> httpx.Response:
        sent = {"content-type": OCTETS, "x-proof": self.proof()} | headers
        return self.browser.post(f"{self.place}/{what}", content=content, headers=sent)

    def proof(self) -> str:
        (found,) = re.findall(
            r'name="proof" value="([^"]+)"', self.browser.get("/en/withdraw/all").text
        )
        return str(found)

    def ticket(self) -> tuple[Ticket, bytes]:
        given = self.send("ticket", point_of(self.key)).json()
        ticket = Ticket.from_bytes(base64.b64decode(given["ticket"]))
        return ticket, given["certificate"].encode()

    def deposit(self, **changed: Any) -> bytes:
        ticket, certificate = self.ticket()
        with self.asking.platform.client() as client:
            found = client.describe(self.asking.platform.collection.digest)
        vector = answer_vector(found.question.kind, ANSWERS)  # type: ignore[arg-type]
        made = {"key": self.key, "ticket": ticket, "certificate": certificate} | changed
        return patient_deposit(found, vector, **made)


@pytest.fixture
def patient(asking: Asking) -> Patient:
    return Patient(asking)


def withdraw(asking: Asking, name: str = "P-1") -> None:
    asking.record(
        Consent(
            patient=asking.patient(name),
            data_set="de-a",
            activity=Activity.STATISTICS,
            version=1,
            answer=Answer.WITHDRAWN,
            given=date(2026, 1, 1),
            form="urn:oid:1.2.3",
        )
    )


# --- what is shown --------------------------------------------------------------------------------


def test_open_questionnaires_are_listed(patient: Patient) -> None:
    assert "Questions you can answer" in words(patient.browser.get("/en/me"))

    text = words(patient.browser.get("/en/questions"))

    assert "Gathered research on certain illnesses Number of questions: 2." in text
    assert f'href="{patient.place}"' in patient.browser.get("/en/questions").text


def test_the_form_asks_every_question_and_each_may_be_left_out(patient: Patient) -> None:
    page = patient.browser.get(patient.place).text

    fields = re.findall(r'<input type="radio" name="(q\d)" value="(\d?)"( checked)?>', page)
    assert fields == [
        *(("q0", "0", ""), ("q0", "1", ""), ("q0", "2", ""), ("q0", "", " checked")),
        *(("q1", "0", ""), ("q1", "1", ""), ("q1", "", " checked")),
    ]
    text = patient.page()
    assert "held in parts by these registries: de-a, de-b, de-c." in text
    assert "At least 2 of the registries named would have to work together" in text
    assert "needs JavaScript" in text
    assert "upcare deposit answer" in text


def test_only_what_she_has_allowed_is_shown(asking: Asking, patient: Patient) -> None:
    withdraw(asking)

    assert "There are none for you at the moment." in words(patient.browser.get("/en/questions"))
    for place in ("", "/key", "/receipt"):
        assert patient.browser.get(patient.place + place).status_code == 404
    assert patient.send("ticket", point_of(patient.key)).status_code == 404
    assert Patient(asking, "P-2").browser.get(patient.place).status_code == 200


def test_a_registry_without_a_network_has_no_questions(house: House) -> None:
    browser = house.browser()
    browser.enter(house.code())

    assert "Questions you can answer" not in words(browser.get("/en/me"))
    for place in ("/en/questions", f"/en/questions/{'0' * 64}", f"/en/questions/{'0' * 64}/key"):
        assert browser.get(place).status_code == 404


@pytest.mark.parametrize("digest", ["0" * 64, "0" * 63, "G" * 64, "..%2f", "0" * 65])
def test_what_is_no_questionnaire_has_no_page(patient: Patient, digest: str) -> None:
    assert patient.browser.get(f"/en/questions/{digest}").status_code == 404


def test_the_key_is_what_the_script_checks(asking: Asking, patient: Patient) -> None:
    given = patient.browser.get(f"{patient.place}/key").json()

    assert base64.b64decode(given["collection"]) == asking.platform.collection.canonical()
    assert base64.b64decode(given["study"]) == asking.platform.study.canonical()
    assert base64.b64decode(given["public"]) == asking.joint.public.to_bytes()
    assert given["ca"].encode() == asking.platform.network.ca_pem
    assert [one["certificate"].encode() for one in given["holders"]] == [
        asking.platform.identity(name).certificate_pem for name in HOLDERS
    ]


# --- the platform ---------------------------------------------------------------------------------


def test_without_the_platform_the_page_works_and_says_so(
    asking: Asking, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise LinkError("the platform cannot be reached")

    monkeypatch.setattr(asking.platform, "open", away)
    with pytest.raises(LinkError):
        asking.questionnaires.refresh()
    assert "Gathered" in words(patient.browser.get("/en/questions"))  # it was heard of just now

    asking.now += timedelta(minutes=6)
    text = words(patient.browser.get("/en/questions"))

    assert "cannot be looked up at the moment" in text
    assert "Gathered" not in text
    assert patient.browser.get("/en/me").status_code == 200
    assert patient.browser.get(patient.place).status_code == 404


def test_what_is_over_is_not_shown_even_if_the_platform_says_so(
    asking: Asking, patient: Patient
) -> None:
    asking.now += timedelta(hours=1)
    asking.questionnaires.refresh()
    patient = Patient(asking)

    assert "There are none for you" in words(patient.browser.get("/en/questions"))
    assert patient.browser.get(patient.place).status_code == 404


def changed_key(asking: Asking) -> None:
    """The platform puts a key of its own in the place of the holders'."""
    keys = [asking.platform.key_of(name) for name in HOLDERS]
    keys[2] = replace(keys[2], public=asking.joint.public.to_bytes())
    asking.platform.describe_as(asking.platform.collection, keys)


def changed_time(asking: Asking) -> None:
    """The platform lets deposits be taken for longer than the study says."""
    collection = asking.platform.collection
    longer = replace(collection, closes=collection.closes + 30 * 24 * 3600)
    asking.platform.collection = longer
    joint_key(asking.platform)


@pytest.mark.parametrize("change", [changed_key, changed_time])
def test_what_the_platform_makes_up_is_not_offered(asking: Asking, change: Any) -> None:
    asking.platform.begin()  # another collection
    change(asking)

    asking.questionnaires.refresh()

    assert asking.questionnaires.offered() == ()
    assert "is not offered: " in asking.logged[-1]


def test_why_one_is_not_offered_is_said_once(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its key is not fetched every minute."""

    def never(_: bytes) -> None:
        pytest.fail("the key was fetched")

    path = asking.folder / "party.toml"
    path.write_text(path.read_text("utf-8").replace(', "questionnaire"', ""), "utf-8")
    asking.questionnaires.office = replace(asking.office, party=load_party(asking.folder))
    monkeypatch.setattr(asking.platform, "describe", never)

    for _ in range(3):
        asking.questionnaires.refresh()

    assert asking.questionnaires.offered() == ()
    assert [line[-60:] for line in asking.logged] == [
        "not offered: de-a does not accept studies of kind questionnaire"[-60:]
    ]


def test_what_waits_for_the_operator_is_offered_once_she_has_agreed(asking: Asking) -> None:
    path = asking.folder / "party.toml"
    path.write_text(path.read_text("utf-8").replace('"automatic"', '"manual"'), "utf-8")
    asking.questionnaires.office = replace(asking.office, party=load_party(asking.folder))
    asking.questionnaires.refresh()
    assert asking.questionnaires.offered() == ()
    assert asking.logged[-1].endswith("is not offered: it waits for the operator")

    holdings = Holdings(asking.database, asking.party.state_folder / "holdings")
    holdings.add(
        asking.platform.collection.digest, request=b"r", papers=b"papers", secret=b"secret"
    )
    asking.questionnaires.refresh()

    assert len(asking.questionnaires.offered() or ()) == 1


def test_what_another_registry_vouches_for_is_not_asked_about(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking.platform.collection = replace(asking.platform.collection, vouchers=("de-b", "de-c"))
    asking.platform.describe_as(asking.platform.collection, [])
    asked: list[bytes] = []
    monkeypatch.setattr(asking.platform, "describe", asked.append)

    asking.questionnaires.refresh()

    assert asking.questionnaires.offered() == ()
    assert asked == []


def test_a_questionnaire_is_described_once(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(_: bytes) -> None:
        pytest.fail("the key was fetched again")

    monkeypatch.setattr(asking.platform, "describe", again)

    asking.questionnaires.refresh()

    assert len(asking.questionnaires.offered() or ()) == 1


# --- what is sent ---------------------------------------------------------------------------------


def test_a_deposit_is_kept_and_handed_on_and_its_receipt_is_hers(
    asking: Asking, patient: Patient
) -> None:
    encoded = patient.deposit()
    assert patient.send("deposit", encoded).status_code == 204
    assert asking.platform.deposits == []  # no thread runs here
    assert "lie encrypted at your registry" in patient.page()
    assert "What became of your answers" in words(patient.browser.get("/en/questions"))

    asking.questionnaires.refresh()

    assert asking.platform.deposits == [encoded]
    assert "Your answers arrived on" in patient.page()
    assert "as number 1." in words(patient.browser.get("/en/uses"))
    receipt = patient.browser.get(f"{patient.place}/receipt")
    assert Receipt.from_bytes(receipt.content).place == 0
    assert receipt.headers["content-disposition"].startswith("attachment;")
    assert "a questionnaire is answered" in asking.logged
    asking.questionnaires.refresh()
    assert asking.platform.deposits == [encoded]


def test_what_is_kept_is_delivered_when_the_platform_is_there_again(
    asking: Asking, patient: Patient
) -> None:
    asking.platform.answers = False  # it stores, and no receipt comes
    patient.send("deposit", patient.deposit())
    with pytest.raises(LinkError):
        asking.questionnaires.refresh()
    assert "lie encrypted at your registry" in patient.page()

    asking.platform.answers = True
    asking.questionnaires.refresh()

    assert "Your answers arrived" in patient.page()
    assert len(asking.platform.deposits) == 1


@pytest.mark.parametrize("taking", [True, False])
def test_a_deposit_is_dropped_only_if_the_platform_never_takes_it(
    asking: Asking, patient: Patient, monkeypatch: pytest.MonkeyPatch, taking: bool
) -> None:
    patient.send("deposit", patient.deposit())

    def refuse(*_: object) -> None:
        raise RefusedError("too many at once")

    monkeypatch.setattr(asking.platform, "deposit", refuse)
    asking.platform.description.open = taking
    asking.questionnaires.refresh()

    given = asking.questionnaires.tickets.get(asking.platform.collection.digest, asking.patient())
    assert given is not None
    assert given.state is (TicketState.KEPT if taking else TicketState.DROPPED)
    assert ("could not be handed on" in patient.page()) is not taking


def test_a_receipt_that_is_not_the_platform_s_is_not_taken(
    asking: Asking, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.send("deposit", patient.deposit())
    real = asking.platform.deposit

    def forged(collection: bytes, encoded: bytes) -> bytes:
        receipt = Receipt.from_bytes(real(collection, encoded))
        return replace(receipt, place=7).to_bytes()

    monkeypatch.setattr(asking.platform, "deposit", forged)
    asking.questionnaires.refresh()

    assert "lie encrypted at your registry" in patient.page()


def test_a_ticket_without_a_deposit_is_said(patient: Patient) -> None:
    patient.ticket()

    assert "Your registry confirmed on" in patient.page()
    assert "cannot answer any more" in words(patient.browser.get("/en/uses"))


def test_on_a_second_device_there_is_no_second_ticket(asking: Asking, patient: Patient) -> None:
    patient.ticket()
    other = Patient(asking)

    refused = other.send("ticket", point_of(other.key))

    assert refused.status_code == 409
    assert patient.ticket()  # the first one is still hers


def test_a_second_deposit_is_refused(asking: Asking, patient: Patient) -> None:
    first = patient.deposit()
    second = patient.deposit()
    assert patient.send("deposit", first).status_code == 204

    assert patient.send("deposit", second).status_code == 409

    asking.questionnaires.refresh()
    assert asking.platform.deposits == [first]


def broken(asking: Asking, patient: Patient, what: str) -> bytes:
    """A deposit that is wrong in one thing."""
    if what == "bytes":
        patient.ticket()
        return b"no deposit"
    if what == "signed by another key":
        return patient.deposit(key=ec.generate_private_key(ec.SECP256R1()))
    if what == "ticket of another patient":
        other = Patient(asking, "P-2")
        ticket, _ = other.ticket()
        patient.ticket()
        return patient.deposit(ticket=ticket, key=other.key)
    encoded = patient.deposit()
    if what == "proof":
        at = len(encoded) - 1000
        return encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]
    assert what == "cut"
    return encoded[:-1]


@pytest.mark.parametrize(
    "what", ["bytes", "signed by another key", "ticket of another patient", "proof", "cut"]
)
def test_a_deposit_that_holders_would_refuse_is_not_kept(
    asking: Asking, patient: Patient, what: str
) -> None:
    encoded = broken(asking, patient, what)

    assert patient.send("deposit", encoded).status_code == 400

    assert list(asking.questionnaires.tickets.kept()) == []
    assert patient.send("deposit", patient.deposit()).status_code == 204


def test_without_a_ticket_nothing_is_read(patient: Patient) -> None:
    assert patient.send("deposit", bytes(1000)).status_code == 409


def test_more_than_a_deposit_is_not_read(asking: Asking, patient: Patient) -> None:
    patient.ticket()
    offered = asking.questionnaires.find(asking.platform.collection.digest)
    assert offered is not None
    most = asking.questionnaires.most_bytes(offered)

    assert patient.send("deposit", bytes(most + 1)).status_code == 413
    assert patient.send("ticket", bytes(66)).status_code == 413
    assert patient.send("ticket", bytes(65)).status_code == 400


# --- what others may try --------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["ticket", "deposit"])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-proof": ""},
        {"x-proof": "0" * 64},
        {"x-proof": b"\xc3\xa9"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_another_site_can_send_nothing(
    asking: Asking, patient: Patient, what: str, headers: dict[str, Any]
) -> None:
    if what == "deposit":
        patient.ticket()

    refused = patient.send(what, point_of(patient.key), **headers)

    assert refused.status_code == 403
    states = [one.state for one in asking.questionnaires.tickets.of(asking.patient())]
    assert states == ([TicketState.GIVEN] if what == "deposit" else [])


def test_a_form_of_another_site_has_another_type(patient: Patient) -> None:
    """What a form can send without asking first is not taken, proof or not."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = patient.send("ticket", point_of(patient.key), **{"content-type": kind})
        assert answer.status_code == 400


@pytest.mark.parametrize("what", ["key", "ticket", "deposit", "receipt", ""])
def test_without_a_visit_there_is_nothing(asking: Asking, what: str) -> None:
    place = f"/en/{asking.place}/{what}".rstrip("/")
    stranger = asking.browser()

    answer = (
        stranger.post(place, content=bytes(65), headers={"content-type": OCTETS})
        if what in {"ticket", "deposit"}
        else stranger.get(place)
    )

    assert answer.url.path == "/en/"
    assert asking.questionnaires.tickets.of(asking.patient()) == ()


def test_only_the_form_and_its_scripts_may_run_a_script(patient: Patient) -> None:
    scripted = {patient.place, "/script/worker.js", "/script/lattice.js"}
    for place in (*scripted, "/en/questions", "/en/me", f"{patient.place}/key", "/nowhere"):
        answer = patient.browser.get(place)
        policy = (SCRIPTED if place in scripted else HEADERS)["content-security-policy"]
        assert answer.headers["content-security-policy"] == policy, place
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in str(SCRIPTED)
    page = patient.browser.get(patient.place).text
    assert re.findall(r"<script[^>]*>[^<]*", page) == [
        '<script type="module" src="/script/questionnaire.js">'
    ]
    assert not re.search(r"javascript:|\son[a-z]+=|style=|https?://", page)


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapp.py", "worker"])
def test_there_are_no_other_scripts(asking: Asking, name: str) -> None:
    assert asking.browser().get(f"/script/{name}").status_code == 404


def test_what_a_researcher_writes_is_text(asking: Asking) -> None:
    text = (
        'version = 1\ntitle = "<script>1</script>"\nkind = "questionnaire"\noverlap = 1\n'
        'purpose = "DUO:0000007"\nregistries = ["de-a", "de-b", "de-c"]\n'
        '[deposits]\npatients = true\n[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n'
        '[[questionnaire.questions]]\ntext = "<b>Well?</b>"\noptions = ["\\"><img src=x>", "&"]\n'
    )
    asking.platform.study = parse(text, name="study.toml")
    asking.platform.begin()
    asking.questionnaires.refresh()
    browser = asking.browser()
    browser.enter(asking.code())

    page = browser.get(f"/en/{asking.place}").text

    assert "&lt;script&gt;1&lt;/script&gt;" in page
    assert "&lt;b&gt;Well?&lt;/b&gt;" in page
    assert "&#34;&gt;&lt;img src=x&gt;" in page


def test_the_log_tells_nobody_s_name(asking: Asking, patient: Patient) -> None:
    patient.send("deposit", patient.deposit())
    asking.questionnaires.refresh()

    log = json.dumps(asking.logged)

    assert asking.patient().hex() not in log
    assert point_of(patient.key).hex() not in log
    assert asking.platform.collection.digest.hex() not in log


# --- the thread -----------------------------------------------------------------------------------


def test_the_thread_delivers_at_once_and_ends(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questionnaires, "DELIVERY_S", 30.0)
    patient = Patient(asking)
    encoded = patient.deposit()

    with asking.questionnaires:
        assert patient.send("deposit", encoded).status_code == 204  # when there is a receipt
        assert asking.platform.deposits == [encoded]
        assert "Your answers arrived" in patient.page()

    assert not asking.questionnaires._thread.is_alive()


def test_the_thread_goes_on_after_a_failure_and_says_it_once(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questionnaires, "EVERY_S", 0.01)
    rounds: list[int] = []

    def open_() -> tuple[()]:
        rounds.append(1)
        if len(rounds) < 4:
            raise LinkError("the platform cannot be reached")
        if len(rounds) < 7:
            raise ValueError("P-1 is in this text")
        if len(rounds) > 9:
            asking.questionnaires._ended = True
        return ()

    monkeypatch.setattr(asking.platform, "open", open_)
    with asking.questionnaires:
        asking.questionnaires._thread.join(20)

    assert [line for line in asking.logged if "questionnaires" in line] == [
        "questionnaires: the platform cannot be reached",
        "questionnaires: failed: ValueError",
        "questionnaires: the platform is there again",
    ]
