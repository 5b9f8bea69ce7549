"""The ENCR population file, life table and mortality file: who lives in a region, who dies there.

All are statistics beside the incidence file, one row a calendar year, sex, age and, if there is
such a column, region; the mortality file also has a cause of death, an ICD-10 code. Layout:
JRC-ENCR User Compendium 2.0, as the package encrqcs 0.7.0 writes it; names of columns are compared
without case, blanks and signs, and where versions differ (``Age unit``, ``Annual age``) each name
will do. `ingest.tables` says in which dialects of CSV.

The Compendium was not at hand for the coding of age. A cell may be one year of age (``67``), a
group of them (``65-69``) or an open one (``85+``); anything else is refused. Since a rate or an
expected death is wrong if one row of its denominator is, these files are read as a whole or not at
all, and a stratum may be there only once (with each cause).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import codes
from upcare_mpc.ingest.tables import Table, folded
from upcare_mpc.records.reference import DeathProbability, Residents, Stratum
from upcare_mpc.records.variables import VARIABLES, Number

__all__ = [
    "LIFE_TABLE",
    "MORTALITY",
    "POPULATION",
    "Deaths",
    "has_columns",
    "life_table",
    "mortality",
    "population",
]


@dataclass(frozen=True, slots=True)
class Deaths:
    """How many people died in a stratum of a cause, an ICD-10 code (``C50`` or ``C50.9``)."""

    stratum: Stratum
    cause: str
    count: int


Columns = Mapping[str, tuple[str, ...]]

_KEYS: Columns = {
    "year": ("Calendar year",),
    "sex": ("Sex",),
    "age": ("Age unit", "Annual age"),
}
POPULATION: Columns = {**_KEYS, "value": ("Number of residents",)}
"""What a population file must have: what is read -> the names of columns that will do."""
LIFE_TABLE: Columns = {**_KEYS, "value": ("All causes death probability",)}
"""What a life table must have."""
MORTALITY: Columns = {**_KEYS, "cause": ("Cause of death",), "value": ("Number of deaths",)}
"""What a mortality file must have."""
_REGION = "Geo_code"

_SEX = {"1": "male", "2": "female"}
_AGE = re.compile(r"([0-9]{1,3})(?: ?- ?([0-9]{1,3})|(\+))?")
_VALUE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,17})?(?:[eE]-?[0-9]{1,2})?")


def has_columns(columns: Sequence[str], wanted: Columns) -> bool:
    """Say whether a header is that of such a file."""
    here = set(folded(columns))
    return all(here.intersection(folded(names)) for names in wanted.values())


def population(stream: BinaryIO, name: str) -> Iterator[Residents]:
    """Read a population file in the order of its rows.

    Raises:
        DataError: It lacks a column, or a row cannot be used; the text names it.
    """
    for row in _read(stream, name, POPULATION, "an ENCR population file"):
        yield Residents(row.stratum, row.value)


def life_table(stream: BinaryIO, name: str) -> Iterator[DeathProbability]:
    """Read a life table in the order of its rows.

    Raises:
        DataError: It lacks a column, or a row cannot be used; the text names it.
    """
    for row in _read(stream, name, LIFE_TABLE, "an ENCR life table"):
        if row.value > 1:
            raise DataError(f"{row.place}: wanted a probability from 0 to 1, got more")
        yield DeathProbability(row.stratum, row.value)


def mortality(stream: BinaryIO, name: str) -> Iterator[Deaths]:
    """Read a mortality file in the order of its rows.

    Raises:
        DataError: It lacks a column, or a row cannot be used; the text names it.
    """
    for row in _read(stream, name, MORTALITY, "an ENCR mortality file"):
        cause = codes.icd10(row.cause)
        if cause is None:
            raise DataError(f"{row.place}: wanted an ICD-10 code as cause, got something else")
        if not row.value.is_integer():
            raise DataError(f"{row.place}: wanted a whole number of deaths, got a fraction")
        yield Deaths(row.stratum, cause, int(row.value))


class _Row(NamedTuple):
    """A row, and what to call it in an error; ``cause`` is in capitals, without dot."""

    place: str
    stratum: Stratum
    cause: str
    value: float


def _read(stream: BinaryIO, name: str, wanted: Columns, title: str) -> Iterator[_Row]:
    table = Table(stream, name)
    here = folded(table.columns)
    chosen = {
        part: next((column for column in names if folded([column])[0] in here), names[0])
        for part, names in wanted.items()
    }
    if folded([_REGION])[0] in here:
        chosen["region"] = _REGION
    positions = table.positions(tuple(chosen.values()), title)
    at = {part: positions[column] for part, column in chosen.items()}
    keys = "year, sex, age, region and cause" if "cause" in wanted else "year, sex, age and region"
    seen: set[tuple[Stratum, str]] = set()
    for number, row in enumerate(table.rows(), 1):
        if not any(row):
            continue
        place = f"{name}: row {number}"
        cells = {part: row[position].strip() for part, position in at.items()}
        stratum = _stratum(cells, place)
        cause = cells.get("cause", "").upper().replace(".", "")
        if (stratum, cause) in seen:
            raise DataError(f"{place}: wanted every {keys} once, got one again")
        seen.add((stratum, cause))
        if not _VALUE.fullmatch(cells["value"]):
            raise DataError(f"{place}: wanted a number in {chosen['value']}, got something else")
        yield _Row(place, stratum, cause, float(cells["value"]))
    if table.skipped:
        raise DataError(
            f"{name}: wanted {len(table.columns)} cells in every row, "
            f"got another number in {table.skipped}"
        )


def _stratum(cells: Mapping[str, str], place: str) -> Stratum:
    year = codes.number("diagnosis_year", cells["year"])
    if year is None:
        raise DataError(f"{place}: wanted a calendar year of four digits, got something else")
    sex = _SEX.get(cells["sex"])
    if sex is None:
        raise DataError(f"{place}: wanted sex 1 (male) or 2 (female), got something else")
    age = _AGE.fullmatch(cells["age"])
    first = int(age[1]) if age else -1
    last = None if age is None or age[3] else int(age[2] or first)
    if age is None or (last is not None and last < first):
        raise DataError(f"{place}: wanted an age like 67, 65-69 or 85+, got something else")
    region = cells.get("region", "").upper() or None
    allowed = VARIABLES["region"].type
    if region is not None and (isinstance(allowed, Number) or not allowed.accepts(region)):
        raise DataError(f"{place}: wanted a NUTS code in {_REGION}, got something else")
    return Stratum(year, sex, first, last, region)
