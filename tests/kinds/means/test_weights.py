"""The budget's split is near the best one for real numbers, and fits whole ones."""

import numpy as np
import pytest

from upcare_mpc.kinds.means.weights import Part, weights

_COST = {"patients": 0.0625, "sum": 1.5625, "squares": 2.25, "products": 9.0}  # see the module
TWO: tuple[Part, ...] = ("patients", "sum", "sum", "squares", "squares", "products")


def squared_error(parts: tuple[Part, ...], moved: np.ndarray) -> float:
    costs = np.array([_COST[part] for part in parts])
    return float((costs / moved**2).sum() * moved.sum() ** 2)


@pytest.mark.parametrize(
    ("parts", "reaches"),
    [
        (("patients", "sum"), (1, 1825)),
        (("patients", "sum", "squares"), (1, 41, 41**2)),
        (("patients", "sum", "squares"), (1, 8, 64)),
        (TWO, (1, 20, 20, 400, 400, 400)),
    ],
)
def test_the_split_is_within_a_tenth_of_the_best_one(
    parts: tuple[Part, ...], reaches: tuple[int, ...]
) -> None:
    moved = np.array(weights(parts, reaches, 4096)) * reaches
    best = np.array([_COST[part] for part in parts]) ** (1 / 3)  # least sum of cost / share^2

    assert moved.max() <= 4096
    assert squared_error(parts, moved) <= 1.1 * squared_error(parts, best)
    assert squared_error(parts, np.array(reaches)) > 1.2 * squared_error(parts, best)


def test_a_large_product_leaves_little_choice_and_still_fits() -> None:
    moved = np.array(weights(TWO, (1, 64, 64, 4096, 4096, 4096), 4096)) * (
        1,
        64,
        64,
        4096,
        4096,
        4096,
    )

    assert moved.max() == 4096
    assert moved[0] > 100  # the count is not left to drown in the noise of the squares
