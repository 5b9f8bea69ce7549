"""oBDS-RKI as CSV tables: the same cases as the XML, joined row by row."""

import io
import tracemalloc

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import rki_tables


def test_the_tables_give_the_same_cases_as_the_xml(read_bytes, sample, sample_tables):
    from_tables = read_bytes(*sample_tables.values())
    from_xml = read_bytes(sample("obds_rki.xml"))

    assert from_tables.cases == from_xml.cases
    assert from_tables.cases == from_xml.cases
    assert from_tables.tally.formats == {"oBDS-RKI table": 11}


def test_the_order_of_files_and_their_dialect_do_not_matter(read_bytes, sample_tables):
    plain = read_bytes(*sample_tables.values())
    commas = [content.replace(b";", b",") for content in reversed(sample_tables.values())]
    quoted = [
        b"\r\n".join(
            b";".join(b'"' + cell + b'"' for cell in line.split(b";"))
            for line in content.removeprefix(b"\xef\xbb\xbf").splitlines()
        )
        for content in sample_tables.values()
    ]

    assert read_bytes(*commas).cases == plain.cases
    assert read_bytes(*quoted).cases == plain.cases


def test_leftovers_of_the_export_are_not_codes(read_bytes, sample_tables):
    """``None`` as the symbol of a recurrence would take the whole TNM away."""
    assert b";8;None;None;" in sample_tables["tumor"]
    tables = dict(sample_tables)
    tables["patient"] = tables["patient"].replace(b";W;J;", b";None;JN_Typ.J;")

    case = read_bytes(*tables.values()).cases[0]

    assert (case.sex, case.vital_status) == (None, "dead")
    assert (case.t, case.stage) == ("1", "1")


@pytest.mark.parametrize(
    ("absent", "missing"),
    [
        ("patient", "patient"),
        ("tumor", "tumor"),
        ("ops", "ops"),
        ("bestrahlung", "bestrahlung"),
    ],
)
def test_a_table_that_others_need_is_asked_for(read_bytes, sample_tables, absent, missing):
    rest = [content for name, content in sample_tables.items() if name != absent]

    with pytest.raises(DataError, match=rf"^oBDS-RKI tables: wanted .*; missing: {missing}$"):
        read_bytes(*rest)


@pytest.mark.parametrize(
    ("kind", "table", "variable"),
    [
        ("surgery", "op", "tx_surgery"),
        ("radio", "st", "tx_radio"),
        ("systemic", "syst", "tx_chemo"),
    ],
)
def test_no_treatment_is_never_read_from_a_table_that_is_not_there(
    read_bytes, sample_tables, kind, table, variable
):
    children = {"op": "ops", "st": "bestrahlung"}
    rest = [
        content
        for name, content in sample_tables.items()
        if name not in (table, children.get(table))
    ]

    assert getattr(read_bytes(*rest).cases[0], variable) is None
    with pytest.raises(DataError, match=f"missing: {table}$"):
        read_bytes(*rest, complete=(kind,))


def test_a_table_that_comes_twice_is_refused(read_bytes, sample_tables):
    with pytest.raises(
        DataError, match=r"^file \d+: a second oBDS-RKI table 'op'; .*got file 3 too"
    ):
        read_bytes(*sample_tables.values(), sample_tables["op"])


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("tumor", [0, 2, 1]),  # the tumour of the second patient before that of the first
        ("op", None),  # an operation of a tumour that is nowhere
    ],
)
def test_rows_out_of_order_are_refused_not_dropped(read_bytes, sample_tables, table, rows):
    tables = dict(sample_tables)
    header, *lines = tables[table].splitlines(keepends=True)
    if rows is None:
        lines[0] = lines[0].replace(b";T1", b";T9")
    else:
        lines = [lines[2], lines[0], lines[1]]
    tables[table] = header + b"".join(lines)

    wanted = r"^file \d+: row \d: wanted the rows of '\w+' in the order"
    with pytest.raises(DataError, match=wanted):
        read_bytes(*tables.values())


def test_a_missing_column_is_named(read_bytes, sample_tables):
    tables = dict(sample_tables)
    tables["op"] = tables["op"].replace(b"Anzahl_Tage_Diagnose_OP", b"Other")

    with pytest.raises(DataError, match=r"table 'op'; missing: Anzahl_Tage_Diagnose_OP$"):
        read_bytes(*tables.values())


def test_a_row_of_another_width_is_refused(read_bytes, sample_tables):
    tables = dict(sample_tables)
    tables["syst"] += b"Y2;K;A;HO\n"

    with pytest.raises(DataError, match=r"wanted 9 cells in every row, got another number in 1$"):
        read_bytes(*tables.values())


class _Generated(io.RawIOBase):
    """A table made line by line while it is read."""

    def __init__(self, header, line, rows):
        self._lines = (f"{text}\n".encode() for text in self._texts(header, line, rows))

    @staticmethod
    def _texts(header, line, rows):
        yield header
        for number in range(rows):
            yield line.format(number)

    def read(self, size=-1):  # a line at a time will do
        return next(self._lines, b"")


def test_memory_does_not_grow_with_the_tables(sample_tables):
    headers = {name: content.split(b"\n")[0].decode() for name, content in sample_tables.items()}
    width = headers["tumor"].count(";")
    lines = {
        "patient": "P{0};W;N;2024-06-15;T",
        "tumor": "T{0};P{0};2024;2024-01-15;T" + ";" * (width - 4),
        "op": "O{0};K;R0;3;2024-01-15;T;T{0}",
        "ops": "S{0};5-870;2024;O{0}",
    }

    def peak(rows):
        files = [(_Generated(headers[name], line, rows), name) for name, line in lines.items()]
        tracemalloc.start()
        count = sum(1 for _ in rki_tables.messages(files))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == rows
        return most

    peak(2500)  # fills the caches of codes, and a free list of CPython
    assert peak(8000) < 1.2 * peak(2000)
