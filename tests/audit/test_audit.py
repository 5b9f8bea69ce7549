"""What releases give away about one patient is what they state, measured from outside.

Neighbouring data sets go through whole networks: data files, node processes, ledgers, TLS, joint
noise, sealed shares. The auditor knows everything but whether the target is there.
``bounds.epsilon_at_least`` gives an epsilon that the releases certainly have; it must be below the
stated one and near it, and it must be above the stated one when the noise is too small.

*Many targets*: 10^4 cells, one target a cell, each there by the toss of a coin. A cell counts her
alone and has noise of its own (``tests/mpc/test_noise_independence.py``), so every cell is an
experiment with one patient. *One target*: two networks whose data differ by one patient, each asked
many times.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bounds import epsilon_at_least, rho_at_least
from cohorts import AGES, YEARS, Cohort, Release, law_of, releases, run_local, warm_network
from laws import LEVEL, contingency, law_checks, smallest

pytestmark = pytest.mark.parties

ONE = "epsilon = 1.0"
THREE = "epsilon = 3.0"
GAUSSIAN = 'mechanism = "gaussian"\nepsilon = 12.0\ndelta = 1e-6'
REPEATS = 100
TARGET = 17  # the cell of the one target
ERROR = 1e-3  # of the bound from few releases


def tossed(known_to: int) -> Cohort:
    coins = np.random.default_rng().integers(0, 2, len(AGES) * len(YEARS)).astype(bool)
    return Cohort(AGES, YEARS, coins, known_to)


def found(cohort: Cohort, release: Release) -> float:
    """The epsilon that a release of many targets certainly has."""
    read = release.counts - cohort.others
    present, absent = read[cohort.targets], read[~cohort.targets]
    return epsilon_at_least(present, absent, delta=release.label["delta"])


# -- many targets -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Release]:
    """Targets known to two registries; the network and the study say that this is so."""
    cohort = tossed(known_to=2)
    return cohort, run_local(cohort, tmp_path_factory.mktemp("honest"), privacy=ONE, overlap=2)


@pytest.mark.slow
def test_the_noise_of_one_release_has_the_law_that_the_label_states(
    honest: tuple[Cohort, Release],
) -> None:
    cohort, release = honest
    law = law_of(cohort, privacy=ONE, overlap=2)

    checks = law_checks(release.counts - cohort.counts, law)

    assert release.label["noise_sd"] == pytest.approx(float(law.variance) ** 0.5)
    assert smallest(checks) > LEVEL, checks
    other = law_of(cohort, privacy="epsilon = 1.2", overlap=2)
    assert smallest(law_checks(release.counts - cohort.counts, other)) < LEVEL


@pytest.mark.slow
def test_a_patient_known_to_two_registries_loses_no_more_than_stated_and_not_much_less(
    honest: tuple[Cohort, Release],
) -> None:
    cohort, release = honest

    assert release.label["epsilon"] == 1
    assert 0.5 < found(cohort, release) < 1  # half the epsilon on the label would be found out


@pytest.mark.slow
def test_an_overlap_that_the_network_does_not_know_of_is_found(tmp_path: Path) -> None:
    """Each target is known to two registries, the network has agreed on one: her loss doubles."""
    cohort = tossed(known_to=2)

    release = run_local(cohort, tmp_path, privacy=ONE, overlap=1)

    assert release.label["epsilon"] == 1
    assert 1 < found(cohort, release) < 2


@pytest.mark.statistical
def test_a_gaussian_release_has_the_stated_rho_and_the_stated_law(tmp_path: Path) -> None:
    cohort = tossed(known_to=2)

    release = run_local(cohort, tmp_path, privacy=GAUSSIAN, overlap=2)

    law = law_of(cohort, privacy=GAUSSIAN, overlap=2)
    assert smallest(law_checks(release.counts - cohort.counts, law)) > LEVEL
    read = release.counts - cohort.others
    rho = rho_at_least(read[cohort.targets], read[~cohort.targets])
    assert 0.25 * release.label["rho"] < rho < release.label["rho"]


HALF_THE_NOISE = """
import upcare_mpc.privacy.guarantee as guarantee

honest = guarantee.sample_law
guarantee.sample_law = lambda scale, sensitivity: honest(scale / 2, sensitivity)
"""


@pytest.mark.statistical
def test_half_the_noise_under_an_honest_label_is_found(tmp_path: Path) -> None:
    """All processes of the network load a module that halves the scale and nothing else."""
    (tmp_path / "sitecustomize.py").write_text(HALF_THE_NOISE, "utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    cohort = tossed(known_to=2)

    release = run_local(cohort, tmp_path, privacy=ONE, overlap=2, environment={"PYTHONPATH": path})

    assert release.label["epsilon"] == 1
    assert 1 < found(cohort, release) < 2


# -- one target ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def neighbours(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[bool, tuple[Cohort, list[Release]]]:
    """Releases with the target and without her, all else equal."""

    def world(there: bool) -> tuple[Cohort, list[Release]]:
        targets = np.zeros(50, bool)
        targets[TARGET] = there
        cohort = Cohort(range(60, 70), range(2000, 2005), targets, known_to=1)
        folder = tmp_path_factory.mktemp("with" if there else "without")
        with warm_network(cohort, folder, overlap=1) as network:
            asked = releases(network, cohort, REPEATS, privacy=THREE, overlap=1)
            return cohort, list(asked)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip((True, False), pool.map(world, (True, False)), strict=True))


@pytest.mark.statistical
def test_one_patient_more_or_less_costs_the_stated_epsilon(
    neighbours: dict[bool, tuple[Cohort, list[Release]]],
) -> None:
    read = {
        there: np.array([release.counts[TARGET] - cohort.others[TARGET] for release in seen])
        for there, (cohort, seen) in neighbours.items()
    }

    bound = epsilon_at_least(read[True], read[False], delta=1e-12, error=ERROR)

    assert all(r.label["epsilon"] == 3 and r.label["delta"] < 1e-12 for r in neighbours[True][1])
    assert 0.3 < bound < 3  # 1.2 in half of all runs


@pytest.mark.statistical
def test_hundreds_of_releases_have_the_law_and_the_spread_that_their_labels_state(
    neighbours: dict[bool, tuple[Cohort, list[Release]]],
) -> None:
    cohort, seen = neighbours[True]
    law = law_of(cohort, privacy=THREE, overlap=1)
    noise = np.array(
        [release.counts - world.counts for world, seen in neighbours.values() for release in seen]
    )

    checks = law_checks(noise.ravel(), law)

    assert noise.shape == (2 * REPEATS, 50)
    assert smallest(checks) > LEVEL, checks
    assert {release.label["noise_sd"] for release in seen} == {float(law.variance) ** 0.5}
    # 10 000 draws know the standard deviation to about 1 %
    assert noise.std() == pytest.approx(float(law.variance) ** 0.5, rel=0.08)
    other = law_of(cohort, privacy="epsilon = 3.3", overlap=1)
    assert smallest(law_checks(noise.ravel(), other)) < LEVEL


@pytest.mark.statistical
def test_no_release_knows_of_the_one_before(
    neighbours: dict[bool, tuple[Cohort, list[Release]]],
) -> None:
    for cohort, seen in neighbours.values():
        noise = np.array([release.counts - cohort.counts for release in seen])
        classes = (noise != 0).astype(int)  # one in ten, so at least 40 of each pair are expected

        assert contingency(classes[:-1].ravel(), classes[1:].ravel()) > LEVEL
        repeated = classes.copy()
        repeated[1::4] = classes[0::4]  # one release in four draws the noise of the one before
        assert contingency(repeated[:-1].ravel(), repeated[1:].ravel()) < LEVEL
