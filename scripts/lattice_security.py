"""Estimate what it takes to break the lattice problem under deposits, and points of the standard.

Run ``python scripts/lattice_security.py``. Nothing is drawn and nothing is timed.

The attack: primal, unique shortest vector (Alkim, Ducas, Poeppelmann, Schwabe, USENIX Security
2016, section 6.3), in the embedding of Bai and Galbraith (ACISP 2014) that scales the short secret
to the size of the errors. BKZ with blocks of beta finds the vector once

    sigma sqrt(beta) <= delta^(2 beta - d - 1) Vol^(1/d)      d = m + n + 1 dimensions, m samples
    Vol = q^m (sigma / sigma_s)^n 2^hints                     delta = root Hermite factor of beta

(geometric series assumption; m is chosen best). Costs in bits:

    core       0.292 beta, and 0.265 beta with a quantum computer: one shortest vector, no more
    standard   core + 16.4 + log2(8 d): the model that the HomomorphicEncryption.org table
               used, so that its limits should come out near the bits they are listed under

hints: parities of sums of the secret's coefficients that are known; each doubles the volume
(modular hints of Dachman-Soled, Ducas, Gong and Rossi, CRYPTO 2020, section 4.2).

The second table is about the proof: what a submitter has to spend for so many parities
(docs/deposits/proof.md), with the challenge in use, and with 14 signs.

Left out: the dual and hybrid attacks, which the lattice estimator (Albrecht, Player, Scott) knows.
It needs Sage, which is no package of PyPI.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import comb, e, log, log2, pi, sqrt
from typing import NamedTuple

from upcare_mpc.he.parameters import CHALLENGE_BITS, ERROR_BOUND, N, Q

SIGMA = sqrt(ERROR_BOUND / 2)  # centred binomial: 2 * 21 coins of variance 1/4
TABLE_SIGMA = 3.19  # of the standard's errors
SECRET_SIGMA = sqrt(2 / 3)  # ternary
SIGNS = 14


class Break(NamedTuple):
    """The cheapest attack found: block size, dimensions."""

    beta: int
    dimensions: int

    def core(self, exponent: float) -> float:
        """Bits of one call for a shortest vector."""
        return exponent * self.beta

    def standard(self, exponent: float) -> float:
        """Bits by the model of the standard's table."""
        return self.core(exponent) + 16.4 + log2(8 * self.dimensions)


def log_delta(beta: int) -> float:
    """Logarithm of the root Hermite factor of blocks of beta (Chen's formula)."""
    return log(beta / (2 * pi * e) * (pi * beta) ** (1 / beta)) / (2 * (beta - 1))


def breaks(beta: int, n: int, log_q: float, sigma: float, hints: int) -> int | None:
    """Dimensions with which blocks of beta find the secret, if any."""
    best, margin = None, 0.0
    for samples in range(n // 4, n + 1, max(1, n // 512)):
        d = samples + n + 1
        volume = samples * log_q + n * log(sigma / SECRET_SIGMA) + hints * log(2)
        over = (2 * beta - d - 1) * log_delta(beta) + volume / d - log(sigma * sqrt(beta))
        if over >= margin:
            best, margin = d, over
    return best


def cheapest(n: int, log_q: float, sigma: float, hints: int = 0) -> Break:
    """Smallest block size that works, by bisection."""
    low, high = 60, 4 * n
    while low < high:
        beta = (low + high) // 2
        if breaks(beta, n, log_q, sigma, hints) is None:
            low = beta + 1
        else:
            high = beta
    return Break(low, breaks(low, n, log_q, sigma, hints) or 0)


def row(name: str, n: int, log2_q: float, sigma: float, hints: int = 0) -> str:
    """One line of the first table."""
    found = cheapest(n, log2_q * log(2), sigma, hints)
    bits = (cost(exponent) for exponent in (0.292, 0.265) for cost in (found.core, found.standard))
    cells = " ".join(f"{value:9.1f}" for value in bits)
    return f"{name:32} {found.beta:5} {found.dimensions:6} {cells}"


def even_signs(classes: int) -> Fraction:
    """Chance that 14 independent places fall into each class an even number of times."""
    total = sum(comb(classes, k) * (classes - 2 * k) ** SIGNS for k in range(classes + 1))
    return Fraction(total, classes**SIGNS << classes)


def log2_of(chance: Fraction) -> float:
    """Base-2 logarithm of a chance too small for a float."""
    return log2(chance.numerator) - log2(chance.denominator)


def report() -> Iterator[str]:
    """Both tables, line by line."""
    yield f"{'':32} {'beta':>5} {'dim':>6}   classical: core, standard  quantum: core, standard"
    for n, limit, bits in ((4096, 109, 128), (8192, 218, 128), (8192, 152, 192), (16384, 438, 128)):
        yield row(f"table: N {n}, {limit} bits: {bits}", n, limit, TABLE_SIGMA)
    yield row("table: N 8192, 202 bits: 128 q.", 8192, 202, TABLE_SIGMA)
    yield row("deposits", N, log2(Q), SIGMA)
    for hints in (64, 256, 1024, 4096):
        yield row(f"deposits, {hints} parities known", N, log2(Q), SIGMA, hints)
    yield ""
    yield f"parities   log2 of tries: {CHALLENGE_BITS} bits in a row   {SIGNS} signs"
    for parities in (1, 4, 16, 64, 256, 1024, 4096):
        signs = abs(log2_of(even_signs(parities)))
        yield f"{parities:8}   {min(parities, CHALLENGE_BITS):31}   {signs:8.1f}"


if __name__ == "__main__":
    print("\n".join(report()))  # noqa: T201
