"""How results look on a terminal, in JSON, and as files."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from upcare_mpc.client.platform import Answer, Event
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.question import Question

__all__ = ["as_json", "print_event", "print_preview", "print_result", "save"]

MAX_ROWS = 60
talk = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def print_event(event: Event) -> None:
    """One line of a study's story."""
    talk.print(f"  {event.phase:>10}  {event.text}")


def print_preview(question: Question, other: Question | None, answers: list[Answer]) -> None:
    """Cells, cost, expected error, and what every registry says."""
    talk.print(f"[bold]{question.study.title}[/bold]")
    for line in filter(None, (question, other)):
        guarantee = line.guarantee
        talk.print(
            f"  overlap {guarantee.overlap}: {line.layout.cells} cells, "
            f"epsilon {float(guarantee.epsilon):g}, noise scale {float(guarantee.scale):g}, "
            f"95 % of cells within {guarantee.error95} patients of the truth"
        )
    for answer in answers:
        left = "" if answer.epsilon_left is None else f", epsilon {float(answer.epsilon_left):g} left"
        reason = f": {answer.reason}" if answer.reason else ""
        talk.print(f"  {answer.registry}: {answer.verdict}{reason}{left}")


def print_result(opened: OpenedResult) -> None:
    """The table, the statistics, and the privacy label."""
    rows = opened.result.rows
    table = Table(title=opened.question.study.title, title_justify="left")
    for column in rows.columns:
        table.add_column(str(column), justify="right" if column != "arm" else "left")
    for record in opened.result.records()[:MAX_ROWS]:
        table.add_row(*(_cell(value) for value in record.values()))
    out.print(table)
    if len(rows) > MAX_ROWS:
        out.print(f"... and {len(rows) - MAX_ROWS} rows more; --json or --out gives all")
    for name, values in opened.result.statistics.items():
        out.print(f"{name}: " + ", ".join(f"{k} {_cell(v)}" for k, v in values.items()))
    for note in opened.result.notes:
        out.print(note)
    _print_label(opened)


def _print_label(opened: OpenedResult) -> None:
    guarantee, label = opened.question.guarantee, opened.label()
    table = Table(title="Privacy label", title_justify="left", show_header=False)
    checked = "checked against each other" if opened.opened.checked else "NOT checkable"
    rows = (
        ("mechanism", f"{guarantee.mechanism}, drawn jointly inside the computation"),
        ("epsilon", f"{guarantee.epsilon} (exact)"),
        ("delta", f"{float(guarantee.delta):.3g}, of the exact law of the sampler"),
        ("unit", f"{guarantee.unit}, known to at most {guarantee.overlap} registries"),
        ("noise", f"scale {guarantee.scale}, sd {label['noise_sd']:.2f} patients a cell"),
        ("error", f"95 % of cells within {guarantee.error95} patients of the truth"),
        ("cells", str(label["cells"])),
        ("study", opened.question.digest.hex()),
        ("session", opened.session.hex()),
        ("shares", f"{opened.opened.shares}, {checked}"),
        (
            "charged",
            ", ".join(f"{r.name} {_spent(r.spent)} ({r.role})" for r in opened.registries),
        ),
        ("adversary", str(label["adversary"])),
    )
    for name, value in rows:
        table.add_row(name, value)
    out.print(table)


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
                "spent": None if registry.spent is None else float(registry.spent),
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
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _spent(spent: object) -> str:
    return "unconfirmed" if spent is None else str(spent)
