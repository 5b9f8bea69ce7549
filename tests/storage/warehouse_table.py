"""Records as a registry's own table would hold them, and as the rows engine counts them."""

from typing import Any

import pyarrow as pa
from generated_studies import crowd

from upcare_mpc.records.case import Case
from upcare_mpc.storage.warehouse_variables import STORED

SCHEMA = pa.schema([(n, pa.int64() if t == "int64" else pa.string()) for n, t in STORED.items()])

_NAMES = {"patient": "patient_id", "tumour": "tumour_id"}
_EXTREMES: tuple[tuple[str, Any], ...] = (
    ("age", 2**63 - 1),
    ("age", -(2**63)),
    ("age", 2**31),
    ("follow_up_days", -(2**31)),
    ("diagnosis_year", 2**31 - 1),
    ("sequence", 2**40),
    ("sequence", None),
    ("patient_id", None),
    ("tumour_id", None),
    ("region", "Zürich"),
    ("topography", "C50.9\n"),
    ("topography", ""),
    ("morphology", "\x01"),
    ("icd10", "C50'; DROP TABLE cases; --"),
    ("icd10", "\\"),
    ("sex", "\u00a0"),
)


def table_cases() -> list[Case]:
    """Records that columns can hold."""
    kept = [
        case
        for case in crowd(2000)
        if all(
            _fits(value, type_) for value, type_ in zip(_row(case), STORED.values(), strict=True)
        )
    ]
    extremes = [
        Case(**({"patient_id": "p7", "tumour_id": f"x{i}", "sequence": 0, "age": 50} | {name: v}))
        for i, (name, v) in enumerate(_EXTREMES)
    ]
    return [*kept, *extremes]


def ties(patients: int = 20_000) -> list[Case]:
    """Two rows a patient, alike in all that names them, that differ in columns or not at all."""
    differ: tuple[dict[str, Any], ...] = (
        {"sex": "male"},
        {"sex": None},
        {"age": 40, "sex": "male"},
        {"death_by_tumour": "no", "sex": "male", "age": 50},
        {"sex": "female", "age": 50},
    )
    return [
        Case(**({"patient_id": f"p{i}", "tumour_id": "1", "sequence": 1} | known))
        for i in range(patients)
        for known in ({"sex": "female", "age": 50}, differ[i % len(differ)])
    ]


def arrow_table(cases: list[Case]) -> pa.Table:
    columns = zip(*map(_row, cases), strict=True)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], SCHEMA)


def _row(case: Case) -> list[Any]:
    return [getattr(case, _NAMES.get(name, name)) for name in STORED]


def _fits(value: Any, type_: str) -> bool:
    if value is None:
        return True
    if type_ == "int64":
        return type(value) is int
    return type(value) is str and not any("\ud800" <= c <= "\udfff" for c in value)
