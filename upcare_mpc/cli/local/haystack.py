"""Search bytes for secrets: files of a folder and the memory of a process, in many spellings.

A secret that lies somewhere is found in any of its spellings: as it is, in hexadecimal, in base64
at any offset, as UTF-16, escaped as Python and JSON write it, with commas for tabs. What is
compressed, or encrypted with a key that is there too, is not.

The search looks at every offset. It hashes 16 bytes of each spelling, of short ones 8, into a table
of 2^24 entries, passes over all windows of that length with numpy, and compares in full where a
window hits. Cost: a pass over the bytes for each offset of 8, whatever the number of secrets.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import InputError

__all__ = ["SHORTEST", "Find", "Haystack", "Secret", "memory_of", "search"]

SHORTEST: Final = 8
"""Bytes of the shortest secret that is searched for: shorter ones turn up by chance."""

_WINDOW: Final = 8
_BITS: Final = 24
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads what it multiplies
_SECOND: Final = np.uint64(0xC2B2AE3D27D4EB4F)  # another odd number without a pattern
_CHUNK: Final = 2**24
_MAPPED: Final = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r")
_NOT_MEMORY: Final = ("[vvar]", "[vvar_vclock]", "[vsyscall]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Something that must not be found.

    Attributes:
        what: What to call it in a report.
        content: Its bytes. Secret.
    """

    what: str
    content: bytes

    def __post_init__(self) -> None:
        if len(self.content) < SHORTEST:
            raise InputError(f"a secret to search for has at least {SHORTEST} bytes")

    def spellings(self) -> Iterator[tuple[str, bytes]]:
        """Yield the ways to write it, each with its name."""
        yield "raw", self.content
        yield "hex", self.content.hex().encode()
        yield "HEX", self.content.hex().upper().encode()
        yield "reversed", self.content[::-1]
        for offset in range(3):
            # What stands before and behind decides on the digits at the edges: they are cut off.
            encoded = base64.b64encode(bytes(offset) + self.content)
            whole = (offset + len(self.content)) * 8 // 6
            yield "base64", encoded[-(-offset * 8 // 6) : whole]
        spelt = {self.content}
        escaped = repr(self.content)[2:-1].encode()
        if escaped not in spelt:
            spelt.add(escaped)
            yield "escaped", escaped
        if self.content.isascii():
            yield "UTF-16", self.content.decode("ascii").encode("utf-16-le")
            quoted = json.dumps(self.content.decode("ascii"))[1:-1].encode()
            if quoted not in spelt:
                yield "JSON", quoted
            if b"\t" in self.content:
                yield "commas", self.content.replace(b"\t", b",")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Find:
    """A secret that was found.

    Attributes:
        where: The place, as the haystack calls it.
        what: Which secret.
        spelling: How it was written.
    """

    where: str
    what: str
    spelling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Haystack:
    """Bytes to search, in pieces that overlap by nothing.

    Attributes:
        where: What to call it in a report.
        pieces: Its bytes.
    """

    where: str
    pieces: Iterable[bytes]

    @classmethod
    def file(cls, path: Path, where: str) -> "Haystack":
        """Take a file."""
        return cls(where=where, pieces=[path.read_bytes()])


def memory_of(process: int, where: str) -> Haystack:
    """Read all memory of a running process that can be read.

    Args:
        process: Its id; it must be a child of this process, or this process be privileged.
        where: What to call it in a report.

    Raises:
        InputError: This process may not read it.
    """
    return Haystack(where=where, pieces=_regions(process))


def search(secrets: Iterable[Secret], haystack: Haystack) -> tuple[list[Find], int]:
    """Find secrets in a haystack.

    Returns:
        Each secret and spelling once, in order; and how many bytes were searched.
    """
    spelt = [(secret.what, how, text) for secret in secrets for how, text in secret.spellings()]
    tables = [_Table(width, spelt) for width in (_WINDOW, 2 * _WINDOW)]
    longest = max((len(text) for _, _, text in spelt), default=0)
    found: set[Find] = set()
    size = 0
    for piece in haystack.pieces:
        size += len(piece)
        for base in range(0, len(piece), _CHUNK):
            part = piece[base : base + _CHUNK + longest]
            for table in tables:
                found |= {
                    Find(where=haystack.where, what=what, spelling=how)
                    for what, how in table.find(part)
                }
    return sorted(found), size


def _regions(process: int) -> Iterator[bytes]:
    try:
        maps = Path(f"/proc/{process}/maps").read_text("ascii", "replace")
        memory = os.open(f"/proc/{process}/mem", os.O_RDONLY)
    except OSError:
        raise InputError(
            "the memory of the process cannot be read: wanted a child of this"
        ) from None
    try:
        for line in maps.splitlines():
            mapped = _MAPPED.match(line)
            if mapped is not None and not line.endswith(_NOT_MEMORY):
                low, high = (int(bound, 16) for bound in mapped.groups())
                yield _region(memory, low, high)
    finally:
        os.close(memory)


def _region(memory: int, low: int, high: int) -> bytes:
    """Read what can be read from the beginning of a region on."""
    content = bytearray()
    while low + len(content) < high:
        at = low + len(content)
        try:
            more = os.pread(memory, min(_CHUNK, high - at), at)
        except OSError:  # reserved, and nothing behind it
            break
        if not more:
            break
        content += more
    return bytes(content)


class _Table:
    """The spellings that are told apart by windows of one width."""

    def __init__(self, width: int, spelt: Sequence[tuple[str, str, bytes]]) -> None:
        self._width = width
        self._by_window: dict[bytes, list[tuple[str, str, bytes, int]]] = {}
        for what, how, text in spelt:
            if (len(text) >= 2 * _WINDOW) == (width == 2 * _WINDOW):
                begin = _rarest(text, width)
                window = text[begin : begin + width]
                self._by_window.setdefault(window, []).append((what, how, text, begin))
        self._hit = np.zeros(2**_BITS, bool)
        words = np.frombuffer(b"".join(self._by_window), "<u8")
        if len(words):
            self._hit[self._hashed(words)[:: width // _WINDOW]] = True

    def find(self, part: bytes) -> Iterator[tuple[str, str]]:
        """Yield name and spelling of what is there."""
        if not self._by_window:
            return
        for offset in range(min(_WINDOW, max(0, len(part) - self._width + 1))):
            words = np.frombuffer(part, "<u8", (len(part) - offset) // _WINDOW, offset)
            for number in np.flatnonzero(self._hit[self._hashed(words)]).tolist():
                at = offset + _WINDOW * number
                for what, how, text, begin in self._by_window.get(part[at : at + self._width], ()):
                    if at >= begin and part.startswith(text, at - begin):
                        yield what, how

    def _hashed(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """The hash of the window that begins with each word."""
        mixed = words * _FACTOR
        if self._width == 2 * _WINDOW:
            mixed = mixed[:-1] + (words[1:] * _SECOND)
        return mixed >> np.uint64(64 - _BITS)


def _rarest(text: bytes, width: int) -> int:
    """Where the window with most different bytes begins: zeros in a row are everywhere."""
    begins = range(len(text) - width + 1)
    return max(begins, key=lambda begin: len(set(text[begin : begin + width])))
