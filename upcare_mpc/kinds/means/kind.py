"""Means, standard deviations and correlations of numbers, from bounded sums.

    [means]
    variables = [
      { variable = "age", from = 18, to = 100 },
      { variable = "follow_up_days", from = 0, to = 3650 },
    ]
    by = ["sex"]             # optional groups, see kinds.axes
    variance = true          # optional; without it the mean is more exact and nothing says the sd
    correlation = true       # optional, for two variables or more

A patient takes part if all the variables are known. Below ``from`` counts as ``from``, above
``to`` as ``to``: without bounds one patient could move a sum by any amount. The tables are the
patients, the sums of each variable, of its square and of the product of two, all counted from the
middle of the bounds and in units: 1 where a patient's square stays within what she may add to a
cell, else an odd number of which the bounds are at most 64 apart. Values are rounded to the nearest
unit, and ``to`` moves up to a whole number of units. ``weights`` splits the budget.

What one patient can move: of each table one cell, by its weight times the largest value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import ceil, isqrt
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.axes import Axis, axes_of
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Preview, Result
from upcare_mpc.kinds.means.weights import Part, weights
from upcare_mpc.kinds.options import Options
from upcare_mpc.privacy.laplace import MAX_SHIFT
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.study.expression import And, Arithmetic, Expression, Field, Integer, IsKnown
from upcare_mpc.study.layout import Dimension, Factor, Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Option, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Bounded", "Means"]

MAX_VARIABLES: Final = 4
COARSE: Final = 32
_RESERVED = frozenset(
    {"measure", "variable", "patients", "estimate", "dp_low", "dp_high", "ci_low", "ci_high"}
    | {"remark"}
)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A variable within bounds, counted in units from its middle.

    Attributes:
        name: Of the variable.
        low: What is below counts as this.
        unit: Values are rounded to ``low`` plus a multiple of this odd number.
        steps: Units from ``low`` to the upper bound.
    """

    name: str
    low: int
    unit: int
    steps: int

    @classmethod
    def of(cls, name: str, low: int, high: int, *, most: int, squared: bool) -> "Bounded":
        """Choose the unit: 1 if what a patient adds to a cell is then at most ``most``.

        Else the smallest odd number for which it is; where squares are asked for, one for which a
        value is at most ``COARSE`` units off the middle, since a square that takes all that a
        patient may add would leave the other tables too little.
        """
        reach = isqrt(most) if squared else most
        unit, steps = 1, high - low
        if steps - steps // 2 > reach:
            reach = min(reach, COARSE) if squared else reach
        while steps - steps // 2 > reach:
            unit += 2
            steps = ceil(Fraction(high - low, unit))
        return cls(name, low, unit, steps)

    @property
    def high(self) -> int:
        """What is above counts as this."""
        return self.low + self.steps * self.unit

    @property
    def middle(self) -> int:
        """The value that counts as zero."""
        return self.low + self.steps // 2 * self.unit

    @property
    def below(self) -> int:
        """Units from the lower bound to the middle."""
        return self.steps // 2

    @property
    def above(self) -> int:
        """Units from the middle to the upper bound."""
        return self.steps - self.steps // 2

    def distance(self, units: Floats) -> Floats:
        """What so many units are."""
        return units * self.unit

    def value(self, units: Floats) -> Floats:
        """What lies so many units from the middle."""
        return self.middle + units * self.unit

    @property
    def measured_in(self) -> str:
        """What the variable counts."""
        type_ = VARIABLES[self.name].type
        return type_.unit if isinstance(type_, Number) else ""

    @property
    def factor(self) -> Factor:
        """Units from the middle, of a record."""
        shifted = Arithmetic("+", Field(self.name), Integer(self.unit // 2))
        from_low: Expression = Arithmetic("-", shifted, Integer(self.low))
        if self.unit > 1:
            from_low = Arithmetic("//", from_low, Integer(self.unit))
        return Factor(
            Arithmetic("-", from_low, Integer(self.below)), low=-self.below, high=self.above
        )


@dataclass(frozen=True, slots=True)
class Means:
    """Means of bounded numbers; built by ``Means.of``.

    Attributes:
        where: The cohort.
        variables: What is averaged.
        axes: The groups; may be none.
        variance: Whether squares are asked for.
        correlation: Whether products are.
        most: The most that one patient may add to a cell.
    """

    where: Expression
    variables: tuple[Bounded, ...]
    axes: tuple[Axis, ...]
    variance: bool
    correlation: bool
    most: int

    @classmethod
    def of(cls, study: Study) -> "Means":
        """Read the options of a study."""
        if study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with kind means, whose sums are no counts"
            )
        options = Options(study.options, "means")
        options.only(("variables", "by", "variance", "correlation"))
        variance = options.truth("variance", default=True)
        correlation = options.truth("correlation", default=False)
        most = MAX_SHIFT // (study.overlap or 1)
        variables = _variables(options, most=most, squared=variance)
        if correlation and (not variance or len(variables) < 2):
            raise StudyError("means.correlation: wanted two variables or more, and their variance")
        axes = axes_of(options, "by", reserved=_RESERVED) if "by" in options else ()
        means = cls(study.where, variables, axes, variance, correlation, most)
        means.layout()  # refuses a table that is too large
        return means

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Which variables are correlated, by number."""
        numbers = range(len(self.variables))
        return tuple(combinations(numbers, 2)) if self.correlation else ()

    def _parts(self) -> tuple[tuple[Part, str, tuple[Factor, ...]], ...]:
        """What each table holds, its name, and what a record adds."""
        names = [variable.name for variable in self.variables]
        factors = [variable.factor for variable in self.variables]
        parts: list[tuple[Part, str, tuple[Factor, ...]]] = [("patients", "patients", ())]
        parts += [("sum", f"sum of {n}", (f,)) for n, f in zip(names, factors, strict=True)]
        if self.variance:
            parts += [
                ("squares", f"squares of {n}", (f, f)) for n, f in zip(names, factors, strict=True)
            ]
        parts += [
            ("products", f"{names[i]} times {names[j]}", (factors[i], factors[j]))
            for i, j in self.pairs
        ]
        return tuple(parts)

    def layout(self) -> Layout:
        """Patients, sums, squares and products, each by group."""
        parts, measures = self._parts(), self.measures()
        reaches = tuple(measure.most for measure in measures.tables)
        split = weights(tuple(part for part, _, _ in parts), reaches, self.most)
        dimensions = tuple(a.dimension for a in self.axes) or (Dimension("group", ("all",)),)
        tables = tuple(
            Table(name, dimensions, weight)
            for (_, name, _), weight in zip(parts, split, strict=True)
        )
        return Layout.of(tables, measures)

    def measures(self) -> Measures:
        """What a record of which all variables are known adds to its group."""
        known = tuple(IsKnown(Field(v.name), known=True) for v in self.variables)
        axes = tuple(axis.position for axis in self.axes) or (Integer(0),)
        return Measures(
            where=And((self.where, *known)),
            tables=tuple(Measure(axes, factors) for _, _, factors in self._parts()),
        )

    def preview(self, noise: NoiseLaw) -> Preview:
        """How exact the answer can be; looks at no record."""
        from upcare_mpc.kinds.means import preview  # noqa: PLC0415  nodes never preview

        return preview.preview(self, noise)

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return means, standard deviations and correlations of each group."""
        from upcare_mpc.kinds.means import result  # noqa: PLC0415  nodes never finish

        return result.of(self, noisy, noise)

    def chart(self, result: Result, *, title: str) -> "alt.VConcatChart":
        """Draw the means of each variable, with their intervals."""
        from upcare_mpc.kinds.means import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)


def _variables(options: Options, *, most: int, squared: bool) -> tuple[Bounded, ...]:
    items = options.items("variables")
    if len(items) > MAX_VARIABLES:
        raise StudyError(f"means.variables: wanted at most {MAX_VARIABLES}, got {len(items)}")
    variables = tuple(
        _bounded(item, f"means.variables[{i}]", most=most, squared=squared)
        for i, item in enumerate(items)
    )
    names = [variable.name for variable in variables]
    if len(set(names)) != len(names):
        raise StudyError(f"means.variables: wanted variables that differ, got {', '.join(names)}")
    return variables


def _bounded(item: Option, place: str, *, most: int, squared: bool) -> Bounded:
    if not isinstance(item, Mapping):
        raise StudyError(f'{place}: wanted {{ variable = "...", from = ..., to = ... }}')
    options = Options(item, place)
    options.only(("variable", "from", "to"))
    name = options.text("variable")
    type_ = VARIABLES[name].type if name in VARIABLES else None
    if not isinstance(type_, Number):
        numbers = ", ".join(v for v in VARIABLES if isinstance(VARIABLES[v].type, Number))
        raise StudyError(f"{place}.variable: wanted a number: {numbers}; got {name[:60]!a}")
    low = options.integer("from", low=type_.low, high=type_.high - 1)
    high = options.integer("to", low=low + 1, high=type_.high)
    return Bounded.of(name, low, high, most=most, squared=squared)
