"""What a study implies, worked out the same by researcher, platform and every registry.

A function of the study's text and the network's overlap alone.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds import Kind, of
from upcare_mpc.kinds.answers import Answerable
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.kinds.questionnaire.kind import Questionnaire
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.guarantee import Guarantee, gaussian_release, laplace_release
from upcare_mpc.privacy.laplace import SampledLaplace
from upcare_mpc.study.layout import Layout, Sensitivity
from upcare_mpc.study.spec import Study

__all__ = ["MAX_STEPS", "Question", "work_out"]

MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A study and what follows from it.

    Attributes:
        study: With the network's overlap filled in.
        digest: Digest of the study as it was asked.
        kind: The statistic.
        layout: The table's cells and sensitivity.
        law: Exact law of the noise.
        guarantee: What the release guarantees, and what every registry is charged.
        steps: Most steps that one record costs to count.
    """

    study: Study
    digest: bytes
    kind: Kind
    layout: Layout
    law: SampledLaplace | SampledGaussian
    guarantee: Guarantee
    steps: int

    @property
    def noise(self) -> NoiseLaw:
        """The noise in a cell of the vector, as estimators need to know it."""
        return NoiseLaw.of(self.guarantee)

    @property
    def of_patients_alone(self) -> bool:
        """Whether nothing but patients' answers is counted: then all registries' tables are 0."""
        return isinstance(self.kind, Questionnaire)

    @property
    def error95(self) -> float:
        """95 % of the noise of one cell of the first table is within this, in its own unit."""
        weight = self.layout.tables[0].weight
        return self.guarantee.error95 if weight == 1 else self.guarantee.error95 / weight


def work_out(asked: Study, *, network_overlap: int) -> Question:
    """Work out what a study implies in a network.

    Raises:
        StudyError: It cannot be answered: bad options, or an epsilon or delta for which there is
            no noise.
    """
    study = asked.resolved(network_overlap)
    kind = of(study)
    layout = kind.layout()
    steps = kind.measures().steps
    if steps > MAX_STEPS:
        raise StudyError(
            f"study: wanted at most {MAX_STEPS} steps to place one record, "
            f"its conditions and dimensions take {steps}"
        )
    overlap = study.overlap or network_overlap
    law, guarantee = _release(study.epsilon, study.delta, layout.sensitivity, overlap)
    _check_deposits(study, kind, network_overlap)
    if study.release.minimum_cohort is not None:
        _check_minimum(study.release.minimum_cohort, layout, guarantee)
    return Question(
        study=study,
        digest=asked.digest,
        kind=kind,
        layout=layout,
        law=law,
        guarantee=guarantee,
        steps=steps,
    )


def _check_deposits(study: Study, kind: Kind, network_overlap: int) -> None:
    """Refuse deposits that cannot be made, or would count a patient more often than is stated.

    A registry that knows a patient may give her a ticket. In a table that registries fill from
    records too, her own deposit and its records of her are two sources: a patient known to
    ``network_overlap`` registries enters twice as often.
    """
    if study.deposits is None or not study.deposits.patients:
        return
    if not isinstance(kind, Answerable):
        raise StudyError(
            f"deposits.patients: wanted false with kind {study.kind}, which is not made of answers"
        )
    least = 2 * network_overlap
    if not isinstance(kind, Questionnaire) and (study.overlap or network_overlap) < least:
        raise StudyError(
            f"overlap: wanted at least {least} where patients deposit what registries count too, "
            f"got {study.overlap}"
        )


def _check_minimum(minimum: int, layout: Layout, guarantee: Guarantee) -> None:
    """Refuse a least size of a cohort that the noise alone would reach in an empty one."""
    first = layout.tables[0]
    noise = NoiseLaw.of(guarantee).per(first.weight)
    reach = math.ceil(first.cells**0.5 * float(noise.reach(1 / first.cells)))
    if minimum < reach:
        raise StudyError(
            f"release.minimum_cohort: wanted at least {reach}, got {minimum}; the noise of "
            f"{first.cells} cells reaches that far in an empty cohort. Ask for fewer cells"
        )


@lru_cache(maxsize=64)
def _release(
    epsilon: Fraction, delta: Fraction | None, sensitivity: Sensitivity, overlap: int
) -> tuple[SampledLaplace | SampledGaussian, Guarantee]:
    if delta is None:
        return laplace_release(epsilon, sensitivity, overlap)
    return gaussian_release(epsilon, delta, sensitivity, overlap)
