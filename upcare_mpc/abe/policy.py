"""Policies over attributes, with one canonical text each.

    policy    := attribute | and(policy, ...) | or(policy, ...) | atleast(k, policy, ...)
    attribute := namespace ":" value
    namespace := [a-z][a-z0-9-]{0,15}
    value     := [a-z0-9][a-z0-9.+-]{0,62}

Prefix form, so no precedence to get wrong. Lower-case ASCII alone: another letter is refused, never
folded, so two attributes that look alike are alike. Spaces may stand between words. A policy is
monotone: there is no "not".

The canonical text has no spaces. ``atleast(1, ...)`` is written ``or``, ``atleast(n, ...)`` of n is
``and``; a gate inside a gate of its kind, and one with a single child, are dissolved; children are
sorted by their text, and repeated ones of ``and`` and ``or`` dropped. Of ``atleast`` they are
refused: they would count twice. Two texts of one meaning may still differ in canonical form: no
rule of Boolean algebra beyond these is applied.

Limits, on the text as it is written: 8192 characters, 64 attributes in all (the *rows*), the same
one 4 times, gates 6 deep. A policy is public: whoever holds what it seals reads it.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, TypeAlias

from upcare_mpc.errors import InputError

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "MAX_ROWS",
    "MAX_USES",
    "Gate",
    "Node",
    "Policy",
    "check_attribute",
    "parse",
]

MAX_CHARACTERS: Final = 8192
MAX_ROWS: Final = 64
MAX_DEPTH: Final = 6
MAX_USES: Final = 4

_ATTRIBUTE = re.compile(r"[a-z][a-z0-9-]{0,15}:[a-z0-9][a-z0-9.+-]{0,62}")
_FOREIGN = re.compile(r"[^a-z0-9:.+(), -]")
_WORD = re.compile(r" *([(),]|[^(), ]+|$)")
_COUNT = re.compile(r"[1-9][0-9]?")


@dataclass(frozen=True, slots=True)
class Gate:
    """Holds when ``threshold`` of its children hold; canonical, with two children at least."""

    threshold: int
    children: tuple["Node", ...]

    @property
    def word(self) -> str:
        """``or``, ``and`` or ``atleast``."""
        if self.threshold == 1:
            return "or"
        return "and" if self.threshold == len(self.children) else "atleast"

    def __str__(self) -> str:
        count = f"{self.threshold}," if self.word == "atleast" else ""
        return f"{self.word}({count}{','.join(map(str, self.children))})"


Node: TypeAlias = str | Gate
"""An attribute or a gate."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in canonical form; made by ``parse``.

    Attributes:
        root: The outermost gate, or the only attribute.
    """

    root: Node

    def __str__(self) -> str:
        return str(self.root)

    @property
    def rows(self) -> tuple[str, ...]:
        """Attributes from left to right, as often as they are written."""
        return tuple(_attributes(self.root))

    @property
    def uses(self) -> tuple[int, ...]:
        """For each row, how many rows before it have the same attribute."""
        seen: Counter[str] = Counter()
        uses = []
        for attribute in self.rows:
            uses.append(seen[attribute])
            seen[attribute] += 1
        return tuple(uses)

    def holds_for(self, attributes: frozenset[str]) -> bool:
        """Say whether a set of attributes satisfies the policy."""
        return _holds(self.root, attributes)


def parse(text: str) -> Policy:
    """Read a policy.

    Args:
        text: Public; anything at all.

    Raises:
        InputError: It is not a policy, or breaks a limit; the text says where, counted from 1.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"policy: at most {MAX_CHARACTERS} characters are read, this one has {len(text)}"
        )
    foreign = _FOREIGN.search(text)
    if foreign:
        raise _refusal(
            foreign.start(),
            f"lower-case ASCII, digits and :.+-(), are allowed, got U+{ord(foreign.group()):04X}",
        )
    return _Parser(text).policy()


def check_attribute(text: str) -> str:
    """Return ``text`` if it is an attribute.

    Raises:
        InputError: It is not.
    """
    if not _ATTRIBUTE.fullmatch(text):
        raise InputError(f"an attribute is written namespace:value, got {text[:80]!a}")
    return text


def _attributes(node: Node) -> list[str]:
    if isinstance(node, str):
        return [node]
    return [attribute for child in node.children for attribute in _attributes(child)]


def _holds(node: Node, attributes: frozenset[str]) -> bool:
    if isinstance(node, str):
        return node in attributes
    return sum(_holds(child, attributes) for child in node.children) >= node.threshold


def _refusal(at: int, reason: str) -> InputError:
    return InputError(f"policy, character {at + 1}: {reason}")


class _Parser:
    """One pass over a text of allowed characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._uses: Counter[str] = Counter()
        self._advance()

    def policy(self) -> Policy:
        root = self._node(depth=0)
        if self._word:
            raise self._unexpected("the end")
        return Policy(root)

    def _advance(self) -> None:
        """Move to the next word; the empty one is the end."""
        found = _WORD.match(self._text, self._end)
        assert found is not None  # every allowed character begins a word
        self._word, self._at, self._end = found.group(1), found.start(1), found.end()

    def _unexpected(self, wanted: str) -> InputError:
        got = repr(self._word[:80]) if self._word else "the end"
        return _refusal(self._at, f"{wanted} expected, got {got}")

    def _take(self, symbol: str) -> None:
        if self._word != symbol:
            raise self._unexpected(repr(symbol))
        self._advance()

    def _node(self, depth: int) -> Node:
        if self._word in {"and", "or", "atleast"}:
            return self._gate(depth + 1)
        if not _ATTRIBUTE.fullmatch(self._word):
            raise self._unexpected("and(), or(), atleast() or namespace:value")
        self._uses[self._word] += 1
        if self._uses[self._word] > MAX_USES:
            raise _refusal(self._at, f"{self._word} is written more than {MAX_USES} times")
        if self._uses.total() > MAX_ROWS:
            raise _refusal(self._at, f"a policy has at most {MAX_ROWS} attributes")
        attribute = self._word
        self._advance()
        return attribute

    def _gate(self, depth: int) -> Node:
        at, word = self._at, self._word
        if depth > MAX_DEPTH:
            raise _refusal(at, f"gates are at most {MAX_DEPTH} deep")
        self._advance()
        self._take("(")
        counted_at, count = self._at, 0
        if word == "atleast":
            if not _COUNT.fullmatch(self._word):
                raise self._unexpected("a number from 1 to 99")
            count = int(self._word)
            self._advance()
            self._take(",")
        children = [self._node(depth)]
        while self._word == ",":
            self._advance()
            children.append(self._node(depth))
        if self._word != ")":
            raise self._unexpected("',' or ')'")
        self._advance()
        threshold = {"and": len(children), "or": 1}.get(word, count)
        if threshold > len(children):
            raise _refusal(counted_at, f"{threshold} of {len(children)} cannot hold")
        return _canonical(at, threshold, children)


def _canonical(at: int, threshold: int, children: list[Node]) -> Node:
    """Return the canonical form of a gate over canonical children."""
    if len(children) == 1:
        return children[0]
    # Its kind is settled before children are dissolved: and(x, and(y, z)) is not 2 of x, y, z.
    word = Gate(threshold, tuple(children)).word
    if word == "atleast":
        distinct = sorted(set(children), key=str)
        if len(distinct) < len(children):
            raise _refusal(at, "children of atleast() are distinct")
        return Gate(threshold, tuple(distinct))
    dissolved: set[Node] = set()
    for child in children:
        if isinstance(child, Gate) and child.word == word:
            dissolved.update(child.children)
        else:
            dissolved.add(child)
    flat = sorted(dissolved, key=str)
    if len(flat) == 1:
        return flat[0]
    return Gate(len(flat) if word == "and" else 1, tuple(flat))
