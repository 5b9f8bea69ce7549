"""What to expect of a regression; a function of its text."""

from math import expm1, floor
from typing import TYPE_CHECKING, Final

import numpy as np

from upcare_mpc.kinds.kind import COHORTS, Expected, NoiseLaw, Preview
from upcare_mpc.kinds.regression.result import Fitted, fitted

if TYPE_CHECKING:
    from upcare_mpc.kinds.regression.kind import Regression

__all__ = ["preview"]

DROWNED: Final = 0.4
"""Noise that moves the logarithm of a ratio by more than this (49 %) drowns it."""
_FAR: Final = 2.0
_RESIDENTS: Final = 1000  # to each tumour


def preview(regression: "Regression", noise: NoiseLaw) -> Preview:
    """State the error of ratios near 1, for patients spread evenly over all cells."""
    layout = regression.layout()
    first = layout.tables[0].cells
    models = []
    for patients in COHORTS:
        vector = np.full(layout.cells, patients / first)
        for table in layout.tables[1:]:
            vector[first:] *= _RESIDENTS * table.weight
        models.append(fitted(regression, vector, noise))
    figures, advice = [], []
    for term in regression.terms:
        name = " x ".join(regression.covariates[number].name for number in term)
        few, some, many = (_reach(model, name) for model in models)
        percents = (_percent(few), _percent(some), _percent(many))
        figures.append(Expected(f"ratios of {name}", "percent of the ratio", percents))
        if len(term) == 1 and (some is None or some > DROWNED):
            advice.append(_coarser(regression, term[0], some))
    return Preview(tuple(figures), tuple(advice))


def _percent(reached: float | None) -> float | None:
    return None if reached is None or reached > _FAR else 100 * expm1(reached)


def _reach(model: Fitted, term: str) -> float | None:
    """The largest reach of the noise among the coefficients of a term."""
    own = [number for number, column in enumerate(model.columns) if column.term == term]
    if model.fit is None or not all(number in model.place for number in own):
        return None
    return float(max(model.fit.dp_reach[model.place[number]] for number in own))


def _coarser(regression: "Regression", number: int, reached: float | None) -> str:
    axis = regression.covariates[number]
    drowned = f"Among 1,000 patients the noise would drown the ratios of {axis.name}"
    # The error of a ratio grows in proportion to the categories, at the same cells of the others.
    enough = 0 if reached is None else floor(len(axis.labels) * DROWNED / reached)
    if enough < 2:
        return f"{drowned}. Fewer categories, of this and of the others, would help."
    return f"{drowned}: {enough} categories would do, here are {len(axis.labels)}."
