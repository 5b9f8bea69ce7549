"""The answer to a survival study: its rows, and all that is estimated beside them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result, Statistic
from upcare_mpc.kinds.survival import summaries
from upcare_mpc.kinds.survival.competing import Incidence
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.icss import Standardised, standardised
from upcare_mpc.kinds.survival.lifetable import LEAST_EXPOSED, LifeTable
from upcare_mpc.kinds.survival.logrank import log_rank
from upcare_mpc.kinds.survival.notes import about, drowned, not_estimable, of_test
from upcare_mpc.kinds.survival.relative import THOUSANDTHS, Expected, Relative

if TYPE_CHECKING:
    from upcare_mpc.kinds.survival.kind import Survival

__all__ = ["Opened", "incidence_of", "of", "standardised_curve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The tables of an answer, as the estimators want them; ``s`` strata, ``g`` arms.

    Attributes:
        exits: Counts ``(s, g, e, 2n+1)``.
        expected: Expected deaths ``(s, g, n)``, or None.
        by_cause: Deaths ``(s, g, c, n)`` by cause, or None.
        dco: Tumours known from a death certificate only, ``(s, g)``, or None.
        noise: Of one draw in the exits, in patients.
    """

    exits: Exits
    expected: Expected | None
    by_cause: Floats | None
    dco: Floats | None
    noise: NoiseLaw

    @classmethod
    def of(cls, survival: "Survival", noisy: npt.NDArray[np.generic], noise: NoiseLaw) -> "Opened":
        """Take the noisy vector apart."""
        layout = survival.layout()
        first, *chances = layout.split(noisy)
        weight, arms = layout.tables[0].weight, len(survival.arms)
        entries = 1 if survival.period is None else len(survival.period.entries)
        cells = np.swapaxes(first.reshape(arms, -1, entries, first.shape[-1]), 0, 1)
        dco = None
        if survival.dco == "count":
            cells, dco = cells[..., :-1], cells[..., 0, -1]
        exits, by_cause = _exits(survival, cells)
        return cls(
            exits=exits,
            by_cause=by_cause,
            expected=None
            if not chances
            else Expected(
                deaths=np.stack([np.swapaxes(t.reshape(arms, -1), 0, 1) for t in chances], axis=-1)
                / THOUSANDTHS,
                draws=1,
                noise=noise,
                weight=weight,
            ),
            dco=dco,
            noise=noise.per(weight),
        )


def _exits(survival: "Survival", cells: Floats) -> tuple[Exits, Floats | None]:
    """Return the exits, deaths of all causes together; and the deaths by cause, if they compete."""
    actuarial = survival.grid.actuarial
    if survival.period is not None:
        possible = survival.period.possible()
        return Exits(counts=cells * possible, draws=possible, actuarial=actuarial), None
    causes = len(survival.cause_labels)
    if not causes:
        return Exits.plain(cells[..., 0, :], actuarial=actuarial), None
    groups = cells.shape[:2]
    ways = cells[..., 0, :-1].reshape(*groups, survival.grid.intervals, causes + 1)
    deaths, alive = ways[..., :-1], ways[..., -1]
    both = np.stack([deaths.sum(axis=-1), alive], axis=-1).reshape(*groups, -1)
    exits = Exits.plain(np.concatenate([both, cells[..., 0, -1:]], axis=-1), actuarial=actuarial)
    draws = exits.draws.copy()
    draws[:, 0:-1:2] = causes
    return replace(exits, draws=draws), np.swapaxes(deaths, -1, -2)


def of(survival: "Survival", noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
    """Estimate from the noisy sum.

    Args:
        survival: What was asked.
        noisy: ``(cells,)`` noisy counts; public.
        noise: The law of the noise in each.
    """
    opened = Opened.of(survival, noisy, noise)
    arms, grid, strata = survival.arm_labels, survival.grid, len(opened.exits.counts)
    exits = opened.exits.summed(0)
    table = LifeTable.of(exits, opened.noise)
    columns = _Columns(table, arms, grid.edges)
    statistics: dict[str, Statistic] = {}
    notes = [about(survival)]
    notes += not_estimable(table.estimable, arms, grid)

    test = log_rank(exits, table, opened.noise) if len(arms) > 1 else None
    statistics["logrank"], note = of_test(test, len(arms))
    notes.append(note)
    if survival.strata and len(arms) > 1:
        by_stratum = LifeTable.of(opened.exits, opened.noise)
        test = log_rank(opened.exits, by_stratum, opened.noise)
        statistics["logrank_stratified"], note = of_test(test, len(arms), stratified=True)
        notes.append(note)
    statistics["curve"] = {"estimator": grid.estimator, "landmark_days": grid.landmark_days}
    statistics |= summaries.medians(table, arms, grid)
    if survival.restricted_mean_days is not None:
        statistics |= summaries.restricted_means(
            exits, table, opened.noise, arms=arms, grid=grid, until=survival.restricted_mean_days
        )
    if opened.dco is not None:
        statistics["dco"] = summaries.dco_share(opened.dco, opened.exits, opened.noise)

    if opened.expected is not None:
        pooled = opened.expected.summed(0)
        relative = Relative.of(exits, table, pooled)
        columns.add("expected", relative.expected)
        known = relative.known & table.estimable
        columns.add_estimate("relative", relative.relative, relative.dp, relative.ci, known=known)
        notes += drowned(relative.known | ~table.estimable, arms, grid)
        statistics |= summaries.mortality_ratios(exits, table, pooled, arms)
    if survival.age_standard is not None:
        whole = standardised_curve(survival.age_standard, opened)
        known = (opened.exits.observed().at_risk >= LEAST_EXPOSED).min(axis=0)
        if opened.expected is not None:
            by_age = LifeTable.of(opened.exits, opened.noise)
            known &= Relative.of(opened.exits, by_age, opened.expected).known.all(axis=0)
        columns.add_estimate("standardised", whole.estimate, whole.dp, whole.ci, known=known)
        notes += not_estimable(known, arms, grid, figure="age-standardised survival")
    if opened.by_cause is not None:
        _add_incidence(columns, survival.cause_labels, exits, opened)
    if strata > 1:
        notes.append(f"The curves add up {strata} strata, each with its own noise.")
    return Result(rows=columns.frame(), statistics=statistics, notes=tuple(notes))


def standardised_curve(standard: str, opened: Opened) -> Standardised:
    """Return the age-standardised curve, of relative survival if it is there; ``(g, n)``."""
    table = LifeTable.of(opened.exits, opened.noise)
    if opened.expected is None:
        return standardised(standard, table.survival, table.dp_interval(), table.ci_interval())
    relative = Relative.of(opened.exits, table, opened.expected)
    return standardised(standard, relative.relative, relative.dp, relative.ci)


def incidence_of(arm: int, exits: Exits, by_cause: Floats, noise: NoiseLaw) -> Incidence:
    """Return the cumulative incidence of one arm; ``by_cause`` is ``(s, g, c, n)``."""
    alone = replace(exits, counts=exits.counts[arm])
    return Incidence.of(alone, by_cause[:, arm].sum(axis=0), noise)


def _add_incidence(
    columns: "_Columns", causes: tuple[str, ...], exits: Exits, opened: Opened
) -> None:
    assert opened.by_cause is not None
    arms = [
        incidence_of(number, exits, opened.by_cause, opened.noise)
        for number in range(len(exits.counts))
    ]
    for number, cause in enumerate(causes):

        def of_cause(part: Callable[[Incidence], Floats], number: int = number) -> Floats:
            return np.stack([part(arm)[number] for arm in arms])

        columns.add(f"events_{cause}", of_cause(lambda arm: arm.deaths))
        columns.add_estimate(
            f"incidence_{cause}",
            of_cause(lambda arm: arm.incidence),
            (of_cause(lambda arm: arm.dp[0]), of_cause(lambda arm: arm.dp[1])),
            (of_cause(lambda arm: arm.ci[0]), of_cause(lambda arm: arm.ci[1])),
        )


class _Columns:
    """The columns of the rows; what cannot be estimated is None."""

    def __init__(self, table: LifeTable, arms: tuple[str, ...], edges: tuple[int, ...]) -> None:
        intervals = len(edges) - 1
        self.estimable = table.estimable
        self.columns: dict[str, object] = {
            "arm": np.repeat(np.array(arms, dtype=object), intervals),
            "start_days": np.tile(edges[:-1], len(arms)),
            "end_days": np.tile(edges[1:], len(arms)),
            "at_risk": table.at_risk.ravel(),
            "events": table.deaths.ravel(),
        }
        self.add("survival", table.survival)
        self._add_bounds("", table.dp_interval(), table.ci_interval(), self.estimable)

    def add(self, name: str, values: Floats, known: npt.NDArray[np.bool_] | None = None) -> None:
        """Add a column ``(g, n)``."""
        shown = (self.estimable if known is None else known & self.estimable).ravel()
        self.columns[name] = values.ravel()
        if not shown.all():
            pairs = zip(values.ravel().tolist(), shown.tolist(), strict=True)
            self.columns[name] = pd.Series([v if k else None for v, k in pairs], dtype=object)

    def add_estimate(
        self,
        name: str,
        values: Floats,
        dp: tuple[Floats, Floats],
        ci: tuple[Floats, Floats],
        *,
        known: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Add an estimate and its bounds."""
        self.add(name, values, known)
        self._add_bounds(f"{name}_", dp, ci, known)

    def _add_bounds(
        self,
        prefix: str,
        dp: tuple[Floats, Floats],
        ci: tuple[Floats, Floats],
        known: npt.NDArray[np.bool_] | None,
    ) -> None:
        for kind, bounds in (("dp", dp), ("ci", ci)):
            for side, bound in zip(("low", "high"), bounds, strict=True):
                self.add(f"{prefix}{kind}_{side}", bound, known)

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.columns)
