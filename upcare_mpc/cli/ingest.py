"""`upcare ingest`: from a registry's files to a frozen snapshot and a quality report."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from upcare_mpc.cli import show
from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.delivery import TREATMENT_KINDS
from upcare_mpc.ingest.encr import COLUMNS, MISSING
from upcare_mpc.ingest.validation import Schemas
from upcare_mpc.node import freeze as freezing
from upcare_mpc.node.quality import REPORTS, quality_report, validate, write_report
from upcare_mpc.records.availability import proposal
from upcare_mpc.storage.durable import replace_text
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
    "--encr-missing",
    multiple=True,
    metavar="COLUMN=CODE[,CODE...]",
    help="Codes that mean unknown in ENCR files, in place of the usual ones. May be repeated.",
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
    encr_missing: tuple[str, ...],
    schemas: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Read a registry's files in any supported format and freeze them into a snapshot.

    A PATH is a file, or a folder with all files below it in the order of their names. Where two
    contradict each other, the later one counts. ENCR population files and life tables among them
    are frozen beside the cases. After an interruption, say the same again: reading
    goes on where it was. Until the new snapshot is whole, the old one stays in force.

    A report on the quality of the data is shown, and written beside the snapshot. Its figures are
    exact: they are for the registry alone.

    Example: upcare ingest parties/de-a/data --complete systemic --out frozen
    """
    for path in paths:
        if folder.resolve().is_relative_to(path.resolve()):
            raise ConfigError("--out: wanted a folder outside of what is read")
    data = DataFiles(
        files=_files(paths),
        complete=frozenset(complete),
        deletions=deletions,
        encr_missing={**MISSING, **_codes(encr_missing)},
    )
    known = Schemas(schemas)

    def report(snapshots: Snapshots, manifest: Manifest) -> None:
        validation = validate(data.files, known) if schemas else None
        write_report(quality_report(snapshots, manifest, validation), folder)
        replace_text(folder / _PROPOSAL, proposal(list(manifest.account.formats)))

    with _progress() as progress:
        manifest = freezing.freeze(data, folder, progress=progress, afterwards=report)
    beside = Snapshots(folder).reference(manifest).described()
    if as_json:
        click.echo(json.dumps(_summary(manifest, beside)))
        return
    click.echo((folder / REPORTS[0]).read_text("utf-8"), nl=False)
    if beside:
        show.talk.print(f"Frozen with it: {beside}.")
    show.talk.print(f"The report is in {', '.join(REPORTS)} beside the snapshot, in {folder.name}.")
    show.talk.print(f"A proposal for what you may state about your data is in {_PROPOSAL}.")


def _codes(stated: tuple[str, ...]) -> dict[str, frozenset[str]]:
    codes = {}
    for option in stated:
        column, _, listed = option.partition("=")
        if column not in COLUMNS or not listed:
            raise ConfigError(f"--encr-missing: wanted COLUMN=CODE, got {option!r}")
        codes[column] = frozenset(listed.split(","))
    return codes


def _files(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """All files of the arguments; hidden ones are none."""
    found: list[Path] = []
    for path in paths:
        if path.is_file():
            found.append(path)
            continue
        if not path.is_dir():
            raise DataError(f"{path.name}: wanted a file or a folder")
        inside = sorted(_below(path))
        if not inside:
            raise DataError(f"{path.name}: no file in this folder")
        found += inside
    if not all(path.name.isprintable() for path in found):
        raise DataError("wanted names of files that can be shown, got one with control characters")
    return tuple(found)


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> NoReturn:
        raise DataError(f"{Path(error.filename).name}: the folder cannot be read") from None

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (Path(place) / name).is_symlink():
                raise DataError(f"{name}: a link to a folder; name the folder itself")
        yield from (
            found
            for name in names
            if not name.startswith(".") and (found := Path(place) / name).is_file()
        )


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


def _summary(manifest: Manifest, beside: str) -> dict[str, Any]:
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
        "beside": beside,
    }
