"""The ENCR incidence file: its dialects, its codes, its faults."""

import io
import tracemalloc

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import encr
from upcare_mpc.ingest.delivery import Source, read

ROW = dict.fromkeys(encr.COLUMNS, "") | {
    "PAT": "p1", "TUM": "t1", "Age": "64", "Sex": "1", "YoI": "2010", "MoI": "5", "Topo": "C341",
    "Morpho": "8140", "Beh": "3", "Vit_stat": "1", "Surv_time": "365", "Geo_Code": "FRF11",
}  # fmt: skip


def delivery_of(*rows, **arguments):
    lines = [";".join(encr.COLUMNS)]
    lines += [";".join((ROW | row)[column] for column in encr.COLUMNS) for row in rows]
    content = ("\n".join(lines) + "\n").encode()
    source = Source("encr.csv", lambda: io.BytesIO(content))
    return read([source], complete=frozenset(), **arguments)


def case_of(**cells):
    (case,) = delivery_of(cells).cases
    return case


def test_semicolon_or_comma_quoted_or_not_is_the_same_delivery(read_bytes, party_file):
    plain = party_file("fr-a")
    quoted = b"\n".join(
        b",".join(b'"' + cell + b'"' for cell in line.split(b";")) for line in plain.splitlines()
    )

    assert read_bytes(plain.replace(b";", b",")).cases == read_bytes(plain).cases
    assert read_bytes(quoted + b"\n").cases == read_bytes(plain).cases


def test_columns_may_stand_in_any_order(read_bytes, party_file):
    plain = party_file("fr-a")
    reverse = b"\n".join(b";".join(line.split(b";")[::-1]) for line in plain.splitlines()) + b"\n"

    assert read_bytes(reverse).cases == read_bytes(plain).cases


@pytest.mark.parametrize("column", encr.COLUMNS)
def test_a_missing_column_is_named(read_bytes, party_file, column):
    header, rows = party_file("fr-a").split(b"\r\n", 1)
    names = [b"Other" if name == column.encode() else name for name in header.split(b";")]

    with pytest.raises(DataError, match=f"line 1: .* 39 columns; missing: {column}$"):
        read_bytes(b";".join(names) + b"\r\n" + rows)


def test_codes_of_a_row_become_codes_of_the_record():
    case = case_of(pT="2", cT="3", cN="1a", pM="", cM="0", Stage="3", BoD="7", Grade="2")

    assert (case.sex, case.age, case.region) == ("male", 64, "FRF11")
    assert (case.site, case.topography, case.morphology) == ("C34", "C34.1", "8140")
    assert (case.t, case.n, case.m, case.stage) == ("2", "1", "0", "3")
    assert (case.diagnosis_year, case.diagnosis_month) == (2010, 5)
    assert (case.vital_status, case.follow_up_days) == ("alive", 365)
    assert case.icd10 is None
    assert case.laterality is None


@pytest.mark.parametrize(
    ("revision", "code", "status", "cause"),
    [
        ("10", "C509", "2", "C50.9"),
        ("10", "C50.9", "2", "C50.9"),
        ("9", "1749", "2", None),
        ("9", "E950", "2", None),  # would be E95.0 if it were ICD-10
        ("", "C509", "2", None),
        ("10", "99999", "2", None),
        ("10", "C509", "1", None),
    ],
)
def test_a_cause_of_death_is_icd10_and_of_the_dead(revision, code, status, cause):
    assert case_of(ICD=revision, CoD=code, Vit_stat=status).cause == cause


@pytest.mark.parametrize(("cell", "edition"), [("8", "8"), ("9", None), ("3", None), ("", None)])
def test_the_edition_of_tnm_is_read(cell, edition):
    assert case_of(TNM_ed=cell).tnm_edition == edition


@pytest.mark.parametrize(("month", "precision"), [("5", "month"), ("99", "year"), ("", "year")])
def test_a_date_is_known_to_the_month_or_the_year(month, precision):
    assert case_of(MoI=month).diagnosis_precision == precision


def test_batches_are_the_same_cases_as_columns(party_file):
    content = party_file("fr-a")

    batches = list(encr.batches(io.BytesIO(content), "file"))
    cases = [
        found.case
        for batch in encr.batches(io.BytesIO(content), "file")
        for found in encr.tumours(batch)
    ]

    for name in batches[0].columns:
        column = [value for batch in batches for value in batch.columns[name]]
        assert column == [getattr(case, name) for case in cases], name
    assert len(cases) == 126
    assert repr(batches[0]) == "Batch(<hidden>)"


def test_memory_does_not_grow_with_the_file():
    header = ";".join(encr.COLUMNS).encode() + b"\n"
    row = ";".join((ROW | {"PAT": "p{0}", "TUM": "t{0}"})[column] for column in encr.COLUMNS)

    class Generated(io.RawIOBase):
        def __init__(self, rows):
            self._lines = iter([header])
            self._rest = (f"{row}\n".format(number).encode() for number in range(rows))

        def read(self, size=-1):  # a line at a time will do
            return next(self._lines, b"") or next(self._rest, b"")

    def peak(rows):
        tracemalloc.start()
        count = sum(len(batch.columns["age"]) for batch in encr.batches(Generated(rows), "f"))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == rows
        return most

    peak(1000)
    assert peak(20_000) < 1.2 * peak(5000)


@pytest.mark.parametrize(
    ("cell", "meaning"), [("0", "no"), ("1", "yes"), ("3", "yes"), ("9", None), ("", None)]
)
def test_a_treatment_is_yes_no_or_unknown(cell, meaning):
    assert case_of(Ht=cell).tx_hormone == meaning


@pytest.mark.parametrize(
    ("column", "cell", "variable"),
    [
        ("Age", "999", "age"),
        ("Age", "12O", "age"),
        ("Age", "9" * 5000, "age"),
        ("Sex", "9", "sex"),
        ("MoI", "99", "diagnosis_month"),
        ("Vit_stat", "9", "vital_status"),
        ("Surv_time", "99999", "follow_up_days"),
        ("Surv_time", "-1", "follow_up_days"),
        ("Grade", "9", "grade"),
        ("Grade", "6", "grade"),
        ("Stage", "9", "stage"),
        ("BoD", "9", "basis"),
        ("pT", "X", "t"),
        ("Topo", "X12", "topography"),
        ("Geo_Code", "99", "region"),
    ],
)
def test_what_is_missing_or_no_code_is_unknown(column, cell, variable):
    assert getattr(case_of(**{column: cell}), variable) is None


def test_the_codes_for_missing_can_be_configured():
    own = {**encr.MISSING, "Age": frozenset({"77"})}

    (case,) = delivery_of({"Age": "77"}, encr_missing=own).cases

    assert case.age is None
    assert case_of(Age="77").age == 77


def test_tumours_of_a_patient_are_numbered_by_month_of_diagnosis():
    rows = [{"TUM": "a", "YoI": "2012"}, {"TUM": "b", "MoI": "4"}, {"TUM": "c", "MoI": "5"}]

    cases = delivery_of(*rows).cases

    assert [(case.tumour_id, case.sequence) for case in cases] == [("b", 1), ("c", 2), ("a", 3)]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"PAT": ""}, "no patient id"),
        ({"TUM": " "}, "no tumour key"),
        ({"YoI": "9999"}, "no usable diagnosis date"),
        ({"YoI": "201O"}, "no usable diagnosis date"),
        ({"Geo_Label": "a;b"}, "row with a wrong number of columns"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted(cells, reason):
    delivery = delivery_of(cells, {"PAT": "p2"})

    assert delivery.tally.rejected == {reason: 1}
    assert (delivery.tally.messages, delivery.tumours) == (2, 1)


def test_a_file_that_breaks_off_within_a_row_is_refused(read_bytes, party_file):
    with pytest.raises(DataError, match=r"^file 1: line 127: the file breaks off in this row$"):
        read_bytes(party_file("fr-a")[:-20])


def test_a_last_line_without_line_end_is_complete(read_bytes, party_file):
    assert read_bytes(party_file("fr-a")[:-2]).tumours == 126


def test_another_encoding_is_refused_with_the_line(read_bytes, party_file):
    lines = party_file("fr-b").splitlines(keepends=True)
    lines[9] = lines[9].replace(b"Isere", b"Is\xe8re")

    with pytest.raises(DataError, match=r"^file 1: line 10: not UTF-8; convert the file first$"):
        read_bytes(b"".join(lines))


def test_an_open_quote_is_refused(read_bytes, party_file):
    with pytest.raises(DataError, match=r"^file 1: line 127: not CSV \(open quote\?\)$"):
        read_bytes(party_file("fr-a").replace(b"Bas-Rhin", b'"Bas-Rhin', 1))


def test_an_endless_line_is_refused(read_bytes, party_file):
    header = party_file("fr-a").split(b"\r\n", 1)[0]

    with pytest.raises(DataError, match=r"^file 1: line 2: longer than 65536 bytes$"):
        read_bytes(header + b"\r\n" + b"x" * 70_000)
