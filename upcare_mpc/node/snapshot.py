"""What this registry answers from, opened for counting and named by a digest.

Files are frozen into the state folder first (``node.freeze``); a folder that ``upcare ingest``
writes is taken as it is; a table of a warehouse stays where it is.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from upcare_mpc.config import Data, DataFiles, SnapshotFolder, WarehouseTable
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.kinds import Kind
from upcare_mpc.node.freeze import freeze
from upcare_mpc.storage.snapshot import Snapshots
from upcare_mpc.storage.warehouse import Warehouse
from upcare_mpc.study.layout import Layout, Measures

__all__ = ["Engine", "Snapshot", "load_snapshot", "renewed"]


class Engine(Protocol):
    """Counts cases: DuckDB over a snapshot, or a warehouse."""

    def tabulate(self, measures: Measures, layout: Layout) -> npt.NDArray[np.int64]:
        """Count the cases into the cells of the layout; ``(cells,)``, secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The data in force.

    Attributes:
        tumours: How many. Secret.
        origin: What to say of it in the registry's own log. Secret.
        digest: Names the data to the outside, 32 bytes. Keyed with a secret of this registry:
            whoever guesses all records but one cannot test a guess of that one against it.
        engine: Counts over its rows. Secret.
    """

    tumours: int
    origin: str
    digest: bytes
    engine: Engine

    def tabulate(self, kind: Kind) -> bytes:
        """Count a study's table over the cases: ``(n,)`` little-endian 64-bit. Secret.

        Never fails on a record: what a record does not say, it does not count for.
        """
        vector = self.engine.tabulate(kind.measures(), kind.layout())
        return vector.astype(np.dtype("<i8")).tobytes()


def load_snapshot(data: Data, state: Path) -> Snapshot:
    """Open what a registry answers from; freeze its files first.

    Args:
        data: Where the cases are.
        state: The node's state folder.

    Raises:
        DataError: A file is missing or not readable as a whole, or there is no snapshot.
        ConfigError: There are more cases than the registry has declared, or the secret is damaged.
        RefusedError: A snapshot of these files was destroyed.
    """
    match data.source:
        case WarehouseTable() as table:
            snapshot = _warehouse(table, Snapshots(state / "snapshots").secret())
        case SnapshotFolder(folder=folder):
            if not folder.is_dir():
                raise DataError(f"{folder.name}: no such folder of snapshots")
            snapshot = _frozen(Snapshots(folder), state)
        case DataFiles() as files:
            freeze(files, state / "snapshots")
            snapshot = _frozen(Snapshots(state / "snapshots"), state)
    if snapshot.tumours > data.cases_at_most:
        raise ConfigError(
            "party.toml: data.cases_at_most: wanted at least as many tumours as there are, "
            f"got {data.cases_at_most}"
        )
    return snapshot


def renewed(data: Data, state: Path, old: Snapshot) -> Snapshot | None:
    """Open the snapshot that ``upcare ingest`` has put in force since, if it has.

    Files and tables are not looked at again before the next start.

    Raises:
        DataError, ConfigError: As `load_snapshot`; the old one stays.
    """
    if not isinstance(data.source, SnapshotFolder):
        return None
    snapshots = Snapshots(data.source.folder)
    content = snapshots.in_force()
    if content is None or _digest(snapshots, content) == old.digest:
        return None
    return load_snapshot(data, state)


def _frozen(snapshots: Snapshots, state: Path) -> Snapshot:
    manifest = snapshots.current()
    if manifest is None:
        raise DataError("no snapshot is in force; run `upcare ingest` first")
    account = manifest.account
    return Snapshot(
        tumours=manifest.tumours,
        origin=(
            f"{manifest.tumours} tumours of {manifest.patients} patients, "
            f"{_sum(account.rejected)} messages rejected, from {', '.join(sorted(account.formats))}"
        ),
        digest=_digest(snapshots, manifest.digest),
        engine=snapshots.open(manifest, state / "spill" / manifest.digest.hex()),
    )


def _digest(snapshots: Snapshots, content: bytes) -> bytes:
    return _named(snapshots.secret(), b"snapshot", content)


def _warehouse(table: WarehouseTable, secret: bytes) -> Snapshot:
    engine = Warehouse(table.url, table.table, seconds=table.seconds)
    place = json.dumps([_without_login(table.url), table.table])
    tumours = engine.tumours()
    return Snapshot(
        tumours=tumours,
        origin=f"{tumours} tumours, in the table {table.table} of a warehouse",
        digest=_named(secret, b"warehouse", hashlib.sha256(place.encode()).digest()),
        engine=engine,
    )


def _without_login(url: str) -> str:
    """The scheme, host, port and path of a URL: who reads there does not name the data."""
    scheme, server, path, _, _ = urlsplit(url)
    return f"{scheme}://{server.rpartition('@')[2]}{path}"


def _named(secret: bytes, what: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, b"upcare/v1/" + what + b"|" + content, "sha256")


def _sum(counts: Mapping[str, int]) -> int:
    return sum(counts.values())
