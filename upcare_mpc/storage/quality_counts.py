"""Counting a snapshot for its quality report: completeness and checks, by format and year.

The conditions are expressions of the study language, counted by the same closed-in DuckDB and
through the same translation (`study.sql`) as a study. Memory is bounded by
``snapshot_engine.MEMORY_LIMIT``. What leaks: the counts are exact, for the registry alone.

Cost: two passes over the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from upcare_mpc.errors import DataError
from upcare_mpc.quality.checks import CHECKS
from upcare_mpc.quality.counts import EXPECTED, MEASURED, Counts, Group
from upcare_mpc.quality.figures import FIGURES, Figure, absent_fields
from upcare_mpc.storage.snapshot_engine import open_duck
from upcare_mpc.study import language
from upcare_mpc.study.expression import And, Expression, Field, IsKnown, Truth
from upcare_mpc.study.sql import sql

__all__ = ["count"]

_ALL: Final = Truth(value=True)


@dataclass(frozen=True, slots=True)
class _Completeness:
    """The first pass over one format and year."""

    format: str
    year: int | None
    tumours: int
    expected: dict[str, int]
    known: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Findings:
    """The second pass over one format and year."""

    found: dict[str, int]
    figures: dict[str, int]
    with_error: int
    with_warning: int


def count(rows: Path, spill: Path) -> Counts:
    """Count the rows of a snapshot.

    Args:
        rows: Its Parquet file.
        spill: Folder for what does not fit into memory; made anew.

    Raises:
        DataError: The file is not a snapshot's, or cannot be read.
    """
    try:
        with open_duck(rows, spill) as duck:
            ((patients,),) = duck.execute(
                "SELECT coalesce(max(patient) + 1, 0) FROM cases"
            ).fetchall()
            groups = list(_completeness(duck))
            findings = dict(_findings(duck, groups))
    except RuntimeError:  # what DuckDB makes of an interrupt
        raise KeyboardInterrupt from None
    except duckdb.Error:  # its text may hold a path or a value
        raise DataError("the snapshot cannot be counted") from None
    return Counts(
        patients=patients,
        groups=tuple(_together(group, findings[group.format, group.year]) for group in groups),
    )


def _completeness(duck: duckdb.DuckDBPyConnection) -> Iterator[_Completeness]:
    expected = {
        name: language.parse(EXPECTED[name], place=name) if name in EXPECTED else _ALL
        for name in MEASURED
    }
    columns = [_tally(condition) for condition in expected.values()]
    columns += [
        _tally(And((condition, IsKnown(Field(name), known=True))))
        for name, condition in expected.items()
    ]
    found = duck.execute(
        f"SELECT format, diagnosis_year, count(*), {', '.join(columns)} FROM cases "  # noqa: S608
        "GROUP BY format, diagnosis_year ORDER BY format, diagnosis_year NULLS LAST"
    )
    for format_, year, tumours, *counted in found.fetchall():
        wanted, known = counted[: len(MEASURED)], counted[len(MEASURED) :]
        yield _Completeness(
            format_,
            year,
            tumours,
            dict(zip(MEASURED, wanted, strict=True)),
            dict(zip(MEASURED, known, strict=True)),
        )


def _findings(
    duck: duckdb.DuckDBPyConnection, groups: Iterable[_Completeness]
) -> Iterator[tuple[tuple[str, int | None], _Findings]]:
    """Yield what the checks and figures find in each format and year."""
    stated: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for group in groups:
        stated[group.format] += Counter(group.known)
    conditions: list[Figure] = [*CHECKS, *FIGURES]
    inner: list[str] = []
    left_out: list[str] = []
    for i, condition in enumerate(conditions):
        silent = [name for name in stated if not _says_something(condition, stated[name])]
        but = f" AND format NOT IN ({', '.join('?' * len(silent))})" if silent else ""
        inner.append(f"{sql(condition.expression)}{but} AS c{i}")
        left_out += silent
    columns = [f"count(*) FILTER (WHERE c{i})" for i in range(len(conditions))]
    columns += [
        _any(i for i, check in enumerate(CHECKS) if check.severity == severity)
        for severity in ("error", "warning")
    ]
    found = duck.execute(
        f"SELECT format, diagnosis_year, {', '.join(columns)} FROM "  # noqa: S608
        f"(SELECT format, diagnosis_year, {', '.join(inner)} FROM cases) "
        "GROUP BY format, diagnosis_year",
        left_out,
    )
    names = [condition.name for condition in conditions]
    for format_, year, *counted, with_error, with_warning in found.fetchall():
        tallies = list(zip(names, counted, strict=True))
        yield (
            (format_, year),
            _Findings(
                {name: tally for name, tally in tallies[: len(CHECKS)] if tally},
                dict(tallies[len(CHECKS) :]),
                with_error,
                with_warning,
            ),
        )


def _says_something(condition: Figure, stated: Collection[str]) -> bool:
    absent = absent_fields(condition.expression)
    return not absent or not absent.isdisjoint(stated)


def _tally(condition: Expression) -> str:
    return f"count(*) FILTER (WHERE {sql(condition)})"


def _any(columns: Iterable[int]) -> str:
    return f"count(*) FILTER (WHERE {' OR '.join(f'c{i}' for i in columns)})"


def _together(complete: _Completeness, findings: _Findings) -> Group:
    return Group(
        format=complete.format,
        year=complete.year,
        tumours=complete.tumours,
        expected=complete.expected,
        known=complete.known,
        found=findings.found,
        figures=findings.figures,
        with_error=findings.with_error,
        with_warning=findings.with_warning,
    )
