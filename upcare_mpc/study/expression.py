"""The expressions of the study language, as frozen trees.

An expression is built from the variables of ``records.variables`` and is evaluated on one
record at a time. It has one of three types: an integer, a text (a code), or a truth value. Every
value may be *unknown*, and logic is Kleene's, as in SQL:

    unknown and false = false        unknown or true = true        not unknown = unknown

A comparison with an unknown value is unknown, arithmetic with an unknown value (``min`` and
``max`` included, unlike SQL's ``LEAST``) is unknown, and a record enters a cohort only if the
condition is TRUE. ``//`` is floor division by a positive literal, so nothing can fail.

``canonical(expression)`` is its one spelling: ``language.parse`` reads it back to an equal tree.
Trees are data: a node of the network evaluates them and never runs code it was sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from upcare_mpc.records.variables import VARIABLES, Number

__all__ = [
    "And",
    "Arithmetic",
    "Between",
    "Choose",
    "Comparison",
    "Expression",
    "Field",
    "InList",
    "Integer",
    "IsKnown",
    "Not",
    "Or",
    "Text",
    "Truth",
    "Type",
    "canonical",
    "children",
    "depth",
    "fields",
    "size",
    "type_of",
]

Type: TypeAlias = Literal["integer", "text", "truth"]


@dataclass(frozen=True, slots=True)
class Field:
    """The value of a variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number."""

    value: int


@dataclass(frozen=True, slots=True)
class Text:
    """A code."""

    value: str


@dataclass(frozen=True, slots=True)
class Truth:
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left operator right``; both integers or both texts."""

    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class InList:
    """``item in (values)``."""

    item: "Expression"
    values: tuple[Integer | Text, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """``low <= item and item <= high``."""

    item: "Expression"
    low: "Expression"
    high: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    """False if any term is false, else unknown if any is unknown, else true."""

    terms: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True if any term is true, else unknown if any is unknown, else false."""

    terms: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    term: "Expression"


@dataclass(frozen=True, slots=True)
class IsKnown:
    """Whether ``item`` has a value (``known``) or has none; itself never unknown."""

    item: "Expression"
    known: bool


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left operator right`` on integers; the right side of ``//`` is a positive literal."""

    operator: Literal["+", "-", "//", "min", "max"]
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Choose:
    """The value of the first branch whose condition is TRUE, else ``otherwise``, else unknown."""

    branches: tuple[tuple["Expression", "Expression"], ...]
    otherwise: "Expression | None" = None


Expression: TypeAlias = (
    Field
    | Integer
    | Text
    | Truth
    | Comparison
    | InList
    | Between
    | And
    | Or
    | Not
    | IsKnown
    | Arithmetic
    | Choose
)


def type_of(expression: Expression) -> Type:
    """Return the type of a well-formed expression."""
    match expression:
        case Field(name):
            return "integer" if isinstance(VARIABLES[name].type, Number) else "text"
        case Integer() | Arithmetic():
            return "integer"
        case Text():
            return "text"
        case Choose(branches):
            return type_of(branches[0][1])
        case _:
            return "truth"


def children(expression: Expression) -> tuple[Expression, ...]:
    """Return the direct parts of an expression, left to right."""
    match expression:
        case Field() | Integer() | Text() | Truth():
            return ()
        case Comparison(_, left, right) | Arithmetic(_, left, right):
            return left, right
        case InList(item, values):
            return item, *values
        case Between(item, low, high):
            return item, low, high
        case And(terms) | Or(terms):
            return terms
        case Not(term):
            return (term,)
        case IsKnown(item, _):
            return (item,)
        case Choose(branches, otherwise):
            parts = tuple(part for branch in branches for part in branch)
            return parts if otherwise is None else (*parts, otherwise)


def depth(expression: Expression) -> int:
    """Return how deeply the expression is nested; a single variable has depth 1."""
    return max(level for level, _ in _walk(expression))


def size(expression: Expression) -> int:
    """Return the number of nodes: an upper bound on the steps of evaluating one record."""
    return sum(1 for _ in _walk(expression))


def fields(expression: Expression) -> frozenset[str]:
    """Return the names of the variables that the expression reads."""
    return frozenset(part.name for _, part in _walk(expression) if isinstance(part, Field))


def canonical(expression: Expression) -> str:
    """Return the one spelling of an expression, which parses back to an equal tree."""
    return _spell(expression)[0]


def _walk(expression: Expression) -> Iterator[tuple[int, Expression]]:
    waiting = [(1, expression)]  # a stack, not recursion: trees are measured before being trusted
    while waiting:
        level, part = waiting.pop()
        yield level, part
        waiting.extend((level + 1, child) for child in children(part))


# How tightly a spelling binds; a part that binds less tightly than its place needs parentheses.
_OR, _AND, _NOT, _PREDICATE, _SUM, _PRODUCT, _ATOM = range(7)


def _spell(expression: Expression) -> tuple[str, int]:
    match expression:
        case Field(name):
            return name, _ATOM
        case Integer(value):
            return str(value), _ATOM
        case Text(value):
            return "'" + value.replace("'", "''") + "'", _ATOM
        case Truth(value):
            return ("true" if value else "false"), _ATOM
        case Comparison(operator, left, right):
            return f"{_at(_SUM, left)} {operator} {_at(_SUM, right)}", _PREDICATE
        case InList(item, values):
            listed = ", ".join(canonical(value) for value in values)
            return f"{_at(_SUM, item)} in ({listed})", _PREDICATE
        case Between(item, low, high):
            bounds = f"{_at(_SUM, low)} and {_at(_SUM, high)}"
            return f"{_at(_SUM, item)} between {bounds}", _PREDICATE
        case IsKnown(item, known):
            return f"{_at(_SUM, item)} is {'known' if known else 'unknown'}", _PREDICATE
        case Not(term):
            return f"not {_at(_NOT, term)}", _NOT
        case And(terms):
            return " and ".join(_at(_NOT, term) for term in terms), _AND
        case Or(terms):
            return " or ".join(_at(_AND, term) for term in terms), _OR
        case Arithmetic("min" | "max" as name, left, right):
            return f"{name}({canonical(left)}, {canonical(right)})", _ATOM
        case Arithmetic("//", left, right):
            return f"{_at(_PRODUCT, left)} // {_at(_ATOM, right)}", _PRODUCT
        case Arithmetic(operator, left, right):
            return f"{_at(_SUM, left)} {operator} {_at(_PRODUCT, right)}", _SUM
        case Choose(branches, otherwise):
            words = [f"when {canonical(when)} then {canonical(then)}" for when, then in branches]
            if otherwise is not None:
                words.append(f"else {canonical(otherwise)}")
            return f"choose {' '.join(words)} end", _ATOM


def _at(place: int, expression: Expression) -> str:
    spelling, binding = _spell(expression)
    return spelling if binding >= place else f"({spelling})"
