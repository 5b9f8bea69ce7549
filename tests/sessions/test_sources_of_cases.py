"""One study over cases in files, in a folder of snapshots, and in PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fragile_network import PARTIES, POLICY, FragileNetwork, cases_of, counts, data_of, wait_for

from upcare_mpc.config import DataFiles, SnapshotFolder, WarehouseTable
from upcare_mpc.records.case import Case
from upcare_mpc.stats.counts import cross_table

psycopg = pytest.importorskip("psycopg", reason="NOT TESTED: the extra postgres is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from postgres import postgres  # noqa: E402
from warehouse_table import arrow_table  # noqa: E402

pytestmark = pytest.mark.parties

THREE = ("de-a", "fr-a", "fr-b")


@pytest.fixture(scope="module")
def files() -> dict[str, DataFiles]:
    return data_of(*THREE)


@pytest.fixture(scope="module")
def table(files: dict[str, DataFiles]) -> Iterator[WarehouseTable]:
    """The cases of fr-b in a table, as its own database holds them."""
    rows = arrow_table(list(cases_of(files["fr-b"])))
    kinds = {"int64": "bigint", "string": "text"}
    columns = ", ".join(f'"{field.name}" {kinds[str(field.type)]}' for field in rows.schema)
    with postgres() as (url, _):
        with psycopg.connect(url) as connection:
            connection.execute(f"CREATE TABLE cases_2026 ({columns})")
            with connection.cursor().copy("COPY cases_2026 FROM STDIN") as copy:
                for row in zip(*rows.to_pydict().values(), strict=True):
                    copy.write_row(row)
        yield WarehouseTable(url=url, table="cases_2026", seconds=4)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> SnapshotFolder:
    folder = tmp_path_factory.mktemp("fr-a") / "frozen"
    ingest(folder)
    return SnapshotFolder(folder=folder)


@pytest.fixture(scope="module")
def network(
    files: dict[str, DataFiles], frozen: SnapshotFolder, table: WarehouseTable
) -> Iterator[FragileNetwork]:
    sources = {"de-a": files["de-a"], "fr-a": frozen, "fr-b": table}
    with FragileNetwork(data=sources, overlap=1, policy=POLICY) as three:
        three.wait_until_attending(counts("hello", names=THREE))
        yield three


def ingest(folder: Path, *options: str) -> None:
    """As the operator does, in a process of its own."""
    subprocess.run(
        [
            *(sys.executable, "-m", "upcare_mpc", "ingest", PARTIES / "fr-a" / "data"),
            *("--out", folder, *options),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


def grades(cases: list[Case]) -> dict[object, int]:
    found = cross_table([{"grade": c.grade} for c in cases if c.site == "C50"], ["grade"])
    return {grade: count for (grade,), count in found.items()}


def answered(network: FragileNetwork, title: str) -> dict[object, int]:
    story = network.ask(counts(title, names=THREE, epsilon="40"))
    assert story.result is not None, story.words
    found = story.result.result.rows.set_index("grade")["count"]
    return {grade: count for grade, count in found.items() if count}


def test_wherever_the_cases_are_the_counts_are_theirs(
    network: FragileNetwork, files: dict[str, DataFiles]
) -> None:
    cases = [case for name in THREE for case in cases_of(files[name])]

    assert answered(network, "grades from three sources") == grades(cases)
    assert "in the table cases_2026 of a warehouse" in network.log("fr-b")


@pytest.mark.slow
def test_a_snapshot_that_is_frozen_while_the_node_runs_is_counted_next(
    network: FragileNetwork,
    files: dict[str, DataFiles],
    frozen: SnapshotFolder,
    tmp_path: Path,
) -> None:
    """A patient is deleted, the old snapshot is destroyed; the node goes on with the new one."""
    cases = [case for name in THREE for case in cases_of(files[name])]
    gone = next(case for case in cases if case.patient_id.startswith("FR-A") and case.grade == "2")
    deletions = tmp_path / "deletions.csv"
    deletions.write_text(f"patient\n{gone.patient_id}\n")

    ingest(frozen.folder, "--deletions", str(deletions))
    wait_for(
        lambda: "another snapshot is in force" in network.log("fr-a"),
        within_s=60,
        what="the node takes the new snapshot",
    )

    left = [case for case in cases if case.patient_id != gone.patient_id]
    assert answered(network, "grades after a deletion") == grades(left) != grades(cases)
    assert list(frozen.folder.glob("*.destroyed"))


def test_the_label_names_the_data_that_each_registry_answered_from(
    network: FragileNetwork,
) -> None:
    story = network.ask(counts("grades and whose data", names=THREE, epsilon="4"))

    assert story.result is not None, story.words
    named = story.result.label()["snapshots"]
    assert list(named) == list(THREE)
    assert len({bytes.fromhex(snapshot) for snapshot in named.values()}) == 3
