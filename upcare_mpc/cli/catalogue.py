"""`upcare catalogue`: what the registries of a network state about their data."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from upcare_mpc.cli.study import as_option
from upcare_mpc.client.platform import CatalogueEntry, PlatformClient
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.records.variables import VARIABLES

__all__ = ["catalogue"]


@click.command()
@as_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def catalogue(folder: Path, as_json: bool) -> None:
    """Show which variables and years each registry has.

    By the statements of the registries' operators, as the platform heard them.

    Example: upcare catalogue --as me
    """
    with PlatformClient(Researcher.load(folder)) as platform:
        entries = platform.catalogue()
    if as_json:
        click.echo(json.dumps({"registries": [_report(entry) for entry in entries]}))
        return
    for line in (*_statements(entries), *_table(entries)):
        click.echo(line)


def _report(entry: CatalogueEntry) -> dict[str, Any]:
    stated = entry.availability
    return {
        "name": entry.registry,
        "attending": entry.attending,
        "since": entry.since.isoformat(timespec="seconds"),
        "stated": None
        if stated is None
        else {
            "variables": [name for name in VARIABLES if name in stated.variables],
            "years": list(stated.years),
            "population": stated.population,
            "note": stated.note,
        },
    }


def _statements(entries: Sequence[CatalogueEntry]) -> Iterator[str]:
    if not entries:
        yield "no registry has attended this platform since it was started"
    for entry in entries:
        state = "attending" if entry.attending else "away"
        since = f"{entry.since:%Y-%m-%d %H:%M} UTC"
        stated = entry.availability
        if stated is None:
            yield f"{entry.registry}: {state}; has stated nothing since {since}"
            continue
        first, last = stated.years
        yield f"{entry.registry}: {state}; diagnosed {first} to {last}; stated since {since}"
        yield from (f"  {text}" for text in (stated.population, stated.note) if text)


def _table(entries: Sequence[CatalogueEntry]) -> Iterator[str]:
    """A line a variable, a column a registry that states something."""
    stated = {e.registry: e.availability.variables for e in entries if e.availability is not None}
    if not stated:
        return
    width = max(map(len, VARIABLES))
    yield ""
    yield " ".join(("variable".ljust(width), *stated))
    for name in VARIABLES:
        marks = (
            ("yes" if name in variables else "-").ljust(len(registry))
            for registry, variables in stated.items()
        )
        yield " ".join((name.ljust(width), *marks)).rstrip()
