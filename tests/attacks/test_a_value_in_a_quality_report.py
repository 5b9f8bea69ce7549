"""A quality report that quotes a record.

Reports are printed, mailed and pasted into tickets. Schema validators quote the text that they
complain about, readers are tempted to say which code they did not know, and a page that puts a
reason into HTML as it stands runs what a file says. So a delivery in which everything that may be
odd is odd, and unique, goes through the whole path; nothing of it may come out.
"""

import json
from pathlib import Path

import pytest
from lxml import etree

from upcare_mpc.config import DataFiles
from upcare_mpc.ingest.validation import Schemas
from upcare_mpc.node.freeze import freeze
from upcare_mpc.quality import page, text
from upcare_mpc.quality.report import QualityReport
from upcare_mpc.storage.quality_counts import count

SECRETS = (
    "Wilhelmina",
    "Geheimstein",
    "P-4711-X",
    "M-0815",
    "1950-06-15",
    "C99.9",
    "8743",
    "Musterweg",
    "<script",
)
FILE = """<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4">
<Menge_Patient><Patient Patient_ID="P-4711-X" Wilhelmina="Wilhelmina">
<Patienten_Stammdaten><Nachname>Geheimstein</Nachname><Vornamen>&lt;script&gt;</Vornamen>
<Geschlecht>Wilhelmina</Geschlecht><Geburtsdatum>1950-06-15</Geburtsdatum>
<Adresse><Strasse>Musterweg</Strasse></Adresse></Patienten_Stammdaten>
<Menge_Meldung>
<Meldung Meldung_ID="M-0815" Melder_ID="Geheimstein"><Tumorzuordnung Tumor_ID="P-4711-X">
<Primaertumor_ICD><Code>C99.9</Code></Primaertumor_ICD><Diagnosedatum>2010-03-01</Diagnosedatum>
</Tumorzuordnung><Diagnose><Histologie><Morphologie_ICD_O><Code>8743/3</Code></Morphologie_ICD_O>
</Histologie><Diagnosesicherung>Wilhelmina</Diagnosesicherung></Diagnose></Meldung>
<Meldung Meldung_ID="M-0815-2" Melder_ID="Geheimstein"><Tumorzuordnung Tumor_ID="Geheimstein"/>
<Wilhelmina>Geheimstein</Wilhelmina></Meldung>
</Menge_Meldung></Patient></Menge_Patient></oBDS>"""
SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
  targetNamespace="http://www.basisdatensatz.de/oBDS/XML" elementFormDefault="qualified">
<xs:element name="oBDS"><xs:complexType><xs:sequence>
<xs:element name="Menge_Patient"><xs:complexType><xs:sequence>
<xs:element name="Patient"><xs:complexType><xs:sequence>
<xs:element name="Patienten_Stammdaten"><xs:complexType><xs:sequence>
<xs:element name="Nachname" type="xs:int"/><xs:element name="Vornamen" type="xs:date"/>
<xs:element name="Geschlecht" type="xs:int"/><xs:element name="Geburtsdatum" type="xs:int"/>
</xs:sequence></xs:complexType></xs:element>
<xs:element name="Menge_Meldung" type="xs:int"/>
</xs:sequence></xs:complexType></xs:element>
</xs:sequence></xs:complexType></xs:element>
</xs:sequence></xs:complexType></xs:element></xs:schema>"""


@pytest.fixture
def report(tmp_path: Path) -> QualityReport:
    file, schema, folder = tmp_path / "a.xml", tmp_path / "a.xsd", tmp_path / "frozen"
    file.write_text(FILE)
    schema.write_text(SCHEMA)
    folder.mkdir()
    manifest = freeze(
        DataFiles(files=(file,), complete=frozenset()), folder, progress=lambda _: None
    )
    (rows,) = folder.glob("*.parquet")
    with file.open("rb") as stream:
        validation = Schemas([schema]).check(stream, "a file")
    return QualityReport(
        snapshot=manifest.digest.hex(),
        written=manifest.written,
        rules=manifest.sources.rules,
        account=manifest.account,
        counts=count(rows, tmp_path / "spill"),
        schemas=validation,
    )


def test_the_delivery_gives_something_to_report(report: QualityReport) -> None:
    assert report.tumours == 1
    assert sum(report.account.rejected.values()) == 1
    assert report.schemas is not None
    assert sum(report.schemas.findings.values()) >= 6


def test_nothing_of_a_record_is_in_any_form_of_the_report(report: QualityReport) -> None:
    for form in (text.render(report), page.render(report), json.dumps(report.to_json())):
        assert [secret for secret in SECRETS if secret in form] == []


def test_the_validator_itself_quotes_the_delivery() -> None:
    schema = etree.XMLSchema(etree.fromstring(SCHEMA))
    schema.validate(etree.fromstring(FILE))

    quoted = " ".join(error.message for error in schema.error_log)

    assert {"Wilhelmina", "Geheimstein", "<script"} <= {each for each in SECRETS if each in quoted}
