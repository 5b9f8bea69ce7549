"""How a survival study cuts time.

Intervals. An interval from ``start`` to ``end`` holds the days start+1 .. end, so that the
survival at ``end`` includes the deaths of that day; the first one also holds day 0. Where
``interval_days`` is a multiple of 365, intervals are whole years of 365.25 days and end on the
anniversaries (day 365, 730, 1095, 1461, 1826, ...): a patient last seen on the fifth anniversary
has five years of follow-up. All other intervals are exactly as long as stated.

Estimate. Longer than 31 days: actuarial life table, those who left alive count for half of the
interval they left in. Up to 31 days: product limit, they count for all of it. On a one-day grid
the latter is the Kaplan-Meier estimate.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from upcare_mpc.study import language
from upcare_mpc.study.expression import Expression

__all__ = ["Grid"]

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
