"""A TOML file on its way to becoming typed: every wrong key or value is refused by its place."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from upcare_mpc.errors import ConfigError

__all__ = ["Table"]

_VERSION = 1


@dataclass(slots=True)
class Table:
    """A TOML table on its way to becoming typed; knows where it stands."""

    content: dict[str, Any]
    where: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file."""
        try:
            content = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
        except FileNotFoundError:
            raise ConfigError(
                f"{path.name} is missing in the folder {path.resolve().parent.name}"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path.name}: not a TOML file: {error}") from None
        return cls(content, path.name)

    def place(self, key: str) -> str:
        """How an error names a key."""
        return f"{self.where}: {key}" if self.where.endswith(".toml") else f"{self.where}.{key}"

    def only(self, *known: str) -> None:
        """Refuse keys that are not known, with the nearest known one."""
        for key in self.content:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                raise ConfigError(f"{self.where}: unknown key {key!r}{hint}")

    def get(self, key: str) -> Any:
        """The value under a key, whatever it is."""
        if key not in self.content:
            raise ConfigError(f"{self.where}: missing key {key!r}")
        return self.content[key]

    def version(self) -> None:
        """Refuse a file of another version."""
        version = self.get("version")
        if type(version) is not int or version != _VERSION:
            raise ConfigError(f"{self.place('version')}: wanted {_VERSION}")

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self.place(key)}: wanted a text")
        return value

    def one_of(self, key: str, *wanted: str) -> str:
        """One of a few texts."""
        value = self.text(key)
        if value not in wanted:
            raise ConfigError(f"{self.place(key)}: wanted {' or '.join(wanted)}, got {value}")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        value = self.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{self.place(key)}: wanted a list of texts")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.place(key)}: wanted true or false")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number in a range, bounds included."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"{self.place(key)}: wanted a whole number from {low} to {high}")
        return value

    def number(self, key: str, *, most: int | None = None) -> Fraction:
        """An exact number above 0."""
        value = self.get(key)
        exact = Decimal(value) if type(value) is int else value
        # Finite, and of a size that an exact fraction can hold without filling the memory.
        good = isinstance(exact, Decimal) and exact.is_finite() and abs(exact.adjusted()) <= 30
        if not good or exact <= 0:
            raise ConfigError(f"{self.place(key)}: wanted a number above 0")
        if most is not None and exact > most:
            raise ConfigError(f"{self.place(key)}: wanted a number above 0 and at most {most}")
        return Fraction(exact)

    def table(self, key: str) -> "Table":
        """The table under a key."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise ConfigError(f"{self.place(key)}: wanted a table")
        return Table(value, self.place(key))
