"""Statistical checks of a sample against an exact law, and of its values against each other.

A check gives a p-value: the probability, if the sample is what it should be, of something at least
as odd. Every check is held against ``LEVEL``, so that a suite of up to 1000 checks raises a false
alarm once in a million runs. How each p-value is found:

- cells: chi-square over cells with at least 10 expected draws (``test_laws`` compares its
  false-alarm rate with the stated one)
- tails, signs, zeros, digits, the largest value: exact
- sums of products over a release: Azuma's inequality, so a bound, never too small
- values that come back: the union bound, likewise

The chances of cells come from ``pmf``, ``within`` and ``error`` of the law itself. What a law says
of single digits is taken from mathematics: ``digits`` and ``scores``. A law that is lopsided or off
by 2^-40 counts as ideal here: 10^7 draws cannot tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import exp, expm1, log1p

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import binom, chi2

from upcare_mpc.mpc.noise import Law
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = [
    "LEVEL",
    "Bins",
    "Sample",
    "bins",
    "comes_back",
    "contingency",
    "counted",
    "digits",
    "lags",
    "largest",
    "law_checks",
    "ranks",
    "scores",
    "smallest",
    "word_places",
]

LEVEL = 1e-9  # of one check

Sample = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.intp]

_WIDEST = Fraction(1, 100)  # chance of a cell in the middle
_EXPECTED = 10  # fewest expected draws of a cell
_TAILS = {"beyond 99.9 %": Fraction(1, 1000), "beyond 99.99 %": Fraction(1, 10_000)}
_BLOCK = 1 << 16  # draws whose digits are counted at a time
_ODD = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93])


@dataclass(frozen=True)
class Bins:
    """The integers cut into cells.

    Attributes:
        edges: ``(c - 1,)`` last value of every cell but the last.
        chances: ``(c,)`` exact chance of each cell, as the nearest float.
    """

    edges: npt.NDArray[np.int64]
    chances: Floats

    def place(self, sample: Sample) -> Classes:
        """The cell of each draw."""
        return np.searchsorted(self.edges, sample)

    def chi_square(self, counts: npt.NDArray[np.int64]) -> Floats:
        """P-values of counts ``(.., c)``."""
        expected = self.chances * counts.sum(axis=-1, keepdims=True)
        statistic = ((counts - expected) ** 2 / expected).sum(axis=-1)
        return np.asarray(chi2.sf(statistic, len(self.chances) - 1))


@lru_cache(maxsize=64)
def bins(law: Law, draws: int) -> Bins:
    """Cells for a sample of ``draws``: 1 % each in the middle, halving outwards, 10 draws or more.

    They depend on the law and the number of draws alone, and are the same on both sides.
    """
    least = Fraction(_EXPECTED, draws)
    alone = law.pmf(0) >= least  # else 0 belongs to the first positive cell
    ends: list[int] = []  # last value of each positive cell but the last, from the inside
    last, inside = (0, _below(law, 0)) if alone else (-1, _below(law, -1))
    while (left := 1 - inside) >= 2 * least:
        wanted = inside + max(least, min(_WIDEST, left / 2))
        last = max(last + 1, law.error(2 * wanted - 1))
        inside = _below(law, last)
        if 1 - inside < least:
            break
        ends.append(last)
    edges = [*(-end - 1 for end in reversed(ends)), -1, *([0] if alone else []), *ends]
    sums = [Fraction(0), *(_below(law, edge) for edge in edges), Fraction(1)]
    chances = [float(b - a) for a, b in pairwise(sums)]
    return Bins(np.array(edges, np.int64), np.array(chances))


def _below(law: Law, k: int) -> Fraction:
    """``P(X <= k)``."""
    return (1 + law.within(k)) / 2 if k >= 0 else (1 - law.within(-k - 1)) / 2


# -- against a law ----------------------------------------------------------------------------


def law_checks(sample: Sample, law: Law) -> dict[str, float]:
    """Check one sample against one law in every way, by name."""
    n = len(sample)
    cells = bins(law, n)
    counts = np.bincount(cells.place(sample), minlength=len(cells.chances))
    magnitudes = np.abs(sample)
    nonzero = int(np.count_nonzero(sample))
    checks = {
        "cells": float(cells.chi_square(counts)),
        "zeros": counted(n - nonzero, n, float(law.pmf(0))),
        "signs": counted(int((sample > 0).sum()), nonzero, 0.5),
        "largest": largest(int(magnitudes.max()), n, law),
        "digits": _digit_check(sample, law),
        "sign and digits": _sign_check(sample),
    }
    for name, chance in _TAILS.items():
        k = law.error(1 - chance)
        checks[name] = counted(int((magnitudes > k).sum()), n, float(1 - law.within(k)))
    return checks


def smallest(checks: dict[str, float]) -> float:
    """The p-value of all checks together, by the union bound."""
    return min(1.0, len(checks) * min(checks.values()))


def counted(count: int, draws: int, chance: float) -> float:
    """Two-sided binomial p-value: twice that of the smaller side."""
    below, above = binom.cdf(count, draws, chance), binom.sf(count - 1, draws, chance)
    return float(min(1.0, 2 * below, 2 * above))


def largest(value: int, draws: int, law: Law) -> float:
    """Two-sided p-value of the largest magnitude of ``draws``: ``P(max <= k) = within(k)^n``."""
    if value > law.support:
        return 0.0
    above = -expm1(_log_all_within(value - 1, draws, law))
    below = exp(_log_all_within(value, draws, law))
    return min(1.0, 2 * above, 2 * below)


def _log_all_within(k: int, draws: int, law: Law) -> float:
    outside = float(1 - law.within(k))
    return draws * log1p(-outside) if outside < 1 else float("-inf")


def digits(law: Law) -> list[float]:
    """Chances of the binary digits that are independent coins, lowest first.

    Laplace: of ``G = X`` for ``X >= 0``, else ``-1 - X``, which is geometric: ``q^G`` is a product
    over digits, so digit i is 1 with chance ``1 / (1 + e^(2^i / b))``, whatever the others are.
    Gaussian: of ``X mod 2^i`` up to ``sigma / 2``, which is uniform up to ``2 e^(-8 pi^2)``, the
    Fourier transform of the bell at multiples of ``2 pi / 2^i`` (Poisson summation).
    """
    if isinstance(law, SampledLaplace):
        scale = float(law.scale)
        places = range(law.support.bit_length() - 1)
        return [1 / (1 + exp(2**i / scale)) for i in places if 2**i < 700 * scale]
    count = 0
    while 4 ** (count + 2) <= law.sigma_squared:
        count += 1
    return [0.5] * count


def _digit_check(sample: Sample, law: Law) -> float:
    """Every digit, and every two digits together, are 1 as often as independent coins.

    With Laplace noise "X < 0" is one more coin, of chance ``q / (1 + q)``: ``-1 - X`` is geometric
    too.
    """
    chances = digits(law)
    if not chances:
        return 1.0
    source, places = sample, np.arange(len(chances))
    if isinstance(law, SampledLaplace):
        source = sample ^ (sample >> 63)
        chances, places = [*chances, 1 / (1 + exp(1 / law.scale))], np.append(places, -1)
    both = np.zeros((len(chances), len(chances)))
    for start in range(0, len(sample), _BLOCK):
        block = slice(start, start + _BLOCK)
        bits = (source[block, None] >> places.clip(0) & 1).astype(np.float32)
        bits[:, places < 0] = sample[block, None] < 0
        both += bits.T @ bits  # exact: a block has fewer than 2^24 draws
    p_values = [
        counted(int(both[i, j]), len(sample), p if i == j else p * chances[j])
        for i, p in enumerate(chances)
        for j in range(i + 1)
    ]
    return min(1.0, len(p_values) * min(p_values))


def _sign_check(sample: Sample) -> float:
    """The sign is fair whatever a digit of the magnitude is: by symmetry, exactly."""
    nonzero = sample[sample != 0]
    positive, magnitudes = nonzero > 0, np.abs(nonzero)
    p_values = []
    for place in range(int(magnitudes.max(initial=1)).bit_length()):
        one = (magnitudes >> place & 1).astype(bool)
        p_values.append(counted(int((positive & one).sum()), int(one.sum()), 0.5))
    return min(1.0, len(p_values) * min(p_values))


# -- values against each other ----------------------------------------------------------------


def contingency(left: Classes, right: Classes) -> float:
    """P-value of independence of two class labels, by the chi-square of their table."""
    rows, columns = int(left.max()) + 1, int(right.max()) + 1
    table = np.bincount(left * columns + right, minlength=rows * columns).reshape(rows, columns)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    assert expected.min() >= _EXPECTED, "too few draws for so many classes"
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, (table.shape[0] - 1) * (table.shape[1] - 1)))


def ranks(sample: Sample, law: Law, classes: int = 8) -> Classes:
    """Class of each draw: up to ``classes`` of about equal chance, cut by the law alone."""
    ends = [law.error(Fraction(2 * step, classes)) for step in range(1, classes // 2)]
    edges = sorted({*(-end - 1 for end in ends), -1, *ends})
    return np.searchsorted(np.array(edges), sample)


def scores(sample: Sample, law: Law) -> dict[str, Floats]:
    """Functions of single draws with mean 0 and size at most 1.

    ``sign``; ``large``: the magnitude is above its median; ``odd``: it is odd.
    """
    magnitudes = np.abs(sample)
    middle = law.error(Fraction(1, 2))
    odd = float(2 * sum(law.pmf(k) for k in range(1, law.support + 1, 2)))
    return {
        "sign": np.sign(sample).astype(float),
        "large": (magnitudes > middle) - float(1 - law.within(middle)),
        "odd": (magnitudes & 1) - odd,
    }


def lags(left: Floats, right: Floats) -> float:
    """P-value of the largest correlation of two scores, at any lag up to half a release.

    ``left is right``: within one release, so lag 0 is left out. Else between two releases, and
    both ways. The sum at lag ``k`` of ``left[i] right[i + k]`` is one of n martingale differences
    of size at most ``c``, so it passes s with chance at most ``2 e^(-s^2 / (2 n c^2))`` (Azuma
    1967); the chance is multiplied by the number of lags.
    """
    n = len(left)
    size = 1 << (2 * n - 1).bit_length()
    sums = np.fft.irfft(np.conj(np.fft.rfft(left, size)) * np.fft.rfft(right, size), size)
    forwards, backwards = sums[: n // 2], sums[-(n // 2) :]
    used = forwards[1:] if left is right else np.concatenate((backwards, forwards))
    return _azuma(used, n, left, right)


def word_places(left: Floats, right: Floats) -> float:
    """P-value of the largest correlation of two places in 64-bit words of cells.

    Cell ``64 w + j`` is bit ``j`` of word ``w``. All pairs of places are compared: of one word
    (``left is right``), or of word ``w`` of both. Azuma's inequality as in ``lags``.
    """
    words = len(left) // 64
    table = left[: 64 * words].reshape(words, 64).T @ right[: 64 * words].reshape(words, 64)
    if left is right:
        np.fill_diagonal(table, 0)
    return _azuma(table, words, left, right)


def _azuma(sums: Floats, terms: int, left: Floats, right: Floats) -> float:
    bound = float(np.abs(left).max() * np.abs(right).max())
    worst = float(np.abs(sums).max()) / bound
    return min(1.0, sums.size * 2 * exp(-(worst**2) / (2 * terms)))


def comes_back(samples: Sequence[Sample], law: Law, *, step: int, run: int = 4) -> float:
    """P-value of the same ``run`` values, ``step`` cells apart, in two places; 1 if there are none.

    Two given places agree with chance at most ``P(0)^run``; all pairs of places count.
    """
    reach = (run - 1) * step + 1
    windows = np.concatenate([sliding_window_view(s, reach)[:, ::step] for s in samples])
    mixed = (windows.astype(np.uint64) * _ODD[:run]).sum(axis=1)  # equal windows have equal sums
    order = np.argsort(mixed)
    twins = np.flatnonzero(mixed[order][1:] == mixed[order][:-1])
    if not (windows[order[twins]] == windows[order[twins + 1]]).all(axis=1).any():
        return 1.0
    return min(1.0, len(windows) ** 2 / 2 * float(law.pmf(0)) ** run)
