"""The rows of a snapshot: one table in Parquet, sorted by patient, named by its content.

Columns: ``pseudonym`` (16 bytes, HMAC-SHA256 of the registry's patient id under a secret of the
registry, cut), ``patient`` (0, 1, 2, ... in the order of pseudonyms), ``turn`` (0, 1, 2, ... of a
patient's tumours by sequence, ties by tumour id), ``turns`` (how many tumours the patient has), and
every variable of the study language, the derived ones included. A row group holds all tumours of
its patients. Identifiers of the source are in no column: without the secret a pseudonym
tells nothing, with it a known patient can be found again.

Content digest: SHA-256 over rows, not over a file, so that another version of Parquet or another
size of row groups changes nothing. Each column is a stream of values in the order of the rows,
hashed on its own: an integer as 8 bytes, little-endian, unknown as -2^63; a text as its length in 4
bytes, unknown as -1, in one stream, and its UTF-8 bytes in another; a pseudonym as its bytes.

    SHA-256("upcare/v1/snapshot-rows" 0x00 | JSON [rules, columns] 0x0a | rows in 8 bytes | digests)

What leaks: the file holds records and is secret, and so is the digest: who knows all records but
one, and the secret, could test a guess of that one. Cost: two passes over the rows; memory is
bounded by ``snapshot_engine.MEMORY_LIMIT`` and a batch, whatever their number.
"""

import hashlib
import hmac
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from upcare_mpc.errors import DataError
from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.records.variables import VARIABLES, Number

__all__ = ["COLUMNS", "Written", "read_digest", "write_rows"]

COLUMNS: Final = ("pseudonym", *VARIABLES)
"""What the digest covers; ``patient``, ``turn`` and ``turns`` follow from the order of the rows."""

_Integers: TypeAlias = npt.NDArray[np.int64]

_TAG: Final = b"upcare/v1/snapshot-rows\0"
_PSEUDONYM_TAG: Final = b"upcare/v1/pseudonym|"
_PSEUDONYM_BYTES: Final = 16
_BATCH_CASES: Final = 8_192  # as objects, which are larger than rows
_BATCHES_IN_RUN: Final = 16
_BATCH_ROWS: Final = 65_536
_BUCKETS: Final = 256
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_UNKNOWN_INTEGER: Final = -(2**63)

_VARIABLE_FIELDS: Final = [
    (name, pa.int64() if isinstance(variable.type, Number) else pa.string())
    for name, variable in VARIABLES.items()
]
_PSEUDONYM_FIELD: Final = ("pseudonym", pa.binary(_PSEUDONYM_BYTES))
_ARRIVED: Final = pa.schema(
    [_PSEUDONYM_FIELD, ("tumour_id", pa.string()), ("arrival", pa.int64()), *_VARIABLE_FIELDS]
)
_NUMBERS: Final = ("patient", "turn", "turns")
_SORTED: Final = pa.schema(
    [_PSEUDONYM_FIELD, *((name, pa.int64()) for name in _NUMBERS), *_VARIABLE_FIELDS]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        digest: Of the content, 32 bytes. Secret.
        patients: Different patients.
        tumours: Rows.
        unusable: Records left out because they are not well formed.
    """

    digest: bytes
    patients: int
    tumours: int
    unusable: int


def write_rows(cases: Iterable[Case], path: Path, *, secret: bytes, rules: int) -> Written:
    """Write cases as the rows of a snapshot; the order they come in makes no difference.

    Args:
        cases: Read once.
        path: The file to write; not yet in force, so a crash may leave half of it.
        secret: Of the registry, for pseudonyms.
        rules: Version of the rules by which messages became cases; part of the digest.

    Beside ``path``, the folder ``.unsorted`` holds the rows as they came, with tumour ids of the
    source, and is deleted at the end.
    """
    folder = path.with_name(path.name + ".unsorted")
    content = _Content(rules)
    try:
        unusable = _distribute(cases, folder, secret)
        with pq.ParquetWriter(path, _SORTED, compression="zstd") as writer:
            for rows in _in_order(folder):
                variables = [rows[name] for name in VARIABLES]
                numbers = map(pa.array, content.add(rows["pseudonym"], variables))
                columns = [rows["pseudonym"], *numbers, *variables]
                writer.write_batch(pa.record_batch(columns, schema=_SORTED))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Written(
        digest=content.digest(),
        patients=content.patients,
        tumours=content.rows,
        unusable=unusable,
    )


def read_digest(path: Path, *, rules: int) -> bytes:
    """Work out the content digest of a file of rows.

    Raises:
        DataError: It cannot be read, or patients and turns are not those of its rows.
    """
    content = _Content(rules)
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(_SORTED):
                raise DataError("the snapshot has other columns than this version writes")
            for group in range(file.num_row_groups):
                rows = _one_batch(file.read_row_group(group))
                variables = [rows[name] for name in VARIABLES]
                numbers = content.add(rows["pseudonym"], variables)
                for name, expected in zip(_NUMBERS, numbers, strict=True):
                    if not np.array_equal(expected, rows[name].to_numpy()):
                        raise DataError("the snapshot numbers its patients or tumours wrongly")
    except (OSError, pa.ArrowException):  # their texts may hold a path or a value
        raise DataError("the snapshot cannot be read") from None
    return content.digest()


# --- from cases to columns --------------------------------------------------------------------

_values = attrgetter(*VARIABLES)


def _distribute(cases: Iterable[Case], folder: Path, secret: bytes) -> int:
    """Write usable cases in runs, each in batches by the first byte of a pseudonym.

    Returns:
        The number of records that are not well formed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    arriving = iter(cases)
    arrival = unusable = runs = 0
    waiting: list[Any] = []
    while batch := list(islice(arriving, _BATCH_CASES)):
        usable = [case for case in batch if well_formed(case)]
        unusable += len(batch) - len(usable)
        if usable:
            waiting.append(_arrived(usable, arrival, secret))
        arrival += len(usable)
        if len(waiting) == _BATCHES_IN_RUN:
            _write_run(waiting, folder / f"{runs}.arrow")
            waiting, runs = [], runs + 1
    _write_run(waiting, folder / f"{runs}.arrow")
    return unusable


def _write_run(batches: list[Any], path: Path) -> None:
    whole = _one_batch(pa.Table.from_batches(batches, _ARRIVED).sort_by("pseudonym"))
    firsts = _bytes_of(whole["pseudonym"])[::_PSEUDONYM_BYTES]
    edges = np.searchsorted(firsts, np.arange(_BUCKETS + 1))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _ARRIVED, options=_LZ4) as run:
        for low, high in pairwise(edges):
            run.write_batch(whole.slice(low, high - low))


def _in_order(folder: Path) -> Iterator[Any]:
    """All rows by pseudonym, sequence, tumour id and arrival; a batch is of whole patients."""
    order = [(name, "ascending") for name in ("pseudonym", "sequence", "tumour_id", "arrival")]
    waiting: list[Any] = []
    with ExitStack() as files:
        runs = [
            pa.ipc.open_file(files.enter_context(pa.OSFile(str(path)))) for path in folder.iterdir()
        ]
        for first in range(_BUCKETS):
            bucket = pa.Table.from_batches([run.get_batch(first) for run in runs], _ARRIVED)
            waiting.append(bucket.sort_by(order))
            if first == _BUCKETS - 1 or sum(map(len, waiting)) >= _BATCH_ROWS:
                rows = pa.concat_tables(waiting)
                waiting.clear()
                if rows.num_rows:
                    yield _one_batch(rows)


def _one_batch(table: Any) -> Any:
    """The rows of a table in one piece, which has arrays and not chunks."""
    columns = [column.combine_chunks() for column in table.columns]
    return pa.record_batch(columns, schema=table.schema)


def _arrived(cases: list[Case], arrival: int, secret: bytes) -> pa.RecordBatch:
    values = zip(*map(_values, cases), strict=True)
    columns = [
        pa.array([_pseudonym(secret, case.patient_id) for case in cases], _PSEUDONYM_FIELD[1]),
        pa.array([case.tumour_id for case in cases], pa.string()),
        pa.array(np.arange(arrival, arrival + len(cases))),
    ]
    columns += [
        pa.array(column, type_) for column, (_, type_) in zip(values, _VARIABLE_FIELDS, strict=True)
    ]
    return pa.record_batch(columns, schema=_ARRIVED)


def _pseudonym(secret: bytes, patient_id: str) -> bytes:
    keyed = hmac.digest(secret, _PSEUDONYM_TAG + patient_id.encode(), "sha256")
    return keyed[:_PSEUDONYM_BYTES]


# --- the canonical content --------------------------------------------------------------------


class _Content:
    """The digest of sorted rows, batch by batch, and the numbers that follow from their order."""

    def __init__(self, rules: int) -> None:
        header = json.dumps([rules, COLUMNS], separators=(",", ":")).encode("ascii")
        self._whole = hashlib.sha256(_TAG + header + b"\n")
        self._columns = [_Column() for _ in COLUMNS]
        self._last = b""
        self.rows = 0
        self.patients = 0

    def add(self, pseudonyms: Any, variables: list[Any]) -> tuple[_Integers, ...]:
        """Take the next rows, ``(n,)`` Arrow arrays, n > 0; return their ``(n,)`` numbers.

        Raises:
            DataError: They do not go on with a patient behind the last one.
        """
        if not self._last < pseudonyms[0].as_py():
            raise DataError("the snapshot does not keep the tumours of a patient together")
        for column, values in zip(self._columns, (pseudonyms, *variables), strict=True):
            column.add(values)
        keys = _bytes_of(pseudonyms).view(np.uint64).reshape(-1, _PSEUDONYM_BYTES // 8)
        starts = np.flatnonzero(np.append(True, (keys[1:] != keys[:-1]).any(axis=1)))
        counts = np.diff(np.append(starts, len(keys)))
        patient = np.repeat(np.arange(self.patients, self.patients + len(starts)), counts)
        turn = np.arange(len(keys)) - np.repeat(starts, counts)
        self._last = pseudonyms[-1].as_py()
        self.rows += len(keys)
        self.patients += len(starts)
        return patient, turn, np.repeat(counts, counts)

    def digest(self) -> bytes:
        """Return the digest of all rows so far."""
        whole = self._whole.copy()
        whole.update(self.rows.to_bytes(8, "little"))
        for column in self._columns:
            whole.update(column.digest())
        return whole.digest()


class _Column:
    """The hashes of one column, whatever batches it comes in."""

    def __init__(self) -> None:
        self._values = hashlib.sha256()
        self._lengths = hashlib.sha256()

    def add(self, values: Any) -> None:
        """Take an Arrow array of integers, texts, or pseudonyms."""
        if pa.types.is_integer(values.type):
            known = pc.fill_null(values, _UNKNOWN_INTEGER)
            self._values.update(known.to_numpy().astype("<i8").tobytes())
        elif pa.types.is_string(values.type):
            lengths = pc.fill_null(pc.binary_length(values), -1)
            self._lengths.update(lengths.to_numpy().astype("<i4").tobytes())
            self._values.update(_text_of(pc.fill_null(values, "")))
        else:
            self._values.update(_bytes_of(values).tobytes())

    def digest(self) -> bytes:
        """Return 64 bytes."""
        return self._lengths.digest() + self._values.digest()


def _text_of(values: Any) -> memoryview:
    """The UTF-8 bytes of all texts, one after the other; none is NULL."""
    _, offsets, text = values.buffers()
    edges = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return memoryview(text or b"")[edges[0] : edges[-1]]


def _bytes_of(values: Any) -> npt.NDArray[np.uint8]:
    """The bytes of all values of a fixed width; none is NULL."""
    width = values.type.byte_width
    start = values.offset * width
    return np.frombuffer(values.buffers()[1], np.uint8)[start : start + len(values) * width]
