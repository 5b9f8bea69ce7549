"""A node asked to fill its noise bank: what it agrees to, and what is left when it goes wrong."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from banks import fill_of, nothing
from registries import NAMES, Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.node.pipe import Message
from upcare_mpc.study.draw import SEGMENT_CELLS

COMPUTING = NAMES[:3]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path, bank_cells=4 * SEGMENT_CELLS)
    yield made
    made.close()


def due(network: Registries) -> Fill:
    """The fill that an honest platform proposes after a study; all want its law."""
    law = network.question(counts()).law
    fill = fill_of(
        [network[name].node.bank.life for name in COMPUTING],
        law=law,
        network=network.researcher.network.fingerprint,
        certificates=[network.identity(name).party.fingerprint for name in COMPUTING],
    )
    for name in COMPUTING:
        network[name].node.bank.want(fill.committee, COMPUTING, law)
    return fill


def proposal(network: Registries, fill: Fill) -> coordinator_pb2.FillProposal:
    pems = [network.identity(seat.name).certificate_pem.decode() for seat in fill.roster]
    return coordinator_pb2.FillProposal(fill=fill.canonical(), certificates=pems)


def start(network: Registries, fill: Fill) -> coordinator_pb2.Start:
    """Every registry approves."""
    approvals = []
    for name in COMPUTING:
        (answer,) = network[name].hears(fill=proposal(network, fill))
        approvals.append(answer.approval)
    return coordinator_pb2.Start(session_digest=fill.digest, approvals=approvals)


def segments(fill: Fill) -> Message:
    """What a worker says when it has drawn."""
    drawn = nothing(fill)
    keys = [key.hex() for key in drawn.keys]
    return Message(say="segments", fields={"keys": keys}, blob=drawn.sealed)


def files(network: Registries) -> int:
    return len(list((network.folder / "de-a" / "state" / "bank").iterdir()))


def test_a_fill_ends_with_a_bank_that_the_platform_hears_of(network: Registries) -> None:
    fill = due(network)
    begin = start(network, fill)
    worker = network["de-a"].workers[0]
    for message in (segments(fill), Message(say="done")):
        worker.messages.put_nowait(message)

    (said,) = network["de-a"].hears(start=begin)

    assert worker.told == ["start", "stored"]
    assert not worker.alive
    assert said.banks.life == network["de-a"].node.bank.life
    assert said.banks.room == 4
    (bank,) = said.banks.banks
    assert (bank.committee, bank.law, bank.epoch) == (fill.committee, fill.law, fill.digest)
    assert (bank.next, bank.segments) == (0, 4)
    assert network["de-a"].charges == []


@pytest.mark.parametrize(
    "messages",
    [
        [Message(say="failed", fields={"text": "de-b was lost"})],
        [None],
        ["segments", Message(say="failed", fields={"text": "de-b was lost"})],
        ["segments", None],
    ],
    ids=["failed", "ended", "failed-after-storing", "ended-after-storing"],
)
def test_a_fill_that_fails_leaves_nothing_and_says_so(
    network: Registries, messages: list[Message | str | None]
) -> None:
    fill = due(network)
    begin = start(network, fill)
    for message in messages:
        said = segments(fill) if isinstance(message, str) else message
        network["de-a"].workers[0].messages.put_nowait(said)

    failure, banks = network["de-a"].hears(start=begin)

    assert failure.failure.session_digest == fill.digest
    assert not failure.failure.HasField("no_output")
    assert banks.banks.banks[0].epoch == b""
    assert files(network) == 0
    (again,) = network["de-a"].hears(fill=proposal(network, fill))
    assert again.failure.text == "has begun this noise bank before; a fill is used once"


def test_an_aborted_fill_leaves_nothing_and_makes_way_for_the_next(network: Registries) -> None:
    fill = due(network)
    begin = start(network, fill)
    registry = network["de-a"]

    async def aborted() -> None:
        running = asyncio.ensure_future(registry.hear(start=begin))
        registry.workers[0].messages.put_nowait(segments(fill))
        await asyncio.sleep(0.05)
        assert files(network) == 4
        await registry.hear(abort=coordinator_pb2.Abort(session_digest=fill.digest))
        await running

    asyncio.run(aborted())

    assert files(network) == 0
    (answer,) = registry.hears(fill=proposal(network, replace(fill, nonce=b"n" * 16)))
    assert answer.HasField("approval")


def test_one_fill_at_a_time(network: Registries) -> None:
    fill = due(network)
    network["de-a"].hears(fill=proposal(network, fill))

    (answer,) = network["de-a"].hears(fill=proposal(network, replace(fill, nonce=b"n" * 16)))

    assert answer.failure.text == "is busy with another fill of the noise bank"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": bytes(32)}, "of this network"),
        ({"segments": 5}, "has room for 4 segments of noise, 5 were proposed"),
        ({"law": bytes(32)}, "keeps no noise bank of this law"),
    ],
)
def test_a_fill_that_does_not_fit_is_refused_in_one_line(
    network: Registries, change: dict[str, object], words: str
) -> None:
    fill = replace(due(network), **change)  # type: ignore[arg-type]

    (answer,) = network["de-a"].hears(fill=proposal(network, fill))

    assert words in answer.failure.text
    assert network["de-a"].workers == []


def test_another_life_or_certificate_of_this_registry_is_refused(network: Registries) -> None:
    fill = due(network)
    old = replace(fill.roster[0], life=b"o" * 16)
    dead = replace(fill, roster=(old, *fill.roster[1:]))
    other = replace(fill.roster[0], certificate=bytes(32))
    swapped = replace(fill, roster=(other, *fill.roster[1:]))

    (first,) = network["de-a"].hears(fill=proposal(network, dead))
    (second,) = network["de-a"].hears(fill=proposal(network, swapped))

    assert first.failure.text == "was started again since; its noise banks are new"
    assert second.failure.text == "the certificate of de-a is not the roster's"


def test_garbage_does_not_end_the_node(network: Registries) -> None:
    for garbage in (b"", b"{}", b"[" * 10_000, b"\xff"):
        (answer,) = network["de-a"].hears(fill=coordinator_pb2.FillProposal(fill=garbage))

        assert answer.failure.code == "protocol"


def test_a_fill_starts_with_the_approvals_of_all_alone(network: Registries) -> None:
    fill = due(network)
    begin = start(network, fill)
    del begin.approvals[2]

    failure, _ = network["de-a"].hears(start=begin)

    assert failure.failure.text == "de-c has not approved this session"
    assert not network["de-a"].workers[0].alive


def test_a_node_without_a_bank_says_nothing_and_fills_none(tmp_path: Path) -> None:
    network = registries(tmp_path)
    fill = due(network)

    (answer,) = network["de-a"].hears(fill=proposal(network, fill))

    assert "keeps no noise bank" in answer.failure.text
    network["de-a"].node._filler.announce()
    assert network["de-a"].said() == []
    network.close()
