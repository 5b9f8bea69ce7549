"""Quantiles of a number, from its noisy histogram.

    [quantiles]
    variable = { variable = "age", from = 20, to = 99, width = 5 }
    probabilities = [25, 50, 75]     # percent
    by = ["sex"]                     # optional groups, see kinds.axes

The table counts patients by group and range; what is below ``from`` or above ``to`` has a range of
its own, unless the variable has no such values. A patient is in one cell: nothing is clamped, and
``D1 = 1``. A patient of whom the variable is unknown is in no cell.

``result`` estimates from the noisy counts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.axes import Axis, axes_of
from upcare_mpc.kinds.kind import NoiseLaw, Preview, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.study.expression import (
    Arithmetic,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    Integer,
    IsKnown,
)
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Quantiles", "Ranges"]

MAX_RANGES: Final = 1000
MAX_PROBABILITIES: Final = 20
_RESERVED = frozenset(
    {"variable", "percent", "patients", "estimate", "dp_low", "dp_high", "ci_low", "ci_high"}
    | {"remark"}
)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A number cut into ranges that hold all its values.

    Attributes:
        name: Of the variable.
        number: Its type.
        edges: Where the ranges asked for begin, and where the last one ends; whole numbers. The
            range ``edges[i]`` holds the values from there to ``edges[i + 1] - 1``.
    """

    name: str
    number: Number
    edges: tuple[int, ...]

    @property
    def below(self) -> bool:
        """Whether there are values below the first range."""
        return self.edges[0] > self.number.low

    @property
    def above(self) -> bool:
        """Whether there are values above the last one."""
        return self.edges[-1] <= self.number.high

    @property
    def all_edges(self) -> tuple[int, ...]:
        """The edges with those of the ranges outside."""
        below = (self.number.low,) if self.below else ()
        above = (self.number.high + 1,) if self.above else ()
        return (*below, *self.edges, *above)

    @property
    def dimension(self) -> Dimension:
        """The axis of the table."""
        labels = [
            str(start) if end == start + 1 else f"{start}-{end - 1}"
            for start, end in zip(self.all_edges[:-1], self.all_edges[1:], strict=True)
        ]
        return Dimension(self.name, tuple(labels))

    @property
    def position(self) -> Expression:
        """The range of a record."""
        field, first = Field(self.name), int(self.below)
        start, end, width = self.edges[0], self.edges[-1], self.edges[1] - self.edges[0]
        inside = Arithmetic("-", field, Integer(start))
        if width > 1:
            inside = Arithmetic("//", inside, Integer(width))
        if first:
            inside = Arithmetic("+", inside, Integer(first))
        return Choose(
            (
                (Between(field, Integer(start), Integer(end - 1)), inside),
                (Comparison("<", field, Integer(start)), Integer(0)),
                (IsKnown(field, known=True), Integer(len(self.all_edges) - 2)),
            )
        )


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles by group; built by ``Quantiles.of``.

    Attributes:
        where: The cohort.
        ranges: What the quantiles are of.
        percents: Which quantiles; rising.
        axes: The groups; may be none.
    """

    where: Expression
    ranges: Ranges
    percents: tuple[int, ...]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, study: Study) -> "Quantiles":
        """Read the options of a study."""
        if study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with kind quantiles, which needs every cell"
            )
        options = Options(study.options, "quantiles")
        options.only(("variable", "probabilities", "by"))
        axes = axes_of(options, "by", reserved=_RESERVED) if "by" in options else ()
        ranges = _ranges(options)
        if ranges.name in [axis.name for axis in axes]:
            raise StudyError(
                f'quantiles.by: wanted names that differ from {ranges.name}; add name = "..."'
            )
        quantiles = cls(study.where, ranges, _percents(options), axes)
        quantiles.layout()  # refuses a table that is too large
        return quantiles

    def layout(self) -> Layout:
        """(groups, ranges); a patient is in one cell at most."""
        dimensions = (*(axis.dimension for axis in self.axes), self.ranges.dimension)
        return Layout.of((Table("patients", dimensions),), self.measures())

    def measures(self) -> Measures:
        """The group and the range of a record."""
        axes = (*(axis.position for axis in self.axes), self.ranges.position)
        return Measures(where=self.where, tables=(Measure(axes),))

    def preview(self, noise: NoiseLaw) -> Preview:
        """How exact the answer can be; looks at no record."""
        from upcare_mpc.kinds.quantiles import preview  # noqa: PLC0415  nodes never preview

        return preview.preview(self, noise)

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return the quantiles of each group."""
        from upcare_mpc.kinds.quantiles import result  # noqa: PLC0415  nodes never finish

        return result.of(self, noisy, noise)

    def chart(self, result: Result, *, title: str) -> "alt.LayerChart":
        """Draw the quantiles of each group, with their intervals."""
        from upcare_mpc.kinds.quantiles import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)


def _ranges(options: Options) -> Ranges:
    inner = options.table("variable")
    inner.only(("variable", "from", "to", "width"))
    name = inner.text("variable")
    number = VARIABLES[name].type if name in VARIABLES else None
    if not isinstance(number, Number):
        numbers = ", ".join(v for v in VARIABLES if isinstance(VARIABLES[v].type, Number))
        raise StudyError(f"{inner.place}.variable: wanted a number: {numbers}; got {name[:60]!a}")
    low = inner.integer("from", low=number.low, high=number.high, default=number.low)
    high = inner.integer("to", low=low, high=number.high, default=number.high)
    width = inner.integer("width", low=1, high=high - low + 1, default=1)
    if (high + 1 - low) % width:
        raise StudyError(
            f"{inner.place}: wanted ranges of the same width; {low} to {high} are "
            f"{high + 1 - low} values, no multiple of {width}"
        )
    if (high + 1 - low) // width > MAX_RANGES:
        raise StudyError(
            f"{inner.place}: wanted at most {MAX_RANGES} ranges, got {(high + 1 - low) // width}; "
            "use a larger width"
        )
    return Ranges(name, number, tuple(range(low, high + 2, width)))


def _percents(options: Options) -> tuple[int, ...]:
    percents: list[int] = []
    for item in options.items("probabilities"):
        if isinstance(item, bool) or not isinstance(item, int) or not 1 <= item <= 99:
            raise StudyError("quantiles.probabilities: wanted whole percents from 1 to 99")
        if percents and item <= percents[-1]:
            raise StudyError("quantiles.probabilities: wanted rising numbers")
        percents.append(item)
    if len(percents) > MAX_PROBABILITIES:
        raise StudyError(
            f"quantiles.probabilities: wanted at most {MAX_PROBABILITIES}, got {len(percents)}"
        )
    return tuple(percents)
