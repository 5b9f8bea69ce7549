"""Delimited text from registries: one way to read it for all CSV formats.

The delimiter is ``;`` or ``,``, cells may be quoted, the encoding is UTF-8 with or without byte
order mark, columns may stand in any order; the header says which. A file is read as a stream, line
by line, so memory does not grow with it.

A file in another encoding, with an open quote, with an endless line, or cut off within a row is
refused with one line; a row with a wrong number of cells is counted and skipped. No text of a file
is ever shown, but for the names of wanted columns.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, TypeAlias

from upcare_mpc.errors import DataError

__all__ = ["Row", "Table", "folded", "header_columns"]

Row: TypeAlias = Sequence[str]

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_MAX_LINE_BYTES = 65_536
_BLOCK_ROWS = (
    256  # a block of 39 columns stays in the cache of a core: 4096 rows take twice as long
)
_NOT_A_LETTER = re.compile(r"[^a-z0-9]")


def header_columns(line: str) -> tuple[str, list[str]]:
    """Split a header line into its delimiter and its column names; none if it is not CSV."""
    delimiter = ";" if line.count(";") >= line.count(",") else ","
    try:
        row = next(csv.reader([line.removeprefix(_BYTE_ORDER_MARK)], delimiter=delimiter), [])
    except csv.Error:
        row = []
    return delimiter, [column.strip() for column in row]


def folded(columns: Iterable[str]) -> list[str]:
    """Column names without case, blanks and signs: ``Age_Unit`` and ``age unit`` are one."""
    return [_NOT_A_LETTER.sub("", column.casefold()) for column in columns]


class Table:
    """An open file, its header read.

    Args:
        stream: The file, at its start; stays the caller's to close.
        name: What to call it in an error.

    Attributes:
        name: As given.
        columns: The names in the header, as they are written.
        skipped: Rows with a wrong number of cells so far; empty lines are not counted.

    Raises:
        DataError: The header is not UTF-8, or endless.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._lines = _Lines(stream, name)
        delimiter, self.columns = header_columns(next(self._lines, ""))
        self._rows = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self.name = name
        self.skipped = 0

    @property
    def line(self) -> int:
        """How many lines were read; an error in the last row is at or before it."""
        return self._lines.number

    def positions(self, wanted: Sequence[str], title: str) -> dict[str, int]:
        """Where each wanted column stands; names are compared by `folded`.

        Raises:
            DataError: A column is missing or there twice; the text names it and ``title``.
        """
        found: dict[str, int] = {}
        here = folded(self.columns)
        for column, name in zip(wanted, folded(wanted), strict=True):
            if here.count(name) > 1:
                raise DataError(f"{self.name}: line 1: {title} has the column {column} twice")
            if name in here:
                found[column] = here.index(name)
        if missing := [column for column in wanted if column not in found]:
            raise DataError(f"{self.name}: line 1: {title}; missing: {', '.join(missing)}")
        return found

    def blocks(self) -> Iterator[list[Row]]:
        """The rows, some hundreds at a time.

        Raises:
            DataError: The file is not UTF-8, not CSV, or breaks off within a row.
        """
        width = len(self.columns)
        try:
            while block := list(islice(self._rows, _BLOCK_ROWS)):
                whole: list[Row] = [row for row in block if len(row) == width]
                if len(whole) < len(block):
                    self._count_misfits(block)
                yield whole
        except csv.Error:
            raise DataError(f"{self.name}: line {self.line}: not CSV (open quote?)") from None

    def rows(self) -> Iterator[Row]:
        """The rows, one at a time; errors as `blocks`."""
        for block in self.blocks():
            yield from block

    def _count_misfits(self, block: list[list[str]]) -> None:
        width = len(self.columns)
        if 0 < len(block[-1]) < width and not self._lines.ended_properly:
            raise DataError(f"{self.name}: line {self.line}: the file breaks off in this row")
        self.skipped += sum(len(row) != width and any(row) for row in block)


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
        if len(line) > _MAX_LINE_BYTES:
            raise DataError(
                f"{self._name}: line {self.number}: longer than {_MAX_LINE_BYTES} bytes"
            )
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(
                f"{self._name}: line {self.number}: not UTF-8; convert the file first"
            ) from None
