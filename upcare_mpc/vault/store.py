"""Where the objects of one registry lie: the port, and a folder that fills it.

Objects are named by what they hold (``encoding.name_of``), so one that is there is never written
again, an upload that was cut goes on behind what arrived, and no object changes. Only the head is
replaced. A store is not trusted: readers check all that it gives.

The largest object is a block of the largest slots, 4 MiB, or the list of 2^18 blocks, 9 MB: that
much is in memory at once, however large the vault is.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from upcare_mpc.errors import ConfigError, DataError, InputError, ProtocolError
from upcare_mpc.vault.edition import (
    HEAD,
    MAX_GROUP_BYTES,
    MAX_HEAD_BYTES,
    Edition,
    Group,
    open_head,
)
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.objects import (
    MAX_BLOCK_BYTES,
    MAX_SHEET_BYTES,
    MAX_SHELF_BYTES,
    shelf_blocks,
)

__all__ = [
    "Folder",
    "Store",
    "check_name",
    "copy",
    "fetch",
    "is_name",
    "keep",
    "named_by_head",
    "open_store",
    "sweep",
]

LARGEST: Final = {
    "block": MAX_BLOCK_BYTES,
    "sheet": MAX_SHEET_BYTES,
    "shelf": MAX_SHELF_BYTES,
    "group": MAX_GROUP_BYTES,
}
"""Kinds of objects, and the most bytes that one has."""

_UNSETTLED_BYTES: Final = 2**27
_NAME: Final = re.compile(rf"[0-9a-f]{{64}}|{HEAD}", re.ASCII)


class Store(Protocol):
    """Objects by name: 64 hexadecimal digits, or ``head``.

    One process writes at a time. Every method raises ``DataError`` if the disk or the other side
    fails.
    """

    def put(self, name: str, content: bytes) -> None:
        """Keep an object, whole or not at all; if it is there, only the head is replaced."""

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """Return an object; None if it is not there, or longer than ``at_most`` bytes."""

    def delete(self, name: str) -> None:
        """Remove an object; it may be gone already."""

    def names(self) -> Iterable[str]:
        """Return the names of all objects, in any order."""

    def settle(self) -> None:
        """Return when all that was put and deleted so far survives a crash, and can be got."""


def is_name(name: str) -> bool:
    """Say whether something is the name of an object."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return a name if it is one; a path made of it stays in its folder.

    Raises:
        InputError: It is not.
    """
    if not is_name(name):
        raise InputError("vault: an object is named by 64 hexadecimal digits, or head")
    return name


class Folder:
    """A store in a folder of its own, mode 700.

    An object gets its name when it is on the disk, many at a time; until then it is ``<name>.new``.
    """

    def __init__(self, path: Path) -> None:
        """Open the folder, or make it."""
        self._path = path
        self._fresh: set[Path] = set()
        self._fresh_bytes = 0
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:  # its text holds a path, as below
            raise ConfigError("the vault's folder cannot be made") from None

    def put(self, name: str, content: bytes) -> None:
        """As ``Store`` says; the head, when it returns, for good."""
        path = self._path / check_name(name)
        fresh = path.with_name(f"{name}.new")
        try:
            if name != HEAD and path.exists():
                return
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except OSError:
            raise DataError("the vault cannot be written") from None
        self._fresh.add(fresh)
        self._fresh_bytes += len(content)
        if name == HEAD or self._fresh_bytes > _UNSETTLED_BYTES:
            self.settle()

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """As ``Store`` says."""
        try:
            with (self._path / check_name(name)).open("rb") as file:
                content = file.read(at_most + 1)
        except FileNotFoundError:
            return None
        except OSError:
            raise DataError("the vault cannot be read") from None
        return content if len(content) <= at_most else None

    def delete(self, name: str) -> None:
        """As ``Store`` says."""
        try:
            (self._path / check_name(name)).unlink(missing_ok=True)
        except OSError:
            raise DataError("the vault cannot be written") from None

    def names(self) -> list[str]:
        """As ``Store`` says."""
        try:
            return [path.name for path in self._path.iterdir() if is_name(path.name)]
        except OSError:
            raise DataError("the vault cannot be read") from None

    def settle(self) -> None:
        """As ``Store`` says."""
        written, self._fresh, self._fresh_bytes = self._fresh, set(), 0
        try:
            os.sync()  # starts all writes at once; fsync by itself takes a millisecond each
            for fresh in written:
                _flush(fresh)  # tells whether this one was written
            for fresh in written:
                fresh.replace(fresh.with_suffix(""))
            for left in self._path.glob("*.new"):  # by a writer that was interrupted
                left.unlink()
            _flush(self._path)
        except OSError:
            raise DataError("the vault cannot be written") from None


def open_store(where: str) -> Store:
    """Open a store by the path of a folder, or by URL.

    Args:
        where: A path, or ``s3://``, ``gs://``, ``abfs://``, ``hdfs://`` with what pyarrow wants
            behind it; credentials come from the environment.

    Raises:
        ConfigError: It is neither, or the place cannot be reached.
    """
    scheme = urlsplit(where).scheme
    if not scheme:
        return Folder(Path(where))
    from upcare_mpc.vault.bucket import Bucket  # noqa: PLC0415 - loads pyarrow's file systems

    return Bucket(where)


# --- what every store can do with these -------------------------------------------------------


def fetch(store: Store, kind: str, name: str) -> bytes | None:
    """Return an object; None if it is not there, or not what its name says."""
    content = store.get(name, at_most=LARGEST[kind])
    return content if content is not None and name_of(kind, content) == name else None


def keep(store: Store, kind: str, content: bytes) -> str:
    """Put an object; return its name."""
    name = name_of(kind, content)
    store.put(name, content)
    return name


def named_by_head(store: Store) -> dict[str, str]:
    """Return all objects that the edition in force needs, with their kinds; none without a head.

    Raises:
        DataError: The head, a group or the shelf is damaged or missing.
    """
    head = store.get(HEAD, at_most=MAX_HEAD_BYTES)
    if head is None:
        return {}
    try:
        edition = Edition.from_bytes(open_head(head)[0])
        shelf = shelf_blocks(_needed(store, "shelf", edition.shelf))
        found = {block.tobytes().hex(): "block" for block in shelf["name"]}
        for root in edition.groups:
            group = Group.from_bytes(_needed(store, "group", root.name))
            found |= dict.fromkeys(group.sheets, "sheet") | {root.name: "group"}
    except ProtocolError:
        raise DataError("the edition in force in the vault is damaged") from None
    return found | {edition.shelf: "shelf"}


def sweep(store: Store) -> None:
    """Delete what the edition in force does not need.

    Raises:
        DataError: As ``named_by_head``; nothing is deleted.
    """
    needed = named_by_head(store)
    for name in store.names():
        if name != HEAD and name not in needed:
            store.delete(name)
    store.settle()


def copy(source: Store, target: Store) -> None:
    """Bring the edition in force in one store into force in another; what is there stays.

    Cut at any point, the target has its old edition in force, and the next call goes on behind what
    has arrived. The target's old objects go last.

    Raises:
        DataError: The source lacks something; the target's edition stays in force.
    """
    needed, there = named_by_head(source), set(target.names())
    for name, kind in needed.items():
        if name not in there:
            target.put(name, _needed(source, kind, name))
    head = source.get(HEAD, at_most=MAX_HEAD_BYTES)
    if head is None:
        raise DataError("there is no edition in the vault to be copied")
    target.settle()
    target.put(HEAD, head)
    for name in target.names():
        if name != HEAD and name not in needed:
            target.delete(name)
    target.settle()


def _needed(store: Store, kind: str, name: str) -> bytes:
    content = fetch(store, kind, name)
    if content is None:
        raise DataError(f"a {kind} of the vault is missing or damaged")
    return content


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
