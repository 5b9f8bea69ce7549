"""`upcare consent`: what is recorded is what was said, and mistakes are one line."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.consent import duo
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver
from upcare_mpc.node.freeze import freeze
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.snapshot_rows import pseudonym

PARTIES = Path(__file__).parents[2] / "parties"


def today() -> date:
    """Not a constant: a run of all tests may see midnight."""
    return datetime.now(UTC).date()


class Ran(Protocol):
    """How a command ended."""

    status: object
    out: str
    err: str


class Desk:
    """A party folder, and the command on it."""

    def __init__(self, folder: Path, upcare: Callable[..., Ran]) -> None:
        self.folder = folder
        self._upcare = upcare
        text = (PARTIES / "de-a" / "party.toml").read_text("utf-8")
        (folder / "party.toml").write_text(text, "utf-8")
        (folder / "data").symlink_to(PARTIES / "de-a" / "data")

    def run(self, command: str, *options: str) -> Ran:
        """Run ``upcare consent`` here."""
        return self._upcare("consent", command, *options, "--party", str(self.folder))

    def well(self, command: str, *options: str) -> str:
        """Run it, and have it succeed."""
        ran = self.run(command, *options)
        assert ran.status == 0, ran.err
        return ran.out

    def said(self, patient_id: str) -> tuple[Consent, ...]:
        """What is recorded of a patient."""
        party = load_party(self.folder)
        secret = snapshots_of(party.data, party.state_folder).secret()
        with open_database(party) as database:
            return Consents(database).of(pseudonym(secret, patient_id))


@pytest.fixture
def desk(tmp_path: Path, upcare: Callable[..., Ran]) -> Desk:
    return Desk(tmp_path, upcare)


RECORDS = ("--patient", "P-1", "--activity", "records")
STATISTICS = ("--patient", "P-1", "--activity", "statistics")


def test_a_permission_is_recorded_with_all_its_limits(desk: Desk) -> None:
    desk.well(
        *("record", *RECORDS, "--permission", duo.DS, "--disease", "C18-C20", "--disease", "C50"),
        *("--limit", duo.NCU, "--region", "DE", "--region", "FR"),
        *("--from", "2026-01-01", "--until", "2031-03-14", "--given", "2025-12-24"),
    )

    (said,) = desk.said("P-1")
    assert said.terms is not None
    assert (said.activity, said.version, said.answer) == (Activity.RECORDS, 1, Answer.PERMITTED)
    assert said.terms.diseases == {"C18", "C19", "C20", "C50"}
    assert said.terms.limits == {duo.NCU, duo.GS}
    assert said.terms.regions == {"DE", "FR"}
    assert (str(said.terms.first_day), str(said.terms.last_day)) == ("2026-01-01", "2031-03-14")
    assert (str(said.given), said.form) == ("2025-12-24", "urn:upcare:form:registry-1")
    assert said.giver is Giver.PATIENT


def test_each_answer_on_an_activity_has_the_next_version(desk: Desk) -> None:
    for options in (
        (*RECORDS, "--permission", duo.HMB),
        (*RECORDS, "--withdraw"),
        (*STATISTICS, "--refuse"),
    ):
        desk.well("record", *options)

    assert [(one.activity, one.version, one.answer) for one in desk.said("P-1")] == [
        (Activity.RECORDS, 1, Answer.PERMITTED),
        (Activity.RECORDS, 2, Answer.WITHDRAWN),
        (Activity.STATISTICS, 1, Answer.REFUSED),
    ]


def test_an_old_permission_on_paper_does_not_replace_a_later_answer(desk: Desk) -> None:
    desk.well("record", *RECORDS, "--refuse", "--given", "2026-06-01")

    late = desk.run("record", *RECORDS, "--permission", duo.HMB, "--given", "2020-01-01")
    desk.well("record", *STATISTICS, "--permission", duo.HMB, "--given", "2020-01-01")
    desk.well("record", *RECORDS, "--permission", duo.HMB, "--given", "2026-06-01")

    assert late.status == 1
    assert "the patient has answered since, on 2026-06-01" in late.err
    assert [one.answer for one in desk.said("P-1") if one.activity is Activity.RECORDS] == [
        Answer.REFUSED,
        Answer.PERMITTED,
    ]


def test_a_guardians_answer_ends_with_the_day_of_majority(desk: Desk) -> None:
    desk.well("record", *RECORDS, "--permission", duo.HMB, "--majority", "2030-05-01")

    (said,) = desk.said("P-1")
    assert (said.giver, str(said.majority)) == (Giver.GUARDIAN, "2030-05-01")


def test_the_operator_is_told_when_it_takes_effect(desk: Desk) -> None:
    told = desk.run("record", *STATISTICS, "--refuse").err
    monday = today() + timedelta(days=7 - today().weekday())

    assert "recorded: version 1 on statistics, refused" in told
    assert f"studies go by it from {monday} on" in told


def test_a_patient_id_without_a_record_is_noticed(desk: Desk) -> None:
    party = load_party(desk.folder)
    freeze(party.data.source, party.state_folder / "snapshots")  # type: ignore[arg-type]
    line = (desk.folder / "data" / "DE-A_oBDS_3.0.4.xml").read_text("utf-8")
    known = line.split('Patient_ID="')[1].split('"')[0]

    there = desk.run("record", "--patient", known, "--activity", "records", "--refuse")
    nowhere = desk.run("record", *RECORDS, "--refuse")

    assert "take care" not in there.err
    assert "no record under this patient id" in nowhere.err


def test_without_a_snapshot_nobody_can_tell(desk: Desk) -> None:
    assert "no snapshot is in force yet" in desk.run("record", *RECORDS, "--refuse").err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "wanted one of --permission, --refuse and --withdraw"),
        (("--refuse", "--withdraw"), "wanted one of --permission, --refuse and --withdraw"),
        (("--refuse", "--until", "2030-01-01"), "without limits and without days"),
        (("--permission", duo.DS), "diseases: wanted with DUO:0000007"),
        (("--permission", duo.HMB, "--disease", "C50"), "diseases: wanted with DUO:0000007"),
        (("--permission", duo.DS, "--disease", "Z99"), "wanted a category of ICD-10"),
        (("--permission", duo.HMB, "--limit", "NCU"), "codes like DUO:0000046"),
        (("--permission", duo.HMB, "--region", "Germany"), "countries like DE"),
        (("--permission", duo.HMB, "--until", "2001-01-01"), "a day not before first_day"),
        (("--permission", duo.HMB, "--given", "2999-01-01"), "--given: wanted a day not after"),
        (("--permission", duo.HMB, "--form", "two words"), "form: wanted a URI"),
    ],
)
def test_what_cannot_be_said_is_one_line_and_nothing_is_recorded(
    desk: Desk, options: tuple[str, ...], words: str
) -> None:
    ran = desk.run("record", *RECORDS, *options)

    assert ran.status == 1
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert desk.said("P-1") == ()


def test_an_export_is_imported_again_unchanged(desk: Desk, tmp_path: Path) -> None:
    desk.well("record", *RECORDS, "--permission", duo.HMB)
    desk.well("record", *RECORDS, "--withdraw")
    before = desk.said("P-1")
    exported = tmp_path / "export.json"
    exported.write_text(desk.well("export", "--patient", "P-1"), "utf-8")

    again = json.loads(desk.well("import", str(exported), "--json"))

    assert (again["documents"], again["recorded"], again["already"]) == (2, 0, 2)
    (desk.folder / "state" / "node.db").unlink()
    for left in desk.folder.glob("state/node.db-*"):
        left.unlink()
    assert json.loads(desk.well("import", str(exported), "--json"))["recorded"] == 2
    assert desk.said("P-1") == before


def test_a_patient_who_has_said_nothing_is_exported_as_an_empty_bundle(desk: Desk) -> None:
    assert json.loads(desk.well("export", "--patient", "P-1")) == {
        "resourceType": "Bundle",
        "type": "collection",
    }


def test_an_import_of_nothing_new_writes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.well("record", *RECORDS, "--permission", duo.HMB)
    exported = tmp_path / "export.json"
    exported.write_text(desk.well("export", "--patient", "P-1"), "utf-8")
    with open_database(load_party(desk.folder)) as database:
        before = len(SqlJournal(database).entries())
        desk.well("import", str(exported))
        after = SqlJournal(database).entries()

    assert (before, len(after)) == (1, 1)


def test_what_could_not_be_read_is_counted_with_its_reason(desk: Desk, tmp_path: Path) -> None:
    desk.well("record", *RECORDS, "--permission", duo.HMB)
    bundle: Any = json.loads(desk.well("export", "--patient", "P-1"))
    bundle["entry"][0]["resource"]["status"] = "proposed"
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps(bundle), "utf-8")

    told = desk.well("import", str(odd))

    assert "2 answers recorded from 1 documents" in told
    assert "not read, noted as a refusal until you have: 1 of FHIR Consent.status: wanted" in told
    assert "no" in desk.well("show", "--patient", "P-1")
    assert desk.said("P-1")[-1].answer is Answer.REFUSED


def test_it_is_shown_what_holds_in_each_language(desk: Desk) -> None:
    desk.well("record", *STATISTICS, "--refuse")

    shown = desk.well("show", "--patient", "P-1", "--language", "de")

    assert f"statistics, version 1 of {today()}: refused, now refused" in shown
    assert "werden in dieser Studie nicht mitgezählt, weil Sie Nein gesagt haben" in shown
    assert "records, DUO:0000007: Ihre Daten" in shown
    assert "Vos données" in desk.well("show", "--patient", "P-1", "--language", "fr")
    assert "said nothing" in desk.well("show", "--patient", "P-2")


def test_what_holds_can_be_read_by_a_program(desk: Desk) -> None:
    desk.well("record", *RECORDS, "--permission", duo.HMB)

    report = json.loads(desk.well("show", "--patient", "P-1", "--purpose", duo.GRU, "--json"))

    assert [(one["version"], one["status"]) for one in report["answers"]] == [(1, "permitted")]
    assert [(one["activity"], one["reason"]) for one in report["decisions"]] == [
        ("statistics", "no_objection"),
        ("records", "purpose"),
    ]


def test_a_purpose_that_is_none_is_refused(desk: Desk) -> None:
    ran = desk.run("show", "--patient", "P-1", "--purpose", "DUO:0000099")

    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "--purpose: wanted a purpose like DUO:0000007" in ran.err


def test_statistics_of_a_warehouse_are_not_recorded_here(desk: Desk) -> None:
    path = desk.folder / "party.toml"
    text = path.read_text("utf-8")
    start, end = text.index("files = "), text.index("[policy]")
    warehouse = 'warehouse = { url = "postgresql://db/x", table = "c" }\ncases_at_most = 1000\n\n'
    path.write_text(text[:start] + warehouse + text[end:], "utf-8")

    refused = desk.run("record", *STATISTICS, "--refuse")

    assert refused.status == 1
    assert "fill it without patients who have objected" in refused.err
    assert desk.run("record", *RECORDS, "--refuse").status == 0
