"""A question in Python: loaded from a study file, or built from a statistic's own terms.

    Study.load("study.toml")
    Study.survival(
        title="Survival by therapy",
        purpose="DUO:0000007",
        registries=["de-a", "de-b", "fr-a"],
        where="site = 'C50' and age >= 18",
        epsilon=1,
        interval_days=365,
        intervals=7,
        arms={"hormone therapy": "tx_hormone = yes", "no hormone therapy": "tx_hormone = no"},
    )

Either way there is a study file (``Study.text``), read by the one parser that registries use too: a
study built here can be kept, sent and asked from the command line, and no check is made twice.

Wherever an ``Axis`` is wanted, it is the name of a variable or a table as in a study file:
``"sex"``, ``{"variable": "age", "cuts": [50, 65]}``, ``{"name": "therapy", "arms": {...}}``.
Every constructor also takes what ``Asked`` lists.
"""

import json
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Required, Self, TypeAlias, TypedDict, Unpack

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.study import spec

__all__ = ["Asked", "Axis", "Study"]

Axis: TypeAlias = str | Mapping[str, Any]  # as a study file writes it
Conditions: TypeAlias = Mapping[
    str, str
]  # label to condition, in the order in which they are tried


class Asked(TypedDict, total=False):
    """What every study says, whatever its statistic; ``where`` and below may be left out.

    Attributes:
        title: One line for people; part of what registries approve.
        purpose: GA4GH data-use code, for example ``DUO:0000007``.
        registries: Names of the registries asked.
        epsilon: Privacy loss of the whole study for one patient, more than 0, at most 100.
        where: Condition for the cohort; every record unless stated.
        overlap: Registries that may know one patient; what the network has agreed on unless
            stated.
        mechanism: ``laplace`` (unless stated) or ``gaussian``, which wants a delta.
        delta: Probability with which the loss may be more than epsilon.
        minimum_cohort: Nothing is opened if the noisy total is below it.
        suppress_below: No cell is opened whose noisy value is below it.
        deposits: Who takes part without being online, as in a study file:
            ``{"registries": ["fr-c"], "patients": True, "days": 14}``.
    """

    title: Required[str]
    purpose: Required[str]
    registries: Required[Sequence[str]]
    epsilon: Required[float]
    where: str
    overlap: int
    mechanism: str
    delta: float
    minimum_cohort: int
    suppress_below: int
    deposits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """One question to the registries.

    Attributes:
        text: The study file, TOML or JSON.
        spec: What it says, parsed.
    """

    text: str
    spec: spec.Study

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a study file.

        Raises:
            StudyError: It is not there, or not a study; the text names the key.
        """
        path = Path(path)
        try:
            return cls.parse(path.read_bytes(), name=path.name)
        except (FileNotFoundError, IsADirectoryError):
            raise StudyError(f"{path.name}: no such study file") from None

    @classmethod
    def parse(cls, text: str | bytes, *, name: str = "study") -> Self:
        """Read the text of a study file, TOML or JSON; ``name`` is for error texts.

        Raises:
            StudyError: It is not a study; the text names the key.
        """
        parsed = spec.parse(text, name=name)
        try:
            kinds.of(parsed)
        except StudyError as error:
            raise StudyError(f"{name}: {error}") from None
        return cls(text if isinstance(text, str) else text.decode("utf-8"), parsed)

    @property
    def title(self) -> str:
        """One line for people."""
        return self.spec.title

    @property
    def digest(self) -> str:
        """What names this question everywhere: SHA-256 in hexadecimal."""
        return self.spec.digest.hex()

    def question(self, overlap: int) -> Question:
        """Work out what it implies in a network that has agreed on this overlap.

        Raises:
            StudyError: It cannot be answered there.
        """
        return work_out(self.spec, network_overlap=overlap)

    def save(self, path: str | Path) -> None:
        """Write the study file, for the command line or a colleague."""
        Path(path).write_text(self.text, "utf-8")

    def __repr__(self) -> str:
        return f"Study({self.title!r}, {self.spec.kind}, digest {self.digest[:12]}...)"

    # -- one constructor a statistic; all raise StudyError, which names the key ------------------

    @classmethod
    def counts(
        cls,
        *,
        by: Sequence[Axis],
        margins: bool | Sequence[Sequence[str]] | None = None,
        per_patient: int | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """A cross-table: tumours in each combination of categories.

        Args:
            by: The dimensions.
            margins: Names of the dimensions of each further table that is wanted, ``[]`` for the
                total; True: each dimension alone, and the total.
            per_patient: Tumours of one patient that count at most; 1 unless stated.
            asked: See ``Asked``.
        """
        return cls._of("counts", asked, by=by, margins=margins, per_patient=per_patient)

    @classmethod
    def incidence(
        cls,
        *,
        by: Sequence[Axis] | None = None,
        ages: Mapping[str, int] | None = None,
        standards: Sequence[str | Mapping[str, Any]] | None = None,
        trend: bool | None = None,
        reference: str | Mapping[str, Any] | None = None,
        per_patient: int | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """Incidence per 100,000 person-years: crude, age-specific, standardised; SIR and trend.

        Args:
            by: Strata, of any axes but age; one for all unless stated.
            ages: Age groups: ``{"from": 0, "width": 5, "open": 85}`` unless stated.
            standards: ``world``, ``esp2013``, ``esp1976``, or own weights; all three unless stated.
            trend: Whether to give the annual percentage change; wants single years in ``by``.
            reference: Reference rates for the SIR, or ``pooled``.
            per_patient: Tumours of one patient that count at most; 1 unless stated.
            asked: See ``Asked``.
        """
        return cls._of(
            "incidence",
            asked,
            by=by,
            ages=ages,
            standards=standards,
            trend=trend,
            reference=reference,
            per_patient=per_patient,
        )

    @classmethod
    def survival(
        cls,
        *,
        interval_days: int,
        intervals: int,
        arms: Conditions | None = None,
        landmark_days: int | None = None,
        strata: Sequence[Axis] | None = None,
        restricted_mean_days: int | None = None,
        relative: bool | None = None,
        expected_at_most: int | None = None,
        age_standard: str | None = None,
        period: Mapping[str, int] | None = None,
        dco: str | None = None,
        competing: Conditions | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """Survival by arm: life table or Kaplan-Meier on a grid, log-rank test, and what is added.

        Args:
            interval_days: Length of an interval. Multiples of 365 are years of 365.25 days.
            intervals: How many.
            arms: Label to condition; a record belongs to the first that is true of it. One arm,
                everybody, unless stated.
            landmark_days: Only who was followed beyond this day counts, from then on.
            strata: For a stratified log-rank test.
            restricted_mean_days: Up to which day the restricted mean is taken.
            relative: Whether to compare with the population's life tables (Ederer II).
            expected_at_most: Clamp of an expected probability of death, in thousandths.
            age_standard: Weights for age standardisation: ``ICSS1``, ``ICSS2`` or ``ICSS3``.
            period: First and last year of a period window: ``{"from": 2005, "to": 2009}``.
            dco: ``exclude`` (unless stated) or ``include`` cases known from a death certificate
                only, or ``count``: exclude them, and count them.
            competing: Label to condition of each cause of death, for cumulative incidence.
            asked: See ``Asked``.
        """
        return cls._of(
            "survival",
            asked,
            interval_days=interval_days,
            intervals=intervals,
            landmark_days=landmark_days,
            arms=arms,
            strata=strata,
            restricted_mean_days=restricted_mean_days,
            relative=relative,
            expected_at_most=expected_at_most,
            age_standard=age_standard,
            period=period,
            dco=dco,
            competing=None if competing is None else {"arms": competing},
        )

    @classmethod
    def association(
        cls,
        *,
        outcome: str,
        exposure: Axis,
        reference: str | None = None,
        strata: Sequence[Axis] | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """Odds ratio, risk ratio and risk difference of an exposure; Mantel-Haenszel over strata.

        Args:
            outcome: Condition for having it, for example ``recurrence_days <= 1826``.
            exposure: The exposure and its categories.
            reference: The category that others are compared with; the last unless stated.
            strata: What to adjust for.
            asked: See ``Asked``.
        """
        return cls._of(
            "association",
            asked,
            outcome={"where": outcome},
            exposure=exposure,
            reference=reference,
            strata=strata,
        )

    @classmethod
    def regression(
        cls,
        *,
        model: str,
        covariates: Sequence[Axis],
        terms: Sequence[Sequence[str]] | None = None,
        reference: Mapping[str, str] | None = None,
        outcome: str | None = None,
        person_time: str | None = None,
        interval_days: int | None = None,
        intervals: int | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """A model of categorical covariates, fitted by the researcher to one noisy table.

        Args:
            model: ``logistic``, ``poisson`` or ``hazards``.
            covariates: With their categories.
            terms: Names of the covariates of each term, two for an interaction; main effects
                unless stated. Others can be fitted later (``StudyResult.refit``).
            reference: Covariate to its reference category; the first unless stated.
            outcome: Condition for having it; of a logistic model.
            person_time: Of a Poisson model: ``residents`` unless stated; ``none`` for a log-linear
                model of counts.
            interval_days: Length of an interval of constant hazard; of a hazards model.
            intervals: How many; of a hazards model.
            asked: See ``Asked``.
        """
        return cls._of(
            "regression",
            asked,
            model=model,
            covariates=covariates,
            terms=terms,
            reference=reference,
            outcome=None if outcome is None else {"where": outcome},
            person_time=person_time,
            interval_days=interval_days,
            intervals=intervals,
        )

    @classmethod
    def means(
        cls,
        *,
        variables: Sequence[Mapping[str, Any]],
        by: Sequence[Axis] | None = None,
        variance: bool | None = None,
        correlation: bool | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """Means, standard deviations and correlations, from bounded sums.

        Args:
            variables: Each with its bounds: ``{"variable": "age", "from": 18, "to": 100}``; what is
                outside counts as the bound.
            by: Groups.
            variance: Whether to estimate the standard deviation; True unless stated.
            correlation: Whether to correlate two or more variables.
            asked: See ``Asked``.
        """
        return cls._of(
            "means", asked, variables=variables, by=by, variance=variance, correlation=correlation
        )

    @classmethod
    def quantiles(
        cls,
        *,
        variable: Mapping[str, Any],
        probabilities: Sequence[int] | None = None,
        by: Sequence[Axis] | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """Quantiles of a number, from its noisy histogram.

        Args:
            variable: With its bins: ``{"variable": "age", "from": 0, "to": 119, "width": 5}``.
            probabilities: In percent; quartiles unless stated.
            by: Groups.
            asked: See ``Asked``.
        """
        return cls._of("quantiles", asked, variable=variable, probabilities=probabilities, by=by)

    @classmethod
    def questionnaire(
        cls,
        *,
        questions: Mapping[str, Sequence[str]],
        cross: Sequence[Sequence[str]] | None = None,
        **asked: Unpack[Asked],
    ) -> Self:
        """Answers of patients, who deposit them: counts and shares of each option.

        Args:
            questions: Each question to what can be answered, in the order in which it is asked.
            cross: Pairs of questions that are also counted together.
            asked: See ``Asked``; ``deposits`` wants ``patients``.
        """
        listed = [{"text": text, "options": options} for text, options in questions.items()]
        return cls._of("questionnaire", asked, questions=listed, cross=cross)

    @classmethod
    def _of(cls, kind: str, asked: Asked, **options: Any) -> Self:
        """Write the study file and read it; options that are None are left out."""
        unknown = asked.keys() - Asked.__annotations__.keys()
        missing = Asked.__required_keys__ - asked.keys()
        if unknown or missing:
            wanted = f"unknown {min(unknown)!r}" if unknown else f"missing {min(missing)!r}"
            raise StudyError(
                f"study: {wanted}; every study takes {', '.join(Asked.__annotations__)}"
            )
        content = {
            "version": 1,
            "title": asked["title"],
            "kind": kind,
            "purpose": asked["purpose"],
            "registries": asked["registries"],
            "overlap": asked.get("overlap"),
            "cohort": {"where": asked.get("where", "true")},
            "deposits": asked.get("deposits"),
            "privacy": _stated(asked, "epsilon", "delta", "mechanism"),
            "release": _stated(asked, "minimum_cohort", "suppress_below"),
            kind: {name: value for name, value in options.items() if value is not None},
        }
        for name in ("overlap", "deposits"):
            if content[name] is None:
                del content[name]
        return cls.parse(json.dumps(content, indent=2, ensure_ascii=False, default=_plain))


def _stated(asked: Asked, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if key in keys and value is not None}


def _plain(value: object) -> Any:
    """What JSON does not know: whole numbers of numpy and pandas, other sequences and mappings."""
    match value:
        case numbers.Integral():
            return int(value)
        case Mapping():
            return dict(value)
        case Sequence():
            return list(value)
        case _:
            raise StudyError(
                "study: wanted texts, numbers, lists and tables, got " + type(value).__name__
            )
