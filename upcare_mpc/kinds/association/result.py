"""The answer to a study of association: a row for each measure and category, and the tests."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.association.estimates import (
    MEASURES,
    NO_PATIENTS,
    Estimate,
    compare,
    usable,
)
from upcare_mpc.kinds.association.tests import homogeneity, mantel_haenszel, pearson
from upcare_mpc.kinds.chi_square import ChiSquare
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result, Statistic

if TYPE_CHECKING:
    from upcare_mpc.kinds.association.kind import Association

__all__ = ["contrast", "of"]

_NO_TEST: Statistic = {"statistic": None, "df": None, "p": None, "p_noise_aware": None}


def contrast(cells: Floats, draws: int, noise: NoiseLaw) -> dict[str, Estimate]:
    """Estimate all measures of one category against the reference.

    Args:
        cells: ``(k, 2, 2)`` by stratum.
        draws: Draws of noise in each cell.
        noise: The law of a draw.
    """
    kept = usable(cells, draws, noise)
    if not len(kept):
        return {name: Estimate(remark=NO_PATIENTS) for name, _, _ in MEASURES}
    return {
        name: compare(parts(kept), draws, noise, ratio=ratio) for name, parts, ratio in MEASURES
    }


def of(association: "Association", noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
    """Return the measures of each category against the reference, and the tests."""
    layout = association.layout()
    if noisy.shape != (layout.cells,):
        raise StudyError(f"association: wanted {layout.cells} cells, got {noisy.shape}")
    strata = association.strata_count
    table = noisy.astype(np.float64).reshape(strata, len(association.exposure.labels), 2)
    crude = table.sum(axis=0)
    rows: list[dict[str, object]] = []
    statistics: dict[str, Statistic] = {}
    for label, (yes, no) in zip(association.exposure.labels, crude, strict=True):
        statistics[f"patients of {label}"] = {"outcome": float(yes), "patients": float(yes + no)}
    statistics["chi-square"] = _test(pearson(crude, strata, noise))
    notes = ["Odds ratio, risk ratio and risk difference without strata are crude."]
    for exposed in association.exposed:
        pair, name = [exposed, association.reference], association.exposure.labels[exposed]
        found = {"": contrast(crude[None, pair], strata, noise)}
        if association.strata:
            cells = table[:, pair]
            found["Mantel-Haenszel "] = contrast(cells, 1, noise)
            ratio = found["Mantel-Haenszel "]["odds ratio"].value
            kept = usable(cells, 1, noise)
            statistics[f"Mantel-Haenszel of {name}"] = _test(mantel_haenszel(kept, noise))
            statistics[f"homogeneity of {name}"] = _test(
                None if ratio is None else homogeneity(kept, ratio, noise)
            )
            if len(kept) < strata:
                notes.append(
                    f"{name}: {strata - len(kept)} of {strata} strata do not take part in "
                    "Mantel-Haenszel: in one of the two groups no patients stand out from the "
                    "noise."
                )
        for prefix, estimates in found.items():
            rows += [
                _row(association, name, prefix + measure, estimate)
                for measure, estimate in estimates.items()
            ]
    if noise.variance:
        notes.append("Read p_noise_aware: p takes the noisy counts for exact.")
    return Result(rows=pd.DataFrame(rows, dtype=object), statistics=statistics, notes=tuple(notes))


def _row(
    association: "Association", label: str, measure: str, estimate: Estimate
) -> dict[str, object]:
    return {
        "measure": measure,
        association.exposure.name: label,
        "reference": association.exposure.labels[association.reference],
        "estimate": estimate.value,
        "dp_low": estimate.dp_low,
        "dp_high": estimate.dp_high,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "remark": estimate.remark,
    }


def _test(found: ChiSquare | None) -> Statistic:
    if found is None:
        return _NO_TEST
    return {
        "statistic": found.statistic,
        "df": found.df,
        "p": found.p,
        "p_noise_aware": found.p_noise_aware,
    }
