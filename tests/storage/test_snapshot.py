"""The folder of snapshots: frozen, put in force whole or not at all, destroyed with a receipt."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from frozen_cases import case_rows
from generated_studies import line

from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.records.case import Case
from upcare_mpc.storage import durable, snapshot
from upcare_mpc.storage.snapshot import Account, Manifest, Snapshots, SourceFile, Sources
from upcare_mpc.storage.snapshot_engine import ALL_PATIENTS
from upcare_mpc.study import language
from upcare_mpc.study.layout import Measure, Measures

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOURCES = Sources(
    files=(SourceFile(name="a.xml", sha256="00" * 32, size=7),),
    rules=1,
    complete=("surgery",),
    encr_missing={"Age": ("999",)},
    deletions="",
)
ACCOUNT = Account(
    messages=9,
    replaced=1,
    rejected={"no patient id": 2},
    remarks={"death before diagnosis": 1},
    formats={"obds": 1},
)
EVERYBODY = Measures(
    where=language.parse("true", place=""),
    tables=(Measure((language.parse("0", place="", want="integer"),)),),
)
ALL = line(1, EVERYBODY)


def people(count: int) -> list[Case]:
    return [Case(patient_id=f"p{i}", tumour_id="t", sequence=1, age=i) for i in range(count)]


def freeze(snapshots: Snapshots, cases: Any, *, deletions: str = "") -> Manifest:
    sources = replace(SOURCES, deletions=deletions)
    with snapshots.writing():
        return snapshots.write(case_rows(cases, size=2), sources, lambda: ACCOUNT, NOW)


def destroy(snapshots: Snapshots, digest: bytes) -> None:
    with snapshots.writing():
        snapshots.destroy(digest, reason="objection", now=NOW)


def counted(snapshots: Snapshots) -> int:
    manifest = snapshots.current()
    assert manifest is not None
    engine, _ = snapshots.open(manifest, snapshots.folder / "spill")
    try:
        return int(engine.tabulate(EVERYBODY, ALL, ALL_PATIENTS)[0])
    finally:
        engine.close()


def files(folder: Path) -> set[str]:
    return {path.suffix or path.name for path in folder.iterdir()} - {"spill", ".lock"}


def test_a_folder_begins_without_a_snapshot(tmp_path: Path) -> None:
    assert Snapshots(tmp_path / "snapshots").current() is None


def test_a_snapshot_is_in_force_with_its_manifest_after_a_restart(tmp_path: Path) -> None:
    manifest = freeze(Snapshots(tmp_path), people(3))

    again = Snapshots(tmp_path)

    assert again.current() == manifest
    assert (manifest.tumours, manifest.sources, manifest.account) == (3, SOURCES, ACCOUNT)
    assert counted(again) == 3


def test_the_same_content_is_the_same_snapshot(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)

    first = freeze(snapshots, people(3))
    second = freeze(snapshots, people(3)[::-1])

    assert first.digest == second.digest
    assert len(list(tmp_path.glob("*.parquet"))) == 1


def test_an_older_snapshot_stays_and_can_be_counted(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))
    freeze(snapshots, people(4))

    engine, _ = snapshots.open(old, tmp_path / "spill")

    assert engine.tabulate(EVERYBODY, ALL, ALL_PATIENTS).tolist() == [3]
    assert counted(snapshots) == 4
    engine.close()


def test_rows_and_manifest_are_the_operators_alone(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    freeze(Snapshots(folder), people(3))

    assert folder.stat().st_mode & 0o077 == 0
    assert next(folder.glob("*.parquet")).stat().st_mode & 0o777 == 0o400
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_a_delivery_that_breaks_off_leaves_the_old_snapshot_in_force(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))

    def arriving() -> Iterator[Any]:
        yield from case_rows(people(5))
        raise DataError("the delivery breaks off")

    with snapshots.writing(), pytest.raises(DataError, match="breaks off"):
        snapshots.write(arriving(), SOURCES, lambda: ACCOUNT, NOW)

    assert snapshots.current() == old
    assert files(tmp_path) == {".parquet", ".json", "current"}


class Crash(BaseException):
    """The process ends here; nothing of it runs any more."""


@pytest.mark.parametrize("step", range(1, 8))
def test_a_crash_at_any_flush_leaves_a_snapshot_in_force_and_the_next_start_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Each flush is a place where a crash changes what is on disk; the last steps are too late."""
    old = freeze(Snapshots(tmp_path), people(3))
    done = 0
    flush = durable.flush

    def crash(path: Path) -> None:
        nonlocal done
        done += 1
        if done == step:
            raise Crash
        flush(path)

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "flush", crash)
        patched.setattr(durable, "flush", crash)
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # no clearing up after a crash
        try:
            freeze(Snapshots(tmp_path), people(4))
            crashed = False
        except Crash:
            crashed = True

    again = Snapshots(tmp_path)
    now = again.current()
    with again.writing():
        pass

    assert crashed == (step <= 5)
    assert now is not None
    assert (now == old) == (step <= 4)
    assert counted(again) == (3 if step <= 4 else 4)
    assert not list(tmp_path.glob("*.new*"))
    assert {p.stem for p in tmp_path.glob("*.parquet")} <= {p.stem for p in tmp_path.glob("*.json")}


def test_a_full_disk_leaves_the_old_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/some/where")

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "write_rows", full)
        with pytest.raises(OSError, match="No space left"):
            freeze(snapshots, people(4))

    assert snapshots.current() == old


def test_a_destroyed_snapshot_leaves_digest_and_receipt_and_nothing_else(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))
    freeze(snapshots, people(2))
    name = old.digest.hex()

    destroy(snapshots, old.digest)

    assert {path.name for path in tmp_path.glob(f"{name}*")} == {f"{name}.destroyed"}
    assert json.loads((tmp_path / f"{name}.destroyed").read_text()) == {
        "receipt": 1,
        "digest": name,
        "destroyed": "2026-11-22T12:00:00+00:00",
        "reason": "objection",
    }
    assert counted(snapshots) == 2
    with pytest.raises(DataError, match="not there"):
        snapshots.open(old, tmp_path / "spill")


def test_content_that_was_destroyed_is_not_taken_again(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))
    new = freeze(snapshots, people(2))
    destroy(snapshots, old.digest)

    with pytest.raises(RefusedError, match="was destroyed"):
        freeze(snapshots, people(3))

    assert snapshots.current() == new


def test_the_snapshot_in_force_is_not_destroyed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    manifest = freeze(snapshots, people(3))

    with pytest.raises(RefusedError, match="in force"):
        destroy(snapshots, manifest.digest)

    assert counted(snapshots) == 3


def test_what_is_not_there_is_not_destroyed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such snapshot"):
        destroy(Snapshots(tmp_path), b"\0" * 32)


def test_a_crash_after_the_receipt_is_finished_by_the_next_writer(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))
    freeze(snapshots, people(2))
    kept = {
        suffix: (tmp_path / f"{old.digest.hex()}.{suffix}").read_bytes()
        for suffix in ("parquet", "json")
    }
    destroy(snapshots, old.digest)
    for suffix, content in kept.items():
        (tmp_path / f"{old.digest.hex()}.{suffix}").write_bytes(content)

    with Snapshots(tmp_path).writing():
        pass

    assert {p.suffix for p in tmp_path.glob(f"{old.digest.hex()}*")} == {".destroyed"}


def test_rows_that_were_changed_are_refused(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    three = freeze(snapshots, people(3))
    four = freeze(snapshots, people(4))
    path = tmp_path / f"{four.digest.hex()}.parquet"
    path.unlink()
    path.write_bytes((tmp_path / f"{three.digest.hex()}.parquet").read_bytes())

    with pytest.raises(DataError, match="other rows"):
        snapshots.open(four, tmp_path / "spill")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"manifest": 1}', "\0" * 50])
def test_a_damaged_manifest_is_one_clear_error(tmp_path: Path, content: str) -> None:
    snapshots = Snapshots(tmp_path)
    name = freeze(snapshots, people(3)).digest.hex()
    (tmp_path / f"{name}.json").write_text(content)

    with pytest.raises(DataError, match="manifest of the snapshot in force is damaged"):
        snapshots.current()
    (tmp_path / "current").unlink()
    assert snapshots.current() is None


def test_a_snapshot_of_another_version_is_as_none(tmp_path: Path) -> None:
    """The files are there still; they are read anew by this version."""
    snapshots = Snapshots(tmp_path)
    name = freeze(snapshots, people(3)).digest.hex()
    path = tmp_path / f"{name}.json"
    content = json.loads(path.read_text()) | {"columns": ["pseudonym", "shoe_size"]}
    path.write_text(json.dumps(content))

    assert snapshots.current() is None


def test_two_do_not_write_at_once(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)

    with snapshots.writing(), pytest.raises(ConfigError, match="another process is writing"):
        freeze(Snapshots(tmp_path), people(3))

    assert freeze(snapshots, people(3)).tumours == 3


def test_readers_do_not_disturb_a_writer(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    old = freeze(snapshots, people(3))

    with snapshots.writing():
        half = tmp_path / "rows.new"
        half.write_bytes(b"half")
        assert counted(Snapshots(tmp_path)) == 3
        assert half.exists()
    assert Snapshots(tmp_path).current() == old


def test_snapshots_of_another_deletion_list_are_told(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    first = freeze(snapshots, people(3), deletions="aa")
    second = freeze(snapshots, people(4), deletions="bb")
    third = freeze(snapshots, people(5), deletions="bb")

    assert snapshots.outdated("bb") == [first.digest]
    (tmp_path / f"{second.digest.hex()}.json").write_text("damaged")
    assert set(snapshots.outdated("bb")) == {first.digest, second.digest}
    assert third.digest not in snapshots.outdated("aa")


@pytest.mark.parametrize("content", [b"", b"x" * 31])
def test_a_secret_that_is_not_whole_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "snapshot.key").write_bytes(content)

    with pytest.raises(ConfigError, match="wanted 32 bytes"):
        Snapshots(tmp_path).secret()


def test_a_secret_that_is_gone_is_not_made_anew_beside_a_snapshot(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.secret()
    freeze(snapshots, people(3))
    (tmp_path / "snapshot.key").unlink()

    with pytest.raises(ConfigError, match=r"snapshot\.key is missing"):
        snapshots.secret()
    assert not (tmp_path / "snapshot.key").exists()
