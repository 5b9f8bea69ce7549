"""Quantiles from individual values, in the clear.

A whole number stands for all values up to the next, so that n patients of age 62 are spread evenly
over 62 to 63 years.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

__all__ = ["quantile", "quantile_in_ranges"]


def quantile(values: Sequence[int], percent: int) -> float:
    """Return the middle of all x with ``percent`` of the values below x."""
    return quantile_in_ranges(values, percent, list(range(min(values), max(values) + 2)))


def quantile_in_ranges(values: Sequence[int], percent: int, edges: Sequence[int]) -> float:
    """Return the same, where only the range of each value is known, in which it may be anywhere.

    Args:
        values: All of them inside the ranges.
        percent: 1 to 99.
        edges: Where ranges begin, and where the last one ends.
    """
    wanted = Fraction(percent * len(values), 100)
    candidates: list[Fraction] = []
    below = 0
    for start, end in pairwise(edges):
        here = sum(start <= value < end for value in values)
        if below == wanted:
            candidates.append(Fraction(start))
        if here and below < wanted < below + here:
            candidates.append(start + (wanted - below) / here * (end - start))
        below += here
        if below == wanted:
            candidates.append(Fraction(end))
    return float((min(candidates) + max(candidates)) / 2)
