"""Population and life table as one file of a snapshot: canonical JSON, read back exactly.

    [1, residents, life table]

``residents`` has rows of year, sex, first and last age (null if open), region (null if the whole
area), and people; the life table has rows of sex, year and yearly probabilities by age. Numbers are
written so that they are read back to the same value.

Nothing here depends on a patient's record.
"""

import json
from typing import Any, Final

from upcare_mpc.errors import DataError
from upcare_mpc.records.reference import NOTHING, LifeTable, Reference, Residents, Stratum

__all__ = ["decoded", "encoded"]

_VERSION: Final = 1


def encoded(reference: Reference) -> bytes:
    """Return the bytes that stand for a reference; empty if it holds nothing."""
    if reference == NOTHING:
        return b""
    residents = [
        [s.year, s.sex, s.first_age, s.last_age, s.region, group.count]
        for group in reference.residents
        for s in (group.stratum,)
    ]
    yearly = reference.life_table.yearly
    deaths = [[sex, year, list(yearly[sex, year])] for sex, year in sorted(yearly)]
    return json.dumps([_VERSION, residents, deaths], separators=(",", ":")).encode("ascii")


def decoded(content: bytes) -> Reference:
    """Return the reference that bytes stand for.

    Raises:
        DataError: They are damaged, or of another version.
    """
    if not content:
        return NOTHING
    try:
        version, residents, deaths = json.loads(content)
        if version != _VERSION:
            raise ValueError(version)
        return Reference(
            residents=tuple(map(_residents, residents)),
            life_table=LifeTable({(sex, year): tuple(line) for sex, year, line in deaths}),
        )
    except (ValueError, TypeError):  # their texts may hold a value
        raise DataError("the population or life table of the snapshot is damaged") from None


def _residents(row: list[Any]) -> Residents:
    *stratum, count = row
    return Residents(Stratum(*stratum), count)
