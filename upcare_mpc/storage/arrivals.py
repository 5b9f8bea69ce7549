"""What has been read of a delivery, on disk by patient, until all of it has come.

The messages of one patient lie scattered over the files of years, and a correction in the last one
replaces a message in the first. So reading and reducing are two passes. The first spreads messages
and ENCR rows over buckets by the pseudonym of their patient, and the keys of messages over others
by their hash. The second finds the corrected messages among the keys, then takes one bucket of
patients after the other, reduces it by the rules of ``ingest.reduce``, numbers each patient's
tumours by onset, and hands out rows for the snapshot.

The folder holds messages and identifiers of the source, in the clear, and is deleted when the
snapshot is in force. After a crash, reading goes on behind the last group of files at which
`Arrivals.checkpoint` was called, if the delivery is still the same.

Cost: memory of one run, one bucket, and a byte a message; a byte of disk for some bytes of files.
"""

import hashlib
import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from upcare_mpc.ingest.deletions import NOTHING, Deletions
from upcare_mpc.ingest.delivery import DELETED, NO_PATIENT, Tally
from upcare_mpc.ingest.encr import Batch, onset
from upcare_mpc.ingest.message import Message, Rejected
from upcare_mpc.ingest.reduce import reduce_patient
from upcare_mpc.records.derived import DERIVED, derive
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.storage.partition import MAX_BUCKETS, Partition, one_batch
from upcare_mpc.storage.snapshot_rows import (
    ORDERED,
    PSEUDONYM,
    VARIABLE_FIELDS,
    pseudonym,
    pseudonyms,
)

__all__ = ["Arrivals"]

_VERSION: Final = 1
_SEVERAL: Final = "several"
_KEY_BYTES: Final = 16
_BUCKET_BYTES: Final = 2**22
_FRAME_MESSAGES: Final = 1_000
_BATCH_FRAMES: Final = 1_024
_BATCH_ROWS: Final = 8_192
_GROUP_ROWS: Final = 65_536

_FRAMES: Final = pa.schema(
    [
        ("pseudonym", PSEUDONYM),
        ("arrival", pa.int64()),
        ("format", pa.string()),
        ("messages", pa.binary()),
    ]
)
_KEYS: Final = pa.schema([("key", pa.binary(_KEY_BYTES)), ("arrival", pa.int64())])
_ROWS: Final = pa.schema(
    [
        ("pseudonym", PSEUDONYM),
        ("tumour_id", pa.string()),
        ("onset", pa.int64()),
        ("arrival", pa.int64()),
        ("format", pa.string()),
        *VARIABLE_FIELDS,
    ]
)
_TUMOUR: Final = (
    "tumour_id",
    *(name for name in VARIABLES if name not in {*DERIVED, "sequence"}),
)
_tumour = attrgetter(*_TUMOUR)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


class Arrivals:
    """The arrivals of one delivery.

    Args:
        folder: For this alone; made if it is missing. What another delivery left is deleted.
        plan: Says which delivery this is and how it is read; another text is another delivery.
        secret: Of the registry, for pseudonyms.
        size: Bytes of the delivery; tells into how many parts it is cut.

    Attributes:
        groups: Groups of files that are read already.
        tally: What became of the messages; of corrected and rejected ones after `rows` has ended.
    """

    def __init__(self, folder: Path, plan: str, *, secret: bytes, size: int) -> None:
        self._folder = folder
        self._secret = secret
        plan = json.dumps([plan, size])
        self._plan = hashlib.sha256(plan.encode() + b"|" + pseudonym(secret, plan)).hexdigest()
        self._buckets = min(MAX_BUCKETS, 1 << (size // _BUCKET_BYTES).bit_length())
        state = self._state()
        if state is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            state = {"groups": 0, "runs": [0, 0, 0], "tally": _stored(Tally())}
        self.groups: int = state["groups"]
        self.tally = _tally(state["tally"])
        frames, keys, rows = state["runs"]
        partition = partial(Partition, folder, buckets=self._buckets)
        self._frames = partition("frames", _FRAMES, runs=frames)
        self._keys = partition("keys", _KEYS, runs=keys)
        self._rows = partition("rows", _ROWS, runs=rows)

    def take(self, arrivals: Iterable[Message | Batch], source_format: str) -> None:
        """Store the messages or rows of a group of files."""
        for is_message, run in groupby(arrivals, lambda arrival: isinstance(arrival, Message)):
            if is_message:
                self._take_messages(run, source_format)  # type: ignore[arg-type]  # by the key
            else:
                self._take_batches(run, source_format)  # type: ignore[arg-type]

    def checkpoint(self, groups: int) -> None:
        """Make it sure that the first ``groups`` groups need not be read again."""
        for partition in (self._frames, self._keys, self._rows):
            partition.flush()
        self.groups = groups
        state = {
            "version": _VERSION,
            "plan": self._plan,
            "groups": groups,
            "runs": [self._frames.runs, self._keys.runs, self._rows.runs],
            "tally": _stored(self.tally),
        }
        fresh = self._folder / "state.new"
        with fresh.open("w", encoding="ascii") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / "state.json")

    def rows(
        self,
        *,
        complete: frozenset[str],
        deletions: Deletions = NOTHING,
        progress: Callable[[int, int], None] = lambda _done, _whole: None,
    ) -> Iterator[Any]:
        """All rows, as ``snapshot_rows.write_rows`` takes them; once.

        Args:
            complete: Kinds of treatment that the registry declares complete.
            deletions: What to leave out.
            progress: Called with the number of buckets done, and of all.
        """
        corrected = self._corrected()
        self.tally.replaced += corrected.count(1)
        unwanted = _Unwanted(deletions, self._secret)
        waiting: list[Any] = []
        both = zip(self._frames.buckets(), self._rows.buckets(), strict=True)
        for done, (frames, rows) in enumerate(both):
            progress(done, self._buckets)
            if not frames.num_rows + rows.num_rows:
                continue
            reduced = self._reduced(frames, corrected, complete, deletions)
            found = pa.concat_tables([*reduced, self._last_of_each(rows, unwanted)])
            if found.num_rows:
                waiting.append(_in_sequence(found))
            if sum(map(len, waiting)) >= _GROUP_ROWS:
                yield one_batch(pa.Table.from_batches(waiting))
                waiting.clear()
        if waiting:
            yield one_batch(pa.Table.from_batches(waiting))

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- the first pass -----------------------------------------------------------------------

    def _take_messages(self, messages: Iterator[Message], source_format: str) -> None:
        frames: list[tuple[bytes, int, str, bytes]] = []
        keys: list[tuple[bytes, int]] = []
        for patient_id, run in groupby(messages, attrgetter("patient_id")):
            while own := list(islice(run, _FRAME_MESSAGES)):
                first = self.tally.messages
                self.tally.messages += len(own)
                if not patient_id:
                    self.tally.rejected[NO_PATIENT] += len(own)
                    continue
                keys += [
                    (_key(message.key), arrival)
                    for arrival, message in enumerate(own, first)
                    if message.key
                ]
                name = pseudonym(self._secret, patient_id)
                frames.append((name, first, source_format, _encoder.encode(own)))
            if len(frames) >= _BATCH_FRAMES:
                self._store(frames, keys)
        self._store(frames, keys)

    def _store(
        self, frames: list[tuple[bytes, int, str, bytes]], keys: list[tuple[bytes, int]]
    ) -> None:
        for partition, schema, rows in (
            (self._frames, _FRAMES, frames),
            (self._keys, _KEYS, keys),
        ):
            if rows:
                columns = zip(*rows, strict=True)
                arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
                partition.add(pa.record_batch(arrays, schema=schema))
                rows.clear()

    def _take_batches(self, batches: Iterator[Batch], source_format: str) -> None:
        columns: dict[str, list[Any]] = defaultdict(list)
        for batch in batches:
            self.tally.messages += sum(batch.rejected.values())
            self.tally.rejected.update(batch.rejected)
            self.tally.remarks.update(batch.remarks)
            for name, values in batch.columns.items():
                columns[name] += values
            if len(columns["patient_id"]) >= _BATCH_ROWS:
                self._store_rows(columns, source_format)
                columns.clear()
        if columns["patient_id"]:
            self._store_rows(columns, source_format)

    def _store_rows(self, columns: dict[str, list[Any]], source_format: str) -> None:
        first = self.tally.messages
        self.tally.messages += len(columns["patient_id"])
        rows = _rows(
            names=pseudonyms(self._secret, columns.pop("patient_id")),
            tumour_ids=columns.pop("tumour_id"),
            onsets=list(map(_onset, columns["diagnosis_year"], columns["diagnosis_month"])),
            arrival=first,
            formats=source_format,
            columns=columns,
        )
        self._rows.add(rows)

    # --- the second pass ----------------------------------------------------------------------

    def _corrected(self) -> bytes:
        """A byte for each message, 1 if a later one with the same key replaces it."""
        corrected = np.zeros(self.tally.messages, bool)
        for bucket in self._keys.buckets():
            if bucket.num_rows > 1:
                ordered = bucket.sort_by([("key", "ascending"), ("arrival", "ascending")])
                keys, arrivals = (column.combine_chunks() for column in ordered.columns)
                same = pc.equal(keys[:-1], keys[1:]).to_numpy(zero_copy_only=False)
                corrected[arrivals.to_numpy()[:-1][same]] = True
        return corrected.tobytes()

    def _reduced(
        self, frames: Any, corrected: bytes, complete: frozenset[str], deletions: Deletions
    ) -> Iterator[Any]:
        """The tumours of a bucket's messages, as a table of rows."""
        names: list[bytes] = []
        formats: list[str] = []
        onsets: list[int] = []
        tumours: list[tuple[Any, ...]] = []
        ordered = frames.sort_by([("pseudonym", "ascending"), ("arrival", "ascending")])
        columns = (column.to_pylist() for column in ordered.columns)
        for name, own in groupby(zip(*columns, strict=True), itemgetter(0)):
            messages: list[Message] = []
            reported: set[str] = set()
            for _, arrival, source_format, encoded in own:
                reported.add(source_format)
                messages += self._standing(encoded, arrival, corrected, deletions)
            if not messages:
                continue
            source_format = reported.pop() if len(reported) == 1 else _SEVERAL
            for outcome in reduce_patient(messages, complete=complete):
                if isinstance(outcome, Rejected):
                    self.tally.rejected[outcome.reason] += outcome.messages
                    continue
                if outcome.remarks:
                    self.tally.remarks.update(outcome.remarks)
                names.append(name)
                formats.append(source_format)
                onsets.append(outcome.onset.toordinal())
                tumours.append(_tumour(outcome.case))
        if tumours:
            values = dict(zip(_TUMOUR, zip(*tumours, strict=True), strict=True))
            rows = _rows(
                names=names,
                tumour_ids=values.pop("tumour_id"),
                onsets=onsets,
                arrival=0,
                formats=formats,
                columns=values,
            )
            yield pa.Table.from_batches([rows])

    def _standing(
        self, encoded: bytes, first: int, corrected: bytes, deletions: Deletions
    ) -> list[Message]:
        """The messages of a frame that are neither corrected later nor on the deletion list."""
        messages: list[Message] = _decoder.decode(encoded)
        if any(corrected[first : first + len(messages)]):
            messages = [m for arrival, m in enumerate(messages, first) if not corrected[arrival]]
        if deletions:
            kept = [message for message in messages if not deletions.name(message)]
            self.tally.rejected[DELETED] += len(messages) - len(kept)
            return kept
        return messages

    def _last_of_each(self, rows: Any, unwanted: "_Unwanted") -> Any:
        """Of several rows on one tumour the last one, but for those on the deletion list."""
        if not rows.num_rows:
            return rows
        last = rows.group_by(["pseudonym", "tumour_id"]).aggregate([("arrival", "max")])
        if last.num_rows < rows.num_rows:
            self.tally.replaced += rows.num_rows - last.num_rows
            rows = rows.filter(pc.is_in(rows["arrival"], last["arrival_max"]))
        keep = unwanted.keep(rows)
        if keep is None:
            return rows
        kept = rows.filter(keep)
        self.tally.rejected[DELETED] += rows.num_rows - kept.num_rows
        return kept

    # --- state --------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any] | None:
        """What the last checkpoint wrote, if it was of this delivery."""
        try:
            state: dict[str, Any] = json.loads((self._folder / "state.json").read_text("ascii"))
        except (OSError, ValueError):  # none, or the disk has lost it: read anew
            return None
        same = (state.get("version"), state.get("plan")) == (_VERSION, self._plan)
        return state if same else None


class _Unwanted:
    """The deletion list against rows that know pseudonyms only."""

    def __init__(self, deletions: Deletions, secret: bytes) -> None:
        self._patients = {pseudonym(secret, name) for name in deletions.patients}
        self._tumours = {(pseudonym(secret, name), key) for name, key in deletions.tumours}

    def keep(self, rows: Any) -> Any:
        """A mask of rows that stay; None if all do."""
        if not (self._patients or self._tumours):
            return None
        keys = zip(rows["pseudonym"].to_pylist(), rows["tumour_id"].to_pylist(), strict=True)
        return pa.array(
            [key[0] not in self._patients and key not in self._tumours for key in keys],
            pa.bool_(),
        )


def _rows(
    *,
    names: Sequence[bytes],
    tumour_ids: Sequence[str],
    onsets: Sequence[int],
    arrival: int,
    formats: str | Sequence[str],
    columns: dict[str, Any],
) -> Any:
    """A record batch of `_ROWS`; variables that ``columns`` lacks are unknown."""
    count = len(names)
    columns = {**columns, **derive(columns)}
    of_format = pa.repeat(formats, count) if isinstance(formats, str) else pa.array(formats)
    arrays = [
        pa.array(names, PSEUDONYM),
        pa.array(tumour_ids, pa.string()),
        pa.array(onsets, pa.int64()),
        pa.array(np.arange(arrival, arrival + count)),
        of_format,
    ]
    arrays += [
        pa.array(columns[name], type_) if name in columns else pa.nulls(count, type_)
        for name, type_ in VARIABLE_FIELDS
    ]
    return pa.record_batch(arrays, schema=_ROWS)


def _in_sequence(rows: Any) -> Any:
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


@cache
def _onset(year: int, month: int | None) -> int:
    return onset(year, month).toordinal()


def _key(parts: tuple[str, ...] | None) -> bytes:
    """A hash of a message's key; no two keys give the same text."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=_KEY_BYTES).digest()


def _stored(tally: Tally) -> dict[str, Any]:
    return {
        "messages": tally.messages,
        "replaced": tally.replaced,
        "rejected": dict(tally.rejected),
        "remarks": dict(tally.remarks),
        "formats": dict(tally.formats),
    }


def _tally(stored: dict[str, Any]) -> Tally:
    return Tally(
        messages=stored["messages"],
        replaced=stored["replaced"],
        rejected=Counter(stored["rejected"]),
        remarks=Counter(stored["remarks"]),
        formats=Counter(stored["formats"]),
    )
