"""Text to tables: a TOML or JSON document, read exactly, whose tables know where they stand.

Limits hold before anything is parsed. Decimals become fractions without rounding, a key given
twice is refused, and every error names the document and the key.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, Final

from upcare_mpc.errors import StudyError

__all__ = ["MAX_BYTES", "Table", "decoded", "json_table", "kind_of", "shown", "toml_table"]

MAX_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Table:
    """A table of the file on its way to becoming typed; knows where it stands."""

    content: dict[str, Any]
    name: str  # of the file
    path: str = ""  # of this table in the file, with a dot at the end

    def place(self, key: str) -> str:
        """Return the name of a key as errors show it."""
        return f"{self.name}: {self.path}{key}"

    def only(self, known: tuple[str, ...]) -> None:
        """Refuse keys that are not known, with the nearest that is."""
        for key in self.content:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                raise StudyError(f"{self.name}: unknown key {shown(self.path + key)}{hint}")

    def get(self, key: str) -> Any:
        """Return a value that must be there."""
        if key not in self.content:
            raise StudyError(f"{self.name}: missing key '{self.path}{key}'")
        return self.content[key]

    def text(self, key: str) -> str:
        """Return a text."""
        value = self.get(key)
        if not isinstance(value, str):
            raise StudyError(f"{self.place(key)}: wanted a text, got {kind_of(value)}")
        return value

    def matching(self, key: str, pattern: str, wanted: str) -> str:
        """Return a text of a form; ``wanted`` is that form in words."""
        value = self.text(key)
        if not re.fullmatch(pattern, value, re.ASCII):
            raise StudyError(f"{self.place(key)}: wanted {wanted}, got {shown(value)}")
        return value

    def integer(self, key: str) -> int:
        """Return a whole number."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise StudyError(f"{self.place(key)}: wanted a whole number, got {kind_of(value)}")
        return value

    def table(self, key: str) -> "Table":
        """Return a table inside this one."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise StudyError(f"{self.place(key)}: wanted a table, got {kind_of(value)}")
        return Table(value, self.name, f"{self.path}{key}.")


def decoded(received: str | bytes, name: str) -> str:
    """Return the text, if it is UTF-8 and not too large."""
    size = len(received)
    if size <= MAX_BYTES and isinstance(received, str):
        size = len(received.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise StudyError(f"{name}: wanted at most {MAX_BYTES} bytes, got {size}")
    if isinstance(received, str):
        return received
    try:
        return received.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{name}: wanted UTF-8, got another byte at {error.start}") from None


def toml_table(text: str, name: str) -> dict[str, Any]:
    """Read a TOML document."""
    try:
        return tomllib.loads(text, parse_float=_exact)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise StudyError(f"{name}: not a TOML file: {_reason(error)}") from None


def json_table(text: str, name: str) -> dict[str, Any]:
    """Read a JSON document that is an object."""
    try:
        content = json.loads(
            text, parse_float=_exact, parse_constant=_exact, object_pairs_hook=_once
        )
    except (RecursionError, ValueError) as error:
        raise StudyError(f"{name}: not a JSON file: {_reason(error)}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{name}: wanted a JSON object, got {kind_of(content)}")
    return content


def kind_of(value: Any) -> str:
    """Say what a value is, for an error text."""
    names = {bool: "true or false", int: "a whole number", Fraction: "a decimal", str: "a text"}
    names |= {list: "a list", dict: "a table", type(None): "nothing"}
    return names.get(type(value), "a date or time")


def shown(value: Any) -> str:
    """Return a text as an error may show it: ASCII and short."""
    return ascii(value)[:60] if isinstance(value, str) else kind_of(value)


def _reason(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _exact(written: str) -> Fraction:
    """Read a decimal without rounding."""
    try:
        number = Decimal(written.replace("_", ""))
    except ArithmeticError:  # an exponent that no Decimal holds
        number = Decimal("NaN")
    if not number.is_finite() or len(written) > 40 or abs(number.adjusted()) > 30:
        raise ValueError(f"wanted a decimal of usual size, got {written[:40]}")
    return Fraction(number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is given twice")
    return content
