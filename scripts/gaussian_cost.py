"""ANDs of one discrete Gaussian value: digits from the top against rejection, by counting.

Run ``python scripts/gaussian_cost.py``. Nothing is drawn and nothing is timed.

Digits: the law that ``sample_gaussian`` chooses, one cell moved by one.

Rejection (Canonne, Kamath and Steinke, NeurIPS 2020, algorithm 3), counted in its favour:
candidates Y are discrete Laplace of scale t = floor(sigma) + 1 with as many digits as reach 7.5
sigma, and are accepted with probability e^(-D^2 / (2 sigma^2)), D = |Y| - sigma^2/t rounded. The
accept bit is the cheaper of

* a table of thresholds by |Y|: a one-hot selector and one comparison;
* D and its square in bits, and a coin e^(-2^i / (2 sigma^2)) for each bit i of the square that
  can matter by more than 2^-44.

Coins have 44 bits. Left out: candidates drawn in vain because the batch has a fixed size, moving
the accepted values together, and the finer coins that a release of many cells needs.
"""

import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from upcare_mpc.privacy.gaussian import SampledGaussian, sample_gaussian
from upcare_mpc.privacy.summands import Summand, ands
from upcare_mpc.study.layout import Sensitivity

SIGMAS = (10, 100, 1_000, 10_000, 1_000_000)
ONE = Sensitivity(d0=1, d1=1, dinf=1)
COIN_BITS = 44


def main() -> None:
    """Print the table of the decision."""
    for line in table():
        sys.stdout.write(f"{line}\n")


def table() -> Iterator[str]:
    """Return the lines of a Markdown table."""
    yield "| sigma | shift, K | lam | ANDs | candidate | accept bit | candidates | rejection |"
    yield "|---|---|---|---|---|---|---|---|"
    for sigma in SIGMAS:
        law = sample_gaussian(Fraction(sigma**2), ONE)
        parts = "; ".join(f"{part.shift}, {part.magnitude_bits}" for part in law.parts)
        candidate, accept, expected = rejection(sigma)
        yield (
            f"| {sigma} | {parts} | {law.parts[0].precision} | {digits(law)} "
            f"| {candidate} | {accept} | {expected:.2f} | {expected * (candidate + accept):.0f} |"
        )


def digits(law: SampledGaussian) -> int:
    """Return the ANDs of one value by digits from the top."""
    shape = tuple(
        Summand(part.shift, part.sigma_squared, part.magnitude_bits) for part in law.parts
    )
    return ands(shape, law.parts[0].precision)


def rejection(sigma: int) -> tuple[int, int, float]:
    """Return the ANDs of a candidate, of its accept bit, and the candidates for one value."""
    places = (15 * sigma // 2).bit_length()
    candidate = (COIN_BITS - 1) * (places + 1)
    by_table = COIN_BITS + 2**places - 2
    first = max(0, (2 * sigma**2).bit_length() - COIN_BITS)
    coins = 2 * places - first
    square = places * (places - 1)  # half of it products of bits, half of it full adders
    by_square = 2 * places + square + coins * (COIN_BITS - 1 + 2)
    scale = sigma + 1
    k = np.arange(1, 10 * sigma, dtype=np.float64)
    offset = sigma**2 / scale
    chance = np.exp(-((k - offset) ** 2) / (2 * sigma**2) - k / scale).sum() * 2
    chance += np.exp(-(offset**2) / (2 * sigma**2))
    accepted = float(chance) * np.tanh(1 / (2 * scale))
    return candidate, min(by_table, by_square), float(1 / accepted)


if __name__ == "__main__":
    main()
