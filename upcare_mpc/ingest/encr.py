"""The ENCR-JRC incidence file: 39 columns, one row a tumour.

Layout: JRC-ENCR User Compendium 2.0, as the package encrqcs 0.7.0 writes it; all 39 columns must be
there (`ingest.tables` says in which dialects). Dates have no day, but ``Surv_time`` is in days.

Treatments are stated by the file itself (0 no, 1 and higher yes, 9 unknown), so a registry's
declaration of completeness does not apply here. Laterality and ICD-10 are not in the file. A cause
of death counts if it is coded by ICD-10 and the patient has died.

Which codes mean "unknown" differs between data calls. Those of the older call with 56 columns are
published (encrqcs, ``data-raw/column_specifications.csv``) and agree with the table below, where
that call has the variable; the rest is from memory. The table is an argument: pass another one
where it is wrong.

Rows are translated a column at a time, some hundreds of rows together, each distinct cell once.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import compress
from types import MappingProxyType
from typing import Any, BinaryIO, TypeAlias

from upcare_mpc.ingest import codes, remarks
from upcare_mpc.ingest.message import Tumour
from upcare_mpc.ingest.tables import Row, Table
from upcare_mpc.records.case import Case
from upcare_mpc.records.variables import VARIABLES, Number

__all__ = ["COLUMNS", "MISSING", "Batch", "batches", "onset", "tumours"]

COLUMNS = (
    "PAT", "MoB", "YoB", "Age", "Sex", "Geo_Code", "Geo_Label", "TUM", "MoI", "YoI", "BoD",
    "Topo", "Morpho", "Beh", "Grade", "Autopsy", "Vit_stat", "MoF", "YoF", "Surv_time", "ICD",
    "CoD", "TNM_ed", "cT", "cN", "cM", "pT", "pN", "pM", "ToS", "Stage", "Surgery", "Rt", "Cht",
    "Tt", "It", "Ht", "Ot", "SCT",
)  # fmt: skip

Value: TypeAlias = str | int | None

_TITLE = "an ENCR incidence file has 39 columns"
_UNKNOWN = frozenset({"9", "99"})
_TREATMENTS = {
    "tx_surgery": "Surgery",
    "tx_radio": "Rt",
    "tx_chemo": "Cht",
    "tx_targeted": "Tt",
    "tx_immuno": "It",
    "tx_hormone": "Ht",
    "tx_transplant": "SCT",
}

MISSING: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "MoB": frozenset({"99"}),
        "YoB": frozenset({"9999"}),
        "Age": frozenset({"999"}),
        "Sex": _UNKNOWN,
        "Geo_Code": frozenset({"9", "99", "999", "9999", "99999"}),
        "MoI": frozenset({"99"}),
        "YoI": frozenset({"9999"}),
        "BoD": _UNKNOWN,
        "Morpho": frozenset({"9999"}),
        "Beh": _UNKNOWN,
        "Grade": _UNKNOWN,
        "Vit_stat": _UNKNOWN,
        "MoF": frozenset({"99"}),
        "YoF": frozenset({"9999"}),
        "Surv_time": frozenset({"99999"}),
        "ICD": frozenset({"99"}),
        "CoD": frozenset({"99999"}),
        "TNM_ed": _UNKNOWN,
        "Stage": _UNKNOWN,
        **dict.fromkeys(("cT", "cN", "cM", "pT", "pN", "pM"), frozenset({"9", "99", "999"})),
        **dict.fromkeys(_TREATMENTS.values(), _UNKNOWN),
    }
)
"""Codes that mean "unknown", by column. An empty cell is unknown in every column."""

# Codes that say something for which the record has no place, so they are not noticed.
_NO_PLACE = {
    "Grade": frozenset("05678"),
    **dict.fromkeys(("cT", "cN", "cM", "pT", "pN", "pM"), frozenset({"X", "x", "a"})),
}
_SEX = {"1": "male", "2": "female", "3": "other"}
_VITAL_STATUS = {"1": "alive", "2": "dead"}
_DIGITS = re.compile(r"[0-9]{1,9}")
_CACHED_CELLS = 65_536
_MID_YEAR, _MID_MONTH = 7, 15
_YEAR_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Some hundred rows as columns, in the order of the file.

    Attributes:
        columns: Variables of `Case` by name, all of the same length; ``patient_id``,
            ``tumour_id`` and ``diagnosis_year`` are never ``None``. Variables that the file does
            not have are left out, and so is ``sequence``. Secret.
        rejected: Rows that could not be used, by reason.
        remarks: What was noticed in the rows of ``columns``, by kind.
    """

    columns: Mapping[str, Sequence[Value]]
    rejected: Mapping[str, int]
    remarks: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Hide the records."""
        return "Batch(<hidden>)"


def batches(
    stream: BinaryIO, name: str, missing: Mapping[str, frozenset[str]] = MISSING
) -> Iterator[Batch]:
    """Read one file in constant memory.

    Raises:
        DataError: The file is not UTF-8, lacks a column, or breaks off within a row.
    """
    table = Table(stream, name)
    translation = _Translation(table.positions(COLUMNS, _TITLE), missing)
    skipped = 0
    for block in table.blocks():
        misfits, skipped = table.skipped - skipped, table.skipped
        rejected = Counter({"row with a wrong number of columns": misfits} if misfits else {})
        noticed: Counter[str] = Counter()
        usable = translation.usable(block, rejected)
        columns = translation.columns(usable, noticed) if usable else {}
        yield Batch(columns, rejected, {kind: rows for kind, rows in noticed.items() if rows})


def tumours(batch: Batch) -> Iterator[Tumour]:
    """The rows of a batch as tumours."""
    names = tuple(batch.columns)
    for values in zip(*batch.columns.values(), strict=True):
        case = Case(sequence=1, **dict(zip(names, values, strict=True)))
        yield Tumour(onset(case.diagnosis_year or 0, case.diagnosis_month), case)


@cache
def onset(year: int, month: int | None) -> date:
    """The day that decides the order of a patient's tumours."""
    return date(year, month or _MID_YEAR, _MID_MONTH)


class _Cells(dict[str, Value]):
    """What each distinct cell of one column means; translated when first seen.

    Attributes:
        odd: Cells that state something, and no code.
    """

    def __init__(self, translate: Callable[[str], Value], unknown: frozenset[str]) -> None:
        super().__init__()
        self.odd: set[str] = set()
        self._translate = translate
        self._unknown = unknown

    def __missing__(self, cell: str) -> Value:
        stated = cell.strip()
        given = bool(stated) and stated not in self._unknown
        value = self._translate(stated) if given else None
        if len(self) < _CACHED_CELLS:
            self[cell] = value
            if given and value is None:
                self.odd.add(cell)
        return value


class _Translation:
    """From cells to variables, column by column."""

    def __init__(self, positions: Mapping[str, int], missing: Mapping[str, frozenset[str]]) -> None:
        self._positions = positions
        self._cells = {
            column: _Cells(
                translate, missing.get(column, frozenset()) | _NO_PLACE.get(column, frozenset())
            )
            for column, translate in _MEANINGS.items()
        }

    def usable(self, block: Sequence[Row], rejected: Counter[str]) -> Sequence[Row]:
        """The rows with patient, tumour and date; count the others, but for empty lines."""
        patient, tumour, year = (self._positions[column] for column in ("PAT", "TUM", "YoI"))
        years = self._cells["YoI"]
        usable = [
            bool(row[patient].strip() and row[tumour].strip() and years[row[year]]) for row in block
        ]
        if all(usable):
            return block
        for row, is_usable in zip(block, usable, strict=True):
            if not is_usable and any(row):
                rejected[self._reason(row)] += 1
        return list(compress(block, usable))

    def _reason(self, row: Row) -> str:
        if not row[self._positions["PAT"]].strip():
            return "no patient id"
        if not row[self._positions["TUM"]].strip():
            return "no tumour key"
        return "no usable diagnosis date"

    def columns(self, block: Sequence[Row], noticed: Counter[str]) -> dict[str, Sequence[Value]]:
        """Translate usable rows; count what is noticed in them."""
        cells = list(zip(*block, strict=True))
        meanings: dict[str, list[Value]] = {}
        for column, known in self._cells.items():
            stated = cells[self._positions[column]]
            meanings[column] = list(map(known.__getitem__, stated))
            if known.odd and column in _ODD:
                noticed[_ODD[column]] += sum(map(known.odd.__contains__, stated))

        def best(component: str) -> list[Value]:
            """The pathological category before the clinical one."""
            both = zip(meanings[f"p{component}"], meanings[f"c{component}"], strict=True)
            return [pathological or clinical for pathological, clinical in both]

        status = meanings["Vit_stat"]
        coded = zip(meanings["CoD"], meanings["ICD"], status, strict=True)
        _note_order(meanings, noticed)
        return {
            "patient_id": [cell.strip() for cell in cells[self._positions["PAT"]]],
            "tumour_id": [cell.strip() for cell in cells[self._positions["TUM"]]],
            **{variable: meanings[column] for variable, column in _ONE_COLUMN.items()},
            "t": best("T"),
            "n": best("N"),
            "m": best("M"),
            "cause": [c if icd and vital == "dead" else None for c, icd, vital in coded],
            "diagnosis_precision": [
                "year" if month is None else "month" for month in meanings["MoI"]
            ],
        }


def _note_order(meanings: Mapping[str, Sequence[Any]], noticed: Counter[str]) -> None:
    """Count rows whose dates stand in the wrong order, as far as they are known."""
    columns = ("YoB", "MoB", "YoI", "MoI", "YoF", "MoF", "Vit_stat")
    for yob, mob, yoi, moi, yof, mof, status in zip(*map(meanings.get, columns), strict=True):
        if yob is not None and yoi <= yob and (yoi < yob or (mob and moi and moi < mob)):
            noticed[remarks.BIRTH_AFTER_DIAGNOSIS] += 1
        if yof is not None and yof <= yoi and (yof < yoi or (moi and mof and mof < moi)):
            dead = status == "dead"
            noticed[
                remarks.DEATH_BEFORE_DIAGNOSIS if dead else remarks.CONTACT_BEFORE_DIAGNOSIS
            ] += 1


def _treated(cell: str) -> str | None:
    if not _DIGITS.fullmatch(cell):
        return None
    return "yes" if int(cell) else "no"


def _year(cell: str) -> int | None:
    return int(cell) if len(cell) == _YEAR_DIGITS and _DIGITS.fullmatch(cell) else None


def _number(variable: str) -> Callable[[str], int | None]:
    return lambda cell: codes.number(variable, cell)


def _code(variable: str) -> Callable[[str], str | None]:
    allowed = VARIABLES[variable].type

    def read(cell: str) -> str | None:
        code = cell.upper()
        return code if not isinstance(allowed, Number) and allowed.accepts(code) else None

    return read


_ONE_COLUMN = {
    "sex": "Sex",
    "age": "Age",
    "diagnosis_year": "YoI",
    "diagnosis_month": "MoI",
    "topography": "Topo",
    "morphology": "Morpho",
    "behaviour": "Beh",
    "grade": "Grade",
    "stage": "Stage",
    "tnm_edition": "TNM_ed",
    "basis": "BoD",
    "region": "Geo_Code",
    "vital_status": "Vit_stat",
    "follow_up_days": "Surv_time",
    **_TREATMENTS,
}

_MEANINGS: Mapping[str, Callable[[str], Value]] = {
    "MoB": _number("diagnosis_month"),
    "YoB": _year,
    "MoF": _number("diagnosis_month"),
    "YoF": _year,
    "Sex": _SEX.get,
    "Age": _number("age"),
    "YoI": _number("diagnosis_year"),
    "MoI": _number("diagnosis_month"),
    "Topo": codes.topography,
    "Morpho": lambda cell: codes.morphology(cell)[0],
    "Beh": _code("behaviour"),
    "Grade": codes.grade,
    "Stage": codes.stage,
    "TNM_ed": _code("tnm_edition"),
    "BoD": codes.basis,
    "Geo_Code": _code("region"),
    "Vit_stat": _VITAL_STATUS.get,
    "Surv_time": _number("follow_up_days"),
    "ICD": {"10": "10"}.get,
    "CoD": codes.icd10,
    **{f"{standing}T": lambda cell: codes.category("t", cell) for standing in "cp"},
    **{f"{standing}N": lambda cell: codes.category("n", cell) for standing in "cp"},
    **{f"{standing}M": lambda cell: codes.category("m", cell) for standing in "cp"},
    **dict.fromkeys(_TREATMENTS.values(), _treated),
}

_ODD: Mapping[str, str] = {
    **{column: remarks.no_code(variable) for variable, column in _ONE_COLUMN.items()},
    **{
        f"{standing}{letter}": remarks.no_code(letter.lower())
        for standing in "cp"
        for letter in "TNM"
    },
    **dict.fromkeys(("MoB", "YoB", "MoI", "MoF", "YoF"), remarks.UNREADABLE_DATE),
    "Age": remarks.IMPOSSIBLE_AGE,
    "Surv_time": "follow_up_days: not a number of days",
}
