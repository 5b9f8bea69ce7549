"""One question, answered in four ways, and how wrong each is.

    scripts/compare                    at epsilon 0.28, that of the German federated search
    scripts/compare --epsilon 1 --json

FOR PUBLIC DATA ALONE: it needs the exact tables of all registries, which no one has in a real
study. The questions are survival by therapy, read at five years, and a table of grade by therapy,
over the five registries of the demonstration. The ways:

- pooled truth: the exact tables, added;
- independent local noise: each registry adds discrete Laplace noise of scale 1 / epsilon to its own
  table, and the noisy tables are added;
- federated search: each registry shows its counts as the German federated search does, simulated
  from its public source (``upcare_mpc.kinds.noise_utility``): zero stays, 1 to 9 become 10, the
  rest gets Laplace noise and is rounded to 10. That search gives counts and no survival; this is
  what would come of a life table whose counts were shown so;
- UPCARE: `upcare local`, five nodes that run the protocol, on this machine.

Each way answers once; the error is the root mean square over repeats (of UPCARE: of its noise law).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from upcare_mpc.cli.local.command import local_data
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.kinds.noise_utility import NoiseUtility, compare
from upcare_mpc.kinds.question import work_out
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

REGISTRIES = ("de-a", "de-b", "de-c", "fr-a", "fr-b")
HEAD = """
version = 1
title = "{title}"
kind = "{kind}"
purpose = "DUO:0000007"
registries = {registries}
overlap = 1
[cohort]
where = "site = 'C50'"
[privacy]
epsilon = {epsilon}
"""
SURVIVAL = """
[survival]
interval_days = 365
intervals = 7
[survival.arms]
"hormone therapy" = "tx_hormone = yes"
"no hormone therapy" = "tx_hormone = no"
"""
COUNTS = """
[counts]
by = ["tx_hormone", "grade"]
"""
WAYS = {
    "local": "independent local noise",
    "federated search": "federated search",
    "joint": "UPCARE",
}
RUN_S = 120
FIVE_YEARS_DAYS = 1826


@dataclass(frozen=True)
class Question:
    """A study and the rows of its answer that are looked at."""

    title: str
    kind: str
    options: str
    unit: str
    factor: int  # from the unit of the answer to what is printed

    def text(self, epsilon: str) -> str:
        """The study file."""
        head = HEAD.format(
            title=self.title, kind=self.kind, registries=json.dumps(REGISTRIES), epsilon=epsilon
        )
        return head + self.options


QUESTIONS = (
    Question("Five-year survival by therapy", "survival", SURVIVAL, "%", 100),
    Question("Tumours by therapy and grade", "counts", COUNTS, "patients", 1),
)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epsilon", default="0.28", help="of each way, for one patient")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--parties", type=Path, default=Path("parties"))
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    found = [answered(q, options.epsilon, options.repeats, options.parties) for q in QUESTIONS]
    if options.as_json:
        report = {"epsilon": float(options.epsilon), "repeats": options.repeats, "questions": found}
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return
    for question in found:
        sys.stdout.write("\n".join(lines(question, options)) + "\n\n")


def answered(question: Question, epsilon: str, repeats: int, parties: Path) -> dict[str, Any]:
    """Answer one question in all ways."""
    text = question.text(epsilon)
    asked = work_out(parse(text, name="study.toml"), network_overlap=1)
    data = local_data(tuple(f"{name}={parties / name}" for name in REGISTRIES), ())
    vectors = np.stack(
        [
            tabulate(
                asked.kind.measures(),
                asked.layout,
                read([source(path) for path in files.files], complete=files.complete).cases,
            )
            for files in data.values()
        ]
    )
    utility = compare(
        asked.kind,
        vectors,
        asked.guarantee,
        repeats=repeats,
        generator=np.random.default_rng(28),
    )
    looked = looked_at(utility)
    once = {way: utility.once[way] for way in WAYS} | {"joint": run(text, parties, utility.column)}
    return {
        "title": question.title,
        "unit": question.unit,
        "figures": labels(utility, looked),
        "truth": shown(utility.truth, looked, question),
        "answers": {
            name: {
                "once": shown(once[way], looked, question),
                "error": question.factor * utility.error(way, looked),
                "times_the_joint": utility.error(way, looked) / utility.error("joint", looked),
            }
            for way, name in WAYS.items()
        },
    }


def source(path: Path) -> Source:
    """A delivery."""
    return Source(path.name, lambda: path.open("rb"))


def run(text: str, parties: Path, column: str) -> npt.NDArray[Any]:
    """The answer of a network on this machine."""
    with tempfile.TemporaryDirectory(prefix="upcare-") as folder:
        file = Path(folder) / "study.toml"
        file.write_text(text, "utf-8")
        data = [f"--data={name}={parties / name}" for name in REGISTRIES]
        command = [sys.executable, "-m", "upcare_mpc", "local", *data, "--study", str(file)]
        printed = subprocess.run(  # noqa: S603  our own program, fixed arguments
            [*command, "--json"], check=True, capture_output=True, timeout=RUN_S
        ).stdout
    return np.array([row[column] for row in json.loads(printed)["result"]["rows"]], dtype=float)


def looked_at(utility: NoiseUtility) -> npt.NDArray[Any]:
    """Of a curve, the ends nearest to five years; of a table, all cells with anybody in them."""
    if utility.column != "survival":
        return utility.truth > 0
    ends = utility.rows["end_days"].to_numpy(int)
    nearest: npt.NDArray[Any] = ends == ends[np.argmin(abs(ends - FIVE_YEARS_DAYS))]
    return nearest


def labels(utility: NoiseUtility, looked: np.ndarray) -> list[str]:
    """What each figure is about."""
    names = [name for name in ("arm", "tx_hormone", "grade") if name in utility.rows]
    if names == ["tx_hormone", "grade"]:
        return [
            f"{'therapy' if r.tx_hormone == 'yes' else 'none'}, G{r.grade}"
            for r in utility.rows[looked].itertuples()
        ]
    return [str(arm) for arm in utility.rows[looked]["arm"]]


def shown(
    values: npt.NDArray[Any], looked: npt.NDArray[Any], question: Question
) -> list[float | None]:
    """Figures in the unit that is printed; None where there is no estimate."""
    return [
        None if np.isnan(value) else round(question.factor * float(value), 1)
        for value in values[looked]
    ]


def lines(question: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """A table for people."""
    figures = question["figures"]
    width = max(8, *(len(figure) for figure in figures))
    head = f"{question['title']}, {question['unit']}, epsilon {options.epsilon}"
    result = [head, "  ".join([" " * 24, *(f.rjust(width) for f in figures), "error", "ratio"])]

    def row(name: str, values: list[float | None], *more: str) -> str:
        cells = ("-" if value is None else f"{value:.1f}" for value in values)
        return "  ".join([name.ljust(24), *(cell.rjust(width) for cell in cells), *more])

    result.append(row("pooled truth", question["truth"], "    0"))
    for name, answer in question["answers"].items():
        error, ratio = f"{answer['error']:5.1f}", f"{answer['times_the_joint']:5.1f}"
        result.append(row(name, answer["once"], error, ratio))
    return [*result, f"error: root mean square over {options.repeats} repeats; ratio: to UPCARE's"]


if __name__ == "__main__":
    main()
