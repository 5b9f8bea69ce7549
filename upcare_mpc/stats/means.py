"""Means, standard deviations and correlations from individual values, in the clear."""

from collections.abc import Sequence
from math import fsum, sqrt

__all__ = ["clamped", "correlation", "mean", "standard_deviation"]


def clamped(values: Sequence[int], low: int, high: int) -> list[int]:
    """Count what is below ``low`` as ``low``, what is above ``high`` as ``high``."""
    return [low if value < low else min(value, high) for value in values]


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return fsum(values) / len(values)


def standard_deviation(values: Sequence[float]) -> float:
    """The root of the squared distances from the mean over ``n - 1``."""
    middle = mean(values)
    return sqrt(fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Pearson's."""
    a, b = mean(first), mean(second)
    products = fsum((x - a) * (y - b) for x, y in zip(first, second, strict=True))
    squares = fsum((x - a) ** 2 for x in first) * fsum((y - b) ** 2 for y in second)
    return products / sqrt(squares)
