"""Rows of a snapshot: named by their content alone, and nobody's name in them."""

import hashlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frozen_cases import case_rows, write_cases
from generated_studies import crowd

from upcare_mpc.errors import DataError
from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.storage.snapshot_rows import COLUMNS, Written, read_digest, write_rows

SECRET = b"s" * 32
PEOPLE = [
    Case(patient_id=f"p{i // 2}", tumour_id=f"t{i}", sequence=1 + i % 2, age=40 + i, sex="female")
    for i in range(50)
]


def written(cases: list[Case], path: Path, *, secret: bytes = SECRET, rules: int = 1) -> Written:
    return write_cases(cases, path, secret=secret, rules=rules)


def rewrite(path: Path, change: Any, **options: Any) -> None:
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path, **options)


def test_patients_and_tumours_are_counted(tmp_path: Path) -> None:
    result = written(PEOPLE, tmp_path / "rows")

    assert (result.patients, result.tumours) == (25, 50)
    assert pq.read_table(tmp_path / "rows").num_rows == 50


def test_a_table_without_rows_is_a_snapshot_too(tmp_path: Path) -> None:
    result = written([], tmp_path / "rows")

    assert (result.patients, result.tumours) == (0, 0)
    assert read_digest(tmp_path / "rows", rules=1) == result.digest


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("age", 2**31, "more than 32 bits"),
        ("follow_up_days", -(2**63), "more than 32 bits"),
        ("region", "Zürich", "not ASCII"),
        ("format", "ä", "not ASCII"),
    ],
)
def test_a_value_that_no_study_can_be_evaluated_on_is_refused(
    tmp_path: Path, name: str, value: int | str, message: str
) -> None:
    (rows,) = case_rows(PEOPLE)
    at = rows.schema.get_field_index(name)
    changed = [value, *rows[name].to_pylist()[1:]]
    columns = [pa.array(changed, c.type) if i == at else c for i, c in enumerate(rows.columns)]

    with pytest.raises(DataError, match=message):
        write_rows([pa.record_batch(columns, schema=rows.schema)], tmp_path / "rows", rules=1)


def test_the_order_of_arrival_makes_no_difference(tmp_path: Path) -> None:
    shuffled = PEOPLE.copy()
    random.Random(1).shuffle(shuffled)

    assert written(PEOPLE, tmp_path / "a") == written(shuffled, tmp_path / "b")


def test_row_groups_make_no_difference(tmp_path: Path) -> None:
    everybody = crowd(2000)
    whole = written(everybody, tmp_path / "a")

    assert write_rows(case_rows(everybody, size=11), tmp_path / "b", rules=1) == whole
    assert read_digest(tmp_path / "b", rules=1) == whole.digest
    assert pq.ParquetFile(tmp_path / "b").num_row_groups > 50


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none", "version": "1.0"},
        {"compression": "gzip", "use_dictionary": False, "data_page_version": "2.0"},
    ],
)
def test_another_way_of_writing_parquet_makes_no_difference(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "rows"
    digest = written(PEOPLE, path).digest

    rewrite(path, lambda table: table, **options)

    assert read_digest(path, rules=1) == digest


@pytest.mark.parametrize("name", ["age", "sex", "vital_status", "sequence", "site"])
def test_every_value_makes_a_difference(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows"
    digest = written(PEOPLE, path).digest

    def change(table: pa.Table) -> pa.Table:
        column = table[name].to_pylist()
        column[17] = "male" if table.schema.field(name).type == pa.string() else 3
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, pa.array(column, table.schema.field(name).type))

    rewrite(path, change)

    assert read_digest(path, rules=1) != digest


def test_a_value_in_another_column_makes_a_difference(tmp_path: Path) -> None:
    here = written([replace(PEOPLE[0], t="1", n=None)], tmp_path / "a").digest

    assert written([replace(PEOPLE[0], t=None, n="1")], tmp_path / "b").digest != here


def test_the_rules_and_the_secret_make_a_difference(tmp_path: Path) -> None:
    first = written(PEOPLE, tmp_path / "a").digest

    assert written(PEOPLE, tmp_path / "b", rules=2).digest != first
    assert written(PEOPLE, tmp_path / "c", secret=b"t" * 32).digest != first


def test_the_digest_is_the_documented_one(tmp_path: Path) -> None:
    """Spelled out with nothing but hashlib, for two tumours of one patient."""
    cases = PEOPLE[:2]
    pseudonym = pq_pseudonym(cases[0].patient_id)
    expected = hashlib.sha256(b"upcare/v1/snapshot-rows\0")
    names = ",".join(f'"{name}"' for name in COLUMNS)
    expected.update(f"[1,[{names}]]\n".encode() + (2).to_bytes(8, "little"))
    expected.update(hashlib.sha256(b"").digest() + hashlib.sha256(pseudonym * 2).digest())
    for name in COLUMNS[1:]:
        lengths, values = hashlib.sha256(), hashlib.sha256()
        for value in (getattr(case, name, "made up") for case in cases):
            if name in VARIABLES and hasattr(VARIABLES[name].type, "unit"):
                known = -(2**63) if value is None else value
                values.update(known.to_bytes(8, "little", signed=True))
            else:
                length = -1 if value is None else len(value)
                lengths.update(length.to_bytes(4, "little", signed=True))
                values.update((value or "").encode())
        expected.update(lengths.digest() + values.digest())

    assert written(cases, tmp_path / "rows").digest == expected.digest()


def pq_pseudonym(patient_id: str) -> bytes:
    keyed = hashlib.blake2b(
        patient_id.encode(), key=SECRET, person=b"upcare/v1/pseudo", digest_size=16
    )
    return keyed.digest()


def test_the_numbers_of_a_patients_tumours_are_those_of_the_rows(tmp_path: Path) -> None:
    everybody = crowd(2000)
    usable = [case for case in everybody if well_formed(case)]
    written(everybody, tmp_path / "rows")

    table = pq.read_table(tmp_path / "rows").to_pylist()

    mine = sorted(
        usable,
        key=lambda c: (pq_pseudonym(c.patient_id), c.sequence, c.tumour_id),
    )
    assert [row["pseudonym"] for row in table] == [pq_pseudonym(c.patient_id) for c in mine]
    assert [row["sequence"] for row in table] == [c.sequence for c in mine]
    for patient in {row["patient"] for row in table}:
        turns = [row["turn"] for row in table if row["patient"] == patient]
        assert turns == list(range(len(turns)))
        assert {row["turns"] for row in table if row["patient"] == patient} == {len(turns)}


@pytest.mark.parametrize("name", ["patient", "turn", "turns"])
def test_numbers_that_would_break_the_bound_per_patient_are_noticed(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "rows"
    written(PEOPLE, path)

    def change(table: pa.Table) -> pa.Table:
        column = table[name].to_pylist()
        column[3] += 1
        return table.set_column(table.schema.get_field_index(name), name, pa.array(column))

    rewrite(path, change)

    with pytest.raises(DataError, match="numbers its patients"):
        read_digest(path, rules=1)


def test_tumours_of_a_patient_in_two_places_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    written(PEOPLE, path)

    rewrite(path, lambda table: pa.concat_tables([table, table]), row_group_size=50)

    with pytest.raises(DataError, match="together"):
        read_digest(path, rules=1)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 100])
def test_a_file_that_is_no_snapshot_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows").write_bytes(content)

    with pytest.raises(DataError, match=r"^the snapshot cannot be read$"):
        read_digest(tmp_path / "rows", rules=1)


def test_identifiers_of_the_source_are_nowhere_in_the_folder(tmp_path: Path) -> None:
    """Neither in the clear nor as plain hashes, which a list of names would undo."""
    folder = tmp_path / "snapshots"
    folder.mkdir()
    planted = Case(patient_id="Erika-Mustermann-1964", tumour_id="KH-Nord-4711", sequence=1, age=60)

    written([*PEOPLE, planted], folder / "rows")

    assert [path.name for path in folder.iterdir()] == ["rows"]
    rewrite(folder / "rows", lambda table: table, compression="none")
    stored = (folder / "rows").read_bytes()
    for identifier in (planted.patient_id, planted.tumour_id):
        assert identifier.encode() not in stored
        assert hashlib.sha256(identifier.encode()).digest()[:16] not in stored
    assert pq_pseudonym(planted.patient_id) in stored  # so the search would have found it
