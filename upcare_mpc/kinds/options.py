"""Reading the options of a kind: every key known, every value of the type and range wanted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from upcare_mpc.errors import StudyError
from upcare_mpc.study.spec import Option

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """A table of options and the place where it stands, for error texts."""

    table: Mapping[str, Option]
    place: str

    def __contains__(self, key: str) -> bool:
        return key in self.table

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that the kind does not know."""
        known = tuple(known)
        for key in self.table:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                raise StudyError(f"{self.place}: unknown key {key!a}{hint}")

    def integer(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number in a range."""
        value = self.table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise StudyError(f"{self.place}.{key}: wanted a whole number")
        if not low <= value <= high:
            raise StudyError(f"{self.place}.{key}: wanted {low} to {high}, got {value}")
        return value

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a text."""
        value = self.table.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise StudyError(f"{self.place}.{key}: wanted a text")
        return value

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            raise StudyError(f"{self.place}.{key}: wanted true or false")
        return value

    def items(self, key: str) -> tuple[Option, ...]:
        """Return a list with at least one item."""
        value = self.table.get(key)
        if not isinstance(value, tuple) or not value:
            raise StudyError(f"{self.place}.{key}: wanted a list of one or more items")
        return value
