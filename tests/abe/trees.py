"""Random policies with their meaning worked out apart from the parser: text and truth table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from random import Random

ATTRIBUTES = [f"{namespace}:{value}" for namespace in ("a", "b") for value in ("x", "y", "1")]


@dataclass(frozen=True)
class Tree:
    """A policy as somebody writes it.

    Attributes:
        text: With redundant gates and spaces, children in any order.
        holds: Its meaning, straight from the words.
    """

    text: str
    holds: Callable[[frozenset[str]], bool]


def tree(random: Random, *, depth: int = 4, leaves: int = 10) -> Tree:
    """Draw a policy of at most ``leaves`` attributes, each used at most four times."""
    while True:
        drawn = _node(random, depth, leaves)
        if all(drawn.text.count(attribute) <= 4 for attribute in ATTRIBUTES):
            return drawn


def _node(random: Random, depth: int, leaves: int) -> Tree:
    space = " " * (random.random() < 0.2)
    if depth == 0 or leaves < 2 or random.random() < 0.25:
        attribute = random.choice(ATTRIBUTES)
        return Tree(space + attribute + space, lambda held: attribute in held)
    count = random.randint(1, min(4, leaves))
    children = [_node(random, depth - 1, leaves // count) for _ in range(count)]
    word = random.choice(["and", "or", "atleast"])
    needed = {"and": count, "or": 1}.get(word) or random.randint(1, count)
    listed = ",".join(child.text for child in children)
    opened = f"{word}({needed}," if word == "atleast" else f"{word}("
    return Tree(
        f"{space}{opened}{listed}{space})",
        lambda held: sum(child.holds(held) for child in children) >= needed,
    )


def subsets(attributes: frozenset[str]) -> Iterator[frozenset[str]]:
    for size in range(len(attributes) + 1):
        for chosen in combinations(sorted(attributes), size):
            yield frozenset(chosen)
