"""Files that are whole or not there after a crash."""

import os
from pathlib import Path

__all__ = ["flush", "replace_text"]


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old one or the new one, whole; mode 600."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, "utf-8")
    flush(fresh)
    fresh.replace(path)
    flush(path.parent)
