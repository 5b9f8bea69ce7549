"""What patients have said, as this registry keeps it: appended to, never changed, never sent.

A batch of consents is one transaction and one entry ``consent.record`` of the journal: how many
there are, and a commitment to them.

    leaf         SHA-256("upcare/v1/consent-leaf" 0x00 | salt | digest of the consent)
    commitment   SHA-256("upcare/v1/consent-batch" 0x00 | leaves, sorted)

A salt is 16 fresh random bytes and stays in the table. So who holds the table can show that a
consent is the one that was recorded, and who holds the journal alone cannot test a guess of one.

Secret: every row, and how many there are. The adversary is whoever reads what leaves the registry,
and nothing here does.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from upcare_mpc.consent.model import PSEUDONYM_BYTES, Consent
from upcare_mpc.journal import Event, utc_text
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import CONSENTS

__all__ = ["Consents"]

_LEAF: Final = b"upcare/v1/consent-leaf\0"
_BATCH: Final = b"upcare/v1/consent-batch\0"
_SALT_BYTES: Final = 16
_AT_ONCE: Final = 500  # patients in one query
_REMEMBERED: Final = 4096  # different answers
_NOBODY: Final = bytes(PSEUDONYM_BYTES)


class Consents:
    """The consents of one registry; safe for several threads and processes."""

    def __init__(self, database: Database, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._database = database
        self._journal = SqlJournal(database)
        self._random = random

    def record(self, consents: Iterable[Consent], *, time: datetime) -> int:
        """Record what is not recorded yet, all of it or nothing.

        Args:
            consents: In any order. One that is recorded already changes nothing.
            time: Now, UTC.

        Returns:
            How many were new. If none was, nothing is written.
        """
        asked = {consent.digest: consent for consent in consents}
        while new := self._new(asked):
            salts = {digest: self._random(_SALT_BYTES) for digest in new}
            try:
                self._insert(new, salts, time)
            except IntegrityError:  # another process has recorded some of them just now
                continue
            return len(new)
        return 0

    def of(self, patient: bytes) -> tuple[Consent, ...]:
        """Return what a patient has said, oldest first."""
        query = (
            select(CONSENTS.c.canonical)
            .where(CONSENTS.c.patient == patient)
            .order_by(
                CONSENTS.c.recorded, CONSENTS.c.version, CONSENTS.c.activity, CONSENTS.c.digest
            )
        )
        with self._database.read() as connection:
            return tuple(map(Consent.from_canonical, connection.execute(query).scalars()))

    def all(self) -> Iterator[Consent]:
        """Go through all consents in one consistent state, by patient."""
        query = select(CONSENTS.c.patient, CONSENTS.c.canonical).order_by(
            CONSENTS.c.patient, CONSENTS.c.activity, CONSENTS.c.version, CONSENTS.c.digest
        )
        said = lru_cache(_REMEMBERED)(Consent.from_canonical)  # who said the same is read once
        with self._database.read() as connection:
            for patient, canonical in connection.execute(query):
                words = canonical.replace(_of(patient), _of(_NOBODY))
                yield replace(said(words), patient=patient)

    def _new(self, asked: dict[bytes, Consent]) -> dict[bytes, Consent]:
        """Return those that are not recorded, by digest."""
        new = dict(asked)
        patients = sorted({consent.patient for consent in asked.values()})
        with self._database.read() as connection:
            for some in _batched(patients):
                recorded = select(CONSENTS.c.digest).where(CONSENTS.c.patient.in_(some))
                for digest in connection.execute(recorded).scalars():
                    new.pop(digest, None)
        return new

    def _insert(self, new: dict[bytes, Consent], salts: dict[bytes, bytes], time: datetime) -> None:
        rows = [
            {
                "patient": consent.patient,
                "data_set": consent.data_set,
                "activity": consent.activity.value,
                "version": consent.version,
                "digest": digest,
                "canonical": consent.canonical(),
                "salt": salts[digest],
                "recorded": utc_text(time),
            }
            for digest, consent in new.items()
        ]
        event = Event(
            kind="consent.record",
            body={"consents": len(rows), "commitment": _commitment(salts).hex()},
        )

        def beside(connection: Connection) -> None:
            connection.execute(CONSENTS.insert(), rows)

        self._journal.record(lambda _: event, time=time, beside=beside)


def _commitment(salts: dict[bytes, bytes]) -> bytes:
    leaves = (hashlib.sha256(_LEAF + salt + digest).digest() for digest, salt in salts.items())
    return hashlib.sha256(_BATCH + b"".join(sorted(leaves))).digest()


def _batched(patients: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(patients), _AT_ONCE):
        yield patients[start : start + _AT_ONCE]


def _of(patient: bytes) -> bytes:
    """How a canonical consent says whose it is; a quotation mark in a text is escaped there."""
    return b'"patient":"%s"' % patient.hex().encode()
