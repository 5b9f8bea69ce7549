"""Splitting one budget between a table and its margins, and putting both together again.

A margin is the table summed over some axes. Summed from noisy cells it carries the noise of all
of them; measured as a table of its own it carries one draw, but the scale of all noise grows,
because a patient then moves more cells. ``allocate`` chooses how much each is worth, as whole
weights (``study.layout``), so that the squared errors of all figures asked for add up to the least.
``Strategy`` combines what was measured by weighted least squares, which costs no privacy: of every
unbiased linear estimate this one has the smallest variance (Gauss and Markov), and its margins are
the sums of its cells.

Source: the matrix mechanism (Li, Miklau, Hay, McGregor and Rastogi, VLDB Journal 24, 757-781, 2015)
restricted to margins, for which the eigenvectors of ``A^T A`` are known: one space V_T for each
set T of axes, the interactions of analysis of variance. A margin S measured with weight w adds
``w^2 N / n_S`` to the eigenvalue of every V_T with T inside S, N being the cells of the table and
n_S those of the margin. So the total error is a sum over sets of axes, not over cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import gcd, prod
from typing import Final, TypeAlias

import numpy as np

from upcare_mpc.kinds.kind import Floats

__all__ = ["Axes", "Strategy", "allocate"]

Axes: TypeAlias = tuple[int, ...]
"""Which axes of a table a margin keeps, rising; none: the total."""

MAX_WEIGHT: Final = 16
_UNITS: Final = 1 << 64  # of an error, so that every host finds the same integers


@lru_cache(maxsize=256)
def allocate(
    sizes: tuple[int, ...], margins: tuple[Axes, ...], *, gaussian: bool
) -> tuple[int, ...]:
    """Choose the weights of the table and of each margin; 0: not measured, but summed.

    Weight by weight the best of 0 to 16 is taken until none can be bettered, from four starting
    points; integers alone decide, so every host finds the same. The whole is a function of its
    arguments, which follow from the study text.

    Args:
        sizes: Of the axes of the table.
        margins: What is asked for beside the cells.
        gaussian: Whether the noise follows the bound on squares rather than on absolute changes.

    Returns:
        ``1 + len(margins)`` weights without a common divisor; the first one is at least 1.
    """
    asked = (tuple(range(len(sizes))), *margins)
    found = min(
        (_descended(sizes, asked, start, gaussian=gaussian) for start in (1, 2, 3, 5)),
        key=lambda weights: (_error(sizes, asked, weights, gaussian=gaussian), weights),
    )
    divisor = gcd(*found)
    return tuple(weight // divisor for weight in found)


def _descended(
    sizes: tuple[int, ...], asked: tuple[Axes, ...], start: int, *, gaussian: bool
) -> tuple[int, ...]:
    weights = (start, *(0 for _ in asked[1:]))
    least = _error(sizes, asked, weights, gaussian=gaussian)
    while True:
        before = least
        for place in range(len(weights)):
            for weight in range(0 if place else 1, MAX_WEIGHT + 1):
                tried = (*weights[:place], weight, *weights[place + 1 :])
                error = _error(sizes, asked, tried, gaussian=gaussian)
                if error < least:
                    least, weights = error, tried
        if least == before:
            return weights


def _error(
    sizes: tuple[int, ...], asked: tuple[Axes, ...], weights: tuple[int, ...], *, gaussian: bool
) -> int:
    """The sum of the variances of all figures, at the noise that these weights make necessary."""
    cells = prod(sizes)
    repeats = [cells // prod(sizes[axis] for axis in kept) for kept in asked]
    total = 0
    for count in range(len(sizes) + 1):
        for space in combinations(range(len(sizes)), count):
            within = [i for i, kept in enumerate(asked) if set(space) <= set(kept)]
            dimension = prod(sizes[axis] - 1 for axis in space)
            figures = sum(repeats[i] for i in within)
            eigenvalue = sum(weights[i] ** 2 * repeats[i] for i in within)
            total += dimension * figures * _UNITS // eigenvalue
    if not gaussian:
        return total * sum(weights) ** 2
    moved, rest = divmod(sum(weights), max(weights))  # as privacy.gaussian.squared_sensitivity
    return total * (moved * max(weights) ** 2 + rest**2)


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is measured, and the least-squares estimate of the table from it.

    Attributes:
        sizes: Of the axes of the table.
        margins: What may be measured beside the cells.
        weights: Of the table and of each margin; 0: not measured.
    """

    sizes: tuple[int, ...]
    margins: tuple[Axes, ...]
    weights: tuple[int, ...]

    @property
    def measured(self) -> tuple[tuple[Axes, int], ...]:
        """The tables of the answer, the full one first, with their weights."""
        asked = (tuple(range(len(self.sizes))), *self.margins)
        pairs = zip(asked, self.weights, strict=True)
        return tuple((kept, weight) for kept, weight in pairs if weight)

    def estimate(self, tables: Sequence[Floats]) -> Floats:
        """Return the table that fits all that was measured best.

        In multiples of 2^-20, so that sums of its cells are exact in whatever order.

        Args:
            tables: One for each of ``measured``, in the unit of the table.
        """
        if len(self.measured) == 1:
            return tables[0]
        together = np.zeros(self.sizes)
        for (kept, weight), table in zip(self.measured, tables, strict=True):
            shape = [size if axis in kept else 1 for axis, size in enumerate(self.sizes)]
            together += weight**2 * table.reshape(shape)
        fitted: Floats = np.rint(self._solved(together) * 2**20) / 2**20
        return fitted

    def margin(self, table: Floats, kept: Axes) -> Floats:
        """Return the sums of a table over the axes that are not kept."""
        away = tuple(axis for axis in range(len(self.sizes)) if axis not in kept)
        summed: Floats = table.sum(axis=away)
        return summed

    def spread(self, kept: Axes) -> tuple[float, float]:
        """How much of the noise a figure of this margin carries; it is the same for all of them.

        Returns:
            The root of the sum of the squared coefficients of the draws in it, and their
            concentration (``kind.NoiseLaw.reach``).
        """
        if len(self.measured) == 1:
            summed = prod(size for axis, size in enumerate(self.sizes) if axis not in kept)
            return summed**0.5 / self.weights[0], 1 / summed
        chosen = np.zeros(self.sizes)
        chosen[tuple(0 if axis in kept else slice(None) for axis in range(len(self.sizes)))] = 1
        solved = self._solved(chosen)
        shares = [weight * self.margin(solved, of) for of, weight in self.measured]
        squares = sum(float((share**2).sum()) for share in shares)
        fourths = sum(float((share**4).sum()) for share in shares)
        return squares**0.5, fourths / squares**2

    def _solved(self, right: Floats) -> Floats:
        """Solve the normal equations; the cosine transform has the eigenvectors in its rows."""
        from scipy import fft  # noqa: PLC0415  nodes allocate but never estimate

        eigenvalues = np.zeros(self.sizes)
        for kept, weight in self.measured:
            within = tuple(slice(None) if a in kept else 0 for a in range(len(self.sizes)))
            shared = prod(size for axis, size in enumerate(self.sizes) if axis not in kept)
            eigenvalues[within] += weight**2 * shared
        solved: Floats = fft.idctn(fft.dctn(right, norm="ortho") / eigenvalues, norm="ortho")
        return solved
