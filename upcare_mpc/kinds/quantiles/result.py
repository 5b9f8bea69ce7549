"""Quantiles from a noisy histogram, with intervals that know the noise.

1. Cumulative counts: sums of the noisy counts from the left. Noise makes them fall here and there;
   the nearest rising ones between 0 and the total (least squares, by pooling adjacent violators:
   Barlow, Bartholomew, Bremner and Brunk 1972) replace them. This costs no privacy.
2. Estimate: where the cumulative count reaches the share asked for, on a straight line inside a
   range. A value of 62 completed years lies anywhere from 62 to 63, and so may a quantile.
3. Intervals (Woodruff, J. Am. Stat. Assoc. 47, 635-646, 1952): the values at which the cumulative
   count is within ``q`` standard deviations of that share of the total. Of B ranges with k to the
   left and a part f of the next, the noise in ``left - p total`` has the variance of
   ``(1 - p)^2 k + (f - p)^2 + p^2 (B - k - 1)`` draws; patients add ``N p (1 - p)``. That of the
   rising counts is widened to every inner edge at which the sum as it came out is within what is
   missed there: the repair moves the curve, and in the tails noise differs along it.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result
from upcare_mpc.kinds.sums import reach

if TYPE_CHECKING:
    from upcare_mpc.kinds.quantiles.kind import Quantiles, Ranges

__all__ = ["Quantile", "of", "quantile", "share_error"]

RARELY: Final = 0.05  # chance that any range carries noise; below it the reach is that of none
_FIGURES: Final = ("estimate", "dp_low", "dp_high", "ci_low", "ci_high")
TOO_FEW: Final = "too few patients for this noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A quantile of one group and its intervals."""

    estimate: float
    dp_low: float
    dp_high: float
    ci_low: float
    ci_high: float


def share_error(
    noise: NoiseLaw, share: float, left: float, ranges: int, *, sampling: float = 0.0
) -> float:
    """How far 95 % of ``left - share * total`` reach, in patients.

    Noise is in whole patients: unless hardly any range carries noise, one patient's share at least.

    Args:
        noise: The law of a draw.
        share: 0 to 1.
        left: Ranges to the left; of the one where the quantile is, a part.
        ranges: All ranges.
        sampling: Variance that the patients add.
    """
    at = np.array([left], dtype=np.float64)
    return float(_share_errors(noise, share, at, ranges, sampling=sampling)[0])


def _share_errors(
    noise: NoiseLaw, share: float, left: Floats, ranges: int, *, sampling: float
) -> Floats:
    """``share_error`` at several places."""
    whole = np.minimum(np.floor(left), ranges - 1)
    part, right = left - whole - share, ranges - 1 - whole
    draws = whole * (1 - share) ** 2 + right * share**2 + part**2
    fourth = whole * (1 - share) ** 4 + right * share**4 + part**4
    missed = reach(noise, draws * noise.variance + sampling, fourth * noise.variance**2)
    least = max(share, 1 - share) if ranges * noise.variance > RARELY else 0.0
    most: Floats = np.maximum(missed, least)
    return most


def quantile(
    counts: npt.NDArray[np.generic], edges: tuple[int, ...], share: float, noise: NoiseLaw
) -> Quantile | None:
    """Estimate one quantile from the noisy counts of one group; None if there are too few.

    Args:
        counts: ``(ranges,)``.
        edges: ``ranges + 1``; the first and the last are the ends of what is possible.
        share: 0 to 1, between.
        noise: The law of the noise in each count.
    """
    values = counts.astype(np.float64)
    total, ranges = float(values.sum()), len(values)
    if total < 1 or total <= share_error(noise, 1.0, 0, ranges):
        return None
    rising = np.clip(isotonic_regression(np.cumsum(values)[:-1]).x, 0, total)
    curve = _Curve(np.array([0.0, *rising, total]), np.array(edges, dtype=np.float64))
    estimate = (curve.first(share * total) + curve.last(share * total)) / 2
    left = float(np.interp(estimate, curve.edges, np.arange(ranges + 1)))
    dp = share_error(noise, share, left, ranges)
    ci = share_error(noise, share, left, ranges, sampling=total * share * (1 - share))
    inner = np.arange(1, ranges)
    strayed = abs(np.cumsum(values)[:-1] - share * total)

    def interval(missed: float, sampling: float) -> tuple[float, float]:
        errors = _share_errors(noise, share, inner.astype(np.float64), ranges, sampling=sampling)
        near = curve.edges[inner[strayed <= errors]]
        low, high = curve.first(share * total - missed), curve.last(share * total + missed)
        return float(min([low, *near])), float(max([high, *near]))

    dp_low, dp_high = interval(dp, 0.0)
    ci_low, ci_high = interval(ci, total * share * (1 - share))
    return Quantile(
        estimate=estimate, dp_low=dp_low, dp_high=dp_high, ci_low=ci_low, ci_high=ci_high
    )


@dataclass(frozen=True, slots=True)
class _Curve:
    """Cumulative counts at edges, a straight line between; and its inverse."""

    counts: Floats
    edges: Floats

    def first(self, count: float) -> float:
        """The lowest value at which so many lie below."""
        return self._between(int(np.searchsorted(self.counts, count, side="left")), count)

    def last(self, count: float) -> float:
        """The highest value at which no more lie below."""
        return self._between(int(np.searchsorted(self.counts, count, side="right")), count)

    def _between(self, end: int, count: float) -> float:
        if end == 0:
            return float(self.edges[0])
        if end == len(self.counts):
            return float(self.edges[-1])
        start = end - 1
        inside = (count - self.counts[start]) / (self.counts[end] - self.counts[start])
        return float(self.edges[start] + inside * (self.edges[end] - self.edges[start]))


def of(quantiles: "Quantiles", noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
    """Return one row a group and quantile."""
    layout = quantiles.layout()
    if noisy.shape != (layout.cells,):
        raise StudyError(f"quantiles: wanted {layout.cells} cells, got {noisy.shape}")
    ranges = quantiles.ranges
    counts = noisy.reshape(-1, len(ranges.all_edges) - 1)
    shape = layout.tables[0].shape[:-1]
    records: list[dict[str, object]] = []
    for group, own in enumerate(counts):
        place = np.unravel_index(group, shape) if shape else ()
        labels = {
            axis.name: axis.labels[int(code)]
            for axis, code in zip(quantiles.axes, place, strict=True)
        }
        for percent in quantiles.percents:
            found = _held(quantile(own, ranges.all_edges, percent / 100, noise), ranges)
            records.append(
                {
                    "variable": ranges.name,
                    **labels,
                    "percent": percent,
                    "patients": int(own.sum()),
                    **(dict.fromkeys(_FIGURES) if isinstance(found, str) else asdict(found)),
                    "remark": found if isinstance(found, str) else None,
                }
            )
    rows = pd.DataFrame(records)
    rows = rows.astype(dict.fromkeys((*_FIGURES, "remark"), object)).where(rows.notna(), None)
    width = ranges.edges[1] - ranges.edges[0]
    return Result(
        rows=rows,
        statistics={
            f"ranges of {ranges.name}": {
                "from": ranges.edges[0],
                "to": ranges.edges[-1] - 1,
                "width": width,
            }
        },
        notes=(
            f"Inside a range of {width} {ranges.number.unit} patients are spread evenly.",
            "A whole number stands for all values up to the next.",
            f"No interval counts the grouping: up to a width, {width} {ranges.number.unit}.",
        ),
    )


def _held(found: Quantile | None, ranges: "Ranges") -> Quantile | str:
    """Say so if a quantile is outside the ranges asked for; there, a bound is what is possible."""
    first, last = ranges.edges[0], ranges.edges[-1]
    if found is None:
        return TOO_FEW
    if ranges.below and found.estimate < first:
        return f"below {first}, where the ranges begin"
    if ranges.above and found.estimate > last:
        return f"above {last - 1}, where the ranges end"

    def low(bound: float) -> float:
        return bound if bound >= first else float(ranges.number.low)

    def high(bound: float) -> float:
        return bound if bound <= last else float(ranges.number.high + 1)

    return Quantile(
        estimate=found.estimate,
        dp_low=low(found.dp_low),
        dp_high=high(found.dp_high),
        ci_low=low(found.ci_low),
        ci_high=high(found.ci_high),
    )
