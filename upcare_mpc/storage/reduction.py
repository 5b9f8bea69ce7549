"""The second pass of an ingest: from arrivals, bucket by bucket, to the rows of a snapshot.

Between the passes, equal keys of messages meet in one bucket, and all but the last arrival are
marked as corrected. Then the messages of a patient are decoded, without the corrected ones and
those on the deletion list, and reduced by the rules of ``ingest.reduce``; of several ENCR rows on
one tumour the last one stays; and the tumours of a patient are numbered by onset.

Cost: memory of one bucket, a group of rows, and a byte a message. What leaks: nothing leaves but
rows under pseudonyms; the tally holds counts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.deletions import NOTHING, Deletions
from upcare_mpc.ingest.delivery import MOVED
from upcare_mpc.ingest.message import DELETED, Message, Rejected
from upcare_mpc.ingest.reduce import reduce_patient
from upcare_mpc.records.derived import DERIVED
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.storage.arrivals import Arrivals, decoded
from upcare_mpc.storage.partition import one_batch
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.storage.tumour_rows import TUMOUR_ROWS, in_sequence, tumour_rows

__all__ = ["MAX_PATIENT_MESSAGES", "reduced_rows"]

MAX_PATIENT_MESSAGES: Final = 100_000
"""They are in memory at once."""

_SEVERAL: Final = "several"
_GROUP_ROWS: Final = 65_536
_TUMOUR: Final = (
    "tumour_id",
    *(name for name in VARIABLES if name not in {*DERIVED, "sequence"}),
)
_tumour = attrgetter(*_TUMOUR)


def reduced_rows(
    arrivals: Arrivals,
    *,
    complete: frozenset[str],
    deletions: Deletions = NOTHING,
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
) -> Iterator[Any]:
    """All rows, as ``snapshot_rows.write_rows`` takes them; once.

    Args:
        arrivals: A whole delivery; its tally is completed.
        complete: Kinds of treatment that the registry declares complete.
        deletions: What to leave out.
        progress: Called with the number of buckets done, and of all.

    Raises:
        DataError: One patient id is on more messages or rows than memory is made for.
        OSError: What waits on disk cannot be read.
    """
    reduction = _Reduction(arrivals, complete, deletions)
    waiting: list[Any] = []
    both = zip(arrivals.frames.buckets(), arrivals.rows.buckets(), strict=True)
    for done, (frames, rows) in enumerate(both):
        progress(done, arrivals.buckets)
        if not frames.num_rows + rows.num_rows:
            continue
        reported = reduction.tumours(frames)
        found = pa.concat_tables([reported, reduction.last_of_each(rows, reported)])
        if found.num_rows:
            waiting.append(in_sequence(found))
        if sum(map(len, waiting)) >= _GROUP_ROWS:
            yield one_batch(pa.Table.from_batches(waiting))
            waiting.clear()
    if waiting:
        yield one_batch(pa.Table.from_batches(waiting))


class _Reduction:
    """What holds for all buckets."""

    def __init__(self, arrivals: Arrivals, complete: frozenset[str], deletions: Deletions) -> None:
        self._tally = arrivals.tally
        self._complete = complete
        self._deletions = deletions
        self._corrected = _corrected(arrivals)
        self._tally.replaced += self._corrected.count(1)
        secret = arrivals.secret
        self._patients = {pseudonym(secret, name) for name in deletions.patients}
        self._tumours = {(pseudonym(secret, name), key) for name, key in deletions.tumours}

    def tumours(self, frames: Any) -> Any:
        """The tumours of a bucket's messages, as a table of rows."""
        names: list[bytes] = []
        formats: list[str] = []
        onsets: list[int] = []
        tumours: list[tuple[Any, ...]] = []
        ordered = frames.sort_by([("pseudonym", "ascending"), ("arrival", "ascending")])
        columns = (column.to_pylist() for column in ordered.columns)
        for name, own in groupby(zip(*columns, strict=True), itemgetter(0)):
            messages, source_format = self._messages(own)
            if not messages:
                continue
            for outcome in reduce_patient(
                messages,
                complete=self._complete,
                deleted=self._deletions.tumours_of(messages[0].patient_id),
            ):
                if isinstance(outcome, Rejected):
                    self._tally.rejected[outcome.reason] += outcome.messages
                    continue
                if outcome.remarks:
                    self._tally.remarks.update(outcome.remarks)
                names.append(name)
                formats.append(source_format)
                onsets.append(outcome.onset.toordinal())
                tumours.append(_tumour(outcome.case))
        if not tumours:
            return pa.Table.from_batches([], TUMOUR_ROWS)
        values = dict(zip(_TUMOUR, zip(*tumours, strict=True), strict=True))
        rows = tumour_rows(
            names=names,
            tumour_ids=values.pop("tumour_id"),
            onsets=onsets,
            arrival=0,
            formats=formats,
            columns=values,
        )
        return pa.Table.from_batches([rows])

    def _messages(self, own: Iterable[tuple[bytes, int, str, bytes]]) -> tuple[list[Message], str]:
        """The messages of one patient that stand, and the format that they came in."""
        messages: list[Message] = []
        formats: set[str] = set()
        for _, arrival, source_format, encoded in own:
            if standing := self._standing(encoded, arrival):
                formats.add(source_format)
                messages += standing
            if len(messages) > MAX_PATIENT_MESSAGES:
                raise DataError(
                    f"a patient with more than {MAX_PATIENT_MESSAGES} messages: is one patient id "
                    "in use for many?"
                )
        return messages, formats.pop() if len(formats) == 1 else _SEVERAL

    def _standing(self, encoded: bytes, first: int) -> list[Message]:
        """The messages of a frame that are neither corrected later nor on the deletion list."""
        messages = decoded(encoded)
        corrected = self._corrected
        if any(corrected[first : first + len(messages)]):
            messages = [m for arrival, m in enumerate(messages, first) if not corrected[arrival]]
        if self._deletions:
            kept = [message for message in messages if not self._deletions.name(message)]
            self._tally.rejected[DELETED] += len(messages) - len(kept)
            return kept
        return messages

    def last_of_each(self, rows: Any, reported: Any) -> Any:
        """Of several rows on one tumour the last one, but for those on the deletion list.

        A row on a tumour that messages report too is replaced by these: they say more.
        """
        if not rows.num_rows:
            return rows
        last = rows.group_by(["pseudonym", "tumour_id"]).aggregate([("arrival", "max")])
        if last.num_rows < rows.num_rows:
            self._tally.replaced += rows.num_rows - last.num_rows
            rows = rows.filter(pc.is_in(rows["arrival"], last["arrival_max"]))
        if reported.num_rows:
            known = {*_keys(reported)}
            rest = rows.filter(pa.array([key not in known for key in _keys(rows)], pa.bool_()))
            self._tally.replaced += rows.num_rows - rest.num_rows
            rows = rest
        if not (self._patients or self._tumours):
            return rows
        kept = rows.filter(
            pa.array(
                [key[0] not in self._patients and key not in self._tumours for key in _keys(rows)],
                pa.bool_(),
            )
        )
        self._tally.rejected[DELETED] += rows.num_rows - kept.num_rows
        return kept


def _keys(rows: Any) -> Iterator[tuple[bytes, str]]:
    """Patient and tumour of each row."""
    return zip(rows["pseudonym"].to_pylist(), rows["tumour_id"].to_pylist(), strict=True)


def _corrected(arrivals: Arrivals) -> bytes:
    """A byte for each message, 1 if a later one with the same key replaces it."""
    corrected = np.zeros(arrivals.tally.messages, bool)
    for bucket in arrivals.keys.buckets():
        if bucket.num_rows > 1:
            ordered = bucket.sort_by([("key", "ascending"), ("arrival", "ascending")])
            keys, numbers, names = (column.combine_chunks() for column in ordered.columns)
            same = pc.equal(keys[:-1], keys[1:])
            moved = pc.and_(same, pc.not_equal(names[:-1], names[1:]))
            arrivals.tally.remarks[MOVED] += pc.sum(moved).as_py()
            corrected[numbers.to_numpy()[:-1][same.to_numpy(zero_copy_only=False)]] = True
    arrivals.tally.remarks += Counter()  # without zeros
    return corrected.tobytes()
