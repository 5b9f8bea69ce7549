"""`upcare ingest`: from a registry's files to a frozen snapshot and a quality report."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from upcare_mpc.cli import show
from upcare_mpc.config import DataFiles
from upcare_mpc.errors import DataError
from upcare_mpc.ingest.delivery import TREATMENT_KINDS
from upcare_mpc.node import freeze as freezing
from upcare_mpc.node.quality import REPORTS, quality_report, validate, write_report
from upcare_mpc.quality import text
from upcare_mpc.records.availability import proposal
from upcare_mpc.storage.snapshot import Manifest, Snapshots

__all__ = ["ingest"]

_PROPOSAL = "catalogue.proposal.toml"
_WORDS = {"checking": "hashing files", "reading": "reading", "freezing": "freezing"}


@click.command()
@click.argument(
    "paths",
    type=click.Path(path_type=Path, exists=True),
    nargs=-1,
    required=True,
    metavar="PATH...",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of snapshots; a node takes it as `data.snapshots`.",
)
@click.option(
    "--complete",
    multiple=True,
    type=click.Choice(sorted(TREATMENT_KINDS)),
    help="Every treatment of this kind is recorded, so that absence means no. May be repeated.",
)
@click.option(
    "--deletions",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV list of patients, tumours or messages to leave out.",
)
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="XSD that XML files are to be held against, for the report alone. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def ingest(
    paths: tuple[Path, ...],
    folder: Path,
    complete: tuple[str, ...],
    deletions: Path | None,
    schemas: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Read a registry's files in any supported format and freeze them into a snapshot.

    A PATH is a file, or a folder with all files below it in the order of their names. Where two
    contradict each other, the later one counts. After an interruption, say the same again: reading
    goes on where it was. Until the new snapshot is whole, the old one stays in force.

    A report on the quality of the data is shown, and written beside the snapshot. Its figures are
    exact: they are for the registry alone.

    Example: upcare ingest parties/de-a/data --complete systemic --out frozen
    """
    data = DataFiles(files=_files(paths), complete=frozenset(complete), deletions=deletions)
    folder.mkdir(parents=True, exist_ok=True)
    with _progress() as progress:
        manifest = freezing.freeze(data, folder, progress=progress)
    validation = validate(data.files, schemas) if schemas else None
    report = quality_report(Snapshots(folder), manifest, validation)
    write_report(report, folder)
    (folder / _PROPOSAL).write_text(proposal(list(manifest.account.formats)), "utf-8")
    if as_json:
        click.echo(json.dumps(_summary(manifest)))
        return
    click.echo(text.render(report), nl=False)
    show.talk.print(f"The report is in {', '.join(REPORTS)} beside the snapshot, in {folder.name}.")
    show.talk.print(f"A proposal for what you may state about your data is in {_PROPOSAL}.")


def _files(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """All files of the arguments; hidden ones are none."""
    found: list[Path] = []
    for path in paths:
        if path.is_file():
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        if not inside:
            raise DataError(f"{path.name}: no file in this folder")
        found += inside
    return tuple(found)


@contextmanager
def _progress() -> Iterator[Callable[[freezing.Progress], None]]:
    """A bar on a terminal; a line for each stage where there is none."""
    if not sys.stderr.isatty():
        said: set[str] = set()

        def say(now: freezing.Progress) -> None:
            if now.stage not in said:
                said.add(now.stage)
                show.talk.print(f"{_WORDS[now.stage]} ...")

        yield say
        return
    columns = (TextColumn("{task.description:14}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=show.talk, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def move(now: freezing.Progress) -> None:
            if now.stage not in tasks:
                tasks[now.stage] = bar.add_task(_WORDS[now.stage], total=now.whole)
            bar.update(tasks[now.stage], completed=now.done)

        yield move


def _summary(manifest: Manifest) -> dict[str, Any]:
    account = manifest.account
    return {
        "snapshot": manifest.digest.hex(),
        "patients": manifest.patients,
        "tumours": manifest.tumours,
        "messages": account.messages,
        "replaced": account.replaced,
        "rejected": dict(account.rejected),
        "remarks": dict(account.remarks),
        "formats": dict(account.formats),
    }
