"""Formats are told from content; what is not one of them gets one line that says why."""

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.detect import Format, detect

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE oBDS [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, (b"&%c;" % (97 + i)) * 10) for i in range(12))
    + b"]>"
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("obds_3.xml", Format.OBDS),
        ("adt_gekid_2.xml", Format.ADT),
        ("obds_rki.xml", Format.RKI),
        ("encr_incidence.csv", Format.ENCR),
        ("encr_population.csv", Format.POPULATION),
        ("encr_life_table.csv", Format.LIFE_TABLE),
        ("encr_mortality.csv", Format.MORTALITY),
        ("rki_tables/tumor.csv", Format.RKI_TABLE),
        ("rki_tables/substanz.csv", Format.RKI_TABLE),
    ],
)
def test_a_format_is_told_from_content(sample, name, found):
    content = sample(name)

    assert detect(content, "no name to go by") is found
    assert detect(content.replace(b";", b","), "no name to go by") is found


def test_every_table_of_the_yearly_delivery_is_recognised(sample_tables):
    assert {detect(content, "f") for content in sample_tables.values()} == {Format.RKI_TABLE}


@pytest.mark.parametrize("kind", ["population", "life table", "mortality"])
def test_a_file_without_cases_is_named_as_what_it_is(read_bytes, sample, kind):
    with pytest.raises(DataError, match=f"^file 1: wanted a file of cases, got ENCR {kind}$"):
        read_bytes(sample(f"encr_{kind.replace(' ', '_')}.csv"))


def test_a_byte_order_mark_changes_nothing(read_bytes, party_file):
    for party in ("de-c", "fr-b"):
        plain = party_file(party)
        assert read_bytes(b"\xef\xbb\xbf" + plain).cases == read_bytes(plain).cases


def test_a_namespace_prefix_changes_nothing(read_bytes, party_file):
    plain = party_file("de-c")
    prefixed = (
        plain.replace(b"</", b"</ns0:")
        .replace(b"<", b"<ns0:")
        .replace(b"<ns0:/ns0:", b"</ns0:")
        .replace(b"<ns0:?xml", b"<?xml")
        .replace(b"xmlns=", b"xmlns:ns0=")
    )

    assert b"<ns0:Patient>" in prefixed
    assert read_bytes(prefixed).cases == read_bytes(plain).cases


def test_no_namespace_at_all_changes_nothing(read_bytes, party_file):
    plain = party_file("de-c")
    bare = plain.replace(b' xmlns="http://www.gekid.de/namespace"', b"")

    assert bare != plain
    assert read_bytes(bare).cases == read_bytes(plain).cases


def test_comments_between_elements_change_nothing(read_bytes, party_file):
    plain = party_file("de-c")
    commented = plain.replace(b"<Menge_Meldung>", b"<!-- n --><Menge_Meldung><!-- n -->")

    assert read_bytes(commented).cases == read_bytes(plain).cases


def test_another_declared_encoding_changes_nothing(read_bytes, party_file):
    plain = party_file("de-c")
    wide = plain.decode().replace("UTF-8", "UTF-16").encode("utf-16")

    assert read_bytes(wide).cases == read_bytes(plain).cases


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b" \r\n\t", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"hello, world\n", "line 1: neither XML nor the header of an oBDS-RKI or ENCR"),
        (b"PK\x03\x04\xff\xfe\x00", "line 1: not UTF-8 text and not XML"),
        (b"<html><body/></html>", r"line 1: the XML is of something else \(html\)"),
        (b"<J\xc3\xb6rg/>", "the XML is of something else .another root element"),
        (
            b'\n<oBDS Schema_Version="4.0.0"/>',
            "line 2: oBDS of another version; wanted 3.x, got 4.0",
        ),
        (b'<ADT_GEKID Schema_Version="1.0"/>', "another version; wanted 2.x, got 1.0"),
        (b'<ADT_GEKID Schema_Version="J\xc3\xb6rg"/>', "version; wanted 2.x, got another one"),
        (b'<OBDS_RKI Schema_Version="2.0"/>', "OBDS_RKI of another version; wanted 3.0.0.8x"),
        (b"<oBDS", "no whole XML root element"),
        (b"<<<", "no whole XML root element"),
        (b"<oBDS>" + b"<a>" * 5000, "fewer than 256 levels"),
        (b"<oBDS/><oBDS/>", "line 1: not well-formed XML"),
        (BOMB + b'<oBDS><Patient Patient_ID="p">&m;</Patient></oBDS>', "DOCTYPE.* is not accepted"),
        (BOMB + b'<oBDS Schema_Version="&m;"/>', "no entities, got more"),
        (b'<!DOCTYPE oBDS SYSTEM "file:///etc/passwd"><oBDS/>', "DOCTYPE.* is not accepted"),
        (b"<!DOCTYPE oBDS><oBDS/>", "DOCTYPE.* is not accepted"),
        (b"<oBDS><Patient>&auml;</Patient></oBDS>", "not well-formed XML"),
    ],
)
def test_what_cannot_be_read_gets_one_line_with_the_name_of_the_file(read_bytes, content, text):
    with pytest.raises(DataError, match=f"^file 1: .*({text})") as caught:
        read_bytes(content)

    assert "\n" not in str(caught.value)


def test_one_bad_file_fails_the_whole_delivery(read_bytes, party_file):
    with pytest.raises(DataError, match=r"^file 2: line"):
        read_bytes(party_file("de-c"), party_file("de-a")[:100_000])


@pytest.mark.parametrize("missing_bytes", [1, 3, 12, 70_000, 700_000])
def test_a_cut_off_xml_file_says_so_with_the_line(read_bytes, party_file, missing_bytes):
    with pytest.raises(DataError, match=r"^file 1: line \d+: the file ends before its XML does"):
        read_bytes(party_file("de-a").rstrip()[:-missing_bytes])


def test_mismatched_tags_late_in_the_file_are_found_there(read_bytes, party_file):
    head, tail = party_file("de-a").rsplit(b"</Nachname>", 1)

    with pytest.raises(DataError, match=r"^file 1: line 261: not well-formed XML$"):
        read_bytes(head + b"</Vorname>" + tail)


def test_bytes_of_another_encoding_are_found_and_not_shown(read_bytes, party_file):
    broken = party_file("de-a").replace(b"<Nachname>Test", b"<Nachname>M\xfcller", 1)

    with pytest.raises(DataError) as caught:
        read_bytes(broken)

    assert str(caught.value) == (
        "file 1: line 3: the bytes are not in the encoding that the file declares"
    )


def test_an_entity_bomb_behind_a_long_comment_is_refused_too(read_bytes):
    with pytest.raises(DataError):
        read_bytes(b"<!--" + b"x" * 70_000 + b"-->" + BOMB[21:] + b"<oBDS>&m;</oBDS>")
