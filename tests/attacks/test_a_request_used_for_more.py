"""Story: a platform that makes more of a researcher's request than she has signed.

She previews, and submits a study with deposits; each is signed for a week. The platform would like
to run what she only previewed; to open a second collection on what she submitted once, so as to
choose between two sets of deposits; and to close a collection when it suits it, without her.

Adversary: the platform. Registries and researcher are honest.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from collecting_nodes import NAMES, Closing, composed, pem, session_of, study_of
from registries import Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.deposits.collection import Collection


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


def opened(network: Registries, request: study_pb2.StudyRequest) -> tuple[Collection, list[str]]:
    """A collection that the platform wants dealt on a request; and what registries refuse with."""
    collection = composed(network, study_of())
    proposal = deposit_pb2.CollectionProposal(
        collection=collection.canonical(),
        request=request,
        certificates=[pem(network, name) for name in collection.names],
    )
    said = [network[name].hears(collection=proposal)[0] for name in collection.names]
    refusals = [answer.failure.text for answer in said if answer.HasField("failure")]
    if not refusals:
        start = coordinator_pb2.Start(
            session_digest=collection.digest, approvals=[answer.approval for answer in said]
        )
        for name in collection.names:
            (answer,) = network[name].hears(start=start)
            assert answer.HasField("key")
    return collection, refusals


def told(network: Registries, proposal: coordinator_pb2.Proposal) -> set[str]:
    """What registries refuse a session with; empty words for an approval."""
    return {network[name].hears(proposal=proposal)[0].failure.text for name in NAMES[:3]}


def test_what_was_previewed_is_not_run(network: Registries) -> None:
    _, proposal = network.proposal(counts())
    proposal.request.CopyFrom(network.request(counts(), "preview"))

    assert told(network, proposal) == {
        "wanted a study request signed to submit or close, not 'preview'"
    }
    assert all(network[name].charges == [] for name in NAMES)


def test_one_submission_opens_one_collection(network: Registries) -> None:
    request = network.request(study_of())
    _, refused = opened(network, request)
    assert refused == []

    _, refused = opened(network, request)
    assert set(refused) == {"has dealt a key on this request before"}
    _, refused = opened(network, network.request(study_of(), "preview"))
    assert set(refused) == {"wanted a study request signed to submit, not 'preview'"}


def test_nobody_but_her_closes(network: Registries) -> None:
    request = network.request(study_of())
    collection, _ = opened(network, request)
    other, _ = opened(network, network.request(study_of()))
    descriptor, proposal = session_of(
        network, study_of(), collection, Closing(network, collection).findings()
    )
    hers = study_pb2.StudyRequest.FromString(proposal.request.SerializeToString())

    for used, words in (
        (request, "a study with deposits runs when it is closed, any other at once"),
        (
            network.request(study_of(), "close", collection=other.digest),
            "the researcher's request closes another collection",
        ),
    ):
        proposal.request.CopyFrom(used)
        proposal.descriptor = replace(descriptor, signing_key=used.signing_key).canonical()
        assert told(network, proposal) == {words}

    proposal.request.CopyFrom(hers)
    assert told(network, proposal) == {""}
