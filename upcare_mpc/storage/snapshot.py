"""The snapshots of a registry: frozen, named by their content, one of them in force.

    current                 hex digest of the snapshot in force
    <digest>.parquet        its rows (``snapshot_rows``)
    <digest>.reference      population and life table (``snapshot_reference``), if there are any
    <digest>.json           its manifest: where it came from, what became of it
    <digest>.destroyed      instead of these: a receipt
    snapshot.key            secret of the registry: pseudonyms and outside names are keyed with it

A snapshot never changes. A new one is written under another name, flushed to disk and renamed, and
only then does ``current`` name it, by a rename too: a crash at any moment leaves the old one in
force, and the next writer clears what was half written. One that must not exist any more (it may
hold a patient who has objected) is destroyed after its successor is in force: the receipt is on
disk before the rows go, and content that was once destroyed is not taken again.

What leaks: the folder is the registry's alone. Manifests and receipts hold counts and digests, and
names of files. Whoever copied rows before they were destroyed still has them, as do backups and,
until they are written over, the blocks of the disk.

One process at a time writes (`Snapshots.writing`); others may read meanwhile.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.records.reference import NOTHING, Reference
from upcare_mpc.storage.durable import flush, held, replace_text
from upcare_mpc.storage.snapshot_engine import Engine
from upcare_mpc.storage.snapshot_reference import decoded, encoded
from upcare_mpc.storage.snapshot_rows import COLUMNS, read_digest, write_rows

__all__ = ["Account", "Manifest", "Snapshots", "SourceFile", "Sources"]

_VERSION: Final = 1
_SECRET_BYTES: Final = 32
_MANIFESTS: Final = "[0-9a-f]" * 64 + ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that a snapshot was made from: its name without folder, SHA-256 in hex, size."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a snapshot is made from; the same source by the same code gives the same snapshot.

    Attributes:
        files: In the order in which they are read.
        rules: Version of the rules by which messages become cases.
        complete: Kinds of treatment that the registry declares complete; sorted.
        encr_missing: Codes that mean "unknown" in ENCR files, by column; sorted.
        deletions: SHA-256 in hex of the deletion list; empty if there is none.
    """

    files: tuple[SourceFile, ...]
    rules: int
    complete: tuple[str, ...]
    encr_missing: Mapping[str, tuple[str, ...]]
    deletions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of the messages of a source.

    Attributes:
        messages: Messages and rows read.
        replaced: Of these, replaced by a correction.
        rejected: Of these, left out, by reason.
        remarks: What was noticed and rejects nothing, by kind.
        formats: Files read, by format.
    """

    messages: int
    replaced: int
    rejected: Mapping[str, int]
    remarks: Mapping[str, int]
    formats: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of a snapshot besides its rows.

    Attributes:
        digest: Of the content, 32 bytes; secret, as it is a function of the records.
        patients: Different patients.
        tumours: Rows.
        written: When.
        sources: What it was made from.
        account: What became of the messages.
    """

    digest: bytes
    patients: int
    tumours: int
    written: datetime
    sources: Sources
    account: Account


class Snapshots:
    """The folder of a registry's snapshots."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, or make it."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for writing; first finish what a crash has interrupted.

        Raises:
            ConfigError: Another process is writing.
        """
        lock = self.folder / "writer.lock"
        with held(lock, "another process is writing a snapshot here"):
            for receipt in self.folder.glob("*.destroyed"):
                self._remove(receipt.stem)
            for left in self.folder.glob("*.new"):
                left.unlink()
            for part in (*self.folder.glob("*.parquet"), *self.folder.glob("*.reference")):
                if part.stem != self._in_force() and not part.with_suffix(".json").exists():
                    part.unlink()
            yield

    def secret(self) -> bytes:
        """The registry's secret, 32 bytes; made when it is first asked for.

        Raises:
            ConfigError: The file is damaged, or gone: under a new secret every patient would be
                another one, and what she has said, an objection too, nobody's.
        """
        path = self.folder / "snapshot.key"
        if not path.exists():
            if self._in_force() is not None:
                raise ConfigError(
                    f"{path.name} is missing beside a snapshot in force, and with it the tie "
                    "between patients and what they have said; put it back"
                )
            fresh = path.with_suffix(f".{os.getpid()}.new")  # gets its name when whole
            fresh.touch(mode=0o600)
            fresh.write_bytes(os.urandom(_SECRET_BYTES))
            flush(fresh)
            with contextlib.suppress(FileExistsError):  # another process was first: its one counts
                path.hardlink_to(fresh)
            fresh.unlink()
            flush(self.folder)
        secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise ConfigError(
                f"{path.name}: wanted {_SECRET_BYTES} bytes, got {len(secret)}; put back the "
                "right one"
            )
        return secret

    def current(self) -> Manifest | None:
        """Return the manifest of the snapshot in force, if there is one that this version reads.

        Raises:
            DataError: There is one and its manifest is damaged.
        """
        name = self._in_force()
        while name is not None:
            try:
                return self._manifest(name)
            except DataError:
                superseded, name = name, self._in_force()
                if name == superseded:
                    raise
        return None

    def in_force(self) -> bytes | None:
        """The digest of the snapshot in force, without a look at its manifest."""
        name = self._in_force()
        return None if name is None else bytes.fromhex(name)

    def outdated(self, deletions: str) -> list[bytes]:
        """Digests of snapshots that are not in force and know another deletion list.

        Args:
            deletions: SHA-256 in hex of the list, as in `Sources`.
        """
        return [
            bytes.fromhex(path.stem)
            for path in sorted(self.folder.glob(_MANIFESTS))
            if path.stem != self._in_force() and self._deletions(path) != deletions
        ]

    def write(
        self,
        batches: Iterable[Any],
        sources: Sources,
        account: Callable[[], Account],
        now: datetime,
        reference: Reference = NOTHING,
    ) -> Manifest:
        """Freeze rows and put the snapshot in force; only while `writing`.

        Args:
            batches: As ``snapshot_rows.write_rows`` takes them; read once.
            sources: Where they come from.
            account: What became of the messages; called after the last row.
            now: For the manifest.
            reference: Population and life table.

        Raises:
            RefusedError: A snapshot with this content was destroyed.
            OSError: The disk cannot hold it; the old one stays in force.
        """
        fresh = self.folder / "rows.new"
        beside = encoded(reference)
        try:
            fresh.touch(mode=0o600)
            written = write_rows(batches, fresh, rules=sources.rules, reference=beside)
            name = written.digest.hex()
            if (self.folder / f"{name}.destroyed").exists():
                raise RefusedError(
                    "a snapshot with this content was destroyed; if it may be there again, remove "
                    f"its receipt {name}.destroyed"
                )
            manifest = Manifest(
                digest=written.digest,
                patients=written.patients,
                tumours=written.tumours,
                written=now,
                sources=sources,
                account=account(),
            )
            fresh.chmod(0o400)
            flush(fresh)
            fresh.replace(self.folder / f"{name}.parquet")
            if beside:
                replace_text(self.folder / f"{name}.reference", beside.decode("ascii"))
            replace_text(self.folder / f"{name}.json", _encoded(manifest))
            replace_text(self.folder / "current", f"{name}\n")
        finally:
            fresh.unlink(missing_ok=True)
        return manifest

    def open(self, manifest: Manifest, spill: Path) -> tuple[Engine, Reference]:
        """Open a snapshot for counting, after all of it was held against its digest.

        Population and life table are those that were held against it, read once.

        Args:
            manifest: Of the snapshot.
            spill: A folder for what does not fit into memory; made, and deleted at the end.

        Raises:
            DataError: It was destroyed, cannot be read, or is not what its name says.
        """
        rows, beside = self._checked(manifest)
        return Engine(rows, spill), decoded(beside)

    def checked_rows(self, manifest: Manifest) -> Path:
        """Where the rows of a snapshot are, after they were held against its digest.

        Raises:
            DataError: As `open`.
        """
        rows, _ = self._checked(manifest)
        return rows

    def reference(self, manifest: Manifest) -> Reference:
        """Read the population and the life table of a snapshot, unchecked; `open` checks them.

        Raises:
            DataError: They cannot be read.
        """
        return decoded(self._beside(manifest))

    def rows(self, manifest: Manifest) -> Path:
        """Where the rows of a snapshot are."""
        return self.folder / f"{manifest.digest.hex()}.parquet"

    def destroy(self, digest: bytes, *, reason: str, now: datetime) -> None:
        """Destroy a snapshot's rows and manifest; a receipt stays; only while `writing`.

        Args:
            digest: Of the content.
            reason: For the receipt, without a name or a number of a patient.
            now: For the receipt.

        Raises:
            RefusedError: It is in force; its successor has to be written first.
            DataError: There is no such snapshot.
        """
        name = digest.hex()
        if self._in_force() == name:
            raise RefusedError("the snapshot is in force; write its successor first")
        if not (self.folder / f"{name}.json").exists():
            raise DataError("there is no such snapshot")
        receipt = {
            "receipt": _VERSION,
            "digest": name,
            "destroyed": now.isoformat(),
            "reason": reason,
        }
        replace_text(self.folder / f"{name}.destroyed", json.dumps(receipt, indent=2) + "\n")
        self._remove(name)

    def _checked(self, manifest: Manifest) -> tuple[Path, bytes]:
        """The rows, and what is beside them, as they are when they are held against the digest."""
        rows = self.rows(manifest)
        if not rows.exists():
            raise DataError("the snapshot is not there; it was destroyed or moved")
        beside = self._beside(manifest)
        if read_digest(rows, rules=manifest.sources.rules, reference=beside) != manifest.digest:
            raise DataError("the snapshot has other rows than its name says")
        return rows, beside

    def _beside(self, manifest: Manifest) -> bytes:
        """Population and life table; empty without a file, which is another digest if one was."""
        try:
            return self.rows(manifest).with_suffix(".reference").read_bytes()
        except FileNotFoundError:
            return b""

    def _in_force(self) -> str | None:
        named = self.folder / "current"
        return named.read_text("ascii").strip() if named.exists() else None

    def _manifest(self, name: str) -> Manifest | None:
        try:
            text = (self.folder / f"{name}.json").read_text("ascii")
            return _decoded(json.loads(text))
        except (OSError, ValueError, TypeError, KeyError):
            raise DataError(
                "the manifest of the snapshot in force is damaged; put it back, or remove the file "
                "'current' beside it to read all data files anew"
            ) from None

    @staticmethod
    def _deletions(path: Path) -> str | None:
        """The deletion list that a snapshot knows; None if its manifest does not tell."""
        try:
            found: str = json.loads(path.read_text("ascii"))["sources"]["deletions"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found

    def _remove(self, name: str) -> None:
        for suffix in ("parquet", "reference", "json"):
            (self.folder / f"{name}.{suffix}").unlink(missing_ok=True)
        flush(self.folder)


def _encoded(manifest: Manifest) -> str:
    content = asdict(manifest) | {
        "manifest": _VERSION,
        "columns": list(COLUMNS),
        "digest": manifest.digest.hex(),
        "written": manifest.written.isoformat(),
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _decoded(content: dict[str, Any]) -> Manifest | None:
    if content["manifest"] != _VERSION or content["columns"] != list(COLUMNS):
        return None
    sources, account = content["sources"], content["account"]
    return Manifest(
        digest=bytes.fromhex(content["digest"]),
        patients=content["patients"],
        tumours=content["tumours"],
        written=datetime.fromisoformat(content["written"]),
        sources=Sources(
            files=tuple(SourceFile(**file) for file in sources["files"]),
            rules=sources["rules"],
            complete=tuple(sources["complete"]),
            encr_missing={name: tuple(codes) for name, codes in sources["encr_missing"].items()},
            deletions=sources["deletions"],
        ),
        account=Account(**account),
    )
