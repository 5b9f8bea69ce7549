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

from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Choose,
    Comparison,
    Expression,
    Field,
    Integer,
    IsKnown,
    Text,
)

__all__ = ["ALIVE", "DEAD", "Grid", "times"]

LONGEST_PRODUCT_LIMIT_DAYS: Final = 31
DEAD: Final = Comparison("=", Field("vital_status"), Text("dead"))
ALIVE: Final = Comparison("=", Field("vital_status"), Text("alive"))


def times(value: Expression, factor: int) -> Expression:
    """Return ``value + value + ...``: the study language has no other product."""
    if factor == 1:
        return value
    half = times(value, factor // 2)
    return Arithmetic("+", half, times(value, factor - factor // 2))


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
    def years(self) -> int | None:
        """Length of an interval in years, if it is whole ones."""
        years, rest = divmod(self.interval_days, 365)
        return None if rest else years

    def spans(self) -> tuple[str, ...]:
        """Labels of the intervals."""
        return tuple(f"{start}-{end}" for start, end in pairwise(self.edges))

    def exits(self, deaths: tuple[str, ...] = ("death",)) -> tuple[str, ...]:
        """Labels of the ways to leave the grid: each interval's deaths, then alive; and *later*."""
        ways = [f"{span} {how}" for span in self.spans() for how in (*deaths, "alive")]
        return (*ways, "later")

    def exit_position(self, causes: tuple[Expression, ...] = ()) -> Expression:
        """Return the position of a record among ``exits``.

        Args:
            causes: Conditions, each of a cause of death. A death belongs to the first that is
                TRUE; to one more cause, the last, if none is.
        """
        ways = len(causes) + 2
        start = times(self.interval(), ways)

        def placed(way: int) -> Expression:
            here = Arithmetic("+", start, Integer(way)) if way else start
            return Arithmetic("min", here, Integer(ways * self.intervals))

        followed = self._followed()
        deaths = [
            (And((followed, DEAD, cause)), placed(number)) for number, cause in enumerate(causes)
        ]
        return Choose(
            (
                *deaths,
                (And((followed, DEAD)), placed(len(causes))),
                (And((followed, ALIVE)), placed(len(causes) + 1)),
            )
        )

    def under_observation(self, number: int) -> Expression:
        """Return whether a record is at risk when an interval starts."""
        since = self.landmark_days + self.edges[number]
        known = IsKnown(Field("vital_status"), known=True)
        if number == 0:
            return And((self._followed(), known))
        return And((Comparison(">", Field("follow_up_days"), Integer(since)), known))

    def interval(self) -> Expression:
        """Return the number of the interval in which follow-up ended; it may be past the grid."""
        days: Expression = Field("follow_up_days")
        if self.landmark_days:
            days = Arithmetic("-", days, Integer(self.landmark_days))
        length = self._quarters
        if length % 4 == 0:
            length //= 4
        else:  # days > 1461 k / 4 exactly when 4 days - 1 >= 1461 k
            days = times(days, 4)
        counted = Arithmetic("-", Arithmetic("max", days, Integer(1)), Integer(1))
        return Arithmetic("//", counted, Integer(length))

    def _followed(self) -> Expression:
        first = self.landmark_days + bool(self.landmark_days)
        return Comparison(">=", Field("follow_up_days"), Integer(first))

    @property
    def _quarters(self) -> int:
        """Length of an interval in quarter days."""
        return 4 * self.interval_days if self.years is None else 1461 * self.years
