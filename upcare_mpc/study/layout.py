"""The shape of a study's answer: named cells, and how far one patient can move them.

A layout is public. It follows from the study text alone and is the same at every registry, at
every computing node and at the researcher, who compare its digest before anything else.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Final

from upcare_mpc.errors import StudyError
from upcare_mpc.study.expression import Expression, size

__all__ = ["MAX_CELLS", "Dimension", "Layout", "Measures", "Sensitivity"]

MAX_CELLS: Final = 2**20


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

    def times(self, overlap: int) -> "Sensitivity":
        """Return the sensitivity when one patient may be known to ``overlap`` registries."""
        if overlap < 1:
            raise StudyError(f"overlap: wanted at least 1, got {overlap}")
        return Sensitivity(self.d0 * overlap, self.d1 * overlap, self.dinf * overlap)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and order of the cells: the product of the dimensions, the last one fastest."""

    dimensions: tuple[Dimension, ...]
    sensitivity: Sensitivity

    def __post_init__(self) -> None:
        names = [dimension.name for dimension in self.dimensions]
        if not names or len(set(names)) != len(names):
            raise StudyError("layout: wanted one or more dimensions with different names")
        if self.cells > MAX_CELLS:
            sizes = " x ".join(f"{len(d.labels)} {d.name}" for d in self.dimensions)
            raise StudyError(
                f"layout: wanted at most {MAX_CELLS} cells, got {self.cells} ({sizes})"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of labels of each dimension."""
        return tuple(len(dimension.labels) for dimension in self.dimensions)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    def canonical(self) -> bytes:
        """Return the bytes that stand for this layout: versioned, sorted, ASCII JSON."""
        content = {
            "layout": 1,
            "dimensions": [[d.name, list(d.labels)] for d in self.dimensions],
            "sensitivity": [self.sensitivity.d0, self.sensitivity.d1, self.sensitivity.dinf],
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes, domain separated."""
        return hashlib.sha256(b"upcare layout v1\0" + self.canonical()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What a registry computes from its own records, as expressions.

    Attributes:
        where: A record takes part only if this is TRUE.
        axes: For each dimension of the layout, the position of a record on it, counted from
            zero. A record with an unknown position, or one outside the labels, is left out.
        per_patient: Only this many matching tumours of one patient count: the first by
            ``sequence``. This bounds what one patient can change.
    """

    where: Expression
    axes: tuple[Expression, ...]
    per_patient: int

    @property
    def steps(self) -> int:
        """Most steps that one record can cost; a function of the study's text alone."""
        return size(self.where) + sum(size(axis) for axis in self.axes)
