"""A platform that wants two sums under one key: with a patient's deposit, and without it.

The difference of the two answers would be hers, but for the noise of each. The platform carries all
messages, can leave out deposits, call holders lost, close again, and stop and start itself. So it
asks some holders to check a list with her deposit in it, and others one without; or the same
holders twice. But a holder pins its key, on disk, to the first set that it joins, and the others
see in the descriptor which set a session is on. Any two committees of 2t + 1 among the at most
3t + 1 holders have t + 1 in common, of whom one is honest: the second committee lacks a member.

Adversary: the platform, with up to t of the holders. It keeps a collection from being used; that it
can always do.
"""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from collecting_nodes import Closing, admit, hold, session_of, study_of
from registries import NAMES, Registries, registries

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.deposits.collection import most_holders
from upcare_mpc.errors import RefusedError

COMMITTEES = list(itertools.permutations(NAMES, 3))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


def joined(
    network: Registries,
    closing: Closing,
    findings: list[deposit_pb2.SignedFindings],
    committee: tuple[str, ...],
) -> list[str]:
    """Who of a committee joins a session on these findings."""
    rest = tuple(name for name in NAMES if name not in committee)
    _, proposal = session_of(
        network, study_of(), closing.collection, findings, names=committee + rest
    )
    willing = []
    for name in committee:
        try:
            admit(network, name, proposal)
        except RefusedError as error:
            assert "for another set of deposits" in str(error)  # noqa: PT017
        else:
            willing.append(name)
    return willing


@pytest.mark.parametrize("second", COMMITTEES[::4])
def test_no_second_committee_joins_another_set(
    network: Registries, second: tuple[str, ...]
) -> None:
    """All sets here are sound by themselves, with findings that the holders have signed."""
    assert most_holders(1) == len(NAMES)
    closing = Closing(network, hold(network, study_of()))
    with_her, first = closing.findings(), NAMES[:3]
    assert joined(network, closing, with_her, first) == list(first)

    without = [findings_of_fewer(closing, name) for name in NAMES]
    willing = joined(network, closing, without, second)

    assert set(willing) <= {"fr-a"}  # whom the platform has not asked before
    closing.findings()  # the platform closes with the first list again
    assert joined(network, closing, with_her, first) == list(first)


def findings_of_fewer(closing: Closing, name: str) -> deposit_pb2.SignedFindings:
    """What a holder finds among the first four of the five deposits."""
    (said,) = asyncio.run(closing.says(name, closing.message(count=4)))
    return said.findings
