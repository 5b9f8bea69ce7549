from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from gbsg2 import cases, gaussian, laplace, survival, women

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.noise_utility import NoiseUtility, compare
from upcare_mpc.privacy.guarantee import Guarantee
from upcare_mpc.study.rows import tabulate


def registries() -> npt.NDArray[np.int64]:
    """``(5, cells)`` exact counts of the five registries."""
    kind = survival(365, 7)
    pairs = list(zip(cases(), women(), strict=True))
    return np.stack(
        [
            tabulate(kind.measures(), kind.layout(), [c for c, w in pairs if w["centre"] == name])
            for name in ("DE-A", "DE-B", "DE-C", "FR-A", "FR-B")
        ]
    )


def measured(release: Guarantee) -> NoiseUtility:
    return compare(
        survival(365, 7),
        registries(),
        release,
        repeats=200,
        generator=np.random.default_rng(5),
    )


@pytest.mark.parametrize("release", [laplace(1), gaussian(4)], ids=lambda r: r.mechanism)
def test_one_joint_noise_beats_five_local_ones_and_one_registry_alone(release: Guarantee) -> None:
    found = measured(release)

    assert found.joint.curve < 0.65 * found.local.curve
    assert found.joint.five_years < 0.65 * found.local.five_years
    assert found.joint.curve < found.alone.curve


def test_without_noise_only_the_registry_alone_is_wrong() -> None:
    found = measured(laplace(Fraction(1, 50)))

    assert found.joint.curve == pytest.approx(0, abs=1e-12)
    assert found.local.curve == pytest.approx(0, abs=1e-12)
    assert found.alone.five_years == pytest.approx(0.0255, abs=1e-4)


def test_the_same_generator_gives_the_same_answer() -> None:
    assert measured(laplace(2)) == measured(laplace(2))


def test_vectors_of_another_study_are_refused() -> None:
    with pytest.raises(StudyError):
        compare(
            survival(365, 6),
            registries(),
            laplace(1),
            repeats=1,
            generator=np.random.default_rng(5),
        )
