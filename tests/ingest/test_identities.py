"""Names, insurance and bank data end in the parser: they are in no output of any reader.

Planted values stand in the small samples, in every element that is made for them, and in a message
for each way in which a reader can complain. Everything that comes out is searched: records, their
fields to any depth, representations, errors with their whole chain, and the log.
"""

import dataclasses
import io
import logging
import pickle
import traceback

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import adt, encr, obds, rki_tables, rki_xml
from upcare_mpc.ingest.delivery import Source, read

PLANTED = (
    "Mustermann-Nirgendwo",
    "Erikanna",
    "Heimlichgasse",
    "Entenhausen",
    "Z999999999",
    "109999999",
    "Sparstrumpfbank",
    "DE00999999999999999999",
)
MESSAGES = {"obds_3.xml": obds, "adt_gekid_2.xml": adt}


def all_text(value):
    """Everything in a value, whatever its representation hides."""
    if dataclasses.is_dataclass(value):
        inside = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = list(value)
    else:
        inside = []
    return "\n".join([repr(value), str(value), *map(all_text, inside)])


def found_in(text):
    return [planted for planted in PLANTED if planted in text]


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_searched_for_is_really_there(sample, name):
    assert found_in(sample(name).decode()) == list(PLANTED)


@pytest.mark.parametrize("name", MESSAGES)
def test_no_message_keeps_them(sample, name):
    messages = list(MESSAGES[name].messages(io.BytesIO(sample(name)), "file"))

    assert len(messages) >= 2
    assert found_in(all_text(messages)) == []
    assert found_in(pickle.dumps(messages).decode("latin-1")) == []


@pytest.mark.parametrize("name", [*MESSAGES, "encr_incidence.csv", "obds_rki.xml"])
def test_no_case_and_no_log_line_keeps_them(read_bytes, sample, name, caplog):
    caplog.set_level(logging.DEBUG)
    content = sample(name).replace(b"Bas-Rhin", b"Mustermann-Nirgendwo")

    delivery = read_bytes(content)

    assert delivery.cases
    assert found_in(all_text(delivery)) == []
    assert found_in(caplog.text) == []


def test_a_free_text_in_the_tables_is_not_kept(sample_tables):
    assert b"Mustermann-Nirgendwo" in sample_tables["weitere_klassifikation"]

    files = [(io.BytesIO(content), name) for name, content in sample_tables.items()]
    messages = list(rki_tables.messages(files))

    assert len(messages) == 3
    assert found_in(all_text(messages)) == []


@pytest.mark.parametrize("root", ["oBDS", "ADT_GEKID", "oBDS_RKI"])
@pytest.mark.parametrize(
    "broken",
    [
        "<Patient><Nachname>{0}</Nachname></Wrong>",
        "<Patient><Nachname>{0}",
        "<Patient><Nachname {0}='{0}' {0}='{0}'/></Patient>",
        "<Patient><{0}></Patient>",
        "<Patient>&{0};</Patient>",
        "<Patient><Nachname>{0}\x01</Nachname></Patient>",
    ],
)
def test_no_error_quotes_them(root, broken, caplog):
    caplog.set_level(logging.DEBUG)
    content = f"<{root}>{broken.format('Erikanna')}</{root}>".encode()

    with pytest.raises(DataError) as caught:
        read([Source("file", lambda: io.BytesIO(content))], complete=frozenset())

    shown = "".join(traceback.format_exception(caught.value))
    assert found_in(str(caught.value)) == []
    assert "Erikanna" not in shown.replace(repr(content), "")
    assert found_in(caplog.text) == []


@pytest.mark.parametrize(
    "rows",
    [
        b'"Erikanna\n',
        b"Erikanna;" * 3,
        b"Erikanna\xff\n",
        b"Erikanna" * 10_000,
    ],
)
def test_no_error_of_a_table_quotes_them(rows):
    content = ";".join(encr.COLUMNS).encode() + b"\n" + rows

    with pytest.raises(DataError) as caught:
        read([Source("file", lambda: io.BytesIO(content))], complete=frozenset())

    assert found_in(str(caught.value)) == []
    assert found_in("".join(traceback.format_exception(caught.value))) == []


def test_a_header_is_not_quoted_either():
    for content in (b"Erikanna;Entenhausen;109999999\n1;2;3\n", b"<Erikanna-\xc3\xa4/>"):
        with pytest.raises(DataError) as caught:
            read(
                [Source("file", lambda content=content: io.BytesIO(content))], complete=frozenset()
            )

        assert found_in(str(caught.value)) == []


def test_the_yearly_layout_has_nothing_to_keep(sample):
    """It has no names; what a sender adds to it is dropped as any element that is not known."""
    added = sample("obds_rki.xml").replace(
        b"<Geschlecht>", b"<Nachname>Erikanna</Nachname><Geschlecht>"
    )

    messages = list(rki_xml.messages(io.BytesIO(added), "file"))

    assert found_in(all_text(messages)) == []
