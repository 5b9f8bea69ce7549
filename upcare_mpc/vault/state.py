"""What a registry knows of its sealed records: the keys to all of them, and where they lie.

    "UVT1" | length of frame (4) | frame, canonical JSON | blocks | records | SHA-256 of all this

*Frame* has registry, sequence, day, groups and departures; blocks are as in a shelf, records
rows of ``RECORD``, by ascending pseudonym. The integers of records are little-endian.

This is the registry's alone, and the most secret thing it has besides the records: who has it opens
every slot that it names. A record's key is in it until the record is withdrawn or gets another
version. It has 92 bytes for each record, in memory too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import DataError
from upcare_mpc.journal import canonical_json
from upcare_mpc.vault.edition import Edition
from upcare_mpc.vault.objects import SHELVED, Shelf

__all__ = ["PSEUDONYM_BYTES", "RECORD", "Departure", "Records", "State", "pseudonym_order"]

PSEUDONYM_BYTES: Final = 16
RECORD: Final = np.dtype(
    [
        ("pseudonym", "V16"),
        ("id", "V16"),
        ("key", "V32"),
        ("content", "V16"),
        ("version", "<u4"),
        ("slot", "<u4"),
        ("group", "<u4"),
    ]
)
"""One sealed record; ``content`` is the beginning of SHA-256 of its payload. Secret."""

Records = npt.NDArray[Any]  # of RECORD; numpy's types do not name the fields of a record

_DIGEST_BYTES: Final = 32


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """A record that the edition in force has not any more, because it was withdrawn.

    Attributes:
        pseudonym: Of the patient, hexadecimal. Secret.
        versions: How many versions of the record there were.
        block: Name of the block that held the last one.
    """

    pseudonym: str
    versions: int
    block: str


class GroupState(msgspec.Struct, frozen=True, kw_only=True):
    """A group: its terms (``policies``), and how many rows it shows."""

    terms: str
    rows: int


class _Frame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    registry: str
    sequence: int
    day: str
    groups: tuple[GroupState, ...]
    departures: tuple[Departure, ...]
    blocks: int
    records: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class State:
    """What the registry knows after an edition; before the first one, ``State.empty``.

    Attributes:
        registry: Its name.
        sequence: Number of the edition; 0 before the first.
        day: When; None before the first.
        groups: A record's ``group`` is a place in this list.
        departures: What left with this edition.
        blocks: ``(b,)`` of ``SHELVED``.
        records: ``(n,)`` of ``RECORD``, by ascending pseudonym. Secret.
    """

    registry: str
    sequence: int
    day: date | None
    groups: tuple[GroupState, ...]
    departures: tuple[Departure, ...]
    blocks: Shelf
    records: Records
    _high: npt.NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        high = _halves(self.records["pseudonym"])[:, 0]
        object.__setattr__(self, "_high", np.ascontiguousarray(high))

    @classmethod
    def empty(cls, registry: str, *, after: Edition | None = None) -> "State":
        """Of a registry that has published nothing, or begins anew after an edition."""
        return cls(
            registry=registry,
            sequence=after.sequence if after else 0,
            day=after.day if after else None,
            groups=(),
            departures=(),
            blocks=np.zeros(0, SHELVED),
            records=np.zeros(0, RECORD),
        )

    def find(self, pseudonym: bytes) -> int | None:
        """Return the place of a patient's record among ``records``; None if there is none."""
        high = np.frombuffer(pseudonym[:8], ">u8").astype(np.uint64)[0]
        at = int(self._high.searchsorted(high))
        while at < len(self._high) and self._high[at] == high:
            if self.records["pseudonym"][at].tobytes() == pseudonym:
                return at
            at += 1
        return None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Write it, piece by piece."""
        frame = canonical_json(
            {
                "registry": self.registry,
                "sequence": self.sequence,
                "day": self.day.isoformat() if self.day else "",
                "groups": [msgspec.to_builtins(group) for group in self.groups],
                "departures": [msgspec.to_builtins(one) for one in self.departures],
                "blocks": len(self.blocks),
                "records": len(self.records),
            }
        ).encode()
        hashed = sha256()
        start = b"UVT1" + len(frame).to_bytes(4) + frame
        for piece in (start, _bytes_of(self.blocks), _bytes_of(self.records)):
            hashed.update(piece)
            yield piece
        yield hashed.digest()

    @classmethod
    def from_bytes(cls, content: bytes) -> "State":
        """Read it back.

        Raises:
            DataError: It is damaged, or of another version.
        """
        body, digest = memoryview(content)[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if sha256(body).digest() != digest or not content.startswith(b"UVT1"):
            raise DataError("the list of sealed records is damaged, or of another version")
        start = 8 + int.from_bytes(body[4:8])
        frame = msgspec.json.decode(body[8:start], type=_Frame)
        middle = start + frame.blocks * SHELVED.itemsize
        return cls(
            registry=frame.registry,
            sequence=frame.sequence,
            day=date.fromisoformat(frame.day) if frame.day else None,
            groups=frame.groups,
            departures=frame.departures,
            blocks=np.frombuffer(body[start:middle], SHELVED),
            records=np.frombuffer(body[middle:], RECORD),
        )


def pseudonym_order(pseudonyms: Any) -> npt.NDArray[np.int64]:
    """Return the places of ``(n,)`` values of 16 bytes in ascending order."""
    halves = _halves(pseudonyms)
    return np.lexsort((halves[:, 1], halves[:, 0]))


def _halves(pseudonyms: Any) -> npt.NDArray[np.uint64]:
    """``(n, 2)``: the bytes as two numbers each, of which the first counts more."""
    whole = np.ascontiguousarray(pseudonyms).view(">u8").reshape(-1, 2)
    return whole.astype(np.uint64)


def _bytes_of(values: Any) -> memoryview:
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1).data
