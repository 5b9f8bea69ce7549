"""Noise that the computing parties draw together and nobody knows.

The law is exactly that of ``privacy.laplace`` or ``privacy.gaussian``. Steps, all on secret bits:

1. numbers    signed, in two's complement, from biased coins (``mpc.magnitudes``)
2. to field   a mask, one adder, one opening of a uniform vector, shares (``mpc.conversion``)

Opens: what ``mpc.conversion`` opens, uniform and independent of the noise. Secret: all else.

Laplace: for ideal coins ``P(g_i = 1) = 1/(1 + e^(2^i/b))`` G is geometric, because ``e^(-k/b)``
factors over the bits of k; ``X = G`` or ``-1 - G`` with odds ``1 : e^(-1/b)`` is discrete Laplace
with scale b (the two-sided geometric of Ghosh, Roughgarden, Sundararajan 2009). Gaussian: digits
from the top by conditional coins; no rejection, so there is no accept bit to open.

Adversary: any t honest-but-curious parties together learn nothing about X: they miss at least one
component of every secret bit, and one of the t + 1 numbers that X is turned into. The view of t
parties on n cells is within ``n 2^-61`` of one that is independent of X: one mask they do not know,
2^-61 from uniform, hides what opens; coefficients of sharings are exactly uniform. A party that
DEVIATES can bias the noise.
"""

from collections.abc import Callable

from upcare_mpc.mpc.bits import Boolean, Lane
from upcare_mpc.mpc.conversion import to_field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.magnitudes import gaussian, laplace
from upcare_mpc.privacy.gaussian import SampledGaussian
from upcare_mpc.privacy.laplace import SampledLaplace

__all__ = ["Law", "noise_shares"]

Law = SampledLaplace | SampledGaussian

SHORT_WORDS = 1 << 13  # words of a chain's step, all components, up to which it is cut in blocks
BLOCKS = 4


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
    boolean, words = Boolean(lane), -(-cells // 64)
    if isinstance(law, SampledLaplace):
        number = laplace(boolean, law, words, blocks=_blocks(boolean, len(law.thresholds), words))
    else:
        number = gaussian(boolean, law, words, blocks=_blocks(boolean, len(law.parts), words))
    return await to_field(boolean, lane, number, cells, random, blocks=_blocks(boolean, 1, words))


def _blocks(boolean: Boolean, rows: int, words: int) -> int:
    """Form of a chain whose steps have so many rows: short where a round costs more than ANDs."""
    return BLOCKS if boolean.components * rows * words <= SHORT_WORDS else 1
