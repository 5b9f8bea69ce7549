"""`upcare demo`: five registries, one question, and the budget at work, on public data.

Everything but the last block is what a real network would show. The last block compares with the
truth, which is known here only because these data are public.
"""

import shutil
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from upcare_mpc.cli import show
from upcare_mpc.cli.local.command import local_data
from upcare_mpc.cli.local.network import START_S, LocalNetwork, LocalPolicy
from upcare_mpc.cli.study import follow, preview_lines, read_study
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, LinkError, SessionError, UpcareError
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.kinds import NoiseLaw
from upcare_mpc.kinds.noise_utility import compare
from upcare_mpc.kinds.question import work_out
from upcare_mpc.kinds.survival.kind import Survival
from upcare_mpc.records.case import Case
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import Study

__all__ = ["answering_api", "demo"]

REPEATS = 200
FIVE_YEARS_DAYS = 1826
SERVED_EPSILON = Fraction(50)
SERVED_TUMOURS = 50_000  # declared by each registry: time to count while a notebook is at work
NO_NOISE = NoiseLaw(variance=0, quantile95=0, scale=0)  # of the truth


@click.command()
@click.option(
    "--parties",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="parties",
    show_default=True,
    help="Folder of party folders, with study.toml.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="demo-output",
    show_default=True,
    help="Folder for the result and the plots.",
)
@click.option(
    "--serve",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Ask nothing: let the registries run, with a researcher's keys in this new folder.",
)
def demo(parties: Path, out: Path, serve: Path | None) -> None:
    """Start five registries here, ask one question, and watch the budget at work.

    With --serve, ask your own questions, from another terminal or a notebook, until Ctrl-C.

    Example: upcare demo --parties parties --out demo-output
    """
    asked = read_study(parties / "study.toml")
    data = local_data(tuple(f"{name}={parties / name}" for name in asked.registries), ())
    if serve is not None:
        _serve(asked, data, serve)
        return
    loss = work_out(asked, network_overlap=asked.overlap or 2).guarantee.loss
    policy = LocalPolicy(purposes=[asked.purpose], rho=loss.rho * Fraction(3, 2))
    if loss.epsilon is not None:
        policy = LocalPolicy(purposes=[asked.purpose], epsilon=loss.epsilon * Fraction(3, 2))
    show.talk.rule("Act one: five registries, one question")
    network = LocalNetwork(data=data, overlap=asked.overlap or 2, policy=policy)
    with network:
        network.wait_until_attending(asked)
        with PlatformClient(network.researcher) as platform:
            question, other = preview_lines(asked, network.overlap)
            show.print_preview(question, other, platform.preview(asked))
            opened = _ask(platform, asked)
            show.print_result(opened)
            for path in show.save(opened, out, seconds={}):
                show.talk.print(f"wrote {path}")
            show.talk.rule("Act two: the budget at work")
            _ask_again(platform, asked, opened)
            _ask_too_much(platform, asked)
    show.talk.rule("Known only because these data are public")
    _compare_with_truth(asked, data, opened)


def _serve(asked: Study, data: dict[str, DataFiles], folder: Path) -> None:
    """Let the network run until it is interrupted; the keys in the folder go with it.

    Raises:
        ConfigError: The folder is there already.
        SessionError: One of the processes has ended.
    """
    if folder.exists():
        raise ConfigError(f"--serve {folder.name}: wanted a new folder, got one that is there")
    policy = LocalPolicy(purposes=[asked.purpose], epsilon=SERVED_EPSILON, tumours=SERVED_TUMOURS)
    network = LocalNetwork(data=data, overlap=asked.overlap or 2, policy=policy)
    with network:
        network.wait_until_attending(asked)
        url = answering_api(network)
        shutil.copytree(network.folder / "researcher", folder)
        with (folder / "researcher.pub").open("a", encoding="utf-8") as public:
            public.write(f'api = "{url}"\n')
        written = [path.name for path in folder.iterdir()]
        try:
            for line in (
                f"{', '.join(data)} are running; Ctrl-C ends them",
                f'  in Python:    Network("{folder}")',
                f"  in a shell:   upcare study submit STUDY --as {folder} --wait",
                f"  interface:    {url}/v1",
                f"  epsilon {SERVED_EPSILON} at each registry for all questions together",
            ):
                show.talk.print(line)
            while all(process.poll() is None for process in network.processes.values()):
                time.sleep(0.2)
            raise SessionError("a process of the network has ended")
        except KeyboardInterrupt:
            show.talk.print("ended")
        finally:
            for name in written:
                (folder / name).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()


def answering_api(network: LocalNetwork) -> str:
    """Start the public interface of a network, and wait until it answers; its URL.

    Raises:
        LinkError: It does not.
    """
    url = network.start_api()
    deadline = time.monotonic() + START_S
    while True:
        try:
            with RestPlatform(url, network.researcher) as platform:
                platform.catalogue()
        except LinkError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return url


def _ask(platform: PlatformClient, asked: Study) -> OpenedResult:
    platform.submit(asked)
    follow(platform, asked, quiet=False)
    return platform.result(asked)


def _ask_again(platform: PlatformClient, asked: Study, first: OpenedResult) -> None:
    show.talk.print("The same question again:")
    again = _ask(platform, asked)
    if not np.array_equal(again.noisy, first.noisy):
        raise SessionError("the same question got another answer")
    left = ", ".join(
        f"{answer.registry} {show.budget_left(first.question, answer)}"
        for answer in platform.preview(asked)
    )
    show.talk.print(f"The same answer, bit for bit. Left: {left}")


def _ask_too_much(platform: PlatformClient, asked: Study) -> None:
    show.talk.print("One study too many:")
    another = replace(asked, title="Survival by therapy, once more with other words")
    try:
        _ask(platform, another)
    except UpcareError as error:
        show.talk.print(f"Refused in words: {error}")
        return
    raise SessionError("a study beyond the budget was answered")


def _compare_with_truth(asked: Study, data: dict[str, DataFiles], opened: OpenedResult) -> None:
    """Root-mean-square error of survival against the pooled truth, four ways."""
    kind = opened.question.kind
    if not isinstance(kind, Survival):
        return
    layout, measures = kind.layout(), kind.measures()
    vectors = np.stack([tabulate(measures, layout, _cases(files)) for files in data.values()])
    utility = compare(
        kind,
        vectors,
        opened.question.guarantee,
        repeats=REPEATS,
        generator=np.random.default_rng(),
    )
    ours = opened.result.rows["survival"].astype(float)
    once = float(((ours - utility.rows["survival"].astype(float)) ** 2).mean() ** 0.5)
    ends = utility.rows["end_days"].to_numpy()
    five_years = ends == ends[np.argmin(abs(ends - FIVE_YEARS_DAYS))]
    table = Table(
        title=f"Error of the survival curve in percentage points, epsilon {float(asked.epsilon):g}",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    for column in ("answer", "whole curve", "at five years"):
        table.add_column(column, justify="left" if column == "answer" else "right", no_wrap=True)
    table.add_row("pooled truth", "0", "0")
    for name, way in (
        ("one registry alone (the largest), no noise", "alone"),
        (f"five independent local noises, over {REPEATS} repeats", "local"),
        (f"one joint noise, over {REPEATS} repeats", "joint"),
    ):
        curve, five = utility.error(way), utility.error(way, five_years)
        table.add_row(name, f"{100 * curve:.2f}", f"{100 * five:.2f}")
    table.add_row("the answer above, this once", f"{100 * once:.2f}", "")
    show.out.print(table)
    p = opened.result.statistics["logrank"]["p_noise_aware"]
    if isinstance(p, float) and p >= 0.05:
        show.out.print(
            "The data show no evidence of a difference at this budget, "
            f"p = {p:.3f} with the noise counted; the pooled truth alone gives none either."
            if _truth_p(kind, vectors) >= 0.05
            else f"The data show no evidence of a difference at this budget, p = {p:.3f}."
        )


def _truth_p(kind: Survival, vectors: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> float:
    p = kind.finish(vectors.sum(axis=0), NO_NOISE).statistics["logrank"]["p"]
    return float(p) if isinstance(p, float) else 1.0


def _cases(data: DataFiles) -> tuple[Case, ...]:
    def source(path: Path) -> Source:
        return Source(path.name, lambda: path.open("rb"))

    sources = [source(path) for path in data.files]
    return read(sources, complete=data.complete).cases
