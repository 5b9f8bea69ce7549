"""A node among messages about collections: what it finds, what it joins, and what it erases."""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from collecting_nodes import (
    DIGESTS,
    Closing,
    Said,
    admit,
    frozen_set,
    hold,
    questionnaire,
    secrets_of,
    session_of,
    study_of,
)
from registries import NAMES, Registries, counts, registries
from sqlalchemy import update

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.cli.network import admit_party
from upcare_mpc.deposits.findings import Findings
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.node.checking import Checked, Checks
from upcare_mpc.node.pipe import Message
from upcare_mpc.storage.schema import HOLDINGS
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.descriptor import Descriptor


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path)
    yield made
    made.close()


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


@pytest.fixture
def closing(network: Registries) -> Closing:
    return Closing(network, hold(network, study_of()))


def test_the_findings_of_all_make_the_frozen_set(closing: Closing, network: Registries) -> None:
    closing.found = Checked(refused={1: "proof", 4: "submitter"}, registries={2: "fr-b"})
    said = closing.findings()

    frozen = frozen_set(network, closing.collection, said)

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


def test_a_table_in_a_questionnaire_shows_a_charge_and_is_not_added(network: Registries) -> None:
    """It should be zeros, and nobody can see whether it is."""
    study = questionnaire()
    closing = Closing(network, hold(network, study))
    closing.found = Checked(refused={1: "proof"}, registries={3: "fr-b"})
    _, proposal = session_of(network, study, closing.collection, closing.findings())

    given = admit(network, "de-a", proposal)

    assert [place for place, _ in given.accepted] == [0, 2, 4]
    assert given.tables == ()
    assert given.charged == (*NAMES, "fr-b")


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
        descriptor = Descriptor.from_canonical(proposal.descriptor)
        assert row.frozen == descriptor.deposits
        abort = coordinator_pb2.Abort(session_digest=descriptor.digest)
        network[name].hears(abort=abort)

        _, other = session_of(network, study, closing.collection, second)
        (answer,) = network[name].hears(proposal=other)
        assert answer.failure.text == "has used this collection's key for another set of deposits"
    assert network["de-a"].charges == ["released"]


def test_a_key_serves_three_sessions(closing: Closing, network: Registries) -> None:
    study, findings = study_of(), closing.findings()
    for _ in range(3):
        _, proposal = session_of(network, study, closing.collection, findings)
        admit(network, "de-a", proposal)
    with pytest.raises(RefusedError, match="3 times"):
        admit(network, "de-a", proposal)


def test_a_key_is_in_one_session_at_a_time(closing: Closing, network: Registries) -> None:
    study, findings, registry = study_of(), closing.findings(), network["de-a"]
    _, first = session_of(network, study, closing.collection, findings)
    (answer,) = registry.hears(proposal=first)
    assert answer.HasField("approval")

    _, second = session_of(network, study, closing.collection, findings)
    (answer,) = registry.hears(proposal=second)
    assert answer.failure.text == "uses this collection's key in another session"

    digest = Descriptor.from_canonical(first.descriptor).digest
    registry.hears(abort=coordinator_pb2.Abort(session_digest=digest))
    (answer,) = registry.hears(proposal=second)
    assert answer.HasField("approval")


def test_a_session_that_is_refused_later_does_not_keep_the_key(
    closing: Closing, network: Registries
) -> None:
    """Its noise bank is not the others', say: that comes after the key is pinned."""
    study, findings, registry = study_of(), closing.findings(), network["de-a"]
    descriptor, proposal = session_of(network, study, closing.collection, findings)
    draw = f"bank/{'ee' * 32}/0/1"
    proposal.descriptor = replace(descriptor, noise=draw).canonical()
    (answer,) = registry.hears(proposal=proposal)
    assert "another noise bank" in answer.failure.text

    _, again = session_of(network, study, closing.collection, findings)
    (answer,) = registry.hears(proposal=again)
    assert answer.HasField("approval")


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


def test_what_waits_for_its_start_ends_when_the_platform_does_not_run_it(
    network: Registries, closing: Closing
) -> None:
    """The line broke when it had approved, and what the platform said then was not heard."""
    registry, findings = network["de-a"], closing.findings()
    first, proposal = session_of(network, study_of(), closing.collection, findings)
    (approved,) = registry.hears(proposal=proposal)
    assert approved.HasField("approval")

    (word,) = registry.hears(recall=coordinator_pb2.Recall(session_digest=first.digest))

    assert word.failure.HasField("no_output")
    assert registry.node.running == 0
    _, again = session_of(network, study_of(), closing.collection, findings)
    (approved,) = registry.hears(proposal=again)
    assert approved.HasField("approval"), approved


def test_the_findings_of_a_holder_that_was_lost_since_still_count(
    closing: Closing, network: Registries
) -> None:
    """fr-a found a share that does not open; the key is pinned, and fr-a is in no roster now."""
    closing.found = Checked(refused={1: "share"}, registries={})
    findings = closing.findings()
    _, first = session_of(network, study_of(), closing.collection, findings)
    admit(network, "de-a", first)

    _, second = session_of(network, study_of(), closing.collection, findings, names=NAMES[:3])
    given = admit(network, "de-a", second)

    assert [place for place, _ in given.accepted] == [0, 2, 3, 4]


@pytest.mark.parametrize("whose", ["de-b", "another of fr-a"])
def test_findings_come_with_the_certificate_that_the_collection_names(
    closing: Closing, network: Registries, tmp_path: Path, whose: str
) -> None:
    findings, renewed = closing.findings(), network.identity("de-b")
    if whose != "de-b":
        admit_party(network.folder / "net", "fr-a", role="registry", out=tmp_path / "renewed")
        now = datetime.datetime.now(datetime.UTC)
        renewed = Identity.load(tmp_path / "renewed", now=now)
    found = Findings.from_canonical(findings[3].findings, findings[3].signature)
    found = replace(found, certificate=renewed.certificate_pem).signed(renewed.sign)
    findings[3].findings, findings[3].signature = found.canonical(), found.signature

    _, proposal = session_of(network, study_of(), closing.collection, findings, deposits=b"d" * 32)
    with pytest.raises(ProtocolError, match="the findings of fr-a come without its certificate"):
        admit(network, "de-a", proposal)


def test_a_seat_is_for_the_certificate_that_the_collection_names(
    closing: Closing, network: Registries
) -> None:
    descriptor, proposal = session_of(network, study_of(), closing.collection, closing.findings())
    first, *others = descriptor.roster
    other = replace(descriptor, roster=(replace(first, certificate=b"r" * 32), *others))
    proposal.descriptor = other.canonical()
    with pytest.raises(ProtocolError, match="on other deposits than its holders have found"):
        admit(network, "de-b", proposal)


def test_a_ledger_that_refuses_uses_up_no_attempt_and_pins_nothing(
    closing: Closing, network: Registries
) -> None:
    """Of a cap of ten, two studies take what there is."""
    findings, registry = closing.findings(), network["de-a"]
    for number in range(2):
        study = counts(f"large {number}", epsilon="5")
        request = network.request(study)
        registry.node.books.agree(network.question(study), bytes([number]) * 32, request)

    _, proposal = session_of(network, study_of(), closing.collection, findings)
    (answer,) = registry.hears(proposal=proposal)

    assert "cap" in answer.failure.text
    row = registry.node.collector.holdings.get(closing.collection.digest)
    assert row is not None
    assert (row.frozen, row.session) == (None, None)


def test_an_operator_who_has_not_approved_uses_up_no_attempt(
    closing: Closing, network: Registries
) -> None:
    registry = network["de-a"]
    policy = replace(registry.node.party.policy, automatic=False)
    registry.node.books._policy = policy

    _, proposal = session_of(network, study_of(), closing.collection, closing.findings())
    (answer,) = registry.hears(proposal=proposal)

    assert answer.failure.text == "the operator has not approved this question"
    row = registry.node.collector.holdings.get(closing.collection.digest)
    assert row is not None
    assert row.frozen is None


def test_a_set_that_leaves_one_deposit_out_is_not_what_the_holders_found(
    closing: Closing, network: Registries
) -> None:
    findings = closing.findings()
    frozen = replace(frozen_set(network, closing.collection, findings), refused={0: "form"})

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


def test_a_session_that_has_converted_erases_the_key_and_one_that_failed_before_keeps_it(
    closing: Closing, network: Registries
) -> None:
    study, findings, registry = study_of(), closing.findings(), network["de-a"]
    place = registry.node.collector.deposits.place(closing.collection.digest)
    output = {"agreement": "00" * 32, "signature": "00", "dropped": [2]}
    stories: list[list[Message]] = [
        [Message(say="failed", fields={"code": "link", "text": "lost"})],
        [
            Message(say="spend"),
            Message(say="converted"),
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
        for name in NAMES[1:]:  # they are not started here
            network[name].hears(abort=coordinator_pb2.Abort(session_digest=descriptor.digest))

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
