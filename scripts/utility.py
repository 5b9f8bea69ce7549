"""How the error of each kind of study falls with epsilon, next to noise of each registry's own.

    python scripts/utility.py                 print the tables of docs/utility.md, draw its figures
    python scripts/utility.py --only means    one of them; draws it, prints it

FOR PUBLIC DATA ALONE, as ``scripts/compare.py``: it needs the exact tables of all registries. The
data are the five registries of the demonstration; nothing runs on a network, the noise is drawn
from the law that the label states. The random numbers are always the same, and so is what is
printed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from upcare_mpc.cli.local.command import local_data
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.kinds.noise_utility import NoiseUtility, compare
from upcare_mpc.kinds.question import work_out
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import Reference, Residents, Stratum
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

FIGURES = Path("docs/figures")
REGISTRIES = ("de-a", "de-b", "de-c", "fr-a", "fr-b")
EPSILONS = ("0.1", "0.28", "0.5", "1", "2", "5")
WAYS = {
    "joint": "one joint noise",
    "local": "own noise at each registry",
    "federated search": "as the federated search",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73")
SEED = 7

HEAD = """
version = 1
title = "utility"
kind = "{kind}"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c", "fr-a", "fr-b"]
overlap = 1
[cohort]
where = "site = 'C50' and age >= 18"
[privacy]
epsilon = {epsilon}
[{kind}]
{options}
"""
ARMS = '"hormone therapy" = "tx_hormone = yes"\n"no hormone therapy" = "tx_hormone = no"'


@dataclass(frozen=True)
class Asked:
    """A study, and which rows of its answer make up the error that is shown."""

    name: str
    kind: str
    options: str
    shown: str
    unit: str
    factor: float = 1  # from the unit of the answer to the one shown
    among: Callable[[pd.DataFrame], "pd.Series[bool]"] = lambda rows: rows.iloc[:, 0].notna()


def _measure(name: str, variable: str | None = None) -> Callable[[pd.DataFrame], Any]:
    def among(rows: pd.DataFrame) -> "pd.Series[bool]":
        found = rows["measure"] == name
        return found if variable is None else found & (rows["variable"] == variable)

    return among


ASKED = (
    Asked(
        "counts",
        "counts",
        'by = ["tx_hormone", "grade"]',
        "a cell of a table of therapy by grade",
        "patients",
    ),
    Asked(
        "survival",
        "survival",
        f"interval_days = 365\nintervals = 7\n[survival.arms]\n{ARMS}",
        "seven-year survival curves of two arms, all intervals",
        "percentage points",
        100,
    ),
    Asked(
        "incidence",
        "incidence",
        'by = [{ variable = "diagnosis_year", from = 1984, to = 1989 }]\n'
        "ages = { from = 20, width = 5, open = 85 }\n"
        'standards = ["esp2013"]',
        "age-standardised rate of a year (ESP2013)",
        "per 100,000",
        1,
        _measure("ASR esp2013"),
    ),
    Asked(
        "association",
        "association",
        'outcome = { where = "vital_status = dead and follow_up_days <= 1826" }\n'
        f"[association.exposure.arms]\n{ARMS}",
        "odds ratio of death within five years by therapy",
        "ratio",
        1,
        _measure("odds ratio"),
    ),
    Asked(
        "regression",
        "regression",
        'model = "hazards"\ncovariates = ["tx_hormone"]\ninterval_days = 365\nintervals = 7',
        "hazard ratio by therapy",
        "ratio",
        1,
        lambda rows: rows["term"] == "tx_hormone",
    ),
    Asked(
        "means",
        "means",
        'variables = [{ variable = "age", from = 18, to = 100 }]',
        "mean age",
        "years",
        1,
        _measure("mean", "age"),
    ),
    Asked(
        "standard-deviation",
        "means",
        'variables = [{ variable = "age", from = 18, to = 100 }]',
        "standard deviation of age",
        "years",
        1,
        _measure("standard deviation", "age"),
    ),
    Asked(
        "quantiles",
        "quantiles",
        'variable = { variable = "age", from = 20, to = 84, width = 5 }\n'
        "probabilities = [25, 50, 75]",
        "quartiles of age, in ranges of five years",
        "years",
    ),
)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=[asked.name for asked in ASKED])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--parties", type=Path, default=Path("parties"))
    parser.add_argument("--figures", type=Path, default=FIGURES)
    options = parser.parse_args()
    options.figures.mkdir(parents=True, exist_ok=True)
    for asked in ASKED:
        if options.only in (None, asked.name):
            table = errors(asked, options.parties, options.repeats)
            sys.stdout.write("\n".join(markdown(asked, table)) + "\n\n")
            picture(asked, table).save(options.figures / f"utility-{asked.name}.svg")


def errors(asked: Asked, parties: Path, repeats: int) -> pd.DataFrame:
    """Errors by epsilon and way; columns epsilon, way, error, missing."""
    rows: list[dict[str, Any]] = []
    for epsilon in EPSILONS:
        utility = measured(asked, epsilon, parties, repeats)
        among = asked.among(utility.rows).to_numpy(bool)
        rows += [
            {
                "epsilon": float(epsilon),
                "way": name,
                "error": asked.factor * utility.error(way, among),
                "missing": float(utility.missing[way][among].mean()),
            }
            for way, name in WAYS.items()
            if way in utility.errors
        ]
    return pd.DataFrame(rows)


def measured(asked: Asked, epsilon: str, parties: Path, repeats: int) -> NoiseUtility:
    """The comparison at one epsilon."""
    text = HEAD.format(kind=asked.kind, options=asked.options, epsilon=epsilon)
    question = work_out(parse(text, name="study.toml"), network_overlap=1)
    vectors = np.stack(
        [
            tabulate(question.kind.measures(), question.layout, cases, residents())
            for cases in deliveries(parties)
        ]
    )
    generator = np.random.default_rng([SEED, int(Fraction(epsilon) * 100)])
    return compare(question.kind, vectors, question.guarantee, repeats=repeats, generator=generator)


@cache
def deliveries(parties: Path) -> tuple[Sequence[Case], ...]:
    """The records of each registry."""

    def source(path: Path) -> Source:
        return Source(path.name, lambda: path.open("rb"))

    data = local_data(tuple(f"{name}={parties / name}" for name in REGISTRIES), ())
    return tuple(
        read([source(path) for path in files.files], complete=files.complete).cases
        for files in data.values()
    )


@cache
def residents() -> Reference:
    """A population file that is made up: 1,000 women in every year of age from 0 to 99."""
    return Reference(
        residents=tuple(
            Residents(Stratum(year, "female", age, age, None), 1000)
            for year in range(1984, 1990)
            for age in range(100)
        )
    )


def markdown(asked: Asked, table: pd.DataFrame) -> list[str]:
    """The table of docs/utility.md: errors, and in brackets the ratio to that of joint noise."""
    ways = [way for way in WAYS.values() if way in set(table["way"])]
    lines = ["| epsilon | " + " | ".join(ways) + " |", "|---" * (len(ways) + 1) + "|"]
    for epsilon, rows in table.groupby("epsilon"):
        errors, lost = rows["error"].tolist(), rows["missing"].tolist()
        cells = [f"{epsilon:g}"]
        for error, missing in zip(errors, lost, strict=True):
            compared = len(cells) > 1 and lost[0] < 1
            ratio = f" (x {error / errors[0]:.1f})" if compared else ""
            without = f", {100 * missing:.3g} % without" if missing > 0.005 else ""
            cells.append(f"{error:.2g}{ratio}{without}" if missing < 1 else "no figure")
        lines.append("| " + " | ".join(cells) + " |")
    return [f"{asked.shown}, {asked.unit}", "", *lines]


def picture(asked: Asked, table: pd.DataFrame) -> alt.LayerChart:
    """Error against epsilon, both in powers of ten."""
    ways = [way for way in WAYS.values() if way in set(table["way"])]
    scale = alt.Scale(domain=ways, range=list(COLOURS[: len(ways)]))
    base = alt.Chart(table.dropna()).encode(
        x=alt.X(
            "epsilon:Q",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=[0.1, 0.28, 0.5, 1, 2, 5]),
        ),
        y=alt.Y("error:Q", scale=alt.Scale(type="log"), title=f"error, {asked.unit}"),
        color=alt.Color("way:N", scale=scale, title=None, legend=alt.Legend(orient="top")),
        strokeDash=alt.StrokeDash("way:N", sort=ways, legend=None),
    )
    return alt.layer(
        base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=50)
    ).properties(width=460, height=260, title=alt.TitleParams(asked.shown, anchor="start"))


if __name__ == "__main__":
    main()
