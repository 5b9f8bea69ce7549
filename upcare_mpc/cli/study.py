"""`upcare study`: what a researcher types."""

import json
import time
from dataclasses import replace
from pathlib import Path

import click

from upcare_mpc.cli import show
from upcare_mpc.client.platform import Event, PlatformClient, raise_bad_end
from upcare_mpc.client.preview import StudyPreview
from upcare_mpc.client.progress import progress
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.errors import SessionError, StudyError
from upcare_mpc.kinds import of
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.study.spec import Study, parse

__all__ = ["as_option", "follow", "preview_lines", "read_study", "study"]

as_option = click.option(
    "--as",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="UPCARE_RESEARCHER",
    required=True,
    help="Researcher's folder; or UPCARE_RESEARCHER in the environment.",
)
_file = click.argument("file", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


@click.group()
def study() -> None:
    """Ask a question of many registries and open the answer."""


@study.command()
@_file
@as_option
@_json
def preview(file: Path, folder: Path, as_json: bool) -> None:
    """Say what a study would cost, what registries would answer and what they lack.

    Spends nothing. What they lack is by their own statements (`upcare catalogue`).

    Example: upcare study preview study.toml --as me
    """
    asked, researcher = read_study(file), Researcher.load(folder)
    question, other = preview_lines(asked, researcher.agreement.overlap)
    with PlatformClient(researcher) as platform:
        answers = platform.preview(asked)
        found = StudyPreview.of(question, answers, platform.catalogue())
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    show.print_preview(question, other, answers)
    show.print_gaps(found.lacking)


@study.command()
@_file
@as_option
@_json
@click.option("--wait/--no-wait", default=False, help="Follow the study to its end.")
def submit(file: Path, folder: Path, as_json: bool, wait: bool) -> None:
    """Submit a study; the same study again finds its stored answer and costs nothing.

    A study that takes deposits collects them then, until `upcare study close`.

    Example: upcare study submit study.toml --as me --wait
    """
    asked, researcher = read_study(file), Researcher.load(folder)
    with PlatformClient(researcher) as platform:
        known = platform.submit(asked)
        last = follow(platform, asked, quiet=as_json) if wait else None
    if last is not None and last.phase == "collecting" and not as_json:
        _say_what_is_next(asked, file)
    digest = asked.digest.hex()
    click.echo(json.dumps({"study_digest": digest, "known": known}) if as_json else digest)


@study.command()
@_file
@as_option
@_json
@click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="Run without this registry of the study, which is lost. Repeatable.",
)
@click.option("--wait/--no-wait", default=False, help="Follow the study to its end.")
def close(file: Path, folder: Path, *, as_json: bool, without: tuple[str, ...], wait: bool) -> None:
    """End the collecting of a study's deposits, and run it.

    Nobody deposits any more then. If the run fails, close it again: the same deposits are used.

    Example: upcare study close study.toml --as me --wait
    """
    asked, researcher = read_study(file), Researcher.load(folder)
    with PlatformClient(researcher) as platform:
        taken = platform.close(asked, without)
        last = follow(platform, asked, quiet=as_json) if wait else None
    if last is not None and last.phase == "collecting":
        raise SessionError(last.text)
    digest = asked.digest.hex()
    click.echo(json.dumps({"study_digest": digest, "deposits": taken}) if as_json else digest)


@study.command()
@_file
@as_option
def watch(file: Path, folder: Path) -> None:
    """Follow a submitted study to its end.

    Example: upcare study watch study.toml --as me
    """
    asked, researcher = read_study(file), Researcher.load(folder)
    with PlatformClient(researcher) as platform:
        follow(platform, asked, quiet=False)


@study.command()
@_file
@as_option
@_json
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for files.")
def result(file: Path, folder: Path, as_json: bool, out: Path | None) -> None:
    """Fetch, check and open the result of a finished study.

    Example: upcare study result study.toml --as me --out result
    """
    asked, researcher = read_study(file), Researcher.load(folder)
    start = time.perf_counter()
    with PlatformClient(researcher) as platform:
        opened = platform.result(asked)
    seconds = {"open": round(time.perf_counter() - start, 3)}
    if as_json:
        click.echo(json.dumps(show.as_json(opened, seconds=seconds)))
    else:
        show.print_result(opened)
    if out is not None:
        for path in show.save(opened, out, seconds=seconds):
            click.echo(f"wrote {path}", err=True)


def read_study(file: Path) -> Study:
    """Read a study file.

    Raises:
        StudyError: It is not there, or not a study.
    """
    try:
        study = parse(file.read_bytes(), name=file.name)
    except (FileNotFoundError, IsADirectoryError):
        raise StudyError(f"{file.name}: no such study file") from None
    try:
        of(study)  # the kind's own options
    except StudyError as error:
        raise StudyError(f"{file.name}: {error}") from None
    return study


def _say_what_is_next(asked: Study, file: Path) -> None:
    """Tell who can deposit now, and how the study goes on."""
    deposits = asked.deposits
    if deposits is None:
        return
    if deposits.registries:
        names = " and ".join(deposits.registries)
        show.talk.print(f"now {names} can deposit: upcare deposit table COLLECTION --party FOLDER")
    if deposits.patients:
        show.talk.print("now patients can answer: on their registry's page, or by upcare deposit")
    show.talk.print(f"then: upcare study close {file.name} --as FOLDER --wait")


def preview_lines(asked: Study, network_overlap: int) -> tuple[Question, Question | None]:
    """The study as asked, and for comparison with overlap 2 where it is asked with 1."""
    question = work_out(asked, network_overlap=network_overlap)
    if question.guarantee.overlap > 1:
        return question, None
    return question, work_out(replace(asked, overlap=2), network_overlap=network_overlap)


def follow(platform: PlatformClient, asked: Study, *, quiet: bool) -> Event:
    """Print a study's story until it ends, or until it collects deposits.

    Returns:
        The last event: ``done`` or ``collecting``.

    Raises:
        RefusedError, SessionError: It ended without a result.
    """
    with progress(quiet=quiet) as tell:
        for event in platform.watch(asked.digest):
            tell(event)
            if event.last:
                raise_bad_end(event)
                return event
    raise SessionError("the platform ended the story before the study ended")
