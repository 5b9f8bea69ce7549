"""Registries of made-up patients, and studies of them through whole networks.

The table has one cell for each age and year of diagnosis. A *target* is a patient who is the only
one of her cell that an auditor does not know of; she is in the data or not. Everybody else is
known, so that the noise, and with it everything the release tells about her, can be read off.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from laws import Sample

from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client.platform import PlatformClient, raise_bad_end
from upcare_mpc.config import DataFiles
from upcare_mpc.ingest.encr import COLUMNS
from upcare_mpc.kinds.question import work_out
from upcare_mpc.mpc.noise import Law
from upcare_mpc.study.spec import parse

__all__ = ["AGES", "YEARS", "Cohort", "Release", "law_of", "releases", "run_local", "warm_network"]

NAMES = ("aa", "bb", "cc")
PURPOSE = "DUO:0000007"
AGES, YEARS = range(100), range(1920, 2020)
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Cohort:
    """Who is in the data.

    Attributes:
        ages: Of the table.
        years: Of the table.
        targets: ``(n,)`` whether the target of each cell is there.
        known_to: How many registries know each target; all others are known to one.
    """

    ages: range
    years: range
    targets: npt.NDArray[np.bool_]
    known_to: int

    @property
    def others(self) -> Sample:
        """``(n,)`` patients that the auditor knows of: two in every fifth cell."""
        return np.where(np.arange(len(self.targets)) % 5 == 0, 2, 0)

    @property
    def counts(self) -> Sample:
        """``(n,)`` the true pooled table."""
        return self.others + self.known_to * self.targets

    def write(self, folder: Path, *, elsewhere: int) -> dict[str, Path]:
        """Write one ENCR incidence file a registry.

        ``elsewhere`` patients of each have another cancer, so that every file has some size:
        ``upcare local`` gives a node time to count by the size of its file.
        """
        rows = {
            name: [self._row(0, f"e{n}") | {"Topo": "C619"} for n in range(elsewhere)]
            for name in NAMES
        }
        for cell, target in enumerate(self.targets.tolist()):
            for number in range(int(self.others[cell])):
                rows[NAMES[number]].append(self._row(cell, f"o{cell}-{number}"))
            for name in NAMES[: self.known_to if target else 0]:
                rows[name].append(self._row(cell, f"t{cell}"))
        paths = {name: folder / f"{name}.csv" for name in NAMES}
        for name, path in paths.items():
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, delimiter=";", restval="")
                writer.writeheader()
                writer.writerows(rows[name])
        return paths

    def _row(self, cell: int, patient: str) -> dict[str, object]:
        place, step = divmod(cell, len(self.years))
        age, year = self.ages[place], self.years[step]
        return {
            "PAT": patient, "TUM": "1", "MoB": 1, "YoB": year - age, "Age": age, "Sex": 2,
            "MoI": 6, "YoI": year, "BoD": 7, "Topo": "C509", "Morpho": 8500, "Beh": 3,
            "Vit_stat": 1, "MoF": 6, "YoF": year + 1, "Surv_time": 365,
        }  # fmt: skip


@dataclass(frozen=True)
class Release:
    """One published table.

    Attributes:
        counts: ``(n,)`` as published.
        label: The privacy label beside it.
    """

    counts: Sample
    label: Mapping[str, Any]


def study_text(title: str, cohort: Cohort, *, privacy: str, overlap: int) -> str:
    """A study of a cohort's table; ``privacy`` is the content of its privacy table."""
    ages, years = cohort.ages, cohort.years
    names = ", ".join(f'"{name}"' for name in NAMES)
    return (
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "{PURPOSE}"\n'
        f"registries = [{names}]\noverlap = {overlap}\n[cohort]\nwhere = \"site = 'C50'\"\n"
        f"[privacy]\n{privacy}\n[counts]\nby = [\n"
        f'  {{ variable = "age", from = {ages[0]}, to = {ages[-1]}, width = 1 }},\n'
        f'  {{ variable = "diagnosis_year", from = {years[0]}, to = {years[-1]}, width = 1 }},\n]\n'
    )


def run_local(
    cohort: Cohort,
    folder: Path,
    *,
    privacy: str,
    overlap: int,
    environment: Mapping[str, str] | None = None,
) -> Release:
    """Run ``upcare local`` as anyone would: real processes, files, ledgers, TLS, sealed result."""
    data = [f"--data={name}={path}" for name, path in cohort.write(folder, elsewhere=4000).items()]
    file = folder / "study.toml"
    file.write_text(study_text("audit", cohort, privacy=privacy, overlap=overlap), "utf-8")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "upcare_mpc",
            "local",
            *data,
            "--study",
            str(folder / "study.toml"),
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    counts = np.array([row["count"] for row in answer["result"]["rows"]], np.int64)
    return Release(counts, answer["label"])


def law_of(cohort: Cohort, *, privacy: str, overlap: int) -> Law:
    """The law of the noise that a study's text implies."""
    study = parse(study_text("law", cohort, privacy=privacy, overlap=overlap), name="study")
    return work_out(study, network_overlap=overlap).law


@contextmanager
def warm_network(cohort: Cohort, folder: Path, *, overlap: int) -> Iterator[LocalNetwork]:
    """A running network over a cohort, to be asked many times."""
    data = {
        name: DataFiles(files=(path,)) for name, path in cohort.write(folder, elsewhere=0).items()
    }
    policy = LocalPolicy(purposes=[PURPOSE], epsilon=Fraction(10_000))
    with LocalNetwork(data=data, overlap=overlap, policy=policy) as network:
        first = parse(
            study_text("first", cohort, privacy="epsilon = 1.0", overlap=overlap), name=""
        )
        network.wait_until_attending(first)
        yield network


def releases(
    network: LocalNetwork, cohort: Cohort, count: int, *, privacy: str, overlap: int
) -> Iterator[Release]:
    """Ask the same thing again and again; another title makes it another question.

    A study that a busy machine did not count in time has released nothing; one in ten may be lost
    so.
    """
    with PlatformClient(network.researcher) as platform:
        answered, lost = 0, 0
        while answered < count:
            title = f"audit {answered} {lost}"
            text = study_text(title, cohort, privacy=privacy, overlap=overlap)
            study = parse(text, name="study")
            platform.submit(study)
            (end,) = (event for event in platform.watch(study.digest) if event.last)
            if "counting did not end in the time" in end.text and lost < count // 10:
                lost += 1
                continue
            raise_bad_end(end)
            result = platform.result(study)
            yield Release(result.noisy, result.label())
            answered += 1
