"""Rows on disk in buckets by the first byte of a key: sorting what does not fit into memory.

The key is a keyed hash or a pseudonym, so buckets of different keys are about equal. Rows wait in
memory and are written as *runs*: Arrow files with one compressed batch a bucket. A bucket is all of
its batches, in the order of arrival. Memory: one run, then one bucket; a file handle a run.

What leaks: the files hold what they are given, in the clear. They are their owner's to delete.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from upcare_mpc.errors import DataError
from upcare_mpc.storage.durable import flush

__all__ = ["MAX_BUCKETS", "MAX_BUCKET_ROWS", "Partition", "one_batch"]

MAX_BUCKETS: Final = 256
MAX_BUCKET_ROWS: Final = 1_000_000
"""A bucket is in memory at once; only equal keys make one so large."""

_SMALL_BATCHES: Final = 256
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class Partition:
    """Rows of one schema on their way into buckets.

    Args:
        folder: Where the runs lie, ``<name>-<number>.arrow``; exists.
        name: Tells them from runs of other partitions.
        schema: Its first field is the key, bytes of a fixed width.
        buckets: How many; a power of two, at most `MAX_BUCKETS`. The same whenever it is opened.
        runs: Runs that are there already; others with a higher number are deleted.
        run_bytes: Size of the rows in memory from which on a run is written.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        schema: Any,
        *,
        buckets: int,
        runs: int = 0,
        run_bytes: int = 2**25,
    ) -> None:
        self._folder = folder
        self._name = name
        self._schema = schema
        self._buckets = buckets
        self._run_bytes = run_bytes
        self._waiting: list[Any] = []
        self._small: list[Any] = []
        self._waiting_bytes = 0
        self.runs = runs
        for path in folder.glob(f"{name}-*.arrow"):
            if int(path.stem.rpartition("-")[2]) >= runs:
                path.unlink()

    def add(self, batch: Any) -> None:
        """Take some rows."""
        self._small.append(batch)
        self._waiting_bytes += batch.nbytes
        if len(self._small) >= _SMALL_BATCHES:
            self._join()
        if self._waiting_bytes >= self._run_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a run, if anything does."""
        self._join()
        if not self._waiting:
            return
        whole = one_batch(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._waiting_bytes = [], 0
        buckets = _first_bytes(whole.column(0)).astype(np.int64) * self._buckets // MAX_BUCKETS
        order = np.argsort(buckets, kind="stable")  # in a bucket in the order of arrival
        whole = whole.take(pa.array(order))
        edges = np.searchsorted(buckets[order], np.arange(self._buckets + 1))
        with (
            pa.OSFile(str(self._path(self.runs)), "wb") as file,
            pa.ipc.new_file(file, self._schema, options=_LZ4) as run,
        ):
            for low, high in pairwise(edges):
                run.write_batch(whole.slice(low, high - low))
        flush(self._path(self.runs))
        self.runs += 1

    def _join(self) -> None:
        """Make one batch of many: one of a row takes kilobytes."""
        if self._small:
            self._waiting.append(one_batch(pa.Table.from_batches(self._small, self._schema)))
            self._small = []

    def buckets(self) -> Iterator[Any]:
        """All buckets in the order of the first byte, each a table; some may be empty.

        Raises:
            OSError: A run cannot be read, or is not as it was written.
            DataError: A bucket has more than `MAX_BUCKET_ROWS`.
        """
        self.flush()
        try:
            yield from self._buckets_of_runs()
        except pa.ArrowException:
            raise OSError("a run is not as it was written") from None

    def _buckets_of_runs(self) -> Iterator[Any]:
        with ExitStack() as files:
            runs = [
                pa.ipc.open_file(files.enter_context(pa.OSFile(str(self._path(number)))))
                for number in range(self.runs)
            ]
            for bucket in range(self._buckets):
                batches: list[Any] = []
                for run in runs:
                    batches.append(run.get_batch(bucket))
                    if sum(map(len, batches)) > MAX_BUCKET_ROWS:
                        raise DataError(
                            f"more than {MAX_BUCKET_ROWS} messages or rows in one part of the "
                            "patients: is one patient id in use for many?"
                        )
                yield pa.Table.from_batches(batches, self._schema)

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}.arrow"


def one_batch(table: Any) -> Any:
    """The rows of a table in one piece, which has arrays and not chunks."""
    columns = [column.combine_chunks() for column in table.columns]
    return pa.record_batch(columns, schema=table.schema)


def _first_bytes(keys: Any) -> Any:
    width = keys.type.byte_width
    start = keys.offset * width
    return np.frombuffer(keys.buffers()[1], np.uint8)[start : start + len(keys) * width : width]
