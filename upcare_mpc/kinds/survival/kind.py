"""Survival by arm: a life table, its curve, tests and summaries that know the noise.

    [survival]
    interval_days = 365
    intervals = 7
    landmark_days = 0                          # optional
    strata = ["stage"]                         # optional: stratified log-rank test (kinds.axes)
    restricted_mean_days = 1826                # optional
    dco = "exclude"                            # or "include", or "count" (excluded, but counted)
    relative = true                            # optional: over expected survival, from life tables
    expected_at_most = 300                     # of a patient in an interval, in thousandths
    age_standard = "ICSS1"                     # optional: ICSS1, ICSS2 or ICSS3
    period = { from = 2015, to = 2019 }        # optional: period window
    [survival.arms]                            # optional; without it, one arm: everybody
    "hormone therapy" = "tx_hormone = yes"
    "no hormone therapy" = "tx_hormone = no"
    [survival.competing.arms]                  # optional: cumulative incidence by cause of death
    "cancer" = "cause_group = cancer"
    "other" = "cause_group = other"

A record belongs to the first arm whose condition is TRUE. With a landmark, only patients followed
beyond that day count, and time starts there. Each patient adds 1 to one cell: (arm, strata,
interval in which follow-up ended, death or not), or *later* if still alive when the grid ends. What
is at risk is a cumulative sum of these cells, taken after the noise.

Relative survival also adds up expected deaths, one table an interval. A patient moves them by up to
``expected_at_most`` thousandths each, so exits are counted with a weight; see ``_weight``.

How time is cut is in ``grid`` and ``period``. ``lifetable``, ``logrank``, ``relative``,
``competing``, ``restricted_mean`` and ``icss`` estimate from the noisy counts.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.axes import Axis
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.kind import NoiseLaw, Preview, Result
from upcare_mpc.kinds.survival.period import Period
from upcare_mpc.privacy.laplace import MAX_SHIFT
from upcare_mpc.study.expression import (
    And,
    Choose,
    Comparison,
    Expression,
    Field,
    InList,
    Integer,
    IsKnown,
    Or,
    Text,
)
from upcare_mpc.study.layout import (
    Dimension,
    ExpectedDeath,
    Factor,
    Layout,
    Measure,
    Measures,
    Table,
)
from upcare_mpc.study.spec import Arm, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["UNKNOWN_CAUSE", "Survival"]

UNKNOWN_CAUSE: Final = "unknown"
MAX_WEIGHT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """Survival by arm; built by ``Survival.of``.

    Attributes:
        where: The cohort, as the study states it.
        arms: The groups that are compared.
        grid: How time is cut.
        strata: Dimensions within which the arms are compared; the age groups of ``age_standard``.
        restricted_mean_days: Up to when mean survival time is asked for, on the grid.
        dco: What becomes of tumours known from a death certificate only: ``exclude``, ``include``
            or ``count``.
        expected_at_most: Clamp of a patient's chance to die in an interval, in thousandths; None
            if no relative survival is asked for.
        age_standard: Name of the standard population of patients.
        period: Window of calendar years.
        causes: Causes of death that compete.
        overlap: Registries that may know one patient.
    """

    where: Expression
    arms: tuple[Arm, ...]
    grid: Grid
    strata: tuple[Axis, ...] = ()
    restricted_mean_days: int | None = None
    dco: str = "exclude"
    expected_at_most: int | None = None
    age_standard: str | None = None
    overlap: int = 1
    period: Period | None = None
    causes: tuple[Arm, ...] = ()

    @classmethod
    def of(cls, study: Study) -> "Survival":
        """Read the options of a study."""
        from upcare_mpc.kinds.survival import options  # noqa: PLC0415  it builds this class

        return options.read(study)

    @property
    def arm_labels(self) -> tuple[str, ...]:
        """What the arms are called."""
        return tuple(arm.label for arm in self.arms)

    @property
    def cause_labels(self) -> tuple[str, ...]:
        """The causes of death, the unknown one last; none if they do not compete."""
        named = tuple(cause.label for cause in self.causes)
        return (*named, UNKNOWN_CAUSE) if named else ()

    def exits(self) -> tuple[str, ...]:
        """Labels of the ways out, the last dimension of the exits."""
        deaths = tuple(f"death {cause}" for cause in self.cause_labels) or ("death",)
        ways = self.grid.exits(deaths)
        return (*ways, "death certificate only") if self.dco == "count" else ways

    def layout(self) -> Layout:
        """(arm, strata, entry, way out), and expected deaths; a patient is in one cell of each."""
        groups = (
            Dimension("arm", self.arm_labels),
            *(axis.dimension for axis in self.strata),
        )
        entry = () if self.period is None else (Dimension("entry", self.period.entries),)
        exits = Table("exits", (*groups, *entry, Dimension("exit", self.exits())), self._weight)
        expected = tuple(
            Table(f"expected deaths {span}, in thousandths", groups)
            for span in (self.grid.spans() if self.expected_at_most else ())
        )
        return Layout.of((exits, *expected), self.measures())

    def measures(self) -> Measures:
        """The first arm that matches, the strata, how and when follow-up ended; chances to die."""
        arm = Choose(tuple((arm.where, Integer(i)) for i, arm in enumerate(self.arms)))
        strata = tuple(axis.position for axis in self.strata)
        if self.period is None:
            ways: Expression = self.grid.exit_position(tuple(c.where for c in self.causes))
            entry: tuple[Expression, ...] = ()
        else:
            ways, entry = self.period.exit_position(), (self.period.entry_position(),)
        if self.dco == "count":
            ways = Choose(((_DCO, Integer(len(self.exits()) - 1)),), ways)
        tables = [Measure((arm, *strata, *entry, ways))]
        if self.expected_at_most is not None:
            since = self.grid.landmark_days
            for number, (start, end) in enumerate(pairwise(self.grid.edges)):
                here = (self.period or self.grid).under_observation(number)
                chance = ExpectedDeath(since + start, since + end)
                tables.append(
                    Measure(
                        (Choose(((here, arm),)), *strata),
                        (Factor(chance, 0, self.expected_at_most),),
                    )
                )
        return Measures(where=self._cohort(), tables=tuple(tables))

    def preview(self, noise: NoiseLaw) -> Preview:
        """How exact the answer can be; looks at no record."""
        from upcare_mpc.kinds.survival import preview  # noqa: PLC0415  nodes preview nothing

        return preview.of(self, noise)

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return the life table of each arm, tests and summaries."""
        # Nodes load kinds but never finish a study: spare them pandas and scipy.
        from upcare_mpc.kinds.survival import result  # noqa: PLC0415

        return result.of(self, noisy, noise)

    def chart(self, result: Result, *, title: str) -> "alt.VConcatChart":
        """Draw the curves with their bands, and the numbers at risk below."""
        from upcare_mpc.kinds.survival import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)

    @property
    def _weight(self) -> int:
        """How often a patient counts among the exits, when expected deaths are thousandths.

        With w, one patient moves the answer by w + C, C the sum of the clamps, and the noise has
        this scale, over epsilon. In log relative survival the exits carry it times 1/w, and the
        expected deaths times 1/1000, on nearly the same slopes. So (w + C)^2 (1/w^2 + 1/1000^2) is
        to be smallest: at w^3 = 1000^2 C. Above 1000 the gain is a few percent; and the sampler
        bounds how far a patient may move a cell of the pooled vector.
        """
        if self.expected_at_most is None:
            return 1
        clamps = self.expected_at_most * self.grid.intervals
        best = next(w for w in range(1, MAX_WEIGHT + 1) if w**3 >= 10**6 * min(clamps, 1000))
        return min(best, MAX_SHIFT // self.overlap)

    def _cohort(self) -> Expression:
        conditions = [self.where]
        if self.dco == "exclude":
            conditions.append(_NOT_DCO)
        if self.expected_at_most is not None:  # without these, nothing is expected of a patient
            conditions.append(InList(Field("sex"), (Text("female"), Text("male"))))
            conditions += [IsKnown(Field(v), known=True) for v in ("age", "diagnosis_year")]
        return And(tuple(conditions)) if len(conditions) > 1 else self.where


_DCO: Final = Comparison("=", Field("basis"), Text("0"))
_NOT_DCO: Final = Or(
    (IsKnown(Field("basis"), known=False), Comparison("!=", Field("basis"), Text("0")))
)
