"""Generalised linear models on a noisy table of categories.

Each row of the table has ``y`` events among ``m`` trials, or in ``m`` units of person-time, and
covariates ``x``. The estimate b is the root of

    U(b) = X' (y - m h(X b)),    h logistic, or the exponential function,

which without noise is the score of the logistic and of the Poisson model (McCullagh and Nelder,
Generalized Linear Models, 1989). U is linear in the noisy y and m, so noise of mean 0 leaves it
unbiased, cells are taken as they came out, negative ones too, and nothing is repaired first.

Variance: the sandwich ``A^-1 (A + N) A^-1`` (Huber 1967), where A = X' diag(m h') X is the
information, and N the variance of U under the noise: each draw moves U by a known amount. Without
noise it is ``A^-1``, that of the models' standard errors.

No finite root exists where a category has no events, or nothing but events (separation, Albert and
Anderson 1984). With noise this cannot be told from a category with few. A column is therefore left
out, together with its rows, if its events, or trials without, do not stand out from the noise: that
is the limit to which the model without noise goes, and the other coefficients are those of it. No
penalty (Firth 1993) is put on: it would answer with a number where the data have none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, expit

from upcare_mpc.kinds.kind import Floats, NoiseLaw
from upcare_mpc.kinds.sums import noise_reach, reach

__all__ = [
    "FEW_EVENTS",
    "FEW_OTHERS",
    "NEAR_EVENTS",
    "NEAR_OTHERS",
    "NOBODY",
    "NO_ROOT",
    "WIDE",
    "Fit",
    "Table",
    "fit",
    "near",
    "reasons",
    "solve",
]

NOBODY: Final = "no patients that stand out from the noise"
FEW_EVENTS: Final = "no events that stand out from the noise: the ratio would be 0"
FEW_OTHERS: Final = "no patients without the event that stand out from the noise: no finite ratio"
NEAR_EVENTS: Final = "its events are just above the noise: likely too large"
NEAR_OTHERS: Final = "its patients are just above the noise: likely too small"
NO_ROOT: Final = "no finite estimate: the categories separate those with the event from the others"
WIDE: Final = "nothing can be said: its interval reaches a thousand times up and down"

_STANDS_OUT: Final = 2.0  # times the reach of the noise, as regression_tables.baseline has it
_NEAR: Final = 4.0
_STEPS: Final = 60
_LONGEST_STEP: Final = 2.0
_FAR: Final = 30.0
_SINGULAR: Final = 1e-10

_Truths = npt.NDArray[np.bool_]
Pull = Callable[[Floats, Floats], Floats]
"""From weights of y and of m, each ``(r, k)``, to those of the draws of noise, ``(z, k)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A noisy table, as a model reads it.

    Attributes:
        events: ``(r,)`` y.
        size: ``(r,)`` m.
        pull: How the draws of noise are in them.
        link: ``logistic`` if events are among trials, ``log`` if they are a rate.
    """

    events: Floats
    size: Floats
    pull: Pull
    link: Literal["logistic", "log"]

    def mean(self, predictor: Floats) -> tuple[Floats, Floats]:
        """Return h and its derivative."""
        if self.link == "log":
            rate = np.exp(np.clip(predictor, -700, 100))
            return rate, rate
        chance = expit(predictor)
        return chance, chance * (1 - chance)


def reasons(
    table: Table, indicators: Floats, noise: NoiseLaw, *, joined: _Truths | None = None
) -> list[str | None]:
    """Say why coefficients cannot be estimated; None where they can be.

    Args:
        table: The noisy table.
        indicators: ``(r, p)`` a column for each coefficient, 1 in the rows that it is about.
        noise: The law of a draw.
        joined: ``(p,)`` those that are no rare categories: the baseline, for which intervals were
            joined until they stand out. Once the reach is enough for them.
    """
    if joined is None:
        joined = np.zeros(indicators.shape[1], dtype=bool)
    times = np.where(joined, 1.0, _STANDS_OUT)
    return [
        NOBODY if not here else FEW_EVENTS if not some else None if rest else FEW_OTHERS
        for here, some, rest in zip(*_beyond(table, indicators, noise, times), strict=True)
    ]


def near(table: Table, indicators: Floats, noise: NoiseLaw) -> list[str | None]:
    """Say of coefficients that can be estimated to which side noise has likely carried them.

    Args:
        table: The noisy table.
        indicators: As for ``reasons``.
        noise: The law of a draw.
    """
    return [
        NEAR_EVENTS if not some else None if here and rest else NEAR_OTHERS
        for here, some, rest in zip(
            *_beyond(table, indicators, noise, np.array(_NEAR)), strict=True
        )
    ]


def _beyond(
    table: Table, indicators: Floats, noise: NoiseLaw, times: Floats
) -> tuple[_Truths, ...]:
    """Whether anybody, events, and those without are more than some times the noise's reach."""
    nil = np.zeros_like(indicators)

    def stands_out(by_events: Floats, by_size: Floats) -> _Truths:
        total = table.events @ by_events + table.size @ by_size
        pulled = table.pull(by_events, by_size)
        beyond = times * noise_reach(noise, (pulled**2).sum(axis=0), (pulled**4).sum(axis=0))
        out: _Truths = total > (beyond if noise.variance else 1e-9)
        return out

    anybody, any_events = stands_out(nil, indicators), stands_out(indicators, nil)
    any_others = np.ones_like(anybody)
    if table.link == "logistic":
        any_others = stands_out(-indicators, indicators)
    return anybody, any_events, any_others


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model; ``p`` coefficients.

    Attributes:
        coefficients: ``(p,)``.
        sampling: ``(p, p)`` covariance from the patients' own chance.
        added: ``(p, p)`` covariance from the noise.
        dp_reach: ``(p,)`` how far 95 % of the noise moves a coefficient.
        ci_reach: ``(p,)`` of patients and noise.
    """

    coefficients: Floats
    sampling: Floats
    added: Floats
    dp_reach: Floats
    ci_reach: Floats

    def test(self, columns: list[int]) -> tuple[float, float, int]:
        """Test (Wald) whether some coefficients are all 0: p, p noise-aware, degrees of freedom."""
        own = np.ix_(columns, columns)
        some, df = self.coefficients[columns], len(columns)
        plain = some @ np.linalg.solve(self.sampling[own], some)
        aware = some @ np.linalg.solve((self.sampling + self.added)[own], some)
        return float(plain), float(chdtrc(df, aware)), df


def fit(table: Table, design: Floats, noise: NoiseLaw) -> Fit | None:
    """Fit the model.

    Args:
        table: The noisy table.
        design: ``(r, p)`` X; a row of zeros takes no part, except that it is counted with h(0).
        noise: The law of a draw.

    Returns:
        None if there is no finite root, or too little information for one.
    """
    coefficients = solve(table, design)
    if coefficients is None:
        return None
    mean, slope = table.mean(design @ coefficients)
    information = design.T @ ((table.size * slope)[:, None] * design)
    sampling: Floats = np.linalg.inv(information).astype(np.float64)
    pulled = table.pull(design, -mean[:, None] * design) @ sampling
    squares, fourths = (pulled**2).sum(axis=0), (pulled**4).sum(axis=0)
    own = np.diag(sampling)
    return Fit(
        coefficients=coefficients,
        sampling=sampling,
        added=noise.variance * (pulled.T @ pulled),
        dp_reach=noise_reach(noise, squares, fourths) if noise.variance else np.zeros(len(own)),
        ci_reach=reach(noise, own + noise.variance * squares, noise.variance**2 * fourths),
    )


def solve(table: Table, design: Floats) -> Floats | None:
    """Return the root of U by Newton's method, in steps of bounded length; None without one."""
    coefficients: Floats = np.zeros(design.shape[1])
    if table.link == "log":  # start with the overall rate, in the space of the columns
        rate = table.events.sum() / table.size.sum()
        start = np.full(len(design), np.log(rate)) if rate > 0 else np.zeros(len(design))
        coefficients = np.asarray(np.linalg.lstsq(design, start, rcond=None)[0], dtype=np.float64)
    for _ in range(_STEPS):
        mean, slope = table.mean(design @ coefficients)
        score = design.T @ (table.events - table.size * mean)
        information = design.T @ ((table.size * slope)[:, None] * design)
        scale = np.sqrt(np.abs(np.diag(information)))
        if not (scale > 0).all():
            return None
        if np.linalg.eigvalsh(information / np.outer(scale, scale))[0] < _SINGULAR:
            return None
        step = np.linalg.solve(information, score)
        longest = float(np.abs(step).max())
        moved: Floats = coefficients + step * min(1.0, _LONGEST_STEP / max(longest, 1e-300))
        coefficients = moved
        if np.abs(coefficients).max() > _FAR:
            return None
        if longest < 1e-9:
            return coefficients
    return None
