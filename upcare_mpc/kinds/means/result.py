"""The answer to a question about means: rows, bounds, and the sentences that go with them."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result, Statistic
from upcare_mpc.kinds.means.estimates import (
    Estimates,
    Noisy,
    correlation,
    mean,
    standard_deviation,
    variance,
)

if TYPE_CHECKING:
    from upcare_mpc.kinds.means.kind import Means

__all__ = ["Sums", "estimated", "of"]

TOO_FEW: Final = "too few patients for this noise"
OUTSIDE: Final = "the noise is larger than the bounds"
NO_SPREAD: Final = "noise or rounding hide the spread"
DROWNED: Final = "noise or rounding hide the spread: only dp_high and ci_high tell"
_SHOWN: Final = (None, DROWNED)


class Sums:
    """The noisy sums of an answer, each with its noise; arrays ``(..., groups)``."""

    def __init__(self, means: "Means", noisy: npt.NDArray[np.generic], noise: NoiseLaw) -> None:
        layout = means.layout()
        tables = [
            Noisy(table.reshape(*noisy.shape[:-1], -1), noise.per(own.weight).variance)
            for table, own in zip(layout.split(noisy), layout.tables, strict=True)
        ]
        several = len(means.variables)
        self.count = tables[0]
        self.totals = tables[1 : 1 + several]
        self.squares = tables[1 + several : 1 + 2 * several] if means.variance else []
        self.products = tables[1 + 2 * several :] if means.variance else []


def estimated(
    means: "Means", noisy: npt.NDArray[np.generic], noise: NoiseLaw
) -> dict[tuple[str, str], Estimates]:
    """Estimate all figures, each in the unit of its variable.

    Args:
        means: The question.
        noisy: ``(..., cells)``.
        noise: The law of a draw.

    Returns:
        By measure and variable; arrays ``(..., groups)``.
    """
    sums = Sums(means, noisy, noise)
    roundings = [(variable.unit**2 - 1) / (12 * variable.unit**2) for variable in means.variables]
    found: dict[tuple[str, str], Estimates] = {}
    for number, variable in enumerate(means.variables):
        total = sums.totals[number]
        centre = total.value / np.maximum(sums.count.value, 1)
        widest = np.maximum((variable.above - centre) * (centre + variable.below), 0)
        if not means.variance:
            spread = widest
        else:
            variances = variance(
                sums.count, total, sums.squares[number], noise, rounding=roundings[number]
            )
            spread = np.clip(variances.value, 0, widest)
            deviation = standard_deviation(variances)
            found["standard deviation", variable.name] = deviation.each(variable.distance)
        estimates = mean(sums.count, total, spread, noise)
        found["mean", variable.name] = estimates.each(variable.value)
    for (i, j), products in zip(means.pairs, sums.products, strict=True):
        found["correlation", f"{means.variables[i].name}, {means.variables[j].name}"] = correlation(
            sums.count,
            (sums.totals[i], sums.totals[j]),
            (sums.squares[i], sums.squares[j]),
            products,
            noise,
            roundings=(roundings[i], roundings[j]),
        )
    return found


def of(means: "Means", noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
    """Return one row a figure and group."""
    layout = means.layout()
    if noisy.shape != (layout.cells,):
        raise StudyError(f"means: wanted {layout.cells} cells, got {noisy.shape}")
    found = estimated(means, noisy, noise)
    patients = Sums(means, noisy, noise).count.value
    order = {"mean": 0, "standard deviation": 1, "correlation": 2}
    rows = pd.concat(
        [
            _rows(means, measure, variable, estimates, patients)
            for (measure, variable), estimates in sorted(
                found.items(), key=lambda item: order[item[0][0]]
            )
        ],
        ignore_index=True,
    )
    bounds: dict[str, Statistic] = {
        f"bounds of {v.name}": {"from": v.low, "to": v.high, "unit": v.unit}
        for v in means.variables
    }
    return Result(rows=rows, statistics=bounds, notes=_notes(means))


def _rows(
    means: "Means", measure: str, variable: str, estimates: Estimates, patients: Floats
) -> pd.DataFrame:
    remarks = _remarks(means, measure, variable, estimates, patients)
    columns: dict[str, object] = {"measure": measure, "variable": variable}
    if means.axes:
        shape = means.layout().tables[0].shape
        positions = np.unravel_index(np.arange(len(patients)), shape)
        for axis, codes in zip(means.axes, positions, strict=True):
            columns[axis.name] = [axis.labels[code] for code in codes]
    columns["patients"] = patients.round(1)
    low, high = _possible(means, measure, variable)
    for name, values in (
        ("estimate", estimates.value),
        ("dp_low", estimates.dp_low),
        ("dp_high", estimates.dp_high),
        ("ci_low", estimates.ci_low),
        ("ci_high", estimates.ci_high),
    ):
        shown = np.clip(values, low, high).tolist()
        pairs = zip(shown, remarks, strict=True)
        columns[name] = pd.Series(
            [v if said in _SHOWN else None for v, said in pairs], dtype=object
        )
    columns["remark"] = pd.Series(remarks, dtype=object)
    return pd.DataFrame(columns)


def _possible(means: "Means", measure: str, variable: str) -> tuple[float, float]:
    if measure == "correlation":
        return -1.0, 1.0
    bounded = next(v for v in means.variables if v.name == variable)
    if measure == "mean":
        return bounded.low, bounded.high
    return 0.0, np.inf


def _remarks(
    means: "Means", measure: str, variable: str, estimates: Estimates, patients: Floats
) -> list[str | None]:
    low, high = _possible(means, measure, variable)
    inside = (estimates.value >= low) & (estimates.value <= high)
    why_not = TOO_FEW if measure == "mean" else NO_SPREAD
    least = 1 if measure == "mean" else 2
    drowned = estimates.drowned
    if drowned is None:
        drowned = np.zeros_like(estimates.known)
    return [
        TOO_FEW
        if n < least
        else why_not
        if not known
        else OUTSIDE
        if not possible
        else DROWNED
        if hidden
        else None
        for n, known, possible, hidden in zip(
            patients, estimates.known, inside, drowned, strict=True
        )
    ]


def _notes(means: "Means") -> tuple[str, ...]:
    notes = [
        f"{v.name}: below {v.low} counts as {v.low}, above {v.high} as {v.high}, "
        + ("in whole numbers." if v.unit == 1 else f"rounded to units of {v.unit}.")
        for v in means.variables
    ]
    if len(means.variables) > 1:
        notes.append("Only patients of whom all the variables are known are counted.")
    if means.variance:
        notes.append(
            "The ci of a standard deviation or a correlation takes the variables for normal."
        )
    else:
        notes.append("Without the variance, ci allows for the largest spread within the bounds.")
    return tuple(notes)
