"""A small registry with its page, in this process: three patients, and a clock that tests set."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import httpx
from applications import application, filed
from frozen_cases import case_rows

from upcare_mpc.access.papers import Filing
from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.consent.model import Consent
from upcare_mpc.journal import Event, utc_text
from upcare_mpc.records.case import Case
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.patients import Visits
from upcare_mpc.storage.schema import QUESTIONS, REQUESTS
from upcare_mpc.storage.snapshot import Account, Snapshots, Sources
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.study.spec import Study, parse
from upcare_mpc.web.app import create_app
from upcare_mpc.web.dossier import Registry
from upcare_mpc.web.questionnaires import Questionnaires

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # a Sunday
PARTY = Path(__file__).parents[2] / "parties" / "de-a" / "party.toml"
KEY = "07" * 32  # of the researcher
# All that a request takes of the committee it is for.
COMMITTEE: Any = SimpleNamespace(network="eu-cancer", digest=bytes(32))
BREAST = Case(
    patient_id="P-1",
    tumour_id="1",
    sequence=1,
    sex="female",
    age=54,
    diagnosis_year=2019,
    diagnosis_month=3,
    diagnosis_precision="day",
    icd10="C50.9",
    stage="2",
    laterality="left",
    tx_surgery="yes",
    tx_chemo="yes",
    tx_radio="no",
    follow_up_days=730,
)
LUNG = Case(patient_id="P-2", tumour_id="1", sequence=1, icd10="C34.1", diagnosis_year=2020)


class House:
    """Use as a context manager.

    Attributes:
        now: What the clock says.
        logged: The lines of the log.
    """

    def __init__(self, folder: Path, *, gate: str = "objection", consents: str = "week") -> None:
        text = PARTY.read_text("utf-8")
        text = re.sub(
            r"files = .*", f'snapshots = "frozen"\ngate = "{gate}"\nconsents = "{consents}"', text
        )
        text = re.sub(r"complete = .*", "", text)
        text = re.sub(r"(kinds = .*)]", r'\1, "questionnaire"]', text)
        text = text.replace("[policy.researchers]", f'[policy.researchers]\n"Dr Example" = "{KEY}"')
        folder.joinpath("party.toml").write_text(text, "utf-8")
        self.folder = folder
        self.now = NOW
        self.logged: list[str] = []
        self.freeze([BREAST, LUNG])
        self.party = load_party(folder)
        self.database = open_database(self.party)
        self.registry = Registry(self.party, self.database, clock=lambda: self.now)
        self.visits = Visits(self.database)
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def open(self, questionnaires: Questionnaires | None = None) -> None:
        """Make the page."""
        self.app = create_app(
            self.registry,
            self.visits,
            questionnaires,
            title="Registry of Tests",
            log=self.logged.append,
        )

    def freeze(self, cases: list[Case]) -> None:
        """Put a snapshot in force."""
        snapshots = Snapshots(self.folder / "frozen")
        with snapshots.writing():
            snapshots.write(
                case_rows(cases, secret=snapshots.secret(), size=1),
                Sources(files=(), rules=1, complete=(), encr_missing={}, deletions=""),
                lambda: Account(messages=0, replaced=0, rejected={}, remarks={}, formats={}),
                self.now,
            )

    def patient(self, name: str = "P-1") -> bytes:
        """A patient's pseudonym."""
        return pseudonym(Snapshots(self.folder / "frozen").secret(), name)

    def code(self, name: str = "P-1") -> str:
        """A one-time code."""
        return self.visits.invite(self.patient(name), life=timedelta(hours=1), now=self.now)

    def said(self, name: str = "P-1") -> tuple[Consent, ...]:
        """What a patient has said."""
        return Consents(self.database).of(self.patient(name))

    def record(self, *consents: Consent) -> None:
        """Record consents that were given elsewhere."""
        Consents(self.database).record(consents, time=self.now)

    def agree(self, title: str, where: str) -> Study:
        """Agree to a study."""
        study = parse(
            f"version = 1\ntitle = {title!r}\nkind = 'counts'\npurpose = 'DUO:0000007'\n"
            f'registries = ["de-a", "de-b", "de-c"]\noverlap = 1\n[cohort]\nwhere = "{where}"\n'
            "[privacy]\nepsilon = 1.0\n[counts]\nby = ['sex']\n",
            name="study",
        )
        with self.database.write() as connection:
            connection.execute(
                QUESTIONS.insert().values(
                    study=study.digest, canonical=study.canonical(), first=utc_text(self.now)
                )
            )
        return study

    def file(self, **changes: Any) -> Filing:
        """Take in a request for a key, as `upcare access list` does."""
        filing = filed(COMMITTEE, application(**changes))
        with self.database.write() as connection:
            connection.execute(
                REQUESTS.insert().values(
                    request=filing.request.digest, filing=bytes(filing), seen=utc_text(self.now)
                )
            )
        return filing

    def journal(self, kind: str, filing: Filing, **body: Any) -> None:
        """Write down what happened to a request."""
        event = Event(kind=kind, body={"request": filing.request.digest.hex(), **body})
        SqlJournal(self.database).record(lambda _: event, time=self.now)

    def browser(self, **settings: Any) -> "Browser":
        """Somebody who has the page open."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
        settings = {"follow_redirects": True, "base_url": "https://page.test", **settings}
        return Browser(httpx.AsyncClient(transport=transport, **settings))


class Browser:
    """A browser without script: it keeps cookies, follows links and fills in forms."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @property
    def cookies(self) -> httpx.Cookies:
        """What it keeps."""
        return self._client.cookies

    def get(self, place: str, **more: Any) -> httpx.Response:
        """Open a page."""
        return asyncio.run(self._client.get(place, **more))

    def post(self, place: str, **more: Any) -> httpx.Response:
        """Send something."""
        return asyncio.run(self._client.post(place, **more))

    def send(self, place: str, fields: dict[str, Any]) -> httpx.Response:
        """Send a page's form, with what is hidden in it."""
        return self.post(place, data={**self.hidden(place), **fields})

    def hidden(self, place: str) -> dict[str, str]:
        """What is hidden in a page's form."""
        page = self.get(place).text
        return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page))

    def enter(self, code: str, language: str = "en") -> httpx.Response:
        """Type a code."""
        return self.post(f"/{language}/", data={"code": code})


def words(response: httpx.Response) -> str:
    """The visible text of a page, with single spaces."""
    body = re.sub(r"<head>.*?</head>", " ", response.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body))).strip()
