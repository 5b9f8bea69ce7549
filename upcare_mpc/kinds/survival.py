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

How time is cut is in ``grid``; ``lifetable`` and ``logrank`` estimate from the noisy counts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.expression import Choose, Expression, Integer, Truth
from upcare_mpc.study.layout import Dimension, Layout, Measures, Sensitivity
from upcare_mpc.study.spec import Arm, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Survival"]

MAX_ARMS: Final = 20
MAX_DAYS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Survival:
    """Survival by arm; built by ``Survival.of``."""

    where: Expression
    arms: tuple[Arm, ...]
    grid: Grid

    @classmethod
    def of(cls, study: Study) -> "Survival":
        """Read the options of a study."""
        if study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with kind survival, whose life table "
                "needs every cell"
            )
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
