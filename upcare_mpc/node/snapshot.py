"""What this registry answers from, opened for counting and named by a digest.

Files are frozen into the state folder first (``node.freeze``); a folder that ``upcare ingest``
writes is taken as it is; a table of a warehouse stays where it is.

Beside cases that are frozen stand the frozen consents (``node.consents``): a study counts the
patients whose data its purpose may use, and nobody else. The way there is the same whatever they
have said, and nothing outside follows from it: the name of the snapshot changes at fixed points of
a calendar, and counting is given a time that follows from the declared size. A warehouse's table
holds only patients whose data may be counted; the registry sees to that.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from upcare_mpc.config import Data, DataFiles, SnapshotFolder, WarehouseTable
from upcare_mpc.consent.gate import Gate
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import ConfigError, DataError, RefusedError, UpcareError
from upcare_mpc.ingest.delivery import Source
from upcare_mpc.ingest.delivery import reference as read_reference
from upcare_mpc.kinds import Kind
from upcare_mpc.node.consents import Freezes, FrozenConsents
from upcare_mpc.node.freeze import freeze
from upcare_mpc.records.reference import OLDEST, Reference, years_within
from upcare_mpc.storage.snapshot import Manifest, Snapshots
from upcare_mpc.storage.snapshot_engine import Engine
from upcare_mpc.storage.snapshot_reference import encoded
from upcare_mpc.storage.warehouse import Warehouse
from upcare_mpc.study.lacking import check_reference
from upcare_mpc.study.layout import Layout, Measures
from upcare_mpc.study.residents import placing_steps

__all__ = [
    "Counter",
    "Gated",
    "Snapshot",
    "Ungated",
    "gate_time",
    "load_snapshot",
    "renewal_time",
    "renewed",
    "snapshots_of",
]

GATE_S: Final = 2e-5  # to decide on one patient and to look her up, with room for a slow machine
STRATUM_S: Final = 2e-4  # to place one group of residents, beside the steps that this takes
STEP_S: Final = 1e-6  # one step of placing people, or a year of one age in a life table
SPAN_S: Final = 5e-2  # to look up one span of time in a life table, for all patients there can be
RENEW_S: Final = 2e-4  # to freeze what one patient has said, to read it, and to check her rows


class Counter(Protocol):
    """Counts the cases that a use may be made of."""

    @property
    def reference(self) -> Reference:
        """Population and life table."""

    def tabulate(self, measures: Measures, layout: Layout, use: Use) -> npt.NDArray[np.int64]:
        """Count them into the cells of the layout; ``(cells,)``, secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A snapshot behind the gate.

    Attributes:
        engine: Counts over its rows. Secret.
        content: Digest of its rows. Secret.
        gate: What holds for patients who have said nothing.
        consents: What the others have said; only of patients who have rows. Secret.
        today: Says which day it is.
        reference: Population and life table.
    """

    engine: Engine
    content: bytes
    gate: Gate
    consents: FrozenConsents
    today: Callable[[], date]
    reference: Reference

    @property
    def outdated(self) -> bool:
        """Whether the period of the consents has been over for more than a day."""
        return self.today() > self.consents.last_day + timedelta(days=1)

    def tabulate(self, measures: Measures, layout: Layout, use: Use) -> npt.NDArray[np.int64]:
        """Count the cases of the patients for whom the gate permits the use."""
        selection = self.consents.select(use, self.gate)
        return self.engine.tabulate(measures, layout, selection, self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ungated:
    """A warehouse, whose table was filled according to what patients have said.

    Attributes:
        warehouse: Counts over its table. Secret.
        reference: Population; a warehouse uses no life table.
    """

    warehouse: Warehouse
    reference: Reference

    def tabulate(self, measures: Measures, layout: Layout, use: Use) -> npt.NDArray[np.int64]:
        """Count all cases of the table."""
        del use
        return self.warehouse.tabulate(measures, layout, self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The data in force.

    Attributes:
        tumours: How many. Secret.
        origin: What to say of it in the registry's own log. Secret.
        digest: Names the data and the consents to the outside, 32 bytes. Keyed with a secret of
            this registry: whoever guesses all records but one cannot test a guess of that one
            against it.
        cases: Counts. Secret.
    """

    tumours: int
    origin: str
    digest: bytes
    cases: Counter

    def check_in_time(self) -> None:
        """Check that what patients have said is that of the present period; asked before agreeing.

        Whether it is follows from clock and disk alone: the next freeze could not be made.

        Raises:
            RefusedError: It is not.
        """
        if isinstance(self.cases, Gated) and self.cases.outdated:
            raise RefusedError("waits for its operator")

    def check_reference(self, kind: Kind) -> None:
        """Check that population and life table have what a study asks; asked before agreeing.

        Raises:
            RefusedError: They do not; no record was looked at.
        """
        check_reference(kind.measures(), kind.layout(), self.cases.reference)

    def reference_time(self, kind: Kind) -> float:
        """Seconds that population and life table may take: a function of these and the study."""
        measures, reference = kind.measures(), self.cases.reference
        asked = [measure for measure in measures.tables if measure.of == "residents"]
        steps = sum(placing_steps(measures.where, m, reference.residents) for m in asked)
        years = sum(len(years_within(s.start_days, s.end_days)) for s in measures.spans)
        steps += years * len(reference.life_table.yearly) * (OLDEST + 1)
        each = STRATUM_S * len(reference.residents) * len(asked) + SPAN_S * len(measures.spans)
        return each + STEP_S * steps

    def tabulate(self, kind: Kind, use: Use) -> bytes:
        """Count a study's table over the cases: ``(n,)`` little-endian 64-bit. Secret.

        Never fails on a record: what a record does not say, it does not count for.

        Args:
            kind: The statistic.
            use: What the study is for; whose data it may not use is not counted.
        """
        vector = self.cases.tabulate(kind.measures(), kind.layout(), use)
        return vector.astype(np.dtype("<i8")).tobytes()


def gate_time(cases_at_most: int) -> float:
    """Seconds that the gate is given beside counting: a function of the declared size alone."""
    return GATE_S * cases_at_most


def renewal_time(cases_at_most: int) -> float:
    """Seconds from when another snapshot is due until the node answers from it; likewise."""
    return 1.0 + RENEW_S * cases_at_most


def snapshots_of(data: Data, state: Path) -> Snapshots:
    """Return the folder of a registry's snapshots, and of the secret that makes pseudonyms.

    Args:
        data: Where the cases are. For a warehouse there is no snapshot, but a secret.
        state: The node's state folder.

    Raises:
        DataError: There is no such folder.
    """
    if not isinstance(data.source, SnapshotFolder):
        return Snapshots(state / "snapshots")
    if not data.source.folder.is_dir():
        raise DataError(f"{data.source.folder.name}: no such folder of snapshots")
    return Snapshots(data.source.folder)


def load_snapshot(data: Data, state: Path, freezes: Freezes) -> Snapshot:
    """Open what a registry answers from; freeze its files first, and what patients have said.

    Args:
        data: Where the cases are.
        state: The node's state folder.
        freezes: Of the consents.

    Raises:
        DataError: A file is missing or not readable as a whole, or there is no snapshot.
        ConfigError: There are more cases than the registry has declared, or the secret is damaged.
        RefusedError: A snapshot of these files was destroyed.
    """
    snapshots = snapshots_of(data, state)
    match data.source:
        case WarehouseTable() as table:
            snapshot = _warehouse(table, snapshots.secret())
        case SnapshotFolder():
            snapshot = _frozen(snapshots, data.gate, state, freezes)
        case DataFiles() as files:
            freeze(files, snapshots.folder)
            snapshot = _frozen(snapshots, data.gate, state, freezes)
    if snapshot.tumours > data.cases_at_most:
        raise ConfigError(
            "party.toml: data.cases_at_most: wanted at least as many tumours as there are, "
            f"got {data.cases_at_most}"
        )
    return snapshot


def renewed(data: Data, state: Path, freezes: Freezes, old: Snapshot) -> Snapshot | None:
    """Open what is in force since: another snapshot by ``upcare ingest``, another freeze, or both.

    Files and tables are not looked at again before the next start.

    Raises:
        DataError, ConfigError: As `load_snapshot`; the old one stays.
    """
    if not isinstance(old.cases, Gated):
        return None
    if isinstance(data.source, SnapshotFolder):
        content = Snapshots(data.source.folder).in_force()
        if content not in (None, old.cases.content):
            try:
                return load_snapshot(data, state, freezes)
            except UpcareError:
                if not freezes.is_due(old.cases.consents):
                    raise
                # Rows wait, answers do not: the old rows are counted by what patients say now.
    if not freezes.is_due(old.cases.consents):
        return None
    cases = _behind_the_gate(
        old.cases.engine, old.cases.content, data.gate, freezes, old.cases.reference
    )
    secret = snapshots_of(data, state).secret()
    return replace(old, digest=_digest(secret, cases), cases=cases)


def _frozen(snapshots: Snapshots, gate: Gate, state: Path, freezes: Freezes) -> Snapshot:
    manifest = snapshots.current()
    if manifest is None:
        raise DataError("no snapshot is in force; run `upcare ingest` first")
    engine, reference = snapshots.open(manifest, state / "spill" / manifest.digest.hex())
    cases = _behind_the_gate(engine, manifest.digest, gate, freezes, reference)
    return Snapshot(
        tumours=manifest.tumours,
        origin=_origin(manifest, cases.reference),
        digest=_digest(snapshots.secret(), cases),
        cases=cases,
    )


def _behind_the_gate(
    engine: Engine, content: bytes, gate: Gate, freezes: Freezes, reference: Reference
) -> Gated:
    frozen = freezes.in_force()
    known = engine.known(frozen.patients)  # so deciding takes no longer than there are rows
    return Gated(
        engine=engine,
        content=content,
        gate=gate,
        consents=frozen.among(known),
        today=freezes.today,
        reference=reference,
    )


def _origin(manifest: Manifest, reference: Reference) -> str:
    account = manifest.account
    beside = reference.described()
    return (
        f"{manifest.tumours} tumours of {manifest.patients} patients, "
        f"{_sum(account.rejected)} messages rejected, from {', '.join(sorted(account.formats))}"
        f"{beside and f'; {beside}'}"
    )


def _digest(secret: bytes, cases: Gated) -> bytes:
    """Everything that decides which patients a study counts."""
    frozen = cases.consents
    period = f"{cases.gate}|{frozen.first_day}|{frozen.last_day}".encode("ascii")
    return _named(secret, b"snapshot", cases.content + frozen.digest + period)


def _warehouse(table: WarehouseTable, secret: bytes) -> Snapshot:
    reference = _population(table)
    engine = Warehouse(table.url, table.table, seconds=table.seconds)
    place = json.dumps([_without_login(table.url), table.table])
    named = hashlib.sha256(place.encode()).digest()
    if content := encoded(reference):
        named += hashlib.sha256(content).digest()
    tumours, beside = engine.tumours(), reference.described()
    return Snapshot(
        tumours=tumours,
        origin=f"{tumours} tumours, in the table {table.table} of a warehouse"
        f"{beside and f'; {beside}'}",
        digest=_named(secret, b"warehouse", named),
        cases=Ungated(warehouse=engine, reference=reference),
    )


def _population(table: WarehouseTable) -> Reference:
    def source(path: Path) -> Source:
        return Source(path.name, lambda: path.open("rb"))

    found = read_reference([source(path) for path in table.population])
    if found.life_table.yearly:
        raise ConfigError("party.toml: data.warehouse.population: a warehouse uses no life table")
    return found


def _without_login(url: str) -> str:
    """The scheme, host, port and path of a URL: who reads there does not name the data."""
    scheme, server, path, _, _ = urlsplit(url)
    return f"{scheme}://{server.rpartition('@')[2]}{path}"


def _named(secret: bytes, what: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, b"upcare/v1/" + what + b"|" + content, "sha256")


def _sum(counts: Mapping[str, int]) -> int:
    return sum(counts.values())
