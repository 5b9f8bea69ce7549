"""A questionnaire: how many patients gave which answer.

    [[questionnaire.questions]]
    text = "Have you ever smoked?"
    options = ["never", "in the past", "today"]

    [[questionnaire.questions]]
    text = "How was your health during the past week?"
    options = ["poor", "fair", "good"]

    [questionnaire]
    cross = [["Have you ever smoked?", "How was your health during the past week?"]]     # optional

Patients answer by deposits (``[deposits] patients = true``); nothing is counted from records, so
the cohort is everybody who has a ticket: ``where = "true"``. One table a question, and one for each
pair of questions in ``cross``. A patient is in one cell of each table at most; a question may be
left out. The registries that the study names compute and vouch for their patients.

Model: each cell is the true count plus one draw of noise. ``share`` is a count over all who
answered its question (``result``).

With ``[release] suppress_below`` answers with a lower noisy count are not opened, and there is no
``cross``, from whose cells they could be told. ``minimum_cohort`` is about the first question: the
noisy number of those who answered it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.answers import Prompt, vector_of_positions
from upcare_mpc.kinds.kind import COHORTS, Expected, Floats, NoiseLaw, Preview, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.expression import Integer, Truth
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Option, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Questionnaire", "share_reach"]

MAX_QUESTIONS: Final = 20
MAX_OPTIONS: Final = 20
MAX_CROSS: Final = 10
MAX_CELLS: Final = 1000
"""Of all tables; patients encrypt and registries check each of them."""
DROWNED: Final = 0.5
"""Noise that reaches further than this part of a figure drowns it."""


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """Some questions; built by ``Questionnaire.of``.

    Attributes:
        questions: In the order in which they are asked.
        cross: Pairs of places of questions that are counted together.
        suppress_below: An answer with a lower noisy count is not opened.
    """

    questions: tuple[Prompt, ...]
    cross: tuple[tuple[int, int], ...]
    suppress_below: int | None = None

    @classmethod
    def of(cls, study: Study) -> "Questionnaire":
        """Read the options of a study."""
        if study.deposits is None or not study.deposits.patients:
            raise StudyError(
                "deposits.patients: wanted true with kind questionnaire, which patients answer"
            )
        if study.where != Truth(value=True):
            raise StudyError(
                'cohort.where: wanted "true" with kind questionnaire: a registry decides by '
                "tickets who answers"
            )
        options = Options(study.options, "questionnaire")
        options.only(("questions", "cross"))
        items = options.items("questions")
        if len(items) > MAX_QUESTIONS:
            raise StudyError(
                f"questionnaire.questions: wanted at most {MAX_QUESTIONS}, got {len(items)}"
            )
        places = (f"questionnaire.questions[{number}]" for number in range(len(items)))
        questions = tuple(map(_question, items, places))
        texts = [question.text for question in questions]
        if len(set(texts)) < len(texts):
            raise StudyError("questionnaire.questions: wanted texts that differ")
        cross = _cross(options, texts) if "cross" in options else ()
        if cross and study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with cross, from which a suppressed answer "
                "could be told"
            )
        found = cls(questions, cross, study.release.suppress_below)
        if found.layout().cells > MAX_CELLS:
            raise StudyError(
                f"questionnaire: wanted at most {MAX_CELLS} cells, got {found.layout().cells}"
            )
        return found

    def prompts(self) -> tuple[Prompt, ...]:
        """Return the questions."""
        return self.questions

    def layout(self) -> Layout:
        """One table a question, then one a pair."""
        return Layout.of(self._tables(), self.measures())

    def measures(self) -> Measures:
        """No record counts: what enters are deposits, which the sensitivity is about."""
        axes = [1] * len(self.questions) + [2] * len(self.cross)
        nowhere = tuple(Measure((Integer(0),) * count) for count in axes)
        return Measures(where=Truth(value=False), tables=nowhere)

    def vector(self, chosen: Mapping[str, int]) -> npt.NDArray[np.int64]:
        """Return the vector of one patient's answers; ``answers.Answerable``."""
        places = [chosen.get(question.text) for question in self.questions]
        positions: list[tuple[int, ...] | None] = [
            None if place is None else (place,) for place in places
        ]
        for first, second in self.cross:
            one, other = places[first], places[second]
            positions.append(None if one is None or other is None else (one, other))
        return vector_of_positions(self.layout(), tuple(positions))

    def preview(self, noise: NoiseLaw) -> Preview:
        """How far the noise moves a count, and a share of a half; who is asked answers all."""
        reach, tables = float(noise.quantile95), self._tables()
        cells = max(table.cells for table in tables)
        few, some, many = (reach if reach < size / cells else None for size in COHORTS)
        figures = [Expected("count of an answer", "patients", (few, some, many))]
        for question in self.questions:
            options = len(question.options)
            total = float(noise.farthest(1 / options)) * options**0.5
            half = share_reach(np.array(0.5), options, noise).item()
            few, some, many = (half / size if total < size else None for size in COHORTS)
            name = f"share of an answer: {question.text}"
            figures.append(Expected(name, "probability", (few, some, many)))
        advice = []
        if DROWNED * COHORTS[1] / cells < reach:
            advice.append(
                f"An answer would be that of {COHORTS[1] / cells:.1f} of 1,000 patients, and the "
                f"noise reaches {reach:.0f}: each of the {len(tables)} tables takes its part of "
                "epsilon; ask for fewer, or fewer answers."
            )
        return Preview(tuple(figures), tuple(advice))

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return one row an answer of each table; those not shown are masked (``numpy.ma``)."""
        from upcare_mpc.kinds.questionnaire import result  # noqa: PLC0415  nodes never finish

        return result.of(self.layout(), noisy, noise, below=self.suppress_below)

    def chart(self, result: Result, *, title: str) -> "alt.TopLevelMixin":
        """Draw the shares of each question's answers."""
        from upcare_mpc.kinds.questionnaire import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)

    def _tables(self) -> tuple[Table, ...]:
        axes = [Dimension(question.text, question.options) for question in self.questions]
        single = [Table(axis.name, (axis,)) for axis in axes]
        pairs = [
            Table(f"{axes[one].name} x {axes[other].name}", (axes[one], axes[other]))
            for one, other in self.cross
        ]
        return (*single, *pairs)


def share_reach(share: Floats, options: int, noise: NoiseLaw) -> Floats:
    """How far 95 % of the noise moves ``count - share * total`` of a table with these options."""
    squares = (1 - share) ** 2 + share**2 * (options - 1)
    fourths = (1 - share) ** 4 + share**4 * (options - 1)
    reach: Floats = noise.farthest(fourths / squares**2) * np.sqrt(squares)
    return reach


def _question(item: Option, place: str) -> Prompt:
    if not isinstance(item, Mapping):
        raise StudyError(f'{place}: wanted a table with text = "..." and options = [...]')
    inner = Options(item, place)
    inner.only(("text", "options"))
    options = inner.items("options")
    if not 2 <= len(options) <= MAX_OPTIONS or not all(isinstance(o, str) for o in options):
        raise StudyError(f"{place}.options: wanted 2 to {MAX_OPTIONS} texts")
    texts = tuple(str(option).strip() for option in options)
    if len(set(texts)) < len(texts) or not all(texts):
        raise StudyError(f"{place}.options: wanted texts that differ, none of them empty")
    return Prompt(inner.text("text").strip(), texts)


def _cross(options: Options, texts: list[str]) -> tuple[tuple[int, int], ...]:
    place = "questionnaire.cross"
    pairs = []
    for item in options.items("cross"):
        match item:
            case (str(one), str(other)) if one in texts and other in texts and one != other:
                pairs.append((texts.index(one), texts.index(other)))
            case _:
                raise StudyError(f"{place}: wanted pairs of two texts of questions")
    if len(pairs) > MAX_CROSS or len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise StudyError(f"{place}: wanted at most {MAX_CROSS} pairs that differ")
    return tuple(pairs)
