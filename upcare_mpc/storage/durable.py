"""Files that are whole or not there after a crash, and folders that one process holds."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upcare_mpc.errors import ConfigError

__all__ = ["flush", "held", "replace_bytes", "replace_text"]


@contextmanager
def held(lock: Path, refusal: str) -> Iterator[None]:
    """Hold a lock file, mode 600; it is let go with the process at the latest.

    Raises:
        ConfigError: Another process holds it; the text is ``refusal``.
    """
    lock.touch(mode=0o600)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(refusal) from None
        yield


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Write a small file of text as ``replace_bytes`` does."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole; mode 600."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")  # two commands may write at once
    try:
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        flush(fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    flush(path.parent)
