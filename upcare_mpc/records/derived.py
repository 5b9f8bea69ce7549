"""Variables that follow from others: one definition for records and for columns of records."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from upcare_mpc.records.ages import age_group
from upcare_mpc.records.site_groups import site_group

__all__ = ["DERIVED", "cause_group", "derive", "nuts1", "nuts2", "site"]

_CACHED = 65_536


def site(topography: str | None, icd10: str | None) -> str | None:
    """Three-character site: ICD-O topography if known, else ICD-10 (``C50``)."""
    code = topography or icd10
    return code[:3] if code else None


def nuts1(region: str | None) -> str | None:
    """First three characters of the region: a Land or a French region."""
    return _prefix(region, 3)


def nuts2(region: str | None) -> str | None:
    """First four characters of the region."""
    return _prefix(region, 4)


def cause_group(death_by_tumour: str | None, cause: str | None) -> str | None:
    """``cancer`` or ``other``: as the source judges, else whether ``cause`` is a C code."""
    if death_by_tumour is not None:
        return "cancer" if death_by_tumour == "yes" else "other"
    if cause is None:
        return None
    return "cancer" if cause.startswith("C") else "other"


def _prefix(code: str | None, length: int) -> str | None:
    return code[:length] if code and len(code) >= length else None


DERIVED: Final[Mapping[str, tuple[Callable[..., str | None], tuple[str, ...]]]] = {
    "site": (site, ("topography", "icd10")),
    "site_group": (site_group, ("icd10", "topography", "morphology", "behaviour")),
    "age_group": (age_group, ("age",)),
    "nuts1": (nuts1, ("region",)),
    "nuts2": (nuts2, ("region",)),
    "cause_group": (cause_group, ("death_by_tumour", "cause")),
}
"""What each derived variable follows from."""

_CACHES: Final = {name: lru_cache(_CACHED)(function) for name, (function, _) in DERIVED.items()}


def derive(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[str | None]]:
    """The derived variables of records that come as columns; one of ``None`` if it is missing.

    Args:
        columns: Variables by name, all of the same length; at least one.
    """
    rows = len(next(iter(columns.values())))
    unknown = [None] * rows
    return {
        name: list(map(_CACHES[name], *(columns.get(source, unknown) for source in sources)))
        for name, (_, sources) in DERIVED.items()
    }
