"""Age standardisation of survival: what it would be in a standard population of patients.

The International Cancer Survival Standards (Corazziari, Quinn and Capocaccia, Eur. J. Cancer 40,
2307-2316, 2004): ICSS1 for most cancers, ICSS2 for those of broader ages, ICSS3 for those of young
adults. Survival of each age group is weighted by its share of the standard.

The interval of the weighted sum is put together from those of the groups by MOVER (Zou and Donner,
Stat. Med. 27, 1693-1702, 2008): the distances to the lower bounds, times the weights, squared and
added; and the same for the upper bounds. So it is no narrower where a group has no deaths.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from upcare_mpc.kinds.axes import Axis
from upcare_mpc.kinds.kind import Floats
from upcare_mpc.study.expression import Between, Choose, Field, Integer

__all__ = ["AGE_GROUPS", "ICSS", "Standardised", "age_axis", "standardised"]

# Percent of each standard by age at diagnosis: the published weights of five-year groups, as the US
# National Cancer Institute and the R package popEpi (ICSS) state them, summed. Figures of the paper
# above; nothing else of these sources is carried over.
ICSS: Final[dict[str, tuple[int, ...]]] = {
    "ICSS1": (7, 12, 23, 29, 29),
    "ICSS2": (28, 17, 21, 20, 14),
    "ICSS3": (60, 10, 10, 10, 10),
}
AGE_GROUPS: Final = ((15, 44), (45, 54), (55, 64), (65, 74), (75, 120))


def age_axis() -> Axis:
    """Return the age groups of the standards; below 15 a record is in none."""
    labels = tuple(f"{low}-{high}" if high < 120 else f"{low}+" for low, high in AGE_GROUPS)
    branches = tuple(
        (Between(Field("age"), Integer(low), Integer(high)), Integer(number))
        for number, (low, high) in enumerate(AGE_GROUPS)
    )
    return Axis("age group", labels, Choose(branches))


@dataclass(frozen=True, slots=True)
class Standardised:
    """A weighted sum over age groups with its intervals; all ``(...)`` without the group axis."""

    estimate: Floats
    dp: tuple[Floats, Floats]
    ci: tuple[Floats, Floats]


def standardised(
    standard: str,
    estimate: Floats,
    dp: tuple[Floats, Floats],
    ci: tuple[Floats, Floats],
) -> Standardised:
    """Weight the age groups.

    Args:
        standard: ``ICSS1``, ``ICSS2`` or ``ICSS3``.
        estimate: ``(5, ...)`` of each age group.
        dp: Lower and upper bounds of the noise, each like ``estimate``.
        ci: The same of patients and noise.
    """
    weights = np.array(ICSS[standard]) / sum(ICSS[standard])
    middle: Floats = np.tensordot(weights, estimate, axes=1)

    def mover(bounds: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        below, above = (
            np.sqrt(np.tensordot(weights**2, (bound - estimate) ** 2, axes=1)) for bound in bounds
        )
        return np.maximum(middle - below, 0), middle + above

    return Standardised(middle, mover(dp), mover(ci))
