"""The data a registry answers from: its bound, and the secret that its digest is keyed with."""

from dataclasses import replace
from pathlib import Path

import pytest

from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.node import snapshot
from upcare_mpc.node.snapshot import load_snapshot, read_delivery
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

PARTIES = Path(__file__).parents[2] / "parties"
DELIVERY = PARTIES / "fr-b" / "data" / "FR-B_encr_incidence.csv"
DATA = DataFiles(files=(DELIVERY,), cases_at_most=1000)


def test_the_digest_is_the_same_again_and_another_at_another_registry(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()

    first = load_snapshot(DATA, here).digest

    assert load_snapshot(DATA, here).digest == first
    assert load_snapshot(DATA, there).digest != first


@pytest.mark.parametrize("content", [b"", b"x" * 31])
def test_a_secret_that_is_not_whole_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "snapshot.key").write_bytes(content)

    with pytest.raises(ConfigError, match="wanted 32 bytes"):
        load_snapshot(DATA, tmp_path)


def test_more_cases_than_declared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cases_at_most"):
        load_snapshot(replace(DATA, cases_at_most=62), tmp_path)


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    gone = replace(DATA, files=(tmp_path / "gone.csv",))

    with pytest.raises(DataError, match=r"^gone\.csv: no such data file$"):
        load_snapshot(gone, tmp_path)


def test_a_study_is_counted_as_the_rows_engine_counts_it(tmp_path: Path) -> None:
    kind = work_out(parse((PARTIES / "study.toml").read_bytes(), name=""), network_overlap=1).kind
    expected = tabulate(kind.measures(), kind.layout(), read_delivery(DATA).cases)

    assert expected.sum() > 0
    assert load_snapshot(DATA, tmp_path).tabulate(kind) == expected.astype("<i8").tobytes()


def test_the_same_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_snapshot(DATA, tmp_path)

    def never(_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(snapshot, "read_delivery", never)
    second = load_snapshot(DATA, tmp_path)

    assert (second.manifest, second.digest) == (first.manifest, first.digest)


def test_a_file_that_changed_is_a_new_snapshot_and_the_old_one_stays(tmp_path: Path) -> None:
    file, state = tmp_path / "delivery.csv", tmp_path / "state"
    state.mkdir()
    lines = DELIVERY.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines))
    data = replace(DATA, files=(file,))
    first = load_snapshot(data, state)

    file.write_bytes(b"".join(lines[:-1]))
    second = load_snapshot(data, state)

    assert second.digest != first.digest
    assert second.manifest.tumours == first.manifest.tumours - 1
    assert len(list((state / "snapshots").glob("*.parquet"))) == 2


def test_what_is_declared_complete_is_part_of_the_snapshot(tmp_path: Path) -> None:
    german = PARTIES / "de-c" / "data" / "DE-C_ADT_GEKID_2.2.3.xml"
    data = replace(DATA, files=(german,))
    first = load_snapshot(data, tmp_path)

    assert load_snapshot(replace(data, complete=frozenset({"systemic"})), tmp_path).digest != (
        first.digest
    )


def test_fewer_cases_declared_than_frozen_are_refused_at_the_next_start(tmp_path: Path) -> None:
    load_snapshot(DATA, tmp_path)

    with pytest.raises(ConfigError, match="cases_at_most"):
        load_snapshot(replace(DATA, cases_at_most=62), tmp_path)


def test_no_identifier_of_a_file_is_in_the_state_folder(tmp_path: Path) -> None:
    """Patient ids, tumour ids, and what a message says of a person, from a file made for this."""
    planted = {
        "Patient_ID": "PLANTED-PATIENT-7",
        "Tumor_ID": "PLANTED-TUMOUR-7",
        "Meldung_ID": "PLANTED-MESSAGE-7",
        "Nachname": "Plantedname",
        "Strasse": "Plantedstreet",
        "KrankenversichertenNr": "P123456789",
        "IBAN": "DE00PLANTED7",
    }
    file = tmp_path / "planted.xml"
    file.write_text(
        '<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4"><Menge_Patient>'
        '<Patient Patient_ID="{Patient_ID}"><Patienten_Stammdaten>'
        "<Versichertendaten_GKV><KrankenversichertenNr>{KrankenversichertenNr}"
        "</KrankenversichertenNr></Versichertendaten_GKV><Nachname>{Nachname}</Nachname>"
        "<Geschlecht>W</Geschlecht><Geburtsdatum Datumsgenauigkeit='E'>1950-03-04</Geburtsdatum>"
        "<Adresse><Strasse>{Strasse}</Strasse></Adresse></Patienten_Stammdaten><Menge_Meldung>"
        '<Meldung Meldung_ID="{Meldung_ID}" Melder_ID="m"><Tumorzuordnung Tumor_ID="{Tumor_ID}">'
        "<Primaertumor_ICD><Code>C50.9</Code></Primaertumor_ICD>"
        "<Diagnosedatum Datumsgenauigkeit='E'>2020-05-06</Diagnosedatum></Tumorzuordnung>"
        "</Meldung></Menge_Meldung></Patient></Menge_Patient>"
        "<Menge_Melder><Melder ID='m'><IBAN>{IBAN}</IBAN></Melder></Menge_Melder></oBDS>".format(
            **planted
        )
    )
    state = tmp_path / "state"
    state.mkdir()
    loaded = load_snapshot(replace(DATA, files=(file,)), state)
    assert loaded.manifest.tumours == 1

    paths = [path for path in state.rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in paths)
    rows = str(loaded.engine._duck.sql("FROM cases").fetchall())

    assert "C50" in rows  # so the search would find what is there
    for value in (*planted.values(), "1950", "2020-05"):
        assert value.encode() not in stored
        assert value not in rows
