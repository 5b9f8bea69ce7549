"""Tables, their weights, and how far one patient can move them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.study.expression import Field, Integer, Truth
from upcare_mpc.study.layout import (
    MAX_AMOUNT,
    Dimension,
    ExpectedDeath,
    Factor,
    Layout,
    Measure,
    Measures,
    Sensitivity,
    Table,
    pairs,
)

A, B = Dimension("a", ("x", "y")), Dimension("b", ("1", "2", "3"))
ZERO = Integer(0)


def measures(*tables: Measure, per_patient: int = 1) -> Measures:
    return Measures(where=Truth(value=True), tables=tables, per_patient=per_patient)


def one(*dimensions: Dimension, weight: int = 1, per_patient: int = 1) -> Layout:
    asked = measures(Measure((ZERO,) * len(dimensions)), per_patient=per_patient)
    return Layout.of((Table("t", dimensions, weight),), asked)


def test_cells_are_the_product_of_the_dimensions_and_the_sum_of_the_tables() -> None:
    table = Table("t", (A, B))
    asked = measures(Measure((ZERO, ZERO)), Measure((ZERO,)))

    assert (table.shape, table.cells) == ((2, 3), 6)
    assert Layout.of((table, Table("u", (A,))), asked).cells == 8


def test_overlap_multiplies_all_three_sensitivities() -> None:
    assert Sensitivity(2, 3, 2).times(3) == Sensitivity(6, 9, 6)
    with pytest.raises(StudyError, match="overlap"):
        Sensitivity(1, 1, 1).times(0)


@pytest.mark.parametrize("triple", [(0, 1, 1), (1, 0, 1), (1, 2, 1), (2, 1, 1)])
def test_an_impossible_sensitivity_is_refused(triple: tuple[int, int, int]) -> None:
    with pytest.raises(StudyError):
        Sensitivity(*triple)


def test_the_sensitivity_follows_from_weights_factors_and_tumours_a_patient() -> None:
    """One patient: 2 tumours, each once in the cohort and up to 7 x 5 in the sums."""
    days, years = Factor(Field("age"), -7, 3), Factor(Field("sequence"), 0, 5)
    asked = measures(
        Measure((ZERO,)),
        Measure((ZERO,), (days, years)),
        Measure((ZERO,), of="residents"),
        per_patient=2,
    )
    tables = (Table("cohort", (A,), 4), Table("sums", (A,), 2), Table("people", (A,), 9))

    assert Layout.of(tables, asked).sensitivity == Sensitivity(d0=4, d1=148, dinf=140)


def test_a_layout_of_residents_alone_is_refused() -> None:
    with pytest.raises(StudyError, match="table of tumours"):
        Layout.of((Table("t", (A,)),), measures(Measure((ZERO,), of="residents")))


def test_a_table_beyond_the_limit_is_refused_with_its_size() -> None:
    labels = tuple(map(str, range(1025)))

    with pytest.raises(StudyError, match="1050625"):
        one(Dimension("a", labels), Dimension("b", labels))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Dimension("a", ("x", "x")), "labels that differ"),
        (lambda: Dimension("a", ()), "at least one label"),
        (lambda: Table("t", (A, A)), "different names"),
        (lambda: Table("t", (A,), 0), "weight of at least 1"),
        (lambda: Factor(ZERO, 3, 3), "lower bound below"),
        (lambda: ExpectedDeath(365, 365), "span of days"),
        (lambda: ExpectedDeath(-1, 365), "span of days"),
        (lambda: Layout((), Sensitivity(1, 1, 1)), "one or more tables"),
        (lambda: Layout((Table("t", (A,)),) * 2, Sensitivity(1, 1, 1)), "different names"),
    ],
)
def test_what_is_no_table_is_refused(build, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StudyError, match=words):
        build()


def test_the_digest_depends_on_labels_order_weights_and_sensitivity() -> None:
    layouts = [
        one(A, B),
        one(B, A),
        one(A, replace(B, labels=("3", "2", "1"))),
        one(A, B, weight=2),
        one(A, B, per_patient=2),
        replace(one(A, B), tables=(Table("u", (A, B)),)),
    ]

    assert len({layout.digest for layout in layouts}) == len(layouts)
    assert one(A, B).digest == layouts[0].digest


@given(st.lists(st.integers(1, 2**20), min_size=2, max_size=2), st.integers(0, 2))
def test_a_vector_is_split_into_tables_in_their_units(weights: list[int], leading: int) -> None:
    tables = Table("t", (A, B), weights[0]), Table("u", (A,), weights[1])
    layout = Layout.of(tables, measures(Measure((ZERO, ZERO)), Measure((ZERO,))))
    vector = np.arange(8 * 3**leading).reshape(*(3,) * leading, 8)

    first, second = layout.split(vector)

    assert first.shape == (*(3,) * leading, 2, 3)
    assert second.shape == (*(3,) * leading, 2)
    assert np.allclose(first * weights[0], vector[..., :6].reshape(first.shape))
    assert np.allclose(second * weights[1], vector[..., 6:])


def test_a_vector_of_another_length_is_not_split() -> None:
    with pytest.raises(StudyError, match="6 cells"):
        one(A, B).split(np.zeros(7))


def test_measures_of_another_layout_are_refused() -> None:
    layout = one(A)
    fits = measures(Measure((ZERO,)))
    factor = Factor(ZERO, 0, 2)

    assert pairs(layout, fits) == ((layout.tables[0], fits.tables[0]),)
    for other, words in (
        (measures(), "one measure a table"),
        (measures(Measure((ZERO, ZERO))), "one axis a dimension"),
        (measures(Measure((ZERO,), (factor,))), "sensitivity that follows"),
        (measures(Measure((ZERO,)), per_patient=2), "sensitivity that follows"),
    ):
        with pytest.raises(StudyError, match=words):
            pairs(layout, other)


def test_a_record_that_could_add_so_much_that_sums_overflow_is_refused() -> None:
    factor = Factor(ZERO, -MAX_AMOUNT, 0)
    cohort, sums = Measure((ZERO,)), Measure((ZERO,), (factor,))
    for weight, fits in ((1, True), (2, False)):
        asked = measures(cohort, sums)
        layout = Layout.of((Table("t", (A,)), Table("u", (A,), weight)), asked)
        if fits:
            assert pairs(layout, asked)
        else:
            with pytest.raises(StudyError, match=f"at most {MAX_AMOUNT} units"):
                pairs(layout, asked)


def test_every_span_is_asked_once_and_counts_as_three_variables() -> None:
    year, later = ExpectedDeath(0, 365), ExpectedDeath(365, 730)
    asked = measures(
        Measure((ZERO,)),
        Measure((ZERO,), (Factor(later, 0, 9), Factor(year, 0, 9))),
        Measure((ZERO,), (Factor(year, 0, 1000),)),
    )

    assert asked.spans == (later, year)
    assert asked.steps == 1 + 3 + 3 * 3
