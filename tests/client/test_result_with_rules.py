"""Answers of studies that do not show everything: all outputs say the same about what is shown."""

from collections.abc import Iterator

import numpy as np
import pytest
from registries import NAMES, Registries, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.client.result import OpenedResult, open_parts
from upcare_mpc.errors import OpeningError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import Passing, output_statement, seal_share
from upcare_mpc.mpc.programs.contract import PASSING_SUM
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.study.spec import parse

NOISY = np.array([5, -2, 70, 0], dtype=np.int64)
STUDY = parse(
    'version = 1\ntitle = "Grades"\nkind = "counts"\npurpose = "DUO:0000007"\n'
    'registries = ["de-a", "de-b", "de-c", "fr-a"]\noverlap = 1\n[cohort]\nwhere = "true"\n'
    "[privacy]\nepsilon = 1\n[release]\nminimum_cohort = 20\nsuppress_below = 5\n"
    '[counts]\nby = ["grade"]\n',
    name="study.toml",
)
SHOWN = Passing(cohort_met=True, shown=NOISY >= 5)
BELOW = Passing(cohort_met=False, shown=np.zeros(4, np.bool_))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    network = registries(tmp_path_factory.mktemp("registries"))
    yield network
    network.close()


def opened(network: Registries, said: list[Passing | None]) -> OpenedResult:
    """An answer in which computing registry i seals what passes by ``said[i]``."""
    descriptor, proposal = network.proposal(STUDY)
    assert descriptor.program == PASSING_SUM
    shares = field.share(field.encode(NOISY), parties=3, threshold=1, random=LocalRandom().words)
    part = coordinator_pb2.ResultResponse
    parts = [part(descriptor=descriptor.canonical())]
    parts += [part(certificate=pem) for pem in proposal.certificates]
    for index, (share, passing) in enumerate(zip(shares, said, strict=True)):
        sealed = seal_share(
            share,
            network.researcher.sealing_key,
            session=descriptor.digest,
            sender=NAMES[index],
            index=index,
            passing=passing,
        )
        agreement = bytes(32)
        statement = output_statement(descriptor.digest, index, agreement, sealed)
        output = study_pb2.Output(
            session_digest=descriptor.digest,
            index=index,
            agreement=agreement,
            sealed=sealed,
            signature=network.identity(NAMES[index]).sign(statement),
        )
        parts.append(part(output=output))
    return open_parts(parts, STUDY, network.researcher)


def test_what_is_shown_is_given_and_the_rest_is_none(network: Registries) -> None:
    answer = opened(network, [SHOWN] * 3)

    assert [row["count"] for row in answer.result.records()] == [5, None, 70, None]
    assert [row["suppressed"] for row in answer.result.records()] == [False, True, False, True]
    assert answer.noisy.tolist() == [5, None, 70, None]
    assert answer.result.statistics["cohort"] == {"minimum": 20, "met": True}
    label = answer.label()
    assert (label["minimum_cohort"], label["suppress_below"]) == (20, 5)


def test_below_the_minimum_cohort_there_is_one_bit_and_a_sentence(network: Registries) -> None:
    answer = opened(network, [BELOW] * 3)

    assert answer.result.records() == []
    assert answer.result.statistics == {"cohort": {"minimum": 20, "met": False}}
    assert "is less than 20" in answer.result.notes[0]
    assert answer.noisy.tolist() == [None] * 4


def test_registries_that_show_different_cells_are_not_believed(network: Registries) -> None:
    other = Passing(cohort_met=True, shown=np.array([True, True, True, False]))

    with pytest.raises(OpeningError, match="do not show the same cells"):
        opened(network, [SHOWN, SHOWN, other])


def test_a_registry_that_forgets_the_rule_is_not_believed(network: Registries) -> None:
    with pytest.raises(OpeningError, match="does not open"):
        opened(network, [SHOWN, SHOWN, None])
