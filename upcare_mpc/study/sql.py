"""A study's measures as one SQL query; the text alone, nothing is executed here.

``study.rows`` is the reference: on well-formed records both give the same vector, unknown values
included. Unknown is NULL. SQL's logic is Kleene's already; what differs is spelled out:

- ``min`` and ``max`` of an unknown value are unknown. ``LEAST`` skips NULL; the first element of a
  sorted pair, NULL in front, does not. Each operand is written once, so that the query grows with
  the expression and not faster.
- ``//`` rounds down, SQL's integer division towards zero. A multiple of the divisor is added before
  the division, which makes the dividend positive, and taken off after it.
- All integers are 64 bits wide. A well-formed record holds 32 bits, a literal at most 10^9 and an
  expression has no product, so nothing overflows.

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
from upcare_mpc.study.layout import Layout, Measures

__all__ = ["MAX_INTEGER", "MAX_STEPS", "count_query", "sql"]

MAX_INTEGER: Final = 10**9
MAX_STEPS: Final = 2**18
_SHIFT: Final = 2**52  # more than MAX_STEPS values of 32 bits can add up to
_LITERAL = re.compile(r"[A-Za-z0-9._+-]{1,32}", re.ASCII)
_ORDER: Final = {"min": "ASC", "max": "DESC"}


def count_query(measures: Measures, layout: Layout) -> str:
    """Return the query that counts tumours by cell.

    It reads the table ``cases``: a column for each variable; ``patient``; ``turn`` (0, 1, 2, ... of
    a patient's tumours in their order) and ``turns`` (how many there are). A patient with no more
    tumours than count is within the bound as it is; only the others are put in order. The answer
    has rows of ``cell`` and ``tumours``; cells without tumours are missing.

    Raises:
        StudyError: A name, a literal or the size is outside the limits of the language.
    """
    if len(measures.axes) != len(layout.dimensions):
        raise StudyError(
            f"wanted one axis a dimension ({len(layout.dimensions)}), got {len(measures.axes)}"
        )
    if measures.steps > MAX_STEPS:
        raise StudyError(f"wanted expressions of at most {MAX_STEPS} steps, got {measures.steps}")
    axes = ", ".join(f"{sql(axis)} AS a{i}" for i, axis in enumerate(measures.axes))
    inside = " AND ".join(f"a{i} BETWEEN 0 AND {size - 1}" for i, size in enumerate(layout.shape))
    cell = "0"
    for i, size in enumerate(layout.shape):
        cell = f"({cell} * {size} + a{i})"
    bound = f"{measures.per_patient:d}"
    of_cohort = f"(SELECT {axes} FROM cases WHERE {sql(measures.where)}"  # noqa: S608
    first = f"QUALIFY row_number() OVER (PARTITION BY patient ORDER BY turn) <= {bound}"
    return (
        f"SELECT cell, count(*) AS tumours FROM ("  # noqa: S608
        f"SELECT {cell} AS cell FROM {of_cohort} AND turns <= {bound}) WHERE {inside} UNION ALL "
        f"SELECT {cell} AS cell FROM {of_cohort} AND turns > {bound} {first}) WHERE {inside}"
        ") GROUP BY cell"
    )


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
