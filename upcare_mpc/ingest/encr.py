"""The ENCR-JRC incidence file: 39 columns, one row a tumour.

Layout: JRC-ENCR User Compendium 2.0, as the package encrqcs 0.7.0 writes it. The delimiter is ``;``
or ``,``, text may be quoted, the encoding is UTF-8 with or without byte order mark, columns may
stand in any order; all 39 must be there. Dates have no day, but ``Surv_time`` is in days.

Treatments are stated by the file itself (0 no, 1 and higher yes, 9 unknown), so a registry's
declaration of completeness does not apply here. Laterality and ICD-10 are not in the file.

Which codes mean "unknown" differs between data calls, and the table below is from memory of those
calls, not from the Compendium. It is therefore an argument: pass another one where it is wrong.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import BinaryIO

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import codes
from upcare_mpc.ingest.message import Rejected, Tumour
from upcare_mpc.records.case import Case
from upcare_mpc.records.variables import VARIABLES, Number

__all__ = ["COLUMNS", "MISSING", "header_columns", "tumours"]

COLUMNS = (
    "PAT", "MoB", "YoB", "Age", "Sex", "Geo_Code", "Geo_Label", "TUM", "MoI", "YoI", "BoD",
    "Topo", "Morpho", "Beh", "Grade", "Autopsy", "Vit_stat", "MoF", "YoF", "Surv_time", "ICD",
    "CoD", "TNM_ed", "cT", "cN", "cM", "pT", "pN", "pM", "ToS", "Stage", "Surgery", "Rt", "Cht",
    "Tt", "It", "Ht", "Ot", "SCT",
)  # fmt: skip

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
        "Surv_time": frozenset({"99999"}),
        "Stage": _UNKNOWN,
        **dict.fromkeys(("cT", "cN", "cM", "pT", "pN", "pM"), frozenset({"9", "99", "999"})),
        **dict.fromkeys(_TREATMENTS.values(), _UNKNOWN),
    }
)
"""Codes that mean "unknown", by column. An empty cell is unknown in every column."""

_SEX = {"1": "male", "2": "female", "3": "other"}
_VITAL_STATUS = {"1": "alive", "2": "dead"}
_DIGITS = re.compile(r"[0-9]{1,9}")
_MAX_LINE_BYTES = 65_536
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_MID_YEAR, _MID_MONTH = 7, 15


def header_columns(line: str) -> tuple[str, list[str]]:
    """Split a header line into its delimiter and its column names; none if it is not CSV."""
    delimiter = ";" if line.count(";") >= line.count(",") else ","
    try:
        row = next(csv.reader([line.removeprefix(_BYTE_ORDER_MARK)], delimiter=delimiter), [])
    except csv.Error:
        row = []
    return delimiter, [column.strip() for column in row]


def tumours(
    stream: BinaryIO, name: str, missing: Mapping[str, frozenset[str]] = MISSING
) -> Iterator[Tumour | Rejected]:
    """Read one file, a tumour or a reason a row.

    Raises:
        DataError: The file is not UTF-8, lacks a column, or breaks off within a row.
    """
    lines = _Lines(stream, name)
    delimiter, names = header_columns(next(lines, ""))
    positions = {column.casefold(): index for index, column in enumerate(names)}
    absent = [column for column in COLUMNS if column.casefold() not in positions]
    if absent:
        raise DataError(
            f"{name}: line 1: an ENCR incidence file has 39 columns; missing: {', '.join(absent)}"
        )
    read = {column: positions[column.casefold()] for column in COLUMNS}
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in rows:
            if not any(cells):
                continue
            if len(cells) < len(names) and not lines.ended_properly:
                raise DataError(f"{name}: line {lines.number}: the file breaks off in this row")
            if len(cells) != len(names):
                yield Rejected("row with a wrong number of columns")
                continue
            row = {column: cells[index].strip() for column, index in read.items()}
            for column, unknown in missing.items():
                if row.get(column) in unknown:
                    row[column] = ""
            yield _tumour(row)
    except csv.Error:
        raise DataError(f"{name}: line {lines.number}: not CSV (open quote?)") from None


class _Lines:
    """The lines of a file, decoded one by one, so that an error can say where."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self.number = 0
        self.ended_properly = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(_MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.ended_properly = line.endswith((b"\n", b"\r"))
        place = f"{self._name}: line {self.number}"
        if len(line) > _MAX_LINE_BYTES:
            raise DataError(f"{place}: longer than {_MAX_LINE_BYTES} bytes")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{place}: not UTF-8; convert the file first") from None


def _tumour(row: dict[str, str]) -> Tumour | Rejected:
    if not row["PAT"]:
        return Rejected("no patient id")
    if not row["TUM"]:
        return Rejected("no tumour key")
    year = _number("diagnosis_year", row["YoI"])
    if year is None:
        return Rejected("no usable diagnosis date")
    month = _number("diagnosis_month", row["MoI"])
    case = Case(
        patient_id=row["PAT"],
        tumour_id=row["TUM"],
        sequence=1,
        sex=_SEX.get(row["Sex"]),
        age=_number("age", row["Age"]),
        diagnosis_year=year,
        diagnosis_month=month,
        topography=codes.topography(row["Topo"]),
        morphology=codes.morphology(row["Morpho"])[0],
        behaviour=_code("behaviour", row["Beh"]),
        grade=codes.grade(row["Grade"]),
        stage=codes.stage(row["Stage"]),
        t=_category("t", row),
        n=_category("n", row),
        m=_category("m", row),
        basis=codes.basis(row["BoD"]),
        region=_code("region", row["Geo_Code"].upper()),
        vital_status=_VITAL_STATUS.get(row["Vit_stat"]),
        follow_up_days=_number("follow_up_days", row["Surv_time"]),
        **{variable: _treated(row[column]) for variable, column in _TREATMENTS.items()},
    )
    return Tumour(date(year, month or _MID_YEAR, _MID_MONTH), case)


def _category(component: str, row: dict[str, str]) -> str | None:
    """The pathological category before the clinical one."""
    letter = component.upper()
    return codes.category(component, row[f"p{letter}"]) or codes.category(
        component, row[f"c{letter}"]
    )


def _treated(cell: str) -> str | None:
    if not _DIGITS.fullmatch(cell):
        return None
    return "yes" if int(cell) else "no"


def _number(variable: str, cell: str) -> int | None:
    allowed = VARIABLES[variable].type
    if not _DIGITS.fullmatch(cell) or not isinstance(allowed, Number):
        return None
    value = int(cell)
    return value if allowed.accepts(value) else None


def _code(variable: str, cell: str) -> str | None:
    allowed = VARIABLES[variable].type
    return cell if not isinstance(allowed, Number) and allowed.accepts(cell) else None
