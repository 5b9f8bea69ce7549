"""Regression on a table of categories: logistic, Poisson, proportional hazards.

    [regression]
    model = "logistic"                      # or "poisson" or "hazards"
    covariates = ["sex", { variable = "age", name = "age group", cuts = [50, 65] }]
    terms = [["sex"], ["age group"], ["sex", "age group"]]   # optional; else each covariate alone
    reference = { "age group" = "50-64" }                    # optional; else the first category
    outcome = { where = "vital_status = dead" }              # logistic
    person_time = "residents"               # poisson: optional; or "none", a log-linear model
    interval_days = 365                     # hazards
    intervals = 5

One table, from which this model and all smaller ones on the same covariates are fitted
(``Regression.refit``) at one privacy cost; a patient is in one cell of it at most.

logistic: covariates by outcome. Odds ratios.
poisson: tumours by covariate, and a second table of the people of the registry's population file,
that no patient moves. Covariates must be what that file knows: sex, age, year, region. Rate ratios.
With ``person_time = "none"`` the counts themselves, which may be cut by anything.
hazards: covariates by how follow-up ended, on the grid of kind survival. The hazard is constant in
each interval (Holford 1980; Laird and Olivier 1981), so this is a Poisson model of deaths with
person-time; those who leave an interval, by death or alive, count for half of it. Hazard ratios.

``glm`` fits, ``tables`` reads the noisy vector, ``result`` answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from math import prod
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.association.kind import OUTCOME, yes_or_no
from upcare_mpc.kinds.axes import Axis, axes_of
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.incidence.options import check_denominators
from upcare_mpc.kinds.kind import NoiseLaw, Preview, Result
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.coverage import asked_years
from upcare_mpc.study.expression import Expression, fields
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.residents import REGIONS
from upcare_mpc.study.spec import Option, Study

if TYPE_CHECKING:
    import altair as alt

__all__ = ["PEOPLE_WEIGHT", "RATIOS", "Model", "Regression"]

Model = Literal["logistic", "poisson", "hazards"]
RATIOS: Final[dict[Model, str]] = {
    "logistic": "odds ratio",
    "poisson": "rate ratio",
    "hazards": "hazard ratio",
}
PEOPLE_WEIGHT: Final = 100
"""People are counted in hundredths, in which their noise is that of a tumour."""
MAX_COEFFICIENTS: Final = 200
MAX_DESIGN: Final = 4 * 10**6
MAX_INTERVALS: Final = 120
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "logistic": ("outcome",),
    "poisson": ("person_time",),
    "hazards": ("interval_days", "intervals"),
}
_RESERVED: Final = frozenset({"interval", "exit", "outcome", "(intercept)"})
_PEOPLE: Final = REGIONS | {"sex", "age", "age_group", "diagnosis_year"}

Term = tuple[int, ...]
"""Numbers of the covariates whose product it is, rising."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A model; built by ``Regression.of``.

    Attributes:
        where: The cohort.
        model: Which one.
        covariates: What the table is cut by.
        references: Of each covariate, the category that the others are compared with.
        terms: What the model is made of.
        outcome: Of a logistic model.
        grid: Of a hazards model.
        residents: Whether a Poisson model has person-time.
    """

    where: Expression
    model: Model
    covariates: tuple[Axis, ...]
    references: tuple[int, ...]
    terms: tuple[Term, ...]
    outcome: Expression | None
    grid: Grid | None
    residents: bool

    @classmethod
    def of(cls, study: Study) -> "Regression":
        """Read the options of a study."""
        if study.release.suppress_below is not None:
            raise StudyError(
                "release.suppress_below: wanted none with kind regression, which needs every cell"
            )
        options = Options(study.options, "regression")
        model = _model(options)
        options.only(("model", "covariates", "terms", "reference", *_KEYS[model]))
        covariates = axes_of(options, "covariates", reserved=_RESERVED)
        for axis in covariates:
            if len(axis.labels) < 2:
                raise StudyError(
                    f"regression.covariates: wanted two categories or more, {axis.name} has "
                    f"{len(axis.labels)}"
                )
        given = (
            options.items("terms") if "terms" in options else tuple((a.name,) for a in covariates)
        )
        regression = cls(
            where=study.where,
            model=model,
            covariates=covariates,
            references=_references(options, covariates),
            terms=_terms(given, covariates),
            outcome=options.where("outcome") if model == "logistic" else None,
            grid=_grid(options) if model == "hazards" else None,
            residents=model == "poisson" and _has_residents(options),
        )
        regression.layout()  # refuses a table that is too large
        if regression.residents:
            _check_people(regression)
        _check_size(regression)
        return regression

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of categories of each covariate."""
        return tuple(len(axis.labels) for axis in self.covariates)

    def layout(self) -> Layout:
        """The covariates by outcome or exit; and people by covariate."""
        dimensions = tuple(axis.dimension for axis in self.covariates)
        if self.grid is not None:
            table = Table("patients", (*dimensions, Dimension("exit", self.grid.exits())))
        elif self.outcome is not None:
            table = Table("patients", (*dimensions, OUTCOME))
        else:
            table = Table("tumours", dimensions)
        people = (Table("person-years", dimensions, PEOPLE_WEIGHT),) if self.residents else ()
        return Layout.of((table, *people), self.measures())

    def measures(self) -> Measures:
        """Positions of records, and of residents."""
        axes = tuple(axis.position for axis in self.covariates)
        if self.grid is not None:
            return Measures(where=self.where, tables=(Measure((*axes, self.grid.exit_position())),))
        if self.outcome is not None:
            return Measures(where=self.where, tables=(Measure((*axes, yes_or_no(self.outcome))),))
        people = (Measure(axes, of="residents"),) if self.residents else ()
        return Measures(where=self.where, tables=(Measure(axes), *people))

    def preview(self, noise: NoiseLaw) -> Preview:
        """How exact the answer can be; looks at no record."""
        from upcare_mpc.kinds.regression import preview  # noqa: PLC0415  nodes never preview

        return preview.preview(self, noise)

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Fit the model; a row for each coefficient."""
        from upcare_mpc.kinds.regression import result  # noqa: PLC0415  nodes never finish

        return result.of(self, noisy, noise)

    def refit(
        self,
        noisy: npt.NDArray[np.int64],
        noise: NoiseLaw,
        *,
        terms: Sequence[Sequence[str]],
        reference: Mapping[str, str] | None = None,
    ) -> Result:
        """Fit another model on the table that was opened; it costs no privacy.

        Args:
            noisy: The opened vector.
            noise: The law of its noise.
            terms: As in a study.
            reference: As in a study; without it, as this study has them.

        Raises:
            StudyError: A term or a category is not one of the study.
        """
        wanted = tuple(tuple(term) for term in terms)
        changed = replace(self, terms=_terms(wanted, self.covariates))
        if reference is not None:
            options = Options({"reference": dict(reference)}, "regression")
            changed = replace(changed, references=_references(options, self.covariates))
        _check_size(changed)
        return changed.finish(noisy, noise)

    def chart(self, result: Result, *, title: str) -> "alt.VConcatChart":
        """Draw the ratios with their intervals."""
        from upcare_mpc.kinds.regression import chart  # noqa: PLC0415  nodes never draw

        return chart.plot(result, title=title, ratio=RATIOS[self.model])


def _model(options: Options) -> Model:
    given = options.text("model")
    for model in RATIOS:
        if given == model:
            return model
    raise StudyError(f"regression.model: wanted {', '.join(RATIOS)}, got {given[:60]!a}")


def _grid(options: Options) -> Grid:
    return Grid(
        interval_days=options.integer("interval_days", low=1, high=3650),
        intervals=options.integer("intervals", low=1, high=MAX_INTERVALS),
        landmark_days=0,
    )


def _has_residents(options: Options) -> bool:
    given = options.text("person_time", default="residents")
    if given not in {"residents", "none"}:
        raise StudyError(f"regression.person_time: wanted residents or none, got {given[:60]!a}")
    return given == "residents"


def _references(options: Options, covariates: tuple[Axis, ...]) -> tuple[int, ...]:
    if "reference" not in options:
        return (0,) * len(covariates)
    given = options.table("reference")
    given.only(axis.name for axis in covariates)
    return tuple(
        _position(axis, given.text(axis.name), given.place) if axis.name in given else 0
        for axis in covariates
    )


def _position(axis: Axis, label: str, place: str) -> int:
    if label not in axis.labels:
        known = ", ".join(axis.labels)[:200]
        raise StudyError(f"{place}.{axis.name}: wanted one of {known}, got {label!a}")
    return axis.labels.index(label)


def _terms(given: Sequence[Option], covariates: tuple[Axis, ...]) -> tuple[Term, ...]:
    place, names = "regression.terms", [axis.name for axis in covariates]
    terms: list[Term] = []
    for item in given:
        if not isinstance(item, tuple) or not item or not all(name in names for name in item):
            raise StudyError(f"{place}: wanted lists of covariates, of {', '.join(names)}")
        term = tuple(sorted(names.index(str(name)) for name in item))
        if len(set(term)) < len(term) or term in terms:
            raise StudyError(f"{place}: wanted terms that differ, of covariates that differ")
        terms.append(term)
    parts = chain.from_iterable(
        combinations(term, length) for term in terms for length in range(1, len(term))
    )
    for part in parts:
        if part not in terms:
            raise StudyError(
                f"{place}: wanted each part of an interaction as a term of its own, "
                f"[{', '.join(names[i] for i in part)}] is missing"
            )
    return tuple(terms)


def _check_people(regression: Regression) -> None:
    """Refuse covariates and conditions that a population file cannot answer."""
    for axis in regression.covariates:
        unknown = fields(axis.position) - _PEOPLE
        if unknown:
            raise StudyError(
                f"regression.covariates: a population file does not know {min(unknown)}; wanted "
                'sex, age, year or region, or person_time = "none"'
            )
    check_denominators(regression.where)
    years = asked_years(regression.measures())
    if years is None or years[0] <= 1900 or years[1] >= 2100:
        raise StudyError(
            "regression: wanted a first and a last year of diagnosis, in cohort.where "
            '("diagnosis_year between 2007 and 2015") or as a covariate, for the person-years'
        )


def _check_size(regression: Regression) -> None:
    intervals = 1 if regression.grid is None else regression.grid.intervals
    coefficients = intervals + sum(
        prod(regression.shape[number] - 1 for number in term) for term in regression.terms
    )
    rows = prod(regression.shape) * intervals
    if coefficients > MAX_COEFFICIENTS or rows * coefficients > MAX_DESIGN:
        raise StudyError(
            f"regression: wanted at most {MAX_COEFFICIENTS} coefficients, and {MAX_DESIGN} of "
            f"them times cells; got {coefficients}, times {rows}"
        )
