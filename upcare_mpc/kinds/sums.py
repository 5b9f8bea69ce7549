"""How far sums reach, of noise and of patients' own chance, and how far both together."""

from collections.abc import Sequence

import numpy as np

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw

__all__ = ["noise_reach", "reach", "reach_of", "wilson"]


def noise_reach(noise: NoiseLaw, squares: Floats, fourths: Floats) -> Floats:
    """How far 95 % of the noise moves an estimate.

    Args:
        noise: Of one draw.
        squares: Sum of the squared slopes over all draws.
        fourths: Sum of their fourth powers.
    """
    # Slopes may all be 0, or nearly so.
    concentration = np.maximum(fourths, 1e-150) / np.maximum(squares**2, 1e-150)
    moved: Floats = np.sqrt(squares) * noise.farthest(concentration)
    return moved


def reach(noise: NoiseLaw, variance: Floats, fourth: Floats) -> Floats:
    """How far 95 % of a sum of weighted draws of noise and of a normal part reach.

    That of ``NoiseLaw.reach``, where the normal part counts as many draws.

    Args:
        noise: The law of a draw.
        variance: Of the sum.
        fourth: Sum of the squared variances of the weighted draws.
    """
    if noise.variance == 0:
        return np.asarray(Z95 * np.sqrt(variance))
    concentration = fourth / np.maximum(variance, np.finfo(float).tiny ** 0.5) ** 2
    result: Floats = noise.reach(concentration) / noise.sd * np.sqrt(variance)
    return result


def reach_of(noise: NoiseLaw, variances: Sequence[Floats], sampling: Floats | float) -> Floats:
    """The same, of draws with these variances and a normal part with the variance ``sampling``."""
    total = np.asarray(sum(variances) + sampling, dtype=np.float64)
    return reach(noise, total, np.asarray(sum(variance**2 for variance in variances)))


def wilson(share: Floats, patients: Floats | float) -> tuple[Floats, Floats]:
    """How far Wilson's limits of a share lie below and above it; Wilson (1927)."""
    squared = Z95**2 / patients
    middle = (share + squared / 2) / (1 + squared)
    half = np.sqrt(share * (1 - share) * squared + squared**2 / 4) / (1 + squared)
    return share - (middle - half), middle + half - share
