"""The rows of a snapshot: one table in Parquet, sorted by patient, named by its content.

Columns: ``pseudonym`` (16 bytes, of the patient, see `pseudonym`), ``format`` (what the tumour was
reported in; for quality reports), ``patient`` (0, 1, 2, ... in the order of pseudonyms), ``turn``
(0, 1, 2, ... of a patient's tumours in their order), ``turns`` (how many tumours the patient has),
and every variable of the study language, the derived ones included. A row group holds all tumours
of its patients. Identifiers of the source are in no column: without the secret a pseudonym
tells nothing, with it a known patient can be found again.

Content digest: SHA-256 over rows, not over a file, so that another version of Parquet or another
size of row groups changes nothing. Each column is a stream of values in the order of the rows,
hashed on its own: an integer as 8 bytes, little-endian, unknown as -2^63; a text as its length in 4
bytes, unknown as -1, in one stream, and its UTF-8 bytes in another; a pseudonym as its bytes.

    SHA-256("upcare/v1/snapshot-rows" 0x00 | JSON [rules, columns] 0x0a | rows in 8 bytes | digests)

Beside a population or a life table the JSON has a third element, the SHA-256 of these in hex.

What leaks: the file holds records and is secret, and so is the digest: who knows all records but
one, and the secret, could test a guess of that one. Cost: one pass; memory is bounded by a batch.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from upcare_mpc.errors import DataError, InputError
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.storage.partition import one_batch

__all__ = [
    "COLUMNS",
    "ORDERED",
    "PSEUDONYM",
    "VARIABLE_FIELDS",
    "Written",
    "pseudonym",
    "pseudonym_of_named",
    "pseudonyms",
    "read_digest",
    "write_rows",
]

COLUMNS: Final = ("pseudonym", "format", *VARIABLES)
"""What the digest covers; ``patient``, ``turn`` and ``turns`` follow from the order of the rows."""

_Integers: TypeAlias = npt.NDArray[np.int64]

_TAG: Final = b"upcare/v1/snapshot-rows\0"
_PSEUDONYM_TAG: Final = b"upcare/v1/pseudo"  # BLAKE2b takes 16 bytes
_PSEUDONYM_BYTES: Final = 16
_MAX_ID: Final = 200
_BATCH_ROWS: Final = 65_536
_UNKNOWN_INTEGER: Final = -(2**63)
_LARGEST_INTEGER: Final = 2**31 - 1

PSEUDONYM: Final = pa.binary(_PSEUDONYM_BYTES)
VARIABLE_FIELDS: Final = tuple(
    (name, pa.int64() if isinstance(variable.type, Number) else pa.string())
    for name, variable in VARIABLES.items()
)
_KEYS: Final = (("pseudonym", PSEUDONYM), ("format", pa.string()))
ORDERED: Final = pa.schema([*_KEYS, *VARIABLE_FIELDS])
"""What `write_rows` takes."""

_NUMBERS: Final = ("patient", "turn", "turns")
_STORED: Final = pa.schema([*_KEYS, *((name, pa.int64()) for name in _NUMBERS), *VARIABLE_FIELDS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        digest: Of the content, 32 bytes. Secret.
        patients: Different patients.
        tumours: Rows.
    """

    digest: bytes
    patients: int
    tumours: int


def pseudonyms(secret: bytes, patient_ids: Iterable[str]) -> list[bytes]:
    """Keyed BLAKE2b of a registry's patient ids under a secret of the registry, 16 bytes each."""
    keyed = hashlib.blake2b(key=secret, person=_PSEUDONYM_TAG, digest_size=_PSEUDONYM_BYTES)
    found = []
    for patient_id in patient_ids:
        one = keyed.copy()
        one.update(patient_id.encode())
        found.append(one.digest())
    return found


def pseudonym(secret: bytes, patient_id: str) -> bytes:
    """The pseudonym of one patient."""
    return pseudonyms(secret, [patient_id])[0]


def pseudonym_of_named(secret: bytes, patient_id: str) -> bytes:
    """The pseudonym of a patient whom somebody names, in a command or a document.

    Raises:
        InputError: This cannot be an id.
    """
    if not (0 < len(patient_id) <= _MAX_ID and patient_id.isprintable()):
        raise InputError(f"a patient id: wanted 1 to {_MAX_ID} characters that can be printed")
    return pseudonym(secret, patient_id)


def write_rows(
    batches: Iterable[Any], path: Path, *, rules: int, reference: bytes = b""
) -> Written:
    """Write the rows of a snapshot.

    Args:
        batches: Arrow record batches of `ORDERED`, not empty, sorted by pseudonym; all tumours of a
            patient are in one batch, in their order.
        path: The file to write; not yet in force, so a crash may leave half of it.
        rules: Version of the rules by which messages became cases; part of the digest.
        reference: Population and life table that belong to the rows; part of the digest.

    Raises:
        DataError: A patient is in two batches, or a value has no place in the model.
    """
    content = _Content(rules, reference)
    with pq.ParquetWriter(path, _STORED, compression="zstd") as writer:
        for rows in batches:
            columns = [rows[name] for name in COLUMNS]
            numbers = map(pa.array, content.add(columns))
            stored = [*columns[: len(_KEYS)], *numbers, *columns[len(_KEYS) :]]
            writer.write_batch(pa.record_batch(stored, schema=_STORED))
    return Written(digest=content.digest(), patients=content.patients, tumours=content.rows)


def read_digest(path: Path, *, rules: int, reference: bytes = b"") -> bytes:
    """Work out the content digest of a file of rows.

    Raises:
        DataError: It cannot be read, or patients and turns are not those of its rows.
    """
    content = _Content(rules, reference)
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(_STORED):
                raise DataError("the snapshot has other columns than this version writes")
            for group in range(file.num_row_groups):
                rows = one_batch(file.read_row_group(group))
                numbers = content.add([rows[name] for name in COLUMNS])
                for name, expected in zip(_NUMBERS, numbers, strict=True):
                    if not np.array_equal(expected, rows[name].to_numpy()):
                        raise DataError("the snapshot numbers its patients or tumours wrongly")
    except (OSError, pa.ArrowException):  # their texts may hold a path or a value
        raise DataError("the snapshot cannot be read") from None
    return content.digest()


# --- the canonical content --------------------------------------------------------------------


class _Content:
    """The digest of sorted rows, batch by batch, and the numbers that follow from their order."""

    def __init__(self, rules: int, reference: bytes) -> None:
        stated = [rules, COLUMNS]
        if reference:
            stated.append(hashlib.sha256(reference).hexdigest())
        header = json.dumps(stated, separators=(",", ":")).encode("ascii")
        self._whole = hashlib.sha256(_TAG + header + b"\n")
        self._columns = [_Column() for _ in COLUMNS]
        self._last = b""
        self.rows = 0
        self.patients = 0

    def add(self, columns: list[Any]) -> tuple[_Integers, ...]:
        """Take the next rows, ``(n,)`` Arrow arrays, n > 0; return their ``(n,)`` numbers.

        Raises:
            DataError: They do not go on with a patient behind the last one, or a value is one
                that a study could not be evaluated on: an integer of more than 32 bits, or a
                code that is not ASCII.
        """
        pseudonyms = columns[0]
        if not self._last < pseudonyms[0].as_py():
            raise DataError("the snapshot does not keep the tumours of a patient together")
        for column, values in zip(self._columns, columns, strict=True):
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
            extremes = pc.min_max(values).as_py().values()
            if any(value is not None and abs(value) > _LARGEST_INTEGER for value in extremes):
                raise DataError("the snapshot holds a number of more than 32 bits")
            known = pc.fill_null(values, _UNKNOWN_INTEGER)
            self._values.update(known.to_numpy().astype("<i8").tobytes())
        elif pa.types.is_string(values.type):
            if pc.all(pc.string_is_ascii(values)).as_py() is False:
                raise DataError("the snapshot holds a code that is not ASCII")
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
