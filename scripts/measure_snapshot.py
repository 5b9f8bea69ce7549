#!/usr/bin/env python3
"""Freeze generated tumours and count a table of 25,200 cells; print seconds and memory.

    measure_snapshot.py TUMOURS FOLDER

35 site groups x 2 sexes x 18 ages x 20 years, of first tumours. The rows stay in FOLDER: the first
run freezes and checks them, a second one counts.
"""

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from upcare_mpc.kinds.question import work_out
from upcare_mpc.records.case import Case
from upcare_mpc.storage.snapshot_engine import Engine
from upcare_mpc.storage.snapshot_rows import read_digest, write_rows
from upcare_mpc.study.spec import parse

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
SITES = [f"C{site:02}.{sub}" for site in range(81) for sub in (0, 1, 9) if site not in (27, 42, 77)]
REGIONS = [f"DE{land}{district}" for land in "123" for district in ("11", "12", "1A", "2C")]


def tumours(count: int) -> Iterator[Case]:
    """Every tenth tumour is a further one of the same patient; a third of values are unknown."""
    source = random.Random(7)  # noqa: S311  not for secrets
    pick, chance = source.choice, source.random
    patient = sequence = 0
    for _ in range(count):
        if sequence and chance() < 0.1:
            sequence += 1
        else:
            patient, sequence = patient + 1, 1
        yield Case(
            patient_id=f"patient-{patient}",
            tumour_id=f"tumour-{sequence}",
            sequence=sequence,
            sex=pick(("female", "male")),
            age=int(chance() * 100),
            diagnosis_year=2000 + int(chance() * 20),
            diagnosis_month=1 + int(chance() * 12),
            diagnosis_precision="month",
            topography=pick(SITES),
            morphology=pick(("8500", "8140", "8070")),
            behaviour="3",
            grade=pick(("1", "2", "3", None)),
            stage=pick(("1", "2", "3", "4", None)),
            basis="7",
            region=pick(REGIONS),
            tx_surgery=pick(("yes", "no", None)),
            tx_chemo=pick(("yes", "no", None)),
            vital_status=pick(("alive", "dead")),
            follow_up_days=int(chance() * 7000),
        )


def main() -> None:
    """Measure and print one JSON object."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    rows = folder / f"{count}.parquet"
    measured: dict[str, object] = {"tumours": count}
    if not rows.exists():
        began = time.perf_counter()
        for _ in tumours(count):
            pass
        made = time.perf_counter()
        write_rows(tumours(count), rows, secret=b"s" * 32, rules=1)
        wrote = time.perf_counter()
        read_digest(rows, rules=1)
        checked = time.perf_counter()
        measured["generate_s"] = round(made - began, 1)
        measured["generate_and_write_s"] = round(wrote - made, 1)
        measured["check_digest_s"] = round(checked - wrote, 1)
        measured["file_mb"] = rows.stat().st_size // 2**20
    else:
        measured |= count_table(rows, folder)
    measured["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(measured))  # noqa: T201  it is a command


def count_table(rows: Path, folder: Path) -> dict[str, object]:
    """Count six times; the first may read from disk."""
    kind = work_out(parse(STUDY, name="study"), network_overlap=1).kind
    engine = Engine(rows, folder / "spill")
    times = []
    for _ in range(6):
        began = time.perf_counter()
        vector = engine.tabulate(kind.measures(), kind.layout())
        times.append(round(time.perf_counter() - began, 3))
    engine.close()
    return {
        "cells": len(vector),
        "counted": int(vector.sum()),
        "first_count_s": times[0],
        "warm_count_s": sorted(times[1:]),
    }


if __name__ == "__main__":
    main()
