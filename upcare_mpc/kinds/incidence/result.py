"""The answer to a study of incidence: rates, ratios and trends, one row each."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from upcare_mpc.kinds.incidence import options
from upcare_mpc.kinds.incidence.options import ALL
from upcare_mpc.kinds.incidence.rates import (
    Figures,
    crude,
    enough,
    exact,
    indirect,
    internal,
    standardised,
)
from upcare_mpc.kinds.incidence.trend import Trend, trend
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result, Statistic
from upcare_mpc.study.expression import fields

if TYPE_CHECKING:
    from upcare_mpc.kinds.incidence.kind import Incidence

__all__ = ["of"]

PER: Final = 100_000
_NOBODY: Final = "no person-years that stand out from the noise"
_NONE_EXPECTED: Final = "no cases are expected"
_FEWEST_EXPECTED: Final = 0.5  # by rates that carry noise themselves
_RARELY: Final = 0.05  # chance that the noise has touched a stratum at all
_BELOW: Final = "the noise brought it below zero"
_DROWNED: Final = "too few cases against the noise"
_NO_REFERENCE: Final = "no reference rates for it"

_Truths = npt.NDArray[np.bool_]
_Texts = npt.NDArray[np.object_]


def of(incidence: "Incidence", cases: Floats, people: Floats, noise: NoiseLaw) -> Result:
    """Estimate from the noisy tables.

    Args:
        incidence: The study.
        cases: ``(*axes, ages)`` noisy cases; public.
        people: ``(*axes, ages)`` noisy person-years; public.
        noise: The law of the noise in each cell of the answer.
    """
    return _Answer(incidence, cases, people, noise).result()


class _Answer:
    """One answer. Tables are ``(strata, ages)``, strata as the axes order them, the last fastest.

    People are 0 where they do not stand out from the noise, and cases are not counted there.
    """

    def __init__(
        self, incidence: "Incidence", cases: Floats, people: Floats, noise: NoiseLaw
    ) -> None:
        self.incidence = incidence
        self.shape = cases.shape[:-1]
        self.noise, self.people_noise = noise, noise.per(incidence.layout().tables[1].weight)
        self.here: _Truths = enough(people, self.people_noise).reshape(-1, cases.shape[-1])
        self.lived: _Truths = np.any(self.here, axis=-1)
        self.people: Floats = np.where(self.here, people.reshape(self.here.shape), 0)
        self.cases: Floats = np.where(self.here, cases.reshape(self.here.shape), 0)

    def result(self) -> Result:
        incidence = self.incidence
        parts = [
            self._crude(),
            *(self._standardised(s.name, s.weights) for s in incidence.standards),
            self._by_age(),
        ]
        if incidence.pooled:
            parts.append(self._against_all())
        if incidence.rates:
            parts.append(self._against_rates())
        if incidence.years is not None:
            parts.append(self._trend(incidence.years))
        return Result(
            rows=pd.concat(parts, ignore_index=True),
            statistics={"total": self._total()},
            notes=self._notes(),
        )

    def _total(self) -> Statistic:
        counted = int(self.here.sum())
        reach = math.ceil(counted**0.5 * float(self.noise.reach(1 / max(counted, 1))))
        cases = float(self.cases.sum())
        return {
            "cases": cases,
            "dp_low": max(0.0, cases - reach),
            "dp_high": max(0.0, cases + reach),
            "person_years": float(self.people.sum()),
        }

    def _crude(self) -> pd.DataFrame:
        safe = np.where(self.lived[:, None], self.people, 1)
        figures = crude(self.cases, safe, self.noise, self.people_noise)
        return self._rows("crude", _times(figures, PER), _where(~self.lived, _NOBODY))

    def _standardised(self, name: str, shares: tuple[object, ...]) -> pd.DataFrame:
        weights = np.array(shares, dtype=np.float64)
        lacking = (weights > 0) & ~self.here
        safe = np.where(lacking, 1, self.people)
        figures = standardised(self.cases, safe, weights, self.noise, self.people_noise)
        remarks = _where(np.any(lacking, axis=-1), _NOBODY)
        labels = np.array(self.incidence.ages.axis.labels)
        for stratum in np.flatnonzero(np.any(lacking, axis=-1) & self.lived):
            missing = labels[lacking[stratum]]
            more = ", ..." if len(missing) > 3 else ""
            remarks[stratum] = f"{_NOBODY}, at ages {', '.join(missing[:3])}{more}"
        return self._rows(f"ASR {name}", _times(figures, PER), remarks)

    def _by_age(self) -> pd.DataFrame:
        safe = np.where(self.here, self.people, 1)[..., None]
        cases = self.cases[..., None]
        figures = standardised(cases, safe, np.ones(1), self.noise, self.people_noise)
        return self._rows("age-specific", _times(figures, PER), _where(~self.here, _NOBODY))

    def _against_rates(self) -> pd.DataFrame:
        """SIR against the rates that the study states."""
        incidence = self.incidence
        by_axes = np.zeros((*self.shape, self.people.shape[-1]))
        for sex, given in incidence.rates.items():
            rates = np.array(given, dtype=np.float64) / PER
            if sex == ALL:
                by_axes[:] = rates
            else:
                place = next(
                    i for i, a in enumerate(incidence.axes) if fields(a.position) == {"sex"}
                )
                np.moveaxis(by_axes, place, 0)[incidence.axes[place].labels.index(sex)] = rates
        rates = by_axes.reshape(self.people.shape)
        expected = (self.people * rates).sum(axis=-1)
        nothing = (expected <= 0)[:, None]
        figures = indirect(
            self.cases,
            np.where(nothing, 1, self.people),
            np.where(nothing, 1, rates),
            self.noise,
            self.people_noise,
        )
        remarks = self._ratio_remarks(expected)
        remarks[(rates == 0).all(axis=-1)] = _NO_REFERENCE
        return self._rows("SIR", self._exact(figures, expected), remarks)

    def _against_all(self) -> pd.DataFrame:
        """SIR of each stratum against all years and regions, of the same sex and tumours."""
        order = np.arange(self.here.shape[0]).reshape(self.shape)
        away = [i for i, axis in enumerate(self.incidence.axes) if options.is_area(axis)]
        together = np.moveaxis(order, away, range(-len(away), 0))
        groups = together.reshape(-1, np.prod([self.shape[i] for i in away]))
        figures, expected = internal(
            self.cases[groups], self.people[groups], self.noise, self.people_noise
        )
        back = np.argsort(groups, axis=None)
        by_stratum = expected.reshape(-1)[back]
        ungrouped = _mapped(figures, lambda values: values.reshape(-1)[back])
        return self._rows(
            "SIR",
            self._exact(ungrouped, by_stratum),
            self._ratio_remarks(by_stratum, _FEWEST_EXPECTED),
        )

    def _ratio_remarks(self, expected: Floats, fewest: float = 0.0) -> _Texts:
        remarks = _where(expected <= fewest, _NONE_EXPECTED)
        remarks[~self.lived] = _NOBODY
        return remarks

    def _exact(self, figures: Figures, expected: Floats) -> Figures:
        """Limits of the Poisson law itself, where no noise keeps them from being exact."""
        if self.cases.shape[-1] * self.noise.variance > _RARELY:
            return figures
        observed = np.maximum(self.cases.sum(axis=-1), 0)
        low, high = exact(observed, np.where(expected > 0, expected, 1))
        return Figures(
            estimate=figures.estimate,
            dp_low=figures.dp_low,
            dp_high=figures.dp_high,
            ci_low=low,
            ci_high=high,
        )

    def _trend(self, years: int) -> pd.DataFrame:
        order = np.moveaxis(np.arange(self.here.shape[0]).reshape(self.shape), years, -1)
        groups = order.reshape(-1, self.shape[years])
        cases, people = self.cases[groups], self.people[groups]
        found = trend(cases, people, self.noise, self.people_noise)
        remarks = _where(~found.found, _DROWNED)
        remarks[people.sum(axis=(-2, -1)) == 0] = _NOBODY
        columns = self._categories(groups[:, 0])
        columns[self.incidence.axes[years].name] = ALL
        columns["cases"], columns["person_years"] = cases.sum((-2, -1)), people.sum((-2, -1))
        return _frame("APC", columns, found, remarks)

    def _rows(self, measure: str, figures: Figures, remarks: _Texts) -> pd.DataFrame:
        """One row a stratum, or, if the figures are by age, one a stratum and age."""
        strata, ages = self.here.shape
        if remarks.ndim == 1:
            columns = self._categories(np.arange(strata))
            columns["cases"], columns["person_years"] = self.cases.sum(-1), self.people.sum(-1)
        else:
            columns = self._categories(np.repeat(np.arange(strata), ages))
            columns["age group"] = np.tile(np.array(self.incidence.ages.axis.labels), strata)
            columns["cases"], columns["person_years"] = self.cases.ravel(), self.people.ravel()
        return _frame(measure, columns, figures, remarks)

    def _categories(self, strata: npt.NDArray[np.int64]) -> dict[str, object]:
        """Columns that say which strata, of all ages."""
        positions = np.unravel_index(strata, self.shape) if self.shape else ()
        columns: dict[str, object] = {
            axis.name: np.array(axis.labels)[place]
            for axis, place in zip(self.incidence.axes, positions, strict=True)
        }
        columns["age group"] = np.full(strata.shape, ALL)
        return columns

    def _notes(self) -> tuple[str, ...]:
        notes = [
            f"Rates are per {PER:,} person-years; person-years are the residents of each year.",
            "Cases of unknown age, or unknown on another dimension, are in no rate.",
            "dp encloses the estimate without noise, ci the rate itself, 19 times in 20 each.",
        ]
        if self.incidence.years is not None:
            notes.append("APC: change in percent a year, the same at all ages.")
        if self.incidence.pooled or self.incidence.rates:
            notes.append("SIR: observed over expected cases; the reference is taken for known.")
        return tuple(notes)


_FIGURES: Final = ("estimate", "dp_low", "dp_high", "ci_low", "ci_high")


def _frame(
    measure: str, columns: dict[str, object], figures: Figures | Trend, remarks: _Texts
) -> pd.DataFrame:
    remarks = remarks.reshape(-1).copy()
    failed = np.array([remark is not None for remark in remarks], dtype=bool)
    values = {name: getattr(figures, name).reshape(-1) for name in _FIGURES}
    if measure != "APC":  # which alone may be negative
        remarks[~failed & (values["estimate"] < 0)] = _BELOW
        values["estimate"] = np.maximum(values["estimate"], 0)
    estimates = {
        name: pd.arrays.FloatingArray(np.where(failed, 0.0, value), failed)
        for name, value in values.items()
    }
    said = pd.Series(remarks, dtype=object)
    return pd.DataFrame({"measure": measure, **columns, **estimates, "remark": said})


def _where(fails: _Truths, remark: str) -> _Texts:
    remarks = np.full(fails.shape, None, dtype=object)
    remarks[fails] = remark
    return remarks


def _mapped(figures: Figures, change: Callable[[Floats], Floats]) -> Figures:
    return Figures(**{name: change(getattr(figures, name)) for name in _FIGURES})


def _times(figures: Figures, factor: float) -> Figures:
    return _mapped(figures, lambda values: factor * values)
