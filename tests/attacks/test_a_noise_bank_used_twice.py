"""Noise that is known, or used twice, protects nobody.

A noise bank is noise drawn before it is needed. Whoever has the banks of t + 1 registries knows the
noise; with a published result, that is the exact counts. And a draw that is used by two sessions
gives the exact difference of two sums. So keys of a bank are in no file and no backup; a draw is
burnt at every registry before its approval leaves; and a session needs the approval of all, so one
registry that has not been rolled back is enough to stop a second use.

The platform below is hostile: it composes what it likes. Up to t registries may be rolled back.
"""

import asyncio
import copy
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from banks import fill_registries
from registries import NAMES, Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.errors import SessionError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.mpc.programs.segments import KEY_BYTES, SEALED_BYTES, Segments, open_segments
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.draw import SEGMENT_CELLS, Draw

COMPUTING = NAMES[:3]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    made = registries(tmp_path, bank_cells=4 * SEGMENT_CELLS)
    yield made
    made.close()


def proposed(
    network: Registries, fill: Fill, title: str, *, first: int = 0
) -> tuple[Descriptor, coordinator_pb2.Proposal]:
    """A session of a study that draws on the bank from a segment on."""
    descriptor, proposal = network.proposal(counts(title))
    draw = Draw(epoch=fill.digest, first=first, count=1)
    descriptor = replace(descriptor, noise=str(draw))
    proposal.descriptor = descriptor.canonical()
    return descriptor, proposal


def answers(network: Registries, proposal: coordinator_pb2.Proposal) -> dict[str, str]:
    """What each registry says to a proposal: ``yes``, or why not."""
    return {name: said(network, name, proposal) for name in NAMES}


def said(network: Registries, name: str, proposal: coordinator_pb2.Proposal) -> str:
    (answer,) = (a for a in network[name].hears(proposal=proposal) if not a.HasField("banks"))
    return "yes" if answer.HasField("approval") else answer.failure.text


def test_two_old_banks_and_a_published_result_would_be_the_exact_counts(
    network: Registries,
) -> None:
    noise = np.array([5, field.PRIME - 3, 0, 1] * SEGMENT_CELLS, np.uint64)
    fill = fill_registries(network, counts(), noise)
    counted = np.array([100, 7, 0, 12], np.int64)
    published = counted + field.decode(noise)[:4]

    stolen = {}
    for place, name in enumerate(COMPUTING[:2]):  # t + 1 of them, with their keys
        folder = network.folder / name / "state" / "bank"
        ((_, bank),) = network[name].node.bank.banks
        sealed = (folder / f"{fill.digest.hex()}-0").read_bytes()
        segments = Segments(keys=(bank.keys[0],), sealed=sealed)
        stolen[place] = open_segments(segments, epoch=fill.digest, place=place, first=0, cells=4)
    known = field.decode(field.open_shares(stolen, threshold=1))

    assert (published - known).tolist() == counted.tolist()


def test_no_backup_holds_a_key_or_a_share(network: Registries, tmp_path: Path) -> None:
    noise = np.arange(4 * SEGMENT_CELLS, dtype=np.uint64)
    fill = fill_registries(network, counts(), noise)
    for place, name in enumerate(COMPUTING):
        backup = tmp_path / f"backup-{name}"
        shutil.copytree(network.folder / name, backup)
        ((_, bank),) = network[name].node.bank.banks
        everything = b"".join(f.read_bytes() for f in backup.rglob("*") if f.is_file())

        for index, key in bank.keys.items():
            assert key not in everything
            assert key.hex().encode() not in everything
            sealed = (backup / "state" / "bank" / f"{fill.digest.hex()}-{index}").read_bytes()
            assert len(sealed) == SEALED_BYTES
            share = open_segments(
                Segments(keys=(key,), sealed=sealed),
                epoch=fill.digest,
                place=place,
                first=index,
                cells=SEGMENT_CELLS,
            )
            assert share.astype("<u8").tobytes()[:64] not in everything
            wrong = Segments(keys=(bytes(KEY_BYTES),), sealed=sealed)
            with pytest.raises(SessionError):
                open_segments(wrong, epoch=fill.digest, place=place, first=index, cells=1)


def test_an_honest_draw_is_approved_by_all_and_gone(network: Registries) -> None:
    fill = fill_registries(network, counts())

    _, proposal = proposed(network, fill, "honest")

    assert set(answers(network, proposal).values()) == {"yes"}
    for name in COMPUTING:
        ((_, bank),) = network[name].node.bank.banks
        assert (bank.next, len(bank.keys)) == (1, 3)


def test_a_draw_that_was_used_is_refused_by_all_and_costs_nothing(network: Registries) -> None:
    fill = fill_registries(network, counts())
    answers(network, proposed(network, fill, "first")[1])

    second = answers(network, proposed(network, fill, "second")[1])

    refusal = "has used this noise before; a draw is used once"
    assert second == {**dict.fromkeys(COMPUTING, refusal), "fr-a": "yes"}
    assert network["de-a"].charges == ["reserved"]  # of the first study alone


def test_a_draw_stays_burnt_when_its_session_has_failed(network: Registries) -> None:
    fill = fill_registries(network, counts())
    descriptor, proposal = proposed(network, fill, "fails")
    answers(network, proposal)
    abort = coordinator_pb2.Abort(session_digest=descriptor.digest, reason="for a test")
    for name in NAMES:
        network[name].hears(abort=abort)
    assert network["de-a"].charges == ["released"]

    again = answers(network, proposed(network, fill, "tried again")[1])

    assert again["de-a"] == "has used this noise before; a draw is used once"


def test_one_draw_proposed_to_two_studies_at_once_serves_one_at_most(
    network: Registries,
) -> None:
    fill = fill_registries(network, counts())
    one, other = proposed(network, fill, "one")[1], proposed(network, fill, "the other")[1]

    async def both(name: str, proposals: list[coordinator_pb2.Proposal]) -> list[Any]:
        heard = await asyncio.gather(*[network[name].hear(proposal=p) for p in proposals])
        return [answer for said in heard for answer in said]

    approved = []
    for name, order in (("de-a", [one, other]), ("de-b", [other, one]), ("de-c", [one, other])):
        yes = [a.approval for a in asyncio.run(both(name, order)) if a.HasField("approval")]
        assert len(yes) == 1
        approved += [approval.session_digest for approval in yes]

    assert len(set(approved)) == 2  # so neither session has all approvals, and neither begins


def test_one_registry_that_was_not_rolled_back_stops_a_second_use(network: Registries) -> None:
    fill = fill_registries(network, counts())
    cloned = {name: _snapshot(network, name) for name in COMPUTING[:2]}  # more than t, even
    assert answers(network, proposed(network, fill, "published")[1])["de-a"] == "yes"
    for name, state in cloned.items():
        _put_back(network, name, state)
    for registry in network.nodes.values():
        registry.node._sessions.clear()  # the published one is over

    second = answers(network, proposed(network, fill, "for the difference")[1])
    onwards = answers(network, proposed(network, fill, "goes on", first=1)[1])

    assert [second[name] for name in COMPUTING] == [
        "yes",
        "yes",
        "has used this noise before; a draw is used once",
    ]
    assert set(onwards.values()) == {"yes"}  # what one has burnt is burnt at all of them


def test_a_registry_that_was_started_again_has_no_bank_and_the_others_discard_theirs(
    network: Registries,
) -> None:
    fill = fill_registries(network, counts())
    theirs = replace(fill, nonce=b"n" * 16)  # what the platform says that the others have

    answer = said(network, "de-a", proposed(network, theirs, "another epoch")[1])

    assert answer == "has another noise bank than the others; it is discarded"
    assert not list((network.folder / "de-a" / "state" / "bank").iterdir())
    (told,) = network["de-a"].node.bank.banks
    assert told[1].epoch == b""
    assert network["de-a"].charges == []


def test_the_platform_cannot_choose_a_law(network: Registries) -> None:
    fill = fill_registries(network, counts())
    law = network.question(counts(epsilon="5")).law  # less noise; nobody has asked for it
    forged = replace(fill, law=law.digest, nonce=b"n" * 16)
    proposal = coordinator_pb2.FillProposal(
        fill=forged.canonical(),
        certificates=[network.identity(name).certificate_pem.decode() for name in COMPUTING],
    )

    (answer,) = network["de-a"].hears(fill=proposal)

    assert answer.failure.text == "keeps no noise bank of this law with these registries"
    assert network["de-a"].workers == []


def test_a_bank_of_one_law_does_not_serve_a_study_of_another(network: Registries) -> None:
    fill = fill_registries(network, counts())
    descriptor, proposal = network.proposal(counts("less noise", epsilon="5"))
    noise = str(Draw(epoch=fill.digest, first=0, count=1))
    proposal.descriptor = replace(descriptor, noise=noise).canonical()

    refusal = "has another noise bank than the others; it is discarded"
    assert said(network, "de-a", proposal) == refusal


def _snapshot(network: Registries, name: str) -> Any:
    """Everything of a registry's machine that could bring its bank back: memory and disk."""
    node = network[name].node
    state = node.party.state_folder
    folder = state.with_name("snapshot")
    node.bank._marks._database.close()
    shutil.copytree(state, folder)
    return copy.deepcopy(node.bank._banks)


def _put_back(network: Registries, name: str, memory: Any) -> None:
    node = network[name].node
    state = node.party.state_folder
    node.bank._marks._database.close()
    shutil.rmtree(state)
    shutil.copytree(state.with_name("snapshot"), state)
    node.bank._banks = memory
