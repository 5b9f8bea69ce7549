"""Records and measures for tests of engines: every type, edge numbers, unknowns, wrong values.

``CASES``, ``MEASURES`` and ``WITHOUT_LIFE_TABLE`` are Hypothesis strategies; ``crowd`` is a fixed
large set of records, ``REFERENCE`` a population and a life table.
"""

import math
import random
from typing import Any

from hypothesis import strategies as st

from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import (
    DeathProbability,
    LifeTable,
    Reference,
    Residents,
    Stratum,
)
from upcare_mpc.records.variables import VARIABLES, Code, Number
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
from upcare_mpc.study.layout import (
    MAX_AMOUNT,
    Dimension,
    ExpectedDeath,
    Factor,
    Layout,
    Measure,
    Measures,
    Table,
)

EDGES = (0, 1, -1, 2, 7, 40, 89, 120, 365, -365, 2**31 - 1, -(2**31) + 1)
BOTH = ("female", "male")
CODES = ("C50", "C50.9", "C61.9", "C80.9", "D05.1", "8500", "9650", "DE21H", "FRF", "", "Z")
MALFORMED: tuple[tuple[str, Any], ...] = (
    ("age", "fifty"),
    ("age", True),
    ("age", 2**31),
    ("age", 1.5),
    ("follow_up_days", "12"),
    ("sex", 1),
    ("region", "Zürich"),
    ("sequence", None),
    ("patient_id", None),
    ("tumour_id", 5),
    ("tumour_id", "\ud800"),
    ("topography", ("C50",)),
)

_DERIVED = {"site", "site_group", "age_group", "nuts1", "nuts2", "cause_group"}
_STORED = [name for name in VARIABLES if name not in _DERIVED and name != "sequence"]


def values_of(name: str) -> tuple[int | str, ...]:
    """Values that a variable has, and a few that it should not have."""
    match VARIABLES[name].type:
        case Code(values):
            return (*values, "", "Z")
        case Number(low, high, _):
            return (low, high, *EDGES)
        case _:
            return CODES


def random_case(source: random.Random) -> Case:
    """One record; half of its variables are known, one in twenty is malformed."""
    known: dict[str, Any] = {
        "patient_id": f"p{source.randrange(900)}",
        "tumour_id": source.choice(("a", "b", "ä", "~1", "10", "9")),
        "sequence": source.choice((1, 1, 2, 3, 9, -1)),
    }
    for name in source.sample(_STORED, len(_STORED) // 2):
        known[name] = source.choice(values_of(name))
    if source.random() < 0.5:  # one whom a life table may know
        known["sex"] = source.choice(BOTH)
        known["age"], known["diagnosis_year"] = source.randrange(130), source.randrange(1980, 2005)
    if source.random() < 0.05:
        name, value = source.choice(MALFORMED)
        known[name] = value
    return Case(**known)


def crowd(count: int) -> list[Case]:
    """Records that are the same every time."""
    source = random.Random(20)
    return [random_case(source) for _ in range(count)]


CASES = st.lists(st.builds(random_case, st.randoms(use_true_random=False)), max_size=25)

_NUMBERS = [name for name, v in VARIABLES.items() if isinstance(v.type, Number)]
_TEXTS = [name for name in VARIABLES if name not in _NUMBERS]
_OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])

_literals = st.one_of(
    st.sampled_from([e for e in EDGES if abs(e) <= 10**9] + [10**9, -(10**9)]),
    st.integers(-10, 130),
).map(Integer)
_number_fields = st.sampled_from(_NUMBERS).map(Field)


@st.composite
def _text_predicates(draw: st.DrawFn) -> Expression:
    name = draw(st.sampled_from(_TEXTS))
    codes = st.sampled_from([c for c in values_of(name) if isinstance(c, str) and c]).map(Text)
    match draw(st.integers(0, 3)):
        case 0:
            return Comparison(draw(_OPERATORS), Field(name), draw(codes))
        case 1:
            return InList(Field(name), tuple(draw(st.lists(codes, min_size=1, max_size=4))))
        case 2:
            return Between(Field(name), draw(codes), draw(codes))
        case _:
            return IsKnown(Field(name), draw(st.booleans()))


def _numbers(truths: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    def larger(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        ways = st.lists(st.tuples(truths, parts), min_size=1, max_size=3).map(tuple)
        return st.one_of(
            st.builds(Arithmetic, st.sampled_from(["+", "-", "min", "max"]), parts, parts),
            st.builds(
                Arithmetic, st.just("//"), parts, st.sampled_from([1, 2, 7, 10**9]).map(Integer)
            ),
            st.builds(Choose, ways, st.none() | parts),
        )

    return st.recursive(_literals | _number_fields, larger, max_leaves=6)


def _truths(numbers: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    simple: st.SearchStrategy[Expression] = st.one_of(
        st.booleans().map(Truth),
        _text_predicates(),
        st.builds(Comparison, _OPERATORS, numbers, numbers),
        st.builds(InList, numbers, st.lists(_literals, min_size=1, max_size=4).map(tuple)),
        st.builds(Between, numbers, numbers, numbers),
        st.builds(IsKnown, numbers, st.booleans()),
    )

    def larger(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        several = st.lists(parts, min_size=2, max_size=4).map(tuple)
        return st.one_of(st.builds(And, several), st.builds(Or, several), st.builds(Not, parts))

    return st.recursive(simple, larger, max_leaves=5)


_shallow = _truths(_literals | _number_fields)
NUMBERS = _numbers(_shallow)
TRUTHS = _truths(NUMBERS)


_PLAIN: st.SearchStrategy[Expression] = st.sampled_from(
    [
        Arithmetic("//", Field("age"), Integer(25)),
        Arithmetic("-", Field("diagnosis_year"), Integer(1986)),
        Choose(
            tuple((Comparison("=", Field("sex"), Text(x)), Integer(i)) for i, x in enumerate(BOTH))
        ),
    ]
)


@st.composite
def _axes(draw: st.DrawFn) -> Expression:
    """A position: a number, mostly forced into a small table, or the first of some conditions."""
    if draw(st.booleans()):
        return draw(_PLAIN)
    if draw(st.booleans()):
        number = draw(NUMBERS)
        inside = Arithmetic("min", Arithmetic("max", number, Integer(0)), Integer(5))
        return inside if draw(st.integers(0, 3)) else number
    ways = draw(st.lists(TRUTHS, min_size=1, max_size=5))
    branches = tuple((truth, Integer(i)) for i, truth in enumerate(ways))
    return Choose(branches, draw(st.none() | st.just(Integer(0))))


def _life_table() -> LifeTable:
    source = random.Random(21)
    rows = [
        DeathProbability(Stratum(year, sex, first, last, None), source.random() ** 4)
        for year in range(1985, 1996)
        for sex in BOTH
        for first, last in [(0, 0), (1, 4), *((age, age) for age in range(5, 91)), (91, None)]
    ]
    return LifeTable.of(rows)


def _residents() -> tuple[Residents, ...]:
    source = random.Random(22)
    return tuple(
        Residents(Stratum(year, sex, age, age, region), source.randrange(4000) / 4)
        for year in (1984, 1990, 2020)
        for sex in BOTH
        for age in range(0, 121, 5)
        for region in (None, "DE21H", "FRF")
    )


REFERENCE = Reference(residents=_residents(), life_table=_life_table())
"""Of a registry that has all of it."""

_SPANS = st.tuples(st.sampled_from([0, 30, 365, 366, 731]), st.sampled_from([1, 365, 366, 4000]))
_EXPECTED = _SPANS.map(lambda span: ExpectedDeath(span[0], span[0] + span[1]))


@st.composite
def _factors(draw: st.DrawFn, *, life_table: bool) -> Factor:
    value = draw(NUMBERS | _EXPECTED if life_table else NUMBERS)
    low = draw(st.integers(-900, 900))
    return Factor(value, low, draw(st.integers(low + 1, 1000)))


@st.composite
def _tables(draw: st.DrawFn, number: int, *, life_table: bool) -> tuple[Table, Measure]:
    axes = draw(st.lists(_axes(), min_size=1, max_size=3))
    dimensions = tuple(
        Dimension(f"d{i}", tuple(map(str, range(draw(st.integers(2, 6))))))
        for i in range(len(axes))
    )
    table = Table(f"t{number}", dimensions, weight=draw(st.sampled_from([1, 1, 2, 1000])))
    if number == 2 and draw(st.booleans()):
        return table, Measure(tuple(axes), of="residents")
    several = draw(st.integers(1, 2)) if number else 0
    factors = [draw(_factors(life_table=life_table)) for _ in range(several)]
    if math.prod(max(abs(f.low), abs(f.high)) for f in factors) * table.weight > MAX_AMOUNT:
        factors = factors[:1]
    return table, Measure(tuple(axes), tuple(factors))


@st.composite
def _questions(draw: st.DrawFn, *, life_table: bool) -> tuple[Measures, Layout]:
    several = draw(st.sampled_from([3, 2, 1]))
    paired = [draw(_tables(number, life_table=life_table)) for number in range(several)]
    measures = Measures(
        where=draw(st.just(Truth(value=True)) | TRUTHS),
        tables=tuple(measure for _, measure in paired),
        per_patient=draw(st.sampled_from([1, 1, 2, 3, 20])),
    )
    return measures, Layout.of(tuple(table for table, _ in paired), measures)


MEASURES = _questions(life_table=True)
WITHOUT_LIFE_TABLE = _questions(life_table=False)


def line(cells: int, measures: Measures) -> Layout:
    """One table of one dimension."""
    return Layout.of((Table("t", (Dimension("d", tuple(map(str, range(cells)))),)),), measures)
