"""`upcare records`: what an operator is told, and that it is one line if something is wrong.

The platform is a store in memory here, and the network's key one that the test knows; with real
ones ``tests/sessions/records.md`` is run.
"""

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from said import no, permission
from vault_world import PUBLIC, MemoryStore

from upcare_mpc.cli import records
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.consent.model import Consent
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.receipts import token_of


def today() -> date:
    """Not a constant: a run of all tests may see midnight."""
    return datetime.now(UTC).date()


PARTY = """version = 1
name = "{name}"
computes = true
[platform]
address = "localhost:1"
[link]
host = "localhost"
ports = [0]
[data]
{data}
cases_at_most = 1000
[policy]
approval = "automatic"
purposes = ["DUO:0000007"]
kinds = ["counts"]
epsilon_per_study = 5.0
[policy.caps]
epsilon = 10.0
delta = 1e-6
[policy.researchers]
"""
DELIVERY = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"


class Party:
    """A registry with the public delivery of fr-b, and its operator."""

    def __init__(self, folder: Path, run: Callable[..., Any]) -> None:
        self.folder = folder / "fr-b"
        self.store = MemoryStore()
        self._run = run
        found_network(folder / "network", name="demo", overlap=1, committee=3)
        admit_party(folder / "network", "fr-b", role="registry", out=self.folder / "identity")
        self.write(f'files = ["{DELIVERY}"]')

    def write(self, data: str, *, name: str = "fr-b") -> None:
        (self.folder / "party.toml").write_text(PARTY.format(name=name, data=data), "utf-8")

    def run(self, *arguments: str) -> Any:
        return self._run("records", *arguments, "--party", str(self.folder))

    def ids(self, count: int) -> list[str]:
        """Some patients' ids, as they stand in the delivery."""
        lines = DELIVERY.read_text("utf-8").splitlines()
        column = re.split("[;,]", lines[0]).index("PAT")
        found = dict.fromkeys(re.split("[;,]", line)[column] for line in lines[1:])
        return list(found)[:count]

    def say(self, *patients: str, answer: Callable[..., Consent] = permission) -> None:
        party = load_party(self.folder)
        secret = snapshots_of(party.data, party.state_folder).secret()
        with open_database(party) as database:
            consents = Consents(database)
            for patient in patients:
                who = pseudonym(secret, patient)
                version = 1 + len(consents.of(who))
                said = answer(patient=who, data_set="fr-b", version=version)
                consents.record([said], time=datetime.now(UTC))

    def who(self, patient: str) -> bytes:
        party = load_party(self.folder)
        return pseudonym(snapshots_of(party.data, party.state_folder).secret(), patient)


@pytest.fixture
def party(tmp_path: Path, upcare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Party:
    made = Party(tmp_path, upcare)
    monkeypatch.setattr(records, "KeptVault", lambda *_: nullcontext(made.store))
    monkeypatch.setattr(records, "_public_key", lambda *_: PUBLIC)
    return made


def tomorrow(monkeypatch: pytest.MonkeyPatch) -> date:
    day = date.fromordinal(today().toordinal() + 1)
    monkeypatch.setattr(records, "_now", lambda: datetime.combine(day, time(3), UTC))
    return day


def test_sealing_says_what_it_came_to(party: Party) -> None:
    party.say(*party.ids(3))

    ran = party.run("seal")

    assert ran.status == 0
    head, *lines = ran.out.splitlines()
    assert head == f"fr-b: edition 1 of {today()} is at the platform"
    assert [line.strip() for line in lines[:3]] == [
        "3  patients sealed",
        "1  policies they are sealed under",
        "0  patients left with this edition",
    ]
    assert lines[-1].endswith("not sealed: there is no permission to open this record")


def test_the_same_as_json(party: Party) -> None:
    party.say(*party.ids(3))

    report = json.loads(party.run("seal", "--json").out)

    assert (report["registry"], report["edition"], report["fresh"]) == ("fr-b", 1, True)
    assert (report["day"], report["patients"], report["policies"]) == (str(today()), 3, 1)
    assert list(report["not_sealed"]) == ["there is no permission to open this record"]


def test_a_second_run_on_a_day_says_so(party: Party) -> None:
    party.say(*party.ids(3))
    party.run("seal")

    ran = party.run("seal")

    assert ran.status == 0
    assert ran.out.startswith(f"fr-b: edition 1 of {today()} was sealed before; it is at")
    assert "not sealed" not in ran.out
    assert json.loads(party.run("seal", "--json").out)["not_sealed"] is None


def test_a_patient_who_withdrew_has_a_receipt_the_next_day(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, berta = party.ids(2)
    party.say(anna, berta)
    party.run("seal")
    party.say(anna, answer=no)
    assert party.run("receipts", "--patient", anna).err == "there is no receipt for this patient\n"
    day = tomorrow(monkeypatch)

    ran = party.run("seal")

    assert "1  patients left with this edition" in ran.out
    (line,) = party.run("receipts", "--patient", anna).out.splitlines()
    assert json.loads(line)["token"] == token_of(party.who(anna), 2)
    assert json.loads(line)["day"] == str(day)
    assert party.run("receipts", "--patient", berta).out == ""


def test_a_check_says_what_is_there_and_what_is_not(party: Party) -> None:
    assert party.run("check").err == (
        "upcare: error: nothing is sealed yet; run `upcare records seal` [input.data]\n"
    )
    party.say(*party.ids(3))
    party.run("seal")
    good = party.run("check")
    assert good.status == 0
    assert good.out == (
        f"fr-b: the platform holds edition 1 of {today()}: "
        f"all of its {len(party.store.objects) - 1} objects, and no other\n"
    )

    lost = next(name for name in party.store.objects if name != HEAD)
    del party.store.objects[lost]
    party.store.objects["0" * 64] = b""
    party.store.objects[HEAD] = b""
    bad = party.run("check")
    assert bad.status == 1
    assert bad.err.startswith(
        f"upcare: error: the platform does not hold edition 1 of {today()}: it shows another "
        f"edition, of {len(party.store.objects) - 1} objects it has not 1, "
        "left over from older ones: 1; run `upcare records seal`"
    )
    assert json.loads(party.run("check", "--json").out)["missing"] == 1


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        ('warehouse = { url = "duckdb:///x.db", table = "cases" }', "a table of a warehouse is"),
        ('snapshots = "frozen"', "frozen: no such folder of snapshots"),
        ('files = ["gone.csv"]', "gone.csv: no such data file"),
    ],
)
def test_without_a_snapshot_nothing_is_sealed(party: Party, data: str, refusal: str) -> None:
    party.write(data)

    ran = party.run("seal")

    assert (ran.status, ran.out) == (1, "")
    assert refusal in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_party_file_of_another_registry_is_refused(party: Party) -> None:
    party.write(f'files = ["{DELIVERY}"]', name="de-a")

    assert "party.toml is of de-a, the certificate of fr-b.registry" in party.run("seal").err


def test_after_a_loss_the_way_on_is_named(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    party.say(*party.ids(3))
    party.run("seal")
    (path,) = (party.folder / "state" / "vault").glob("sealed-*.state")
    path.unlink()
    tomorrow(monkeypatch)

    assert "seal all records anew" in party.run("seal").err
    ran = party.run("seal", "--anew")
    assert ran.status == 0
    assert "edition 2 of" in ran.out
    assert "3  patients sealed" in ran.out
