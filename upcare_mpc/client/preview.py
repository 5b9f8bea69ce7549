"""What a study would cost and how exact it can be, before anything is spent."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Self

from upcare_mpc.client import notebook
from upcare_mpc.client.platform import Answer, CatalogueEntry
from upcare_mpc.kinds.kind import COHORTS, Preview
from upcare_mpc.kinds.question import Question
from upcare_mpc.study.coverage import Gaps, gaps

if TYPE_CHECKING:  # the command line shows previews without pandas
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["StudyPreview"]

_EXPECTED: Final = "the noise alone moves a figure, 19 times in 20, by at most"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPreview:
    """What follows from a study's text, and what the registries say.

    Attributes:
        question: The study and what follows from it: layout, guarantee, steps.
        expected: How far the noise alone will move the figures it asks for.
        registries: What each would answer; promises nothing.
        lacking: By registry, what it does not have of what the study reads; None: it has stated
            nothing.
    """

    question: Question
    expected: Preview
    registries: tuple[Answer, ...]
    lacking: Mapping[str, Gaps | None]

    @classmethod
    def of(
        cls,
        question: Question,
        answers: "Sequence[Answer]",
        catalogue: "Sequence[CatalogueEntry]",
    ) -> Self:
        """Put together what the text implies, what registries answer and what they state."""
        stated = {entry.registry: entry.availability for entry in catalogue}
        measures = question.kind.measures()
        return cls(
            question=question,
            expected=question.kind.preview(question.noise),
            registries=tuple(answers),
            lacking={
                name: gaps(measures, availability) if (availability := stated.get(name)) else None
                for name in question.study.registries
            },
        )

    @property
    def cells(self) -> int:
        """How many cells the answer has; each carries noise."""
        return self.question.layout.cells

    @property
    def frame(self) -> "pd.DataFrame":
        """Expected 95 % error of each main figure, for cohorts of 100, 1,000, 10,000 patients.

        Columns ``figure``, ``unit`` and one a cohort; None where the noise would drown the figure.
        """
        import pandas as pd  # noqa: PLC0415  as above

        columns = ["figure", "unit", *(f"{size:,} patients" for size in COHORTS)]
        rows = [(e.figure, e.unit, *e.error95) for e in self.expected.figures]
        return pd.DataFrame(rows, columns=columns, dtype=object)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to make coarser, if the noise would drown something."""
        return self.expected.advice

    def to_dict(self) -> dict[str, Any]:
        """One JSON object: what ``upcare study preview --json`` prints."""
        guarantee, release = self.question.guarantee, self.question.study.release
        return {
            "study_digest": self.question.digest.hex(),
            "cells": self.cells,
            "mechanism": guarantee.mechanism,
            "epsilon": float(guarantee.epsilon),
            "delta": float(guarantee.delta),
            "rho": _float(guarantee.rho),
            "scale": float(guarantee.scale),
            "overlap": guarantee.overlap,
            "error95": self.question.error95,
            "minimum_cohort": release.minimum_cohort,
            "suppress_below": release.suppress_below,
            "expected": [
                {
                    "figure": figure.figure,
                    "unit": figure.unit,
                    "patients": dict(zip(map(str, COHORTS), figure.error95, strict=True)),
                }
                for figure in self.expected.figures
            ],
            "advice": list(self.advice),
            "registries": [
                {
                    "name": answer.registry,
                    "verdict": answer.verdict,
                    "reason": answer.reason,
                    "epsilon_left": _float(answer.epsilon_left),
                    "rho_left": _float(answer.rho_left),
                    "lacks": None
                    if (gap := self.lacking.get(answer.registry)) is None
                    else asdict(gap),
                }
                for answer in self.registries
            ],
        }

    def __repr__(self) -> str:
        lines = [self.question.study.title]
        lines += [f"  {name}: {value}" for name, value in self._figures()]
        if self.expected.figures:
            lines.append(f"  {_EXPECTED} (for {' / '.join(map(str, COHORTS))} patients)")
            lines += [f"    {name}: {' / '.join(e)} {unit}" for name, unit, *e in self._errors()]
        lines += [f"  {sentence}" for sentence in self.advice]
        lines += [f"  {' '.join(map(str, row))}" for row in self._verdicts()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [notebook.pairs(self.question.study.title, self._figures())]
        if self.expected.figures:
            header = ("figure", "unit", *(f"{size:,} patients" for size in COHORTS))
            parts.append(notebook.paragraphs([_EXPECTED]))
            parts.append(notebook.table(header, self._errors()))
        parts.append(notebook.paragraphs(self.advice))
        parts.append(notebook.table(("registry", "says", "left", "lacks"), self._verdicts()))
        return "".join(parts)

    def _figures(self) -> list[tuple[str, object]]:
        guarantee = self.question.guarantee
        price = f"epsilon {float(guarantee.epsilon):g}"
        if guarantee.rho is not None:
            price += f", delta {float(guarantee.delta):.3g}, rho {float(guarantee.rho):g}"
        first, *others = self.question.layout.tables  # in its unit, a patient
        reach = f"95 % within {self.question.error95:.3g} patients of the truth"
        return [
            ("cells", self.cells),
            ("cost", f"{price}, at overlap {guarantee.overlap}"),
            ("noise", f"{guarantee.mechanism}, scale {float(guarantee.scale):g}"),
            (f"a cell of {first.name}" if others else "a cell", reach),
        ]

    def _errors(self) -> list[tuple[str, ...]]:
        return [
            (e.figure, e.unit, *("drowned" if x is None else f"{x:.3g}" for x in e.error95))
            for e in self.expected.figures
        ]

    def _verdicts(self) -> list[tuple[str, str, str, str]]:
        gaussian = self.question.guarantee.rho is not None
        rows = []
        for answer in self.registries:
            left = answer.rho_left if gaussian else answer.epsilon_left
            measure = "rho" if gaussian else "epsilon"
            rows.append(
                (
                    answer.registry,
                    f"{answer.verdict}: {answer.reason}" if answer.reason else answer.verdict,
                    "" if left is None else f"{measure} {float(left):g} left",
                    _lacks(self.lacking.get(answer.registry)),
                )
            )
        return rows


def _lacks(gap: Gaps | None) -> str:
    if gap is None:
        return "(has not stated what it records)"
    years = [str(first) if first == last else f"{first}-{last}" for first, last in gap.years]
    return ", ".join((*gap.variables, *years))


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
