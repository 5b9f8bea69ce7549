"""Privacy-loss distributions on a grid: never below the truth, and not far above it.

The truth is worked out here by enumeration of all outcomes, in decimals of 60 digits.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import product
from math import ceil, prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.distribution import CURVE_BITS, LossDistribution, compose, of_curve

Pair = Sequence[tuple[Fraction, Fraction]]  # probabilities of each outcome on both data sets

SLACK = Fraction(1, 2**75)  # roundings of masses and tails
TINY = Fraction(1, 10**40)  # what 60 digits leave of a difference
RESPONSE: Pair = [(Fraction(3, 4), Fraction(1, 4)), (Fraction(1, 4), Fraction(3, 4))]
LOPSIDED: Pair = [
    (Fraction(5, 10), Fraction(2, 10)),
    (Fraction(4, 10), Fraction(7, 10)),
    (Fraction(1, 10), Fraction(0)),
    (Fraction(0), Fraction(1, 10)),
]
BALANCED: Pair = [
    (Fraction(6, 10), Fraction(2, 10)),
    (Fraction(1, 10), Fraction(1, 10)),
    (Fraction(2, 10), Fraction(6, 10)),
    (Fraction(1, 10), Fraction(0)),
    (Fraction(0), Fraction(1, 10)),
]

MASSES = st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any)
PAIRS = st.builds(
    lambda p, q: [(Fraction(a, sum(p)), Fraction(b, sum(q))) for a, b in zip(p, q, strict=True)],
    MASSES,
    MASSES,
)
STEPS = st.sampled_from([Fraction(1, 3), Fraction(1, 10), Fraction(1, 37)])
EPSILONS = st.fractions(min_value=0, max_value=4, max_denominator=1000)


@cache
def e_to(x: Fraction) -> Fraction:
    with localcontext(prec=60):
        return Fraction((Decimal(x.numerator) / Decimal(x.denominator)).exp())


def true_delta(pairs: Sequence[Pair], epsilon: Fraction) -> Fraction:
    """The hockey-stick divergence of independent releases, the worse direction."""
    ratio = e_to(epsilon)
    up = down = Fraction(0)
    for outcome in product(*pairs):
        p, q = prod(here for here, _ in outcome), prod(there for _, there in outcome)
        up += max(0, p - ratio * q)
        down += max(0, q - ratio * p)
    return max(up, down)


def on_grid(pair: Pair, step: Fraction, reach: Fraction = Fraction(4)) -> LossDistribution:
    points = range(ceil(reach / step) + 1)
    return of_curve(step, [ceil(true_delta([pair], i * step) * 2**CURVE_BITS) for i in points])


def is_nowhere_below(
    found: LossDistribution, pairs: Sequence[Pair], epsilons: Sequence[Fraction]
) -> bool:
    return all(
        found.delta_at(epsilon) >= min(Fraction(1), true_delta(pairs, epsilon)) - TINY
        for epsilon in epsilons
    )


def test_randomised_response_twice_is_exact_where_the_grid_fits() -> None:
    # ln 3 is no fraction: a step just above ln(3)/64 misses it by 2^-40
    step = Fraction(ceil(Fraction(Decimal(3).ln()) / 64 * 2**40), 2**40)

    twice = compose([on_grid(RESPONSE, step)] * 2)

    # losses are 2 ln 3 with 9/16, 0 with 6/16, -2 ln 3 with 1/16; at 0 delta is 9/16 - 1/16
    assert 0 <= twice.delta_at(Fraction(0)) - Fraction(1, 2) < Fraction(1, 10**9)
    assert twice.delta_at(64 * step) - Fraction(9, 16) * (1 - Fraction(1, 3)) < Fraction(1, 10**9)
    assert twice.leaks < SLACK


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(PAIRS, st.booleans()), min_size=1, max_size=3),
    STEPS,
    st.lists(EPSILONS, min_size=1, max_size=4),
)
def test_composed_curves_are_nowhere_below_the_truth(
    drawn: list[tuple[Pair, bool]], step: Fraction, epsilons: list[Fraction]
) -> None:
    """Also where one patient moves one release up and another one down."""
    found = compose(on_grid(pair, step) for pair, _ in drawn)

    turned = [[(q, p) for p, q in pair] if turn else pair for pair, turn in drawn]
    assert is_nowhere_below(found, turned, epsilons)


@settings(max_examples=60, deadline=None)
@given(PAIRS, STEPS, st.integers(0, 40))
def test_one_release_is_exact_at_the_grid_points(pair: Pair, step: Fraction, point: int) -> None:
    epsilon = point * step
    assume(epsilon <= 4)

    excess = on_grid(pair, step).delta_at(epsilon) - true_delta([pair], epsilon)

    assert -TINY <= excess < SLACK


@pytest.mark.parametrize("pair", [RESPONSE, LOPSIDED])
def test_losses_rounded_down_are_caught(pair: Pair) -> None:
    step, pairs = Fraction(1, 10), [pair] * 3
    epsilons = [Fraction(i, 7) for i in range(20)]
    honest = on_grid(pair, step)
    optimistic = replace(honest, lowest=honest.lowest - 1)

    assert is_nowhere_below(compose([honest] * 3), pairs, epsilons)
    assert not is_nowhere_below(compose([optimistic] * 3), pairs, epsilons)


@pytest.mark.parametrize("pair", [RESPONSE, LOPSIDED])
def test_masses_rounded_down_are_caught(pair: Pair) -> None:
    step = Fraction(1, 10)
    honest = on_grid(pair, step)
    optimistic = replace(honest, masses=tuple(mass >> 40 << 40 for mass in honest.masses))

    epsilons = [i * step for i in range(30)]
    assert is_nowhere_below(honest, [pair], epsilons)
    assert not is_nowhere_below(optimistic, [pair], epsilons)


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=3), EPSILONS)
def test_a_finer_grid_never_says_more(pairs: list[Pair], epsilon: Fraction) -> None:
    coarse, fine = (
        compose(on_grid(pair, step) for pair in pairs).delta_at(epsilon)
        for step in (Fraction(1, 4), Fraction(1, 16))
    )

    assert fine <= coarse + SLACK


@pytest.mark.parametrize("step", [Fraction(1, 3), Fraction(1, 5), Fraction(1, 21), Fraction(1, 83)])
def test_the_gap_to_the_truth_is_of_the_order_of_the_step_squared(step: Fraction) -> None:
    epsilon, pairs = Fraction(1, 2), [BALANCED] * 4

    found = compose([on_grid(BALANCED, step)] * 4)

    assert 0 < found.delta_at(epsilon) - true_delta(pairs, epsilon) < step**2 / 2


@settings(max_examples=60, deadline=None)
@given(PAIRS, STEPS)
def test_a_distribution_is_its_own_mirror_image_of_mass_one(pair: Pair, step: Fraction) -> None:
    found = on_grid(pair, step)

    unit = 2**96
    assert 0 <= sum(found.masses) + found.certain - unit < unit * SLACK
    masses = dict(enumerate(found.masses, found.lowest))
    for point, mass in masses.items():
        if point > 0 and -point in masses:
            assert abs(masses[-point] - mass * e_to(-point * step)) <= unit * SLACK


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=3), STEPS, st.integers(1, 30))
def test_epsilon_at_is_the_inverse_of_delta_at_rounded_up(
    pairs: list[Pair], step: Fraction, bits: int
) -> None:
    found, delta = compose(on_grid(pair, step) for pair in pairs), Fraction(1, 2**bits)
    assume(found.leaks <= delta)

    epsilon = found.epsilon_at(delta)

    assert found.delta_at(epsilon) <= delta
    if epsilon > 0:
        assert found.delta_at(max(Fraction(0), epsilon - Fraction(1, 2**31))) > delta


def test_no_epsilon_makes_certain_outcomes_rarer() -> None:
    with pytest.raises(PrivacyError, match=r"at every epsilon; wanted at most 0\.05"):
        on_grid(LOPSIDED, Fraction(1, 10)).epsilon_at(Fraction(1, 20))


@settings(max_examples=40, deadline=None)
@given(PAIRS, STEPS)
def test_the_curve_is_delta_at_the_grid_points(pair: Pair, step: Fraction) -> None:
    found = on_grid(pair, step)

    for point, delta in enumerate(found.curve(12)):
        difference = Fraction(delta, 2**CURVE_BITS) - found.delta_at(point * step)
        assert abs(min(difference, SLACK)) < SLACK or delta >= 2**CURVE_BITS


def test_bounds_that_are_not_convex_are_still_bounds() -> None:
    step, one = Fraction(1, 10), 2**CURVE_BITS
    deltas = [ceil(true_delta([LOPSIDED], i * step) * one) for i in range(41)]
    bumpy = [delta + (one // 50 if i % 3 == 1 else 0) for i, delta in enumerate(deltas)]

    epsilons = [Fraction(i, 13) for i in range(40)]
    assert is_nowhere_below(of_curve(step, bumpy), [LOPSIDED], epsilons)
    assert is_nowhere_below(compose([of_curve(step, bumpy)] * 3), [LOPSIDED] * 3, epsilons)


def test_powers_are_repeated_products() -> None:
    one = on_grid(LOPSIDED, Fraction(1, 10))
    chain = one
    for _ in range(6):
        chain = compose([chain, replace(one)])

    for epsilon in (Fraction(0), Fraction(1, 3), Fraction(2)):
        assert abs(compose([one] * 7).delta_at(epsilon) - chain.delta_at(epsilon)) < SLACK


def test_trimming_moves_mass_upwards_only() -> None:
    faint = LossDistribution(
        step=Fraction(1), lowest=-2, masses=(5, 0, 2**96 - 20, 0, 7, 0, 8), certain=0
    )

    doubled = compose([faint] * 2)

    assert doubled.certain > 0
    assert sum(doubled.masses) + doubled.certain >= 2**96
    assert (doubled.lowest, len(doubled.masses)) == (0, 1)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (lambda: compose([]), "wanted one grid, got 0"),
        (
            lambda: compose(on_grid(RESPONSE, Fraction(1, n)) for n in (3, 4)),
            "wanted one grid, got 2",
        ),
        (lambda: of_curve(Fraction(1), [1]), "two points or more, got 1 and 1"),
        (lambda: of_curve(Fraction(0), [2, 1]), "wanted step > 0"),
        (
            lambda: LossDistribution(step=Fraction(1), lowest=1, masses=(1,), certain=0),
            "lowest <= 0",
        ),
        (
            lambda: on_grid(RESPONSE, Fraction(1)).delta_at(Fraction(-1)),
            "wanted epsilon >= 0, got -1",
        ),
    ],
)
def test_unusable_arguments_are_named(bad: object, text: str) -> None:
    assert callable(bad)
    with pytest.raises(ValueError, match=text):
        bad()
