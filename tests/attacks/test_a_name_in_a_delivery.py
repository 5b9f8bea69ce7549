"""A thief gets the folder of snapshots, the reports and the log: whom does she find?

The registry's own people deliver names, addresses, insurance and bank data with each message. She
searches all that `upcare ingest` leaves behind or prints, in the clear, as plain hashes (which a
list of names would undo), and inside the compressed rows, for what was planted: data of a person,
and the identifiers that the source uses. She also takes the machine in the middle of the work.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from upcare_mpc.config import DataFiles
from upcare_mpc.node import freeze as module
from upcare_mpc.node.freeze import freeze

PERSON = {
    "name": "Mustermann-Nirgendwo",
    "street": "Heimlichgasse",
    "insurance": "Z999999999",
    "iban": "DE00999999999999999999",
    "birth": "1964-08-12",
    "diagnosis": "2019-03-27",
}
IDENTIFIERS = {
    "patient": "PLANTED-PATIENT-7",
    "tumour": "PLANTED-TUMOUR-7",
    "message": "PLANTED-MESSAGE-7",
    "encr_patient": "PLANTED-PATIENT-8",
    "encr_tumour": "PLANTED-TUMOUR-8",
}
XML = """<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4"><Menge_Patient>
<Patient Patient_ID="{patient}"><Patienten_Stammdaten><Versichertendaten_GKV>
<KrankenversichertenNr>{insurance}</KrankenversichertenNr></Versichertendaten_GKV>
<Nachname>{name}</Nachname><Geschlecht>W</Geschlecht>
<Geburtsdatum Datumsgenauigkeit="E">{birth}</Geburtsdatum>
<Adresse><Strasse>{street}</Strasse></Adresse></Patienten_Stammdaten><Menge_Meldung>
<Meldung Meldung_ID="{message}" Melder_ID="m"><Tumorzuordnung Tumor_ID="{tumour}">
<Primaertumor_ICD><Code>{code}</Code></Primaertumor_ICD>
<Diagnosedatum Datumsgenauigkeit="E">{diagnosis}</Diagnosedatum></Tumorzuordnung>
</Meldung></Menge_Meldung></Patient></Menge_Patient>
<Menge_Melder><Melder ID="m"><IBAN>{iban}</IBAN></Melder></Menge_Melder></oBDS>"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One good message, one with the name where a code belongs, and an ENCR row."""
    folder = tmp_path / "archive"
    folder.mkdir()
    words = PERSON | IDENTIFIERS
    (folder / "1.xml").write_text(XML.format(code="C50.9", **words))
    odd = words | {"patient": "PLANTED-PATIENT-9", "message": "PLANTED-MESSAGE-9"}
    (folder / "2.xml").write_text(XML.format(code=PERSON["name"], **odd))
    source = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"
    header, row, *_ = source.read_text("utf-8").splitlines()
    cells = row.split(";")
    columns = header.split(";")
    cells[columns.index("PAT")] = IDENTIFIERS["encr_patient"]
    cells[columns.index("TUM")] = IDENTIFIERS["encr_tumour"]
    cells[columns.index("Geo_Label")] = PERSON["street"]
    (folder / "3.csv").write_text(header + "\n" + ";".join(cells) + "\n")
    return folder


def ingest(*words: str | Path) -> bytes:
    """Everything that the command prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "upcare_mpc", "ingest", *words],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return ran.stdout + ran.stderr


def everything_in(folder: Path) -> bytes:
    """Names and bytes of all files, and the rows of the snapshots without compression."""
    parts = []
    for path in folder.rglob("*"):
        parts.append(str(path.relative_to(folder)).encode())
        if path.is_file():
            parts.append(path.read_bytes())
        if path.suffix == ".parquet":
            parts.append(str(pq.read_table(path).to_pylist()).encode())
    return b"\n".join(parts)


def found(haystack: bytes, values: dict[str, str]) -> list[str]:
    """Which of the values are there, as text or as a plain hash."""

    def is_there(value: str) -> bool:
        plain = value.encode()
        hashes = [hashlib.new(name, plain) for name in ("md5", "sha1", "sha256", "blake2b")]
        shown = [
            plain,
            *(h.digest()[:16] for h in hashes),
            *(h.hexdigest()[:16].encode() for h in hashes),
        ]
        return any(each in haystack for each in shown)

    return [name for name, value in values.items() if is_there(value)]


def test_what_the_command_leaves_and_prints_holds_nobody(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "frozen"
    deletions = tmp_path / "deletions.csv"
    deletions.write_text("patient\nPLANTED-PATIENT-9\n")

    printed = ingest(archive, "--out", out)
    printed += ingest(archive, "--out", out, "--json")
    printed += ingest(archive, "--out", out, "--deletions", deletions)
    (archive / "4.xml").write_text(XML.format(code="C50", **PERSON, **IDENTIFIERS)[:-30])
    printed += ingest(archive, "--out", out, "--deletions", deletions)

    assert b'"tumours": 3' in printed
    assert b"cut off" in printed
    left = everything_in(out)
    assert b"C50.9" in left  # so the search finds what is there
    for haystack in (left, printed):
        assert found(haystack, PERSON | IDENTIFIERS) == []
        assert b"PLANTED" not in haystack


def test_the_search_would_find_them(archive: Path) -> None:
    source = everything_in(archive)

    assert found(source, PERSON | IDENTIFIERS) == [*PERSON, *IDENTIFIERS]
    assert found(hashlib.sha256(b"PLANTED-PATIENT-7").digest(), IDENTIFIERS) == ["patient"]


def test_in_the_middle_of_the_work_there_are_identifiers_and_dates_but_no_names(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known and said: until the snapshot is in force, messages lie on the disk (mode 700)."""
    seen: list[bytes] = []

    def look(*given: Any) -> Any:
        folder = tmp_path / "frozen" / "arrivals"
        assert folder.stat().st_mode & 0o777 == 0o700
        import pyarrow as pa

        for path in folder.glob("*.arrow"):
            with pa.OSFile(str(path)) as file:
                seen.append(str(pa.ipc.open_file(file).read_all().to_pylist()).encode())
        return write(*given)

    write = module._write
    monkeypatch.setattr(module, "_write", look)
    freeze(DataFiles(files=tuple(sorted(archive.iterdir()))), tmp_path / "frozen")

    waiting = b"".join(seen)
    assert found(waiting, {"patient": IDENTIFIERS["patient"]}) == ["patient"]
    gone = {name: PERSON[name] for name in ("name", "street", "insurance", "iban")}
    assert found(waiting, gone) == []
    assert not (tmp_path / "frozen" / "arrivals").exists()


def test_the_manifest_names_files_and_counts(archive: Path, tmp_path: Path) -> None:
    ingest(archive, "--out", tmp_path / "frozen")

    (path,) = [p for p in (tmp_path / "frozen").glob("*.json") if len(p.stem) == 64]
    manifest = json.loads(path.read_text())

    assert [file["name"] for file in manifest["sources"]["files"]] == ["1.xml", "2.xml", "3.csv"]
    assert (manifest["patients"], manifest["tumours"]) == (3, 3)
