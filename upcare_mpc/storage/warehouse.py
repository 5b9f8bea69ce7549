"""A warehouse: the database in which a registry keeps its cases, PostgreSQL or Spark.

The same measures as over a snapshot run in the engine; of the cases only the table of cells leaves
it, which is secret like the cases. The table of the warehouse has one row a tumour and at least the
columns of ``STORED``: ``patient`` and ``tumour``, which are text, and every variable of the study
language that is recorded and does not follow from others. The rows belong to the registry: what is
in them may be wrong, and no record makes counting fail. One that is not well formed
(``records.case``) takes part in nothing, as it would not in a snapshot.

Limits: no copy is made, so nothing here can tell whether the table is still the one that a study
was approved on. Two rows alike in ``patient``, ``sequence`` and ``tumour`` are ordered by all other
columns (``warehouse_query``); ``tumour`` should tell them apart.

Ibis, and the driver of the engine, are loaded when a warehouse is opened, and are in the extras
``postgres`` and ``spark``.
"""

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.records.reference import NOTHING, Reference
from upcare_mpc.study.layout import Layout, Measures
from upcare_mpc.study.residents import resident_vector

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["QUERY_S", "Warehouse"]

QUERY_S: Final = 600.0
"""Seconds that one query may take unless told otherwise."""

_TABLE: Final = re.compile(r"[A-Za-z_]\w{0,62}(\.[A-Za-z_]\w{0,62}){0,2}", re.ASCII)
_WORDS: Final = {"int64": "whole numbers", "string": "text"}


class Engine(Protocol):
    """What is different between databases."""

    dialect: str
    """Ibis's name of it."""

    def types(self, table: str) -> Mapping[str, str]:
        """Return the columns of a table: ``int64``, ``string``, or what the engine calls it."""

    def source(self, table: str, columns: Mapping[str, str]) -> str:
        """Return a query for some columns, as 64 bits or as text compared by code point."""

    def answer(self, query: str) -> list[tuple[int, ...]]:
        """Run one query that reads, for a limited time; ``DataError`` if there is no answer."""

    def close(self) -> None:
        """Let go of what is held between queries."""


class Warehouse:
    """Counts over the cases of one table; may be used from several threads."""

    def __init__(self, url: str, table: str, *, seconds: float = QUERY_S) -> None:
        """Open a warehouse and check the columns of its table.

        Args:
            url: ``postgresql://user@host/database``, as libpq reads it; for Spark ``sc://host`` (a
                Spark Connect server), ``spark://host:7077`` (a standalone cluster) or ``local[2]``
                (in this process).
            table: Name as stored, with its schema or database if needed: ``registry.cases``.
            seconds: The time that one query may take.

        Raises:
            ConfigError: The URL or the name is not one, or an extra is not installed.
            DataError: The engine does not answer, or the table is not as it should be.
        """
        if not _TABLE.fullmatch(table):
            raise ConfigError("warehouse: wanted a table like registry.cases, got something else")
        engine, self._query = _load(url)
        columns: Mapping[str, str] = self._query.STORED
        self._table = table
        self._engine: Engine = engine.open_engine(url, seconds)
        try:
            self._check(columns)
        except DataError:
            self._engine.close()
            raise
        self._source = self._engine.source(table, columns)

    def __repr__(self) -> str:
        """Hide the URL, which may hold a password."""
        return f"Warehouse(<{self._engine.dialect}>, {self._table!r})"

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()

    def tumours(self) -> int:
        """Count the rows of the table, well formed or not. Secret.

        Raises:
            DataError: The engine does not answer.
        """
        ((tumours,),) = self._engine.answer(f"SELECT count(*) FROM ({self._source}) AS cases")  # noqa: S608
        return tumours

    def tabulate(
        self, measures: Measures, layout: Layout, reference: Reference = NOTHING
    ) -> npt.NDArray[np.int64]:
        """Count the cases into the cells of the layout; ``(cells,)``, secret.

        The vector is that of ``study.rows`` on the same records. One query, whose answer has at
        most as many rows as the layout has cells.

        Raises:
            StudyError: The measures are outside the limits of ``study.sql``, or want a life table.
            DataError: The engine does not answer, or not in time, or the population does not fit
                the study.
        """
        query = self._query.count_query(
            measures, layout, dialect=self._engine.dialect, source=self._source
        )
        vector = resident_vector(measures, layout, reference.residents)
        if counted := self._engine.answer(query):
            cells, amounts = np.array(counted, np.int64).T
            vector[cells] = amounts
        return vector

    def _check(self, columns: Mapping[str, str]) -> None:
        found = self._engine.types(self._table)
        missing = [name for name in columns if name not in found]
        if missing:
            raise DataError(f"warehouse: the table has no column {', '.join(missing)}")
        for name, wanted in columns.items():
            if found[name] != wanted:
                got = _WORDS.get(found[name], found[name])
                raise DataError(f"warehouse: column {name}: wanted {_WORDS[wanted]}, got {got}")


def _load(url: str) -> "tuple[ModuleType, ModuleType]":
    """Load the engine of a URL, and what writes its queries."""
    if url.startswith(("postgresql://", "postgres://")):
        extra = "postgres"
    elif url.startswith(("sc://", "spark://", "local[")):
        extra = "spark"
    else:
        raise ConfigError(
            "warehouse: wanted a URL that starts with postgresql://, sc://, spark:// or local[, "
            "got another one"
        )
    try:
        return (
            importlib.import_module(f"upcare_mpc.storage.warehouse_{extra}"),
            importlib.import_module("upcare_mpc.storage.warehouse_query"),
        )
    except ModuleNotFoundError:
        raise ConfigError(
            f"warehouse: wanted the extra {extra}; pip install 'upcare-mpc[{extra}]' installs it"
        ) from None
