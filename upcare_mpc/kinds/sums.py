"""How far sums of noise and of patients' own chance reach together."""

from collections.abc import Sequence

import numpy as np

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw

__all__ = ["reach", "reach_of"]


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
