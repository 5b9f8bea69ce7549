"""A session that fails after bits about the result were opened, and a platform that asks a refund.

Where a study has a rule about small cells or a minimum cohort, the computing registries learn which
cells pass before any of them has sealed a share. These bits depend on the patients: they are an
output, if a small one. Were the charge given back because "no output left", the platform could let
such sessions fail again and again, and a registry it colludes with would collect, for nothing, bits
of ever fresh noise: enough of them tell the count.

So a node makes the charge final before the first such bit can open, and does not sign that no
output left, whatever happens afterwards.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fragile_network import FOUR, POLICY, FragileNetwork, data_of
from registries import NAMES, Registries, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.node.pipe import Message
from upcare_mpc.study.spec import Study, parse


def with_rules(title: str, names: tuple[str, ...] = FOUR) -> Study:
    """A small study with both rules."""
    listed = ", ".join(f'"{name}"' for name in names)
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = [{listed}]\noverlap = 1\n[cohort]\nwhere = \"site = 'C50'\"\n"
        "[privacy]\nepsilon = 1\n[release]\nminimum_cohort = 10\nsuppress_below = 5\n"
        '[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Registries]:
    network = registries(tmp_path)
    yield network
    network.close()


async def run_until_failure(
    network: Registries, steps: list[str]
) -> tuple[bytes, list[coordinator_pb2.AttendRequest]]:
    """One session at de-a whose worker takes some steps and fails; its digest, and what is said."""
    descriptor, proposal = network.proposal(with_rules("fails", NAMES))
    answers = await asyncio.gather(*[network[name].hear(proposal=proposal) for name in NAMES])
    approvals = [answer.approval for said in answers for answer in said]
    registry = network["de-a"]
    worker = registry.workers[0]
    for say in steps:
        worker.messages.put_nowait(Message(say=say, fields={}))
    worker.messages.put_nowait(Message(say="failed", fields={"code": "link", "text": "lost"}))
    start = coordinator_pb2.Start(session_digest=descriptor.digest, approvals=approvals)
    said = await registry.hear(start=start)
    for _ in range(100):
        await asyncio.sleep(0.01)
        said += registry.said()
        if any(message.HasField("failure") for message in said):
            break
    return descriptor.digest, said


@pytest.mark.parametrize(
    ("steps", "word", "charge"),
    [
        (["spend"], True, "spent"),
        (["spend", "reveal"], False, "settled"),
    ],
)
def test_a_node_gives_its_word_before_the_first_bit_and_never_after(
    network: Registries, steps: list[str], word: bool, charge: str
) -> None:
    _, said = asyncio.run(run_until_failure(network, steps))

    (failure,) = [message.failure for message in said if message.HasField("failure")]
    assert failure.text == "lost"
    assert failure.HasField("no_output") == word
    assert network["de-a"].charges == [charge]


def test_a_recall_gets_neither_an_output_nor_the_word(network: Registries) -> None:
    digest, _ = asyncio.run(run_until_failure(network, ["spend", "reveal"]))

    answers = network["de-a"].hears(recall=coordinator_pb2.Recall(session_digest=digest))

    assert answers == []
    assert "no output stored, it is revealed" in network["de-a"].log[-1]


def test_a_restart_does_not_make_the_word_true(network: Registries) -> None:
    digest, _ = asyncio.run(run_until_failure(network, ["spend", "reveal"]))
    books = network["de-a"].node.books
    question = network.question(with_rules("fails", NAMES))

    assert books.unfinished() == []
    assert books.erase(question.digest, digest) is False


@pytest.mark.slow
@pytest.mark.parties
def test_a_node_killed_while_the_others_open_bits_costs_them_their_charge() -> None:
    """de-b's server is frozen before it notes the bits; the others have noted them already."""
    study = with_rules("killed while bits open")
    policies = {name: replace(POLICY, silence_s=5) for name in FOUR}
    with FragileNetwork(
        data=data_of(*FOUR), overlap=1, policy=POLICY, policies=policies
    ) as network:
        network.wait_until_attending(study)
        held = network.workers("fr-a")[0]

        def kill() -> None:
            network.freeze(held)  # it has not shared yet: nobody has a sum
            network.wait_for_charges(study, de_a="spent", de_b="spent", de_c="spent")
            network.freeze(network.processes["de-b"].pid)
            network.thaw(held)
            network.wait_for_charges(study, de_a="settled", de_c="settled")
            network.kill("de-b")

        story = network.ask(study, within_s=40, when={"noise": kill})

        assert story.end == "failed", story.words
        assert story.words.endswith("what was charged stays charged")
        network.restart("de-b")
        network.wait_until_attending(study)
        network.wait_for_charges(study, de_a="settled", de_b="spent", de_c="settled", fr_a="spent")
