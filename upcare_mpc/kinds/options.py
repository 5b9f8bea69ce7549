"""Reading the options of a kind: every key known, every value of the type and range wanted."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction

from upcare_mpc.errors import StudyError
from upcare_mpc.study.expression import Expression
from upcare_mpc.study.spec import Arm, Option

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """A table of options and the place where it stands, for error texts."""

    content: Mapping[str, Option]
    place: str

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that the kind does not know."""
        known = tuple(known)
        for key in self.content:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                raise StudyError(f"{self.place}: unknown key {key!a}{hint}")

    def integer(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number in a range."""
        value = self.content.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise StudyError(f"{self.place}.{key}: wanted a whole number")
        if not low <= value <= high:
            raise StudyError(f"{self.place}.{key}: wanted {low} to {high}, got {value}")
        return value

    def decimals(self, key: str) -> tuple[Fraction, ...]:
        """Return a list of numbers that are not negative."""
        return tuple(_decimal(item, f"{self.place}.{key}") for item in self.items(key))

    def table(self, key: str) -> "Options":
        """Return a table of options inside this one."""
        value = self.content.get(key)
        if not isinstance(value, Mapping):
            raise StudyError(f"{self.place}.{key}: wanted a table")
        return Options(value, f"{self.place}.{key}")

    def where(self, key: str) -> Expression:
        """Return the condition of a table like ``{ where = "age >= 50" }``."""
        inner = self.table(key)
        inner.only(("where",))
        return inner.condition()

    def condition(self) -> Expression:
        """Return what ``where`` says."""
        found = self.content.get("where")
        if found is None or isinstance(found, bool | int | str | tuple | Mapping | Arm):
            raise StudyError(f"{self.place}.where: wanted a condition in quotes")
        return found

    def arms(self, key: str = "arms") -> tuple[Arm, ...]:
        """Return labelled conditions, in their order."""
        value = self.content.get(key)
        if not isinstance(value, tuple) or not all(isinstance(arm, Arm) for arm in value):
            raise StudyError(f'{self.place}.{key}: wanted a table of "label" = "condition"')
        return tuple(arm for arm in value if isinstance(arm, Arm))

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a text."""
        value = self.content.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise StudyError(f"{self.place}.{key}: wanted a text")
        return value

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.content.get(key, default)
        if not isinstance(value, bool):
            raise StudyError(f"{self.place}.{key}: wanted true or false")
        return value

    def items(self, key: str) -> tuple[Option, ...]:
        """Return a list with at least one item."""
        value = self.content.get(key)
        if not isinstance(value, tuple) or not value:
            raise StudyError(f"{self.place}.{key}: wanted a list of one or more items")
        return value


def _decimal(item: Option, place: str) -> Fraction:
    if isinstance(item, int) and not isinstance(item, bool) and item >= 0:
        return Fraction(item)
    if isinstance(item, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?", item, re.ASCII):
        return Fraction(item)
    raise StudyError(f"{place}: wanted numbers that are not negative")
