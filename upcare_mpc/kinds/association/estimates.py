"""Ratios and differences of two risks from noisy counts, over strata.

Cells come as ``(k, 2, 2)``: stratum; exposed, not exposed; with the outcome, without. In stratum
``k`` they are called

    a  b    n1 = a + b
    c  d    n0 = c + d     n = n1 + n0

Every measure is ``T / B``, sums over the strata that are linear or quadratic in the cells, over n:

    odds ratio       T = a d / n          B = b c / n           Mantel and Haenszel 1959
    risk ratio       T = a n0 / n         B = c n1 / n          Greenland and Robins 1985
    risk difference  T = (a n0 - c n1)/n  B = n1 n0 / n         Greenland and Robins 1985

With one stratum these are the plain ones. Sampling variance: Robins, Breslow and Greenland (1986)
for the logarithm of the odds ratio, Greenland and Robins (1985) for that of the risk ratio; with
one stratum Woolf's and the usual one. A risk difference has Newcombe's hybrid score limits (1998,
method 10), put together over the strata by their weights: with few events the usual ones are
narrow.

Noise: ``dp`` holds every value r for which ``T - r B`` is not further from 0 than noise carries it
(Fieller 1940), by the delta method in every cell. Noise is not symmetric in a ratio, and this is
not either. ``ci`` goes further by the root of the sum of squares of that and of 1.96 standard
errors, on the scale of the logarithm for ratios (the variance estimates recovered, Zou and Donner
2008). Where there is no noise it is the textbook interval.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, hypot, log, nan, sqrt
from typing import Final

import numpy as np

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw
from upcare_mpc.kinds.sums import noise_reach, wilson

__all__ = [
    "MEASURES",
    "NO_PATIENTS",
    "Estimate",
    "Parts",
    "compare",
    "odds_ratio",
    "risk_difference",
    "risk_ratio",
    "usable",
]

NO_PATIENTS: Final = "no stratum has patients of both categories that stand out from the noise"
_NONE: Final = "no patient with the outcome in one of the two groups, or all of them"
_DROWNED: Final = "the noise could have made the counts behind it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a measure is made of.

    Attributes:
        top, bottom: T and B.
        top_slopes, bottom_slopes: Their derivatives in the cells, ``(k, 2, 2)``.
        below, above: How far sampling alone carries it down and up, 19 times in 20; the logarithm
            of a ratio, a difference itself.
    """

    top: float
    bottom: float
    top_slopes: Floats
    bottom_slopes: Floats
    below: float
    above: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measure with its intervals, or why there is none."""

    value: float | None = None
    dp_low: float | None = None
    dp_high: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    remark: str | None = None


def _sides(cells: Floats) -> tuple[Floats, ...]:
    a, b, c, d = cells[:, 0, 0], cells[:, 0, 1], cells[:, 1, 0], cells[:, 1, 1]
    return a, b, c, d, a + b, c + d, a + b + c + d


def _slopes(*by_cell: Floats, less: Floats) -> Floats:
    """Derivatives of x / n in a, b, c, d, if those of x are ``by_cell`` and ``less`` is x / n."""
    slopes: Floats = np.stack([slope - less for slope in by_cell], axis=-1).reshape(-1, 2, 2)
    return slopes


def odds_ratio(cells: Floats) -> Parts:
    """The Mantel-Haenszel odds ratio."""
    a, b, c, d, _, _, n = _sides(cells)
    r, s = a * d / n, b * c / n
    p, q = (a + d) / n, (b + c) / n
    top, bottom = float(r.sum()), float(s.sum())
    nil = np.zeros_like(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (
            np.divide((p * r).sum(), 2 * top**2)
            + np.divide((p * s + q * r).sum(), 2 * top * bottom)
            + np.divide((q * s).sum(), 2 * bottom**2)
        )
    return Parts(
        top=top,
        bottom=bottom,
        top_slopes=_slopes(d / n, nil, nil, a / n, less=r / n),
        bottom_slopes=_slopes(nil, c / n, b / n, nil, less=s / n),
        **_alike(float(variance)),
    )


def risk_ratio(cells: Floats) -> Parts:
    """The Mantel-Haenszel risk ratio."""
    a, _, c, _, n1, n0, n = _sides(cells)
    r, s = a * n0 / n, c * n1 / n
    top, bottom = float(r.sum()), float(s.sum())
    nil = np.zeros_like(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.divide((((a + c) * n1 * n0 - a * c * n) / n**2).sum(), top * bottom)
    return Parts(
        top=top,
        bottom=bottom,
        top_slopes=_slopes(n0 / n, nil, a / n, a / n, less=r / n),
        bottom_slopes=_slopes(c / n, c / n, n1 / n, nil, less=s / n),
        **_alike(float(variance)),
    )


def _alike(variance: float) -> dict[str, float]:
    """How far sampling carries a logarithm either way; no number where noise made it impossible."""
    error = Z95 * sqrt(variance) if variance >= 0 else nan
    return {"below": error, "above": error}


def risk_difference(cells: Floats) -> Parts:
    """The Mantel-Haenszel risk difference."""
    a, _, c, _, n1, n0, n = _sides(cells)
    r, s = (a * n0 - c * n1) / n, n1 * n0 / n
    bottom = float(s.sum())
    below1, above1 = wilson(np.clip(a / n1, 0, 1), n1)
    below0, above0 = wilson(np.clip(c / n0, 0, 1), n0)
    weights = s / bottom
    return Parts(
        top=float(r.sum()),
        bottom=bottom,
        top_slopes=_slopes((n0 - c) / n, -c / n, (a - n1) / n, a / n, less=r / n),
        bottom_slopes=_slopes(n0 / n, n0 / n, n1 / n, n1 / n, less=s / n),
        below=float(np.sqrt((weights**2 * (below1**2 + above0**2)).sum())),
        above=float(np.sqrt((weights**2 * (above1**2 + below0**2)).sum())),
    )


MEASURES: Final[tuple[tuple[str, Callable[[Floats], Parts], bool], ...]] = (
    ("odds ratio", odds_ratio, True),
    ("risk ratio", risk_ratio, True),
    ("risk difference", risk_difference, False),
)
"""Name, formula, and whether it is a ratio."""


def usable(cells: Floats, draws: int, noise: NoiseLaw) -> Floats:
    """Return the strata in which both groups stand out from the noise.

    Args:
        cells: ``(k, 2, 2)``.
        draws: Draws of noise in each cell.
        noise: The law of a draw.
    """
    beyond = sqrt(2 * draws) * float(noise.reach(1 / (2 * draws)))
    kept: Floats = cells[(cells.sum(axis=2) > beyond).all(axis=1)]
    return kept


def compare(parts: Parts, draws: int, noise: NoiseLaw, *, ratio: bool) -> Estimate:
    """Estimate ``T / B``.

    Args:
        parts: What it is made of.
        draws: Draws of noise in each cell.
        noise: The law of a draw.
        ratio: Whether it has to be positive, and is told on the scale of the logarithm.
    """
    top, bottom = parts.top, parts.bottom
    if bottom <= 0 or (ratio and top <= 0):
        return Estimate(remark=_DROWNED if noise.variance else _NONE)
    value = top / bottom
    limits = _fieller(parts, draws, noise)
    beyond = not ratio and not -1 <= value <= 1
    if limits is None or (ratio and limits[0] <= 0) or beyond or not parts.below >= 0:
        return Estimate(remark=_DROWNED)
    low, high = limits
    if not ratio:
        return Estimate(
            value=value,
            dp_low=max(low, -1.0),
            dp_high=min(high, 1.0),
            ci_low=max(value - hypot(value - low, parts.below), -1.0),
            ci_high=min(value + hypot(high - value, parts.above), 1.0),
        )
    return Estimate(
        value=value,
        dp_low=low,
        dp_high=high,
        ci_low=value * exp(-hypot(log(value / low), parts.below)),
        ci_high=value * exp(hypot(log(high / value), parts.above)),
    )


def _fieller(parts: Parts, draws: int, noise: NoiseLaw) -> tuple[float, float] | None:
    """Solve (T - r B)^2 = k^2 var(T - r B) for r; None if that is no interval."""
    if noise.variance == 0:
        value = parts.top / parts.bottom
        return value, value
    along = parts.top_slopes - parts.top / parts.bottom * parts.bottom_slopes
    squares, fourths = draws * (along**2).sum(), draws * (along**4).sum()
    reached = float(noise_reach(noise, squares, fourths)) ** 2 / float(squares)
    a = parts.bottom**2 - reached * draws * float((parts.bottom_slopes**2).sum())
    b = parts.top * parts.bottom - reached * draws * float(
        (parts.top_slopes * parts.bottom_slopes).sum()
    )
    c = parts.top**2 - reached * draws * float((parts.top_slopes**2).sum())
    within = b**2 - a * c
    if a <= 0 or within < 0:
        return None
    return (b - sqrt(within)) / a, (b + sqrt(within)) / a
