"""The coins that discrete Laplace noise is made of: ideal probabilities and integer thresholds.

A coin is ``[u < T]`` with ``u`` a uniform word of ``precision`` bits, so it is 1 with probability
``T / 2^precision``. The ideal probabilities (see ``laplace``) are irrational; each threshold is

    T = ceil(2^precision * p),

rounded UP, found by enclosing ``p`` until both ends of the enclosure have the same ceiling. It
is therefore the same integer on every host, whatever the enclosure.

**Why up, and never to zero.** The ideal law falls by ``e^(-1/b)`` with every step outwards. What
costs privacy is a value whose outward neighbour has too little mass. At ``b = 1/50`` the ideal
probability of every coin is below 2e-22. Rounded to zero they would be off by only 4e-22 in total
variation; yet the release would be the exact value, and delta would be 1, because an error in total
variation counts ``1 + e^epsilon`` times, here 5e21 times. Rounded up, the noise is -1 and 1 with
probability ``2^-precision`` each, and that is about delta.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from upcare_mpc.privacy.exponential import Enclosure, exp_minus

__all__ = ["ideal_coins", "thresholds_above"]


def ideal_coins(scale: Fraction, magnitude_bits: int, bits: int) -> Iterator[Enclosure]:
    """Enclose the ideal probabilities of ``s, g_0, ..., g_{K-1}``; the first two are the same.

    ``q / (1 + q)`` grows with ``q``, so ends map to ends.

    Args:
        scale: Scale ``b``.
        magnitude_bits: Number ``K`` of digits.
        bits: Fractional bits to compute with; the width is near ``2^-bits``.
    """
    for power in (1, *(2**digit for digit in range(magnitude_bits))):
        q = exp_minus(power / scale, bits)
        yield Enclosure(q.low / (1 + q.low), q.high / (1 + q.high))


def thresholds_above(scale: Fraction, precision: int, magnitude_bits: int) -> tuple[int, ...]:
    """Return ``(T_s, T_0, ..., T_{K-1})``, each at least 1."""
    bits = precision + 64
    while True:
        enclosures = list(ideal_coins(scale, magnitude_bits, bits))
        low = tuple(max(1, ceil(2**precision * p.low)) for p in enclosures)
        high = tuple(ceil(2**precision * p.high) for p in enclosures)
        if low == high:
            return high
        bits *= 2
