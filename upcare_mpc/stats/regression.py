"""Logistic, Poisson and piecewise-exponential regression from individual patients, in the clear.

Each patient is a row of numbers, the first one usually 1. Newton's method on the likelihood; the
standard errors are those of the observed information.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["Model", "logistic", "piecewise_hazards", "poisson"]


@dataclass(frozen=True, slots=True)
class Model:
    """Coefficients and their standard errors."""

    coefficients: tuple[float, ...]
    errors: tuple[float, ...]


def logistic(rows: Sequence[Sequence[float]], outcome: Sequence[bool]) -> Model:
    """The log odds of the outcome."""
    x, y = np.array(rows, dtype=float), np.array(outcome, dtype=float)
    b = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ b))
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (y - p))
        b = b + step
        if np.abs(step).max() < 1e-13:
            break
    p = 1 / (1 + np.exp(-x @ b))
    return _model(b, (x.T * (p * (1 - p))) @ x)


def poisson(
    rows: Sequence[Sequence[float]], events: Sequence[float], time: Sequence[float]
) -> Model:
    """The log rate of events."""
    x, y, t = np.array(rows, dtype=float), np.array(events, dtype=float), np.array(time)
    kept = t > 0
    x, y, t = x[kept], y[kept], t[kept]
    b = np.linalg.lstsq(x, np.full(len(y), np.log(y.sum() / t.sum())), rcond=None)[0]
    for _ in range(100):
        mu = t * np.exp(x @ b)
        step = np.linalg.solve((x.T * mu) @ x, x.T @ (y - mu))
        b = b + step
        if np.abs(step).max() < 1e-13:
            break
    return _model(b, (x.T * (t * np.exp(x @ b))) @ x)


def piecewise_hazards(
    rows: Sequence[Sequence[float]],
    days: Sequence[int],
    died: Sequence[bool],
    edges: Sequence[int],
) -> Model:
    """The log hazard a year: first of each interval (edges[i], edges[i+1]], then of ``rows``.

    Whoever leaves an interval, by death or alive, was there for half of it.
    """
    x, events, time = [], [], []
    for row, last, dead in zip(rows, days, died, strict=True):
        for number, (start, end) in enumerate(pairwise(edges)):
            if last <= start and number > 0:
                break
            here = [float(number == k) for k in range(len(edges) - 1)]
            x.append([*here, *row])
            events.append(float(dead and last <= end))
            time.append((end - start) / 365.25 * (0.5 if last <= end else 1.0))
    return poisson(x, events, time)


def _model(b: npt.NDArray[np.float64], information: npt.NDArray[np.float64]) -> Model:
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    return Model(tuple(map(float, b)), tuple(map(float, errors)))
