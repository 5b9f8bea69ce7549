"""Linear secret sharing along a policy: one share of a secret for each row.

``and`` splits additively, ``or`` repeats, ``atleast(k, ...)`` is Shamir's scheme of degree k - 1 at
the places 1, 2, 3, ... of its children; gates are nested by sharing the share. Everything is linear
over the integers modulo ``ORDER``, so the shares are M (s, v) for a matrix M that the policy fixes
and random v (Beimel, 1996). Rows whose attributes satisfy the policy determine s through
coefficients 0 or 1, or Lagrange's for ``atleast``; the rows of any other set say nothing about it.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.abe.policy import Gate, Node, Policy

__all__ = ["lagrange", "reconstruct", "share"]

_Chosen: TypeAlias = dict[int, int]


def share(policy: Policy, secret: int, coin: Callable[[], int]) -> list[int]:
    """Share a secret along the rows of a policy.

    Args:
        policy: Public; has n rows.
        secret: From 0 to ``ORDER - 1``. Secret.
        coin: Draws uniform scalars. A gate draws before its children and these from left to right,
            ``and`` of m children m - 1 times, ``atleast(k, ...)`` k - 1 times. The order is part of
            the format of what is sealed. Secret.

    Returns:
        n scalars. Secret.
    """
    return list(_shares(policy.root, secret, coin))


def reconstruct(policy: Policy, attributes: frozenset[str]) -> dict[int, int] | None:
    """Choose rows and coefficients that give the secret back, as few rows as there can be.

    Args:
        policy: Public.
        attributes: What a key has. Public.

    Returns:
        Row to coefficient, with the sum of coefficient times share the secret; None if the
        attributes do not satisfy the policy.
    """
    chosen, _ = _chosen(policy.root, attributes, first=0)
    return chosen


def lagrange(places: list[int]) -> list[int]:
    """Return the coefficients that take values at distinct ``places`` to the value at 0."""
    coefficients = []
    for i in places:
        top = bottom = 1
        for j in places:
            if j != i:
                top = top * -j % ORDER
                bottom = bottom * (i - j) % ORDER
        coefficients.append(top * pow(bottom, -1, ORDER) % ORDER)
    return coefficients


def _shares(node: Node, secret: int, coin: Callable[[], int]) -> Iterator[int]:
    if isinstance(node, str):
        yield secret
        return
    for child, part in zip(node.children, _split(node, secret, coin), strict=True):
        yield from _shares(child, part, coin)


def _split(gate: Gate, secret: int, coin: Callable[[], int]) -> list[int]:
    """Share a secret among the children of one gate."""
    coins = [coin() for _ in range(gate.threshold - 1)]
    if gate.word == "and":
        return [(secret - sum(coins)) % ORDER, *coins]
    parts = []
    for place in range(1, len(gate.children) + 1):
        value = 0
        for coefficient in reversed([secret, *coins]):  # Horner; `or` has the constant alone
            value = (value * place + coefficient) % ORDER
        parts.append(value)
    return parts


def _chosen(node: Node, attributes: frozenset[str], first: int) -> tuple[_Chosen | None, int]:
    """Return the choice below ``node``, whose rows begin at ``first``, and where they end."""
    if isinstance(node, str):
        return ({first: 1} if node in attributes else None), first + 1
    usable: list[tuple[int, int, _Chosen]] = []
    for place, child in enumerate(node.children, start=1):
        below, first = _chosen(child, attributes, first)
        if below is not None:
            usable.append((len(below), place, below))
    if len(usable) < node.threshold:
        return None, first
    usable.sort(key=lambda choice: choice[:2])
    taken = usable[: node.threshold]
    weights = [1] * len(taken)
    if node.word == "atleast":
        weights = lagrange([place for _, place, _ in taken])
    chosen = {
        row: coefficient * weight % ORDER
        for (_, _, below), weight in zip(taken, weights, strict=True)
        for row, coefficient in below.items()
    }
    return chosen, first
