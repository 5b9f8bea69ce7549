"""Lower bounds on epsilon and rho from what a mechanism was seen to do.

An auditor sees releases of two neighbouring data sets, one WITH a patient and one WITHOUT her. If
the mechanism is (epsilon, delta)-private, then for every event E

    P(E | with) <= e^epsilon P(E | without) + delta,       and the same the other way round;

if it is rho-zCDP, the Kullback-Leibler divergence of the two chances of E is at most rho (Bun and
Steinke, TCC 2016: Renyi divergence of order 1, and data processing).

Half of the releases serve to choose the event, the other half to bound its two chances by Clopper
and Pearson (1934), so that the bound on epsilon holds with the stated confidence (Ding, Wang, Wang,
Zhang and Kifer, CCS 2018; Jagielski, Ullman and Oprea, NeurIPS 2020; Nasr et al., USENIX Security
2023). Events are "the cell reads at least k" and "at most k": for noise that falls off on both
sides no others tell more.

Limits: a bound below the stated epsilon proves nothing; one above it proves a mistake.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log

import numpy as np
from laws import LEVEL, Sample
from scipy.stats import beta

__all__ = ["epsilon_at_least", "rho_at_least"]

Chances = tuple[float, float]  # of an event, bounded from below where likely, from above where rare


@dataclass(frozen=True)
class Event:
    """``sign * value >= edge``; it speaks for the patient if ``sign`` is 1, else against her."""

    sign: int
    edge: int

    def count(self, sample: Sample) -> int:
        """How often it occurs."""
        return int((self.sign * sample >= self.edge).sum())


def epsilon_at_least(
    present: Sample, absent: Sample, *, delta: float, error: float = LEVEL
) -> float:
    """Bound epsilon from below; wrong with chance at most ``error``.

    Args:
        present: What the patient's cell read in each release with her, less the other patients.
        absent: The same without her.
        delta: What the release states.
        error: Chance that the bound is above the true epsilon.
    """

    def epsilon(chances: Chances) -> float:
        low, high = chances[0] - delta, chances[1]
        return log(low / high) if low > high else 0.0

    return _bound(present, absent, epsilon, error)


def rho_at_least(present: Sample, absent: Sample, *, error: float = LEVEL) -> float:
    """Bound rho from below, as ``epsilon_at_least``. A delta of 2^-40 is nothing here."""

    def divergence(chances: Chances) -> float:
        low, high = chances
        if low <= high:
            return 0.0
        rest = (1 - low) * log((1 - low) / (1 - high)) if low < 1 else 0.0
        return low * log(low / high) + rest

    return _bound(present, absent, divergence, error)


def _bound(
    present: Sample, absent: Sample, loss: Callable[[Chances], float], error: float
) -> float:
    """Choose the event with the largest loss on the first halves, bound it on the second."""
    first, second = present[: len(present) // 2], present[len(present) // 2 :]
    before, after = absent[: len(absent) // 2], absent[len(absent) // 2 :]
    chosen = max(_events(first, before), key=lambda e: loss(_chances(e, first, before, error)))
    return loss(_chances(chosen, second, after, error))


def _events(present: Sample, absent: Sample) -> Iterator[Event]:
    both = np.concatenate((present, absent))
    for edge in range(int(np.quantile(both, 0.01)), int(np.quantile(both, 0.99)) + 1):
        yield Event(1, edge)
        yield Event(-1, -edge)


def _chances(event: Event, present: Sample, absent: Sample, error: float) -> Chances:
    likely, rare = (present, absent) if event.sign == 1 else (absent, present)
    low = _at_least(event.count(likely), len(likely), error / 2)
    high = 1 - _at_least(len(rare) - event.count(rare), len(rare), error / 2)
    return low, high


def _at_least(count: int, trials: int, error: float) -> float:
    """One-sided Clopper-Pearson bound: the chance is lower with probability at most ``error``."""
    return float(beta.ppf(error, count, trials - count + 1)) if count else 0.0
