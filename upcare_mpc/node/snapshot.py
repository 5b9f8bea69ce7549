"""The data that this registry answers from: read once, frozen, named by a digest."""

import hmac
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.delivery import Delivery, Source, read
from upcare_mpc.kinds import Kind
from upcare_mpc.study.rows import tabulate

__all__ = ["Snapshot", "load_snapshot", "read_delivery"]

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A frozen delivery.

    Attributes:
        delivery: The cases. Secret.
        digest: Names the snapshot to the outside, 32 bytes. Keyed with a secret of this registry:
            whoever guesses all records but one cannot test a guess of that one against it.
    """

    delivery: Delivery
    digest: bytes

    def tabulate(self, kind: Kind) -> bytes:
        """Count a study's table over the cases: ``(n,)`` little-endian 64-bit. Secret.

        Never fails on a record: what a record does not say, it does not count for.
        """
        vector = tabulate(kind.measures(), kind.layout(), self.delivery.cases)
        return vector.astype(np.dtype("<i8")).tobytes()


def load_snapshot(data: DataFiles, state: Path) -> Snapshot:
    """Read a registry's files.

    Args:
        data: Where they are.
        state: The node's state folder, which keeps the secret that digests are keyed with.

    Raises:
        DataError: A file is missing or not readable as a whole; the text names it.
        ConfigError: There are more cases than the registry has declared, or the secret is damaged.
    """
    delivery = read_delivery(data)
    if len(delivery.cases) > data.cases_at_most:
        raise ConfigError(
            f"party.toml: data.cases_at_most: wanted at least as many tumours as there are, "
            f"got {data.cases_at_most}"
        )
    digest = hmac.digest(_secret(state), b"upcare/v1/snapshot|" + delivery.digest, "sha256")
    return Snapshot(delivery=delivery, digest=digest)


def read_delivery(data: DataFiles) -> Delivery:
    """Read a registry's files, without naming them to anyone.

    Raises:
        DataError: As ``load_snapshot``.
    """
    for path in data.files:
        if not path.is_file():
            raise DataError(f"{path.name}: no such data file")
    return read([_source(path) for path in data.files], complete=data.complete)


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


def _source(path: Path) -> Source:
    return Source(path.name, lambda: path.open("rb"))
