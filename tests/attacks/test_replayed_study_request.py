"""An old signed request turns up again: copied by the platform, or by whoever saw it.

A request names the study and both keys of the researcher, has an end, and is signed over all of
it, and every node runs it once. So a copy can only ask the same question for the same researcher,
sealed to her key, where it was not answered yet; it cannot change a byte, ask after its end, or be
turned into a permission to fetch the answer.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registries import Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.statements import AUTHORIZATION_SECONDS, check_authorization, check_request

WEEK_S = 7 * 24 * 3600


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    made = registries(tmp_path_factory.mktemp("registries"))
    yield made
    made.close()


def test_a_request_past_its_end_is_refused_by_every_node(network: Registries) -> None:
    old = network.request(counts(), now=time.time() - WEEK_S - 60)

    (answer,) = network["de-a"].hears(offer=coordinator_pb2.Offer(request=old, submitted=True))

    assert answer.quote.verdict == coordinator_pb2.Quote.VERDICT_NO
    assert "no longer valid" in answer.quote.reason


def test_an_old_request_in_a_new_session_is_refused(network: Registries) -> None:
    _, proposal = network.proposal(counts())
    proposal.request.CopyFrom(network.request(counts(), now=time.time() - WEEK_S - 60))

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert "no longer valid" in answer.failure.text
    assert network["de-a"].charges == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sealing_key", b"\7" * 32),
        ("nonce", b"\7" * 16),
        ("not_after", 2**40),
        ("study", counts("Another question").canonical()),
        ("signing_key", b"\7" * 32),
        ("signature", b"\7" * 64),
    ],
)
def test_no_byte_of_a_request_can_be_changed(
    network: Registries, field: str, value: bytes | int
) -> None:
    request = network.request(counts())
    setattr(request, field, value)

    with pytest.raises(ProtocolError, match="not signed by the key it names"):
        check_request(request, now=time.time())


def test_a_request_that_was_run_is_not_run_again(tmp_path: Path) -> None:
    network = registries(tmp_path)
    request = network.request(counts())
    _, first = network.proposal(counts(), request)
    _, again = network.proposal(counts(), request)
    network["de-a"].hears(proposal=first)

    (answer,) = network["de-a"].hears(proposal=again)

    assert "this signed request was used before" in answer.failure.text
    assert network["de-a"].charges == ["reserved"]
    network.close()


def test_a_request_moved_into_another_study_session_is_refused(network: Registries) -> None:
    _, proposal = network.proposal(counts())
    proposal.request.CopyFrom(network.request(counts("Another question")))

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert "another study than the study implies" in answer.failure.text
    assert network["de-a"].charges == []


def test_a_request_is_no_permission_to_fetch_the_answer(network: Registries) -> None:
    study = counts()
    request = network.request(study)
    forged = network.researcher.authorize(study.digest, "result", now=time.time())
    forged.signature = request.signature

    with pytest.raises(ProtocolError, match="not signed"):
        check_authorization(forged, "result", now=time.time())


def test_a_permission_to_watch_is_none_to_fetch_and_ends_in_minutes(network: Registries) -> None:
    now = time.time()
    watch = network.researcher.authorize(counts().digest, "watch", now=now)

    check_authorization(watch, "watch", now=now)
    with pytest.raises(ProtocolError, match="for watch, not result"):
        check_authorization(watch, "result", now=now)
    with pytest.raises(ProtocolError, match="not in force"):
        check_authorization(watch, "watch", now=now + AUTHORIZATION_SECONDS + 1)


def test_a_request_that_was_run_once_is_not_run_again(network: Registries) -> None:
    _, first = network.proposal(counts("Run by the platform again and again"))
    _, second = network.proposal(counts("Run by the platform again and again"))
    second.request.CopyFrom(first.request)
    network["de-a"].hears(proposal=first)

    (answer,) = network["de-a"].hears(proposal=second)

    assert "used before" in answer.failure.text
