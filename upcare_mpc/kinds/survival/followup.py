"""Who is under observation in each interval, and what noise does to it.

Letters: ``n`` intervals; ``e`` ways to enter: 1, at the start; in a period window ``n + 1``, at the
start or late in one of the intervals; ``g`` arms. Counts come as ``(..., e, 2n+1)``: for each way
to enter, deaths and leavers of each interval in turn, then those still alive when the grid ends.
Leading axes are arms, strata and repeats. All arrays here are public.

1. Repair. Running sums of deaths, of leavers and of entries can only rise, and nobody leaves who
   is not there: ``repair.risen`` makes them so, jointly along time.
2. At risk: those who entered up to an interval and did not leave before it. In an actuarial table
   those who left in it alive, and those who entered late in it, count for half.
3. Noise. What is at risk is a sum of noisy cells, so an estimate moves with all of them. ``slopes``
   turns the derivatives in the sums of each interval into derivatives in the cells, and ``reach``
   the sums of their powers into how far the noise moves the estimate.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.kind import Floats
from upcare_mpc.kinds.repair import risen

__all__ = ["Exits", "Observed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a life table is made of; every array is ``(..., n)``.

    Attributes:
        at_risk: Patients under observation in the interval: at its start, or who enter late in it.
        deaths: Of these, who died in it.
        exposed: At risk, less half of the leavers and late entries in an actuarial table.
    """

    at_risk: Floats
    deaths: Floats
    exposed: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """Noisy counts of how follow-up ended.

    Attributes:
        counts: ``(..., e, 2n+1)`` in patients.
        draws: ``(e, 2n+1)`` how many draws of noise are behind each count; 0 where nobody can be,
            and the count is 0.
        actuarial: Whether leavers count for half of the interval.
    """

    counts: Floats
    draws: npt.NDArray[np.int64]
    actuarial: bool

    @classmethod
    def plain(cls, counts: npt.NDArray[np.generic], *, actuarial: bool) -> "Exits":
        """Counts ``(..., 2n+1)`` of patients who all enter at the start, one draw a cell."""
        alike = np.ones((1, counts.shape[-1]), dtype=np.int64)
        return cls(counts=counts.astype(np.float64)[..., None, :], draws=alike, actuarial=actuarial)

    def summed(self, axis: int) -> "Exits":
        """Add up the counts along a leading axis, and the draws of noise behind them.

        Args:
            axis: Counted from the first.
        """
        return replace(
            self,
            counts=self.counts.sum(axis=axis),
            draws=self.draws * self.counts.shape[axis],
        )

    @property
    def share(self) -> float:
        """How much of a leaver or late entry is not counted as exposed."""
        return 0.5 if self.actuarial else 0.0

    @property
    def noisy_deaths(self) -> Floats:
        """``(..., n)`` deaths as they came out of the noise."""
        deaths: Floats = self.counts.sum(axis=-2)[..., 0:-1:2]
        return deaths

    def observed(self) -> Observed:
        """Return who is under observation, after the repair."""
        entered = risen(self.counts.sum(axis=-1))
        there = entered.sum(axis=-1)
        exits = self.counts.sum(axis=-2)
        deaths, leavers = risen(exits[..., 0:-1:2], there), risen(exits[..., 1:-1:2], there)
        gone = np.cumsum(deaths + leavers, axis=-1) - deaths - leavers
        late = np.zeros_like(deaths)
        if entered.shape[-1] > 1:
            late = entered[..., 1:]
        at_risk = np.maximum(entered[..., :1] + np.cumsum(late, axis=-1) - gone, 0)
        exposed = np.maximum(at_risk - self.share * (leavers + late), 0)
        return Observed(at_risk=at_risk, deaths=deaths, exposed=exposed)

    def slopes(
        self, *, by_exposed: Floats, by_deaths: Floats, by_at_risk: Floats | float = 0.0
    ) -> Floats:
        """Turn derivatives in the sums of each interval into derivatives in the cells.

        Args:
            by_exposed: ``(..., n)`` derivatives of an estimate in those exposed.
            by_deaths: In the deaths.
            by_at_risk: In those at risk.

        Returns:
            ``(..., e, 2n+1)``.
        """
        intervals = by_deaths.shape[-1]
        so_far = np.cumsum(by_exposed + by_at_risk, axis=-1)  # of all who are observed up to here
        death = so_far + by_deaths
        leaver = so_far - self.share * by_exposed
        cells = np.stack([death, leaver], axis=-1).reshape(*death.shape[:-1], 2 * intervals)
        cells = np.concatenate([cells, so_far[..., -1:]], axis=-1)
        before = self._before_entry(so_far, by_exposed)
        slopes: Floats = (cells[..., None, :] - before[..., :, None]) * (self.draws > 0)
        return slopes

    def power_sums(self, slopes: Floats, power: int) -> Floats:
        """Sum a power of the slopes over all draws of noise; ``(...)``."""
        total: Floats = (slopes**power * self.draws).sum(axis=(-2, -1))
        return total

    def curve_power_sums(
        self,
        power: int,
        *,
        by_exposed: Floats,
        by_deaths: Floats,
        by_at_risk: Floats | float = 0.0,
    ) -> Floats:
        """The same for a curve that adds up over time: ``(..., n)``, its value at each interval.

        Its value at ``k`` has the given derivatives in the sums of all intervals up to ``k``, and
        none in those of later ones. All at once: a cell that is settled by ``k`` has the same
        slope for all later values, and all cells of an entry that are not yet settled are alike.
        """
        entries, intervals = len(self.draws), by_deaths.shape[-1]
        so_far = np.cumsum(by_exposed + by_at_risk, axis=-1)
        before = self._before_entry(so_far, by_exposed)[..., None]  # (..., e, 1)
        deaths, leavers = self.draws[:, 0:-1:2], self.draws[:, 1:-1:2]
        death = (so_far + by_deaths)[..., None, :] - before
        leaver = (so_far - self.share * by_exposed)[..., None, :] - before
        settled = np.cumsum((death**power * deaths + leaver**power * leavers).sum(-2), axis=-1)
        exits = np.cumsum(deaths + leavers, axis=-1)
        open_ = self.draws.sum(axis=-1)[:, None] - exits
        entered = np.arange(entries)[:, None] - 1 <= np.arange(intervals)
        open_ = open_ * entered
        waiting = (so_far[..., None, :] - before) ** power * open_
        total: Floats = settled + waiting.sum(axis=-2)
        return total

    def _before_entry(self, so_far: Floats, by_exposed: Floats) -> Floats:
        """What patients did not contribute to, by their entry; ``(..., e)``."""
        missed: Floats = np.zeros((*so_far.shape[:-1], len(self.draws)))
        if len(self.draws) > 1:  # late in interval j: all before it, and a share of it
            missed[..., 1:] = self.share * by_exposed
            missed[..., 2:] += so_far[..., :-1]
        return missed
