"""`upcare bench`: how fast this machine is, on the same code as a study."""

import asyncio
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np

from upcare_mpc.cli.bench.abe import abe
from upcare_mpc.cli.bench.api import api
from upcare_mpc.cli.bench.deposit import deposit
from upcare_mpc.cli.bench.ingest import ingest
from upcare_mpc.cli.bench.network import (
    IDLE_S,
    PURPOSE,
    TABLES,
    counts_study,
    made_up_data,
    print_report,
    spread,
)
from upcare_mpc.cli.bench.suppress import suppress
from upcare_mpc.cli.committee import Rehearsal, rehearse
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client.platform import PlatformClient, raise_bad_end
from upcare_mpc.errors import InputError
from upcare_mpc.privacy.gaussian import sample_gaussian
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.draw import SEGMENT_CELLS
from upcare_mpc.study.layout import MAX_CELLS, Sensitivity
from upcare_mpc.study.spec import Study

__all__ = ["bench"]

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
_runs = click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True)


@click.group()
def bench() -> None:
    """Measure this machine; figures and their meaning are in docs/benchmarks.md."""


bench.add_command(abe)
bench.add_command(api)
bench.add_command(deposit)
bench.add_command(ingest)
bench.add_command(suppress)


@bench.command()
@click.option(
    "--mechanism", type=click.Choice(["laplace", "gaussian"]), default="laplace", show_default=True
)
@click.option("--scale", default="10", show_default=True, help="Laplace b or Gaussian sigma.")
@click.option("--cells", type=click.IntRange(1, MAX_CELLS), default=10_000, show_default=True)
@click.option("--parties", type=click.Choice(["3", "5", "7"]), default="3", show_default=True)
@click.option("--bank", is_flag=True, help="From shares in hand: the noise bank is filled before.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Opened noise, .npy.")
@_runs
@_json
def noise(
    mechanism: str,
    scale: str,
    cells: int,
    parties: str,
    bank: bool,
    out: Path | None,
    runs: int,
    as_json: bool,
) -> None:
    """Draw noise jointly, add it to a sum, open it; process start excluded, TLS on.

    Example: upcare bench noise --scale 10 --cells 100000 --out noise.npy
    """
    one_cell = Sensitivity(d0=1, d1=1, dinf=1)
    law = sample_law(_scale(scale), one_cell) if mechanism == "laplace" else None
    drawn = law or sample_gaussian(_scale(scale) ** 2, one_cell)
    sessions = [
        asyncio.run(rehearse(drawn, cells, parties=int(parties), bank=bank)) for _ in range(runs)
    ]
    if out is not None:
        np.save(out, sessions[-1].noise)
    report = {
        "mechanism": mechanism,
        "scale": scale,
        "cells": cells,
        "parties": int(parties),
        "bank": bank,
        "seconds": spread([session.protocol_seconds for session in sessions]),
        **_resources(sessions),
    }
    print_report(report, as_json=as_json)


@bench.command()
@click.option(
    "--cells", type=click.Choice([str(n) for n in TABLES]), default="10000", show_default=True
)
@click.option("--bank", is_flag=True, help="The registries keep a noise bank.")
@_runs
@_json
def study(cells: str, bank: bool, runs: int, as_json: bool) -> None:
    """Ask a warm network of five registries here, from submission to the opened result.

    Example: upcare bench study --cells 10000
    """
    with tempfile.TemporaryDirectory(prefix="upcare-bench-") as folder:
        data = made_up_data(Path(folder))
        kept = min(MAX_CELLS, (runs + 1) * (int(cells) + SEGMENT_CELLS)) if bank else 0
        policy = LocalPolicy(purposes=[PURPOSE], bank_cells=kept)
        network = LocalNetwork(data=data, overlap=1, policy=policy)
        with network:
            first = counts_study(int(cells), 0)
            network.wait_until_attending(first)
            with PlatformClient(network.researcher) as platform:
                _ask(platform, first)  # warms every process, and fills the bank
                asked = [_warm_ask(platform, counts_study(int(cells), n + 1)) for n in range(runs)]
    report = {
        "cells": int(cells),
        "registries": 5,
        "bank": bank,
        "from_bank": sum(from_bank for _, from_bank in asked),
        "seconds": spread([seconds for seconds, _ in asked]),
    }
    print_report(report, as_json=as_json)


def _warm_ask(platform: PlatformClient, asked: Study) -> tuple[float, bool]:
    time.sleep(IDLE_S)
    return _ask(platform, asked)


def _ask(platform: PlatformClient, asked: Study) -> tuple[float, bool]:
    """Seconds from submission to the opened result, and whether the noise came from the bank."""
    start, from_bank = time.perf_counter(), False
    platform.submit(asked)
    for event in platform.watch(asked.digest):
        from_bank |= event.phase == "noise" and event.text.endswith("noise bank")
        if event.last:
            raise_bad_end(event)
    platform.result(asked)
    return time.perf_counter() - start, from_bank


def _scale(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"--scale: wanted a decimal, got {text!r}") from None


def _resources(sessions: list[Rehearsal]) -> dict[str, Any]:
    return {
        "fill_seconds": round(statistics.median(s.fill_seconds for s in sessions), 4),
        "link_seconds": round(statistics.median(s.link_seconds for s in sessions), 4),
        "cpu_seconds": round(statistics.median(s.cpu_seconds for s in sessions), 4),
        "bytes": sessions[-1].bytes_sent,
        "rounds": sessions[-1].rounds,
        "rss_mb": round(max(s.rss_mb for s in sessions), 1),
    }
