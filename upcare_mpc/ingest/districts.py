"""German district keys (AGS, five digits) -> NUTS codes, by the table `districts.csv` beside this.

Where the table comes from and under which licence is said in `districts.SOURCE.md`. It has the
boundaries of 31 December 2019; a key that was abolished before, or made since, has no region.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

__all__ = ["nuts", "nuts_by_district"]


@cache
def nuts_by_district() -> Mapping[str, str]:
    """The whole table: 436 keys, of which 401 are districts; read once from the package."""
    text = files("upcare_mpc.ingest").joinpath("districts.csv").read_text("utf-8")
    _, *rows = text.splitlines()
    return MappingProxyType(dict(row.split(",") for row in rows))


def nuts(ags: str | None) -> str | None:
    """The NUTS code of a district key; ``None`` if there is no such key in the table."""
    return nuts_by_district().get(ags) if ags else None
