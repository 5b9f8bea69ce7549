"""A period window: survival as it was in some calendar years, whoever was diagnosed when.

    period = { from = 2005, to = 2009 }

A patient diagnosed before the window comes under observation on 1 January of ``from``, some time
after diagnosis (left truncation), and everybody leaves alive on 31 December of ``to``. So recent
progress shows before the last patients have been followed for long (Brenner and Gefeller, Cancer
78, 2004-2010, 1996).

Time of diagnosis is known to the month and taken as its middle; a month is 30.4375 days. That is
at most about 15 days off for a patient. A record without month of diagnosis is in no cell.

Each patient adds 1 to one cell: (interval of entry, way out). Most of these cells nobody can be in,
for example those that leave before they enter; what they say is noise alone and is left out.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.grid import ALIVE, DEAD, Grid, times
from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Choose,
    Comparison,
    Expression,
    Field,
    Integer,
    IsKnown,
)

__all__ = ["Period"]

_MONTH_DAYS: Final = 30.4375  # 974 / 32

# January of year y is month 12 y + 1.
_DIAGNOSED: Final = Arithmetic("+", times(Field("diagnosis_year"), 12), Field("diagnosis_month"))
_FOLLOWED: Final = Arithmetic(  # months from the middle of that month, counted as calendar months
    "//", Arithmetic("+", times(Field("follow_up_days"), 32), Integer(487)), Integer(974)
)
_LEFT: Final = Arithmetic("+", _DIAGNOSED, _FOLLOWED)


@dataclass(frozen=True, slots=True)
class Period:
    """Calendar years in which patients are observed, on a grid without landmark.

    Attributes:
        grid: How time since diagnosis is cut.
        first_year, last_year: The window, both included.
    """

    grid: Grid
    first_year: int
    last_year: int

    @property
    def entries(self) -> tuple[str, ...]:
        """Labels of the ways to enter: at diagnosis, or late in one of the intervals."""
        return ("diagnosis", *(f"late in {span}" for span in self.grid.spans()))

    def entry_position(self) -> Expression:
        """Return the position of a record among ``entries``."""
        opens = Comparison(">=", _LEFT, Integer(self._first))
        inside = Comparison(">=", _DIAGNOSED, Integer(self._first))
        late = self._interval_at(self._first, range(1, self._n + 1))
        return Choose(
            (
                (And((opens, self._diagnosed(), inside)), Integer(0)),
                (And((opens, self._diagnosed())), late),
            )
        )

    def exit_position(self) -> Expression:
        """Return the position of a record among ``Grid.exits()``."""
        inside = Comparison("<=", _LEFT, Integer(self._last))
        interval, last = times(self.grid.interval(), 2), Integer(2 * self._n)
        dead = Arithmetic("min", interval, last)
        alive = Arithmetic("min", Arithmetic("+", interval, Integer(1)), last)
        known = IsKnown(Field("vital_status"), known=True)
        at_end = self._interval_at(self._last + 1, range(1, 2 * self._n, 2), beyond=2 * self._n)
        return Choose(
            (
                (And((inside, DEAD)), dead),
                (And((inside, ALIVE)), alive),
                (And((Comparison(">", _LEFT, Integer(self._last)), known)), at_end),
            )
        )

    def under_observation(self, number: int) -> Expression:
        """Return whether a record is observed in an interval: entered before its end, not left."""
        start, end = self.grid.edges[number], self.grid.edges[number + 1]
        conditions: list[Expression] = [
            self.grid.under_observation(number),
            Comparison(">=", _LEFT, Integer(self._first)),
            self._diagnosed(),
            Comparison(">", _DIAGNOSED, Integer(self._first - _months(end))),
        ]
        if number:
            conditions.append(
                Comparison("<=", _DIAGNOSED, Integer(self._last + 1 - _months(start)))
            )
        return And(tuple(conditions))

    def possible(self) -> npt.NDArray[np.int64]:
        """Return ``(n+1, 2n+1)``: 1 for each (entry, exit) that somebody can be in, else 0."""
        edges = np.array(self.grid.edges)
        window = 12 * (self.last_year - self.first_year + 1) * _MONTH_DAYS
        first = np.maximum(np.arange(self._n + 1) - 1, 0)  # interval of entry
        latest = edges + window  # edges[0] for those who enter at diagnosis
        starts = np.arange(self._n)
        leaves = (starts >= first[:, None]) & (edges[:-1] < latest[:, None])
        later = edges[-1] < latest
        cells = np.concatenate([np.repeat(leaves, 2, axis=1), later[:, None]], axis=1)
        return cells.astype(np.int64)

    @property
    def _n(self) -> int:
        return self.grid.intervals

    @property
    def _first(self) -> int:
        return 12 * self.first_year + 1

    @property
    def _last(self) -> int:
        return 12 * self.last_year + 12

    def _diagnosed(self) -> Expression:
        return Comparison("<=", _DIAGNOSED, Integer(self._last))

    def _interval_at(
        self, month: int, positions: range, *, beyond: int | None = None
    ) -> Expression:
        """Return the position for the interval that holds the start of a month."""
        branches = tuple(
            (Comparison(">", _DIAGNOSED, Integer(month - _months(end))), Integer(position))
            for end, position in zip(self.grid.edges[1:], positions, strict=True)
        )
        return Choose(branches, None if beyond is None else Integer(beyond))


def _months(days: int) -> int:
    """Return the least number of months whose start is this long after mid-month, or longer."""
    return ceil(days / _MONTH_DAYS + 0.5)
