"""Delimited text from registries: one way to read it for all CSV formats.

The delimiter is ``;`` or ``,``, cells may be quoted, the encoding is UTF-8 with or without byte
order mark, columns may stand in any order; the header says which. A file is read as a stream, line
by line, so memory does not grow with it.

A file in another encoding, with an open quote, with an endless line, or cut off within a row is
refused with one line; a row with a wrong number of cells is counted and skipped. No text of a file
is ever shown, but for the names of wanted columns.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, TypeAlias

from upcare_mpc.errors import DataError

__all__ = ["Row", "Table", "folded", "header_columns"]

Row: TypeAlias = Sequence[str]

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_MAX_LINE_BYTES = 65_536
_BLOCK_BYTES = 65_536
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
        self._source = _Lines(stream, name)
        lines = iter(self._source)
        delimiter, self.columns = header_columns(next(lines, ""))
        self._rows = csv.reader(lines, delimiter=delimiter, strict=True)
        self.name = name
        self.skipped = 0

    @property
    def line(self) -> int:
        """How many lines were read; an error in the last row is at or before it."""
        return 1 + self._rows.line_num

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

    def blocks(self) -> Iterator[Sequence[Row]]:
        """The rows, some hundreds at a time.

        Raises:
            DataError: The file is not UTF-8, not CSV, or breaks off within a row.
        """
        width = len(self.columns)
        try:
            while block := list(islice(self._rows, _BLOCK_ROWS)):
                whole: Sequence[Row] = block
                if set(map(len, block)) != {width}:
                    self._count_misfits(block)
                    whole = [row for row in block if len(row) == width]
                yield whole
        except csv.Error:
            raise DataError(f"{self.name}: line {self.line}: not CSV (open quote?)") from None

    def rows(self) -> Iterator[Row]:
        """The rows, one at a time; errors as `blocks`."""
        for block in self.blocks():
            yield from block

    def _count_misfits(self, block: list[list[str]]) -> None:
        width = len(self.columns)
        if 0 < len(block[-1]) < width and not self._source.ended_properly:
            raise DataError(f"{self.name}: line {self.line}: the file breaks off in this row")
        self.skipped += sum(len(row) != width and any(row) for row in block)


class _Lines:
    """The lines of a file, decoded a block at a time, so that an error can say where."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._before = 0  # lines of earlier blocks
        self.ended_properly = True

    def __iter__(self) -> Iterator[str]:
        rest = b""
        while block := self._stream.read(_BLOCK_BYTES):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            yield from self._lines(whole + newline)
            if len(rest) > _MAX_LINE_BYTES:
                raise self._too_long(self._before)
        if rest:
            self.ended_properly = rest.endswith(b"\r")
            yield from self._lines(rest)

    def _lines(self, block: bytes) -> Iterator[str]:
        sizes = list(map(len, block.split(b"\n")))
        if max(sizes) > _MAX_LINE_BYTES:
            raise self._too_long(self._before + sizes.index(max(sizes)))
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self._before + block.count(b"\n", 0, error.start) + 1
            raise DataError(
                f"{self._name}: line {line}: not UTF-8; convert the file first"
            ) from None
        self._before += len(sizes) - 1
        return io.StringIO(text, newline="\n")

    def _too_long(self, line: int) -> DataError:
        return DataError(f"{self._name}: line {line + 1}: longer than {_MAX_LINE_BYTES} bytes")
