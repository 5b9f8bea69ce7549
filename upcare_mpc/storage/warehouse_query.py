"""A study's measures as one query of a warehouse's engine, written by Ibis.

``study.rows`` is the reference, as for ``study.sql``: on the same records both give the same
vector, unknown values included. Ibis spells what engines spell differently. What they also mean
differently is written here so that it means the same:

- ``max`` of an unknown value is unknown, which ``GREATEST`` is not; ``min`` is the same of the
  opposites. Each operand is written once, so that the query grows with the expression and not
  faster. (Spark writes ``BETWEEN`` out twice; 32 levels of the language hold 16 of them.)
- ``//`` is Ibis's: the floor of a quotient of floating-point numbers. That is exact here: a value
  is below 2^49 (2^18 steps of 31 bits), so its distance to the next whole number, 1/divisor, is
  more than the rounding of the quotient.
- Every integer is 64 bits wide, literals too, so nothing overflows.
- Texts are compared by code point: the source of the rows has to see to that.

Which tumours of a patient count is worked out here, never read from the table: it bounds what one
patient can change, and so the privacy of all. The order is by ``sequence``, ``tumour`` and then
every other recorded column, so that rows which still tie are the same row twice: which of them an
engine takes first, and that this may be another one when somebody else's row is added, changes no
count.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate, chain
from operator import add, and_, eq, ge, gt, le, lt, ne, or_, sub
from typing import Any, Final

import ibis

from upcare_mpc.errors import StudyError
from upcare_mpc.storage.warehouse_variables import (
    IDENTIFIERS,
    STORED,
    Column,
    balanced,
    usable,
    variables,
)
from upcare_mpc.study import sql
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
    fields,
)
from upcare_mpc.study.layout import ExpectedDeath, Layout, Measure, Measures, pairs

__all__ = ["count_query"]

_INT64_MAX: Final = 2**63 - 1
_PAIR: Final = (("int64", "int64"), "int64")
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


def count_query(measures: Measures, layout: Layout, *, dialect: str, source: str) -> str:
    """Return the query that adds up tumours by cell.

    Args:
        measures: What to count.
        layout: Into which cells.
        dialect: Ibis's name of the engine.
        source: A query of that engine for the columns ``STORED``, in these types.

    Returns:
        A query whose answer has rows of ``cell`` and ``amount``; cells without tumours are
        missing, so it has at most as many rows as the layout has cells.

    Tumours that are alike in what the tables read are counted first, so that an axis, which may
    have a thousand branches, is worked out once for all of them.

    Raises:
        StudyError: The measures are outside the limits of ``study.sql``, or want a life table.
    """
    sql.count_query(measures, layout)  # for its limits alone
    if measures.spans:
        raise StudyError("a warehouse cannot use a life table")
    word = _Words(dialect)
    rows = usable(ibis.table(STORED, name="cases"))
    cohort = rows.filter(word.of(measures.where, variables(rows)))
    known = variables(cohort)
    paired = pairs(layout, measures)
    starts = accumulate((table.cells for table, _ in paired), initial=0)
    counted = [
        (start, table, measure.axes, _product(measure))
        for start, (table, measure) in zip(starts, paired, strict=False)
        if measure.of == "tumours"
    ]
    reads = (map(fields, (*axes, *product)) for _, _, axes, product in counted)
    read = sorted(frozenset().union(*chain.from_iterable(reads)))
    others = [name for name in STORED if name not in (*IDENTIFIERS, "sequence")]
    order = [cohort[name] for name in ("sequence", "tumour", *others)]
    turn = ibis.row_number().over(group_by=cohort.patient, order_by=order)
    ordered = cohort.select(**{name: known[name] for name in read}, turn=turn)
    first = ordered.filter(ordered.turn < measures.per_patient)
    alike = first.aggregate(by=read, tumours=first.count())
    columns = {name: alike[name] for name in read}
    sums = []
    for start, table, axes, product in counted:
        positions = [word.of(axis, columns) for axis in axes]
        amount = alike.tumours * table.weight
        for factor in product:
            amount = amount * word.of(factor, columns)
        placed = alike.select(cell=_cell(positions, table.shape, start), amount=amount)
        sums.append(
            placed.aggregate(
                by=placed.cell, amount=placed.amount.sum(where=placed.cell.notnull()).cast("int64")
            )
        )
    # By the sum, for PostgreSQL would test a cell below both sums, for every tumour.
    whole = sums[0] if len(sums) == 1 else ibis.union(*sums)
    whole = whole.filter(whole.amount.notnull())
    added = ibis.to_sql(whole, dialect=dialect)
    return f"WITH cases AS ({source}) SELECT * FROM ({added}) AS added"  # noqa: S608


def _cell(positions: list[Column], shape: tuple[int, ...], start: int) -> Column:
    inside = balanced(
        and_, (at.between(0, size - 1) for at, size in zip(positions, shape, strict=True))
    )
    cell = _integer(0)
    for at, size in zip(positions, shape, strict=True):
        cell = cell * size + at
    return ibis.cases((inside, cell + start))


def _product(measure: Measure) -> tuple[Expression, ...]:
    """The factors within their bounds, each written once."""
    held: list[Expression] = []
    for factor in measure.factors:
        if not isinstance(factor.value, ExpectedDeath):
            low, high = Integer(factor.low), Integer(factor.high)
            held.append(Arithmetic("max", Arithmetic("min", factor.value, high), low))
    return tuple(held)


class _Words:
    """Expressions of the study language as Ibis columns, for one engine."""

    def __init__(self, dialect: str) -> None:
        self._larger = _LARGER[dialect]

    def of(self, expression: Expression, columns: Mapping[str, Column]) -> Column:
        """Return an expression over columns of its variables; NULL is unknown."""
        match expression:
            case Field(name):
                return columns[name]
            case Integer(value):
                return _integer(value)
            case Text(value) | Truth(value):
                return ibis.literal(value)
            case Comparison(operator, left, right):
                return _COMPARE[operator](self.of(left, columns), self.of(right, columns))
            case InList(item, values):
                return self.of(item, columns).isin([self.of(value, columns) for value in values])
            case Between(item, low, high):
                return self.of(item, columns).between(self.of(low, columns), self.of(high, columns))
            case And(terms):
                return balanced(and_, (self.of(term, columns) for term in terms))
            case Or(terms):
                return balanced(or_, (self.of(term, columns) for term in terms))
            case Not(term):
                return ~self.of(term, columns)
            case IsKnown(item, known):
                column = self.of(item, columns)
                return column.notnull() if known else column.isnull()
            case Arithmetic(operator, left, right):
                return self._arithmetic(operator, self.of(left, columns), self.of(right, columns))
            case Choose(branches, otherwise):
                ways = ((self.of(when, columns), self.of(then, columns)) for when, then in branches)
                last = None if otherwise is None else self.of(otherwise, columns)
                return ibis.cases(*ways, else_=last)

    def _arithmetic(self, operator: str, left: Column, right: Column) -> Column:
        match operator:
            case "+":
                return add(left, right)
            case "-":
                return sub(left, right)
            case "//":
                return left // right
            case "max":
                return self._larger(left, right)
            case _:
                return -self._larger(-left, -right)


@ibis.udf.scalar.builtin(name="int8larger", signature=_PAIR)
def _int8larger(left, right):  # type: ignore[no-untyped-def]  # the signature is above
    """PostgreSQL's: the larger one, unknown if either is."""


@ibis.udf.scalar.builtin(name="try_add", signature=_PAIR)
def _try_add(left, right):  # type: ignore[no-untyped-def]  # the signature is above
    """Spark's: the sum, unknown if 64 bits do not hold it."""


def _larger_in_spark(left: Column, right: Column) -> Column:
    """An unknown one counts as the largest number there is, and one more is unknown again."""
    pair = (ibis.coalesce(side, ibis.literal(_INT64_MAX, "int64")) for side in (left, right))
    return _try_add(ibis.greatest(*pair), _integer(1)) - _integer(1)


def _larger_in_duckdb(left: Column, right: Column) -> Column:
    """The second of a sorted pair, where NULL is behind."""
    return ibis.array([left, right]).sort()[1]


_LARGER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "duckdb": _larger_in_duckdb,
    "postgres": _int8larger,
    "pyspark": _larger_in_spark,
}


def _integer(value: int) -> Column:
    return ibis.literal(value, "int32").cast("int64")
