"""Noise that the computing parties draw together and nobody knows.

The law is exactly that of ``privacy.laplace`` or ``privacy.gaussian``. Steps, all on secret bits:

1. magnitude  from biased coins (``mpc.magnitudes``)
2. sign       fair; negation mod p = 2^61 - 1 is the complement of a 61-bit word: an XOR
3. to field   masks, one opening of a uniform vector, shares (``mpc.conversion``)

Opens: what ``mpc.conversion`` opens, uniform and independent of the noise. Secret: all else.

Laplace: for ideal coins ``P(g_i = 1) = 1/(1 + e^(2^i/b))`` the magnitude is geometric, because
``e^(-k/b)`` factors over the bits of ``k``, so ``X`` is discrete Laplace with scale ``b`` (the
two-sided geometric of Ghosh, Roughgarden, Sundararajan 2009). Gaussian: digits from the top by
conditional coins; no rejection, so there is no accept bit to open.

Adversary: any t honest-but-curious parties together learn nothing about X: they miss at least one
component of every secret bit, and at least one mask is known to a party outside alone. The view
of t parties on n cells is within n * 2^-60 of one that is independent of X. A party that DEVIATES
can bias the noise.
"""

from collections.abc import Callable

import numpy as np

from upcare_mpc.mpc.bits import Boolean, Lane
from upcare_mpc.mpc.conversion import to_field
from upcare_mpc.mpc.field import BITS, Words
from upcare_mpc.mpc.magnitudes import gaussian_magnitude, laplace_magnitude
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["Law", "noise_shares"]

Law = SampledLaplace | SampledGaussian


async def noise_shares(
    lane: Lane, law: Law, cells: int, *, random: Callable[[int], Words]
) -> Words:
    """Draw ``cells`` independent values of ``law`` as Shamir shares of degree t.

    Args:
        lane: This party's messages and streams for this batch.
        law: The law; equal at all parties (its digest is part of Hello).
        cells: n, public.
        random: Words known to this party alone, for its own Shamir sharing.

    Returns:
        ``(n,)`` this party's shares. Secret.
    """
    words = -(-cells // 64)
    circuit = Boolean(lane)
    if isinstance(law, SampledLaplace):
        magnitude = await laplace_magnitude(circuit, law, words)
    else:
        magnitude = await gaussian_magnitude(circuit, law, words)
    sign = circuit.random(1, words)
    rows = magnitude.shape[1]
    signed = np.empty((magnitude.shape[0], BITS, words), np.uint64)
    signed[:, :rows] = magnitude ^ sign
    signed[:, rows:] = sign
    return await to_field(circuit, lane, signed, cells, random)
