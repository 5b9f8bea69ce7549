"""Incidence: crude, age-specific and age-standardised rates, their trend, and ratios to others.

    [incidence]
    by = ["sex", { variable = "diagnosis_year", from = 2007, to = 2015 }]  # optional
    ages = { from = 0, width = 5, open = 85 }    # optional; or { from = 0, width = 5, to = 14 }
    standards = ["world", "esp2013", "esp1976"]  # optional; or { name = "own", weights = [...] }
    trend = true                                 # optional: change over single years in ``by``
    reference = "pooled"                         # optional; or { rates = [...] }, per 100,000
    per_patient = 1                              # optional

``by`` is a list of dimensions (``kinds.axes``), of anything but age.

Two tables: tumours by the axes of ``by`` and age, and people by age and those of the axes that a
population file knows (sex, year, region). Person-years are the residents of each year, meant to be
those of its middle. One patient moves one cell of the first table. The second is official
statistics that no patient moves, so it may be weighted until its noise does not count.

A study that counts deaths in place of new cases gives mortality, and its ratio is the SMR.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor, prod
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.axes import Axis, axes_of
from upcare_mpc.kinds.incidence.options import (
    ALL,
    Ages,
    Standard,
    ages_of,
    check_denominators,
    check_years,
    is_populated,
    is_single_years,
    rates_of,
    standards_of,
)
from upcare_mpc.kinds.kind import COHORTS, Expected, Floats, NoiseLaw, Preview, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.expression import Expression
from upcare_mpc.study.layout import Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Incidence"]

MAX_PER_PATIENT: Final = 20
PEOPLE_WEIGHT: Final = 100
"""Person-years are counted in hundredths, in which their noise is that of a case."""
DROWNED: Final = 50.0
"""Noise that reaches further than this many percent of a rate drowns it."""
_RESERVED: Final = frozenset(
    {"measure", "age group", "cases", "person_years", "estimate", "remark"}
    | {"dp_low", "dp_high", "ci_low", "ci_high"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """Rates by stratum and age; built by ``Incidence.of``.

    Attributes:
        where: The cohort.
        axes: What the strata are cut by.
        ages: The age groups.
        standards: Populations to standardise to.
        pooled: Whether each stratum is held against all years and regions together.
        rates: Reference rates per 100,000 by sex or for ``ALL``; empty: none.
        years: Which axis a trend is asked over; None: none.
        per_patient: Tumours of one patient that count.
    """

    where: Expression
    axes: tuple[Axis, ...]
    ages: Ages
    standards: tuple[Standard, ...]
    pooled: bool
    rates: Mapping[str, tuple[Fraction, ...]]
    years: int | None
    per_patient: int

    @classmethod
    def of(cls, study: Study) -> "Incidence":
        """Read the options of a study."""
        if study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with kind incidence, whose rates need "
                "every cell"
            )
        options = Options(study.options, "incidence")
        options.only(
            ("by", "ages", "standards", "trend", "reference", "per_patient"),
        )
        axes = axes_of(options, "by", reserved=_RESERVED) if "by" in options else ()
        if any(ALL in axis.labels for axis in axes):
            raise StudyError(f'incidence.by: wanted no category called "{ALL}", which rates have')
        ages = ages_of(options)
        rates = rates_of(options, axes, ages) if "reference" in options else {}
        incidence = cls(
            where=study.where,
            axes=axes,
            ages=ages,
            standards=standards_of(options, ages),
            pooled=rates is None,
            rates=rates or {},
            years=_trend_axis(options, axes),
            per_patient=options.integer("per_patient", low=1, high=MAX_PER_PATIENT, default=1),
        )
        check_denominators(study.where)
        check_years(incidence.measures())
        incidence.layout()  # refuses a table that is too large
        return incidence

    @property
    def people_axes(self) -> tuple[int, ...]:
        """The axes that the population is cut by."""
        return tuple(number for number, axis in enumerate(self.axes) if is_populated(axis))

    def layout(self) -> Layout:
        """Tumours by the axes and age, and people by the axes that they have."""
        age = self.ages.axis.dimension
        dimensions = tuple(axis.dimension for axis in self.axes)
        people = tuple(dimensions[number] for number in self.people_axes)
        tables = (
            Table("tumours", (*dimensions, age)),
            Table("person-years", (*people, age), PEOPLE_WEIGHT),
        )
        return Layout.of(tables, self.measures())

    def measures(self) -> Measures:
        """Positions of tumours and residents; both count as 1."""
        age = self.ages.axis.position
        positions = tuple(axis.position for axis in self.axes)
        people = tuple(positions[number] for number in self.people_axes)
        return Measures(
            where=self.where,
            tables=(Measure((*positions, age)), Measure((*people, age), of="residents")),
            per_patient=self.per_patient,
        )

    def preview(self, noise: NoiseLaw) -> Preview:
        """How far the noise moves a rate, in percent of it; cases and people spread evenly."""
        strata, ages = prod(len(axis.labels) for axis in self.axes), len(self.ages.starts)
        wanted = {"crude rate": np.ones(ages)}
        wanted |= {f"ASR {s.name}": np.array(s.weights, dtype=float) for s in self.standards}
        wanted |= {"age-specific rate": np.ones(1)}
        figures: list[Expected] = []
        advice: list[str] = []
        for name, weights in wanted.items():
            one_case = _relative_reach(weights, noise) * strata * (ages if len(weights) == 1 else 1)
            few, some, many = (
                100 * one_case / patients if one_case < patients else None for patients in COHORTS
            )
            figures.append(Expected(name, "percent of the rate", (few, some, many)))
            percent = 100 * one_case / COHORTS[1]
            if percent > DROWNED and not advice and len(weights) > 1:
                enough = floor(strata * DROWNED / percent)
                advice.append(
                    f"With 1,000 cases the noise reaches {percent:.0f} % of the {name} of one of "
                    f"{strata} strata; "
                    + (f"{enough} would do." if enough else "one for all would be drowned too.")
                )
        return Preview(tuple(figures), tuple(advice))

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return the rates, ratios and trends, one row each."""
        from upcare_mpc.kinds.incidence import result  # noqa: PLC0415  nodes never finish

        cases, people = self.layout().split(noisy)
        return result.of(self, cases, self._by_all_axes(people), noise)

    def _by_all_axes(self, people: Floats) -> Floats:
        """People by all axes: the same on those that a population does not have."""
        sizes = [len(axis.labels) for axis in self.axes]
        shape = [size if i in self.people_axes else 1 for i, size in enumerate(sizes)]
        ages = people.shape[-1]
        return np.broadcast_to(people.reshape(*shape, ages), (*sizes, ages))

    def chart(self, result: Result, *, title: str) -> "alt.VConcatChart":
        """Draw standardised rates, rates by age, and ratios if there are any."""
        from upcare_mpc.kinds.incidence import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)


def _relative_reach(weights: Floats, noise: NoiseLaw) -> float:
    """The reach of the noise in a weighted rate, over that rate if there were one case."""
    squares = float(np.square(weights).sum())
    concentration = float((weights**4).sum()) / squares**2
    reach = float(noise.reach(concentration))
    return float(np.sqrt(squares)) * reach * len(weights) / float(weights.sum())


def _trend_axis(options: Options, axes: tuple[Axis, ...]) -> int | None:
    if not options.truth("trend", default=False):
        return None
    for number, axis in enumerate(axes):
        if is_single_years(axis) and len(axis.labels) > 2:
            return number
    raise StudyError(
        "incidence.trend: wanted three or more single years among the dimensions, for example "
        '{ variable = "diagnosis_year", from = 2007, to = 2015 }'
    )
