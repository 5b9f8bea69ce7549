"""A study's measures as one SQL query; the text alone, nothing is executed here.

``study.rows`` is the reference: on well-formed records both give the same vector, unknown values
included. Unknown is NULL. SQL's logic is Kleene's already; what differs is spelled out:

- ``min`` and ``max`` of an unknown value are unknown. ``LEAST`` skips NULL; the first element of a
  sorted pair, NULL in front, does not. Each operand is written once, so that the query grows with
  the expression and not faster.
- ``//`` rounds down, SQL's integer division towards zero. A multiple of the divisor is added before
  the division, which makes the dividend positive, and taken off after it.
- All integers are 64 bits wide. A well-formed record holds 32 bits, a literal at most 10^9 and an
  expression has no product; factors are held within their bounds before they are multiplied, and
  a record adds at most ``layout.MAX_AMOUNT``. So nothing overflows below 2^40 records.

Only names of variables and literals of a small alphabet reach the text; anything else is refused.
The dialect is DuckDB's.
"""

import re
from typing import Final

from upcare_mpc.errors import StudyError
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    InList,
    Integer,
    IsKnown,
    Not,
    Or,
    Text,
    Truth,
)
from upcare_mpc.study.layout import ExpectedDeath, Layout, Measure, Measures, Table, pairs

__all__ = ["MAX_INTEGER", "MAX_STEPS", "count_query", "sql"]

MAX_INTEGER: Final = 10**9
MAX_STEPS: Final = 2**18
_SHIFT: Final = 2**52  # more than MAX_STEPS values of 32 bits can add up to
_LITERAL = re.compile(r"[A-Za-z0-9._+-]{1,32}", re.ASCII)
_ORDER: Final = {"min": "ASC", "max": "DESC"}


def count_query(measures: Measures, layout: Layout) -> str:
    """Return the query that adds up tumours by cell.

    It reads the table ``cases``: a column for each variable; ``patient``; ``turn`` (0, 1, 2, ... of
    a patient's tumours in their order) and ``turns`` (how many there are). A patient with no more
    tumours than count is within the bound as it is; only the others are put in order. If the
    measures ask for expected deaths, it also reads the table ``expected``: ``of_sex``, ``of_age``,
    ``of_year``, and a column ``e0``, ``e1``, ... for each of ``measures.spans``.

    Every record is read once: its positions and factors are worked out, each different one once;
    records with the same positions are added up; and only these sums go to the cells of the tables.

    The answer has rows of ``cell`` and ``amount``; cells without tumours are missing.

    Raises:
        StudyError: A name, a literal or the size is outside the limits of the language.
    """
    paired = pairs(layout, measures)
    if measures.steps > MAX_STEPS:
        raise StudyError(f"wanted expressions of at most {MAX_STEPS} steps, got {measures.steps}")
    names = _Names(measures.spans)
    cells: dict[str, str] = {}  # a position in a table -> its name; tables may share one
    sums: list[tuple[str, str]] = []
    first = 0
    for table, measure in paired:
        if measure.of == "tumours":
            cell = cells.setdefault(_cell(table, measure, names), f"c{len(cells)}")
            sums.append((f"{cell} + {first}", _amount(table, measure, names)))
        first += table.cells
    placed = ", ".join(f"{cell} AS {name}" for cell, name in cells.items())
    added = ", ".join(f"{amount} AS s{i}" for i, (_, amount) in enumerate(sums))
    by = ", ".join(cells.values())
    rows = _rows(measures, names)
    alike = f"SELECT {by}, {added} FROM (SELECT *, {placed} FROM ({rows})) GROUP BY {by}"  # noqa: S608
    positions = ", ".join(cell for cell, _ in sums)
    amounts = ", ".join(f"s{i}" for i in range(len(sums)))
    spread = f"SELECT unnest([{positions}]) AS cell, unnest([{amounts}]) AS part FROM ({alike})"  # noqa: S608
    return (
        f"SELECT cell, sum(part)::BIGINT AS amount FROM ({spread}) "  # noqa: S608
        "WHERE cell IS NOT NULL AND part IS NOT NULL GROUP BY cell"
    )


class _Names:
    """The expressions that the tables read, each under one name."""

    def __init__(self, spans: tuple[ExpectedDeath, ...]) -> None:
        self.columns: dict[str, str] = {}
        self.spans = spans

    def of(self, value: Expression | ExpectedDeath) -> str:
        """Return the column that a value is in."""
        if isinstance(value, ExpectedDeath):
            text = f"e{self.spans.index(value)}::BIGINT"
        else:
            text = sql(value)
        return self.columns.setdefault(text, f"v{len(self.columns)}")


def _rows(measures: Measures, names: _Names) -> str:
    """The cohort, after the bound per patient, with a column for each value."""
    columns = ", ".join(f"{text} AS {name}" for text, name in names.columns.items())
    source = "cases"
    if measures.spans:
        source += (
            " LEFT JOIN expected ON sex = of_sex AND age = of_age AND diagnosis_year = of_year"
        )
    bound = f"{measures.per_patient:d}"
    cohort = f"SELECT {columns} FROM {source} WHERE {sql(measures.where)}"  # noqa: S608
    first = f"QUALIFY row_number() OVER (PARTITION BY patient ORDER BY turn) <= {bound}"
    return f"{cohort} AND turns <= {bound} UNION ALL {cohort} AND turns > {bound} {first}"


def _cell(table: Table, measure: Measure, names: _Names) -> str:
    axes = [names.of(axis) for axis in measure.axes]
    inside = " AND ".join(
        f"{axis} BETWEEN 0 AND {size - 1}" for axis, size in zip(axes, table.shape, strict=True)
    )
    cell = "0"
    for axis, size in zip(axes, table.shape, strict=True):
        cell = f"({cell} * {size} + {axis})"
    return f"CASE WHEN {inside} THEN {cell} END"


def _amount(table: Table, measure: Measure, names: _Names) -> str:
    """What records in the same cell add; NULL if all of them are left out."""
    if not measure.factors:
        return f"count(*) * {table.weight}"
    held = []
    for factor in measure.factors:
        value = names.of(factor.value)
        low, high = _integer(factor.low), _integer(factor.high)
        held.append(
            f"CASE WHEN {value} < {low} THEN {low} WHEN {value} > {high} THEN {high} "
            f"ELSE {value} END"
        )
    return f"sum({' * '.join(held)}) * {table.weight}"


def sql(expression: Expression) -> str:
    """Return an expression as SQL; NULL is unknown."""
    match expression:
        case Field(name):
            return _column(name)
        case Integer(value):
            return _integer(value)
        case Text(value):
            return _text(value)
        case Truth(value):
            return "TRUE" if value else "FALSE"
        case Comparison("!=", left, right):
            return f"({sql(left)} <> {sql(right)})"
        case Comparison(operator, left, right):
            return f"({sql(left)} {operator} {sql(right)})"
        case InList(item, values):
            return f"({sql(item)} IN ({', '.join(map(sql, values))}))"
        case Between(item, low, high):
            return f"({sql(item)} BETWEEN {sql(low)} AND {sql(high)})"
        case And(terms):
            return f"({' AND '.join(map(sql, terms))})"
        case Or(terms):
            return f"({' OR '.join(map(sql, terms))})"
        case Not(term):
            return f"(NOT {sql(term)})"
        case IsKnown(item, known):
            return f"({sql(item)} IS {'NOT ' if known else ''}NULL)"
        case Arithmetic("min" | "max" as name, left, right):
            pair = f"[{sql(left)}, {sql(right)}]"
            return f"list_sort({pair}, '{_ORDER[name]}', 'NULLS FIRST')[1]"
        case Arithmetic("//", left, Integer(divisor)) if divisor > 0:
            multiples = -(-_SHIFT // divisor)
            shifted = f"({sql(left)} + {multiples * divisor}::BIGINT)"
            return f"({shifted} // {_integer(divisor)} - {multiples}::BIGINT)"
        case Arithmetic("+" | "-" as operator, left, right):
            return f"({sql(left)} {operator} {sql(right)})"
        case Arithmetic():
            raise StudyError("wanted a positive number after '//'")
        case Choose(branches, otherwise):
            ways = " ".join(f"WHEN {sql(when)} THEN {sql(then)}" for when, then in branches)
            last = "" if otherwise is None else f" ELSE {sql(otherwise)}"
            return f"(CASE {ways}{last} END)"


def _column(name: str) -> str:
    if name not in VARIABLES:
        raise StudyError("wanted a variable of the study language, got another name")
    return f'"{name}"'


def _integer(value: int) -> str:
    if abs(value) > MAX_INTEGER:
        raise StudyError(f"wanted a number of at most {MAX_INTEGER}")
    return f"({value:d})::BIGINT"


def _text(value: str) -> str:
    if not _LITERAL.fullmatch(value):
        raise StudyError("wanted a code of letters, digits and .+-_, got something else")
    return f"'{value}'"
