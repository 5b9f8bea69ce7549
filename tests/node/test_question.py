"""What a policy lets through: everything that is not listed is refused, and said in words."""

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from registries import Registries, counts, registries

from upcare_mpc.config import Agreement, Certified, Policy
from upcare_mpc.consent.model import Activity
from upcare_mpc.errors import ProtocolError, RefusedError, StudyError
from upcare_mpc.node.question import charge, check_policy, read_question, use_of
from upcare_mpc.privacy.accountant import Loss
from upcare_mpc.study.spec import Study

GAUSSIAN = 'mechanism = "gaussian"\nepsilon = 1\ndelta = 1e-9'


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


def check(network: Registries, study: Study, registry: str = "de-a", **changes: object) -> None:
    policy: Policy = replace(network["de-a"].node.party.policy, **changes)
    check_policy(network.question(study), network.request(study), policy, registry=registry)


def test_what_the_policy_lists_passes(network: Registries) -> None:
    check(network, counts())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"researchers": {}}, "does not know this researcher's key"),
        ({"purposes": frozenset()}, "does not accept purpose DUO:0000007 (accepted: none)"),
        (
            {"purposes": frozenset({"DUO:0000042"})},
            "does not accept purpose DUO:0000007 (accepted: DUO:0000042)",
        ),
        ({"kinds": frozenset({"survival"})}, "does not accept studies of kind counts"),
        ({"epsilon_per_study": Fraction(1, 2)}, "accepts at most epsilon 0.5 a study, 1 asked"),
    ],
)
def test_what_the_policy_does_not_list_is_refused_in_words(
    network: Registries, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        check(network, counts(), **changes)

    assert str(refused.value) == words


def test_a_purpose_that_the_ontology_lacks_is_refused_though_a_policy_lists_it(
    network: Registries,
) -> None:
    """By the text alone: the gate would deny it for every patient, and zeros would come out."""
    made_up = replace(counts(), purpose="DUO:0000099")

    with pytest.raises(RefusedError, match=r"^does not know purpose DUO:0000099$"):
        check(network, made_up, purposes=frozenset({"DUO:0000099"}))


def test_what_a_policy_certifies_of_the_researcher_is_part_of_the_use(network: Registries) -> None:
    request = network.request(counts())
    policy = network["de-a"].node.party.policy
    known = Certified(claims=frozenset({"non-commercial"}), region="DE")

    unknown_use = use_of(network.question(counts()), request, policy, registry="de-a")
    policy = replace(policy, certified={request.signing_key: known})
    use = use_of(network.question(counts()), request, policy, registry="de-a")

    assert (unknown_use.claims, unknown_use.region) == (frozenset(), None)
    assert (use.claims, use.region) == (known.claims, "DE")
    assert (use.data_set, use.activity) == ("de-a", Activity.STATISTICS)
    assert (use.purposes, use.evidence) == ({"DUO:0000007"}, frozenset())


def test_a_registry_that_is_not_asked_refuses(network: Registries) -> None:
    with pytest.raises(RefusedError, match="is not asked by this study"):
        check(network, counts(), registry="fr-b")


def test_exactly_the_epsilon_allowed_passes(network: Registries) -> None:
    check(network, counts(epsilon="5"))
    with pytest.raises(RefusedError, match="at most epsilon 5"):
        check(network, counts(epsilon="5.000001"))


def test_a_gaussian_study_is_held_against_the_epsilon_and_the_delta_that_it_states(
    network: Registries,
) -> None:
    study = counts(privacy=GAUSSIAN)
    exact = {"epsilon_per_study": Fraction(1), "delta_per_study": Fraction(1, 10**9)}

    check(network, study, **exact)
    with pytest.raises(RefusedError, match=r"accepts at most epsilon 0\.5 a study, 1 asked"):
        check(network, study, epsilon_per_study=Fraction(1, 2))
    with pytest.raises(RefusedError, match="accepts at most delta 9e-10 a study, 1e-09 asked"):
        check(network, study, delta_per_study=Fraction(9, 10**10))


def test_a_laplace_study_has_a_delta_too(network: Registries) -> None:
    check(network, counts(), delta_per_study=Fraction(1, 2**40))
    with pytest.raises(RefusedError, match="accepts at most delta 1e-15 a study"):
        check(network, counts(), delta_per_study=Fraction(1, 10**15))


@pytest.mark.parametrize(
    ("release", "words"),
    [("", "none"), ("minimum_cohort = 49", "49"), ("suppress_below = 50", "none")],
)
def test_a_study_with_a_smaller_cohort_than_the_policy_demands_is_refused(
    network: Registries, release: str, words: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        check(network, counts(release=release), minimum_cohort=50)

    assert str(refused.value) == (
        f"wants release.minimum_cohort of at least 50, this study has {words}"
    )


def test_the_cohort_that_the_policy_demands_or_a_larger_one_passes(network: Registries) -> None:
    for cohort in (50, 51):
        check(network, counts(release=f"minimum_cohort = {cohort}"), minimum_cohort=50)
    check(network, counts(release="minimum_cohort = 6"))


def test_a_minimum_that_noise_alone_would_reach_in_an_empty_cohort_is_refused(
    network: Registries,
) -> None:
    with pytest.raises(StudyError, match="minimum_cohort: wanted at least 6, got 5; the noise of"):
        check(network, counts(release="minimum_cohort = 5"))


def test_less_overlap_than_the_agreement_is_refused(network: Registries) -> None:
    agreement = Agreement(name="test", overlap=2, committee=3)
    request = network.request(counts())

    with pytest.raises(StudyError, match="overlap: wanted at least 2"):
        read_question(request, agreement, "submit", now=time.time())


def test_an_unsigned_request_is_refused_before_anything_else(network: Registries) -> None:
    request = network.request(counts())
    request.signature = b""

    with pytest.raises(ProtocolError, match="not signed"):
        read_question(request, network.agreement, "submit", now=0)


def test_every_registry_pays_the_full_cost_of_the_release(network: Registries) -> None:
    question = network.question(counts(epsilon="0.3"))

    assert charge(question).loss == Loss.pure(Fraction(3, 10), question.guarantee.delta)
    assert charge(question).loss.delta > 0
    assert charge(question).purpose == "DUO:0000007"


def test_a_gaussian_study_is_charged_in_rho_with_the_delta_of_its_sampler(
    network: Registries,
) -> None:
    guarantee = network.question(counts(privacy=GAUSSIAN)).guarantee

    loss = charge(network.question(counts(privacy=GAUSSIAN))).loss

    assert loss.epsilon is None
    assert loss.rho == guarantee.rho == 1 / (2 * guarantee.scale**2)
    assert 0 < loss.delta == guarantee.rho_delta <= Fraction(1, 2**40)
