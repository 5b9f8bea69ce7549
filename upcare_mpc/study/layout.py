"""The shape of a study's answer: named cells, and how far one patient can move them.

An answer is one vector: the cells of one table or of several, one after the other. In all cells
the noise is the same, so a table that should carry less of it, in its own unit, counts each unit
``weight`` times, and its cells are divided by that at the end. That is how a budget is split.

A layout is public. It follows from the study text alone and is the same at every registry, at
every computing node and at the researcher, who compare its digest before anything else.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.study.expression import Expression, Field, size

__all__ = [
    "MAX_AMOUNT",
    "MAX_CELLS",
    "Dimension",
    "ExpectedDeath",
    "Factor",
    "Layout",
    "Measure",
    "Measures",
    "Sensitivity",
    "Table",
    "pairs",
]

MAX_CELLS: Final = 2**20
MAX_AMOUNT: Final = 2**20
"""Units that one record may add to a cell: sums of 2^40 records fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis of the table.

    Attributes:
        name: What the axis is, for example ``grade``.
        labels: The name of each position, in order; unique.
    """

    name: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise StudyError(f"dimension {self.name}: wanted at least one label")
        if len(set(self.labels)) != len(self.labels):
            raise StudyError(f"dimension {self.name}: wanted labels that differ")


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How one patient, added to or removed from ONE registry, can change the vector.

    Attributes:
        d0: Cells that can change.
        d1: Sum of the absolute changes.
        dinf: Largest change of one cell.
    """

    d0: int
    d1: int
    dinf: int

    def __post_init__(self) -> None:
        if not 1 <= self.dinf <= self.d1 <= self.d0 * self.dinf or self.d0 > self.d1:
            raise StudyError(
                f"sensitivity: wanted 1 <= dinf <= d1 <= d0 * dinf and d0 <= d1, "
                f"got d0={self.d0}, d1={self.d1}, dinf={self.dinf}"
            )

    @classmethod
    def of(cls, measures: "Measures", tables: "tuple[Table, ...]") -> Self:
        """Return what one patient can do to tables that are measured so.

        A tumour is in at most one cell of each table, and adds at most ``most`` units to it, each
        counted ``weight`` times. What a registry counts of its residents does not depend on any
        patient's record.
        """
        moved = [
            table.weight * measure.most
            for table, measure in zip(tables, measures.tables, strict=True)
            if measure.of == "tumours"
        ]
        if not moved:
            raise StudyError("layout: wanted a table of tumours")
        tumours = measures.per_patient  # they may all fall into one cell, or into different ones
        return cls(len(moved) * tumours, sum(moved) * tumours, max(moved) * tumours)

    def times(self, overlap: int) -> "Sensitivity":
        """Return the sensitivity when one patient may be known to ``overlap`` registries."""
        if overlap < 1:
            raise StudyError(f"overlap: wanted at least 1, got {overlap}")
        return Sensitivity(self.d0 * overlap, self.d1 * overlap, self.dinf * overlap)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the answer: the product of its dimensions, the last one fastest.

    Attributes:
        name: Which one it is; unique in the answer.
        dimensions: One or more, with different names.
        weight: A cell of the vector is this many times what the table says.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    weight: int = 1

    def __post_init__(self) -> None:
        names = [dimension.name for dimension in self.dimensions]
        if not names or len(set(names)) != len(names):
            raise StudyError("layout: wanted one or more dimensions with different names")
        if self.weight < 1:
            raise StudyError(f"layout: wanted a weight of at least 1, got {self.weight}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of labels of each dimension."""
        return tuple(len(dimension.labels) for dimension in self.dimensions)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """The tables, one after the other, and how far one patient can move them all.

    The first table is the cohort: each tumour that counts is in one of its cells at most, as 1.
    A rule on the least size of a cohort is about its total.
    """

    tables: tuple[Table, ...]
    sensitivity: Sensitivity

    def __post_init__(self) -> None:
        names = [table.name for table in self.tables]
        if not names or len(set(names)) != len(names):
            raise StudyError("layout: wanted one or more tables with different names")
        if self.cells > MAX_CELLS:
            sizes = " + ".join(
                " x ".join(f"{len(d.labels)} {d.name}" for d in table.dimensions)
                for table in self.tables
            )
            raise StudyError(
                f"layout: wanted at most {MAX_CELLS} cells, got {self.cells} ({sizes})"
            )

    @classmethod
    def of(cls, tables: tuple[Table, ...], measures: "Measures") -> Self:
        """Return the layout of tables that are measured so; the sensitivity follows."""
        return cls(tables, Sensitivity.of(measures, tables))

    @property
    def cells(self) -> int:
        """Number of cells of all tables."""
        return sum(table.cells for table in self.tables)

    def split(self, vector: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.float64], ...]:
        """Return the tables of a vector, each in its shape and its own unit.

        Args:
            vector: ``(..., cells)``.

        Raises:
            StudyError: It has another number of cells.
        """
        if vector.shape[-1:] != (self.cells,):
            raise StudyError(f"wanted a vector of {self.cells} cells, got {vector.shape}")
        ends = np.cumsum([table.cells for table in self.tables])[:-1]
        pieces = np.split(vector, ends, axis=-1)
        return tuple(
            piece.reshape(*vector.shape[:-1], *table.shape) / table.weight
            for piece, table in zip(pieces, self.tables, strict=True)
        )

    def canonical(self) -> bytes:
        """Return the bytes that stand for this layout: versioned, sorted, ASCII JSON."""
        content = {
            "layout": 2,
            "tables": [
                [table.name, table.weight, [[d.name, list(d.labels)] for d in table.dimensions]]
                for table in self.tables
            ],
            "sensitivity": [self.sensitivity.d0, self.sensitivity.d1, self.sensitivity.dinf],
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated."""
        return hashlib.sha256(b"upcare layout v2\0" + self.canonical()).digest()


@dataclass(frozen=True, slots=True)
class ExpectedDeath:
    """How likely people like this patient die in a span of time, by the registry's life table.

    In thousandths, rounded; of sex, age and year of diagnosis (``records.reference``). Unknown if
    one of these is, or if the table does not have it.

    Attributes:
        start_days, end_days: The span, in days after diagnosis; alive at its start.
    """

    start_days: int
    end_days: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_days < self.end_days:
            raise StudyError(f"wanted a span of days, got {self.start_days} to {self.end_days}")


@dataclass(frozen=True, slots=True)
class Factor:
    """A whole number that a record states, held within bounds.

    Attributes:
        value: The number. A record in which it is unknown is left out of the table.
        low, high: What is below or above counts as this.
    """

    value: Expression | ExpectedDeath
    low: int
    high: int

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise StudyError(f"wanted a lower bound below the upper, got {self.low}, {self.high}")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a registry adds up in one table.

    Attributes:
        axes: For each dimension of the table, the position of a record on it, counted from
            zero. A record with an unknown position, or one outside the labels, is left out.
        factors: A record adds their product to its cell; without factors, 1.
        of: ``tumours``, or ``residents``: the strata of the registry's population file, each with
            as many people as live in it. Of a stratum year, sex, age and region are known; it
            counts unless ``where`` is FALSE.
    """

    axes: tuple[Expression, ...]
    factors: tuple[Factor, ...] = ()
    of: Literal["tumours", "residents"] = "tumours"

    @property
    def most(self) -> int:
        """How much one record can add or take away."""
        return math.prod(max(abs(factor.low), abs(factor.high)) for factor in self.factors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What a registry computes from its own records, as expressions.

    Attributes:
        where: A record takes part only if this is TRUE.
        tables: For each table of the layout, what is added up in it.
        per_patient: Only this many matching tumours of one patient count: the first by
            ``sequence``. This bounds what one patient can change.
    """

    where: Expression
    tables: tuple[Measure, ...]
    per_patient: int = 1

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that is evaluated on a record."""
        parts = [self.where]
        for measure in self.tables:
            parts += measure.axes
            for factor in measure.factors:
                if isinstance(factor.value, ExpectedDeath):
                    parts += map(Field, ("sex", "age", "diagnosis_year"))
                else:
                    parts.append(factor.value)
        return tuple(parts)

    @property
    def spans(self) -> tuple[ExpectedDeath, ...]:
        """The spans of time for which a life table is asked, each once."""
        factors = (factor for measure in self.tables for factor in measure.factors)
        asked = (f.value for f in factors if isinstance(f.value, ExpectedDeath))
        return tuple(dict.fromkeys(asked))

    @property
    def steps(self) -> int:
        """Most steps that one record can cost; a function of the study's text alone."""
        return sum(map(size, self.expressions))


def pairs(layout: Layout, measures: Measures) -> tuple[tuple[Table, Measure], ...]:
    """Return each table with what is added up in it.

    Raises:
        StudyError: They do not belong together; measures of another layout must not be counted.
    """
    if len(layout.tables) != len(measures.tables):
        raise StudyError(
            f"wanted one measure a table ({len(layout.tables)}), got {len(measures.tables)}"
        )
    for table, measure in zip(layout.tables, measures.tables, strict=True):
        if len(table.dimensions) != len(measure.axes):
            raise StudyError(
                f"wanted one axis a dimension ({len(table.dimensions)}), got {len(measure.axes)}"
            )
        if table.weight * measure.most > MAX_AMOUNT:
            raise StudyError(
                f"wanted at most {MAX_AMOUNT} units a record in a cell, "
                f"got {table.weight * measure.most}"
            )
    if layout.sensitivity != Sensitivity.of(measures, layout.tables):
        raise StudyError("wanted the sensitivity that follows from the measures, got another")
    return tuple(zip(layout.tables, measures.tables, strict=True))
