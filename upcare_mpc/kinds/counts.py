"""Cross-tables: how many tumours in each combination of categories.

    [counts]
    by = [
      "sex",                                                     # every code of the variable
      { variable = "stage", unknown = true },                    # and one more for unknown
      { variable = "age", from = 40, to = 79, width = 5 },       # 40-44, 45-49, ... 75-79
      { variable = "age", name = "age group", cuts = [50, 65] }, # 0-49, 50-64, 65+
      { variable = "site", values = ["C50", "C61"] },            # listed codes only
      { name = "treatment", arms = { "chemo" = "tx_chemo = yes", "other" = "true" } },
    ]
    per_patient = 1                                              # optional

Model: each cell is the true count plus one draw of noise. A tumour whose value is unknown, or not
among the categories, is in no cell. ``count`` is the noisy value as it is, so that cells add up
without bias; it can be negative. ``dp_low`` and ``dp_high`` enclose the true count of one cell
with probability 95 % over the noise.

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
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.records.variables import VARIABLES, Code, Number, Pattern
from upcare_mpc.study.expression import (
    Arithmetic,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    Integer,
    IsKnown,
    Text,
)
from upcare_mpc.study.layout import Dimension, Layout, Measures, Sensitivity
from upcare_mpc.study.spec import Arm, Option, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Counts"]

MAX_PER_PATIENT: Final = 20
MAX_CATEGORIES: Final = 1000

_RESERVED = frozenset({"count", "dp_low", "dp_high", "suppressed"})


@dataclass(frozen=True, slots=True)
class Counts:
    """A cross-table; built by ``Counts.of``."""

    where: Expression
    axes: tuple["_Axis", ...]
    per_patient: int
    suppress_below: int | None

    @classmethod
    def of(cls, study: Study) -> "Counts":
        """Read the options of a study."""
        options = Options(study.options, "counts")
        options.only(("by", "per_patient"))
        axes = tuple(_axis(item, f"counts.by[{i}]") for i, item in enumerate(options.items("by")))
        for axis in axes:
            if axis.name in _RESERVED or [a.name for a in axes].count(axis.name) > 1:
                raise StudyError(
                    f'counts.by: wanted names that differ, got {axis.name} again; add name = "..."'
                )
        per_patient = options.integer("per_patient", low=1, high=MAX_PER_PATIENT, default=1)
        counts = cls(study.where, axes, per_patient, study.release.suppress_below)
        counts.layout()  # refuses a table that is too large
        return counts

    def layout(self) -> Layout:
        """One cell for each combination of categories, the last axis fastest."""
        bound = self.per_patient  # all of a patient's tumours may fall into one cell, or none
        dimensions = tuple(Dimension(axis.name, axis.labels) for axis in self.axes)
        return Layout(dimensions, Sensitivity(bound, bound, bound))

    def measures(self) -> Measures:
        """One position expression for each axis."""
        return Measures(
            where=self.where,
            axes=tuple(axis.position for axis in self.axes),
            per_patient=self.per_patient,
        )

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return one row a cell, with the interval of the noise, and the total.

        Cells that are not shown are masked (``numpy.ma``).
        """
        import pandas as pd  # noqa: PLC0415  nodes load kinds but never finish: spare them pandas

        layout = self.layout()
        if noisy.shape != (layout.cells,):
            raise StudyError(f"counts: wanted {layout.cells} cells, got {noisy.shape}")
        reach = noise.quantile95
        positions = np.unravel_index(np.arange(layout.cells), layout.shape)
        columns: dict[str, object] = {
            axis.name: pd.Categorical.from_codes(
                codes.astype(np.int64), categories=pd.Index(axis.labels), ordered=True
            )
            for axis, codes in zip(self.axes, positions, strict=True)
        }
        if self.suppress_below is not None:
            return self._with_suppressed(columns, noisy, reach, below=self.suppress_below)
        columns["count"] = noisy.astype(np.int64)
        columns["dp_low"] = np.maximum(noisy - reach, 0)
        columns["dp_high"] = np.maximum(noisy + reach, 0)
        total = int(noisy.sum())
        total_reach = math.ceil(layout.cells**0.5 * float(noise.reach(1 / layout.cells)))
        return Result(
            rows=pd.DataFrame(columns),
            statistics={
                "total": {
                    "count": total,
                    "dp_low": max(0, total - total_reach),
                    "dp_high": max(0, total + total_reach),
                }
            },
            notes=(
                "Counts carry noise and can be negative; leave them so when adding them up.",
                f"The true count of a cell lies within {reach} of the count shown, 19 times in 20.",
            ),
        )

    def _with_suppressed(
        self, columns: dict[str, object], noisy: npt.NDArray[np.int64], reach: int, *, below: int
    ) -> Result:
        """The table where a cell below ``below`` is hidden, which tells that it is at most that."""
        import pandas as pd  # noqa: PLC0415

        hidden = np.ma.getmaskarray(noisy)
        largest = np.where(hidden, below - 1, np.ma.getdata(noisy))
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
        from upcare_mpc.kinds import counts_chart  # noqa: PLC0415  nodes never draw

        return counts_chart.plot(result, title=title)


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    labels: tuple[str, ...]
    position: Expression


def _axis(item: Option, place: str) -> _Axis:
    if isinstance(item, str):
        item = {"variable": item}
    if not isinstance(item, Mapping):
        raise StudyError(f"{place}: wanted the name of a variable, or a table")
    options = Options(item, place)
    if "arms" in options:
        return _arms_axis(options)
    options.only(("variable", "name", "unknown", "from", "to", "width", "cuts", "values"))
    variable = options.text("variable")
    if variable not in VARIABLES:
        raise StudyError(f"{place}.variable: {_unknown_variable(variable)}")
    branches, labels = _categories(variable, options)
    if len(labels) > MAX_CATEGORIES:
        raise StudyError(
            f"{place}: wanted at most {MAX_CATEGORIES} categories, got {len(labels)}; "
            "use from, to and width"
        )
    if options.truth("unknown", default=False):
        branches = (*branches, (IsKnown(Field(variable), known=False), Integer(len(labels))))
        labels = (*labels, "unknown")
    return _Axis(options.text("name", default=variable), labels, Choose(branches))


_Branches: TypeAlias = tuple[tuple[Expression, Expression], ...]


def _categories(variable: str, options: Options) -> tuple[_Branches, tuple[str, ...]]:
    given = [key for key in ("from", "cuts", "values") if key in options]
    if len(given) > 1:
        raise StudyError(f"{options.place}: wanted one of from, cuts or values, got {given}")
    match VARIABLES[variable].type:
        case Number() as number if given == ["cuts"]:
            return _cuts(variable, number, options)
        case Number() as number if "values" not in options:
            return _bins(variable, number, options)
        case Code(values) as code:
            _only_listed(options)
            return _listed(variable, code, options, values)
        case Pattern() as pattern if "values" in options:
            _only_listed(options)
            return _listed(variable, pattern, options, ())
        case Pattern():
            raise StudyError(f"{options.place}: {variable} has many codes; wanted values = [...]")
        case _:
            raise StudyError(
                f"{options.place}: {variable} is a number; wanted from, to and width, or cuts"
            )


def _only_listed(options: Options) -> None:
    options.only(("variable", "name", "unknown", "values"))


def _listed(
    variable: str, type_: Code | Pattern, options: Options, default: tuple[str, ...]
) -> tuple[_Branches, tuple[str, ...]]:
    values = options.items("values") if "values" in options else default
    labels: list[str] = []
    for value in values:
        code = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(code, str) or not type_.accepts(code):
            shown = ascii(code) if isinstance(code, str) else "something else"
            raise StudyError(f"{options.place}.values: wanted {type_.wanted()}, got {shown}")
        labels.append(code)
    branches = tuple(
        (Comparison("=", Field(variable), Text(code)), Integer(i)) for i, code in enumerate(labels)
    )
    return branches, tuple(labels)


def _bins(variable: str, number: Number, options: Options) -> tuple[_Branches, tuple[str, ...]]:
    options.only(("variable", "name", "unknown", "from", "to", "width"))
    low = options.integer("from", low=number.low, high=number.high, default=number.low)
    high = options.integer("to", low=low, high=number.high, default=number.high)
    width = options.integer("width", low=1, high=high - low + 1, default=1)
    position = Arithmetic("-", Field(variable), Integer(low))
    if width > 1:
        position = Arithmetic("//", position, Integer(width))
    inside = Between(Field(variable), Integer(low), Integer(high))
    labels = tuple(
        _range(start, min(start + width - 1, high)) for start in range(low, high + 1, width)
    )
    return ((inside, position),), labels


def _cuts(variable: str, number: Number, options: Options) -> tuple[_Branches, tuple[str, ...]]:
    options.only(("variable", "name", "unknown", "cuts"))
    cuts: list[int] = []
    for cut in options.items("cuts"):
        if isinstance(cut, bool) or not isinstance(cut, int):
            raise StudyError(f"{options.place}.cuts: wanted whole numbers")
        if not (cuts[-1] if cuts else number.low) < cut <= number.high:
            raise StudyError(
                f"{options.place}.cuts: wanted rising numbers above {number.low} and up to "
                f"{number.high}, got {cut}"
            )
        cuts.append(cut)
    starts = [number.low, *cuts]
    labels = [_range(low, high - 1) for low, high in zip(starts, cuts, strict=False)]
    branches: list[tuple[Expression, Expression]] = [
        (Comparison("<", Field(variable), Integer(cut)), Integer(i)) for i, cut in enumerate(cuts)
    ]
    branches.append((IsKnown(Field(variable), known=True), Integer(len(cuts))))
    return tuple(branches), (*labels, f"{cuts[-1]}+")


def _arms_axis(options: Options) -> _Axis:
    options.only(("name", "arms"))
    arms = [arm for arm in options.items("arms") if isinstance(arm, Arm)]
    branches = tuple((arm.where, Integer(i)) for i, arm in enumerate(arms))
    name = options.text("name", default="arm")
    return _Axis(name, tuple(arm.label for arm in arms), Choose(branches))


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _unknown_variable(name: str) -> str:
    near = get_close_matches(name, VARIABLES, n=2)
    return f"unknown variable {ascii(name)[:60]}" + (
        f"; did you mean {' or '.join(near)}?" if near else ""
    )
