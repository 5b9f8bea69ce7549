"""The guarantee of a release: OpenDP's epsilon, and a delta that is computed and small."""

import math
import re
from fractions import Fraction
from pathlib import Path

import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.privacy.guarantee import laplace_release
from upcare_mpc.study.layout import Sensitivity

ONE = Sensitivity(d0=1, d1=1, dinf=1)


def opendp_epsilon(scale: Fraction, distance: int) -> float:
    """Privacy map of OpenDP's discrete Laplace on integer vectors, under the L1 distance."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    return float(dp.m.make_laplace(*space, scale=float(scale)).map(distance))


@pytest.mark.parametrize("epsilon", [Fraction(1), Fraction(1, 10), Fraction(50), Fraction(7, 3)])
@pytest.mark.parametrize("overlap", [1, 2, 3])
@pytest.mark.parametrize("patient", [ONE, Sensitivity(d0=3, d1=5, dinf=2)])
def test_epsilon_is_opendps_map(epsilon: Fraction, overlap: int, patient: Sensitivity) -> None:
    _, guarantee = laplace_release(epsilon, patient, overlap)

    theirs = opendp_epsilon(guarantee.scale, overlap * patient.d1)

    assert float(guarantee.epsilon) == pytest.approx(theirs, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    epsilon=st.fractions(min_value=Fraction(1, 20), max_value=20, max_denominator=100),
    overlap=st.integers(1, 3),
    d0=st.integers(1, 3),
)
def test_the_guarantee_is_exactly_what_was_asked_and_delta_is_below_the_target(
    epsilon: Fraction, overlap: int, d0: int
) -> None:
    patient = Sensitivity(d0=d0, d1=d0, dinf=1)

    law, guarantee = laplace_release(epsilon, patient, overlap)

    assert guarantee.epsilon == epsilon
    assert guarantee.scale == law.scale == overlap * d0 / epsilon
    assert 0 < guarantee.delta <= Fraction(1, 2**40)


def test_overlap_counts_a_patient_twice_in_one_cell_or_in_two() -> None:
    law, guarantee = laplace_release(Fraction(1), ONE, 2)

    assert guarantee.delta >= max(2 * law.delta(1), law.delta(2))


def test_the_label_can_be_printed() -> None:
    _, guarantee = laplace_release(Fraction(1), ONE, 1)

    assert guarantee.mechanism == "discrete Laplace"
    assert guarantee.unit == "patient"
    assert guarantee.rho is None
    assert guarantee.error95 == 3
    assert float(guarantee.variance) == pytest.approx(1.8413, abs=1e-4)


@pytest.mark.parametrize("epsilon", [Fraction(0), Fraction(-1), Fraction(51), Fraction(1, 10**7)])
def test_an_epsilon_without_a_noise_is_refused_with_the_range(epsilon: Fraction) -> None:
    with pytest.raises(StudyError, match=r"privacy\.epsilon: wanted a number from 1e-06 to 50"):
        laplace_release(epsilon, ONE, 1)


def test_an_overlap_of_zero_is_refused() -> None:
    with pytest.raises(StudyError, match="overlap"):
        laplace_release(Fraction(1), ONE, 0)


def test_the_laws_on_the_page_about_the_guarantee_are_those_that_are_drawn() -> None:
    page = (Path(__file__).parents[2] / "docs" / "privacy-guarantee.md").read_text("utf-8")
    row = (
        r"^\| (\w.*?epsilon ([\d.]+), overlap (\d)) \| (\d+) \| (\d+) \| (\d+) \| 2\^(-[\d.]+) \|$"
    )
    rows = re.findall(row, page, re.MULTILINE)
    assert len(rows) == 4

    for study, epsilon, overlap, scale, precision, digits, exponent in rows:
        count = 5 if "`per_patient` 5" in study else 1
        law, guarantee = laplace_release(
            Fraction(epsilon), Sensitivity(d0=count, d1=count, dinf=count), int(overlap)
        )

        assert (guarantee.scale, law.precision, law.magnitude_bits) == (
            int(scale),
            int(precision),
            int(digits),
        )
        assert math.log2(guarantee.delta) == pytest.approx(float(exponent), abs=0.006)
