"""What a release guarantees, in the figures that the ledger charges and the result states.

Unit: the patient. Neighbouring: one patient's whole record added or removed, at every registry
that knows her. She may be known to ``overlap`` registries, so the pooled vector moves by at most
``overlap * (d0, d1, dinf)``; the overlap enters the sensitivity, it does not multiply epsilon.

Statement: for neighbouring data and any set S of released vectors,
``P(S) <= e^epsilon * P'(S) + delta``, with ``epsilon = overlap * d1 / scale``. Each cell moved by
``s`` gives ``(s / scale, delta(s))`` by the exact law of the noise (``laplace``), and the cells
are composed in the worst way (``spread``). For the ideal law delta is 0 and epsilon is the
map of Ghosh, Roughgarden and Sundararajan (STOC 2009), equal to ``make_laplace`` of OpenDP.

A Gaussian release is delta-approximate rho-zCDP with ``rho = D2^2 / (2 sigma^2)``, equal to
``make_gaussian`` of OpenDP (``gaussian`` has the proof); that is what it is charged, and what
composes. Its ``(epsilon, delta)`` describes the one release, by its exact law (``loss``).

This holds against everyone who sees the released vector, and it is what EACH registry is
charged, since a patient of any of them may be the one who differs. It is not claimed against
computing registries that deviate from the protocol.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from upcare_mpc.errors import StudyError
from upcare_mpc.privacy.accountant import Loss
from upcare_mpc.privacy.concentrated import largest_rho
from upcare_mpc.privacy.gaussian import (
    MAX_SIGMA,
    MIN_SIGMA,
    TARGET_DELTA,
    SampledGaussian,
    gaussian_delta,
    sample_gaussian,
    squared_sensitivity,
)
from upcare_mpc.privacy.laplace import (
    MAX_SCALE,
    MIN_SCALE,
    SampledLaplace,
    release_delta,
    sample_law,
)
from upcare_mpc.privacy.loss import release_delta_at
from upcare_mpc.study.layout import Sensitivity

__all__ = ["Guarantee", "gaussian_release", "laplace_release"]

_ERROR_LEVEL = Fraction(95, 100)
_SIGMA_UNITS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """The privacy label of one release.

    Attributes:
        mechanism: ``discrete Laplace`` or ``discrete Gaussian``.
        unit: What is protected: ``patient``.
        epsilon: Exact.
        delta: Rounded up. Laplace: at most 2^-40. Gaussian: at most what was asked.
        rho: Zero-concentrated privacy loss, where the mechanism has a better one than
            ``epsilon^2 / 2``; none for Laplace.
        overlap: Number of registries that may know one patient.
        sensitivity: What one patient can change in one registry's vector.
        scale: Scale of the noise in every cell, in patients; for Gaussian noise its sigma.
        variance: Variance of the noise in every cell, exact.
        error95: Smallest k such that the noise in a cell is within -k..k with probability
            at least 0.95.
        rho_delta: Delta of the sampler, charged next to rho; at most 2^-40; none for Laplace.
    """

    mechanism: str
    unit: str
    epsilon: Fraction
    delta: Fraction
    rho: Fraction | None
    overlap: int
    sensitivity: Sensitivity
    scale: Fraction
    variance: Fraction
    error95: int
    rho_delta: Fraction | None = None

    @property
    def loss(self) -> Loss:
        """What every registry is charged: the mechanism's own terms, which compose best."""
        if self.rho is None or self.rho_delta is None:
            return Loss.pure(self.epsilon, self.delta)
        return Loss.concentrated(self.rho, self.rho_delta)


def laplace_release(
    epsilon: Fraction, sensitivity: Sensitivity, overlap: int
) -> tuple[SampledLaplace, Guarantee]:
    """Choose the noise for a release at ``epsilon`` and state what it guarantees.

    Args:
        epsilon: Privacy loss of the whole release.
        sensitivity: What one patient can change in the vector of ONE registry.
        overlap: Number of registries that may know one patient.

    Raises:
        StudyError: The epsilon needs a noise scale that is not supported.
        PrivacyError: No supported coin keeps delta below 2^-40.
    """
    pooled = sensitivity.times(overlap)
    smallest, largest = pooled.d1 / MAX_SCALE, pooled.d1 / MIN_SCALE
    if not smallest <= epsilon <= largest:
        raise StudyError(
            f"privacy.epsilon: wanted a number from {float(smallest):g} to {float(largest):g} "
            f"(one patient counts at most {sensitivity.d1} at each of {overlap} registries), "
            f"got {float(epsilon):g}"
        )
    scale = pooled.d1 / epsilon
    law = sample_law(scale, pooled)
    return law, Guarantee(
        mechanism="discrete Laplace",
        unit="patient",
        epsilon=pooled.d1 / scale,
        delta=release_delta(law, pooled),
        rho=None,
        overlap=overlap,
        sensitivity=sensitivity,
        scale=scale,
        variance=law.variance,
        error95=law.error(_ERROR_LEVEL),
    )


def gaussian_release(
    epsilon: Fraction, delta: Fraction, sensitivity: Sensitivity, overlap: int
) -> tuple[SampledGaussian, Guarantee]:
    """Choose the Gaussian noise for a release at ``(epsilon, delta)`` and state what it guarantees.

    Sigma is the smallest multiple of 2^-16 whose rho converts to ``epsilon`` and ``delta`` less
    2^-40 for the sampler.

    Args:
        epsilon: Privacy loss of the whole release, exceeded with probability ``delta``.
        delta: More than 2^-40, less than 1.
        sensitivity: What one patient can change in the vector of ONE registry.
        overlap: Number of registries that may know one patient.

    Raises:
        StudyError: Epsilon or delta leaves no noise that is supported.
        PrivacyError: No law is good enough for what one patient can change.
    """
    pooled = sensitivity.times(overlap)
    if not TARGET_DELTA < delta < 1:
        raise StudyError(
            f"privacy.delta: wanted more than 2^-40 and less than 1, got {float(delta):g}"
        )
    if epsilon <= 0 or (most := largest_rho(epsilon, delta - TARGET_DELTA)) == 0:
        raise StudyError(f"privacy.epsilon: wanted a larger number, got {float(epsilon):g}")
    squared = squared_sensitivity(pooled)
    sigma = max(MIN_SIGMA, _root_above(squared / (2 * most)))
    if sigma > MAX_SIGMA:
        raise StudyError(
            f"privacy.epsilon: wanted a larger number, got {float(epsilon):g}, which needs noise "
            f"of sigma {float(sigma):.3g}; the most is {MAX_SIGMA}"
        )
    law = sample_gaussian(sigma**2, pooled)
    return law, Guarantee(
        mechanism="discrete Gaussian",
        unit="patient",
        epsilon=epsilon,
        delta=release_delta_at(law, pooled, epsilon),
        rho=squared / (2 * sigma**2),
        overlap=overlap,
        sensitivity=sensitivity,
        scale=sigma,
        variance=law.variance,
        error95=law.error(_ERROR_LEVEL),
        rho_delta=gaussian_delta(law, pooled),
    )


def _root_above(square: Fraction) -> Fraction:
    """Return a multiple of 2^-16 that is at least the square root, by less than two steps."""
    return Fraction(isqrt(int(square * _SIGMA_UNITS**2)) + 1, _SIGMA_UNITS)
