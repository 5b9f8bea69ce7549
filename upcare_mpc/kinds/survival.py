"""Survival by arm: a life table, its curve, and a log-rank test that knows the noise.

    [survival]
    interval_days = 365
    intervals = 7
    landmark_days = 0                          # optional
    [survival.arms]                            # optional; without it, one arm: everybody
    "hormone therapy" = "tx_hormone = yes"
    "no hormone therapy" = "tx_hormone = no"

A record belongs to the first arm whose condition is TRUE. With a landmark, only patients followed
beyond that day count, and time starts there. Each patient adds 1 to one cell: (arm, interval in
which follow-up ended, death or not), or (arm, *later*) if still alive when the grid ends. What
is at risk is a cumulative sum of these cells, taken after the noise.

Intervals. An interval from ``start`` to ``end`` holds the days start+1 .. end, so that the
survival at ``end`` includes the deaths of that day; the first one also holds day 0. Where
``interval_days`` is a multiple of 365, intervals are whole years of 365.25 days and end on the
anniversaries (day 365, 730, 1095, 1461, 1826, ...): a patient last seen on the fifth anniversary
has five years of follow-up. All other intervals are exactly as long as stated.

Estimate. Longer than 31 days: actuarial life table, those who left alive count for half of the
interval they left in. Up to 31 days: product limit, they count for all of it. On a one-day grid
the latter is the Kaplan-Meier estimate.

This module says what is counted; ``lifetable`` and ``logrank`` estimate from noisy counts.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.study import language
from upcare_mpc.study.expression import Choose, Expression, Integer, Truth
from upcare_mpc.study.layout import Dimension, Layout, Measures, Sensitivity
from upcare_mpc.study.spec import Arm, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Grid", "Survival"]

MAX_ARMS: Final = 20
MAX_DAYS: Final = 60_000
LONGEST_PRODUCT_LIMIT_DAYS: Final = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The public time grid of a survival study.

    Attributes:
        interval_days: Length of one interval; a multiple of 365 means years of 365.25 days.
        intervals: Number of intervals.
        landmark_days: Day after diagnosis on which time starts.
    """

    interval_days: int
    intervals: int
    landmark_days: int

    @property
    def edges(self) -> tuple[int, ...]:
        """``intervals + 1`` days: the start of the first interval and the end of each."""
        quarters = self._quarters
        return tuple(quarters * k // 4 for k in range(self.intervals + 1))

    @property
    def actuarial(self) -> bool:
        """Whether those who left alive count for half of the interval."""
        return self.interval_days > LONGEST_PRODUCT_LIMIT_DAYS

    @property
    def estimator(self) -> str:
        """What the curve is called."""
        if self.actuarial:
            return "life table (actuarial)"
        return "Kaplan-Meier" if self.interval_days == 1 else "product limit"

    @property
    def exits(self) -> tuple[str, ...]:
        """Labels of the ``2 * intervals + 1`` ways to leave the grid."""
        spans = pairwise(self.edges)
        ways = [f"{start}-{end} {how}" for start, end in spans for how in ("death", "alive")]
        return (*ways, "later")

    def exit_position(self) -> Expression:
        """Return the position of a record among ``exits``."""
        days = "follow_up_days"
        if self.landmark_days:
            days = f"(follow_up_days - {self.landmark_days})"
        if self._quarters == 4 * self.interval_days:
            interval = f"(max({days}, 1) - 1) // {self.interval_days}"
        else:  # days > 1461 k / 4 exactly when 4 days - 1 >= 1461 k
            interval = f"(max({days} + {days} + {days} + {days}, 1) - 1) // {self._quarters}"
        followed = f"follow_up_days >= {self.landmark_days + bool(self.landmark_days)}"
        return language.parse(
            f"choose when {followed} and vital_status = dead "
            f"then min({interval} + {interval}, {2 * self.intervals}) "
            f"when {followed} and vital_status = alive "
            f"then min({interval} + {interval} + 1, {2 * self.intervals}) end",
            place="survival",
            want="integer",
        )

    @property
    def _quarters(self) -> int:
        """Length of an interval in quarter days."""
        years, rest = divmod(self.interval_days, 365)
        return 1461 * years if rest == 0 else 4 * self.interval_days


@dataclass(frozen=True, slots=True)
class Survival:
    """Survival by arm; built by ``Survival.of``."""

    where: Expression
    arms: tuple[Arm, ...]
    grid: Grid

    @classmethod
    def of(cls, study: Study) -> "Survival":
        """Read the options of a study."""
        options = Options(study.options, "survival")
        options.only(("interval_days", "intervals", "landmark_days", "arms"))
        grid = Grid(
            interval_days=options.integer("interval_days", low=1, high=MAX_DAYS),
            intervals=options.integer("intervals", low=1, high=MAX_DAYS),
            landmark_days=options.integer("landmark_days", low=0, high=MAX_DAYS, default=0),
        )
        if grid.landmark_days + grid.interval_days * grid.intervals > MAX_DAYS:
            raise StudyError(f"survival: wanted a grid that ends within {MAX_DAYS} days")
        arms: tuple[Arm, ...] = (Arm("all", Truth(value=True)),)
        if "arms" in options:
            arms = tuple(arm for arm in options.items("arms") if isinstance(arm, Arm))
        if len(arms) > MAX_ARMS:
            raise StudyError(f"survival.arms: wanted at most {MAX_ARMS}, got {len(arms)}")
        survival = cls(study.where, arms, grid)
        survival.layout()  # refuses a table that is too large
        return survival

    def layout(self) -> Layout:
        """(arm, way out of the grid); a patient is in one cell at most."""
        arms = Dimension("arm", tuple(arm.label for arm in self.arms))
        return Layout((arms, Dimension("exit", self.grid.exits)), Sensitivity(1, 1, 1))

    def measures(self) -> Measures:
        """The first arm that matches, and how and when follow-up ended."""
        arm = Choose(tuple((arm.where, Integer(i)) for i, arm in enumerate(self.arms)))
        return Measures(where=self.where, axes=(arm, self.grid.exit_position()), per_patient=1)

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return the life table of each arm and the log-rank test."""
        shape = self.layout().shape
        if noisy.shape != (shape[0] * shape[1],):
            raise StudyError(f"survival: wanted {shape[0] * shape[1]} cells, got {noisy.shape}")
        # Nodes load kinds but never finish a study: spare them pandas and scipy.
        from upcare_mpc.kinds import survival_result  # noqa: PLC0415

        labels = tuple(arm.label for arm in self.arms)
        return survival_result.of(noisy.reshape(shape), noise, arms=labels, grid=self.grid)

    def chart(self, result: Result, *, title: str) -> "alt.VConcatChart":
        """Draw the curves with their bands, and the numbers at risk below."""
        from upcare_mpc.kinds import survival_chart  # noqa: PLC0415  nodes never draw

        return survival_chart.plot(result, title=title)
