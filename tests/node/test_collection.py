"""A node among messages about collections: what it holds, what it finds, and what it joins."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from registries import NAMES, Registries, registries
from sqlalchemy import update

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.deposits.findings import Findings, freeze, list_digest
from upcare_mpc.deposits.key import HolderKey, agreed_key
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError
from upcare_mpc.link.signers import verifier
from upcare_mpc.link.statements import approval_statement, question_digest
from upcare_mpc.node import collection as module
from upcare_mpc.node.checking import Checked, Checks
from upcare_mpc.node.pipe import Message
from upcare_mpc.storage.schema import HOLDINGS
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study, parse

SIGMA = os.urandom(22 * 8192)
DIGESTS = [bytes([number]) * 32 for number in range(5)]
Said = list[coordinator_pb2.AttendRequest]


def study_of(title: str = "Grades", *, envelope: str = "sealed", days: int = 14) -> Study:
    listed = ", ".join(f'"{name}"' for name in NAMES)
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = [{listed}]\noverlap = 1\n"
        f'[deposits]\nenvelope = "{envelope}"\nregistries = ["fr-b"]\ndays = {days}\n'
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 1\n[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


def composed(network: Registries, study: Study, /, **changed: Any) -> Collection:
    """What an honest platform composes."""
    question, now = network.question(study), int(time.time())
    assert study.deposits is not None
    fields: dict[str, Any] = {
        "network": network.researcher.network.fingerprint,
        "study": question.digest,
        "signing_key": network.researcher.signing_key,
        "cells": question.layout.cells,
        "envelope": study.deposits.envelope,
        "holders": tuple(
            Holder(name=name, certificate=network.identity(name).party.fingerprint)
            for name in NAMES
        ),
        "threshold": 1,
        "depositors": ("fr-b",),
        "vouchers": (),
        "opened": now,
        "closes": now + study.deposits.days * 24 * 3600,
        "nonce": os.urandom(16),
    }
    return Collection(**fields | changed)


def proposed(
    network: Registries, study: Study, collection: Collection
) -> deposit_pb2.CollectionProposal:
    return deposit_pb2.CollectionProposal(
        collection=collection.canonical(),
        request=network.request(study),
        certificates=[pem(network, name) for name in collection.names],
    )


def pem(network: Registries, name: str) -> str:
    return network.identity(name).certificate_pem.decode()


def start_of(network: Registries, collection: Collection, study: Study) -> coordinator_pb2.Start:
    """Every holder approves."""
    approvals = []
    for name in collection.names:
        (answer,) = network[name].hears(collection=proposed(network, study, collection))
        approvals.append(answer.approval)
    return coordinator_pb2.Start(session_digest=collection.digest, approvals=approvals)


def dealt_by(worker: Any, public: bytes = b"the key") -> None:
    """What a worker says when the key is dealt."""
    worker.messages.put_nowait(
        Message(say="key", fields={"public": len(public)}, blob=public + SIGMA)
    )
    worker.messages.put_nowait(Message(say="done"))


def hold(network: Registries, study: Study) -> Collection:
    """All holders hold a key of a collection, as they do when it is open."""
    collection = composed(network, study)
    start = start_of(network, collection, study)
    for name in NAMES:
        (said,) = network[name].hears(start=start)
        assert said.HasField("key")
    return collection


def secrets_of(network: Registries, name: str) -> list[Path]:
    return list((network.folder / name / "state" / "holdings").iterdir())


# -- the key ------------------------------------------------------------------------------------


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
    monkeypatch.setattr(module, "KEY_S", 0.05)
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
    network["de-a"].node.collector.party = network["de-a"].node.party
    (contributes,) = network["de-a"].hears(
        collection=proposed(network, study, composed(network, study))
    )
    assert contributes.failure.text == "de-a does not compute, and so holds no keys"

    policy = replace(network["de-b"].node.party.policy, kinds=frozenset())
    network["de-b"].node.collector.party = replace(network["de-b"].node.party, policy=policy)
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


# -- the end ------------------------------------------------------------------------------------


def test_a_discarded_key_is_gone_and_unknown_ones_are_ignored(network: Registries) -> None:
    collection = hold(network, study_of())
    registry = network["de-a"]
    place = registry.node.collector.deposits.place(collection.digest)
    place.mkdir(parents=True)

    for digest in (collection.digest, collection.digest, bytes(32), b""):
        assert registry.hears(discard=deposit_pb2.Discard(collection=digest)) == []

    assert secrets_of(network, "de-a") == []
    assert not place.exists()
    assert len(secrets_of(network, "de-b")) == 1


def test_a_start_of_the_node_erases_what_is_over(network: Registries) -> None:
    """A crash between the stored output and the erasing leaves the key of a collection."""
    used, live = hold(network, study_of("used")), hold(network, study_of("live"))
    registry, session = network["de-a"], b"s" * 32
    collector = registry.node.collector
    collector.holdings.pin(used.digest, b"f" * 32, session=session)
    collector.holdings.pin(live.digest, b"f" * 32, session=b"failed" + bytes(26))
    question = network.question(study_of("used"))
    registry.node.books.agree(question, session, network.request(study_of("used")))
    registry.node.books.spend(question, session)
    registry.node.books.store_output(question, session, b"output")
    assert registry.node.books.progress(session) is SessionState.OUTPUT
    for digest in (used.digest, live.digest):
        collector.deposits.place(digest).mkdir(parents=True)

    collector.clean()

    assert [file.name for file in secrets_of(network, "de-a")] == [live.digest.hex()]
    assert not collector.deposits.place(used.digest).exists()
    assert collector.deposits.place(live.digest).exists()


def test_a_key_that_nobody_uses_is_erased_by_itself(
    network: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = hold(network, study_of())
    registry = network["de-a"]

    async def tend(now: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now)
        watching = asyncio.ensure_future(registry.node.collector.watch())
        await asyncio.wait([watching], timeout=0.2)
        watching.cancel()

    asyncio.run(tend(collection.closes + 31.9 * 24 * 3600))
    assert len(secrets_of(network, "de-a")) == 1
    asyncio.run(tend(collection.closes + 32.1 * 24 * 3600))
    assert secrets_of(network, "de-a") == []


# -- closing ------------------------------------------------------------------------------------


class Closing:
    """Deposits that are there, and checks whose answer a test chooses."""

    def __init__(self, network: Registries, collection: Collection) -> None:
        self.network = network
        self.collection = collection
        self.checks: dict[str, list[Checks]] = {name: [] for name in NAMES}
        self.found = Checked(refused={}, registries={})
        self.fetches = 0
        for name in NAMES:
            collector = network[name].node.collector
            collector.check = partial(self._check, name)
            collector.deposits.fetch = partial(self._fetch, name)  # type: ignore[method-assign]

    async def _fetch(self, name: str, collection: Collection, *, count: int, listed: bytes) -> None:
        self.fetches += 1
        place = self.network[name].node.collector.deposits.place(collection.digest)
        place.mkdir(parents=True, exist_ok=True)
        (place / "digests").write_bytes(b"".join(DIGESTS[:count]))
        if list_digest(collection.digest, DIGESTS[:count]) != listed:
            raise ProtocolError("the platform hands out other deposits than it has announced")

    async def _check(self, name: str, checks: Checks) -> Checked:
        self.checks[name].append(checks)
        mine = set(checks.places)
        return Checked(
            refused={place: why for place, why in self.found.refused.items() if place in mine},
            registries={p: who for p, who in self.found.registries.items() if p in mine},
        )

    def message(self, present: tuple[str, ...] = NAMES, count: int = 5) -> deposit_pb2.Closing:
        return deposit_pb2.Closing(
            collection=self.collection.digest,
            count=count,
            deposits=list_digest(self.collection.digest, DIGESTS[:count]),
            present=present,
        )

    async def says(self, name: str, message: deposit_pb2.Closing) -> Said:
        """What a node says to a closing in the end."""
        registry = self.network[name]
        said = await registry.hear(closing=message)
        tasks = list(registry.node.collector._closing.values())
        if tasks:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)
        return said + registry.said()

    def findings(self, present: tuple[str, ...] = NAMES) -> list[deposit_pb2.SignedFindings]:
        """Of every holder present."""
        found = []
        for name in present:
            (said,) = asyncio.run(self.says(name, self.message(present)))
            found.append(said.findings)
        return found


@pytest.fixture
def closing(network: Registries) -> Closing:
    return Closing(network, hold(network, study_of()))


def test_the_findings_of_all_make_the_frozen_set(closing: Closing, network: Registries) -> None:
    closing.found = Checked(refused={1: "proof", 4: "submitter"}, registries={2: "fr-b"})
    said = closing.findings()

    read = [Findings.from_canonical(one.findings, one.signature) for one in said]
    frozen = freeze(
        closing.collection, read, verifier({name: pem(network, name) for name in NAMES})
    )

    assert frozen.refused == {1: "proof", 4: "submitter"}
    assert frozen.registries == {2: "fr-b"}
    assert [checks.places for (checks,) in closing.checks.values()] == [
        (0, 3, 4),
        (0, 1, 4),
        (1, 2),
        (2, 3),
    ]
    (own,) = closing.checks["de-b"]
    assert (own.holder, own.count, own.public) == (1, 5, b"")
    assert own.sealing == secrets_of(network, "de-b")[0].read_bytes()


def test_what_was_refused_is_in_the_log_by_place_and_reason(
    closing: Closing, network: Registries
) -> None:
    closing.found = Checked(refused={0: "proof", 3: "proof", 4: "form"}, registries={})
    closing.findings()

    short = closing.collection.digest.hex()[:12]
    assert network["de-a"].log[-4:] == [
        f"collection {short}: deposit 0 refused: proof",
        f"collection {short}: deposit 3 refused: proof",
        f"collection {short}: deposit 4 refused: form",
        f"collection {short}: checked 3 of 5 deposits, refused 1 form, 2 proof",
    ]


def failing(error: BaseException) -> Callable[..., Awaitable[None]]:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collection": bytes(32)}, "holds no key of this collection"),
        ({"present": ("de-b", "de-c", "fr-a")}, "in their order"),
        ({"present": ("de-b", "de-a", "de-c")}, "in their order"),
        ({"present": ("de-a", "de-b")}, "in their order"),
        ({"present": ("de-a", "de-b", "de-b", "de-c")}, "in their order"),
        ({"deposits": bytes(32)}, "hands out other deposits"),
    ],
)
def test_a_closing_that_does_not_fit_is_a_failure(
    closing: Closing, change: dict[str, Any], words: str
) -> None:
    message = closing.message()
    for name, value in change.items():
        message.ClearField(name)
        if name == "present":
            message.present.extend(value)
        else:
            setattr(message, name, value)

    (said,) = asyncio.run(closing.says("de-a", message))

    assert words in said.failure.text
    assert said.failure.session_digest == message.collection


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LinkError("the platform cannot be reached"), "the platform cannot be reached"),
        (OSError(28, "No space left on device"), "its disk fails: No space left on device"),
        (ZeroDivisionError("nobody thought of it"), "has a fault; its log says more"),
    ],
)
def test_deposits_that_do_not_come_are_a_failure_which_the_platform_hears_of(
    closing: Closing, network: Registries, error: Exception, words: str
) -> None:
    deposits = network["de-a"].node.collector.deposits
    deposits.fetch = failing(error)  # type: ignore[assignment, method-assign]

    (said,) = asyncio.run(closing.says("de-a", closing.message()))

    assert said.failure.text == words
    assert said.failure.session_digest == closing.collection.digest


def test_a_second_closing_takes_the_place_of_the_first(
    closing: Closing, network: Registries
) -> None:
    """A holder was lost: the platform shares the checks out anew. One answer leaves."""
    registry = network["de-a"]
    first = asyncio.Event()

    async def slow(name: str, checks: Checks) -> Checked:
        if len(closing.checks["de-a"]) == 0:
            closing.checks["de-a"].append(checks)
            first.set()
            await asyncio.sleep(60)
        return Checked(refused={}, registries={})

    registry.node.collector.check = partial(slow, "de-a")

    async def story() -> Said:
        said = await registry.hear(closing=closing.message())
        await first.wait()
        return said + await closing.says("de-a", closing.message(NAMES[:3]))

    (said,) = asyncio.run(story())

    findings = Findings.from_canonical(said.findings.findings, said.findings.signature)
    assert findings.present == NAMES[:3]
    assert registry.node.collector._closing == {}


def test_a_certificate_that_was_renewed_since_cannot_sign_findings(
    closing: Closing, network: Registries
) -> None:
    node = network["de-a"].node
    collector = node.collector
    renewed = replace(collector.identity.party, fingerprint=b"r" * 32)
    collector.identity = replace(collector.identity, party=renewed)

    (said,) = asyncio.run(closing.says("de-a", closing.message()))

    assert "names another certificate of de-a" in said.failure.text


# -- sessions -----------------------------------------------------------------------------------


def session_of(
    network: Registries,
    study: Study,
    collection: Collection,
    findings: list[deposit_pb2.SignedFindings],
    *,
    names: tuple[str, ...] = NAMES,
    deposits: bytes | None = None,
) -> tuple[Descriptor, coordinator_pb2.Proposal]:
    """What a platform proposes on some findings; the first three of ``names`` compute."""
    descriptor, proposal = network.proposal(study)
    by_name = {member.name: member for member in descriptor.roster}
    if deposits is None:
        read = [Findings.from_canonical(one.findings, one.signature) for one in findings]
        verify = verifier({name: pem(network, name) for name in NAMES})
        deposits = freeze(collection, read, verify).digest
    roster = tuple(by_name[name] for name in names)
    descriptor = replace(descriptor, deposits=deposits, roster=roster)
    proposal.descriptor = descriptor.canonical()
    proposal.collection = collection.canonical()
    del proposal.certificates[:]
    proposal.certificates.extend(pem(network, name) for name in names)
    proposal.findings.extend(findings)
    return descriptor, proposal


def admit(network: Registries, name: str, proposal: coordinator_pb2.Proposal) -> Any:
    descriptor = Descriptor.from_canonical(proposal.descriptor)
    question = network.question(Study.from_canonical(proposal.request.study))
    return network[name].node.collector.admit(proposal, question, descriptor)


def test_a_computing_registry_hands_its_worker_the_deposits_and_its_part_of_the_key(
    closing: Closing, network: Registries
) -> None:
    closing.found = Checked(refused={1: "proof"}, registries={3: "fr-b"})
    order = ("de-b", "fr-a", "de-a", "de-c")
    _, proposal = session_of(
        network, study_of(), closing.collection, closing.findings(), names=order
    )

    given = admit(network, "fr-a", proposal)

    assert [place for place, _ in given.accepted] == [0, 2, 3, 4]
    assert dict(given.accepted)[3] == DIGESTS[3].hex()
    assert given.tables == (3,)
    assert given.points == (2, 4, 1)  # of those who compute, in the session's order
    assert given.sealing == secrets_of(network, "fr-a")[0].read_bytes()
    assert sum(cells for _, cells, _ in given.answers) == closing.collection.cells


def test_the_key_is_pinned_before_the_approval_leaves_and_no_other_set_is_joined_ever(
    closing: Closing, network: Registries
) -> None:
    """Whoever contributes only, and holds a part, is bound by it too."""
    study, first = study_of(), closing.findings()
    closing.found = Checked(refused={0: "proof"}, registries={})
    second = closing.findings()
    for name in ("de-a", "fr-a"):  # fr-a is the fourth: it does not compute
        _, proposal = session_of(network, study, closing.collection, first)
        (answer,) = network[name].hears(proposal=proposal)
        assert answer.HasField("approval")
        row = network[name].node.collector.holdings.get(closing.collection.digest)
        assert row is not None
        assert row.frozen == Descriptor.from_canonical(proposal.descriptor).deposits

        _, other = session_of(network, study, closing.collection, second)
        (answer,) = network[name].hears(proposal=other)
        assert answer.failure.text == "has used this collection's key for another set of deposits"
    assert network["de-a"].charges == ["reserved"]


def test_a_key_serves_three_sessions(closing: Closing, network: Registries) -> None:
    study, findings = study_of(), closing.findings()
    for _ in range(3):
        _, proposal = session_of(network, study, closing.collection, findings)
        admit(network, "de-a", proposal)
    with pytest.raises(RefusedError, match="3 times"):
        admit(network, "de-a", proposal)


def test_a_registry_without_a_part_of_the_key_checks_what_it_can(
    closing: Closing, network: Registries
) -> None:
    """It contributes; the holders' signatures and what follows from them it can tell."""
    study, findings = study_of(), closing.findings()
    closing.network["fr-a"].hears(discard=deposit_pb2.Discard(collection=closing.collection.digest))
    _, proposal = session_of(network, study, closing.collection, findings)
    assert admit(network, "fr-a", proposal) is None

    _, wrong = session_of(network, study, closing.collection, findings, deposits=b"w" * 32)
    with pytest.raises(ProtocolError, match="on other deposits"):
        admit(network, "fr-a", wrong)


@pytest.mark.parametrize("name", ["de-a", "fr-a"])
def test_findings_that_a_holder_has_not_signed_are_no_findings(
    closing: Closing, network: Registries, name: str
) -> None:
    findings = closing.findings()
    findings[1].signature = findings[2].signature

    _, proposal = session_of(network, study_of(), closing.collection, findings, deposits=b"d" * 32)
    with pytest.raises(ProtocolError, match="a signature is not the named party's"):
        admit(network, name, proposal)
    row = network[name].node.collector.holdings.get(closing.collection.digest)
    assert row is not None
    assert row.frozen is None


def test_a_set_that_leaves_one_deposit_out_is_not_what_the_holders_found(
    closing: Closing, network: Registries
) -> None:
    findings = closing.findings()
    read = [Findings.from_canonical(one.findings, one.signature) for one in findings]
    verify = verifier({name: pem(network, name) for name in NAMES})
    frozen = replace(freeze(closing.collection, read, verify), refused={0: "form"})

    _, proposal = session_of(
        network, study_of(), closing.collection, findings, deposits=frozen.digest
    )
    with pytest.raises(ProtocolError, match="on other deposits than its holders have found"):
        admit(network, "de-a", proposal)


def test_who_has_not_checked_does_not_compute(closing: Closing, network: Registries) -> None:
    """Four hold the key; three were present; a session of another three is refused."""
    findings = closing.findings(NAMES[:3])
    _, proposal = session_of(
        network,
        study_of(),
        closing.collection,
        findings,
        names=("de-a", "de-b", "fr-a", "de-c"),
    )
    for name in ("de-a", "fr-a"):
        with pytest.raises(ProtocolError, match="on other deposits than its holders have found"):
            admit(network, name, proposal)


def test_a_computing_registry_converts_nothing_that_it_has_not_fetched(
    closing: Closing, network: Registries
) -> None:
    _, proposal = session_of(network, study_of(), closing.collection, closing.findings())
    place = network["de-a"].node.collector.deposits.place(closing.collection.digest)
    (place / "digests").write_bytes(b"".join(DIGESTS[::-1]))
    with pytest.raises(ProtocolError, match="that are here are not those that were frozen"):
        admit(network, "de-a", proposal)
    (place / "digests").unlink()
    with pytest.raises(RefusedError, match="has not fetched the deposits"):
        admit(network, "de-a", proposal)


def test_another_study_s_collection_is_not_taken(closing: Closing, network: Registries) -> None:
    findings = closing.findings()
    _, proposal = session_of(network, study_of("another"), closing.collection, findings)
    with pytest.raises(ProtocolError, match="another study than the study implies"):
        admit(network, "de-a", proposal)


def test_a_session_whose_output_is_stored_erases_the_key_and_a_failed_one_keeps_it(
    closing: Closing, network: Registries
) -> None:
    study, findings, registry = study_of(), closing.findings(), network["de-a"]
    place = registry.node.collector.deposits.place(closing.collection.digest)
    output = {"agreement": "00" * 32, "signature": "00", "dropped": [2]}
    stories: list[list[Message]] = [
        [Message(say="failed", fields={"code": "link", "text": "lost"})],
        [
            Message(say="spend"),
            Message(say="output", fields=output, blob=b"sealed"),
            Message(say="done"),
        ],
    ]
    kept: list[tuple[int, bool]] = []
    outputs: list[coordinator_pb2.AttendRequest] = []
    for story in stories:
        descriptor, proposal = session_of(network, study, closing.collection, findings)
        approvals = [
            answer.approval for name in NAMES for answer in network[name].hears(proposal=proposal)
        ]
        for message in story:
            registry.workers[-1].messages.put_nowait(message)
        start = coordinator_pb2.Start(session_digest=descriptor.digest, approvals=approvals)
        outputs += registry.hears(start=start)
        kept.append((len(secrets_of(network, "de-a")), place.exists()))
        for name in NAMES[1:]:
            network[name].node._sessions.clear()  # they are not started here

    assert kept == [(1, True), (0, False)]
    (sent,) = [said.output for said in outputs if said.HasField("output")]
    assert list(sent.dropped) == [2]


def test_another_start_of_the_program_knows_what_the_key_is_pinned_to(
    closing: Closing, network: Registries
) -> None:
    """The same folder, opened by another process's objects."""
    first = closing.findings()
    closing.found = Checked(refused={0: "proof"}, registries={})
    second = closing.findings()
    _, proposal = session_of(network, study_of(), closing.collection, first)
    admit(network, "de-a", proposal)
    collector = network["de-a"].node.collector
    folder = network.folder / "de-a" / "state" / "holdings"
    collector.holdings = type(collector.holdings)(network["de-a"].database, folder)
    collector.clean()

    _, other = session_of(network, study_of(), closing.collection, second)
    with pytest.raises(RefusedError, match="for another set of deposits"):
        admit(network, "de-a", other)
    _, same = session_of(network, study_of(), closing.collection, first)
    assert admit(network, "de-a", same) is not None


def test_a_row_that_is_damaged_says_so(closing: Closing, network: Registries) -> None:
    registry = network["de-a"]
    with registry.database.write() as connection:
        connection.execute(update(HOLDINGS).values(papers=b"damaged"))
    (said,) = asyncio.run(closing.says("de-a", closing.message()))
    assert said.HasField("failure")
