"""The split of a budget is the best there is, the estimate least squares, its error as stated."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.kinds.kind import Floats
from upcare_mpc.kinds.workload import Axes, Strategy, allocate
from upcare_mpc.privacy.gaussian import squared_sensitivity
from upcare_mpc.study.layout import Sensitivity

SHAPES = [
    ((3, 4), ((0,), (1,), ())),
    ((2, 3, 4), ((0, 1), (2,), ())),
    ((6,), ((),)),
    ((5, 2), ((1,),)),
]


def queries(sizes: tuple[int, ...], kept: Axes) -> Floats:
    """The margin as a matrix, ``(figures, cells)``, by looking at each cell."""
    cells = list(product(*map(range, sizes)))
    figures = sorted({tuple(cell[axis] for axis in kept) for cell in cells})
    return np.array(
        [
            [float(tuple(cell[axis] for axis in kept) == figure) for cell in cells]
            for figure in figures
        ]
    )


def least_squares(strategy: Strategy) -> tuple[Floats, Floats]:
    """Covariance of the cells, in squared draws, and the matrix from draws to cells."""
    blocks = [weight * queries(strategy.sizes, kept) for kept, weight in strategy.measured]
    measured = np.vstack(blocks)
    inverse = np.linalg.inv(measured.T @ measured)
    return inverse, inverse @ measured.T


@pytest.mark.parametrize(("sizes", "margins"), SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_the_estimate_and_its_error_are_those_of_least_squares(
    sizes: tuple[int, ...], margins: tuple[Axes, ...], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    weights = (int(generator.integers(1, 5)), *map(int, generator.integers(0, 5, len(margins))))
    strategy = Strategy(sizes, margins, weights)
    draws = generator.normal(size=sum(len(queries(sizes, kept)) for kept, _ in strategy.measured))
    covariance, solve = least_squares(strategy)
    ends = np.cumsum([len(queries(sizes, kept)) for kept, _ in strategy.measured])[:-1]
    tables = [
        piece / weight
        for piece, (_, weight) in zip(np.split(draws, ends), strategy.measured, strict=True)
    ]
    shaped = [
        table.reshape([sizes[axis] for axis in kept])
        for table, (kept, _) in zip(tables, strategy.measured, strict=True)
    ]

    found = strategy.estimate(shaped)

    assert found.reshape(-1) == pytest.approx(solve @ draws, abs=2**-20)
    for kept in (tuple(range(len(sizes))), *margins, ()):
        asked = queries(sizes, kept)
        coefficients = (asked @ solve)[0]
        root, concentration = strategy.spread(kept)
        assert root**2 == pytest.approx((asked @ covariance @ asked.T)[0, 0])
        assert concentration == pytest.approx(
            (coefficients**4).sum() / (coefficients**2).sum() ** 2
        )


def total_error(
    sizes: tuple[int, ...], margins: tuple[Axes, ...], weights: tuple[int, ...], *, gaussian: bool
) -> float:
    """The sum of the variances of all figures, from matrices."""
    covariance, _ = least_squares(Strategy(sizes, margins, weights))
    asked = np.vstack([queries(sizes, kept) for kept in (tuple(range(len(sizes))), *margins)])
    moved = Sensitivity(sum(map(bool, weights)), sum(weights), max(weights))
    scale = squared_sensitivity(moved) if gaussian else moved.d1**2
    return float(scale * np.trace(asked @ covariance @ asked.T))


@pytest.mark.parametrize(
    ("sizes", "margins"), [*SHAPES, ((40,), ((),)), ((8, 6), ((0,), (1,), ()))]
)
@pytest.mark.parametrize("gaussian", [False, True])
def test_no_other_small_weights_have_a_smaller_error(
    sizes: tuple[int, ...], margins: tuple[Axes, ...], gaussian: bool
) -> None:
    weights = allocate(sizes, margins, gaussian=gaussian)

    chosen = total_error(sizes, margins, weights, gaussian=gaussian)
    others = product(range(1, 5), *(range(4) for _ in margins))
    best = min(total_error(sizes, margins, other, gaussian=gaussian) for other in others)

    assert chosen <= best * 1.01  # a search weight by weight may stop a little above the least


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.booleans())
def test_it_is_never_worse_than_cells_alone(sizes: list[int], gaussian: bool) -> None:
    shape = tuple(sizes)
    margins = (*((axis,) for axis in range(len(sizes)) if len(sizes) > 1), ())
    weights = allocate(shape, margins, gaussian=gaussian)
    moved = sum(weights)
    squares = squared_sensitivity(Sensitivity(sum(map(bool, weights)), moved, max(weights)))
    strategy, plain = (
        Strategy(shape, margins, chosen) for chosen in (weights, (1, *(0 for _ in margins)))
    )

    def error(used: Strategy, scale: float) -> float:
        asked = (tuple(range(len(shape))), *margins)
        return sum(
            scale * used.spread(kept)[0] ** 2 * np.prod([shape[axis] for axis in kept])
            for kept in asked
        )

    assert weights[0] >= 1
    assert error(strategy, squares if gaussian else moved**2) <= error(plain, 1) * (1 + 1e-9)


def test_margins_of_a_fitted_table_add_up_to_the_last_digit() -> None:
    strategy = Strategy((20, 30, 10), ((0,), (1, 2), ()), (3, 1, 2, 4))
    generator = np.random.default_rng(5)
    tables = [
        1000 * generator.normal(size=[strategy.sizes[axis] for axis in kept])
        for kept, _ in strategy.measured
    ]

    table = strategy.estimate(tables)

    assert strategy.margin(table, (0,)).sum() == strategy.margin(table, ()).item()
    assert (strategy.margin(table, (0, 1)).sum(axis=1) == strategy.margin(table, (0,))).all()
