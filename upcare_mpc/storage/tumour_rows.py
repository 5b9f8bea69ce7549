"""Tumours as rows on their way into a snapshot: columns, with what decides their order.

Both passes of an ingest make them: ENCR rows when they arrive, the tumours of messages when these
are reduced.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from upcare_mpc.records.derived import derive
from upcare_mpc.storage.partition import one_batch
from upcare_mpc.storage.snapshot_rows import ORDERED, PSEUDONYM, VARIABLE_FIELDS

__all__ = ["TUMOUR_ROWS", "in_sequence", "tumour_rows"]

TUMOUR_ROWS: Final = pa.schema(
    [
        ("pseudonym", PSEUDONYM),
        ("tumour_id", pa.string()),
        ("onset", pa.int64()),
        ("arrival", pa.int64()),
        ("format", pa.string()),
        *VARIABLE_FIELDS,
    ]
)


def tumour_rows(
    *,
    names: Sequence[bytes],
    tumour_ids: Sequence[str],
    onsets: Sequence[int],
    arrival: int,
    formats: str | Sequence[str],
    columns: Mapping[str, Any],
) -> Any:
    """Make a record batch of `TUMOUR_ROWS`.

    Args:
        names: Pseudonyms of the patients.
        tumour_ids: Keys of the tumours.
        onsets: Days that decide the order, as ``date.toordinal``.
        arrival: The number of the first arrival; the others follow.
        formats: What they were reported in.
        columns: Variables by name; those that are missing and not derived are unknown.
    """
    count = len(names)
    values = {**columns, **derive(columns)}
    of_format = pa.repeat(formats, count) if isinstance(formats, str) else pa.array(formats)
    arrays = [
        pa.array(names, PSEUDONYM),
        pa.array(tumour_ids, pa.string()),
        pa.array(onsets, pa.int64()),
        pa.array(np.arange(arrival, arrival + count)),
        of_format,
    ]
    arrays += [
        pa.array(values[name], type_) if name in values else pa.nulls(count, type_)
        for name, type_ in VARIABLE_FIELDS
    ]
    return pa.record_batch(arrays, schema=TUMOUR_ROWS)


def in_sequence(rows: Any) -> Any:
    """Sort by patient; number each patient's tumours by onset, ties by key and arrival."""
    order = [(name, "ascending") for name in ("pseudonym", "onset", "tumour_id", "arrival")]
    ordered = one_batch(rows.sort_by(order))
    names = ordered["pseudonym"]
    firsts = np.ones(len(names), bool)
    firsts[1:] = pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(firsts)
    places = np.arange(len(names))
    sequence = pa.array(places - np.repeat(starts, np.diff(np.append(starts, len(names)))) + 1)
    return pa.record_batch(
        [sequence if name == "sequence" else ordered[name] for name in ORDERED.names],
        schema=ORDERED,
    )
