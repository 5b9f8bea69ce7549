"""The answer to a regression: a row for each coefficient, a test for each term."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtrc, erfc

from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result, Statistic
from upcare_mpc.kinds.regression.glm import NO_ROOT, WIDE, Fit, Table, fit, near, reasons
from upcare_mpc.kinds.regression.tables import (
    Column,
    baseline,
    columns,
    reference_columns,
    table_of,
)

if TYPE_CHECKING:
    from upcare_mpc.kinds.regression.kind import Regression

__all__ = ["Fitted", "fitted", "of"]

_WITHOUT: Final = "all its patients belong to another category without an estimate"
_WIDEST: Final = 6.9  # the logarithm of 1,000
_VALUES: Final = (
    "estimate",
    "dp_low",
    "dp_high",
    "ci_low",
    "ci_high",
    "coefficient",
    "se",
    "se_noise",
    "p",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model and what could be fitted of it.

    Attributes:
        table: What it was fitted to.
        columns: All coefficients.
        remarks: Of each, why it has no estimate.
        near: Of each, to which side noise has likely carried its estimate, if there is one.
        place: Of each that has one, its number in ``fit``.
        fit: None if nothing could be fitted.
    """

    table: Table
    columns: list[Column]
    remarks: list[str | None]
    near: list[str | None]
    place: Mapping[int, int]
    fit: Fit | None


def fitted(regression: "Regression", noisy: npt.NDArray[np.generic], noise: NoiseLaw) -> Fitted:
    """Leave out what cannot be estimated from the noisy vector, and fit the rest."""
    table = table_of(regression, noisy)
    every = columns(regression, baseline(regression, table, noise))
    few: list[str | None] = [None] * len(every)
    lost = _lost_reference(table, reference_columns(regression), noise)
    if lost is not None:
        return Fitted(
            table=table, columns=every, remarks=[lost] * len(every), near=few, place={}, fit=None
        )
    design = np.stack([column.values for column in every], axis=1)
    joined = np.array([not column.reference for column in every])
    remarks = reasons(table, design, noise, joined=joined)
    left_out = np.array([remark is not None for remark in remarks])
    rows: npt.NDArray[np.bool_] = design[:, left_out].sum(axis=1) == 0
    for number in np.flatnonzero(~left_out & ~design[rows].any(axis=0)):
        remarks[number] = _WITHOUT
    kept = np.flatnonzero([remark is None for remark in remarks])
    found = fit(_of_rows(table, rows), design[rows][:, kept], noise) if kept.size else None
    if found is None:
        remarks = [remark or NO_ROOT for remark in remarks]
        return Fitted(table=table, columns=every, remarks=remarks, near=few, place={}, fit=None)
    place: dict[int, int] = {}
    for position, column in enumerate(kept.tolist()):
        if found.ci_reach[position] < _WIDEST:
            place[column] = position
        else:
            remarks[column] = WIDE
    few = [
        said if column.reference else None
        for said, column in zip(near(table, design, noise), every, strict=True)
    ]
    return Fitted(table=table, columns=every, remarks=remarks, near=few, place=place, fit=found)


def _lost_reference(table: Table, references: list[Column], noise: NoiseLaw) -> str | None:
    """Say which reference nothing can be compared with."""
    rows = np.stack([column.values for column in references], axis=1)
    return next(
        (
            f"the reference {column.level} of {column.term} has {reason}"
            for column, reason in zip(references, reasons(table, rows, noise), strict=True)
            if reason is not None
        ),
        None,
    )


def _of_rows(table: Table, kept: npt.NDArray[np.bool_]) -> Table:
    def embedded(weights: Floats) -> Floats:
        wide = np.zeros((len(kept), weights.shape[1]))
        wide[kept] = weights
        return wide

    return Table(
        events=table.events[kept],
        size=table.size[kept],
        pull=lambda by_events, by_size: table.pull(embedded(by_events), embedded(by_size)),
        link=table.link,
    )


def of(regression: "Regression", noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
    """Return the coefficients, on the scale of ratios, and a test of each term."""
    model = fitted(regression, noisy, noise)
    rows = [_row(model, number, column) for number, column in enumerate(model.columns)]
    names = list(dict.fromkeys(c.term for c in model.columns if c.reference))
    statistics: dict[str, Statistic] = {"table": _totals(regression, model.table)}
    statistics |= {f"test of {name}": _test(model, name) for name in names}
    return Result(
        rows=pd.DataFrame(rows, dtype=object),
        statistics=statistics,
        notes=_notes(regression, model, noise),
    )


def _row(model: Fitted, number: int, column: Column) -> dict[str, object]:
    row: dict[str, object] = {
        "term": column.term,
        "level": column.level,
        "reference": column.reference,
    }
    if model.fit is None or number not in model.place:
        return row | dict.fromkeys(_VALUES) | {"remark": model.remarks[number]}
    place, found = model.place[number], model.fit
    coefficient = float(found.coefficients[place])
    added = float(found.added[place, place])
    se = float(np.sqrt(found.sampling[place, place] + added))
    dp = float(found.dp_reach[place])
    ci = max(dp, float(found.ci_reach[place]))  # of patients and noise: not less than of noise
    values = (
        *np.exp([coefficient, coefficient - dp, coefficient + dp, coefficient - ci]),
        np.exp(coefficient + ci),
        coefficient,
        se,
        added**0.5,
    )
    row |= {name: float(value) for name, value in zip(_VALUES, values, strict=False)}
    tested = bool(column.reference)
    return (
        row
        | {"p": float(erfc(abs(coefficient) / se / 2**0.5)) if tested else None}
        | {"remark": model.near[number]}
    )


def _test(model: Fitted, term: str) -> Statistic:
    own = [n for n, column in enumerate(model.columns) if column.term == term]
    if model.fit is None or not all(number in model.place for number in own):
        return {"statistic": None, "df": None, "p": None, "p_noise_aware": None}
    statistic, aware, df = model.fit.test([model.place[number] for number in own])
    return {
        "statistic": statistic,
        "df": df,
        "p": float(chdtrc(df, statistic)),
        "p_noise_aware": aware,
    }


def _totals(regression: "Regression", table: Table) -> Statistic:
    events = {"events": float(table.events.sum())}
    size = float(table.size.sum())
    if regression.outcome is not None:
        return events | {"patients": size}
    if regression.grid is None and not regression.residents:
        return events
    return events | {"person_years": size}


def _notes(regression: "Regression", model: Fitted, noise: NoiseLaw) -> tuple[str, ...]:
    notes = [
        "Other terms on the same covariates can be fitted to this answer; it costs no privacy."
    ]
    if regression.model == "hazards":
        notes.append(
            "The hazard is taken to be constant in each interval, and those who leave in one to "
            "be under observation for half of it."
        )
        if noise.variance:
            notes.append("Intervals are joined until their deaths stand out from the noise.")
    if any(model.remarks):
        notes.append("Patients of a category without an estimate take no part in the model.")
    if noise.variance:
        notes.append("Of a test, read p_noise_aware: p takes the noisy counts for exact.")
    return tuple(notes)
