"""The guarantee of a Gaussian release: OpenDP's rho, and an (epsilon, delta) of the exact law."""

from fractions import Fraction

import opendp.prelude as dp
import pytest

from upcare_mpc.errors import PrivacyError, StudyError
from upcare_mpc.privacy.concentrated import delta_at
from upcare_mpc.privacy.gaussian import TARGET_DELTA, squared_sensitivity
from upcare_mpc.privacy.guarantee import gaussian_release
from upcare_mpc.study.layout import Sensitivity

ONE = Sensitivity(d0=1, d1=1, dinf=1)
MILLIONTH = Fraction(1, 10**6)


def opendp_rho(scale: Fraction, squared_distance: int) -> float:
    """Privacy map of OpenDP's discrete Gaussian on integer vectors, under the L2 distance."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    measurement = dp.m.make_gaussian(*space, scale=float(scale))
    return float(measurement.map(squared_distance**0.5))


@pytest.mark.parametrize("epsilon", [Fraction(1), Fraction(1, 10), Fraction(8)])
@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("patient", [ONE, Sensitivity(d0=3, d1=5, dinf=2)])
def test_rho_is_opendps_map(epsilon: Fraction, overlap: int, patient: Sensitivity) -> None:
    _, guarantee = gaussian_release(epsilon, MILLIONTH, patient, overlap)

    squared = squared_sensitivity(patient.times(overlap))
    assert guarantee.rho is not None
    assert guarantee.rho == squared / (2 * guarantee.scale**2)
    assert float(guarantee.rho) == pytest.approx(opendp_rho(guarantee.scale, squared), rel=1e-12)


@pytest.mark.parametrize(
    "epsilon", [Fraction(1, 10**5), Fraction(1, 10), Fraction(1), Fraction(10)]
)
def test_the_guarantee_is_within_what_was_asked_and_not_much_better(epsilon: Fraction) -> None:
    law, guarantee = gaussian_release(epsilon, MILLIONTH, ONE, 1)

    assert guarantee.epsilon == epsilon
    assert guarantee.scale**2 == law.sigma_squared
    assert guarantee.delta <= MILLIONTH
    assert guarantee.rho is not None
    assert guarantee.rho_delta is not None
    assert guarantee.rho_delta <= TARGET_DELTA
    converted = delta_at(guarantee.rho, epsilon) + guarantee.rho_delta
    assert MILLIONTH * Fraction(99, 100) < converted <= MILLIONTH


def test_overlap_counts_fourfold_in_rho_at_the_same_noise() -> None:
    _, single = gaussian_release(Fraction(1), MILLIONTH, ONE, 1)
    _, double = gaussian_release(Fraction(1), MILLIONTH, ONE, 2)

    assert float(double.scale / single.scale) == pytest.approx(2, abs=1e-3)


def test_the_label_can_be_printed() -> None:
    _, guarantee = gaussian_release(Fraction(1), MILLIONTH, ONE, 1)

    assert guarantee.mechanism == "discrete Gaussian"
    assert float(guarantee.scale) == pytest.approx(4.53, abs=0.01)
    assert float(guarantee.variance) == pytest.approx(float(guarantee.scale) ** 2, rel=1e-9)
    assert guarantee.error95 == 9


@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1, 2**40), Fraction(1)])
def test_a_delta_that_leaves_no_room_is_refused(delta: Fraction) -> None:
    with pytest.raises(StudyError, match=r"privacy\.delta: wanted more than 2\^-40"):
        gaussian_release(Fraction(1), delta, ONE, 1)


@pytest.mark.parametrize("epsilon", [Fraction(0), Fraction(-1)])
def test_an_epsilon_of_nothing_is_refused(epsilon: Fraction) -> None:
    with pytest.raises(StudyError, match=r"privacy\.epsilon"):
        gaussian_release(epsilon, MILLIONTH, ONE, 1)


def test_an_epsilon_that_needs_more_noise_than_there_is_is_refused() -> None:
    with pytest.raises(StudyError, match=r"privacy\.epsilon: wanted a larger .* 1000000"):
        gaussian_release(Fraction(1, 10**6), MILLIONTH, Sensitivity(1, 5, 5), 1)


def test_a_patient_in_more_cells_than_any_coin_allows_is_refused() -> None:
    crowd = Sensitivity(10**6, 10**6, 1)

    with pytest.raises(PrivacyError, match="where one patient moves 1000000 cells"):
        gaussian_release(Fraction(100), MILLIONTH, crowd, 1)
