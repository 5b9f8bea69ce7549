"""`upcare local`: a whole network on this machine, one study, one answer."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from upcare_mpc.cli import show
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.cli.study import follow, preview_lines, read_study
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.config import DataFiles, load_data
from upcare_mpc.errors import ConfigError, DataError, SessionError
from upcare_mpc.kinds.question import work_out
from upcare_mpc.link.certificates import host_of, party_of_host
from upcare_mpc.study.spec import Study

__all__ = ["local", "local_data"]

DEFAULT_OVERLAP = 2


@click.command()
@click.option(
    "--data",
    "data",
    multiple=True,
    required=True,
    metavar="NAME=PATH",
    help="A registry and its data: a file, a folder of files, or a party folder. Repeatable.",
)
@click.option(
    "--complete",
    multiple=True,
    metavar="NAME=KIND",
    help="Declare treatment records complete: surgery, radio or systemic. Repeatable.",
)
@click.option(
    "--deposit",
    "deposit",
    multiple=True,
    metavar="NAME=PATH",
    help="A registry that runs no node and deposits its table, and its data. Repeatable.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help="Patients' answers, as CSV: a column a question, a row a patient.",
)
@click.option("--study", "file", type=click.Path(path_type=Path), required=True, help="Study file.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for result and plots."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def local(
    data: tuple[str, ...],
    complete: tuple[str, ...],
    deposit: tuple[str, ...],
    answers: Path | None,
    file: Path,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Run one study over registries on this machine: real node processes, gRPC, TLS.

    Of a study with deposits, tables of --deposit and --answers are deposited before it is closed.

    Example: upcare local --data de-a=parties/de-a --data de-b=parties/de-b
    --data fr-a=parties/fr-a --study study.toml --out result
    """
    asked = read_study(file)
    # Before any process starts:
    question = work_out(asked, network_overlap=asked.overlap or DEFAULT_OVERLAP)
    sources = _sources_of("--data", local_data(data, complete), asked.registries)
    depositing = () if asked.deposits is None else asked.deposits.registries
    offline = _sources_of("--deposit", local_data(deposit, ()), depositing)
    if answers is not None and (asked.deposits is None or not asked.deposits.patients):
        raise ConfigError("--answers: the study takes no deposits of patients")
    patients = [] if answers is None else _local_deposits().read_answers(answers, question)
    watch = _Watch()
    network = local_network(asked, sources, offline)
    with network:
        network.wait_until_attending(asked)
        watch.lap("start")
        with PlatformClient(network.researcher) as platform:
            if not as_json:
                question, other = preview_lines(asked, network.overlap)
                show.print_preview(question, other, platform.preview(asked))
            platform.submit(asked)
            if follow(platform, asked, quiet=as_json).phase == "collecting":
                watch.lap("key")
                deposits = _local_deposits()
                collection = deposits.collecting(network, asked)
                deposits.deposit_all(network, collection)
                deposits.answer_all(network, collection, patients)
                watch.lap("deposits")
                platform.close(asked)
                last = follow(platform, asked, quiet=as_json)
                if last.phase == "collecting":
                    raise SessionError(last.text)
            opened = platform.result(asked)
        watch.lap("study")
    seconds = watch.seconds()
    if as_json:
        click.echo(json.dumps(show.as_json(opened, seconds=seconds)))
    else:
        show.print_result(opened)
    if out is not None:
        for path in show.save(opened, out, seconds=seconds):
            show.talk.print(f"wrote {path}")


class _Watch:
    """Seconds of each phase, and of all."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """A phase ends here."""
        now = time.perf_counter()
        self._laps[phase] = round(now - self._last, 3)
        self._last = now

    def seconds(self) -> dict[str, float]:
        """What each phase took."""
        return {**self._laps, "total": round(time.perf_counter() - self._start, 3)}


def _local_deposits() -> Any:
    """The module that deposits; loaded by studies that take deposits alone."""
    return import_module("upcare_mpc.cli.local.deposits")


def _sources_of(
    option: str, given: dict[str, DataFiles], wanted: Sequence[str]
) -> dict[str, DataFiles]:
    """The data of the registries that a study names, in its order.

    Raises:
        ConfigError: Some are missing, or others given.
    """
    for name in wanted:
        if name not in given:
            raise ConfigError(f"the study asks {name}; give its data: {option} {name}=PATH")
    for name in given:
        if name not in wanted:
            names = ", ".join(wanted) or "nobody"
            raise ConfigError(f"{option} {name}: the study does not ask {name}, but {names}")
    return {name: given[name] for name in wanted}


def local_network(
    asked: Study, data: dict[str, DataFiles], offline: dict[str, DataFiles] | None = None
) -> LocalNetwork:
    """A network whose agreement is what the study assumes (or the default overlap)."""
    return LocalNetwork(
        data=data,
        offline=offline or {},
        overlap=asked.overlap or DEFAULT_OVERLAP,
        policy=LocalPolicy(purposes=[asked.purpose]),
    )


def local_data(data: tuple[str, ...], complete: tuple[str, ...]) -> dict[str, DataFiles]:
    """Read ``NAME=PATH`` and ``NAME=KIND`` options.

    Raises:
        ConfigError: An option has another form, a name is none that a registry can have, or
            it is that of a registry without data.
        DataError: There is nothing at a path.
    """
    sources: dict[str, DataFiles] = {}
    for option in data:
        name, _, path = option.partition("=")
        if not path:
            raise ConfigError(f"--data: wanted NAME=PATH, got {option!r}")
        if party_of_host(host_of(name, "registry")) is None:
            raise ConfigError(f"--data: wanted a registry's name like de-a, got {name!r}")
        found = _find(Path(path))
        if known := sources.get(name):
            found = replace(
                found,
                files=(*known.files, *found.files),
                complete=known.complete | found.complete,
                deletions=found.deletions or known.deletions,
            )
        sources[name] = found
    for option in complete:
        name, _, kinds = option.partition("=")
        if name not in sources:
            raise ConfigError(f"--complete: wanted NAME=KIND of a registry given, got {option!r}")
        old = sources[name]
        sources[name] = replace(old, complete=old.complete | frozenset(kinds.split(",")))
    return sources


def _find(path: Path) -> DataFiles:
    """A party folder, the data file of one, a folder of files, or a file."""
    if (path / "party.toml").is_file():
        return _files_of(path / "party.toml")
    if path.is_dir():
        files = tuple(sorted(p for p in path.iterdir() if p.suffix in {".xml", ".csv"}))
        if files:
            return DataFiles(files=files)
    if path.is_file():
        for party_file in (path.parent / "party.toml", path.parent.parent / "party.toml"):
            if party_file.is_file():
                stated = _files_of(party_file)
                if path.resolve() in {file.resolve() for file in stated.files}:
                    return replace(stated, files=(path,))
        return DataFiles(files=(path,))
    raise DataError(f"{path.name}: no data file there")


def _files_of(party_file: Path) -> DataFiles:
    source = load_data(party_file).source
    if not isinstance(source, DataFiles):
        raise ConfigError(f"{party_file.name}: data: wanted files, for a network on this machine")
    return source
