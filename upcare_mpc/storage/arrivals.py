"""What has been read of a delivery, on disk by patient, until all of it has come.

The messages of one patient lie scattered over the files of years, and a correction in the last one
replaces a message in the first. So reading and reducing are two passes. The first spreads messages
and ENCR rows over buckets by the pseudonym of their patient, and the keys of messages over others
by their hash. The second (`storage.reduction`) takes one bucket after the other.

The folder holds messages and identifiers of the source, in the clear, and is deleted when the
snapshot is in force. After a crash, reading goes on behind the last group of files at which
`Arrivals.checkpoint` was called, if the delivery is still the same.

Cost: memory of one run of each kind (`storage.partition`).
"""

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from upcare_mpc.ingest.delivery import NO_PATIENT, Tally
from upcare_mpc.ingest.encr import Batch, onset
from upcare_mpc.ingest.message import Message
from upcare_mpc.storage.durable import replace_text
from upcare_mpc.storage.partition import MAX_BUCKETS, Partition
from upcare_mpc.storage.snapshot_rows import PSEUDONYM, pseudonym, pseudonyms
from upcare_mpc.storage.tumour_rows import TUMOUR_ROWS, tumour_rows

__all__ = ["Arrivals", "decoded", "forget_arrivals"]

_VERSION: Final = 1
_NAME: Final = "arrivals"
_KEY_BYTES: Final = 16
_BUCKET_BYTES: Final = 2**22
_FRAME_MESSAGES: Final = 1_000
_BATCH_FRAMES: Final = 1_024
_BATCH_ROWS: Final = 8_192

_FRAMES: Final = pa.schema(
    [
        ("pseudonym", PSEUDONYM),
        ("arrival", pa.int64()),
        ("format", pa.string()),
        ("messages", pa.binary()),
    ]
)
_KEYS: Final = pa.schema(
    [("key", pa.binary(_KEY_BYTES)), ("arrival", pa.int64()), ("pseudonym", PSEUDONYM)]
)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


class Arrivals:
    """The arrivals of one delivery.

    Args:
        folder: Of the snapshots; a folder ``arrivals`` in it is made if it is missing. What another
            delivery left there is deleted.
        plan: Says which delivery this is and how it is read; another text is another delivery.
        secret: Of the registry, for pseudonyms.
        size: Bytes of the delivery; tells into how many parts it is cut.

    Attributes:
        secret: As given.
        buckets: Into how many parts it is cut.
        frames: Messages: pseudonym, number of the first arrival, format, encoded messages.
        keys: Keyed hashes of the keys of messages, with the number of the arrival and the patient.
        rows: ENCR rows, as `TUMOUR_ROWS`.
        groups: Groups of files that are read already.
        tally: What became of the messages; complete after the second pass.
    """

    def __init__(self, folder: Path, plan: str, *, secret: bytes, size: int) -> None:
        self._folder = folder / _NAME
        self.secret = secret
        plan = json.dumps([plan, size])
        self._plan = hashlib.sha256(plan.encode() + b"|" + pseudonym(secret, plan)).hexdigest()
        self.buckets = min(MAX_BUCKETS, 1 << (size // _BUCKET_BYTES).bit_length())
        state = self._state()
        if state is None:
            forget_arrivals(folder)
            self._folder.mkdir(mode=0o700)
            state = {"groups": 0, "runs": [0, 0, 0], "tally": _stored(Tally())}
        self.groups: int = state["groups"]
        self.tally = _tally(state["tally"])
        frames, keys, rows = state["runs"]
        partition = partial(Partition, self._folder, buckets=self.buckets)
        self.frames: Partition = partition("frames", _FRAMES, runs=frames)
        self.keys: Partition = partition("keys", _KEYS, runs=keys)
        self.rows: Partition = partition("rows", TUMOUR_ROWS, runs=rows)

    def take(self, arrivals: Iterable[Message | Batch], source_format: str) -> None:
        """Store the messages or rows of a group of files."""
        for is_message, run in groupby(arrivals, lambda arrival: isinstance(arrival, Message)):
            if is_message:
                self._take_messages(run, source_format)  # type: ignore[arg-type]  # by the key
            else:
                self._take_batches(run, source_format)  # type: ignore[arg-type]

    def checkpoint(self, groups: int) -> None:
        """Make it sure that the first ``groups`` groups need not be read again."""
        for partition in (self.frames, self.keys, self.rows):
            partition.flush()
        self.groups = groups
        state = {
            "version": _VERSION,
            "plan": self._plan,
            "groups": groups,
            "runs": [self.frames.runs, self.keys.runs, self.rows.runs],
            "tally": _stored(self.tally),
        }
        replace_text(self._folder / "state.json", json.dumps(state))

    def _take_messages(self, messages: Iterator[Message], source_format: str) -> None:
        frames: list[tuple[bytes, int, str, bytes]] = []
        keys: list[tuple[bytes, int, bytes]] = []
        for patient_id, run in groupby(messages, attrgetter("patient_id")):
            while own := list(islice(run, _FRAME_MESSAGES)):
                first = self.tally.messages
                self.tally.messages += len(own)
                if not patient_id:
                    self.tally.rejected[NO_PATIENT] += len(own)
                    continue
                name = pseudonym(self.secret, patient_id)
                keys += [
                    (self._key(message.key), arrival, name)
                    for arrival, message in enumerate(own, first)
                    if message.key
                ]
                frames.append((name, first, source_format, _encoder.encode(own)))
            if len(frames) >= _BATCH_FRAMES:
                self._store(frames, keys)
        self._store(frames, keys)

    def _store(
        self, frames: list[tuple[bytes, int, str, bytes]], keys: list[tuple[bytes, int, bytes]]
    ) -> None:
        for partition, schema, rows in (
            (self.frames, _FRAMES, frames),
            (self.keys, _KEYS, keys),
        ):
            if rows:
                columns = zip(*rows, strict=True)
                arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
                partition.add(pa.record_batch(arrays, schema=schema))
                rows.clear()

    def _key(self, parts: tuple[str, ...]) -> bytes:
        """A hash of a message's key; keyed, so that nobody can aim at a bucket."""
        text = repr(parts).encode()
        return hashlib.blake2b(text, key=self.secret, digest_size=_KEY_BYTES).digest()

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
        rows = tumour_rows(
            names=pseudonyms(self.secret, columns.pop("patient_id")),
            tumour_ids=columns.pop("tumour_id"),
            onsets=list(map(_onset, columns["diagnosis_year"], columns["diagnosis_month"])),
            arrival=first,
            formats=source_format,
            columns=columns,
        )
        self.rows.add(rows)

    # --- state --------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any] | None:
        """What the last checkpoint wrote, if it was of this delivery."""
        try:
            state: dict[str, Any] = json.loads((self._folder / "state.json").read_text("ascii"))
        except (OSError, ValueError):  # none, or the disk has lost it: read anew
            return None
        same = (state.get("version"), state.get("plan")) == (_VERSION, self._plan)
        return state if same else None


def forget_arrivals(folder: Path) -> None:
    """Delete whatever has arrived in a folder."""
    if (folder / _NAME).exists():
        shutil.rmtree(folder / _NAME)


def decoded(frame: bytes) -> list[Message]:
    """The messages of a frame."""
    return _decoder.decode(frame)


@cache
def _onset(year: int, month: int | None) -> int:
    return onset(year, month).toordinal()


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
