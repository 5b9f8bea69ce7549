"""Joint noise against the other ways, on the 686 women of five registries."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from gbsg2 import cases, gaussian, laplace, study, survival, women

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.noise_utility import NoiseUtility, as_federated_search, compare
from upcare_mpc.privacy.guarantee import Guarantee, laplace_release
from upcare_mpc.study.rows import tabulate

REGISTRIES = ("DE-A", "DE-B", "DE-C", "FR-A", "FR-B")


def vectors(kind: kinds.Kind) -> npt.NDArray[np.int64]:
    """``(5, cells)`` exact counts of the five registries."""
    pairs = list(zip(cases(), women(), strict=True))
    return np.stack(
        [
            tabulate(kind.measures(), kind.layout(), [c for c, w in pairs if w["centre"] == name])
            for name in REGISTRIES
        ]
    )


def measured(
    release: Guarantee, kind: kinds.Kind | None = None, repeats: int = 100
) -> NoiseUtility:
    kind = kind or survival(365, 7)
    generator = np.random.default_rng(5)
    return compare(kind, vectors(kind), release, repeats=repeats, generator=generator)


@pytest.mark.parametrize("release", [laplace(1), gaussian(4)], ids=lambda r: r.mechanism)
def test_one_joint_noise_beats_five_local_ones_and_one_registry_alone(release: Guarantee) -> None:
    found = measured(release)
    five_years = (found.rows["end_days"] == 1826).to_numpy()

    assert found.error("joint") < 0.65 * found.error("local")
    assert found.error("joint", five_years) < 0.65 * found.error("local", five_years)
    assert found.error("joint") < found.error("alone")
    assert not any(missing.any() for missing in found.missing.values())


def test_without_noise_only_the_registry_alone_is_wrong() -> None:
    found = measured(laplace(Fraction(1, 50)), repeats=5)

    assert found.error("joint") == pytest.approx(0, abs=1e-12)
    assert found.error("local") == pytest.approx(0, abs=1e-12)
    five_years = (found.rows["end_days"] == 1826).to_numpy()
    assert found.error("alone", five_years) == pytest.approx(0.0255, abs=1e-4)


def test_the_joint_error_of_counts_is_that_of_the_noise() -> None:
    """1,000 repeats, eight cells: each is within 15 % of its law; 5 standard errors."""
    kind = kinds.of(study("counts", 'by = ["tx_hormone", "vital_status"]'))

    found = measured(laplace(3), kind, repeats=1000)

    assert found.errors["joint"] == pytest.approx(float(laplace(3).variance) ** 0.5, rel=0.15)
    assert found.error("local") == pytest.approx(5**0.5 * found.error("joint"), rel=0.1)


def test_sums_have_no_federated_search() -> None:
    kind = kinds.of(
        study("means", 'variables = [{ variable = "follow_up_days", from = 0, to = 3650 }]')
    )
    release = laplace_release(Fraction(1), kind.layout().sensitivity, 1)[1]

    found = measured(release, kind, repeats=20)

    assert list(found.errors) == ["alone", "local", "joint"]
    assert found.error("joint") < found.error("local")


def test_the_federated_search_shows_counts_as_its_source_does() -> None:
    generator = np.random.default_rng(1)
    counts = np.tile(np.array([0, 1, 9, 10, 12, 100]), (20_000, 1))

    shown = as_federated_search(counts, 0.28, generator)

    assert not (shown % 10).any()
    assert shown.min() == 0
    assert (shown[:, 0] == 0).all()
    assert (shown[:, 1:3] == 10).all()
    assert shown[:, 5].mean() == pytest.approx(100, abs=0.3)
    # of Laplace noise of scale 1 / 0.28, half of exp(-5 * 0.28) is more than 5 above 100
    assert np.mean(shown[:, 5] > 100) == pytest.approx(np.exp(-1.4) / 2, abs=0.01)


def test_estimates_that_cannot_be_made_are_counted_and_left_out() -> None:
    kind = kinds.of(study("quantiles", 'variable = { variable = "age" }\nprobabilities = [50]'))

    found = measured(laplace(200), kind, repeats=50)

    assert 0.1 < found.missing["joint"].mean() <= 1
    assert found.missing["alone"].mean() == 1  # with this noise, one registry has too few patients
    assert np.isnan(found.error("alone"))


def test_the_same_generator_gives_the_same_answer() -> None:
    first, second = measured(laplace(2), repeats=5), measured(laplace(2), repeats=5)

    assert first.errors["joint"].tolist() == second.errors["joint"].tolist()


def test_vectors_of_another_study_are_refused() -> None:
    with pytest.raises(StudyError, match="wanted \\(registries, 26\\) counts"):
        compare(
            survival(365, 6),
            vectors(survival(365, 7)),
            laplace(1),
            repeats=2,
            generator=np.random.default_rng(5),
        )
