"""A platform, or a coalition, that asks for a refund although an output may have left.

A refunded charge can be spent again: if an output of the first run exists all the same, two noisy
answers are out for the price of one. So a charge is given back only on the signed words of ALL m
computing registries that their output does not exist. Words of m - t would not do: beside up to t
outputs that left, t curious signers remember shares of their own, and 2t shares open the result.
The registry under attack is fr-a, which contributes; the committee is de-a, de-b, de-c.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from registries import Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.node.session import no_output
from upcare_mpc.study.descriptor import Descriptor


class Spent:
    """A network in which fr-a has spent for one session."""

    def __init__(self, network: Registries) -> None:
        self.network = network
        self.study = counts()
        self.descriptor, self.proposal = network.proposal(self.study)
        (answer,) = network["fr-a"].hears(proposal=self.proposal)
        assert answer.HasField("approval")
        network["fr-a"].node.books.spend(network.question(self.study), self.descriptor.digest)

    def word(self, name: str, session: bytes | None = None) -> study_pb2.NoOutput:
        """A registry's honest word."""
        return no_output(self.network.identity(name), session or self.descriptor.digest)

    def release(
        self, *words: study_pb2.NoOutput, descriptor: Descriptor | None = None
    ) -> list[str]:
        """Ask fr-a for a release; what its ledger holds afterwards."""
        releases = coordinator_pb2.Releases(
            descriptor=(descriptor or self.descriptor).canonical(),
            certificates=self.proposal.certificates,
            words=words,
        )
        self.network["fr-a"].hears(releases=releases)
        return self.network["fr-a"].charges


@pytest.fixture
def spent(tmp_path: Path) -> Iterator[Spent]:
    network = registries(tmp_path)
    yield Spent(network)
    network.close()


ALL = ("de-a", "de-b", "de-c")


def test_the_words_of_all_three_release_the_charge_once(spent: Spent) -> None:
    assert spent.release(*map(spent.word, ALL)) == ["released"]
    assert spent.release(*map(spent.word, ALL)) == ["released"]


def test_fewer_words_than_all_release_nothing(spent: Spent) -> None:
    assert spent.release() == ["spent"]
    assert spent.release(spent.word("de-a")) == ["spent"]
    assert spent.release(spent.word("de-a"), spent.word("de-c")) == ["spent"]


def test_one_registry_saying_it_twice_is_one_word(spent: Spent) -> None:
    words = [spent.word(name) for name in ("de-a", "de-b", "de-a")]

    assert spent.release(*words) == ["spent"]


def test_words_of_another_session_release_nothing(spent: Spent) -> None:
    other, _ = spent.network.proposal(spent.study)

    words = [spent.word(name, session=other.digest) for name in ALL]

    assert spent.release(*words) == ["spent"]
    assert spent.release(*words, descriptor=other) == ["spent"]


def test_the_word_of_a_contributing_registry_does_not_count(spent: Spent) -> None:
    words = [spent.word(name) for name in ("de-a", "de-b", "fr-a")]

    assert spent.release(*words) == ["spent"]


def test_a_forged_word_releases_nothing(spent: Spent) -> None:
    forged = spent.word("de-b")
    forged.registry = "de-c"

    words = [spent.word("de-a"), spent.word("de-b"), forged]

    assert spent.release(*words) == ["spent"]


def test_a_settled_charge_is_never_released(spent: Spent) -> None:
    spent.network["fr-a"].node.books.settle(
        spent.network.question(spent.study), spent.descriptor.digest
    )

    assert spent.release(*map(spent.word, ALL)) == ["settled"]


def test_a_registry_whose_output_is_stored_gives_no_word(tmp_path: Path) -> None:
    network = registries(tmp_path)
    study = counts()
    descriptor, proposal = network.proposal(study)
    registry, question = network["de-a"], network.question(study)

    async def store_then_abort() -> list[coordinator_pb2.AttendRequest]:
        await registry.hear(proposal=proposal)
        registry.node.books.spend(question, descriptor.digest)
        registry.node.books.store_output(question, descriptor.digest, b"sealed")
        abort = coordinator_pb2.Abort(session_digest=descriptor.digest, reason="give it back")
        return await registry.hear(abort=abort)

    (answer,) = asyncio.run(store_then_abort())

    assert answer.HasField("failure")
    assert not answer.failure.HasField("no_output")
    network.close()


def test_a_word_given_is_kept(tmp_path: Path) -> None:
    network = registries(tmp_path)
    study = counts()
    descriptor, proposal = network.proposal(study)
    registry, question = network["de-a"], network.question(study)

    async def abort() -> list[coordinator_pb2.AttendRequest]:
        await registry.hear(proposal=proposal)
        registry.node.books.spend(question, descriptor.digest)
        return await registry.hear(
            abort=coordinator_pb2.Abort(session_digest=descriptor.digest, reason="stop")
        )

    (answer,) = asyncio.run(abort())

    assert answer.failure.HasField("no_output")
    with pytest.raises(Exception, match="it is erased"):
        registry.node.books.store_output(question, descriptor.digest, b"sealed")
    network.close()
