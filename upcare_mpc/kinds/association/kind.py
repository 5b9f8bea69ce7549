"""Association of an exposure with an outcome: odds ratio, risk ratio, risk difference.

    [association]
    outcome = { where = "vital_status = dead and follow_up_days <= 1826" }
    reference = "no hormone therapy"             # optional; the last category if not given
    strata = [{ variable = "age", cuts = [50] }] # optional: Mantel-Haenszel over these

    [association.exposure]                       # any axis of kinds.axes
    arms = { "hormone therapy" = "tx_hormone = yes", "no hormone therapy" = "tx_hormone = no" }

One table: strata, exposure, outcome. A tumour is in one cell at most, so one patient moves one cell
by 1. A tumour of which the outcome, the exposure or a stratum is unknown is in no cell.

``estimates`` holds the formulas, ``result`` the answer.
"""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.axes import Axis, axes_of, axis_of
from upcare_mpc.kinds.kind import NoiseLaw, Preview, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.expression import Choose, Expression, Integer, Not
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["OUTCOME", "Association", "yes_or_no"]

OUTCOME: Final = Dimension("outcome", ("yes", "no"))
_RESERVED = frozenset(
    {"measure", "outcome", "reference", "estimate", "dp_low", "dp_high", "ci_low", "ci_high"}
    | {"remark"}
)


def yes_or_no(outcome: Expression) -> Expression:
    """Return the position on ``OUTCOME`` of a record of which the outcome is known."""
    return Choose(((outcome, Integer(0)), (Not(outcome), Integer(1))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """An exposure and an outcome, perhaps within strata; built by ``Association.of``.

    Attributes:
        where: The cohort.
        outcome: What may have happened to a patient.
        exposure: The categories that are compared.
        reference: Number of the one that the others are compared with.
        strata: Within which they are compared; may be none.
    """

    where: Expression
    outcome: Expression
    exposure: Axis
    reference: int
    strata: tuple[Axis, ...]

    @classmethod
    def of(cls, study: Study) -> "Association":
        """Read the options of a study."""
        if study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with kind association, which needs every cell"
            )
        options = Options(study.options, "association")
        options.only(("outcome", "exposure", "reference", "strata"))
        outcome = options.where("outcome")
        if "exposure" not in options:
            raise StudyError("association.exposure: wanted the name of a variable, or a table")
        exposure = axis_of(options.content["exposure"], "association.exposure")
        if len(exposure.labels) < 2 or exposure.name in _RESERVED:
            raise StudyError(
                "association.exposure: wanted two categories or more, and a name that is not "
                f"one of {', '.join(sorted(_RESERVED))}"
            )
        reserved = _RESERVED | {exposure.name}
        association = cls(
            where=study.where,
            outcome=outcome,
            exposure=exposure,
            reference=_reference(options, exposure),
            strata=axes_of(options, "strata", reserved=reserved) if "strata" in options else (),
        )
        association.layout()  # refuses a table that is too large
        return association

    @property
    def exposed(self) -> tuple[int, ...]:
        """Numbers of the categories that are compared with the reference."""
        return tuple(n for n in range(len(self.exposure.labels)) if n != self.reference)

    @property
    def strata_count(self) -> int:
        """Number of strata; 1 if none are asked for."""
        return prod(len(axis.labels) for axis in self.strata)

    def layout(self) -> Layout:
        """(strata, exposure, outcome); a patient is in one cell at most."""
        strata = tuple(axis.dimension for axis in self.strata)
        table = Table("patients", (*strata, self.exposure.dimension, OUTCOME))
        return Layout.of((table,), self.measures())

    def measures(self) -> Measures:
        """Stratum, exposure and outcome of a record."""
        strata = tuple(axis.position for axis in self.strata)
        axes = (*strata, self.exposure.position, yes_or_no(self.outcome))
        return Measures(where=self.where, tables=(Measure(axes),))

    def preview(self, noise: NoiseLaw) -> Preview:
        """How exact the answer can be; looks at no record."""
        from upcare_mpc.kinds.association import preview  # noqa: PLC0415  nodes never preview

        return preview.preview(self, noise)

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Return ratios and differences for each category, and the tests."""
        from upcare_mpc.kinds.association import result  # noqa: PLC0415  nodes never finish

        return result.of(self, noisy, noise)

    def chart(self, result: Result, *, title: str) -> "alt.VConcatChart":
        """Draw the ratios with their intervals, one below the other."""
        from upcare_mpc.kinds.association import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title)


def _reference(options: Options, exposure: Axis) -> int:
    label = options.text("reference", default=exposure.labels[-1])
    if label not in exposure.labels:
        raise StudyError(
            f"association.reference: wanted one of {', '.join(exposure.labels)[:200]}, "
            f"got {label!a}"
        )
    return exposure.labels.index(label)
