"""Age groups of five years, and the populations that rates are standardised to.

Sources: European standard population 2013, Eurostat KS-RA-13-028, with its two oldest groups added
up to 85+; world standard population, Segi 1960 as modified by Doll 1966; European standard
population 1976, Waterhouse 1976; the International Cancer Survival Standards, Corazziari, Quinn and
Capocaccia, Eur. J. Cancer 40, 2307-2316, 2004. The figures were taken from the R package popEpi and
the common data model, which agree, and not from the papers.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["AGE_GROUPS", "STANDARD_POPULATIONS", "SURVIVAL_STANDARDS", "age_group"]

_WIDTH: Final = 5
_OLDEST: Final = 85

AGE_GROUPS: Final = (
    *(f"{low}-{low + _WIDTH - 1}" for low in range(0, _OLDEST, _WIDTH)),
    f"{_OLDEST}+",
)
"""``0-4``, ``5-9``, ..., ``80-84``, ``85+``: 18 groups of completed years."""

STANDARD_POPULATIONS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "european_2013": (
            5000, 5500, 5500, 5500, 6000, 6000, 6500, 7000, 7000,
            7000, 7000, 6500, 6000, 5500, 5000, 4000, 2500, 2500,
        ),
        "european_1976": (
            8000, 7000, 7000, 7000, 7000, 7000, 7000, 7000, 7000,
            7000, 7000, 6000, 5000, 4000, 3000, 2000, 1000, 1000,
        ),
        "world": (
            12000, 10000, 9000, 9000, 8000, 8000, 6000, 6000, 6000,
            6000, 5000, 4000, 4000, 3000, 2000, 1000, 500, 500,
        ),
    }
)  # fmt: skip
"""Persons in each of ``AGE_GROUPS``, of 100,000."""

SURVIVAL_STANDARDS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "icss_1": {"15-44": 7, "45-54": 12, "55-64": 23, "65-74": 29, "75+": 29},
        "icss_2": {"15-44": 28, "45-54": 17, "55-64": 21, "65-74": 20, "75+": 14},
        "icss_3": {"15-44": 60, "45-54": 10, "55-64": 10, "65-74": 10, "75+": 10},
    }
)
"""Weights in percent; 1 is for cancers of the old, 2 for those of middle age, 3 for the young."""


def age_group(age: int | None) -> str | None:
    """Return the group of an age in completed years."""
    return None if age is None or age < 0 else AGE_GROUPS[min(age // _WIDTH, len(AGE_GROUPS) - 1)]
