"""Researchers who mix Laplace and Gaussian studies to learn more than the cap allows.

A registry promises that all answers together are (epsilon, delta)-private. Laplace studies may be
counted by their epsilons or by their rhos, Gaussian ones by rho alone; who may choose the order and
the sizes after every answer tries to be counted by the sum that suits her each time. Here every
order is played against the ledger, and what it admitted is added up a second time, by another
road: the distribution of the privacy loss of the implemented laws themselves, convolved.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from upcare_mpc.errors import BudgetExceeded
from upcare_mpc.journal import GENESIS, Entry, append
from upcare_mpc.privacy.accountant import Cap, Loss
from upcare_mpc.privacy.guarantee import gaussian_release, laplace_release
from upcare_mpc.privacy.ledger import Caps, Charge, Key, Ledger
from upcare_mpc.study.layout import Sensitivity

EPSILON, DELTA = Fraction(4), Fraction(1, 10**5)
ONE = Sensitivity(1, 1, 1)
STEP = 2e-4  # of the grid of losses; each loss is rounded DOWN, so that no excess is made here
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

Study = tuple[str, Fraction]
Strategy = Callable[[], Iterator[Study]]


@cache
def release(mechanism: str, epsilon: Fraction) -> tuple[Loss, npt.NDArray[np.float64]]:
    """What a study costs, and the law of its noise in one cell."""
    if mechanism == "laplace":
        law, guarantee = laplace_release(epsilon, ONE, 1)
    else:
        law, guarantee = gaussian_release(epsilon, Fraction(1, 10**9), ONE, 1)
    reach = min(law.support, 60 * int(guarantee.scale + 1))
    return guarantee.loss, np.array([float(law.pmf(k)) for k in range(-reach, reach + 1)])


def admitted(cap: Cap, strategy: Strategy, *, most: int = 400) -> list[Study]:
    """Play a strategy against a ledger until it has been refused three times in a row."""
    entries: list[Entry] = []
    answers, refused = [], 0
    for number, (mechanism, epsilon) in enumerate(strategy()):
        ledger = Ledger.replay(Caps(everything=cap), entries)
        key = Key(study=number.to_bytes(32, "big"), session=bytes(32))
        charge = Charge(loss=release(mechanism, epsilon)[0], purpose="DUO:0000007")
        try:
            event = ledger.reserve(key, charge)
        except BudgetExceeded:
            refused += 1
            if refused == 3:
                break
            continue
        head = entries[-1].head if entries else GENESIS
        entries.append(append(head, event, time=NOON))
        answers.append((mechanism, epsilon))
        refused = 0
        if len(answers) == most:
            break
    return answers


def delta_of(studies: list[Study], epsilon: float) -> float:
    """Delta at ``epsilon`` of all these releases on one patient's cell, from their laws."""
    total, lowest = np.ones(1), 0
    for study in set(studies):
        mass = release(*study)[1]
        here, there = np.append(mass, 0.0), np.append(0.0, mass)
        both = (here > 0) & (there > 0)
        points = np.floor(np.log(here[both] / there[both]) / STEP).astype(int)
        losses = np.bincount(points - points.min(), here[both])
        for _ in range(studies.count(study)):
            size = len(total) + len(losses) - 1
            padded = 1 << (size - 1).bit_length()
            spectrum = np.fft.rfft(total, padded) * np.fft.rfft(losses, padded)
            total = np.maximum(np.fft.irfft(spectrum, padded)[:size], 0)
            lowest += int(points.min())
    loss = (np.arange(len(total)) + lowest) * STEP
    return float((total * np.maximum(0, 1 - np.exp(epsilon - loss))).sum())


def always(*studies: Study) -> Strategy:
    """The same studies in turn, for ever."""

    def turns() -> Iterator[Study]:
        while True:
            yield from studies

    return turns


def first(number: int, study: Study, then: Study) -> Strategy:
    """Some of one, then the other for ever."""

    def turns() -> Iterator[Study]:
        yield from [study] * number
        yield from always(then)()

    return turns


HALF, TENTH = Fraction(1, 2), Fraction(1, 10)
STRATEGIES: dict[str, Strategy] = {
    "large Laplace": always(("laplace", Fraction(1))),
    "small Laplace": always(("laplace", TENTH)),
    "Gaussian": always(("gaussian", Fraction(1))),
    "in turn": always(("laplace", TENTH), ("gaussian", HALF)),
    "Laplace first": first(3, ("laplace", HALF), then=("gaussian", HALF)),
    "Laplace to the cap, then Gaussian": first(8, ("laplace", HALF), then=("gaussian", TENTH)),
    "Gaussian first": first(1, ("gaussian", TENTH), then=("laplace", HALF)),
}


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda name: name.replace(" ", "-"))
def test_whatever_is_mixed_all_answers_together_keep_the_promise(strategy: str) -> None:
    studies = admitted(Cap.of_epsilon(EPSILON, DELTA), STRATEGIES[strategy], most=120)

    assert studies
    assert delta_of(studies, float(EPSILON)) <= float(DELTA)


def test_a_ledger_that_counted_each_mechanism_by_itself_would_break_the_promise() -> None:
    """The mistake that the story is about: Laplace under epsilon AND Gaussian under rho."""
    cap = Cap.of_epsilon(EPSILON, DELTA)
    laplace = admitted(cap, STRATEGIES["large Laplace"])
    gaussian = admitted(cap, STRATEGIES["Gaussian"])

    assert delta_of(laplace + gaussian, float(EPSILON)) > 100 * float(DELTA)


def test_after_laplace_studies_to_the_cap_not_one_gaussian_study_is_admitted() -> None:
    strategy = STRATEGIES["Laplace to the cap, then Gaussian"]

    studies = admitted(Cap.of_epsilon(EPSILON, DELTA), strategy)

    assert studies == [("laplace", HALF)] * 8
