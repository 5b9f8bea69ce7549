"""`upcare local`: a whole network on this machine, one study, one answer."""

import json
import time
from dataclasses import replace
from pathlib import Path

import click

from upcare_mpc.cli import show
from upcare_mpc.cli.local_network import LocalNetwork, LocalPolicy
from upcare_mpc.cli.study import follow, preview_lines, read_study
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.config import DataFiles, load_data
from upcare_mpc.errors import ConfigError, DataError
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
@click.option("--study", "file", type=click.Path(path_type=Path), required=True, help="Study file.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for result and plots."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def local(
    data: tuple[str, ...], complete: tuple[str, ...], file: Path, out: Path | None, as_json: bool
) -> None:
    """Run one study over registries on this machine: real node processes, gRPC, TLS.

    Example: upcare local --data de-a=parties/de-a --data de-b=parties/de-b
    --data fr-a=parties/fr-a --study study.toml --out result
    """
    asked = read_study(file)
    work_out(asked, network_overlap=asked.overlap or DEFAULT_OVERLAP)  # before any process starts
    sources = local_data(data, complete)
    missing = [name for name in asked.registries if name not in sources]
    if missing:
        raise ConfigError(f"the study asks {missing[0]}; give its data: --data {missing[0]}=PATH")
    others = [name for name in sources if name not in asked.registries]
    if others:
        names = ", ".join(asked.registries)
        raise ConfigError(f"--data {others[0]}: the study does not ask {others[0]}, but {names}")
    start = time.perf_counter()
    network = local_network(asked, {name: sources[name] for name in asked.registries})
    with network:
        network.wait_until_attending(asked)
        started = time.perf_counter()
        with PlatformClient(network.researcher) as platform:
            if not as_json:
                question, other = preview_lines(asked, network.overlap)
                show.print_preview(question, other, platform.preview(asked))
            platform.submit(asked)
            follow(platform, asked, quiet=as_json)
            opened = platform.result(asked)
        answered = time.perf_counter()
    seconds = {
        "start": round(started - start, 3),
        "study": round(answered - started, 3),
        "total": round(time.perf_counter() - start, 3),
    }
    if as_json:
        click.echo(json.dumps(show.as_json(opened, seconds=seconds)))
    else:
        show.print_result(opened)
    if out is not None:
        for path in show.save(opened, out, seconds=seconds):
            show.talk.print(f"wrote {path}")


def local_network(asked: Study, data: dict[str, DataFiles]) -> LocalNetwork:
    """A network whose agreement is what the study assumes (or the default overlap)."""
    return LocalNetwork(
        data=data,
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
