"""From a registry's files to its cases: the way in to this package.

A delivery is all files of one registry, in whatever supported formats. It is read as a whole or
not at all: a file that cannot be read fails the delivery with one line, a record that cannot be
used is counted with a reason and left out. Neither shows a value from a file.

Corrections: a message with the ``Meldung_ID`` and ``Melder_ID`` of an earlier one replaces it,
across all files in the order given, whatever the version of each; so does an ENCR row or an
oBDS-RKI tumour with the keys of an earlier one.

The CSV tables of oBDS-RKI are several files and one delivery; they are read together, after the
other files.

What leaks: the counts are exact functions of the records. They are for the registry itself.

Limits: all messages of a delivery are held in memory until they are reduced.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import BinaryIO

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest import adt, encr, obds, rki_tables, rki_xml
from upcare_mpc.ingest.detect import HEAD_BYTES, Format, detect
from upcare_mpc.ingest.message import Message, Rejected, Tumour
from upcare_mpc.ingest.reduce import reduce_patient
from upcare_mpc.records.case import Case

__all__ = ["TREATMENT_KINDS", "Delivery", "Source", "read"]

TREATMENT_KINDS = frozenset({"surgery", "radio", "systemic"})
"""What a registry may declare complete; ``systemic`` is chemotherapy, targeted, immuno and
hormone therapy, and transplant."""

_MESSAGES = {Format.OBDS: obds.messages, Format.ADT: adt.messages, Format.RKI: rki_xml.messages}


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a delivery.

    Attributes:
        name: What to call it in an error; safe to show, so no path.
        open: Opens it for reading from the start; called more than once.
    """

    name: str
    open: Callable[[], BinaryIO]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The cases of one registry, and what became of its messages.

    ``messages == used in cases + replaced + sum(rejected.values())``; an ENCR row and an oBDS-RKI
    tumour are a message.

    Attributes:
        cases: Sorted by patient and sequence.
        messages: Messages read.
        patients: Patients with at least one case.
        tumours: Number of cases.
        replaced: Messages replaced by a later one with the same key.
        rejected: Messages left out, by reason.
        formats: Files read, by format.
    """

    cases: tuple[Case, ...] = field(repr=False)
    messages: int
    patients: int
    tumours: int
    replaced: int
    rejected: Mapping[str, int]
    formats: Mapping[str, int]


def read(
    sources: Sequence[Source],
    *,
    complete: frozenset[str],
    encr_missing: Mapping[str, frozenset[str]] = encr.MISSING,
) -> Delivery:
    """Read all files of one registry.

    Args:
        sources: The files; where two contradict each other, the later one counts.
        complete: Kinds of treatment (`TREATMENT_KINDS`) for which the registry declares that
            absence from its messages means "no".
        encr_missing: Codes that mean "unknown" in ENCR files, by column.

    Raises:
        DataError: A file is not readable as a whole; nothing of the delivery is kept.
        ConfigError: ``complete`` holds another word.
    """
    if unknown := complete - TREATMENT_KINDS:
        wanted, got = ", ".join(sorted(TREATMENT_KINDS)), ", ".join(sorted(unknown))
        raise ConfigError(f"complete: wanted {wanted}; got {got}")
    if not sources:
        raise DataError("a delivery needs at least one file, got none")
    intake = _Intake(encr_missing)
    formats: Counter[str] = Counter()
    tables: list[Source] = []
    for source in sources:
        found = _format(source)
        formats[found.value] += 1
        if found is Format.RKI_TABLE:
            tables.append(source)
        else:
            intake.take(source, found)
    if tables:
        intake.take_tables(tables, complete)
    tumours = intake.reduce(complete)
    cases = _in_sequence(tumours)
    return Delivery(
        cases=cases,
        messages=intake.messages,
        patients=len({case.patient_id for case in cases}),
        tumours=len(cases),
        replaced=intake.replaced,
        rejected=dict(sorted(intake.rejected.items())),
        formats=dict(sorted(formats.items())),
    )


def _format(source: Source) -> Format:
    with _opened(source) as (stream,):
        return detect(stream.read(HEAD_BYTES), source.name)


@contextmanager
def _opened(*sources: Source) -> Iterator[list[BinaryIO]]:
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(source.open()) for source in sources]
    except OSError:  # its text holds a path
        names = " or ".join(source.name for source in sources)
        raise DataError(f"{names}: the file cannot be opened or read") from None


class _Intake:
    """What has been read so far; corrections take effect on arrival."""

    def __init__(self, encr_missing: Mapping[str, frozenset[str]]) -> None:
        self._encr_missing = encr_missing
        self._by_key: dict[tuple[str, ...] | int, Message] = {}
        self._rows: dict[tuple[str, str], Tumour] = {}
        self.messages = 0
        self.replaced = 0
        self.rejected: Counter[str] = Counter()

    def take(self, source: Source, found: Format) -> None:
        """Read one file."""
        with _opened(source) as (stream,):
            if found is Format.ENCR:
                self._take_rows(encr.tumours(stream, source.name, self._encr_missing))
            elif found in _MESSAGES:
                self._take_messages(_MESSAGES[found](stream, source.name))
            else:
                raise DataError(f"{source.name}: wanted a file of cases, got {found.value}")

    def take_tables(self, sources: Sequence[Source], complete: frozenset[str]) -> None:
        """Read the tables of one oBDS-RKI delivery."""
        with _opened(*sources) as streams:
            names = [source.name for source in sources]
            files = list(zip(streams, names, strict=True))
            self._take_messages(rki_tables.messages(files, complete=complete))

    def _take_messages(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.messages += 1
            if not message.patient_id:
                self.rejected["no patient id"] += 1
                continue
            key = message.key or self.messages
            if self._by_key.pop(key, None) is not None:
                self.replaced += 1
            self._by_key[key] = message  # at the end: a correction is later than what it corrects

    def _take_rows(self, rows: Iterable[Tumour | Rejected]) -> None:
        for row in rows:
            if isinstance(row, Rejected):
                self.messages += row.messages
                self.rejected[row.reason] += row.messages
                continue
            self.messages += 1
            key = row.case.patient_id, row.case.tumour_id
            self.replaced += key in self._rows
            self._rows[key] = row

    def reduce(self, complete: frozenset[str]) -> list[Tumour]:
        """Turn everything taken in into tumours."""
        by_patient: dict[str, list[Message]] = defaultdict(list)
        for message in self._by_key.values():
            by_patient[message.patient_id].append(message)
        tumours = list(self._rows.values())
        for messages in by_patient.values():
            for outcome in reduce_patient(messages, complete=complete):
                if isinstance(outcome, Rejected):
                    self.rejected[outcome.reason] += outcome.messages
                else:
                    tumours.append(outcome)
        return tumours


def _in_sequence(tumours: Iterable[Tumour]) -> tuple[Case, ...]:
    """Number each patient's tumours by onset, ties by key; sort by patient and number."""

    def place(tumour: Tumour) -> tuple[str, date, str]:
        return tumour.case.patient_id, tumour.onset, tumour.case.tumour_id

    cases: list[Case] = []
    patient_id, sequence = None, 0
    for tumour in sorted(tumours, key=place):
        case = tumour.case
        sequence = sequence + 1 if case.patient_id == patient_id else 1
        patient_id = case.patient_id
        cases.append(case if case.sequence == sequence else replace(case, sequence=sequence))
    return tuple(cases)
