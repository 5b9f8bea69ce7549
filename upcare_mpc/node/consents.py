"""The consents that studies go by: frozen at fixed points of a calendar, whatever was said since.

    state/consents/2026-11-16.frozen    in force from that day to the last day of its period

At each point all last words on statistics go into a file, and the node answers from that file alone
until the next point, across restarts too; a file that is lost is frozen anew. So what was said
today changes no study before the point, and at the point the snapshot gets another name whether or
not anybody has said anything. Nobody outside can tell a week of withdrawals from a quiet one.

A permission counts for a period if it holds on its first and on its last day. The days on which one
holds are a run, so then it holds on all of them: nobody is counted beyond an end.

File: a line of canonical JSON (version, data set, first day, 16 random bytes), the consents in
their canonical text, a line each, by patient, and SHA-256 of all this in hex. Mode 600. The digest
of a freeze is that SHA-256: because of the random bytes it is another one for each freeze.

Secret: all of it, and its size. The adversary is whoever sees what leaves the registry; who reads
its disk reads the file.
"""

import hashlib
import json
import os
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias

from upcare_mpc.config import Calendar
from upcare_mpc.consent.gate import Gate, Selection, Status, decide, last_words, status
from upcare_mpc.consent.model import PSEUDONYM_BYTES, Activity, Consent, Giver
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import DataError, InputError
from upcare_mpc.journal import canonical_json
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.durable import flush

__all__ = ["Freezes", "FrozenConsents", "period"]

_VERSION: Final = 1
_NONCE_BYTES: Final = 16
_HEX: Final = 64  # characters of the last line
_NOBODY: Final = bytes(PSEUDONYM_BYTES)
_FORM: Final = "urn:upcare:frozen"
_Words: TypeAlias = frozenset[Consent]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenConsents:
    """The last words on statistics at one point.

    Attributes:
        data_set: They are about this one.
        first_day: The point.
        last_day: The last day before the next one.
        digest: Of this freeze, 32 bytes; another for each. Secret.
        said: The different last words, each with who has said it; of nobody, and with days that
            say no more than whether a permission holds on all days of the period. Secret.
    """

    data_set: str
    first_day: date
    last_day: date
    digest: bytes
    said: Mapping[_Words, frozenset[bytes]]

    def __repr__(self) -> str:
        """Hide who has said what, and how many have."""
        return f"FrozenConsents({self.data_set!r}, {self.first_day}, <consents hidden>)"

    def select(self, use: Use, gate: Gate) -> Selection:
        """Decide on a use for all patients, as ``gate.select`` does; each last word once.

        Raises:
            InputError: The use is not of statistics of this data set.
        """
        if (use.data_set, use.activity) != (self.data_set, Activity.STATISTICS):
            raise InputError("use: wanted statistics of this registry's data set")

        def permitted(words: _Words) -> bool:
            return decide(words, use, gate=gate, day=self.first_day).permitted

        silent = permitted(frozenset())
        exceptions = (who for words, who in self.said.items() if permitted(words) != silent)
        return Selection(silent=silent, exceptions=frozenset().union(*exceptions))

    @property
    def patients(self) -> frozenset[bytes]:
        """All who have said something. Secret."""
        return frozenset().union(*self.said.values())

    def among(self, patients: AbstractSet[bytes]) -> "FrozenConsents":
        """Return the same of some patients alone."""
        said = {words: who & patients for words, who in self.said.items()}
        return replace(self, said={words: who for words, who in said.items() if who})


@dataclass(frozen=True, slots=True, kw_only=True)
class Freezes:
    """The freezes of one node.

    Attributes:
        folder: Where they lie; made if it is missing. One process at a time uses it.
        consents: What patients have said.
        data_set: About which one.
        calendar: When there is a point.
        today: Says which day it is.
        random: Gives so many fresh random bytes.
    """

    folder: Path
    consents: Consents
    data_set: str
    calendar: Calendar
    today: Callable[[], date]
    random: Callable[[int], bytes] = os.urandom

    def in_force(self) -> FrozenConsents:
        """Return the freeze of today's period; make it if there is none.

        Raises:
            DataError: The file is damaged, or cannot be written.
        """
        first_day, last_day = period(self.today(), self.calendar)
        path = self.folder / f"{first_day}.frozen"
        if not path.exists():
            try:
                self._freeze(path, first_day)
            except OSError:  # its text holds a path
                raise DataError(
                    "the consents cannot be frozen: the disk is full or not writable"
                ) from None
        digest, said = _read(path, self._header(first_day), (first_day, last_day))
        return FrozenConsents(
            data_set=self.data_set,
            first_day=first_day,
            last_day=last_day,
            digest=digest,
            said=said,
        )

    def is_due(self, frozen: FrozenConsents) -> bool:
        """Say whether another freeze than this one is to be in force today."""
        return period(self.today(), self.calendar) != (frozen.first_day, frozen.last_day)

    def _freeze(self, path: Path, first_day: date) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        hashed = hashlib.sha256()
        with fresh.open("wb") as file:
            for line in self._lines(first_day):
                hashed.update(line)
                file.write(line)
            file.write(hashed.hexdigest().encode("ascii") + b"\n")
        flush(fresh)
        fresh.replace(path)
        flush(self.folder)
        for old in self.folder.glob("*.frozen"):
            if old != path:
                old.unlink()

    def _lines(self, first_day: date) -> Iterator[bytes]:
        """All lines but the last."""
        nonce = self.random(_NONCE_BYTES).hex()
        header = canonical_json({**self._header(first_day), "nonce": nonce})
        yield header.encode("ascii") + b"\n"
        for _, own in groupby(self.consents.all(), key=lambda consent: consent.patient):
            words = last_words(own, data_set=self.data_set, activity=Activity.STATISTICS)
            for consent in sorted(words, key=lambda word: word.digest):
                yield consent.canonical() + b"\n"

    def _header(self, first_day: date) -> dict[str, str | int]:
        return {
            "upcare_frozen_consents": _VERSION,
            "data_set": self.data_set,
            "first_day": first_day.isoformat(),
        }


def period(day: date, calendar: Calendar) -> tuple[date, date]:
    """Return the first and the last day of the period that a day lies in."""
    match calendar:
        case Calendar.DAY:
            return day, day
        case Calendar.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=6)
        case Calendar.MONTH:
            return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])


def _read(
    path: Path, header: dict[str, str | int], days: tuple[date, date]
) -> tuple[bytes, dict[_Words, frozenset[bytes]]]:
    """Read a file; its digest, and the different last words with who has said each.

    Raises:
        DataError: It is damaged, or another file than its name says.
    """
    damaged = DataError(
        f"{path.name}: the frozen consents are damaged; remove the file and they are frozen anew"
    )
    try:
        digest = _checked(path)
        with path.open("rb") as file:
            found = json.loads(file.readline())
            if {**header, "nonce": found["nonce"]} != found:
                raise damaged
            consents = (Consent.from_canonical(line[:-1]) for line in file if line[_HEX:] != b"\n")
            return digest, _by_words(consents, days)
    except (OSError, ValueError, KeyError, TypeError, InputError):
        raise damaged from None


def _checked(path: Path) -> bytes:
    """SHA-256 of all lines but the last, which has to state it."""
    hashed, last = hashlib.sha256(), b""
    with path.open("rb") as file:
        for line in file:
            hashed.update(last)
            last = line
    if last != hashed.hexdigest().encode("ascii") + b"\n":
        raise InputError("wanted the SHA-256 of the lines above")
    return hashed.digest()


def _by_words(
    consents: Iterable[Consent], days: tuple[date, date]
) -> dict[_Words, frozenset[bytes]]:
    said: dict[_Words, set[bytes]] = defaultdict(set)
    for patient, own in groupby(consents, key=lambda consent: consent.patient):
        said[frozenset(_what_decides(consent, days) for consent in own)].add(patient)
    return {words: frozenset(who) for words, who in said.items()}


def _what_decides(consent: Consent, days: tuple[date, date]) -> Consent:
    """The same answer as everybody has it who has said the same."""
    terms = consent.terms
    if terms is not None:
        holds = all(status(consent, [], day=day) is Status.PERMITTED for day in days)
        terms = replace(terms, first_day=date.min if holds else date.max, last_day=date.max)
    return replace(
        consent,
        patient=_NOBODY,
        version=1,
        terms=terms,
        giver=Giver.PATIENT,
        majority=None,
        given=date.min,
        form=_FORM,
    )
