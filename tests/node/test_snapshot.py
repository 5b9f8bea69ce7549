"""What a registry answers from: files that are frozen, a folder of snapshots, a warehouse."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from upcare_mpc.config import Calendar, Data, DataFiles, SnapshotFolder, WarehouseTable
from upcare_mpc.consent.gate import Gate
from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.consent.use import Use, of_study
from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.kinds.question import work_out
from upcare_mpc.node import snapshot as module
from upcare_mpc.node.consents import Freezes
from upcare_mpc.node.freeze import freeze
from upcare_mpc.node.snapshot import (
    SPAN_S,
    STEP_S,
    STRATUM_S,
    Snapshot,
    load_snapshot,
    renewed,
    snapshots_of,
)
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import Reference
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE
from upcare_mpc.storage.snapshot_rows import pseudonym, read_digest
from upcare_mpc.study import language
from upcare_mpc.study.expression import Integer
from upcare_mpc.study.layout import (
    Dimension,
    ExpectedDeath,
    Factor,
    Layout,
    Measure,
    Measures,
    Table,
)
from upcare_mpc.study.residents import placing_steps, resident_vector
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

PARTIES = Path(__file__).parents[2] / "parties"
DELIVERY = PARTIES / "fr-b" / "data" / "FR-B_encr_incidence.csv"
FILES = DataFiles(files=(DELIVERY,))
DATA = Data(source=FILES, cases_at_most=1000)
KIND = work_out(parse((PARTIES / "study.toml").read_bytes(), name=""), network_overlap=1).kind
USE: Use = of_study(parse((PARTIES / "study.toml").read_bytes(), name=""), data_set="fr-b")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Registry:
    """A registry without a node: its data, what its patients have said, and its calendar."""

    state: Path
    consents: Consents
    day: date = date(2026, 11, 22)

    @property
    def freezes(self) -> Freezes:
        return Freezes(
            folder=self.state / "consents",
            consents=self.consents,
            data_set="fr-b",
            calendar=Calendar.WEEK,
            today=lambda: self.day,
        )

    def load(self, data: Data = DATA) -> Snapshot:
        return load_snapshot(data, self.state, self.freezes)

    def renewed(self, old: Snapshot, data: Data = DATA) -> Snapshot | None:
        return renewed(data, self.state, self.freezes, old)

    def says(self, case: Case, answer: Answer = Answer.REFUSED) -> None:
        secret = snapshots_of(DATA, self.state).secret()
        consent = Consent(
            patient=pseudonym(secret, case.patient_id),
            data_set="fr-b",
            activity=Activity.STATISTICS,
            version=1,
            answer=answer,
            given=NOW.date(),
            form="urn:upcare:form:page-1-fr",
        )
        self.consents.record([consent], time=NOW)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Registry]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as database:
        yield Registry(tmp_path / "state", Consents(database))


def cases() -> list[Case]:
    source = Source(DELIVERY.name, lambda: DELIVERY.open("rb"))
    return list(read([source], complete=frozenset()).cases)


def counted(of: list[Case]) -> bytes:
    return tabulate(KIND.measures(), KIND.layout(), of).astype("<i8").tobytes()


def one_who_counts() -> Case:
    everybody = counted(cases())
    return next(
        case
        for case in cases()
        if counted([other for other in cases() if other.patient_id != case.patient_id]) != everybody
    )


RATES = Measures(
    where=language.parse("diagnosis_year between 1984 and 1991", place=""),
    tables=(Measure((Integer(0),)), Measure((Integer(0),), of="residents")),
)
ALL = (Dimension("all", ("all",)),)
RATES_LAYOUT = Layout.of((Table("cases", ALL), Table("people", ALL)), RATES)
RATES_KIND: Any = SimpleNamespace(measures=lambda: RATES, layout=lambda: RATES_LAYOUT)


def test_population_files_are_counted_with_the_cases_and_named_with_them(here: Registry) -> None:
    beside = tuple(DELIVERY.with_name(f"{name}.csv") for name in ("population", "life_table"))
    data = replace(DATA, source=replace(FILES, files=(DELIVERY, *beside)))
    alone = here.load()

    whole = here.load(data)

    whole.check_reference(RATES_KIND)
    vector = np.frombuffer(whole.tabulate(RATES_KIND, USE), "<i8").tolist()
    assert vector == [63, 122_136]
    assert whole.digest != alone.digest
    assert whole.tabulate(KIND, USE) == alone.tabulate(KIND, USE)
    residents = whole.cases.reference.residents
    steps = placing_steps(RATES.where, RATES.tables[1], residents)
    assert len(residents) == 288
    assert whole.reference_time(RATES_KIND) == pytest.approx(STRATUM_S * 288 + STEP_S * steps)
    assert whole.reference_time(KIND) == 0
    with pytest.raises(RefusedError, match=r"^has no population file$"):
        alone.check_reference(RATES_KIND)


def test_the_time_for_a_life_table_grows_with_its_lines_and_the_years_of_a_span(
    here: Registry,
) -> None:
    table = DELIVERY.with_name("life_table.csv")
    whole = here.load(replace(DATA, source=replace(FILES, files=(DELIVERY, table))))
    lines = len(whole.cases.reference.life_table.yearly)
    spans = tuple(Factor(ExpectedDeath(0, days), 0, 1000) for days in (365, 366, 60_000))
    measures = Measures(
        where=RATES.where, tables=tuple(Measure((Integer(0),), (span,)) for span in spans)
    )
    kind: Any = SimpleNamespace(measures=lambda: measures)

    years = 1 + 2 + 165
    expected = 3 * SPAN_S + STEP_S * lines * 121 * years
    assert lines > 0
    assert whole.reference_time(kind) == pytest.approx(expected)


def test_the_population_that_was_held_against_the_digest_is_counted(
    here: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read once; what happens to it meanwhile or afterwards changes nothing."""
    beside = DELIVERY.with_name("population.csv")
    data = replace(DATA, source=replace(FILES, files=(DELIVERY, beside)))
    found = here.load(data).cases.reference

    def and_then_gone(rows: Path, **stated: Any) -> bytes:
        digest = read_digest(rows, **stated)
        rows.with_suffix(".reference").unlink()
        return digest

    monkeypatch.setattr("upcare_mpc.storage.snapshot.read_digest", and_then_gone)
    assert here.load(data).cases.reference == found != Reference()

    monkeypatch.undo()
    with pytest.raises(DataError, match="other rows than its name says"):
        here.load(data)


class FakeWarehouse:
    """Stands where a database would be: ten cases, and residents as it is told."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def tumours(self) -> int:
        return 10

    def tabulate(
        self, measures: Measures, layout: Layout, reference: Reference
    ) -> npt.NDArray[np.int64]:
        return resident_vector(measures, layout, reference.residents)


def test_a_warehouse_has_population_files_beside_it_and_no_life_table(
    here: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Warehouse", FakeWarehouse)
    beside = {name: DELIVERY.with_name(f"{name}.csv") for name in ("population", "life_table")}
    bare = WarehouseTable(url="local[2]", table="cases")

    alone = here.load(replace(DATA, source=bare))
    files = (beside["population"],)
    whole = here.load(replace(DATA, source=replace(bare, population=files)))

    whole.check_reference(RATES_KIND)
    assert np.frombuffer(whole.tabulate(RATES_KIND, USE), "<i8").tolist() == [0, 122_136]
    assert whole.digest != alone.digest
    assert whole.origin.endswith("the table cases of a warehouse; population of 1984-1991")
    with pytest.raises(RefusedError, match=r"^has no population file$"):
        alone.check_reference(RATES_KIND)
    with pytest.raises(ConfigError, match="a warehouse uses no life table"):
        here.load(replace(DATA, source=replace(bare, population=(beside["life_table"],))))


def test_the_digest_is_the_same_again_and_another_at_another_registry(
    here: Registry, tmp_path: Path
) -> None:
    first = here.load().digest

    assert here.load().digest == first
    assert replace(here, state=tmp_path / "there").load().digest != first


def test_more_cases_than_declared_are_refused_now_and_at_the_next_start(here: Registry) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError, match="cases_at_most"):
            here.load(replace(DATA, cases_at_most=62))

    assert here.load(replace(DATA, cases_at_most=63)).tumours == 63


def test_a_study_is_counted_as_the_rows_engine_counts_it(here: Registry) -> None:
    assert any(counted(cases()))
    assert here.load().tabulate(KIND, USE) == counted(cases())


def test_who_has_objected_is_not_counted_from_the_next_freeze_on(here: Registry) -> None:
    gone = one_who_counts()
    before = here.load()
    here.says(gone)

    assert here.renewed(before) is None
    assert here.load().tabulate(KIND, USE) == counted(cases())
    here.day = date(2026, 11, 23)  # a Monday
    after = here.renewed(before)

    assert after is not None
    assert after.digest != before.digest
    assert after.tabulate(KIND, USE) == here.load().tabulate(KIND, USE)
    assert after.tabulate(KIND, USE) == counted(
        [case for case in cases() if case.patient_id != gone.patient_id]
    )
    assert before.tabulate(KIND, USE) == counted(cases())  # a session that runs keeps its own


def test_the_digest_changes_at_each_point_though_nobody_has_said_anything(here: Registry) -> None:
    seen = {here.load().digest}
    for week in range(1, 4):
        here.day = date(2026, 11, 16 + 7 * (week % 2))
        seen.add(here.load().digest)

    assert len(seen) == 4


def test_at_the_consent_gate_nobody_is_counted_who_has_said_nothing(here: Registry) -> None:
    open_, closed = here.load(), here.load(replace(DATA, gate=Gate.CONSENT))

    assert set(closed.tabulate(KIND, USE)) == {0}
    assert closed.digest != open_.digest


def test_a_use_of_another_data_set_is_not_taken_for_one_nobody_has_spoken_of(
    here: Registry,
) -> None:
    with pytest.raises(Exception, match="statistics of this registry's data set"):
        here.load().tabulate(KIND, replace(USE, data_set="fr-a"))


def test_a_folder_of_snapshots_is_taken_as_it_is(here: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "frozen"
    freeze(FILES, folder)
    before = sorted(folder.iterdir())
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=1000)

    loaded = here.load(there)

    assert loaded.tumours == 63
    assert loaded.digest == here.load(there).digest
    assert sorted(folder.iterdir()) == before


def test_a_folder_without_a_snapshot_is_one_clear_error(here: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "frozen"
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=1000)

    with pytest.raises(DataError, match=r"^frozen: no such folder of snapshots$"):
        here.load(there)
    folder.mkdir()
    with pytest.raises(DataError, match="no snapshot is in force"):
        here.load(there)


def test_a_snapshot_that_is_put_in_force_later_is_taken(here: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "frozen"
    freeze(FILES, folder)
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=1000)
    first = here.load(there)
    assert here.renewed(first, there) is None

    gone = DELIVERY.read_text("utf-8").splitlines()[1].split(";")[0].strip('"')
    deletions = tmp_path / "deletions.csv"
    deletions.write_text(f"patient\n{gone}\n")
    freeze(replace(FILES, deletions=deletions), folder)
    second = here.renewed(first, there)

    assert second is not None
    assert (first.tumours, second.tumours) == (63, 62)
    assert second.digest != first.digest
    assert here.renewed(second, there) is None


def test_a_later_snapshot_beyond_the_declared_size_is_not_taken(
    here: Registry, tmp_path: Path
) -> None:
    folder, file = tmp_path / "frozen", tmp_path / "fewer.csv"
    file.write_bytes(b"".join(DELIVERY.read_bytes().splitlines(keepends=True)[:11]))
    freeze(DataFiles(files=(file,)), folder)
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=20)
    first = here.load(there)
    freeze(FILES, folder)

    with pytest.raises(ConfigError, match="cases_at_most"):
        here.renewed(first, there)


def test_rows_that_cannot_be_taken_keep_no_answer_from_counting(
    here: Registry, tmp_path: Path
) -> None:
    folder, file = tmp_path / "frozen", tmp_path / "fewer.csv"
    file.write_bytes(b"".join(DELIVERY.read_bytes().splitlines(keepends=True)[:11]))
    freeze(DataFiles(files=(file,)), folder)
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=20)
    first = here.load(there)
    freeze(FILES, folder)
    here.day += timedelta(days=7)

    second = here.renewed(first, there)

    assert second is not None
    assert second.tumours == first.tumours
    assert second.digest != first.digest
    with pytest.raises(ConfigError, match="cases_at_most"):
        here.renewed(second, there)


def test_files_are_not_looked_at_again(here: Registry) -> None:
    first = here.load()
    changed = replace(DATA, source=DataFiles(files=()))

    assert here.renewed(first, changed) is None
