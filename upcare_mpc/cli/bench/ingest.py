"""`upcare bench ingest`: files of a made-up registry to a frozen snapshot, and a table from it.

Each run is a process of its own, on one core, and does what `upcare ingest` does, but for the
quality report. The time is that of `node.freeze`, without the start of the process; the memory is
the peak of the whole process.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from upcare_mpc.cli import show
from upcare_mpc.cli.bench.made_up_registry import Made, write_encr, write_obds
from upcare_mpc.cli.bench.process import apart, peak_mb
from upcare_mpc.config import DataFiles
from upcare_mpc.errors import DataError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.node.freeze import freeze
from upcare_mpc.storage.snapshot import Snapshots
from upcare_mpc.storage.snapshot_engine import ALL_PATIENTS
from upcare_mpc.study.spec import parse

__all__ = ["ingest"]

# 35 site groups x 2 sexes x 18 ages x 20 years.
STUDY = """version = 1
title = "All sites by sex, age and year"
kind = "counts"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c"]
[cohort]
where = "behaviour = 3 and sequence = 1"
[privacy]
epsilon = 1
[counts]
by = [
  "site_group", { variable = "sex", values = ["female", "male"] }, "age_group",
  { variable = "diagnosis_year", from = 2000, to = 2019 },
]
"""


@dataclass(frozen=True, slots=True)
class _Run:
    """What one process took, and what it found."""

    seconds: float
    cpu_seconds: float
    rss_mb: float
    found: tuple[int, ...]


@click.command()
@click.option("--patients", type=click.IntRange(min=1), default=50_000, show_default=True)
@click.option("--rows", type=click.IntRange(min=1), default=500_000, show_default=True)
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def ingest(patients: int, rows: int, runs: int, *, as_json: bool) -> None:
    """Freeze an oBDS file of PATIENTS and an ENCR file of ROWS; count 25,200 cells of the latter.

    About three messages a patient. Each run is a process of its own on one core.

    Example: upcare bench ingest --patients 20000 --rows 100000
    """
    with tempfile.TemporaryDirectory(prefix="upcare-bench-") as folder:
        bench = _Bench(Path(folder), runs)
        report = {
            "obds": bench.freeze("obds.xml", lambda file: write_obds(file, patients)),
            "encr": bench.freeze("encr.csv", lambda file: write_encr(file, rows)),
            "count": bench.count("encr.csv"),
        }
    if as_json:
        click.echo(json.dumps(report))
        return
    for name, values in report.items():
        show.out.print(f"{name}: {values}")


class _Bench:
    """Files and snapshots in one folder."""

    def __init__(self, folder: Path, runs: int) -> None:
        self._folder = folder
        self._runs = runs

    def freeze(self, name: str, write: Callable[[BinaryIO], Made]) -> dict[str, Any]:
        """Make a file; freeze it as often as there are runs."""
        path = self._folder / name
        with path.open("wb") as file:
            made = write(file)
        runs = [
            apart(_frozen, path, self._folder / f"{name}.{number}") for number in range(self._runs)
        ]
        if any(run.found != (made.patients, made.tumours, made.messages) for run in runs):
            raise DataError(f"{name}: the snapshot does not hold what the file was made to hold")
        seconds = statistics.median(run.seconds for run in runs)
        return {
            "n": made.messages,
            "patients": made.patients,
            "tumours": made.tumours,
            "file_mb": round(path.stat().st_size / 2**20, 1),
            "patients_per_s": round(made.patients / seconds),
            "rows_per_s": round(made.messages / seconds),
            **_figures(runs),
        }

    def count(self, name: str) -> dict[str, Any]:
        """Count the table over the snapshot of a file's first run."""
        runs = [apart(_counted, self._folder / f"{name}.0") for _ in range(self._runs)]
        cells, tumours, counted = runs[0].found
        return {"cells": cells, "tumours": tumours, "counted": counted, **_figures(runs)}


def _figures(runs: list[_Run]) -> dict[str, Any]:
    seconds = [run.seconds for run in runs]
    return {
        "seconds": {
            "min": round(min(seconds), 4),
            "median": round(statistics.median(seconds), 4),
            "runs": len(runs),
        },
        "cpu_seconds": round(statistics.median(run.cpu_seconds for run in runs), 4),
        "rss_mb": round(max(run.rss_mb for run in runs), 1),
    }


def _frozen(path: Path, folder: Path) -> _Run:
    began, cpu_began = time.perf_counter(), time.process_time()
    manifest = freeze(DataFiles(files=(path,)), folder)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    found = manifest.patients, manifest.tumours, manifest.account.messages
    return _Run(seconds, cpu_seconds, peak_mb(), found)


def _counted(folder: Path) -> _Run:
    """The second of two counts: the first one may wait for the disk."""
    snapshots = Snapshots(folder)
    manifest = snapshots.current()
    assert manifest is not None
    kind = work_out(parse(STUDY, name="benchmark"), network_overlap=1).kind
    measures, layout = kind.measures(), kind.layout()
    engine, _ = snapshots.open(manifest, folder / "spill")
    engine.tabulate(measures, layout, ALL_PATIENTS)
    began, cpu_began = time.perf_counter(), time.process_time()
    vector = engine.tabulate(measures, layout, ALL_PATIENTS)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    engine.close()
    found = len(vector), manifest.tumours, int(vector.sum())
    return _Run(seconds, cpu_seconds, peak_mb(), found)
