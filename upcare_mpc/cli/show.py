"""How results look on a terminal, in JSON, and as files."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from upcare_mpc.client.platform import Answer
from upcare_mpc.client.result import Charged, OpenedResult
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import COHORTS
from upcare_mpc.kinds.question import Question
from upcare_mpc.privacy.accountant import Cap, Loss, Spent
from upcare_mpc.study.coverage import Gaps

__all__ = [
    "as_json",
    "budget_left",
    "loss_json",
    "loss_text",
    "print_gaps",
    "print_preview",
    "print_result",
    "save",
]

MAX_ROWS = 60
MAX_FIGURES = 20  # of a preview
# Without markup: a reason or a label may hold brackets.
talk = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
out = Console(highlight=False, markup=False)


def print_preview(question: Question, other: Question | None, answers: list[Answer]) -> None:
    """Cells, cost, expected errors, advice, and what every registry says."""
    talk.print(question.study.title, style="bold")
    for line in filter(None, (question, other)):
        talk.print(
            f"  overlap {line.guarantee.overlap}: {line.layout.cells} cells, {_price(line)}, "
            f"{_error_of_a_count(line)}"
        )
    _print_expected(question)
    for rule in _rules(question):
        talk.print(f"  {rule}")
    for answer in answers:
        left = budget_left(question, answer)
        reason = f": {answer.reason}" if answer.reason else ""
        talk.print(f"  {answer.registry}: {answer.verdict}{reason}{left and f', {left} left'}")


def _error_of_a_count(question: Question) -> str:
    """How near to the truth the counts of patients will be: the first table, in its own unit."""
    first, *others = question.layout.tables
    reach = f"{question.guarantee.error95 / first.weight:.3g} patients of the truth"
    return f"95 % of cells{f' of {first.name}' if others else ''} within {reach}"


def _print_expected(question: Question) -> None:
    """What the noise alone will do to the figures, and what to make coarser."""
    expected = question.kind.preview(question.noise)
    if expected.figures:
        sizes = " / ".join(f"{size:,}" for size in COHORTS)
        talk.print(f"  of {sizes} patients, the noise alone moves, 19 times in 20, by at most")
    for figure in expected.figures[:MAX_FIGURES]:
        errors = ("drowned" if error is None else f"{error:.3g}" for error in figure.error95)
        talk.print(f"    {figure.figure}: {' / '.join(errors)} {figure.unit}")
    if len(expected.figures) > MAX_FIGURES:
        talk.print(f"    ... and {len(expected.figures) - MAX_FIGURES} more; --json gives all")
    for sentence in expected.advice:
        talk.print(f"  {sentence}")


def print_gaps(gaps: Mapping[str, Gaps | None]) -> None:
    """What each registry does not have of what the study reads, by its own statement."""
    for registry, gap in gaps.items():
        if gap is not None and gap.variables:
            talk.print(f"  {registry}: does not record {', '.join(gap.variables)}")
        if gap is not None and gap.years:
            years = " and ".join(_years(*pair) for pair in gap.years)
            talk.print(f"  {registry}: does not cover {years}")
    if silent := [registry for registry, gap in gaps.items() if gap is None]:
        talk.print(f"  not stated what they record: {', '.join(silent)}")


def _years(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def budget_left(question: Question, answer: Answer) -> str:
    """What a registry has left, in the measure that the study is charged in; may be empty."""
    if question.guarantee.loss.epsilon is None:
        return "" if answer.rho_left is None else f"rho {float(answer.rho_left):g}"
    return "" if answer.epsilon_left is None else f"epsilon {float(answer.epsilon_left):g}"


def _price(question: Question) -> str:
    study, guarantee = question.study, question.guarantee
    epsilon, scale = f"epsilon {float(guarantee.epsilon):g}", float(guarantee.scale)
    if study.delta is None or guarantee.rho is None:
        return f"{epsilon}, noise scale {scale:g}"
    delta, rho = f"delta {float(study.delta):g}", f"rho {float(guarantee.rho):g}"
    return f"{epsilon}, {delta}, {rho}, noise sigma {scale:g}"


def _rules(question: Question) -> list[str]:
    """What has to hold before anything is opened, in sentences."""
    release, rules = question.study.release, []
    if release.minimum_cohort is not None:
        rules.append(
            "nothing is opened if the pooled noisy total of the table is below "
            f"{release.minimum_cohort}"
        )
    if release.suppress_below is not None:
        rules.append(
            f"no cell is opened whose pooled noisy value is below {release.suppress_below}"
        )
    return rules


def print_result(opened: OpenedResult) -> None:
    """The table, the statistics, and the privacy label."""
    if opened.result.rows.empty:
        out.print(opened.question.study.title, style="bold")
    else:
        _print_rows(opened)
    hidden = len(opened.result.rows) - MAX_ROWS
    if hidden > 0:
        out.print(f"... and {hidden} rows more; --json or --out gives all")
    for name, values in opened.result.statistics.items():
        out.print(f"{name}: " + ", ".join(f"{k} {_cell(v)}" for k, v in values.items()))
    for note in opened.result.notes:
        out.print(note)
    _print_label(opened)


def _print_rows(opened: OpenedResult) -> None:
    """The rows, each pair of bounds in one column; a line is longer rather than a number cut."""
    table = Table(
        title=opened.question.study.title,
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    records = opened.result.records()[:MAX_ROWS]
    merged = [_merge_bounds(record) for record in records]
    for name in merged[0] if merged else ():
        text = any(isinstance(record.get(name), str) for record in records)
        table.add_column(name, justify="left" if text else "right", no_wrap=True)
    for record in merged:
        table.add_row(*record.values())
    width = max(out.width, table.__rich_measure__(out, out.options).maximum)
    Console(highlight=False, markup=False, width=width, file=out.file).print(table, crop=False)


def _merge_bounds(record: dict[str, Any]) -> dict[str, str]:
    """``x_low, x_high`` to ``x 95 %``, and ``start_days, end_days`` to ``days``."""
    merged: dict[str, str] = {}
    for name, value in record.items():
        if name.endswith("_low"):
            other = record[name.removesuffix("_low") + "_high"]
            merged[f"{name.removesuffix('_low')} 95 %"] = f"{_cell(value)}-{_cell(other)}"
        elif name == "start_days":
            merged["days"] = f"{value}-{record['end_days']}"
        elif not name.endswith("_high") and name != "end_days":
            merged[name] = _cell(value)
    return merged


def _print_label(opened: OpenedResult) -> None:
    question, label = opened.question, opened.label()
    guarantee = question.guarantee
    table = Table(
        title="Privacy label", title_justify="left", show_header=False, box=box.SIMPLE_HEAD
    )
    checked = "checked against each other" if opened.opened.checked else "NOT checkable"
    delta = f"{float(guarantee.delta):.3g}, of the exact law of the sampler"
    scale, rho = f"scale {guarantee.scale}", []
    if guarantee.rho is not None and guarantee.rho_delta is not None:
        asked = question.study.delta or guarantee.delta
        delta += f"; at most {float(asked):g} was asked"
        scale = f"sigma {float(guarantee.scale):g}"
        composes = f"what composes, with delta {float(guarantee.rho_delta):.3g} of the sampler"
        rho = [("rho", f"{float(guarantee.rho):g}; {composes}")]
    rows = (
        ("mechanism", f"{guarantee.mechanism}, drawn jointly inside the computation"),
        ("epsilon", f"{guarantee.epsilon} (exact)"),
        ("delta", delta),
        *rho,
        ("unit", _unit(question)),
        *_noise_lines(scale, label),
        *(("rule", rule) for rule in _rules(question)),
        ("study", question.digest.hex()),
        ("session", opened.session.hex()),
        ("shares", f"{opened.opened.shares}, {checked}"),
        *_deposit_lines(label),
        ("charged", ", ".join(f"{r.name} {_spent(r)} ({r.role})" for r in opened.registries)),
        ("adversary", str(label["adversary"])),
    )
    for name, value in rows:
        table.add_row(name, value)
    out.print(table)


def _unit(question: Question) -> str:
    """What is protected, and how often it may be in the sum."""
    unit, overlap, asked = question.guarantee.unit, question.guarantee.overlap, question.study
    if asked.deposits is None or not asked.deposits.patients or asked.kind == "questionnaire":
        return f"{unit}, known to at most {overlap} registries"
    return f"{unit}, in at most {overlap} sources: registries' tables and deposits of her own"


def _noise_lines(scale: str, label: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The noise in the counts; of tables with other units, in the unit of each."""
    tables = label["tables"]
    if [table["weight"] for table in tables] == [1]:
        yield "noise", f"{scale}, sd {label['noise_sd']:.2f} patients a cell"
        yield "error", f"95 % of cells within {label['error95']} patients of the truth"
    else:
        yield "noise", f"{scale}, divided by the weight of a table"
        for table in tables:
            spread = f"sd {table['noise_sd']:.3g}, 95 % within {table['error95']:.3g} of the truth"
            yield "error", f"{table['name']}: {table['cells']} cells, {spread}"
    yield "cells", str(label["cells"])


def _deposit_lines(label: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What entered besides the online registries, and what did not."""
    deposits = label["deposits"]
    if deposits is None:
        return
    tables, patients = deposits["registries"], deposits["patients"]
    refused, dropped = deposits["refused"], deposits["dropped"]
    what = [f"table of {name}" for name in tables]
    if patients or not tables:
        what.append("1 patient" if patients == 1 else f"{patients} patients")
    yield "deposits", ", ".join(what)
    if refused or dropped:
        reasons = [f"{count} for {reason}" for reason, count in refused.items()]
        yield "left out", ", ".join((*reasons, *([f"{dropped} no answer"] if dropped else [])))
    mask = "" if deposits["flooding"] is None else f", masks perfect up to {deposits['flooding']}"
    holders, threshold = ", ".join(deposits["holders"]), deposits["threshold"]
    yield "envelope", f"{deposits['envelope']}, key of {holders} (t = {threshold}){mask}"
    if label["missing"]:
        yield "missing", f"{', '.join(label['missing'])}: lost after the deposits were made"


def as_json(opened: OpenedResult, *, seconds: dict[str, float]) -> dict[str, Any]:
    """The result as one JSON object."""
    return {
        "study_digest": opened.question.digest.hex(),
        "label": opened.label(),
        "result": {
            "rows": opened.result.records(),
            **opened.result.statistics,
            "notes": list(opened.result.notes),
        },
        "registries": [
            {
                "name": registry.name,
                "role": registry.role,
                "spent": None if registry.spent is None else loss_json(registry.spent),
            }
            for registry in opened.registries
        ],
        "seconds": seconds,
    }


def save(opened: OpenedResult, folder: Path, *, seconds: dict[str, float]) -> list[Path]:
    """Write ``result.json``, ``rows.csv``, and the plot as PNG and SVG if the kind has one."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "result.json", folder / "rows.csv"]
    written[0].write_text(json.dumps(as_json(opened, seconds=seconds), indent=2), "utf-8")
    opened.result.rows.to_csv(written[1], index=False)
    try:
        chart = opened.question.kind.chart(opened.result, title=opened.question.study.title)
    except StudyError as error:
        talk.print(f"no plot: {error}")
        return written
    for suffix, scale in (("svg", 1), ("png", 2)):
        path = folder / f"plot.{suffix}"
        chart.save(path, scale_factor=scale)
        written.append(path)
    return written


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        digits = 3 if abs(value) < 1.5 else 1 if abs(value) < 10 else 0
        return f"{value:.{digits}f}"
    return str(value)


def _spent(charged: Charged) -> str:
    if charged.spent is not None:
        return loss_text(charged.spent)
    return "known to itself" if charged.role == "depositing" else "unconfirmed"


def loss_text(loss: Loss) -> str:
    """A charge in the measure it is made in."""
    if loss.epsilon is None:
        return f"rho {float(loss.rho):g}"
    return f"epsilon {float(loss.epsilon):g}"


def loss_json(loss: Loss | Spent | Cap) -> dict[str, float | None]:
    """A charge, a sum of charges or a cap in all measures; epsilon only where there is one."""
    return {
        "epsilon": None if loss.epsilon is None else float(loss.epsilon),
        "rho": float(loss.rho),
        "delta": float(loss.delta),
    }
