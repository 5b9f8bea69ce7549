"""The data that this registry answers from: read once, frozen, named by a digest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.delivery import Delivery, Source, read
from upcare_mpc.kinds import Kind
from upcare_mpc.node.config import DataFiles
from upcare_mpc.study.rows import tabulate

__all__ = ["Snapshot", "load_snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A frozen delivery. Secret: everything but the digest."""

    delivery: Delivery

    @property
    def digest(self) -> bytes:
        """Names the snapshot, 32 bytes."""
        return self.delivery.digest

    def tabulate(self, kind: Kind) -> bytes:
        """Count a study's table over the cases: ``(n,)`` little-endian 64-bit. Secret.

        Never fails on a record: what a record does not say, it does not count for.
        """
        vector = tabulate(kind.measures(), kind.layout(), self.delivery.cases)
        return vector.astype(np.dtype("<i8")).tobytes()


def load_snapshot(data: DataFiles) -> Snapshot:
    """Read a registry's files.

    Raises:
        DataError: A file is missing or not readable as a whole; the text names it.
    """
    for path in data.files:
        if not path.is_file():
            raise DataError(f"{path.name}: no such data file")
    sources = [_source(path) for path in data.files]
    return Snapshot(delivery=read(sources, complete=data.complete))


def _source(path: Path) -> Source:
    return Source(path.name, lambda: path.open("rb"))
