r"""One patient's tumours as bytes, and back into columns.

    "UVR1 " schema "\n", then for each tumour: its values in the order of the variables, with a tab
    between two, and "\n"

*Schema* is the first 16 hexadecimal digits of SHA-256 over the names and kinds of the variables
(``records.variables``), so a payload of another version of the record model is refused and not
misread. A number is written in decimal; of an unknown value nothing is written. All bytes are
printable ASCII but for tabs and line ends, and there is one spelling: what reads back to the same
values has the same bytes. A payload has at most 65,520 bytes.

A payload is secret, and names no patient: neither pseudonym nor source is in it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from upcare_mpc.errors import ProtocolError
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.vault.sizes import MAX_PAYLOAD

__all__ = ["OPENED", "payloads", "tumours"]

_FIELDS: Final = tuple(
    (name, pa.int64() if isinstance(variable.type, Number) else pa.string())
    for name, variable in VARIABLES.items()
)
_SCHEMA: Final = hashlib.sha256(
    json.dumps([[name, str(kind)] for name, kind in _FIELDS], separators=(",", ":")).encode()
).hexdigest()[:16]
_FIRST_LINE: Final = f"UVR1 {_SCHEMA}\n".encode()
_TEXT: Final = bytes(range(0x20, 0x7F)) + b"\t\n"
_PARSE: Final = csv.ParseOptions(
    delimiter="\t", quote_char=False, escape_char=False, ignore_empty_lines=False
)
_CONVERT: Final = csv.ConvertOptions(
    column_types=dict(_FIELDS), null_values=[""], strings_can_be_null=True
)

OPENED: Final = pa.schema([("record", pa.binary(16)), *_FIELDS])
"""What `tumours` gives: one row a tumour; those of one record have the same id."""


def payloads(rows: Any) -> Iterator[tuple[bytes, bytes | None]]:
    """Write the payloads of some patients.

    Args:
        rows: Arrow record batch with a column ``pseudonym`` and one for each variable; all tumours
            of a patient are in it, one behind the other.

    Yields:
        The pseudonym, and the payload; None if it cannot be written: it is too long, or a code has
        other characters than printable ASCII. Such a record is sealed for nobody.
    """
    lines = _lines([rows[name] for name, _ in _FIELDS])
    tabs = pc.equal(pc.count_substring(lines, "\t"), len(_FIELDS) - 1)
    clean = pc.invert(pc.match_substring_regex(lines, "[^ -~\t]"))
    good = pc.and_(tabs, clean).to_pylist()
    patients = rows["pseudonym"].to_pylist()
    starts = [at for at, one in enumerate(patients) if not at or one != patients[at - 1]]
    texts = lines.to_pylist()
    for low, high in pairwise([*starts, len(patients)]):
        payload = _FIRST_LINE + "".join(f"{text}\n" for text in texts[low:high]).encode()
        fits = all(good[low:high]) and len(payload) <= MAX_PAYLOAD
        yield patients[low], payload if fits else None


def tumours(records: Sequence[bytes], opened: Sequence[bytes]) -> Any:
    """Read payloads.

    Args:
        records: The id of each record, 16 bytes; at least one.
        opened: Its payload.

    Returns:
        An Arrow record batch of ``OPENED``.

    Raises:
        ProtocolError: One is no payload of this version, written in the one way.
    """
    bodies = [_body(payload) for payload in opened]
    whole = b"".join(bodies)
    try:
        table = csv.read_csv(
            pa.BufferReader(whole),
            read_options=csv.ReadOptions(
                column_names=[name for name, _ in _FIELDS],
                use_threads=False,
                block_size=len(whole) + 1,
            ),
            parse_options=_PARSE,
            convert_options=_CONVERT,
        ).combine_chunks()
    except pa.ArrowInvalid:  # its text holds a value
        raise ProtocolError("a payload is not a table of the record model") from None
    columns = [table[name].combine_chunks() for name, _ in _FIELDS]
    if not _text(_lines(columns)).equals(pa.py_buffer(whole)):
        raise ProtocolError("a payload is not written in the one way")
    counts = np.array([body.count(b"\n") for body in bodies])
    identities = pa.array(records, pa.binary(16)).take(np.repeat(np.arange(len(counts)), counts))
    return pa.record_batch([identities, *columns], schema=OPENED)


def _body(payload: bytes) -> bytes:
    if not payload.startswith(_FIRST_LINE):
        raise ProtocolError("a payload belongs to another version of the record model")
    body = payload[len(_FIRST_LINE) :]
    if not body.endswith(b"\n") or body.translate(None, _TEXT):
        raise ProtocolError("a payload is not a text of whole lines")
    return body


def _lines(columns: Sequence[Any]) -> Any:
    """One text a tumour, without the line's end."""
    texts = [pc.fill_null(pc.cast(column, pa.string()), "") for column in columns]
    return pc.binary_join_element_wise(*texts, "\t")


def _text(lines: Any) -> Any:
    """All lines with their ends, in one buffer."""
    _, offsets, text = pc.binary_join_element_wise(lines, "", "\n").buffers()
    return text.slice(0, int(np.frombuffer(offsets, np.int32)[len(lines)]))
