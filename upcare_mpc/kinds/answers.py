"""What a patient is asked in a study, and the vector that her answers are.

A patient who deposits counts as one record would: in each table of the layout she is in one cell at
most, as the table's weight. That she is, the registries check on shares (``one_hot_tables``), so
her deposit moves the sum by no more than the layout's sensitivity says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.study.layout import Layout

__all__ = ["Answerable", "Prompt", "answer_vector", "one_hot_tables", "vector_of_positions"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question; at most one option is chosen.

    Attributes:
        text: What is asked.
        options: What can be answered, in the order in which it is shown.
    """

    text: str
    options: tuple[str, ...]


@runtime_checkable
class Answerable(Protocol):
    """A statistic that a patient can contribute to by answering questions."""

    def layout(self) -> Layout:
        """Return the tables."""
        ...

    def prompts(self) -> tuple[Prompt, ...]:
        """Return what she is asked, in this order."""
        ...

    def vector(self, chosen: Mapping[str, int]) -> npt.NDArray[np.int64]:
        """Return her vector.

        Args:
            chosen: Text of a question to the number of the option; questions may be missing.

        Returns:
            ``(cells,)``. Secret.
        """
        ...


def answer_vector(kind: Answerable, answers: Mapping[str, str]) -> npt.NDArray[np.int64]:
    """Return the vector of answers in words.

    Args:
        kind: The statistic.
        answers: Text of a question to the text of the option; questions may be missing.

    Raises:
        StudyError: There is no such question or option.
    """
    prompts = {prompt.text: prompt for prompt in kind.prompts()}
    chosen: dict[str, int] = {}
    for text, option in answers.items():
        if text not in prompts:
            raise StudyError(f"answers: wanted {_listed(prompts)}, got {text[:80]!a}")
        options = prompts[text].options
        if option not in options:
            raise StudyError(f"answers: {text}: wanted {_listed(options)}, got {option[:80]!a}")
        chosen[text] = options.index(option)
    return kind.vector(chosen)


def vector_of_positions(
    layout: Layout, positions: tuple[tuple[int, ...] | None, ...]
) -> npt.NDArray[np.int64]:
    """Return the vector with one cell of each table, or none where the position is None."""
    pieces = []
    for table, position in zip(layout.tables, positions, strict=True):
        piece = np.zeros(table.shape, np.int64)
        if position is not None:
            piece[position] = table.weight
        pieces.append(piece.reshape(-1))
    return np.concatenate(pieces)


def one_hot_tables(layout: Layout) -> tuple[tuple[int, int, int], ...]:
    """First cell, number of cells and weight of each table, in their order."""
    tables, start = [], 0
    for table in layout.tables:
        tables.append((start, table.cells, table.weight))
        start += table.cells
    return tuple(tables)


def _listed(words: Mapping[str, Prompt] | tuple[str, ...]) -> str:
    return " or ".join(f'"{word}"' for word in words)
