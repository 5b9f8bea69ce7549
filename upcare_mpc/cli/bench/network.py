"""What the benches of whole studies ask, and of whom: registries of made-up patients."""

import csv
import json
import random
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from upcare_mpc.cli import show
from upcare_mpc.config import DataFiles
from upcare_mpc.ingest.encr import COLUMNS
from upcare_mpc.study.spec import Study, parse

__all__ = [
    "IDLE_S",
    "PURPOSE",
    "TABLES",
    "counts_study",
    "made_up_data",
    "print_report",
    "spread",
]

PURPOSE = "DUO:0000007"

# A table of so many cells, as dimensions of a `counts` study.
TABLES = {
    20: '["sex2", "decade"]',
    10_000: '["age", "year"]',
    100_000: '["age", "year", "stage", "sex2"]',
}
DIMENSIONS = {
    "sex2": '{ variable = "sex", values = ["female", "male"] }',
    "decade": '{ variable = "age", from = 0, to = 99, width = 10 }',
    "age": '{ variable = "age", from = 0, to = 99, width = 1 }',
    "year": '{ variable = "diagnosis_year", from = 1920, to = 2019, width = 1 }',
    "stage": '"stage"',
}
REGISTRIES = ("aa", "bb", "cc", "dd", "ee")
PATIENTS = 2000
IDLE_S = 3.0  # between studies; the nodes load their next workers meanwhile


def counts_study(cells: int, run: int) -> Study:
    """A cross-table of so many cells, another study for every run."""
    dimensions = ", ".join(DIMENSIONS[name] for name in json.loads(TABLES[cells]))
    names = ", ".join(f'"{name}"' for name in REGISTRIES)
    return parse(
        f'version = 1\ntitle = "benchmark {run}"\nkind = "counts"\npurpose = "{PURPOSE}"\n'
        f"registries = [{names}]\noverlap = 1\n"
        "[cohort]\nwhere = \"site = 'C50'\"\n[privacy]\nepsilon = 1.0\n"
        f"[counts]\nby = [{dimensions}]\n",
        name="benchmark",
    )


def made_up_data(folder: Path) -> dict[str, DataFiles]:
    """Write what each registry knows; the same each time."""
    return {name: _registry(folder, name) for name in REGISTRIES}


def spread(seconds: Sequence[float]) -> dict[str, float | int]:
    """Of what was measured several times, in seconds."""
    return {
        "min": round(min(seconds), 4),
        "median": round(statistics.median(seconds), 4),
        "runs": len(seconds),
    }


def print_report(report: Mapping[str, Any], *, as_json: bool) -> None:
    """Print it as one JSON object, or a line a figure."""
    if as_json:
        click.echo(json.dumps(report))
        return
    for name, value in report.items():
        show.out.print(f"{name}: {value}")


def _registry(folder: Path, name: str) -> DataFiles:
    """An ENCR incidence file of made-up patients."""
    generator = random.Random(name)  # noqa: S311 - made-up patients, the same each time
    path = folder / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";", restval="")
        writer.writeheader()
        for number in range(PATIENTS):
            year = generator.randrange(1950, 2020)
            age = generator.randrange(20, 95)
            writer.writerow(
                {
                    "PAT": f"{name}-{number}", "TUM": "1", "MoB": 1, "YoB": year - age, "Age": age,
                    "Sex": generator.choice((1, 2)), "MoI": 6, "YoI": year, "BoD": 7,
                    "Topo": "C509", "Morpho": 8500, "Beh": 3, "Vit_stat": 1, "MoF": 6,
                    "YoF": year + 5, "Surv_time": 1826, "Stage": generator.choice((1, 2, 3, 4)),
                }
            )  # fmt: skip
    return DataFiles(files=(path,))
