"""DuckDB, closed in: it reads one file of rows and reaches nothing else.

No network, no extension loaded or installed while running, no other file, no variable of the
calling program; and none of that can be switched on again. What does not fit into ``MEMORY_LIMIT``
goes to a folder that the caller names, in the clear like the rows themselves, and is deleted at the
end (DuckDB encrypts such files only with an extension that would have to be loaded).

Only patients of a ``Selection`` are counted. The query is the same whoever they are: it reads a
view, in which the exceptions are joined away or are all that is left.

The adversary here is the text of a study. ``study.sql`` turns it into a query that holds nothing
but names of variables and checked literals; this module is what remains if that fails.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upcare_mpc.consent.gate import Selection
from upcare_mpc.errors import DataError
from upcare_mpc.records.reference import NOTHING, OLDEST, LifeTable, Reference
from upcare_mpc.storage.snapshot_rows import PSEUDONYM
from upcare_mpc.study.layout import ExpectedDeath, Layout, Measures
from upcare_mpc.study.residents import resident_vector
from upcare_mpc.study.sql import count_query

__all__ = ["ALL_PATIENTS", "MEMORY_LIMIT", "Engine", "open_duck"]

ALL_PATIENTS: Final = Selection(silent=True, exceptions=frozenset())
"""All patients of a snapshot."""

MEMORY_LIMIT: Final = "192MiB"

_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": MEMORY_LIMIT,
    "python_enable_replacements": False,
}


class Engine:
    """Counts over the rows of one snapshot; may be used from several threads."""

    def __init__(self, rows: Path, spill: Path) -> None:
        """Open the file.

        A second name for it is made beside ``spill`` if that is on the same disk: so it can be
        counted until it is closed, though the snapshot may be destroyed meanwhile.
        """
        self._spill = spill
        self._held = spill.with_name(f"{spill.name}.rows")
        spill.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another disk
            self._held.hardlink_to(rows)
        self._duck = _closed_in(self._held if self._held.exists() else rows, spill, view="rows")

    def close(self) -> None:
        """Let go of the file and of what was spilt."""
        self._duck.close()
        self._held.unlink(missing_ok=True)
        shutil.rmtree(self._spill, ignore_errors=True)

    def known(self, patients: Iterable[bytes]) -> frozenset[bytes]:
        """Return which of some patients have rows. Secret.

        Args:
            patients: Their pseudonyms.

        Raises:
            DataError: The file cannot be used any more.
        """
        with self._duck.cursor() as duck, _one_error():
            _give(duck, patients)
            found = duck.sql("SELECT pseudonym FROM given SEMI JOIN rows USING (pseudonym)")
            return frozenset(found.to_arrow_table()["pseudonym"].to_pylist())

    def tabulate(
        self,
        measures: Measures,
        layout: Layout,
        selection: Selection,
        reference: Reference = NOTHING,
    ) -> npt.NDArray[np.int64]:
        """Count the cases of a selection into the cells of the layout; ``(cells,)``, secret.

        The vector is that of ``study.rows`` on the cases of these patients that were written. It
        fails on no record: rows are well formed, and the query has no operation that can fail on
        one.

        Raises:
            StudyError: The measures are outside the limits of ``study.sql``.
            DataError: The file or the spill folder cannot be used any more, or the population
                does not fit the study.
        """
        query = count_query(measures, layout)
        vector = resident_vector(measures, layout, reference.residents)
        which = "ANTI" if selection.silent else "SEMI"
        # One cursor a call: they are not shared between threads, and each has its own view.
        with self._duck.cursor() as duck, _one_error():
            _give(duck, selection.exceptions)
            duck.execute(
                f"CREATE TEMP VIEW cases AS FROM rows {which} JOIN given USING (pseudonym)"
            )
            if measures.spans:
                _give_expected(duck, measures.spans, reference.life_table)
            found = duck.sql(query).fetchnumpy()
        vector[found["cell"]] = found["amount"]
        return vector


@contextmanager
def open_duck(rows: Path, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open one file of rows as the table ``cases``, for reading."""
    duck = _closed_in(rows, spill, view="cases")
    try:
        yield duck
    finally:
        duck.close()
        shutil.rmtree(spill, ignore_errors=True)


def _give(duck: duckdb.DuckDBPyConnection, patients: Iterable[bytes]) -> None:
    """Hand patients to one cursor, as its table ``given``."""
    handed = pa.table({"pseudonym": pa.array(list(patients), PSEUDONYM)})
    duck.register("handed", handed)
    duck.execute("CREATE TEMP TABLE given AS SELECT pseudonym FROM handed")
    duck.unregister("handed")


def _give_expected(
    duck: duckdb.DuckDBPyConnection, spans: Sequence[ExpectedDeath], life_table: LifeTable
) -> None:
    """Hand what a life table expects to one cursor, as its table ``expected``."""
    chances = [life_table.expected_deaths(span.start_days, span.end_days) for span in spans]
    held, ages = list(chances[0]), range(OLDEST + 1)
    columns = {
        "of_sex": pa.array([sex for sex, _ in held for _ in ages], pa.string()),
        "of_age": pa.array([age for _ in held for age in ages], pa.int64()),
        "of_year": pa.array([year for _, year in held for _ in ages], pa.int64()),
    }
    for number, found in enumerate(chances):
        column = [chance for key in held for chance in found[key]]
        columns[f"e{number}"] = pa.array(column, pa.int16())
    duck.register("handed", pa.table(columns))
    duck.execute("CREATE TEMP TABLE expected AS FROM handed")
    duck.unregister("handed")


@contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except duckdb.Error:  # its text may hold a path or a value
        raise DataError("the snapshot cannot be counted") from None


def _closed_in(rows: Path, spill: Path, *, view: str) -> duckdb.DuckDBPyConnection:
    shutil.rmtree(spill, ignore_errors=True)  # what a crash has left; the key to it is gone
    spill.mkdir(mode=0o700, parents=True)
    duck = duckdb.connect(":memory:", config={**_CONFIG, "temp_directory": str(spill)})
    try:
        path = _quoted(rows)
        duck.execute(f"SET allowed_paths = [{path}]")
        duck.execute("SET enable_external_access = false")
        duck.execute("SET lock_configuration = true")
        duck.execute(f"CREATE VIEW {view} AS FROM read_parquet({path})")
    except duckdb.Error:
        duck.close()
        raise DataError("the snapshot cannot be read") from None
    return duck


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
