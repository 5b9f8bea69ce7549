"""What a registry answers from: files that are frozen, a folder of snapshots, a warehouse."""

from dataclasses import replace
from pathlib import Path

import pytest

from upcare_mpc.config import Data, DataFiles, SnapshotFolder
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.kinds.question import work_out
from upcare_mpc.node.freeze import freeze
from upcare_mpc.node.snapshot import load_snapshot, renewed
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

PARTIES = Path(__file__).parents[2] / "parties"
DELIVERY = PARTIES / "fr-b" / "data" / "FR-B_encr_incidence.csv"
FILES = DataFiles(files=(DELIVERY,))
DATA = Data(source=FILES, cases_at_most=1000)


def test_the_digest_is_the_same_again_and_another_at_another_registry(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"

    first = load_snapshot(DATA, here).digest

    assert load_snapshot(DATA, here).digest == first
    assert load_snapshot(DATA, there).digest != first


def test_more_cases_than_declared_are_refused_now_and_at_the_next_start(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError, match="cases_at_most"):
            load_snapshot(replace(DATA, cases_at_most=62), tmp_path)

    assert load_snapshot(replace(DATA, cases_at_most=63), tmp_path).tumours == 63


def test_a_study_is_counted_as_the_rows_engine_counts_it(tmp_path: Path) -> None:
    kind = work_out(parse((PARTIES / "study.toml").read_bytes(), name=""), network_overlap=1).kind
    source = Source(DELIVERY.name, lambda: DELIVERY.open("rb"))
    expected = tabulate(kind.measures(), kind.layout(), read([source], complete=frozenset()).cases)

    assert expected.sum() > 0
    assert load_snapshot(DATA, tmp_path).tabulate(kind) == expected.astype("<i8").tobytes()


def test_a_folder_of_snapshots_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "frozen"
    freeze(FILES, folder)
    before = sorted(folder.iterdir())
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=1000)

    loaded = load_snapshot(there, tmp_path / "state")

    assert loaded.tumours == 63
    assert loaded.digest == load_snapshot(there, tmp_path / "another state").digest
    assert sorted(folder.iterdir()) == before


def test_a_folder_without_a_snapshot_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "frozen"
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=1000)

    with pytest.raises(DataError, match=r"^frozen: no such folder of snapshots$"):
        load_snapshot(there, tmp_path)
    folder.mkdir()
    with pytest.raises(DataError, match="no snapshot is in force"):
        load_snapshot(there, tmp_path)


def test_a_snapshot_that_is_put_in_force_later_is_taken(tmp_path: Path) -> None:
    folder, state = tmp_path / "frozen", tmp_path / "state"
    freeze(FILES, folder)
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=1000)
    first = load_snapshot(there, state)
    assert renewed(there, state, first) is None

    gone = DELIVERY.read_text("utf-8").splitlines()[1].split(";")[0].strip('"')
    deletions = tmp_path / "deletions.csv"
    deletions.write_text(f"patient\n{gone}\n")
    freeze(replace(FILES, deletions=deletions), folder)
    second = renewed(there, state, first)

    assert second is not None
    assert (first.tumours, second.tumours) == (63, 62)
    assert second.digest != first.digest
    assert renewed(there, state, second) is None


def test_a_later_snapshot_beyond_the_declared_size_is_not_taken(tmp_path: Path) -> None:
    folder, file = tmp_path / "frozen", tmp_path / "fewer.csv"
    file.write_bytes(b"".join(DELIVERY.read_bytes().splitlines(keepends=True)[:11]))
    freeze(DataFiles(files=(file,)), folder)
    there = Data(source=SnapshotFolder(folder=folder), cases_at_most=20)
    first = load_snapshot(there, tmp_path / "state")
    freeze(FILES, folder)

    with pytest.raises(ConfigError, match="cases_at_most"):
        renewed(there, tmp_path / "state", first)


def test_files_are_not_looked_at_again(tmp_path: Path) -> None:
    first = load_snapshot(DATA, tmp_path)
    changed = replace(DATA, source=DataFiles(files=()))

    assert renewed(changed, tmp_path, first) is None
