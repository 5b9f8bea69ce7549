"""The options of a study: typed by form here, checked by the kind (``kinds.options``).

Whole numbers, decimals (kept as texts, exactly), texts, truth values, lists and tables, and two
places for expressions: a text called ``where``, and the values of a table called ``arms``. Arms
keep the order in which they are written, because a record belongs to the first arm that it matches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from upcare_mpc.errors import StudyError
from upcare_mpc.study import language
from upcare_mpc.study.document import Table, kind_of
from upcare_mpc.study.expression import Expression, canonical

__all__ = ["Arm", "Option", "plain", "read_options"]

MAX_NESTING: Final = 8
MAX_NUMBER: Final = 10**9


@dataclass(frozen=True, slots=True)
class Arm:
    """A labelled group of patients: those for whom ``where`` is TRUE, and no earlier arm's is."""

    label: str
    where: Expression


Option: TypeAlias = (
    bool | int | str | Expression | Arm | tuple["Option", ...] | Mapping[str, "Option"]
)


def read_options(table: Table) -> Mapping[str, Option]:
    """Read a table of options.

    Raises:
        StudyError: A value has another form; the text names its place.
    """
    return _options(table, nesting=0)


def _options(table: Table, *, nesting: int) -> Mapping[str, Option]:
    return MappingProxyType(
        {
            key: _option(value, key, table.place(key), nesting=nesting + 1)
            for key, value in table.content.items()
        }
    )


def _option(value: Any, key: str, place: str, *, nesting: int) -> Option:
    if nesting > MAX_NESTING:
        raise StudyError(f"{place}: wanted options nested at most {MAX_NESTING} deep")
    if key == "arms":
        return _arms(value, place)
    if key == "where":
        if not isinstance(value, str):
            raise StudyError(f"{place}: wanted a condition in quotes, got {kind_of(value)}")
        return language.parse(value, place=place)
    match value:
        case bool():
            return value
        case int():
            if abs(value) > MAX_NUMBER:
                raise StudyError(f"{place}: wanted a number of at most {MAX_NUMBER}")
            return value
        case Fraction():  # of a file, where it is a decimal; in canonical bytes it is a text
            return _decimal(value, place)
        case str():
            if len(value) > 200 or not value.isprintable():
                raise StudyError(f"{place}: wanted one line of at most 200 characters")
            return value
        case list():
            return tuple(
                _option(item, "", f"{place}[{i}]", nesting=nesting + 1)
                for i, item in enumerate(value)
            )
        case dict():
            name, _, path = place.partition(": ")
            return _options(Table(value, name, f"{path}."), nesting=nesting)
        case _:
            raise StudyError(
                f"{place}: wanted a number, a text, true or false, a list or a table, "
                f"got {kind_of(value)}"
            )


def _decimal(value: Fraction, place: str) -> int | str:
    """Return the one spelling of a decimal: as short as it can be, without an exponent."""
    if value.denominator == 1 and abs(value) <= MAX_NUMBER:
        return value.numerator
    places = next((n for n in range(1, 13) if (value * 10**n).denominator == 1), None)
    if places is None or abs(value) > MAX_NUMBER:
        raise StudyError(f"{place}: wanted a number of at most {MAX_NUMBER} and 12 decimals")
    whole = f"{abs(value.numerator * 10**places // value.denominator):0{places + 1}d}"
    point = f"{whole[:-places]}.{whole[-places:]}"
    return f"-{point}" if value < 0 else point


def _arms(value: Any, place: str) -> tuple[Arm, ...]:
    """Read arms: a table in a file, a list of pairs (which keeps its order) in canonical bytes."""
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or not pairs:
        raise StudyError(f'{place}: wanted a table of "label" = "condition"')
    arms: list[Arm] = []
    for pair in pairs:
        match pair:
            case [str(label), str(where)]:
                if not label.strip() or len(label) > 80 or not label.isprintable():
                    raise StudyError(f"{place}: wanted labels of 1 to 80 characters on one line")
                arms.append(Arm(label, language.parse(where, place=f'{place}."{label}"')))
            case _:
                raise StudyError(f'{place}: wanted "label" = "condition"')
    if len({arm.label for arm in arms}) != len(arms):
        raise StudyError(f"{place}: wanted labels that differ")
    return tuple(arms)


def plain(option: Option) -> Any:
    """Return an option as JSON can hold it."""
    match option:
        case bool() | int() | str():
            return option
        case Arm(label, where):
            return [label, canonical(where)]
        case tuple():
            return [plain(item) for item in option]
        case Mapping():
            return {key: plain(value) for key, value in option.items()}
        case _:
            return canonical(option)
