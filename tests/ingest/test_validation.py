"""Schema validation: counts by place and kind, streamed, and never a value of the file."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest import validation
from upcare_mpc.ingest.validation import OTHER, Schemas, Validation

NAMESPACE = "urn:example:cancer"
XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:example:cancer"
  targetNamespace="urn:example:cancer" elementFormDefault="qualified">
{extra}
<xs:element name="Delivery"><xs:complexType><xs:sequence>
  <xs:element name="Sender" type="xs:string"/>
  <xs:element name="Patients"><xs:complexType><xs:sequence>
    <xs:element name="Patient" maxOccurs="unbounded"><xs:complexType><xs:sequence>
      <xs:element name="Sex"><xs:simpleType><xs:restriction base="xs:string">
        <xs:enumeration value="F"/><xs:enumeration value="M"/>
      </xs:restriction></xs:simpleType></xs:element>
      <xs:element name="Birth" type="xs:date"/>
      <xs:element name="Note" minOccurs="0"><xs:simpleType><xs:restriction base="xs:string">
        <xs:maxLength value="8"/></xs:restriction></xs:simpleType></xs:element>
    </xs:sequence><xs:attribute name="Patient_ID" use="required"/></xs:complexType></xs:element>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="Reporters" type="xs:string"/>
</xs:sequence>
<xs:attribute name="Schema_Version"><xs:simpleType><xs:restriction base="xs:string">
  <xs:enumeration value="{version}"/></xs:restriction></xs:simpleType></xs:attribute>
</xs:complexType>
<xs:unique name="ids"><xs:selector xpath="*/*"/><xs:field xpath="@Patient_ID"/></xs:unique>
</xs:element></xs:schema>"""
GOOD = '<Patient Patient_ID="{}"><Sex>F</Sex><Birth>1950-06-15</Birth></Patient>'
CROSSBORDER = sorted((Path(__file__).parents[2] / "parties").glob("*/data/*.xml"))
SHARED = [
    folder
    for folder in Path(__file__).parents[3].glob("*/data/obds")
    if (folder / "xsd" / "oBDS_v3.0.4.xsd").exists()
]


def delivery(*patients, sender="<Sender/>", tail="<Reporters/>", version="1", attributes=""):
    return (
        f'<Delivery xmlns="{NAMESPACE}" Schema_Version="{version}" {attributes}>{sender}'
        f"<Patients>{''.join(patients)}</Patients>{tail}</Delivery>"
    ).encode()


@pytest.fixture
def schema_file(tmp_path):
    def write(name="delivery.xsd", *, extra="", version="1"):
        path = tmp_path / name
        path.write_text(XSD.format(extra=extra, version=version))
        return path

    return write


@pytest.fixture
def check(schema_file):
    schemas = Schemas([schema_file()])
    return lambda content: schemas.check(io.BytesIO(content), "file")


def test_a_valid_file_has_no_findings(check):
    assert check(delivery(*map(GOOD.format, range(5)))) == Validation(
        files=1, valid_files=1, patients=5, valid_patients=5
    )


@pytest.mark.parametrize(
    ("patient", "place", "kind"),
    [
        ('<Patient Patient_ID="1"><Sex>X</Sex><Birth>1950-06-15</Birth></Patient>',
         "Sex", "value not in the list of codes"),
        ('<Patient Patient_ID="1"><Sex>F</Sex><Birth>15.6.1950</Birth></Patient>',
         "Birth", "value not of the wanted type"),
        ('<Patient Patient_ID="1"><Birth>1950-06-15</Birth></Patient>',
         "Birth", "not expected here, wanted Sex"),
        ('<Patient Patient_ID="1"><Sex>F</Sex></Patient>',
         "Patient", "ends too early, wanted Birth"),
        ("<Patient><Sex>F</Sex><Birth>1950-06-15</Birth></Patient>",
         "Patient", "wanted attribute missing"),
        (GOOD.format('1" Smith="x'), f"Patient/@{OTHER}", "attribute not allowed"),
        (GOOD.format(1).replace("</Patient>", "<Note>Wilhelmina</Note></Patient>"),
         "Note", "value too long"),
        (GOOD.format(1).replace("</Patient>", "<Smith/></Patient>"),
         OTHER, "not expected here, wanted Note"),
        (GOOD.format(1).replace("<Sex>", "Smith<Sex>"), "Patient", "text between elements"),
        (GOOD.format(1).replace("1950-06-15", "1950-06-15<Sex/>"), "Birth",
         "elements inside a value"),
    ],
)  # fmt: skip
def test_a_violation_is_counted_by_place_and_kind(check, patient, place, kind):
    found = check(delivery(GOOD.format(0), patient, GOOD.format(2)))

    assert found.findings == {(place, kind): 1}
    assert (found.patients, found.valid_patients, found.valid_files) == (3, 2, 0)


def test_a_file_is_judged_to_its_end(check):
    bad = "<Patient><Sex>X</Sex><Birth/></Patient>"
    found = check(delivery(*[bad] * 7, GOOD.format(1), *[bad] * 3))

    assert set(found.findings.values()) == {10}
    assert (found.patients, found.valid_patients) == (11, 1)


def test_what_stands_around_the_patients_is_judged_once(check):
    patients = [GOOD.format(number) for number in range(3)]

    assert check(delivery(*patients, sender="")).findings == {
        ("Patients", "not expected here, wanted Sender"): 1
    }
    assert check(delivery(*patients, tail="")).findings == {
        ("Delivery", "ends too early, wanted Reporters"): 1
    }
    assert check(delivery(*patients, tail="<Reporters><Sex/></Reporters>")).findings == {
        ("Reporters", "elements inside a value"): 1
    }
    assert check(delivery(*patients, version="2")).findings == {
        ("Delivery/@Schema_Version", "value not in the list of codes"): 1
    }


def test_a_file_without_patients_is_not_valid(check):
    found = check(delivery())

    assert found.findings == {("Patient", "no such element in the file"): 1}
    assert (found.files, found.valid_files) == (1, 0)


def test_no_text_of_the_file_is_in_a_finding(check):
    secret = "Wilhelmina"
    patient = (
        f'<Patient Patient_ID="{secret}" {secret}="{secret}">{secret}<Sex>{secret}</Sex>'
        f"<Birth>{secret}</Birth><Note>{secret}</Note><{secret} {secret}='{secret}'/></Patient>"
    )
    found = check(delivery(patient, attributes=f'{secret}="{secret}"', tail=f"<{secret}/>"))

    assert sum(found.findings.values()) > 6
    assert secret not in json.dumps([list(key) for key in found.findings])


def test_sums_are_of_different_files(check):
    one = check(delivery(GOOD.format(1)))
    two = check(delivery(GOOD.format(1), "<Patient/>"))

    total = one + two + Validation(without_schema=1)

    assert (total.files, total.valid_files, total.without_schema) == (2, 1, 1)
    assert (total.patients, total.valid_patients) == (3, 2)
    assert total.findings == two.findings


# --- which schema ------------------------------------------------------------------------------


def test_a_file_of_another_namespace_or_root_has_no_schema(check):
    for content in (
        delivery(GOOD.format(1)).replace(NAMESPACE.encode(), b"urn:other"),
        delivery(GOOD.format(1)).replace(b"Delivery", b"Package"),
    ):
        assert check(content) == Validation(without_schema=1)


def test_the_version_decides_between_schemas_of_one_root(schema_file):
    one, two = schema_file("one.xsd", version="1"), schema_file("two.xsd", version="2")

    for paths in ([one, two], [two, one]):
        schemas = Schemas(paths)
        for version in ("1", "2"):
            content = delivery(GOOD.format(1), version=version)
            assert schemas.check(io.BytesIO(content), "file").valid_files == 1
        unknown = schemas.check(io.BytesIO(delivery(GOOD.format(1), version="3")), "file")
        assert list(unknown.findings) == [
            ("Delivery/@Schema_Version", "value not in the list of codes")
        ]


# --- hostile files -----------------------------------------------------------------------------


def test_where_a_file_says_its_schema_lies_is_not_followed(tmp_path, schema_file, monkeypatch):
    (tmp_path / "theirs.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:theirs">'
        '<xs:element name="Thing"/></xs:schema>'
    )
    monkeypatch.chdir(tmp_path)
    hint = (
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="urn:theirs {{}} {NAMESPACE} {{}}"'
    )
    patient = GOOD.format(1).replace("</Patient>", '<Thing xmlns="urn:theirs"/></Patient>')
    for place in ("theirs.xsd", (tmp_path / "theirs.xsd").as_uri(), "http://localhost:1/x.xsd"):
        found = Schemas([schema_file()]).check(
            io.BytesIO(delivery(patient, attributes=hint.format(place, place))), "file"
        )

        assert list(found.findings) == [(OTHER, "not expected here, wanted Note")]


def test_entities_and_broken_xml_are_refused_as_in_reading(check):
    for content, text in (
        (b'<!DOCTYPE Delivery [<!ENTITY a "b">]>' + delivery(GOOD.format(1)), "DOCTYPE"),
        (delivery(GOOD.format(1))[:-20], "ends before its XML does"),
    ):
        with pytest.raises(DataError, match=f"^file: .*{text}"):
            check(content)


def test_a_patient_with_too_many_nodes_is_counted_and_not_validated(check, monkeypatch):
    monkeypatch.setattr(validation, "MAX_NODES", 20)
    large = GOOD.format(1).replace("</Patient>", "<Smith/>" * 30 + "</Patient>")

    found = check(delivery(GOOD.format(0), large))

    assert (found.too_large, found.patients, found.valid_patients) == (1, 2, 1)
    assert (found.valid_files, found.findings) == (0, {})


def test_a_first_patient_with_too_many_nodes_is_validated_nowhere(check, monkeypatch):
    monkeypatch.setattr(validation, "MAX_NODES", 20)
    large = GOOD.format(1).replace("</Patient>", "<Smith/>" * 30 + "</Patient>")

    for patients in ([large], [large, GOOD.format(0)]):
        found = check(delivery(*patients))

        assert (found.too_large, found.valid_patients) == (1, len(patients) - 1)
        assert found.findings == {}


@pytest.mark.parametrize("where", ["sender", "tail"])
def test_too_much_around_the_patients_is_refused(check, monkeypatch, where):
    monkeypatch.setattr(validation, "MAX_NODES", 20)

    with pytest.raises(DataError, match=r"^file: wanted at most 20 elements and .* around"):
        check(delivery(GOOD.format(1), **{where: "<Sender/>" * 30}))


class Measured(io.BytesIO):
    """A stream that notes how much memory the process has, whenever it is read."""

    resident = 0

    def read(self, size=-1):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.resident = max(self.resident, pages * 4096)
        return super().read(size)


def test_memory_does_not_grow_with_the_file_however_bad_it_is(schema_file):
    schemas = Schemas([schema_file()])
    bad = "<Patient><Sex>X</Sex><Birth>x</Birth></Patient>"

    def resident(patients):
        stream = Measured(delivery(*[bad] * patients))
        assert sum(schemas.check(stream, "file").findings.values()) == 3 * patients
        return stream.resident

    first = resident(1000)

    assert resident(20_000) - first < 8 * 2**20  # a log of all findings takes 16 MiB


# --- hostile or broken schemas -----------------------------------------------------------------


def test_a_schema_may_include_files_of_its_own_folder(tmp_path, schema_file):
    (tmp_path / "codes.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
        '<xs:simpleType name="Code"><xs:restriction base="xs:string"/></xs:simpleType>'
        '<xs:element name="FromInside"/></xs:schema>'
    )
    path = schema_file(extra='<xs:include schemaLocation="codes.xsd"/>')
    inside = GOOD.format(1).replace("</Patient>", "<FromInside/></Patient>")

    found = Schemas([path]).check(io.BytesIO(delivery(inside)), "file")

    assert found.findings == {("FromInside", "not expected here, wanted Note"): 1}


@pytest.mark.parametrize(
    "place",
    ["../codes.xsd", "/etc/codes.xsd", "http://localhost:1/codes.xsd", "file:codes.xsd", ".."],
)
@pytest.mark.parametrize("word", ["include", "import", "redefine"])
def test_a_schema_refers_to_no_other_folder_and_no_host(schema_file, place, word):
    namespace = ' namespace="urn:x"' if word == "import" else ""
    path = schema_file(extra=f'<xs:{word}{namespace} schemaLocation="{place}"/>')

    with pytest.raises(ConfigError, match=r"^delivery\.xsd: .*same folder") as caught:
        Schemas([path])

    assert place not in str(caught.value) or place == ".."


def test_an_included_file_is_held_to_the_same_rules(tmp_path, schema_file):
    (tmp_path / "codes.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
        '<xs:include schemaLocation="../x.xsd"/></xs:schema>'
    )

    with pytest.raises(ConfigError, match=r"^codes\.xsd: .*same folder"):
        Schemas([schema_file(extra='<xs:include schemaLocation="codes.xsd"/>')])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "no readable XML"),
        ("PK", "no readable XML"),
        ("<html/>", "html"),
        ("<!DOCTYPE schema>" + XSD.format(extra="", version="1"), "a DOCTYPE"),
        (XSD.format(extra="", version="1").replace("xs:date", "xs:data"), "one with errors"),
    ],
)
def test_what_is_no_schema_is_refused_with_one_line(tmp_path, content, text):
    path = tmp_path / "delivery.xsd"
    if content is not None:
        path.write_text(content)

    with pytest.raises(
        ConfigError, match=rf"^delivery\.xsd: wanted an XML schema, got .*{text}"
    ) as e:
        Schemas([path])

    assert "\n" not in str(e.value)
    assert str(tmp_path) not in str(e.value)


# --- the official schemas ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def official():
    if not SHARED:
        pytest.skip("SCHEMAS MISSING: no folder data/obds/xsd beside this checkout")
    names = ("ADT_GEKID_v2.2.3.xsd", "oBDS_v3.0.4.xsd", "oBDS_v3.0.0.8a_RKI_Schema.xsd")
    return Schemas([SHARED[0] / "xsd" / name for name in names])


def whole_document(path):
    """The findings of libxml2 on the whole document at once, identity constraints left out."""
    kind = etree.parse(path).getroot()
    name = "oBDS_v3.0.4" if kind.tag.endswith("}oBDS") else "ADT_GEKID_v2.2.3"
    schema = etree.XMLSchema(etree.parse(SHARED[0] / "xsd" / f"{name}.xsd"))
    schema.validate(etree.parse(path))
    return Counter(
        error.message.partition("'")[2].partition("'")[0].rpartition("}")[2]
        for error in schema.error_log
        if error.type_name != "SCHEMAV_CVC_IDC"
    )


def test_the_demo_deliveries_are_valid(official):
    for path in CROSSBORDER:
        with path.open("rb") as stream:
            found = official.check(stream, "file")
        assert found.findings == {}
        assert found.valid_patients == found.patients > 0


def test_public_samples_give_what_validating_them_whole_gives(official):
    total = Validation()
    for path in sorted(SHARED[0].glob("v*/*.xml")):
        with path.open("rb") as stream:
            found = official.check(stream, "file")
        total += found
        if not found.without_schema:
            whole = whole_document(path)
            streamed = Counter[str]()
            for (place, _), count in found.findings.items():
                if place != OTHER:
                    streamed[place.partition("/")[0]] += count
            assert not streamed - whole, path.name
            assert whole.total() == sum(found.findings.values()), path.name

    assert 0 < total.valid_files < total.files
