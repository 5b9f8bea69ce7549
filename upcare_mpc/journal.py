"""An append-only chain of entries: whatever was written cannot be changed unnoticed.

Each entry carries the digest of the one before it, so the digest of the last entry, the *head*,
commits to the whole history. Ledger, approvals and consents are entries of one chain per
registry; the present state is always a fold over it.

What it gives: an entry that was altered, removed from the middle, inserted or reordered is found
by ``verify`` alone. What it does not give alone: someone with write access can cut off the end,
or rewrite everything and compute new digests. That is found by whoever remembers a later head,
so keep the head that ``upcare ledger verify`` prints somewhere else.

Entry digest: SHA-256 over a versioned tag and the length-prefixed fields. Bodies are canonical
JSON (sorted keys, no spaces, ASCII, no floats): one value has one text.

Pure: time is passed in, and storing is the business of whoever implements ``JournalStore``.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from upcare_mpc.errors import PrivacyError

__all__ = [
    "GENESIS",
    "Entry",
    "Event",
    "Head",
    "JournalStore",
    "Json",
    "append",
    "canonical_json",
    "utc_text",
    "verify",
]

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

_TAG = b"upcare/journal/v1\n"
_KIND = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain: how many entries it has, and the digest of the last one."""

    sequence: int
    digest: bytes


GENESIS = Head(sequence=0, digest=hashlib.sha256(_TAG + b"genesis").digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something decided and not yet written: an entry without its place in the chain.

    Attributes:
        kind: What happened, for example ``ledger.spend``.
        body: The particulars, without floats.
    """

    kind: str
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link of the chain.

    Attributes:
        sequence: 1 for the first entry, then 2, 3, ...
        time: When it was written, ISO 8601, UTC, ending in ``Z``.
        kind: What happened, for example ``ledger.spend``.
        body: Canonical JSON of an object.
        previous: Digest of the entry before; of ``GENESIS`` for the first.
        digest: Digest of this entry.
    """

    sequence: int
    time: str
    kind: str
    body: str
    previous: bytes
    digest: bytes

    def fields(self) -> dict[str, Json]:
        """Return the body as an object."""
        fields = json.loads(self.body)
        if not isinstance(fields, dict):
            raise PrivacyError(f"journal entry {self.sequence}: the body is not an object")
        return fields

    @property
    def head(self) -> Head:
        """The head of a chain that ends with this entry."""
        return Head(sequence=self.sequence, digest=self.digest)


class JournalStore(Protocol):
    """Where a chain is kept; defined here, implemented in ``storage``."""

    def entries(self) -> tuple[Entry, ...]:
        """Return the whole verified chain."""

    def append(self, entry: Entry) -> None:
        """Store ``entry`` durably, only if the chain still ends where the entry expects.

        Raises:
            PrivacyError: Somebody else appended first; decide again.
        """

    def record(self, decide: Callable[[tuple[Entry, ...]], Event], *, time: datetime) -> Entry:
        """Decide on the chain as it is, and append what was decided, in one transaction.

        Whatever ``decide`` raises is passed on, and nothing is written.
        """


def append(head: Head, event: Event, *, time: datetime) -> Entry:
    """Return the entry that follows ``head``; ``time`` is in UTC."""
    if not _KIND.fullmatch(event.kind):
        raise ValueError(f"journal kinds look like 'ledger.spend', got {event.kind!r}")
    sequence = head.sequence + 1
    stamp = utc_text(time)
    body = canonical_json(dict(event.body))
    return Entry(
        sequence=sequence,
        time=stamp,
        kind=event.kind,
        body=body,
        previous=head.digest,
        digest=_digest(sequence, stamp, event.kind, body, head.digest),
    )


def verify(entries: Iterable[Entry], *, start: Head = GENESIS) -> Head:
    """Check the chain from ``start`` on and return its head.

    Raises:
        PrivacyError: An entry is missing, out of place or altered; the text names the first.
    """
    head = start
    for entry in entries:
        place = f"journal entry {head.sequence + 1}"
        if entry.sequence != head.sequence + 1:
            raise PrivacyError(f"{place}: wanted its number, got number {entry.sequence}")
        if entry.previous != head.digest:
            raise PrivacyError(f"{place}: it does not follow the entry before it")
        digest = _digest(entry.sequence, entry.time, entry.kind, entry.body, entry.previous)
        if entry.digest != digest:
            raise PrivacyError(f"{place}: it was altered, its digest does not match")
        head = entry.head
    return head


def utc_text(time: datetime) -> str:
    """Write an aware time in UTC as ISO 8601 with milliseconds and ``Z``."""
    if time.utcoffset() != timedelta(0):
        raise ValueError(f"journal times are in UTC, got {time.isoformat()}")
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def canonical_json(value: Json) -> str:
    """Write ``value`` in the one text that stands for it; floats are refused."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _refuse_floats(value: object) -> None:
    match value:
        case None | bool() | int() | str():
            return
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"canonical JSON wants text keys, got {type(key).__name__}")
                _refuse_floats(item)
        case list() | tuple():
            for item in value:
                _refuse_floats(item)
        case _:
            raise TypeError(f"canonical JSON has no {type(value).__name__}")


def _digest(sequence: int, time: str, kind: str, body: str, previous: bytes) -> bytes:
    """Digest of one entry; every field is preceded by its length in 8 bytes."""
    hashed = hashlib.sha256(_TAG)
    for field in (str(sequence).encode(), previous, time.encode(), kind.encode(), body.encode()):
        hashed.update(len(field).to_bytes(8, "big") + field)
    return hashed.digest()
