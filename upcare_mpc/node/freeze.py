"""From a registry's files to the snapshot in force: what `upcare ingest` does, and a node's start.

    hash the files -> read them (`ingest`) -> wait on disk (`storage.arrivals`)
    -> reduce (`storage.reduction`) -> freeze (`storage.snapshot`)

The same files under the same rules are not read again. A delivery that cannot be read, a full
disk, an interruption: the old snapshot stays in force. After an interruption reading goes on behind
the last checkpoint; after a failure what was read so far is deleted.

When the deletion list has changed, all snapshots that were frozen under another list are destroyed
as soon as the new one is in force; their receipts stay.
"""

import gc
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from upcare_mpc import __version__
from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError, UpcareError
from upcare_mpc.ingest.deletions import NOTHING, Deletions, read_deletions
from upcare_mpc.ingest.delivery import Group, Source, arrivals, check_complete, groups, reference
from upcare_mpc.ingest.encr import Batch
from upcare_mpc.ingest.message import Message
from upcare_mpc.ingest.reduce import RULES_VERSION
from upcare_mpc.records.reference import Reference
from upcare_mpc.storage.arrivals import Arrivals, forget_arrivals
from upcare_mpc.storage.reduction import reduced_rows
from upcare_mpc.storage.snapshot import Account, Manifest, Snapshots, SourceFile, Sources

__all__ = ["CHECKPOINT_BYTES", "Progress", "freeze"]

CHECKPOINT_BYTES: Final = 2**28
"""After how many bytes of files a checkpoint is made, at the end of the file then being read."""

_State: TypeAlias = tuple[int, int, int]

_CHUNK_BYTES: Final = 2**22
_NOTICE_ARRIVALS: Final = 512
_OBJECTION: Final = "the deletion list has changed"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: ``checking``, ``reading`` or ``freezing``; bytes of files, done and in all."""

    stage: str
    done: int
    whole: int


def freeze(
    data: DataFiles,
    folder: Path,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    afterwards: Callable[[Snapshots, Manifest], None] = lambda _snapshots, _manifest: None,
) -> Manifest:
    """Freeze a registry's files and put the snapshot in force, or find that it is.

    Args:
        data: Where the files are and how to read them.
        folder: Of the snapshots.
        progress: Called now and then.
        afterwards: Called at the end, while nobody else writes there.

    Raises:
        DataError: A file is missing, changes meanwhile, or is not readable as a whole; the text
            names it. Or the disk is full.
        ConfigError: Another process is writing there, or something is declared that is not.
        RefusedError: A snapshot with this content was destroyed.
    """
    check_complete(data.complete)
    snapshots = Snapshots(folder)
    with snapshots.writing():
        before = _states(data.files)
        sources = _sources(data, progress)
        deletions = _deletions(data)
        manifest = snapshots.current()
        _check_list(manifest, sources)
        try:
            if (
                manifest is None
                or manifest.sources != sources
                or not snapshots.rows(manifest).exists()
            ):
                manifest = _freeze(data, before, snapshots, sources, deletions, progress)
        except OSError:  # its text holds a path
            forget_arrivals(folder)
            raise DataError(
                "the disk is full or cannot be written; the old snapshot stays in force"
            ) from None
        except UpcareError:
            forget_arrivals(folder)
            raise
        forget_arrivals(folder)  # also those of a process that was killed at the very end
        for digest in snapshots.outdated(sources.deletions):
            snapshots.destroy(digest, reason=_OBJECTION, now=datetime.now(UTC))
        afterwards(snapshots, manifest)
        return manifest


def _freeze(
    data: DataFiles,
    before: Sequence[_State],
    snapshots: Snapshots,
    sources: Sources,
    deletions: Deletions,
    progress: Callable[[Progress], None],
) -> Manifest:
    waiting = Arrivals(
        snapshots.folder,
        _plan(sources),
        secret=snapshots.secret(),
        size=sum(file.size for file in sources.files),
    )
    beside = reference(_Files(data.files).sources)
    _read(data, waiting, progress)
    _check_unchanged(data, before)
    with _no_cycle_search():
        return _write(data, snapshots, waiting, sources, deletions, beside, progress)


@contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Without Python's search for cycles: messages and rows have none, and there are millions."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(data: DataFiles, waiting: Arrivals, progress: Callable[[Progress], None]) -> None:
    """Read what was not read before an interruption."""
    files = _Files(data.files)
    ordered = groups(files.sources)
    done = files.size(ordered[: waiting.groups])
    since = done
    for number, group in enumerate(ordered[waiting.groups :], waiting.groups + 1):
        found = arrivals(group, complete=data.complete, encr_missing=data.encr_missing)
        waiting.tally.formats[group.format.value] += len(group.sources)
        with _no_cycle_search():  # between two groups it takes the parsers of the last one
            waiting.take(_noticed(found, done, files, progress), group.format.value)
        done += files.size([group])
        if done - since >= CHECKPOINT_BYTES or number == len(ordered):
            waiting.checkpoint(number)
            since = done


def _noticed(
    found: Iterator[Message | Batch],
    done: int,
    files: "_Files",
    progress: Callable[[Progress], None],
) -> Iterator[Message | Batch]:
    """Hand on what is found; say now and then how far it is."""
    for number, arrival in enumerate(found):
        if number % _NOTICE_ARRIVALS == 0:
            progress(Progress("reading", done + files.position, files.whole))
        yield arrival


def _write(
    data: DataFiles,
    snapshots: Snapshots,
    waiting: Arrivals,
    sources: Sources,
    deletions: Deletions,
    beside: Reference,
    progress: Callable[[Progress], None],
) -> Manifest:
    def account() -> Account:
        return Account(
            messages=waiting.tally.messages,
            replaced=waiting.tally.replaced,
            rejected=dict(waiting.tally.rejected),
            remarks=dict(waiting.tally.remarks),
            formats=dict(waiting.tally.formats),
        )

    rows = reduced_rows(
        waiting,
        complete=data.complete,
        deletions=deletions,
        progress=lambda done, whole: progress(Progress("freezing", done, whole)),
    )
    return snapshots.write(rows, sources, account, datetime.now(UTC), beside)


# --- the files --------------------------------------------------------------------------------


class _Files:
    """The files of a delivery, and how far they are read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._open: list[BinaryIO] = []
        self._sizes = {self._source(path): path.stat().st_size for path in paths}

    @property
    def sources(self) -> list[Source]:
        """One for each file, in their order."""
        return list(self._sizes)

    @property
    def whole(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes.values())

    @property
    def position(self) -> int:
        """Bytes read of the files that are open."""
        self._open = [file for file in self._open if not file.closed]
        return sum(file.tell() for file in self._open)

    def size(self, of: Sequence[Group]) -> int:
        """Bytes of the files of some groups."""
        return sum(self._sizes[source] for group in of for source in group.sources)

    def _source(self, path: Path) -> Source:
        def opened() -> BinaryIO:
            self._open.append(path.open("rb"))
            return self._open[-1]

        return Source(path.name, opened)


def _sources(data: DataFiles, progress: Callable[[Progress], None]) -> Sources:
    for path in (*data.files, *([data.deletions] if data.deletions else [])):
        if not path.is_file():
            raise DataError(f"{path.name}: no such data file")
    whole = sum(path.stat().st_size for path in data.files)
    files: list[SourceFile] = []
    done = 0
    for path in data.files:
        files.append(
            _source_file(path, lambda read: progress(Progress("checking", read, whole)), done)
        )
        done += files[-1].size
    return Sources(
        files=tuple(files),
        rules=RULES_VERSION,
        complete=tuple(sorted(data.complete)),
        encr_missing={
            column: tuple(sorted(data.encr_missing[column])) for column in sorted(data.encr_missing)
        },
        deletions=_source_file(data.deletions).sha256 if data.deletions else "",
    )


def _source_file(
    path: Path, progress: Callable[[int], None] = lambda _: None, done: int = 0
) -> SourceFile:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                progress(done + size)
    except OSError:  # its text holds a path
        raise DataError(f"{path.name}: the file cannot be opened or read") from None
    return SourceFile(name=path.name, sha256=digest.hexdigest(), size=size)


def _states(paths: Sequence[Path]) -> list[_State]:
    """What changes when a file does, or another one takes its name."""
    found: list[_State] = []
    for path in paths:
        try:
            now = path.stat()
        except OSError:
            raise DataError(f"{path.name}: no such data file") from None
        found.append((now.st_ino, now.st_size, now.st_mtime_ns))
    return found


def _check_unchanged(data: DataFiles, before: Sequence[_State]) -> None:
    for path, was, now in zip(data.files, before, _states(data.files), strict=True):
        if now != was:
            raise DataError(f"{path.name}: the file has changed while it was read")


def _deletions(data: DataFiles) -> Deletions:
    if data.deletions is None:
        return NOTHING
    with data.deletions.open("rb") as file:
        return read_deletions(file, data.deletions.name)


def _check_list(manifest: Manifest | None, sources: Sources) -> None:
    """Refuse to go on without a deletion list after there was one: who is on it would return."""
    if manifest is not None and manifest.sources.deletions and not sources.deletions:
        raise ConfigError(
            "the snapshot in force was frozen with a deletion list; wanted a list again, got none "
            "(if nobody is to be left out any more, give one with nothing but its header)"
        )


def _plan(sources: Sources) -> str:
    """What the arrivals depend on; the deletion list takes effect after them."""
    stated = {**asdict(sources), "deletions": "", "software": __version__}
    return json.dumps(stated, sort_keys=True)
