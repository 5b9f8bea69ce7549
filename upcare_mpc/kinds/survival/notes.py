"""The sentences that go with a survival result: what was estimated, and what could not be."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.chi_square import ChiSquare
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import Statistic
from upcare_mpc.kinds.survival.icss import ICSS

if TYPE_CHECKING:
    from upcare_mpc.kinds.survival.kind import Survival

__all__ = ["about", "drowned", "not_estimable", "of_test"]


def about(survival: "Survival") -> str:
    """Say by what rules the curves were estimated."""
    grid = survival.grid
    unit = f"{grid.interval_days} day{'s' if grid.interval_days > 1 else ''}"
    if grid.years is not None:
        unit = f"{grid.years} year{'s' if grid.years > 1 else ''} (of 365.25 days)"
    start = f"day {grid.landmark_days}" if grid.landmark_days else "diagnosis"
    rules = [f"Estimated by {grid.estimator}, in intervals of {unit}; time starts at {start}."]
    if survival.period is not None:
        window = f"{survival.period.first_year} to {survival.period.last_year}"
        rules.append(f"Period window {window}; diagnosis taken as the middle of its month.")
    rules.append(
        {
            "exclude": "Tumours known from a death certificate only (basis 0) are left out.",
            "include": "Tumours known from a death certificate only are counted as any other.",
            "count": "Tumours known from a death certificate only (basis 0) are left out, but "
            "counted.",
        }[survival.dco]
    )
    if survival.expected_at_most is not None:
        rules.append(
            "Relative survival: Ederer II, with the registries' life tables; a patient's chance to "
            f"die in an interval counts as {survival.expected_at_most} in a thousand at most. "
            "Where patients' chances are higher, it is too low, and no interval says so."
        )
    if survival.age_standard is not None:
        weights = ", ".join(map(str, ICSS[survival.age_standard]))
        figure = "relative " if survival.expected_at_most is not None else ""
        groups = ", ".join(survival.strata[0].labels)
        rules.append(
            f"Age-standardised {figure}survival by {survival.age_standard}: {weights} % of the "
            f"ages {groups}."
        )
    if survival.causes:
        rules.append("Deaths of no named cause are in the incidence of cause unknown.")
    return " ".join(rules)


def of_test(
    test: ChiSquare | None, arms: int, *, stratified: bool = False
) -> tuple[Statistic, str]:
    """Return a test as a statistic, and what it says in a sentence."""
    name = "stratified log-rank" if stratified else "log-rank"
    nothing: Statistic = {"statistic": None, "df": arms - 1, "p": None, "p_noise_aware": None}
    if arms == 1:
        return nothing, f"No {name} test: there is one arm only."
    if test is None:
        return nothing, f"No {name} test: too few deaths, or an arm with nobody in it."
    values: Statistic = {
        "statistic": test.statistic,
        "df": test.df,
        "p": test.p,
        "p_noise_aware": test.p_noise_aware,
    }
    shown = f"{name} p = {test.p_noise_aware:.3f} with the noise accounted for"
    if test.p_noise_aware < 0.05:
        return values, f"The arms differ in survival: {shown}."
    return values, f"No evidence of a difference between the arms at this budget: {shown}."


def not_estimable(
    known: npt.NDArray[np.bool_],
    arms: tuple[str, ...],
    grid: Grid,
    *,
    figure: str = "",
) -> list[str]:
    """Say of which arms there is no estimate, and from when on; ``known`` is ``(g, n)``."""
    notes = []
    for arm, estimable in zip(arms, known, strict=True):
        if not estimable.all():
            day = grid.edges[int(np.argmin(estimable))]
            what = f"{figure} for {arm}" if figure else f"estimate for {arm}"
            where = "left at risk in some age group" if figure else "left at risk"
            notes.append(f"No {what} after day {day}: nobody is {where}.")
    return notes


def drowned(known: npt.NDArray[np.bool_], arms: tuple[str, ...], grid: Grid) -> list[str]:
    """Say of which arms relative survival is lost in the noise, and from when on."""
    return [
        f"No relative survival for {arm} after day {grid.edges[int(np.argmin(told))]}: the noise "
        "drowns it."
        for arm, told in zip(arms, known, strict=True)
        if not told.all()
    ]
