"""`[data]` of a party file: what a registry answers from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from upcare_mpc.config.toml_table import Table
from upcare_mpc.consent.gate import Gate
from upcare_mpc.errors import ConfigError
from upcare_mpc.ingest import encr
from upcare_mpc.ingest.delivery import TREATMENT_KINDS

__all__ = [
    "Calendar",
    "Data",
    "DataFiles",
    "SnapshotFolder",
    "Source",
    "WarehouseTable",
    "read_data",
]

_MAX_CASES = 100_000_000
_SOURCES = ("files", "snapshots", "warehouse")
_CONSENTS = ("gate", "consents")


class Calendar(StrEnum):
    """When consents are frozen: each day, each Monday, the first of each month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFiles:
    """Deliveries that a snapshot is made of.

    Attributes:
        files: In any supported format; where two contradict each other, the later one counts.
            Population files and life tables may be among them.
        complete: Kinds of treatment of which this registry records every one.
        deletions: CSV list of what is to be left out (``ingest.deletions``).
        encr_missing: Codes that mean "unknown" in ENCR files, by column.
    """

    files: tuple[Path, ...]
    complete: frozenset[str] = frozenset()
    deletions: Path | None = None
    encr_missing: Mapping[str, frozenset[str]] = field(default_factory=lambda: encr.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFolder:
    """A folder of snapshots that ``upcare ingest`` writes."""

    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseTable:
    """A table of cases in a database of the registry, which must not change under its name.

    It holds only patients whose data may be counted: consents are not looked at beside it.

    Attributes:
        url: Of the database, as Ibis takes it. May hold a password: secret.
        table: Its name.
        seconds: What the database may take for a study's table. The node's answer leaves after this
            time, whatever it took.
        population: Population files, of which the registry has no table.
    """

    url: str = field(repr=False)
    table: str
    seconds: int = 30
    population: tuple[Path, ...] = ()


Source: TypeAlias = DataFiles | SnapshotFolder | WarehouseTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What the registry answers from.

    Attributes:
        source: Where the cases are.
        cases_at_most: A public bound on the number of tumours; how long the node takes to answer
            follows from it, and never from the records.
        gate: What holds for a patient who has said nothing on statistics.
        consents: When consents are frozen; until then an answer changes no study.
    """

    source: Source
    cases_at_most: int
    gate: Gate = Gate.OBJECTION
    consents: Calendar = Calendar.WEEK

    @property
    def reach_s(self) -> int:
        """Seconds that counting may take for the way to the cases and back."""
        return self.source.seconds if isinstance(self.source, WarehouseTable) else 0


def read_data(table: Table, folder: Path) -> Data:
    """One source: files, a folder of snapshots, or a table of a warehouse."""
    table.only(*_SOURCES, *_CONSENTS, "cases_at_most", "complete", "deletions", "encr_missing")
    stated = [key for key in _SOURCES if key in table.content]
    if len(stated) != 1:
        got = " and ".join(stated) or "none"
        raise ConfigError(f"{table.where}: wanted one of {', '.join(_SOURCES)}; got {got}")
    cases_at_most = table.integer("cases_at_most", 1, _MAX_CASES)
    if stated == ["warehouse"]:
        return Data(source=_warehouse(table, folder), cases_at_most=cases_at_most)
    gate = Gate(table.one_of("gate", *Gate)) if "gate" in table.content else Gate.OBJECTION
    consents = (
        Calendar(table.one_of("consents", *Calendar))
        if "consents" in table.content
        else Calendar.WEEK
    )
    source = _files(table, folder) if stated == ["files"] else _snapshots(table, folder)
    return Data(source=source, cases_at_most=cases_at_most, gate=gate, consents=consents)


def _snapshots(table: Table, folder: Path) -> SnapshotFolder:
    # How files were read was said when the snapshots were made.
    table.only("snapshots", *_CONSENTS, "cases_at_most")
    return SnapshotFolder(folder=folder / table.text("snapshots"))


def _warehouse(table: Table, folder: Path) -> WarehouseTable:
    table.only("warehouse", "cases_at_most")  # whom it may hold was said when it was filled
    warehouse = table.table("warehouse")
    warehouse.only("url", "table", "seconds", "population")
    population = warehouse.texts("population") if "population" in warehouse.content else ()
    return WarehouseTable(
        url=warehouse.text("url"),
        table=warehouse.text("table"),
        seconds=warehouse.integer("seconds", 1, 600) if "seconds" in warehouse.content else 30,
        population=tuple(folder / name for name in population),
    )


def _files(table: Table, folder: Path) -> DataFiles:
    complete = frozenset(table.texts("complete")) if "complete" in table.content else frozenset()
    unknown = complete - TREATMENT_KINDS
    if unknown:
        wanted = ", ".join(sorted(TREATMENT_KINDS))
        raise ConfigError(f"{table.place('complete')}: wanted some of {wanted}, got {min(unknown)}")
    return DataFiles(
        files=tuple(folder / name for name in table.texts("files")),
        complete=complete,
        deletions=folder / table.text("deletions") if "deletions" in table.content else None,
        encr_missing=_encr_missing(table.table("encr_missing"))
        if "encr_missing" in table.content
        else encr.MISSING,
    )


def _encr_missing(table: Table) -> Mapping[str, frozenset[str]]:
    """The stated columns; the others stay as they are by default."""
    table.only(*encr.COLUMNS)
    return {**encr.MISSING, **{column: frozenset(table.texts(column)) for column in table.content}}
