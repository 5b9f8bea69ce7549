"""From files to the snapshot in force: read once, and nothing lost by crash or full disk."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.node import freeze as module
from upcare_mpc.node.freeze import Progress, freeze
from upcare_mpc.records.reference import NOTHING
from upcare_mpc.storage.arrivals import Arrivals
from upcare_mpc.storage.partition import Partition
from upcare_mpc.storage.snapshot import Manifest, Snapshots

PARTIES = Path(__file__).parents[2] / "parties"
FRENCH = PARTIES / "fr-b" / "data" / "FR-B_encr_incidence.csv"
GERMAN = PARTIES / "de-c" / "data" / "DE-C_ADT_GEKID_2.2.3.xml"
DATA = DataFiles(files=(FRENCH, GERMAN))


@pytest.fixture
def every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint behind every file."""
    monkeypatch.setattr(module, "CHECKPOINT_BYTES", 1)


def left(folder: Path) -> list[str]:
    return sorted(path.suffix or path.name for path in folder.iterdir())


def test_files_become_the_snapshot_in_force(tmp_path: Path) -> None:
    said: list[Progress] = []

    manifest = freeze(DATA, tmp_path, progress=said.append)

    assert Snapshots(tmp_path).current() == manifest
    assert (manifest.patients, manifest.tumours, manifest.account.messages) == (125, 125, 231)
    assert manifest.account.formats == {"ENCR incidence": 1, "ADT_GEKID 2": 1}
    assert [file.name for file in manifest.sources.files] == [FRENCH.name, GERMAN.name]
    assert left(tmp_path) == [".json", ".key", ".lock", ".parquet", "current"]
    assert {now.stage for now in said} == {"checking", "reading", "freezing"}
    assert all(0 <= now.done <= now.whole for now in said)


def population(folder: Path, people: int = 7) -> Path:
    path = folder / "people.csv"
    path.write_text(f"Calendar year;Sex;Age unit;Number of residents\n2000;2;0+;{people}\n")
    return path


def test_a_population_file_is_part_of_the_snapshot_and_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    alone = freeze(DATA, folder)

    first = freeze(replace(DATA, files=(*DATA.files, population(tmp_path))), folder)
    again = freeze(replace(DATA, files=(*DATA.files, population(tmp_path))), folder)
    other = freeze(replace(DATA, files=(*DATA.files, population(tmp_path, 8))), folder)

    snapshots = Snapshots(folder)
    assert again == first
    assert len({alone.digest, first.digest, other.digest}) == 3
    assert first.tumours == alone.tumours
    assert [group.count for group in snapshots.reference(first).residents] == [7]
    assert [group.count for group in snapshots.reference(other).residents] == [8]
    assert snapshots.reference(alone) == NOTHING
    assert snapshots.checked_rows(other) == snapshots.rows(other)


def test_a_population_that_was_changed_in_its_snapshot_is_noticed(tmp_path: Path) -> None:
    manifest = freeze(replace(DATA, files=(*DATA.files, population(tmp_path))), tmp_path / "s")
    path = Snapshots(tmp_path / "s").rows(manifest).with_suffix(".reference")
    path.write_bytes(path.read_bytes().replace(b"7", b"9"))

    with pytest.raises(DataError, match="other rows than its name says"):
        Snapshots(tmp_path / "s").checked_rows(manifest)


def test_a_population_goes_with_its_snapshot(tmp_path: Path) -> None:
    freeze(replace(DATA, files=(*DATA.files, population(tmp_path))), tmp_path / "s")
    deletions = tmp_path / "deletions.csv"
    deletions.write_text("patient;tumour;reporter;message\n")

    freeze(replace(DATA, deletions=deletions), tmp_path / "s")

    assert left(tmp_path / "s") == [".destroyed", ".json", ".key", ".lock", ".parquet", "current"]


def test_a_bad_population_file_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("cases were read")

    monkeypatch.setattr(module, "_read", never)
    bad = population(tmp_path, -7)

    with pytest.raises(DataError, match=r"^people.csv: row 1: wanted a number"):
        freeze(replace(DATA, files=(*DATA.files, bad)), tmp_path / "s")


def test_the_same_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = freeze(DATA, tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(module, "_read", never)

    assert freeze(DATA, tmp_path) == first


@pytest.mark.parametrize(
    "change",
    [
        {"complete": frozenset({"systemic"})},
        {"encr_missing": {"Age": frozenset({"64"})}},
        {"files": (GERMAN, FRENCH)},
        {"files": (FRENCH,)},
    ],
)
def test_what_the_rows_follow_from_is_part_of_the_sources(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    first = freeze(DATA, tmp_path)

    second = freeze(replace(DATA, **change), tmp_path)

    assert second.sources != first.sources
    assert (second.digest == first.digest) == (change == {"files": (GERMAN, FRENCH)})


def test_a_file_that_changed_is_a_new_snapshot_and_the_old_one_stays(tmp_path: Path) -> None:
    file, folder = tmp_path / "delivery.csv", tmp_path / "snapshots"
    lines = FRENCH.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines))
    first = freeze(DataFiles(files=(file,)), folder)

    file.write_bytes(b"".join(lines[:-1]))
    second = freeze(DataFiles(files=(file,)), folder)

    assert second.tumours == first.tumours - 1
    assert len(list(folder.glob("*.parquet"))) == 2


# --- what goes wrong --------------------------------------------------------------------------


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"

    with pytest.raises(DataError, match=r"^gone\.csv: no such data file$"):
        freeze(DataFiles(files=(gone,)), tmp_path)
    with pytest.raises(DataError, match=r"^gone\.csv: no such data file$"):
        freeze(replace(DATA, deletions=gone), tmp_path)


def test_an_unknown_kind_of_completeness_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wanted some of radio, surgery, systemic; got prayer"):
        freeze(replace(DATA, complete=frozenset({"prayer"})), tmp_path)


def test_a_file_that_cannot_be_read_leaves_the_old_snapshot_in_force(tmp_path: Path) -> None:
    folder, cut = tmp_path / "snapshots", tmp_path / "cut.xml"
    first = freeze(DATA, folder)
    cut.write_bytes(GERMAN.read_bytes()[:20_000])

    with pytest.raises(DataError, match=r"^cut\.xml: line \d+: the file ends before its XML does"):
        freeze(replace(DATA, files=(FRENCH, cut)), folder)

    assert Snapshots(folder).current() == first
    assert not (folder / "arrivals").exists()


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "growing.csv"
    file.write_bytes(FRENCH.read_bytes())
    read = module._read

    def read_while_it_grows(*given: Any) -> None:
        read(*given)
        with file.open("ab") as more:
            more.write(FRENCH.read_bytes().splitlines(keepends=True)[-1])

    monkeypatch.setattr(module, "_read", read_while_it_grows)

    with pytest.raises(DataError, match=r"^growing\.csv: the file has changed while it was read$"):
        freeze(DataFiles(files=(file,)), tmp_path / "snapshots")
    assert Snapshots(tmp_path / "snapshots").current() is None


@pytest.mark.parametrize("place", ["flush", "checkpoint", "buckets"])
def test_a_full_disk_leaves_the_old_snapshot_and_frees_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    first = freeze(DataFiles(files=(FRENCH,)), tmp_path)
    before = left(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret/place")

    owner = Arrivals if place == "checkpoint" else Partition
    monkeypatch.setattr(owner, place, full)
    with pytest.raises(DataError, match=r"the old snapshot stays in force$") as caught:
        freeze(DATA, tmp_path)

    assert "secret" not in str(caught.value)
    assert Snapshots(tmp_path).current() == first
    assert left(tmp_path) == before


@pytest.mark.parametrize("limit", [3_000, 10_000, 16_000])
def test_a_file_system_that_takes_no_more_is_one_line(tmp_path: Path, limit: int) -> None:
    """A real refusal by the kernel, at several places on the way."""
    first = freeze(DataFiles(files=(FRENCH,)), tmp_path)
    before = left(tmp_path)
    program = (
        "import resource, signal, sys; from pathlib import Path;"
        "from upcare_mpc.config import DataFiles; from upcare_mpc.node.freeze import freeze;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
        "freeze(DataFiles(files=tuple(map(Path, sys.argv[3:]))), Path(sys.argv[2]))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program, str(limit), str(tmp_path), str(FRENCH), str(GERMAN)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].endswith("the old snapshot stays in force")
    assert Snapshots(tmp_path).current() == first
    assert left(tmp_path) == before


# --- an interruption --------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.usefixtures("every_file")
def test_after_a_crash_files_that_were_read_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = freeze(DATA, tmp_path / "elsewhere")
    (tmp_path / "here").mkdir()
    key = (tmp_path / "elsewhere" / "snapshot.key").read_bytes()
    (tmp_path / "here" / "snapshot.key").write_bytes(key)
    arrivals, taken = module.arrivals, []

    def noted(group: Any, **options: Any) -> Any:
        taken.append(group.sources[0].name)
        if len(taken) == 2:
            raise Crash
        return arrivals(group, **options)

    monkeypatch.setattr(module, "arrivals", noted)
    with pytest.raises(Crash):
        freeze(DATA, tmp_path / "here")
    assert Snapshots(tmp_path / "here").current() is None

    manifest = freeze(DATA, tmp_path / "here")

    assert taken == [FRENCH.name, GERMAN.name, GERMAN.name]
    assert manifest.digest == expected.digest
    assert manifest.account == expected.account
    assert not (tmp_path / "here" / "arrivals").exists()


@pytest.mark.usefixtures("every_file")
def test_another_delivery_after_a_crash_does_not_take_what_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "_write", lambda *_: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            freeze(DATA, tmp_path)
    assert (tmp_path / "arrivals" / "state.json").exists()

    manifest = freeze(DataFiles(files=(FRENCH,)), tmp_path)

    assert manifest.tumours == 63
    assert not (tmp_path / "arrivals").exists()


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """A real one, by SIGKILL, at ten moments of its work."""
    folder = tmp_path / "snapshots"
    first = freeze(DataFiles(files=(FRENCH,)), folder)
    program = (
        "import sys; from pathlib import Path; from upcare_mpc.config import DataFiles;"
        "from upcare_mpc.node import freeze as module; module.CHECKPOINT_BYTES = 1;"
        "print('begun', flush=True);"
        "module.freeze(DataFiles(files=tuple(map(Path, sys.argv[2:]))), Path(sys.argv[1]))"
    )
    files = [FRENCH, GERMAN, *sorted((PARTIES / "de-a" / "data").iterdir())]
    for step in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder), *map(str, files)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(step * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        now = Snapshots(folder).current()
        assert now is not None
        assert now == first or now.tumours == 384

    assert freeze(DataFiles(files=tuple(files)), folder).tumours == 384
    assert not (folder / "arrivals").exists()


def test_two_do_not_write_at_once(tmp_path: Path) -> None:
    with Snapshots(tmp_path).writing(), pytest.raises(ConfigError, match="another process"):
        freeze(DATA, tmp_path)


# --- deletions --------------------------------------------------------------------------------


def listed(folder: Path, *patients: str) -> Path:
    path = folder / "deletions.csv"
    path.write_text("\n".join(["patient", *patients]) + "\n")
    return path


def first_patients(count: int) -> list[str]:
    rows = FRENCH.read_text("utf-8").splitlines()[1:]
    return [row.split(";")[0].strip('"') for row in rows[:count]]


def names(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{suffix}")}


def test_a_deletion_destroys_the_snapshots_from_before(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    old = [freeze(DATA, folder), freeze(DataFiles(files=(FRENCH,)), folder)]

    new = freeze(replace(DATA, deletions=listed(tmp_path, *first_patients(2))), folder)

    assert new.tumours == 123
    assert new.account.rejected == {"on the deletion list": 2}
    assert names(folder, "parquet") == {new.digest.hex()}
    assert names(folder, "destroyed") == {manifest.digest.hex() for manifest in old}
    receipt = json.loads((folder / f"{old[0].digest.hex()}.destroyed").read_text())
    assert receipt["reason"] == "the deletion list has changed"


def test_a_list_that_names_nobody_here_destroys_nothing_that_is_in_force(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    old = freeze(DATA, folder)

    new = freeze(replace(DATA, deletions=listed(tmp_path, "nobody")), folder)

    assert new.digest == old.digest
    assert names(folder, "parquet") == {new.digest.hex()}
    assert names(folder, "destroyed") == set()


def test_who_was_deleted_does_not_come_back_by_a_forgotten_list(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    freeze(DATA, folder)
    new = freeze(replace(DATA, deletions=listed(tmp_path, *first_patients(1))), folder)

    for files in (DATA.files, (FRENCH,)):
        with pytest.raises(ConfigError, match="wanted a list again, got none"):
            freeze(DataFiles(files=files), folder)

    assert Snapshots(folder).current() == new


def test_content_that_was_destroyed_comes_back_by_a_deliberate_hand_alone(tmp_path: Path) -> None:
    """A patient was put on the list by mistake, and is taken off it."""
    folder = tmp_path / "snapshots"
    old = freeze(DATA, folder)
    new = freeze(replace(DATA, deletions=listed(tmp_path, *first_patients(1))), folder)
    nobody = replace(DATA, deletions=listed(tmp_path))

    with pytest.raises(RefusedError, match=rf"remove its receipt {old.digest.hex()}\.destroyed"):
        freeze(nobody, folder)
    assert Snapshots(folder).current() == new

    (folder / f"{old.digest.hex()}.destroyed").unlink()
    assert freeze(nobody, folder).digest == old.digest


def test_lost_rows_are_frozen_again(tmp_path: Path) -> None:
    first = freeze(DATA, tmp_path)
    Snapshots(tmp_path).rows(first).unlink()

    assert freeze(DATA, tmp_path).digest == first.digest
    assert Snapshots(tmp_path).rows(first).exists()


def test_rows_under_a_lost_manifest_are_not_thrown_away(tmp_path: Path) -> None:
    first = freeze(DATA, tmp_path)
    (tmp_path / f"{first.digest.hex()}.json").unlink()

    with pytest.raises(DataError, match="manifest of the snapshot in force is damaged"):
        freeze(DATA, tmp_path)

    assert Snapshots(tmp_path).rows(first).exists()


def test_a_change_of_equal_size_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "changing.csv"
    file.write_bytes(FRENCH.read_bytes())
    read = module._read

    def read_while_it_changes(*given: Any) -> None:
        read(*given)
        file.write_bytes(FRENCH.read_bytes().replace(b";1984;", b";1985;"))

    monkeypatch.setattr(module, "_read", read_while_it_changes)

    with pytest.raises(DataError, match="has changed while it was read"):
        freeze(DataFiles(files=(file,)), tmp_path / "snapshots")


def test_a_crash_before_the_destruction_is_made_good_at_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "snapshots"
    old = freeze(DATA, folder)
    data = replace(DATA, deletions=listed(tmp_path, *first_patients(1)))

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "destroy", crash)
        with pytest.raises(Crash):
            freeze(data, folder)
    assert old.digest.hex() in names(folder, "parquet")

    new: Manifest = freeze(data, folder)

    assert names(folder, "parquet") == {new.digest.hex()}
