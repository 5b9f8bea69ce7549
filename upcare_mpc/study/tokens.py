"""Words, numbers, quoted codes and operators of the study language, and where they stand.

Text is ASCII, except inside quotes. ``error_at`` draws the caret that every error of the
language shows.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from upcare_mpc.errors import StudyError

__all__ = ["KEYWORDS", "Token", "error_at", "tokenize"]

KEYWORDS: Final = frozenset(
    {"and", "or", "not", "in", "between", "is", "known", "unknown", "min", "max"}
    | {"choose", "when", "then", "else", "end", "true", "false"}
)
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<number>[0-9]+(?![A-Za-z0-9_]))
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[0-9]+)?)
    | (?P<string>'(?:[^'\r\n]|'')*'|"[^"\r\n]*")
    | (?P<symbol><=|>=|!=|<>|==|//|[=<>(),+-])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of the text; ``start`` counts characters from 0."""

    kind: Literal["number", "word", "string", "symbol", "end"]
    text: str
    start: int

    @property
    def key(self) -> str:
        """The keyword or symbol this token spells, else nothing."""
        if self.kind == "symbol":
            return self.text
        lowered = self.text.lower()
        return lowered if self.kind == "word" and lowered in KEYWORDS else ""

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def tokenize(text: str, place: str) -> list[Token]:
    """Cut a text into tokens, the last of which is the end.

    Raises:
        StudyError: Something in it is not of the language.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise error_at(text, at, place, _unreadable(text[at]))
        if found.lastgroup != "space":
            kind = cast('Literal["number", "word", "string", "symbol"]', found.lastgroup)
            tokens.append(Token(kind, found.group(), at))
        at = found.end()
    return [*tokens, Token("end", "", len(text.rstrip()))]


def error_at(text: str, at: int, place: str, reason: str) -> StudyError:
    """Return an error that shows the line of ``text`` and a caret under the place."""
    number = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1)
    where = f"column {column + 1}" if number == 1 else f"line {number}, column {column + 1}"
    line = text.split("\n")[number - 1]
    shown_from = max(0, column - 50)
    shown = "".join(c if c.isprintable() else " " for c in line[shown_from : shown_from + 90])
    caret = " " * (column - shown_from) + "^"
    return StudyError(f"{place}: {where}: {reason}\n    {shown}\n    {caret}")


def _unreadable(character: str) -> str:
    if character in "'\"":
        return "this quote is never closed"
    if character.isdigit():
        return "wanted a number or a name, got a mixture"
    return f"wanted a name, a number, a quoted code or an operator, got {character!a}"
