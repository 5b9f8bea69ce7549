"""`upcare bench suppress`: what deciding which cells may open costs, inside a whole session."""

import asyncio
import json
import statistics
from fractions import Fraction

import click

from upcare_mpc.cli import show
from upcare_mpc.cli.committee import NO_RULE, rehearse
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import MAX_CELLS, Sensitivity
from upcare_mpc.study.spec import Release

__all__ = ["suppress"]

SCALE = 10  # of the Laplace noise; the cost does not depend on it


@click.command()
@click.option("--cells", type=click.IntRange(1, MAX_CELLS), default=10_000, show_default=True)
@click.option("--parties", type=click.Choice(["3", "5", "7"]), default="3", show_default=True)
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def suppress(cells: int, parties: str, runs: int, as_json: bool) -> None:
    """Decide which cells of a noisy table may open, beside the noise; TLS on.

    Bytes and rounds are the difference to a session without the rule.

    Example: upcare bench suppress --cells 1000
    """
    law = sample_law(Fraction(SCALE), Sensitivity(d0=1, d1=1, dinf=1))
    m, rule = int(parties), Release(suppress_below=5)
    plain = asyncio.run(rehearse(law, cells, parties=m, release=NO_RULE))
    sessions = [asyncio.run(rehearse(law, cells, parties=m, release=rule)) for _ in range(runs)]
    comparing = [session.comparing_seconds for session in sessions]
    report = {
        "cells": cells,
        "parties": m,
        "seconds": {
            "min": round(min(comparing), 4),
            "median": round(statistics.median(comparing), 4),
            "runs": runs,
        },
        "bytes": sessions[-1].bytes_sent - plain.bytes_sent,
        "rounds": sessions[-1].rounds - plain.rounds,
        "rss_mb": round(max(session.rss_mb for session in sessions), 1),
    }
    if as_json:
        click.echo(json.dumps(report))
        return
    for name, value in report.items():
        show.out.print(f"{name}: {value}")
