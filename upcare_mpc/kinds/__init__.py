"""The statistics that registries can answer jointly, one folder a statistic.

``of(study)`` gives the statistic that a study asks for, with its options checked.
"""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.association.kind import Association
from upcare_mpc.kinds.counts.kind import Counts
from upcare_mpc.kinds.incidence.kind import Incidence
from upcare_mpc.kinds.kind import Kind, NoiseLaw, Result
from upcare_mpc.kinds.means.kind import Means
from upcare_mpc.kinds.quantiles.kind import Quantiles
from upcare_mpc.kinds.questionnaire.kind import Questionnaire
from upcare_mpc.kinds.regression.kind import Regression
from upcare_mpc.kinds.survival.kind import Survival
from upcare_mpc.study.spec import Study

__all__ = ["KINDS", "Kind", "NoiseLaw", "Result", "of"]

KINDS: Final[dict[str, Callable[[Study], Kind]]] = {
    "association": Association.of,
    "counts": Counts.of,
    "incidence": Incidence.of,
    "means": Means.of,
    "quantiles": Quantiles.of,
    "questionnaire": Questionnaire.of,
    "regression": Regression.of,
    "survival": Survival.of,
}


def of(study: Study) -> Kind:
    """Return the statistic that the study asks for.

    Raises:
        StudyError: There is no such kind, or its options are not usable.
    """
    if study.kind not in KINDS:
        near = get_close_matches(study.kind, KINDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise StudyError(f"kind: wanted {' or '.join(KINDS)}, got {study.kind!r}{hint}")
    return KINDS[study.kind](study)
