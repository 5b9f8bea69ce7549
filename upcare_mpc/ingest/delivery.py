"""From a registry's files to its cases: the way in to this package.

A delivery is all files of one registry, in whatever supported formats. It is read as a whole or
not at all: a file that cannot be read fails the delivery with one line, a record that cannot be
used is counted with a reason and left out. Neither shows a value from a file.

Corrections: a message with the ``Meldung_ID`` and ``Melder_ID`` of an earlier one replaces it,
across all files in the order given, whatever the version of each; so does an ENCR row or an
oBDS-RKI tumour with the keys of an earlier one.

The CSV tables of oBDS-RKI are several files and one delivery; they are read together, after the
other files.

An ENCR population file and a life table may come along. They hold no cases; `reference` reads them.

`read` keeps everything in memory. It is for small deliveries, and it is the reference for
``storage.arrivals``, which does the same on disk with the same parts: `groups` tells the formats,
`arrivals` reads, ``reduce.reduce_patient`` makes the cases.

What leaks: the counts are exact functions of the records. They are for the registry itself.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import BinaryIO

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest import adt, denominators, encr, obds, rki_tables, rki_xml
from upcare_mpc.ingest.deletions import NOTHING, Deletions
from upcare_mpc.ingest.detect import HEAD_BYTES, Format, detect
from upcare_mpc.ingest.encr import Batch
from upcare_mpc.ingest.message import DELETED, Message, Rejected, Tumour
from upcare_mpc.ingest.reduce import reduce_patient
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import (
    DeathProbability,
    LifeTable,
    Reference,
    Residents,
    in_order,
)

__all__ = [
    "MOVED",
    "NO_PATIENT",
    "TREATMENT_KINDS",
    "Delivery",
    "Group",
    "Source",
    "Tally",
    "arrivals",
    "check_complete",
    "groups",
    "read",
    "reference",
]

TREATMENT_KINDS = frozenset({"surgery", "radio", "systemic"})
"""What a registry may declare complete; ``systemic`` is chemotherapy, targeted, immuno and
hormone therapy, and transplant."""

NO_PATIENT = "no patient id"
MOVED = "correction names another patient"

_BESIDE = {Format.POPULATION, Format.LIFE_TABLE}
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


@dataclass(frozen=True, slots=True)
class Group:
    """Files of one format that are read together: one, or the tables of oBDS-RKI."""

    format: Format
    sources: tuple[Source, ...]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the messages of a delivery; an ENCR row and an oBDS-RKI tumour are a message.

    In the end ``messages == used in cases + replaced + sum(rejected.values())``.

    Attributes:
        messages: Messages read.
        replaced: Messages replaced by a later one with the same key.
        rejected: Messages left out, by reason.
        remarks: What was noticed and rejects nothing, by kind.
        formats: Files read, by format.
    """

    messages: int = 0
    replaced: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The cases of one registry.

    Attributes:
        cases: Sorted by patient and sequence.
        patients: Patients with at least one case.
        tumours: Number of cases.
        tally: What became of the messages.
    """

    cases: tuple[Case, ...] = field(repr=False)
    patients: int
    tumours: int
    tally: Tally


def check_complete(complete: frozenset[str]) -> None:
    """Refuse kinds of treatment that are none, with `ConfigError`."""
    if unknown := complete - TREATMENT_KINDS:
        wanted, got = ", ".join(sorted(TREATMENT_KINDS)), ", ".join(sorted(unknown))
        raise ConfigError(f"complete: wanted some of {wanted}; got {got}")


def groups(sources: Sequence[Source]) -> list[Group]:
    """Tell the format of each file; group those of cases in the order in which they are to be read.

    Raises:
        DataError: There is no file of cases, or a file is not readable, or is a mortality file.
    """
    if not sources:
        raise DataError("a delivery needs at least one file, got none")
    beside: list[tuple[str, str]] = []
    single: list[Group] = []
    tables: list[Source] = []
    for source in sources:
        found = _format(source)
        if found is Format.RKI_TABLE:
            tables.append(source)
        elif found in _MESSAGES or found is Format.ENCR:
            single.append(Group(found, (source,)))
        elif found in _BESIDE:
            beside.append((source.name, found.value))
        else:
            raise DataError(f"{source.name}: wanted a file of cases, got {found.value}")
    found_groups = [*single, Group(Format.RKI_TABLE, tuple(tables))] if tables else single
    if not found_groups:
        name, got = beside[0]
        raise DataError(f"{name}: wanted a file of cases, got {got}")
    return found_groups


def reference(sources: Sequence[Source]) -> Reference:
    """Read the population files and the life tables among some files.

    Raises:
        DataError: One is not readable as a whole, or they contradict each other.
    """
    residents: list[Residents] = []
    deaths: list[DeathProbability] = []
    for source in sources:
        found = _format(source)
        if found in _BESIDE:
            with _opened(source) as (stream,):
                if found is Format.POPULATION:
                    residents += denominators.population(stream, source.name)
                else:
                    deaths += denominators.life_table(stream, source.name)
    return Reference(residents=in_order(residents), life_table=LifeTable.of(deaths))


def arrivals(
    group: Group,
    *,
    complete: frozenset[str],
    encr_missing: Mapping[str, frozenset[str]] = encr.MISSING,
) -> Iterator[Message | Batch]:
    """Read a group: messages in their order, or batches of ENCR rows. Constant memory.

    Args:
        group: The files.
        complete: Kinds of treatment that the registry declares complete (`TREATMENT_KINDS`); the
            oBDS-RKI tables of these must be there.
        encr_missing: Codes that mean "unknown" in ENCR files, by column.

    Raises:
        DataError: A file is not readable as a whole; what came before is to be dropped.
    """
    with _opened(*group.sources) as streams:
        names = [source.name for source in group.sources]
        if group.format is Format.RKI_TABLE:
            yield from rki_tables.messages(
                list(zip(streams, names, strict=True)), complete=complete
            )
        elif group.format is Format.ENCR:
            yield from encr.batches(streams[0], names[0], encr_missing)
        else:
            yield from _MESSAGES[group.format](streams[0], names[0])


def read(
    sources: Sequence[Source],
    *,
    complete: frozenset[str],
    deletions: Deletions = NOTHING,
    encr_missing: Mapping[str, frozenset[str]] = encr.MISSING,
) -> Delivery:
    """Read all files of one registry into memory.

    Args:
        sources: The files; where two contradict each other, the later one counts.
        complete: Kinds of treatment (`TREATMENT_KINDS`) for which the registry declares that
            absence from its messages means "no".
        deletions: What to leave out.
        encr_missing: Codes that mean "unknown" in ENCR files, by column.

    Raises:
        DataError: A file is not readable as a whole; nothing of the delivery is kept.
        ConfigError: ``complete`` holds another word.
    """
    check_complete(complete)
    intake = _Intake()
    for group in groups(sources):
        intake.tally.formats[group.format.value] += len(group.sources)
        for arrival in arrivals(group, complete=complete, encr_missing=encr_missing):
            intake.take(arrival)
    cases = _in_sequence(intake.tumours(complete, deletions))
    return Delivery(
        cases=cases,
        patients=len({case.patient_id for case in cases}),
        tumours=len(cases),
        tally=intake.tally,
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

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, ...] | int, Message] = {}
        self._rows: dict[tuple[str, str], Tumour] = {}
        self.tally = Tally()

    def take(self, arrival: Message | Batch) -> None:
        if isinstance(arrival, Message):
            self._take_message(arrival)
            return
        self.tally.messages += sum(arrival.rejected.values())
        self.tally.rejected.update(arrival.rejected)
        self.tally.remarks.update(arrival.remarks)
        for tumour in encr.tumours(arrival):
            self.tally.messages += 1
            key = tumour.case.patient_id, tumour.case.tumour_id
            self.tally.replaced += key in self._rows
            self._rows[key] = tumour

    def _take_message(self, message: Message) -> None:
        self.tally.messages += 1
        if not message.patient_id:
            self.tally.rejected[NO_PATIENT] += 1
            return
        key = message.key or self.tally.messages
        if (earlier := self._by_key.pop(key, None)) is not None:
            self.tally.replaced += 1
            if earlier.patient_id != message.patient_id:
                self.tally.remarks[MOVED] += 1
        self._by_key[key] = message  # at the end: a correction is later than what it corrects

    def tumours(self, complete: frozenset[str], deletions: Deletions) -> Iterator[Tumour]:
        """Turn everything taken in into tumours."""
        by_patient: dict[str, list[Message]] = defaultdict(list)
        for message in self._by_key.values():
            if deletions.name(message):
                self.tally.rejected[DELETED] += 1
            else:
                by_patient[message.patient_id].append(message)
        for patient_id, messages in by_patient.items():
            for outcome in reduce_patient(
                messages, complete=complete, deleted=deletions.tumours_of(patient_id)
            ):
                if isinstance(outcome, Rejected):
                    self.tally.rejected[outcome.reason] += outcome.messages
                else:
                    self.tally.remarks.update(outcome.remarks)
                    self.tally.replaced += (
                        self._rows.pop((patient_id, outcome.case.tumour_id), None) is not None
                    )
                    yield outcome
        for key, row in self._rows.items():
            if deletions.name_tumour(*key):
                self.tally.rejected[DELETED] += 1
            else:
                yield row


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
