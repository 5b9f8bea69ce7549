"""What to expect of means before anything is known: a function of the study's text."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.kind import COHORTS, Expected, Floats, NoiseLaw, Preview
from upcare_mpc.kinds.means.estimates import Noisy, correlation, mean, variance
from upcare_mpc.kinds.means.result import Sums
from upcare_mpc.kinds.means.weights import OFF_CENTRE, SPREAD

if TYPE_CHECKING:
    from upcare_mpc.kinds.means.kind import Bounded, Means

__all__ = ["preview"]


def preview(means: "Means", noise: NoiseLaw) -> Preview:
    """State the error of each figure in a group, for the cohorts that ``weights`` takes.

    None where the noise alone would hide the figure: no interval, or one wider than the bounds.
    """
    groups = means.layout().tables[0].cells
    patients = np.array(COHORTS) / groups
    sums = Sums(means, np.zeros((len(COHORTS), means.layout().cells)), noise)

    def typical(table: Noisy, per_patient: float) -> Noisy:
        return Noisy(patients * per_patient, table.variance)

    count = typical(sums.count, 1)
    centres = [(v.above + v.below) / 2 * OFF_CENTRE for v in means.variables]
    spreads = [((v.above + v.below) / 2 * SPREAD) ** 2 for v in means.variables]
    totals = [typical(t, c) for t, c in zip(sums.totals, centres, strict=True)]
    squares = [
        typical(q, c**2 + v) for q, c, v in zip(sums.squares, centres, spreads, strict=False)
    ]
    figures: list[Expected] = []
    for number, v in enumerate(means.variables):
        error, known = _mean_error(sums, number, v, patients, noise)
        most = (v.high - v.low) / 2
        figures.append(_figure(f"mean of {v.name}", v.measured_in, error, known, most))
        if means.variance:
            found = variance(count, totals[number], squares[number], noise, rounding=0)
            error = (found.dp_high - found.value) / (2 * np.sqrt(spreads[number])) * v.unit
            figures.append(
                _figure(f"standard deviation of {v.name}", v.measured_in, error, found.known, most)
            )
    for (i, j), table in zip(means.pairs, sums.products, strict=True):
        found = correlation(
            count,
            (totals[i], totals[j]),
            (squares[i], squares[j]),
            typical(table, centres[i] * centres[j]),
            noise,
            roundings=(0, 0),
        )
        names = f"correlation of {means.variables[i].name} and {means.variables[j].name}"
        error = (found.dp_high - found.dp_low) / 2
        figures.append(_figure(names, "correlation", error, found.known, 1))
    return Preview(tuple(figures), _advice(means, figures, sums, noise))


def _figure(
    name: str,
    unit: str,
    error: Floats,
    known: npt.NDArray[np.bool_],
    most: float,
) -> Expected:
    small, middle, large = (
        float(e) if k and e <= most else None for e, k in zip(error, known, strict=True)
    )
    return Expected(name, unit, (small, middle, large))


def _advice(
    means: "Means", figures: list[Expected], sums: Sums, noise: NoiseLaw
) -> tuple[str, ...]:
    """Say how many groups would do, where 1,000 patients in so many are drowned."""
    groups = means.layout().tables[0].cells
    errors = {figure.figure: figure.error95 for figure in figures}
    for number, v in enumerate(means.variables):
        _, middle, _ = errors[f"mean of {v.name}"]
        tenth = (v.high - v.low) / 10
        if middle is not None and middle <= tenth:
            continue
        fewer = np.arange(1, groups + 1)
        error, known = _mean_error(sums, number, v, 1000 / fewer, noise)
        enough = fewer[known & (error <= tenth)]
        drowned = f"The noise would drown the mean of {v.name} among 1,000 patients"
        if groups == 1 or not enough.size:
            return (f"{drowned}; a larger epsilon or fewer variables would help.",)
        return (f"{drowned} in {groups} groups; {enough.max()} would do.",)
    return ()


def _mean_error(
    sums: Sums, number: int, v: "Bounded", patients: Floats, noise: NoiseLaw
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return half the width of ``dp`` for groups of so many patients, and where it has one."""
    centre = (v.above + v.below) / 2 * OFF_CENTRE
    count = Noisy(patients, sums.count.variance)
    total = Noisy(patients * centre, sums.totals[number].variance)
    found = mean(count, total, np.zeros(len(patients)), noise)
    return (found.dp_high - found.dp_low) / 2 * v.unit, found.known
