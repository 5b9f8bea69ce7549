"""Delimited text: its dialects, and where it breaks off."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.tables import Table, folded, header_columns


def table_of(text, encoding="utf-8"):
    return Table(io.BytesIO(text.encode(encoding)), "file")


@pytest.mark.parametrize(
    ("line", "delimiter", "columns"),
    [
        ("a;b;c", ";", ["a", "b", "c"]),
        ("a,b,c", ",", ["a", "b", "c"]),
        ('"a";"b,c"', ";", ["a", "b,c"]),
        ("\N{ZERO WIDTH NO-BREAK SPACE}a ; b", ";", ["a", "b"]),
        ("alone", ";", ["alone"]),
        ("", ";", []),
    ],
)
def test_a_header_tells_its_delimiter(line, delimiter, columns):
    assert header_columns(line) == (delimiter, columns)


def test_names_are_compared_without_case_blanks_and_signs():
    assert folded(["Age_Unit", "age unit", "AGE.UNIT"]) == ["ageunit"] * 3


def test_columns_are_found_wherever_they_stand():
    assert table_of("b;x;a\n").positions(("a", "b"), "it") == {"a": 2, "b": 0}


@pytest.mark.parametrize(
    ("header", "text"),
    [("a;c", "line 1: it; missing: b"), ("a;b;B", "line 1: it has the column b twice")],
)
def test_a_missing_or_doubled_column_is_named(header, text):
    with pytest.raises(DataError, match=f"^file: {text}$"):
        table_of(header).positions(("a", "b"), "it")


def test_rows_of_another_width_are_counted_and_empty_lines_are_not():
    table = table_of("a;b\n1;2\n\n3\n4;5;6\n7;8\n")

    assert list(table.rows()) == [["1", "2"], ["7", "8"]]
    assert table.skipped == 2


def test_a_cell_may_hold_the_delimiter_a_quote_or_a_line_end():
    assert list(table_of('a;b\n"1;2";"3""\n4"\n').rows()) == [["1;2", '3"\n4']]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_last_line_needs_no_end(end):
    assert list(table_of(f"a;b\n1;2{end}").rows()) == [["1", "2"]]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a;b\n1;2\n3", "line 3: the file breaks off in this row"),
        ('a;b\n1;"2', r"line 2: not CSV \(open quote\?\)"),
        ("a;b\n" + "x" * 70_000, "line 2: longer than 65536 bytes"),
    ],
)
def test_a_file_that_breaks_off_is_refused(text, error):
    with pytest.raises(DataError, match=f"^file: {error}$"):
        list(table_of(text).rows())


def test_another_encoding_is_refused_with_the_line():
    with pytest.raises(DataError, match=r"^file: line 2: not UTF-8; convert the file first$"):
        list(table_of("a;b\n\N{LATIN SMALL LETTER O WITH DIAERESIS};2\n", "latin-1").rows())


CELL = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n\0;,'), max_size=5)


@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3).filter(any), max_size=600))
def test_every_row_comes_out_once_and_in_order(rows):
    text = "\n".join(["a;b;c", *(";".join(row) for row in rows), ""])

    assert [list(row) for row in table_of(text).rows()] == rows
