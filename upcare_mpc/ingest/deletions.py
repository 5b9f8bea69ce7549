"""The deletion list: what a registry was asked to remove, beside the messages.

No message format has a deletion; a request comes by letter, and the old message is still in some
file. So the registry keeps a list, as CSV with a header, and every delivery is read against it.
A row names a patient (``patient``), one tumour of a patient (``patient`` and ``tumour``), or one
message (``reporter`` and ``message``: Melder_ID and Meldung_ID), in the words of the source.

A message is left out in every version and correction of it, whatever patient these name. A row on
a tumour reaches all messages that the rules give to that tumour, also those without its key.
Identifiers are compared letter by letter: ``1`` is not ``001``.

The list holds identifiers: it is secret, and nothing of it is stored but its hash.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Final

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.message import Message
from upcare_mpc.ingest.tables import Table, folded

__all__ = ["MAX_ROWS", "NOTHING", "Deletions", "read_deletions"]

MAX_ROWS: Final = 500_000
"""A list is held in memory."""

_COLUMNS: Final = ("patient", "tumour", "reporter", "message")


@dataclass(frozen=True, kw_only=True)
class Deletions:
    """What is to be left out.

    Attributes:
        patients: Patient ids.
        tumours: Patient id and tumour key.
        messages: Melder_ID and Meldung_ID.
    """

    patients: frozenset[str] = frozenset()
    tumours: frozenset[tuple[str, str]] = frozenset()
    messages: frozenset[tuple[str, ...]] = frozenset()

    @cached_property
    def _tumours_by_patient(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for patient_id, tumour_id in self.tumours:
            found[patient_id].add(tumour_id)
        return {patient_id: frozenset(keys) for patient_id, keys in found.items()}

    def __bool__(self) -> bool:
        """Whether anything is to be left out."""
        return bool(self.patients or self.tumours or self.messages)

    def __repr__(self) -> str:
        """Hide the identifiers."""
        return "Deletions(<hidden>)"

    def name(self, message: Message) -> bool:
        """Say whether a message is to be left out whatever its tumour is."""
        return message.patient_id in self.patients or message.key in self.messages

    def tumours_of(self, patient_id: str) -> frozenset[str]:
        """The keys of this patient's tumours that are to be left out."""
        return self._tumours_by_patient.get(patient_id, frozenset())

    def name_tumour(self, patient_id: str, tumour_id: str) -> bool:
        """Say whether a row on this tumour is to be left out."""
        return patient_id in self.patients or (patient_id, tumour_id) in self.tumours


NOTHING: Final = Deletions()


def read_deletions(stream: BinaryIO, name: str) -> Deletions:
    """Read a list.

    Raises:
        DataError: It is not CSV, has none of the columns, or a row names nothing.
    """
    patients, tumours, messages = set(), set(), set()
    for line, row in _rows(Table(stream, name)):
        if line > MAX_ROWS:
            raise DataError(f"{name}: wanted at most {MAX_ROWS} rows, got more")
        match row:
            case (patient, "", "", "") if patient:
                patients.add(patient)
            case (patient, tumour, "", "") if patient and tumour:
                tumours.add((patient, tumour))
            case ("", "", reporter, message) if reporter and message:
                messages.add((reporter, message))
            case _:
                raise DataError(
                    f"{name}: row {line}: wanted a patient, a patient and a tumour, or a reporter "
                    "and a message, got another combination"
                )
    return Deletions(
        patients=frozenset(patients), tumours=frozenset(tumours), messages=frozenset(messages)
    )


def _rows(table: Table) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows with their number, the cells in the order of `_COLUMNS`."""
    here = folded(table.columns)
    if not here or not set(here) <= set(_COLUMNS) or len(set(here)) < len(here):
        raise DataError(
            f"{table.name}: line 1: wanted a deletion list with some of the columns "
            f"{', '.join(_COLUMNS)}, each at most once"
        )
    positions = [here.index(column) if column in here else None for column in _COLUMNS]
    for number, row in enumerate(table.rows(), 1):
        if any(row):
            yield number, tuple("" if at is None else row[at].strip() for at in positions)
    if table.skipped:
        raise DataError(
            f"{table.name}: wanted {len(table.columns)} cells in every row, "
            f"got another number in {table.skipped}"
        )
