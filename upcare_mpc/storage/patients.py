"""How a patient gets in, and what is there for her: codes, visits, and the rows of her record.

    invite    a one-time code, for a patient that the registry knows and has made sure of
    enter     the code is used up; a visit begins
    patient   whose visit it is; each look puts off its end
    leave     the visit is over

A code has 80 random bits, in 16 letters and digits that are not mistaken for each other: ``0`` and
``O`` are one, and so are ``1``, ``I`` and ``L``. The database holds SHA-256 of codes and tokens,
under tags of their own. Whoever reads it can enter nowhere, and gets from no row to a patient
without the pseudonym; whoever guesses at the door has one try in 2^80 for each code that is open.

Adversary: whoever reaches the page and types, and whoever finds an old letter. Not in scope:
whoever can read the registry's own disk sees the record anyway.
"""

import hashlib
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Table, select

from upcare_mpc.errors import DataError, RefusedError
from upcare_mpc.journal import utc_text
from upcare_mpc.records.case import Case
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import CODES, CONSENTS, VISITS
from upcare_mpc.storage.snapshot import Snapshots
from upcare_mpc.storage.snapshot_rows import COLUMNS

__all__ = [
    "CODE_LIFE",
    "VISIT_LIFE",
    "Visits",
    "cases_of",
    "recorded_days",
]

CODE_LIFE: Final = timedelta(hours=48)
"""How long a code can be used, at the longest."""

VISIT_LIFE: Final = timedelta(minutes=15)
"""After how long without a look a visit is over."""

_SYMBOLS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # five bits each; no I, L, O, U
_CODE_SYMBOLS: Final = 16
_GROUP: Final = 4
_TOKEN_BYTES: Final = 32
_CODE_TAG: Final = b"upcare/v1/patient-code\0"
_TOKEN_TAG: Final = b"upcare/v1/patient-visit\0"
_MISTAKEN: Final = str.maketrans("OIL", "011")
_MAX_TYPED: Final = 64
_PUT_OFF: Final = timedelta(minutes=1)  # less than this is not worth a write
_OWN_FIELDS: Final = frozenset(COLUMNS) & frozenset(Case.__dataclass_fields__)


class Visits:
    """The codes and visits of one registry; safe for several threads and processes."""

    def __init__(self, database: Database, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._database = database
        self._random = random

    def invite(self, patient: bytes, *, life: timedelta, now: datetime) -> str:
        """Make a code; the patient's earlier ones that were not used are void.

        Args:
            patient: Pseudonym.
            life: How long it can be used; at most `CODE_LIFE`.
            now: UTC.

        Returns:
            The code, as ``7K3M-9QXA-...``. Secret; it is stored nowhere.
        """
        if not timedelta(0) < life <= CODE_LIFE:
            raise ValueError(f"a code lives for at most {CODE_LIFE}, got {life}")
        number = int.from_bytes(self._random(_CODE_SYMBOLS * 5 // 8))
        symbols = "".join(_SYMBOLS[number >> 5 * place & 31] for place in range(_CODE_SYMBOLS))
        with self._database.write() as connection:
            _forget(connection, CODES, now)
            connection.execute(CODES.delete().where(CODES.c.patient == patient))
            connection.execute(
                CODES.insert().values(
                    code=_hidden(_CODE_TAG, symbols),
                    patient=patient,
                    expires=utc_text(now + life),
                )
            )
        return "-".join(re.findall(f".{{{_GROUP}}}", symbols))

    def enter(self, typed: str, *, now: datetime) -> str:
        """Use up a code and begin a visit.

        Args:
            typed: Anything at all; letters of any size, with or without hyphens and spaces.
            now: UTC.

        Returns:
            The token of the visit. Secret.

        Raises:
            RefusedError: There is no such code, or not any more; one text for all of it.
        """
        code = _hidden(_CODE_TAG, _read(typed))
        token = self._random(_TOKEN_BYTES).hex()
        with self._database.write() as connection:
            _forget(connection, CODES, now)
            _forget(connection, VISITS, now)
            patient = connection.execute(
                select(CODES.c.patient).where(CODES.c.code == code)
            ).scalar_one_or_none()
            if patient is not None:
                connection.execute(CODES.delete().where(CODES.c.code == code))
                connection.execute(
                    VISITS.insert().values(
                        token=_hidden(_TOKEN_TAG, token),
                        patient=patient,
                        expires=utc_text(now + VISIT_LIFE),
                    )
                )
        if patient is None:
            raise RefusedError("there is no such code, or it was used, or its time is up")
        return token

    def patient(self, token: str, *, now: datetime) -> bytes | None:
        """Return whose visit it is, and put off its end; None if there is no such visit."""
        visit = VISITS.c.token == _hidden(_TOKEN_TAG, token)
        with self._database.read() as connection:
            row = connection.execute(select(VISITS).where(visit)).one_or_none()
        if row is None or row.expires < utc_text(now):
            return None
        end = now + VISIT_LIFE
        if row.expires < utc_text(end - _PUT_OFF):
            with self._database.write() as connection:
                connection.execute(VISITS.update().where(visit).values(expires=utc_text(end)))
        patient: bytes = row.patient
        return patient

    def end(self, patient: bytes) -> None:
        """End all visits of a patient; nothing happens if there is none."""
        with self._database.write() as connection:
            connection.execute(VISITS.delete().where(VISITS.c.patient == patient))

    def leave(self, token: str) -> None:
        """End a visit; nothing happens if there is none."""
        with self._database.write() as connection:
            connection.execute(VISITS.delete().where(VISITS.c.token == _hidden(_TOKEN_TAG, token)))


def recorded_days(database: Database, patient: bytes) -> dict[bytes, datetime]:
    """Return when each of a patient's consents was recorded here, by its digest, in UTC."""
    query = select(CONSENTS.c.digest, CONSENTS.c.recorded).where(CONSENTS.c.patient == patient)
    with database.read() as connection:
        return {
            digest: datetime.fromisoformat(recorded)
            for digest, recorded in connection.execute(query)
        }


def cases_of(snapshots: Snapshots, patient: bytes) -> tuple[Case, ...]:
    """Return a patient's tumours in the snapshot in force, in their order; secret.

    Cost: the statistics of all row groups, and the one that holds the patient.

    Raises:
        DataError: The snapshot cannot be read.
    """
    while (manifest := snapshots.current()) is not None:
        try:
            rows = pq.read_table(
                snapshots.rows(manifest),
                columns=sorted(_OWN_FIELDS),
                filters=[("pseudonym", "=", pa.scalar(patient, pa.binary(len(patient))))],
            )
        except (OSError, pa.ArrowException):  # their texts may hold a path or a value
            if snapshots.in_force() != manifest.digest:  # a successor has taken its place
                continue
            raise DataError("the snapshot cannot be read") from None
        return tuple(
            Case(patient_id="", tumour_id=str(turn), **row)
            for turn, row in enumerate(rows.to_pylist())
        )
    return ()


def _hidden(tag: bytes, secret: str) -> bytes:
    return hashlib.sha256(tag + secret.encode()).digest()


def _read(typed: str) -> str:
    """Return the symbols that somebody has typed, as far as they can be any."""
    return re.sub(r"[\s-]+", "", typed[:_MAX_TYPED]).upper().translate(_MISTAKEN)


def _forget(connection: Connection, table: Table, now: datetime) -> None:
    connection.execute(table.delete().where(table.c.expires < utc_text(now)))
