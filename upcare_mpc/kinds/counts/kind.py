"""Cross-tables: how many tumours in each combination of categories, and their margins.

    [counts]
    by = ["sex", { variable = "age", cuts = [50, 65] }]          # see kinds.axes
    margins = [["sex"], []]                                      # optional; [] is the total
    per_patient = 1                                              # optional

Model: each cell is the true count plus one draw of noise. A tumour whose value is unknown, or not
among the categories, is in no cell. ``count`` is the noisy value as it is, so that cells add up
without bias; it can be negative. ``dp_low`` and ``dp_high`` enclose the true count of one cell
with probability 95 % over the noise.

With ``margins`` (``true``: of each axis alone, and the total) the budget is split between the table
and its margins where that makes the squared errors of all of them add up to less
(``kinds.workload``). What was measured is put together by least squares: margins are the sums of
the cells, to the last digit, and counts are no longer whole. A margin counts the tumours of the
table, not those that another axis leaves out.

With ``[release] suppress_below = k`` the cells whose noisy value is below k are not opened: they
have no ``count``, ``suppressed`` is true, and ``dp_high`` is what their noisy value, at most k - 1,
still tells. The total is not given: it would lack the small cells.

Limits: intervals are for each cell alone, not for all cells at once. The chance that some true
count lies outside its interval grows with the number of cells. Where small cells are not shown,
the small ones among those shown are too high on average, since low noise hid the others; 95 % is
over all cells, shown or not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.answers import Prompt, vector_of_positions
from upcare_mpc.kinds.axes import Axis, axes_of
from upcare_mpc.kinds.kind import COHORTS, Expected, NoiseLaw, Preview, Result, Statistic
from upcare_mpc.kinds.options import Options
from upcare_mpc.kinds.workload import Axes, Strategy, allocate
from upcare_mpc.study.expression import And, Choose, Expression, Integer, IsKnown
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Option, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Counts"]

MAX_PER_PATIENT: Final = 20
MAX_MARGIN_AXES: Final = 6
MAX_MARGINS: Final = 20
ALL: Final = "all"
"""The category of an axis that a margin is summed over."""
DROWNED: Final = 0.5
"""Noise that reaches further than this part of a figure drowns it."""
_RESERVED = frozenset({"count", "dp_low", "dp_high", "suppressed"})
_TOTAL = Dimension("total", (ALL,))


@dataclass(frozen=True, slots=True)
class Counts:
    """A cross-table; built by ``Counts.of``."""

    where: Expression
    axes: tuple[Axis, ...]
    per_patient: int
    suppress_below: int | None
    strategy: Strategy

    @classmethod
    def of(cls, study: Study) -> "Counts":
        """Read the options of a study."""
        options = Options(study.options, "counts")
        options.only(("by", "margins", "per_patient"))
        axes = axes_of(options, "by", reserved=_RESERVED)
        per_patient = options.integer("per_patient", low=1, high=MAX_PER_PATIENT, default=1)
        if per_patient > 1 and study.deposits is not None and study.deposits.patients:
            raise StudyError("counts.per_patient: wanted 1 where patients answer, who answer once")
        margins = _margins(options, axes)
        if margins and study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with margins, from which a suppressed cell "
                "could be told"
            )
        sizes = tuple(len(axis.labels) for axis in axes)
        weights = allocate(sizes, margins, gaussian=study.mechanism == "gaussian")
        strategy = Strategy(sizes, margins, weights)
        counts = cls(study.where, axes, per_patient, study.release.suppress_below, strategy)
        counts.layout()  # refuses a table that is too large
        return counts

    def layout(self) -> Layout:
        """The table, one cell for each combination of categories, and the margins measured."""
        tables = tuple(
            Table(
                self._name(kept) if number else "counts",
                tuple(self.axes[axis].dimension for axis in kept) or (_TOTAL,),
                weight,
            )
            for number, (kept, weight) in enumerate(self.strategy.measured)
        )
        return Layout.of(tables, self.measures())

    def measures(self) -> Measures:
        """One position expression for each axis of each table."""
        return Measures(
            where=self.where,
            tables=tuple(Measure(self._positions(kept)) for kept, _ in self.strategy.measured),
            per_patient=self.per_patient,
        )

    def _positions(self, kept: Axes) -> tuple[Expression, ...]:
        """Positions on the axes that are kept, known only if those on the others are."""
        first, *others = [self.axes[axis].position for axis in kept] or [Integer(0)]
        away = tuple(
            IsKnown(axis.position, known=True)
            for number, axis in enumerate(self.axes)
            if number not in kept
        )
        return (Choose(((And(away), first),)) if away else first, *others)

    def _name(self, kept: Axes) -> str:
        names = " and ".join(self.axes[axis].name for axis in kept)
        return f"margin of {names}" if names else "total"

    def prompts(self) -> tuple[Prompt, ...]:
        """What a patient is asked who deposits her own row; ``answers.Answerable``."""
        return tuple(Prompt(axis.name, axis.labels) for axis in self.axes)

    def vector(self, chosen: Mapping[str, int]) -> npt.NDArray[np.int64]:
        """Return her vector; who leaves out an axis is in no cell, as a record would be."""
        places = [chosen.get(axis.name) for axis in self.axes]
        known = [place for place in places if place is not None]
        positions: list[tuple[int, ...] | None] = [None] * len(self.strategy.measured)
        if len(known) == len(places):
            positions = [
                tuple(known[axis] for axis in kept) or (0,) for kept, _ in self.strategy.measured
            ]
        return vector_of_positions(self.layout(), tuple(positions))

    def preview(self, noise: NoiseLaw) -> Preview:
        """How far the noise moves a cell, a count of each margin, and the total."""
        full = tuple(range(len(self.axes)))
        figures = []
        for kept in dict.fromkeys((full, *self.strategy.margins, ())):
            reach, cells = self._reach(kept, noise), self._cells(kept)
            few, some, many = (reach if reach < size / cells else None for size in COHORTS)
            name = "count of a cell" if kept == full else self._name(kept)
            figures.append(Expected(name, "patients", (few, some, many)))
        advice = []
        cells, reach = self._cells(full), self._reach(full, noise)
        if DROWNED * COHORTS[1] / cells < reach:
            enough = max(1, math.floor(DROWNED * COHORTS[1] / reach))
            advice.append(
                f"A cell would hold {COHORTS[1] / cells:.1f} of 1,000 patients, and the noise "
                f"reaches {reach:.1f}: {enough} cells would do, here are {cells}."
            )
        return Preview(tuple(figures), tuple(advice))

    def _cells(self, kept: Axes) -> int:
        return math.prod(self.strategy.sizes[axis] for axis in kept)

    def _reach(self, kept: Axes, noise: NoiseLaw) -> float:
        """How far 95 % of the noise in a count of this margin reaches, in patients."""
        root, concentration = self.strategy.spread(kept)
        return root * float(noise.farthest(concentration))

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return one row a cell, then one a count of each margin, and the total.

        Cells that are not shown are masked (``numpy.ma``).
        """
        cells = self.layout().cells
        if noisy.shape != (cells,):
            raise StudyError(f"counts: wanted {cells} cells, got {noisy.shape}")
        if self.suppress_below is not None:
            return self._with_suppressed(noisy, round(noise.quantile95), below=self.suppress_below)
        if self.strategy.margins:
            return self._with_margins(noisy, noise)
        columns = self._categories(self.strategy.measured[0][0])
        reach = round(noise.quantile95)
        columns["count"] = noisy.astype(np.int64)
        columns["dp_low"] = np.maximum(noisy - reach, 0)
        columns["dp_high"] = np.maximum(noisy + reach, 0)
        return self._result(
            [columns],
            _interval(int(noisy.sum()), math.ceil(cells**0.5 * float(noise.reach(1 / cells)))),
            f"The true count of a cell lies within {reach} of the count shown, 19 times in 20.",
        )

    def _with_margins(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """The table and its margins, as they fit best what was measured of both."""
        table = self.strategy.estimate(self.layout().split(noisy))
        parts: list[dict[str, object]] = []
        full = tuple(range(len(self.axes)))
        for kept in (full, *self.strategy.margins):
            values = self.strategy.margin(table, kept).reshape(-1)
            reach = self._reach(kept, noise)
            columns = self._categories(kept)
            columns["count"] = values
            columns["dp_low"] = np.maximum(values - reach, 0)
            columns["dp_high"] = np.maximum(values + reach, 0)
            parts.append(columns)
        return self._result(
            parts,
            _interval(float(table.sum()), self._reach((), noise)),
            "Cells and margins were fitted together: margins are the exact sums of the cells.",
            f'In the rows of a margin the axes that it is summed over say "{ALL}".',
        )

    def _categories(self, kept: Axes) -> dict[str, object]:
        """Columns of the dimensions, one row a count of the margin, the last axis fastest."""
        import pandas as pd  # noqa: PLC0415  nodes load kinds but never finish: spare them pandas

        shape = [len(axis.labels) if i in kept else 1 for i, axis in enumerate(self.axes)]
        positions = np.unravel_index(np.arange(math.prod(shape)), shape)
        more = (ALL,) if self.strategy.margins else ()
        return {
            axis.name: pd.Categorical.from_codes(
                codes if number in kept else np.full(codes.shape, len(axis.labels)),
                categories=pd.Index([*axis.labels, *more]),
                ordered=True,
            )
            for number, (axis, codes) in enumerate(zip(self.axes, positions, strict=True))
        }

    def _result(self, parts: list[dict[str, object]], total: Statistic, *notes: str) -> Result:
        import pandas as pd  # noqa: PLC0415

        rows = pd.concat([pd.DataFrame(columns) for columns in parts], ignore_index=True)
        first = "Counts carry noise and can be negative; leave them so when adding them up."
        return Result(rows=rows, statistics={"total": total}, notes=(first, *notes))

    def _with_suppressed(self, noisy: npt.NDArray[np.int64], reach: int, *, below: int) -> Result:
        """The table where a cell below ``below`` is hidden, which tells that it is at most that."""
        import pandas as pd  # noqa: PLC0415

        hidden = np.ma.getmaskarray(noisy)
        largest = np.where(hidden, below - 1, np.ma.getdata(noisy))
        columns = self._categories(self.strategy.measured[0][0])
        columns["count"] = pd.arrays.IntegerArray(largest.astype(np.int64), hidden)
        columns["dp_low"] = np.where(hidden, 0, np.maximum(largest - reach, 0))
        columns["dp_high"] = np.maximum(largest + reach, 0)
        columns["suppressed"] = hidden
        return Result(
            rows=pd.DataFrame(columns),
            statistics={
                "total": {"count": None, "dp_low": None, "dp_high": None},
                "suppressed": {"cells": int(hidden.sum()), "below": below},
            },
            notes=(
                f"Cells whose noisy count is below {below} were not opened to anyone.",
                "No total is given, because the suppressed cells would be missing from it.",
                f"19 times in 20 the true count lies within {reach} of a count shown.",
                f"In a suppressed cell it is at most {max(below - 1 + reach, 0)}, as often.",
            ),
        )

    def chart(self, result: Result, *, title: str) -> "alt.Chart | alt.LayerChart":
        """Draw a table of one or two dimensions."""
        from upcare_mpc.kinds.counts import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)


def _interval(total: float, reach: float) -> Statistic:
    return {"count": total, "dp_low": max(0, total - reach), "dp_high": max(0, total + reach)}


def _margins(options: Options, axes: tuple[Axis, ...]) -> tuple[Axes, ...]:
    """Read which margins are asked for, each as the axes it keeps."""
    wanted = options.content.get("margins", False)
    if wanted is False:
        return ()
    place = f"{options.place}.margins"
    if len(axes) > MAX_MARGIN_AXES:
        raise StudyError(f"{place}: wanted at most {MAX_MARGIN_AXES} dimensions, got {len(axes)}")
    if any(ALL in axis.labels for axis in axes):
        raise StudyError(f'{place}: wanted no category called "{ALL}", which margins are')
    if wanted is True:
        alone = tuple((axis,) for axis in range(len(axes))) if len(axes) > 1 else ()
        return (*alone, ())
    if not isinstance(wanted, tuple) or not 1 <= len(wanted) <= MAX_MARGINS:
        raise StudyError(
            f"{place}: wanted true, or a list of 1 to {MAX_MARGINS} lists of dimensions"
        )
    margins = tuple(_margin(item, axes, f"{place}[{i}]") for i, item in enumerate(wanted))
    if len(set(margins)) < len(margins):
        raise StudyError(f"{place}: wanted margins that differ")
    return margins


def _margin(item: Option, axes: tuple[Axis, ...], place: str) -> Axes:
    names = [axis.name for axis in axes]
    if not isinstance(item, tuple) or not all(name in names for name in item):
        raise StudyError(f"{place}: wanted a list of dimensions, of {', '.join(names)}")
    kept = tuple(number for number, name in enumerate(names) if name in item)
    if len(kept) < len(item) or len(kept) == len(axes):
        raise StudyError(f"{place}: wanted fewer dimensions than the table has, each once")
    return kept
