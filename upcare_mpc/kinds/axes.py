"""The dimensions that a study names, cut into categories.

    by = [
      "sex",                                                     # every code of the variable
      { variable = "stage", unknown = true },                    # and one more for unknown
      { variable = "age", from = 40, to = 79, width = 5 },       # 40-44, 45-49, ... 75-79
      { variable = "age", name = "age group", cuts = [50, 65] }, # 0-49, 50-64, 65+
      { variable = "site", values = ["C50", "C61"] },            # listed codes only
      { name = "treatment", arms = { "chemo" = "tx_chemo = yes", "other" = "true" } },
      { name = "air", regions = [{ label = "low", codes = ["FRF11", "DE2"] }, ...] },
    ]

All kinds read dimensions, strata, covariates and exposures in this form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeAlias

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.exposure import regions
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
from upcare_mpc.study.layout import Dimension
from upcare_mpc.study.spec import Arm, Option

__all__ = ["MAX_CATEGORIES", "Axis", "axes_of", "axis_of"]

MAX_CATEGORIES: Final = 1000


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension and how a record is placed on it.

    Attributes:
        name: What the dimension is called.
        labels: Of its categories, in order.
        position: Number of a record's category, counted from 0; unknown or outside: none.
    """

    name: str
    labels: tuple[str, ...]
    position: Expression

    @property
    def dimension(self) -> Dimension:
        """The dimension of the table."""
        return Dimension(self.name, self.labels)


def axes_of(options: Options, key: str, *, reserved: frozenset[str]) -> tuple[Axis, ...]:
    """Read a list of dimensions.

    Args:
        options: Where it stands.
        key: Its name there.
        reserved: Names that columns of the result have already.

    Raises:
        StudyError: One cannot be used, or two have the same name.
    """
    place = f"{options.place}.{key}"
    axes = tuple(axis_of(item, f"{place}[{i}]") for i, item in enumerate(options.items(key)))
    for axis in axes:
        if axis.name in reserved or [a.name for a in axes].count(axis.name) > 1:
            raise StudyError(
                f'{place}: wanted names that differ, got {axis.name} again; add name = "..."'
            )
    return axes


def axis_of(item: Option, place: str) -> Axis:
    """Read one dimension.

    Args:
        item: The name of a variable, or a table.
        place: Where it stands, for error texts.

    Raises:
        StudyError: It cannot be used.
    """
    if isinstance(item, str):
        item = {"variable": item}
    if not isinstance(item, Mapping):
        raise StudyError(f"{place}: wanted the name of a variable, or a table")
    options = Options(item, place)
    if "arms" in options:
        return _arms_axis(options)
    if "regions" in options:
        options.only(("name", "regions"))
        return Axis(options.text("name", default="region"), *regions(options))
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
    return Axis(options.text("name", default=variable), labels, Choose(branches))


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


def _arms_axis(options: Options) -> Axis:
    options.only(("name", "arms"))
    arms = [arm for arm in options.items("arms") if isinstance(arm, Arm)]
    branches = tuple((arm.where, Integer(i)) for i, arm in enumerate(arms))
    name = options.text("name", default="arm")
    return Axis(name, tuple(arm.label for arm in arms), Choose(branches))


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _unknown_variable(name: str) -> str:
    near = get_close_matches(name, VARIABLES, n=2)
    return f"unknown variable {ascii(name)[:60]}" + (
        f"; did you mean {' or '.join(near)}?" if near else ""
    )
