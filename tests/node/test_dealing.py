"""A node asked to deal a key: what it agrees to, what it keeps, and what is left of a failure."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collecting_nodes import (
    SIGMA,
    Said,
    composed,
    dealt_by,
    hold,
    pem,
    proposed,
    secrets_of,
    start_of,
    study_of,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from registries import NAMES, Registries, registries

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.deposits.collection import Holder
from upcare_mpc.deposits.key import HolderKey, agreed_key
from upcare_mpc.link.signers import verifier
from upcare_mpc.link.statements import approval_statement, question_digest
from upcare_mpc.node import dealing
from upcare_mpc.node.pipe import Message


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


def test_holders_of_a_sealed_collection_sign_keys_of_their_own(network: Registries) -> None:
    study = study_of()
    collection = composed(network, study)
    start = start_of(network, collection, study)

    keys = []
    for name in NAMES:
        (said,) = network[name].hears(start=start)
        keys.append(HolderKey.from_bytes(said.key.key))

    verify = verifier({name: pem(network, name) for name in NAMES})
    key = agreed_key(collection, keys, verify)
    assert key.public is None
    assert len(set(key.sealing)) == 4
    (file,) = secrets_of(network, "de-a")
    private = X25519PrivateKey.from_private_bytes(file.read_bytes())
    assert private.public_key().public_bytes_raw() == key.sealing[0]
    assert network["de-a"].workers == []
    assert network["de-a"].charges == []


def test_the_worker_s_part_is_on_disk_before_the_worker_is_told_and_the_key_is_signed(
    network: Registries,
) -> None:
    study = study_of(envelope="rlwe")
    collection = composed(network, study)
    start = start_of(network, collection, study)
    registry = network["de-a"]
    (worker,) = registry.workers
    on_disk: list[bytes] = []

    def told(say: str, /, **_: Any) -> None:
        if say == "stored":
            on_disk.extend(file.read_bytes() for file in secrets_of(network, "de-a"))

    worker.tell = told  # type: ignore[method-assign]
    dealt_by(worker)

    (said,) = registry.hears(start=start)

    assert [content[32:] for content in on_disk] == [SIGMA]
    key = HolderKey.from_bytes(said.key.key)
    assert (key.public, key.holder) == (b"the key", "de-a")
    assert not worker.alive
    assert worker.assigned == collection.digest


@pytest.mark.parametrize(
    "messages",
    [
        [Message(say="failed", fields={"text": "de-b was lost"})],
        [None],
        ["key", Message(say="failed", fields={"text": "de-b was lost"})],
        ["key", None],
    ],
    ids=["failed", "ended", "failed-after-storing", "ended-after-storing"],
)
def test_a_key_that_is_not_dealt_leaves_nothing_and_says_so(
    network: Registries, messages: list[Message | str | None]
) -> None:
    study = study_of(envelope="rlwe")
    collection = composed(network, study)
    start = start_of(network, collection, study)
    worker = network["de-a"].workers[0]
    for message in messages:
        key = Message(say="key", fields={"public": 1}, blob=b"k" + SIGMA)
        worker.messages.put_nowait(key if isinstance(message, str) else message)

    (said,) = network["de-a"].hears(start=start)

    assert said.failure.session_digest == collection.digest
    assert secrets_of(network, "de-a") == []
    assert not worker.alive
    (answer,) = network["de-a"].hears(collection=proposed(network, study, composed(network, study)))
    assert answer.HasField("approval")  # the way is free


def test_a_full_disk_is_said_and_no_key_is_signed(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of()
    start = start_of(network, composed(network, study), study)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("upcare_mpc.storage.holdings.replace_bytes", full)
    (said,) = network["de-a"].hears(start=start)

    assert said.failure.text == "its disk fails: No space left on device"
    assert secrets_of(network, "de-a") == []


def test_a_collection_that_is_discarded_while_its_key_is_dealt_leaves_nothing(
    network: Registries,
) -> None:
    study = study_of(envelope="rlwe")
    collection = composed(network, study)
    start = start_of(network, collection, study)
    registry = network["de-a"]

    async def discarded() -> Said:
        running = asyncio.ensure_future(registry.hear(start=start))
        await asyncio.sleep(0)
        registry.workers[0].messages.put_nowait(
            Message(say="key", fields={"public": 1}, blob=b"k" + SIGMA)
        )
        while not secrets_of(network, "de-a"):  # noqa: ASYNC110 - it is a file that appears
            await asyncio.sleep(0.01)
        await registry.hear(discard=deposit_pb2.Discard(collection=collection.digest))
        return await running

    assert asyncio.run(discarded()) == []
    assert secrets_of(network, "de-a") == []
    assert not registry.workers[0].alive


def test_a_key_that_nobody_starts_is_given_up(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "KEY_S", 0.05)
    study = study_of(envelope="rlwe")
    registry = network["de-a"]
    proposal = proposed(network, study, composed(network, study))

    async def given_up() -> None:
        await registry.hear(collection=proposal)
        await asyncio.sleep(0.2)

    asyncio.run(given_up())

    assert not registry.workers[0].alive
    (answer,) = registry.hears(collection=proposed(network, study, composed(network, study)))
    assert answer.HasField("approval")


def other_holder(network: Registries) -> tuple[Holder, ...]:
    """de-a with another certificate."""
    rest = [
        Holder(name=name, certificate=network.identity(name).party.fingerprint)
        for name in NAMES[1:]
    ]
    return (Holder(name="de-a", certificate=bytes(32)), *rest)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"network": bytes(32)}, "another network than the study implies"),
        ({"study": bytes(32)}, "another study than the study implies"),
        ({"cells": 3}, "another number of cells"),
        ({"envelope": "rlwe"}, "another envelope"),
        ({"depositors": ("fr-b", "fr-c")}, "another list of depositors"),
        ({"vouchers": ("de-a",)}, "lets others vouch"),
        ({"signing_key": bytes(32)}, "for another researcher"),
        ({"opened": 1_000_000, "closes": 1_000_001}, "is not opened now"),
        ({"closes": int(time.time()) + 30 * 24 * 3600}, "for 14 days at most"),
        ({"holders": other_holder}, "is not the roster's"),
    ],
)
def test_a_collection_that_is_not_what_the_study_says_is_refused(
    network: Registries, changed: dict[str, Any], words: str
) -> None:
    study = study_of()
    given = {key: value(network) if callable(value) else value for key, value in changed.items()}
    collection = composed(network, study, **given)

    (answer,) = network["de-a"].hears(collection=proposed(network, study, collection))

    assert words in answer.failure.text
    assert network["de-a"].workers == []


def test_bytes_that_are_no_collection_are_refused(network: Registries) -> None:
    proposal = deposit_pb2.CollectionProposal(collection=b"{}", request=network.request(study_of()))
    (answer,) = network["de-a"].hears(collection=proposal)
    assert answer.failure.text == "a collection cannot be read"


def test_a_request_that_is_not_signed_or_not_permitted_holds_no_key(network: Registries) -> None:
    study = study_of()
    proposal = proposed(network, study, composed(network, study))
    proposal.request.signature = bytes(64)
    (unsigned,) = network["de-a"].hears(collection=proposal)
    assert unsigned.failure.code == "protocol"

    network["de-a"].node.party = replace(network["de-a"].node.party, computes=False)
    network["de-a"].node.dealer.party = network["de-a"].node.party
    (contributes,) = network["de-a"].hears(
        collection=proposed(network, study, composed(network, study))
    )
    assert contributes.failure.text == "de-a does not compute, and so holds no keys"

    policy = replace(network["de-b"].node.party.policy, kinds=frozenset())
    network["de-b"].node.dealer.party = replace(network["de-b"].node.party, policy=policy)
    (not_permitted,) = network["de-b"].hears(
        collection=proposed(network, study, composed(network, study))
    )
    assert not_permitted.failure.text == "does not accept studies of kind counts"


def test_with_manual_approval_the_operator_has_to_say_yes_and_her_yes_is_not_used_up(
    tmp_path: Path,
) -> None:
    network = registries(tmp_path, approval="manual")
    study = study_of()
    node = network["de-a"].node
    question = question_digest(study.digest, network.researcher.signing_key)

    (answer,) = network["de-a"].hears(collection=proposed(network, study, composed(network, study)))
    assert answer.failure.text == "waits for its operator"

    node.books.grant(question)
    (answer,) = network["de-a"].hears(collection=proposed(network, study, composed(network, study)))
    assert answer.HasField("approval")
    assert node.books.standing(question)[0].name == "GRANTED"
    network.close()


def test_one_key_at_a_time_and_each_collection_once(network: Registries) -> None:
    study = study_of()
    collection = composed(network, study)
    registry = network["de-a"]
    start = start_of(network, collection, study)

    (busy,) = registry.hears(collection=proposed(network, study, composed(network, study)))
    assert busy.failure.text == "is busy with the key of another collection"

    registry.hears(start=start)
    (again,) = registry.hears(collection=proposed(network, study, collection))
    assert again.failure.text == "has held a key of this collection before"
    registry.hears(discard=deposit_pb2.Discard(collection=collection.digest))
    (again,) = registry.hears(collection=proposed(network, study, collection))
    assert again.failure.text == "has held a key of this collection before"


def test_so_many_keys_and_no_more(network: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upcare_mpc.storage.holdings.MAX_HELD", 1)
    hold(network, study_of())
    study = study_of("another")

    (answer,) = network["de-a"].hears(collection=proposed(network, study, composed(network, study)))

    assert answer.failure.text == "holds keys of 1 collections already"


def test_one_researcher_takes_so_many_places_and_no_more(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upcare_mpc.deposits.collection.MAX_AT_ONCE", 2)
    first = hold(network, study_of())
    hold(network, study_of("second"))
    study = study_of("third")

    (answer,) = network["de-a"].hears(collection=proposed(network, study, composed(network, study)))

    assert answer.failure.text == (
        "wanted at most 2 collections of one researcher at once, and 2 are not over: "
        "close one first"
    )
    assert len(secrets_of(network, "de-a")) == 2
    network["de-a"].hears(discard=deposit_pb2.Discard(collection=first.digest))
    (answer,) = network["de-a"].hears(collection=proposed(network, study, composed(network, study)))
    assert answer.HasField("approval")


def test_a_start_with_somebody_else_s_approvals_deals_nothing(network: Registries) -> None:
    study = study_of()
    collection = composed(network, study)
    start = start_of(network, collection, study)
    endpoint = start.approvals[1].endpoint
    statement = approval_statement(collection.digest, "de-b", endpoint)
    start.approvals[1].signature = network.identity("de-c").sign(statement)

    (said,) = network["de-a"].hears(start=start)

    assert "signature" in said.failure.text
    assert secrets_of(network, "de-a") == []
