"""The data that this registry answers from: frozen in its state folder, named by a digest.

Files are read once: as long as they, the rules and what is declared complete are the same, the next
start takes the snapshot that is in force.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.delivery import Delivery, Source, read
from upcare_mpc.ingest.reduce import RULES_VERSION
from upcare_mpc.kinds import Kind
from upcare_mpc.storage.snapshot import Account, Manifest, Snapshots, SourceFile, Sources
from upcare_mpc.storage.snapshot_engine import Engine

__all__ = ["Snapshot", "load_snapshot", "read_delivery"]

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The snapshot in force.

    Attributes:
        manifest: Where it came from, and its size. Secret.
        digest: Names the snapshot to the outside, 32 bytes. Keyed with a secret of this registry:
            whoever guesses all records but one cannot test a guess of that one against it.
        engine: Counts over its rows. Secret.
    """

    manifest: Manifest
    digest: bytes
    engine: Engine

    def tabulate(self, kind: Kind) -> bytes:
        """Count a study's table over the cases: ``(n,)`` little-endian 64-bit. Secret.

        Never fails on a record: what a record does not say, it does not count for.
        """
        vector = self.engine.tabulate(kind.measures(), kind.layout())
        return vector.astype(np.dtype("<i8")).tobytes()


def load_snapshot(data: DataFiles, state: Path) -> Snapshot:
    """Take the snapshot of a registry's files, or freeze one.

    Args:
        data: Where the files are.
        state: The node's state folder, which keeps the snapshots, and the secret that digests and
            pseudonyms are keyed with.

    Raises:
        DataError: A file is missing or not readable as a whole; the text names it.
        ConfigError: There are more cases than the registry has declared, or the secret is damaged.
        RefusedError: A snapshot of these files was destroyed.
    """
    secret = _secret(state)
    snapshots = Snapshots(state / "snapshots")
    sources = _sources(data)
    manifest = snapshots.current()
    if manifest is None or manifest.sources != sources:
        delivery = read_delivery(data)
        _check_size(delivery.tumours, data)
        manifest = snapshots.write(
            delivery.cases,
            sources,
            lambda: _account(delivery),
            secret=secret,
            now=datetime.now(UTC),
        )
    _check_size(manifest.tumours, data)
    return Snapshot(
        manifest=manifest,
        digest=hmac.digest(secret, b"upcare/v1/snapshot|" + manifest.digest, "sha256"),
        engine=snapshots.open(manifest),
    )


def read_delivery(data: DataFiles) -> Delivery:
    """Read a registry's files, without naming them to anyone.

    Raises:
        DataError: As ``load_snapshot``.
    """
    for path in data.files:
        _check_there(path)
    return read([_opened(path) for path in data.files], complete=data.complete)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path.name}: no such data file")


def _check_size(tumours: int, data: DataFiles) -> None:
    if tumours > data.cases_at_most:
        raise ConfigError(
            f"party.toml: data.cases_at_most: wanted at least as many tumours as there are, "
            f"got {data.cases_at_most}"
        )


def _sources(data: DataFiles) -> Sources:
    return Sources(
        files=tuple(map(_source_file, data.files)),
        rules=RULES_VERSION,
        complete=tuple(sorted(data.complete)),
    )


def _source_file(path: Path) -> SourceFile:
    _check_there(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return SourceFile(name=path.name, sha256=digest.hexdigest(), size=file.tell())
    except OSError:  # its text holds a path
        raise DataError(f"{path.name}: the file cannot be opened or read") from None


def _account(delivery: Delivery) -> Account:
    return Account(
        messages=delivery.messages,
        replaced=delivery.replaced,
        rejected=delivery.rejected,
        formats=delivery.formats,
    )


def _secret(state: Path) -> bytes:
    path = state / "snapshot.key"
    if not path.exists():
        fresh = path.with_suffix(".new")  # renamed when whole: a crash leaves no half of a key
        fresh.touch(mode=0o600)
        with fresh.open("wb") as file:
            file.write(os.urandom(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        raise ConfigError(
            f"{path.name}: wanted {_SECRET_BYTES} bytes, got {len(secret)}; put back the "
            "right one, or remove it and let the operator decide anew"
        )
    return secret


def _opened(path: Path) -> Source:
    return Source(path.name, lambda: path.open("rb"))
