"""Cases as the rows of a snapshot, with the numbers that they state; all in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.storage.snapshot_rows import (
    ORDERED,
    VARIABLE_FIELDS,
    Written,
    pseudonym,
    write_rows,
)
from upcare_mpc.study.rows import turn

__all__ = ["SECRET", "case_rows", "write_cases"]

SECRET = b"s" * 32


def write_cases(
    cases: Iterable[Case], path: Path, *, secret: bytes = SECRET, rules: int = 1
) -> Written:
    """Write the well-formed ones."""
    return write_rows(case_rows(cases, secret=secret), path, rules=rules)


def case_rows(cases: Iterable[Case], *, secret: bytes = SECRET, size: int = 1000) -> Iterator[Any]:
    """Record batches of some patients each, sorted by pseudonym and turn."""
    named = [(pseudonym(secret, case.patient_id), case) for case in cases if well_formed(case)]
    named.sort(key=lambda pair: (pair[0], turn(pair[1])))
    while named:
        end = size
        while end < len(named) and named[end][0] == named[end - 1][0]:
            end += 1
        yield _batch(named[:end])
        named = named[end:]


def _batch(named: list[tuple[bytes, Case]]) -> Any:
    columns = [pa.array([name for name, _ in named], pa.binary(16))]
    columns.append(pa.array(["made up"] * len(named), pa.string()))
    columns += [
        pa.array([getattr(case, variable) for _, case in named], type_)
        for variable, type_ in VARIABLE_FIELDS
    ]
    return pa.record_batch(columns, schema=ORDERED)
