"""Files that are wrong, broken or meant to do harm: one line, no value, bounded memory, no network.

`test_detect.py` has the plain cases (not XML, XML of something else, other versions).
"""

import io
import socket
import subprocess
import sys
import textwrap

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import adt, obds, rki_xml
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.ingest.elements import MAX_PATIENT_BYTES

READERS = {"oBDS": obds.messages, "ADT_GEKID": adt.messages, "oBDS_RKI": rki_xml.messages}
XML_SAMPLES = ("obds_3.xml", "adt_gekid_2.xml", "obds_rki.xml")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("a reader opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


# Namespaces, marks, encodings


@pytest.mark.parametrize("name", XML_SAMPLES)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(' xmlns="', ' xmlns="urn:something-else:'),
        lambda text: text.replace(' xmlns="', ' xmlns:unused="'),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("<Menge_Patient>", "<!-- a --><?b c?><Menge_Patient>"),
    ],
    ids=["another namespace", "no namespace", "byte order mark", "comment and instruction"],
)
def test_how_the_xml_is_dressed_changes_nothing(read_bytes, sample, name, change):
    plain = sample(name)

    assert read_bytes(change(plain.decode()).encode()).cases == read_bytes(plain).cases


@pytest.mark.parametrize("name", XML_SAMPLES)
def test_latin_1_that_calls_itself_utf_8_is_refused_without_its_text(read_bytes, sample, name):
    broken = sample(name).replace(b"<Menge_Patient>", b"<Menge_Patient><!-- J\xf6rg -->")

    wanted = r"^file 1: line \d+: the bytes are not in the encoding that the file declares$"
    with pytest.raises(DataError, match=wanted):
        read_bytes(broken)


@pytest.mark.parametrize("name", XML_SAMPLES)
def test_latin_1_that_says_so_is_read(read_bytes, sample, name):
    plain = sample(name)
    latin = (
        plain.decode()
        .replace('encoding="UTF-8"', 'encoding="ISO-8859-1"')
        .replace("<Menge_Patient>", "<Menge_Patient><!-- J\xf6rg -->")
        .encode("latin-1")
    )

    assert read_bytes(latin).cases == read_bytes(plain).cases


# Entities


@pytest.mark.parametrize("root", READERS)
@pytest.mark.parametrize(
    "definition",
    [
        '<!DOCTYPE r SYSTEM "http://192.0.2.1/r.dtd">',
        '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE r [<!ENTITY e SYSTEM "http://192.0.2.1/e">]>',
        '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://192.0.2.1/p"> %p;]>',
        '<!DOCTYPE r [<!ENTITY e "x">]>',
        "<!DOCTYPE r [<!ENTITY a '" + "ha" * 500 + "'>"
        + "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(9))
        + "<!ENTITY e '&j;'>]>",
    ],
    ids=["external subset", "file", "network", "parameter", "internal", "bomb"],
)  # fmt: skip
def test_entities_are_refused_by_every_reader(read_bytes, no_network, root, definition):
    content = f"{definition}<{root}><Patient Patient_ID='p'>&e;</Patient></{root}>".encode()

    with pytest.raises(DataError):
        list(READERS[root](io.BytesIO(content), "f"))
    with pytest.raises(DataError) as caught:
        read_bytes(content)

    assert "\n" not in str(caught.value)
    assert "192.0.2.1" not in str(caught.value)


def test_a_schema_location_is_not_followed(read_bytes, no_network, sample):
    plain = sample("obds_3.xml")
    pointing = plain.replace(
        b"<oBDS ",
        b'<oBDS xmlns:x="http://www.w3.org/2001/XMLSchema-instance" '
        b'x:schemaLocation="http://192.0.2.1/a http://192.0.2.1/a.xsd" ',
    )

    assert read_bytes(pointing).cases == read_bytes(plain).cases


# Size


class _Endless(io.RawIOBase):
    """A head, and then the same piece for ever; counts what was read of it."""

    def __init__(self, head, piece):
        self._head = head
        self._piece = piece
        self.given = 0

    def read(self, size=-1):
        wanted = size if size > 0 else 65_536
        chunk, self._head = self._head[:wanted], self._head[wanted:]
        while len(chunk) < wanted:
            chunk += self._piece
        self.given += len(chunk)
        return chunk


OPEN = "<{0} Schema_Version='{1}'><Menge_Patient><Patient Patient_ID='p'>"
HUGE = {
    "one text": (b"<Nachname>", b"x" * 4096),
    "one attribute": (b"<Nachname a='", b"x" * 4096),
    "one comment": (b"<!--", b"x" * 4096),
    "many small elements": (b"", b"<a/>" * 1024),
    "many messages": (b"<Menge_Meldung>", b"<Meldung><Tod/></Meldung>" * 100),
    "many patients that are not closed": (b"", b"<Patient>"),
}


@pytest.mark.parametrize(
    ("root", "kind"),
    [*(("oBDS", kind) for kind in HUGE), ("ADT_GEKID", "one text"), ("oBDS_RKI", "one text")],
)
def test_a_huge_element_is_refused_after_a_bounded_number_of_bytes(root, kind):
    head, piece = HUGE[kind]
    stream = _Endless(OPEN.format(root, "3").encode() + head, piece)

    with pytest.raises(DataError) as caught:
        list(READERS[root](stream, "f"))

    assert stream.given <= MAX_PATIENT_BYTES + 2 * 65_536
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "piece", "text"),
    [
        (b"", b"<a/>", r"wanted the end of a Patient element every \d+ bytes at most, got more"),
        (
            b"<a>",
            b"x",
            "line 1: wanted texts under 10 MB, fewer than 256 levels and no entit",
        ),
        (
            b"",
            b"<a>",
            "line 1: wanted texts under 10 MB, fewer than 256 levels and no entit",
        ),
    ],
)
def test_the_limit_is_named(head, piece, text):
    stream = _Endless(OPEN.format("oBDS", "3").encode() + head, piece * 1024)

    with pytest.raises(DataError, match=f"^f: {text}"):
        list(obds.messages(stream, "f"))


def test_many_patients_are_more_than_the_limit_and_no_matter(obds_file_of):
    piece = b"<Patient Patient_ID='p'><!--" + b"x" * 2**20 + b"--></Patient>"
    content = obds_file_of(piece * 20)

    assert len(content) > MAX_PATIENT_BYTES
    assert list(obds.messages(io.BytesIO(content), "f")) == []


@pytest.fixture
def obds_file_of():
    return lambda inside: b"<oBDS><Menge_Patient>" + inside + b"</Menge_Patient></oBDS>"


def test_memory_stays_bounded_while_a_huge_element_is_refused():
    """In a process of its own, whose peak is its own: a gigabyte is offered, a part is taken."""
    program = textwrap.dedent(
        """
        import io, resource
        from upcare_mpc.errors import DataError
        from upcare_mpc.ingest.delivery import Source, read

        class Gigabyte(io.RawIOBase):
            left = 2**30
            head = b"<oBDS><Patient Patient_ID='p'>"  # 30 bytes, as three of the others
            def read(self, size=-1):
                size = min(size // 10 * 10 if size > 0 else 65530, self.left)
                head, self.head = self.head, b""
                self.left -= size
                return (head + b"<a>xyz</a>" * (size // 10))[:size]

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read([Source("f", Gigabyte)], complete=frozenset())
        except DataError as error:
            print(str(error))
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )

    error, grown_mib = run.stdout.splitlines()
    assert "wanted the end of a Patient element" in error
    assert int(grown_mib) < 400


# Content


def message_of(inside, *, patient="Patient_ID='p'", number="1"):
    return (
        f"<oBDS><Patient {patient}><Menge_Meldung><Meldung Meldung_ID='{number}' Melder_ID='m'>"
        f"{inside}</Meldung></Menge_Meldung></Patient></oBDS>"
    ).encode()


DIAGNOSED = (
    "<Tumorzuordnung{}><Primaertumor_ICD><Code>C50.9</Code></Primaertumor_ICD>"
    "<Diagnosedatum>{}</Diagnosedatum></Tumorzuordnung>"
)


@pytest.mark.parametrize(
    ("content", "rejected"),
    [
        (message_of(DIAGNOSED.format("", "2020-01-01"), patient=""), {"no patient id": 1}),
        (message_of(DIAGNOSED.format("", "2020-01-01"), patient="Patient_ID=' '"),
         {"no patient id": 1}),
        (message_of("<Diagnose/>"), {"no tumour key": 1}),
        (message_of("<Tumorzuordnung Tumor_ID='1'/>"), {"no usable diagnosis date": 1}),
        (message_of(DIAGNOSED.format(" Tumor_ID='1'", "")), {"no usable diagnosis date": 1}),
        (message_of(DIAGNOSED.format(" Tumor_ID='1'", "00.00.1800")),
         {"no usable diagnosis date": 1}),
        (message_of(DIAGNOSED.format(" Tumor_ID='1'", "9999-99-99")),
         {"no usable diagnosis date": 1}),
        (b"<oBDS><Patient Patient_ID='p'/></oBDS>", {}),
        (b"<oBDS><Patient Patient_ID='p'><Menge_Meldung/></Patient></oBDS>", {}),
        (b"<ADT_GEKID><Patient/></ADT_GEKID>", {}),
        (b"<oBDS_RKI><Patient/></oBDS_RKI>", {}),
    ],
)  # fmt: skip
def test_a_message_without_patient_tumour_or_date_is_counted(read_bytes, content, rejected):
    delivery = read_bytes(content)

    assert (delivery.cases, delivery.tally.rejected) == ((), rejected)


def test_an_unknown_date_of_version_2_is_no_date(read_bytes, sample):
    broken = sample("adt_gekid_2.xml").replace(b"01.03.2021", b"00.00.1800")

    assert read_bytes(broken).tally.rejected == {"no usable diagnosis date": 2}


def test_a_birth_of_1800_leaves_the_age_unknown(read_bytes, sample):
    broken = sample("adt_gekid_2.xml").replace(b"15.06.1950", b"00.00.1800")

    (case,) = read_bytes(broken).cases

    assert (case.age, case.diagnosis_year) == (None, 2021)


def test_a_message_that_stands_twice_counts_once(read_bytes, sample):
    content = sample("obds_3.xml")

    delivery = read_bytes(content, content)

    assert (delivery.tally.messages, delivery.tally.replaced, delivery.tumours) == (8, 4, 1)
    assert delivery.cases == read_bytes(content).cases


def test_versions_may_stand_beside_each_other(read_bytes, sample):
    """The same patient in both: version 3, being later, replaces what has its numbers."""
    delivery = read_bytes(sample("adt_gekid_2.xml"), sample("obds_3.xml"))

    assert delivery.tally.formats == {"ADT_GEKID 2": 1, "oBDS 3": 1}
    assert (delivery.tally.messages, delivery.tally.replaced, delivery.tumours) == (6, 2, 1)
    assert delivery.cases == read_bytes(sample("obds_3.xml")).cases


@pytest.mark.parametrize("name", XML_SAMPLES)
def test_xml_cut_off_anywhere_is_refused(read_bytes, sample, name):
    content = sample(name).rstrip()
    for cut in range(1, len(content), 97):
        with pytest.raises(DataError) as caught:
            read_bytes(content[:cut])
        assert "\n" not in str(caught.value)


# CSV


def test_shifted_cells_are_counted_and_never_misread(read_bytes, sample):
    """Every cell one column to the right, as a spreadsheet does it: nothing of it is a case."""
    header, *rows = sample("encr_incidence.csv").decode().splitlines()
    shifted = [";" + row.rsplit(";", 1)[0] for row in rows]

    delivery = read_bytes("\n".join([header, *shifted, ""]).encode())

    assert (delivery.tumours, delivery.tally.rejected) == (0, {"no patient id": 2})


def test_a_row_with_one_cell_too_many_is_counted(read_bytes, sample):
    header, first, second = sample("encr_incidence.csv").decode().splitlines()

    delivery = read_bytes("\n".join([header, ";" + first, second, ""]).encode())

    assert delivery.tumours == 1
    assert delivery.tally.rejected == {"row with a wrong number of columns": 1}


def test_a_column_that_stands_twice_is_refused(read_bytes, sample):
    twice = sample("encr_incidence.csv").replace(b"Geo_Label", b"Sex", 1)

    with pytest.raises(DataError, match=r"^file 1: line 1: an ENCR .* has the column Sex twice$"):
        read_bytes(twice)


def test_unknown_codes_make_one_variable_unknown(read_bytes, sample):
    header, first, _ = sample("encr_incidence.csv").decode().splitlines()
    names, cells = header.split(";"), first.split(";")
    codes = [
        cell if name in ("PAT", "TUM", "YoI") else "\N{PILE OF POO}"
        for name, cell in zip(names, cells, strict=True)
    ]

    (case,) = read_bytes("\n".join([header, ";".join(codes), ""]).encode()).cases

    known = {"patient_id", "tumour_id", "sequence", "diagnosis_year", "diagnosis_precision"}
    assert {name for name in case.__slots__ if getattr(case, name) is not None} == known


def test_a_header_alone_is_no_case_and_no_error(read_bytes, sample):
    header = sample("encr_incidence.csv").split(b"\n")[0] + b"\n"

    delivery = read_bytes(header)

    assert (delivery.tally.messages, delivery.cases) == (0, ())


def test_an_error_of_the_disk_in_the_middle_is_one_line(sample):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error", "/registry/secret/path.xml")
            return super().read(size)

        def readline(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error", "/registry/secret/path.xml")
            return super().readline(size)

    xml = sample("obds_3.xml").replace(b"<Menge_Patient>", b"<Menge_Patient>" + b" " * 200_000)
    for content in (xml, sample("encr_incidence.csv")):
        with pytest.raises(DataError, match=r"^f: the file cannot be opened or read$"):
            read([Source("f", lambda content=content: Failing(content))], complete=frozenset())
