"""The answer to a study in Python: a table, a picture, and the label that belongs beside them.

Every file that is written says what was asked and what it guarantees, and carries the sealed and
signed papers that the numbers were opened from:

    X.json      one object: all of it
    X.csv       the rows; everything else in X.label.json
    X.parquet   the rows; everything else in the file's metadata, as ``upcare_result``

``Network.read`` opens the papers of such a file again, and believes nothing else in it.

There is no funnel plot of registries. It would need one estimate a registry, and what the network
opens is one noisy sum over all of them: no registry's own figure is ever known to anyone.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from upcare_mpc.client import notebook
from upcare_mpc.client.result import Charged, OpenedResult
from upcare_mpc.client.study import Study
from upcare_mpc.errors import InputError, StudyError
from upcare_mpc.kinds.kind import Statistic

if TYPE_CHECKING:  # whoever only submits is spared pandas and altair
    import altair as alt
    import pandas as pd

__all__ = ["Label", "StudyResult", "written"]

METADATA_KEY: Final = "upcare_result"


class Label(dict[str, Any]):
    """The privacy label: a dictionary, shown so that a person can read it.

    What does not apply (None) and exact fractions (``..._exact``) are in it and not shown.
    """

    def __repr__(self) -> str:
        lines = self._lines()
        width = max((len(name) for name, _ in lines), default=0)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)

    def _repr_html_(self) -> str:
        return notebook.pairs("Privacy label", self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        lines = [
            (name, _shown(value))
            for name, value in self.items()
            if value is not None
            and name not in {"tables", "deposits"}
            and not name.endswith("_exact")
        ]
        for name, value in (self.get("deposits") or {}).items():
            if value is not None and not name.endswith("_exact"):
                lines.append((f"deposits: {name}", _shown(value)))
        for table in self.get("tables", ()):
            size = f"{table['cells']} cells, each counted {table['weight']} times"
            reach = f"95 % within {table['error95']:.4g}, noise sd {table['noise_sd']:.4g}"
            lines.append((f"table {table['name']}", f"{size}; {reach}"))
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """A finished study: opened, checked and estimated.

    Attributes:
        study: What was asked.
        opened: The noisy vector, the estimates, who took part, and the signed papers.
    """

    study: Study
    opened: OpenedResult

    @property
    def frame(self) -> "pd.DataFrame":
        """The table of estimates; columns as the statistic documents them."""
        return self.opened.result.rows

    @property
    def statistics(self) -> Mapping[str, Statistic]:
        """Further statistics by name, for example ``logrank``; a missing value is None."""
        return self.opened.result.statistics

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that belong beside the numbers."""
        return self.opened.result.notes

    @property
    def label(self) -> Label:
        """The privacy label: mechanism, epsilon, delta, noise, unit, cells, adversary."""
        return Label(self.opened.label())

    @property
    def registries(self) -> tuple[Charged, ...]:
        """Who took part and what each has signed that it charged."""
        return self.opened.registries

    @property
    def noisy(self) -> npt.NDArray[np.int64]:
        """The noisy vector that everything is computed from, in the layout's order."""
        return self.opened.noisy

    def plot(self, *, title: str | None = None) -> "alt.TopLevelMixin":
        """Draw the result as its statistic is drawn; an Altair chart, made without a network.

        ``chart.save("plot.svg")`` (or png, pdf, html) writes it.

        Args:
            title: The study's unless stated.

        Raises:
            StudyError: There is nothing to draw.
        """
        kind = self.opened.question.kind
        return kind.chart(self.opened.result, title=title or self.study.title)

    def refit(self, **model: Any) -> Self:
        """Fit another model to the same noisy table; costs no privacy and asks nobody.

        Args:
            model: What shall be different, as in ``Study.regression``: ``terms``, which have to
                be stated, and ``reference``.

        Raises:
            StudyError: The statistic fits no models, or not this one.
        """
        question = self.opened.question
        refit = getattr(question.kind, "refit", None)
        if refit is None:
            raise StudyError(f"refit: wanted a regression, got a study of {question.study.kind}")
        if self.frame.empty:
            raise StudyError("refit: there is nothing to fit, no cell was opened")
        result = refit(self.noisy, question.noise, **model)
        return replace(self, opened=replace(self.opened, result=result))

    def to_dict(self) -> dict[str, Any]:
        """One JSON object: rows, statistics, notes, label, charges, study file, signed papers."""
        opened = self.opened
        rows = {"rows": opened.result.records(), **opened.result.statistics}
        return {
            "study_digest": self.study.digest,
            "label": opened.label(),
            "result": {**rows, "notes": list(self.notes)},
            "registries": [_charge(registry) for registry in self.registries],
            "study": self.study.text,
            "papers": [base64.b64encode(paper).decode("ascii") for paper in opened.papers],
        }

    def to_json(self, path: str | Path) -> None:
        """Write one JSON object: what ``to_dict`` gives.

        Raises:
            InputError: It cannot be written; from each of these methods. What was there is kept.
        """
        with _replacing(Path(path)) as fresh:
            fresh.write_text(json.dumps(self.to_dict(), indent=2), "utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write the rows, and all else beside them: ``rows.csv`` gets ``rows.label.json``."""
        path = Path(path)
        if path.suffix != ".csv":
            raise InputError(f"{path.name}: wanted a file name that ends in .csv")
        with _replacing(path) as rows, _replacing(_label_of(path)) as beside:
            self.frame.to_csv(rows, index=False)
            beside.write_text(json.dumps(self._beside(), indent=2), "utf-8")

    def to_parquet(self, path: str | Path) -> None:
        """Write the rows as Parquet, and all else into its metadata as ``upcare_result``."""
        import pyarrow as pa  # noqa: PLC0415  for this format alone
        import pyarrow.parquet as pq  # noqa: PLC0415

        rows = pa.Table.from_pandas(self.frame, preserve_index=False).replace_schema_metadata()
        # Without Arrow's own copy of the schema, readers find this among the schema's metadata.
        with (
            _replacing(Path(path)) as fresh,
            pq.ParquetWriter(fresh, rows.schema, store_schema=False) as writer,
        ):
            writer.write_table(rows)
            writer.add_key_value_metadata({METADATA_KEY: json.dumps(self._beside())})

    def _beside(self) -> dict[str, Any]:
        """What belongs beside the rows."""
        content = self.to_dict()
        del content["result"]["rows"]
        return content

    def __repr__(self) -> str:
        lines = [self.study.title, self.frame.to_string(index=False, max_rows=20, na_rep="-")]
        lines += [f"{name}: {_shown(values)}" for name, values in self.statistics.items()]
        return "\n".join((*lines, *self.notes, "", repr(self.label)))

    def _repr_html_(self) -> str:
        table = self.frame.to_html(index=False, max_rows=20, na_rep="-", border=0)
        statistics = ((name, _shown(values)) for name, values in self.statistics.items())
        return "".join(
            (
                notebook.paragraphs([self.study.title]),
                table,
                notebook.pairs("Statistics", statistics) if self.statistics else "",
                notebook.paragraphs(self.notes),
                self.label._repr_html_(),
            )
        )


def written(path: Path) -> tuple[Study, list[bytes]]:
    """Read the study and the papers of a file that a result has written.

    Args:
        path: The JSON, CSV or Parquet file, or the ``.label.json`` beside a CSV file.

    Raises:
        InputError: It is not there, or another file.
    """
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq  # noqa: PLC0415  for this format alone

            metadata = pq.read_schema(path).metadata or {}
            text: str | bytes = metadata.get(METADATA_KEY.encode(), b"")
        else:
            text = (_label_of(path) if path.suffix == ".csv" else path).read_bytes()
        content = json.loads(text)
        study, papers = content["study"], content["papers"]
        opened = [base64.b64decode(paper, validate=True) for paper in papers]
        return Study.parse(study, name=f"{path.name}: study"), opened
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise InputError(f"{missing}: no such file") from None
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # ArrowInvalid is a ValueError
        raise InputError(f"{path.name}: wanted a file that a result has written") from None


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside it to write to, which takes its place when all of it is written."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        yield fresh
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"{path.name}: cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)


def _label_of(path: Path) -> Path:
    """The file beside a CSV file."""
    return path.with_name(f"{path.stem}.label.json")


def _charge(registry: Charged) -> dict[str, Any]:
    spent = registry.spent
    return {
        "name": registry.name,
        "role": registry.role,
        "spent": None
        if spent is None
        else {
            "epsilon": None if spent.epsilon is None else float(spent.epsilon),
            "rho": float(spent.rho),
            "delta": float(spent.delta),
        },
    }


def _shown(value: object) -> str:
    """A value of a label or a statistic, for people."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case Mapping():
            return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
        case str():
            return value
        case Sequence():
            return "; ".join(map(_shown, value))
        case _:
            return str(value)
