"""The noise bank over real processes: a study of a known law draws on it.

Four registries, of which de-a, de-b and de-c compute and keep a bank. At epsilon = 40 the noise
is zero but for one release in 10^16, so the answers are compared with the cleartext exactly.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from fragile_network import FOUR, POLICY, FragileNetwork, Story, cases_of, counts, data_of, wait_for

from upcare_mpc._proto.upcare.node.v1 import node_pb2
from upcare_mpc.node.operator import call_operator
from upcare_mpc.stats.counts import cross_table
from upcare_mpc.study.draw import SEGMENT_CELLS
from upcare_mpc.study.spec import Study

pytestmark = [pytest.mark.parties, pytest.mark.slow]

COMPUTING = FOUR[:3]
CELLS = 8 * SEGMENT_CELLS
FILLED_S = 20.0


@pytest.fixture(scope="module")
def shared_network() -> Iterator[FragileNetwork]:
    keeps = replace(POLICY, bank_cells=CELLS, epsilon=Fraction(10_000), silence_s=5)
    policies = {"fr-a": replace(keeps, computes=False, bank_cells=0)}
    with FragileNetwork(data=data_of(*FOUR), overlap=1, policy=keeps, policies=policies) as network:
        yield network


@pytest.fixture
def network(shared_network: FragileNetwork) -> FragileNetwork:
    """The network, whole, with a full bank for the law of ``asked``."""
    shared_network.make_whole(FOUR)
    if not all(ready(shared_network, name) for name in COMPUTING):
        study = asked(f"so that the law is known, {time.time()}")
        story = shared_network.ask(study)
        assert story.end == "done", story.words
        fill(shared_network)
    return shared_network


def asked(title: str) -> Study:
    return counts(title, epsilon="40")


def ready(network: FragileNetwork, name: str) -> int:
    """How many values of all laws are ready at a registry."""
    state = network.party_folder(name) / "state"
    return sum(item.cells for item in call_operator(state, "Bank", node_pb2.BankRequest()).ready)


def fill(network: FragileNetwork) -> None:
    wait_for(
        lambda: all(ready(network, name) >= CELLS for name in COMPUTING),
        within_s=FILLED_S,
        what="every bank is full",
    )
    time.sleep(1)  # and the nodes have told the platform


def sealed(network: FragileNetwork, name: str) -> set[str]:
    """The segments on a registry's disk."""
    return {file.name for file in (network.party_folder(name) / "state" / "bank").iterdir()}


def source(story: Story) -> str:
    """What the story says about the noise."""
    return next(event.text for event in story.events if event.phase == "noise")


def grades() -> dict[Any, int]:
    cases = [case for files in data_of(*FOUR).values() for case in cases_of(files)]
    table = cross_table([{"grade": case.grade} for case in cases if case.site == "C50"], ["grade"])
    return {grade: count for (grade,), count in table.items()}


def test_a_second_study_of_a_law_draws_on_the_bank_and_is_right(network: FragileNetwork) -> None:
    before = {name: sealed(network, name) for name in COMPUTING}

    story = network.ask(asked("draws on the bank"))

    assert story.end == "done", story.words
    assert source(story) == "de-a, de-b, de-c take it from their noise bank"
    assert story.result is not None
    found = story.result.result.rows.set_index("grade")["count"]
    assert {grade: count for grade, count in found.items() if count} == grades()
    for name in COMPUTING:
        assert len(before[name] - sealed(network, name)) == 1  # burnt: the file is gone
        assert ready(network, name) == CELLS - SEGMENT_CELLS


def test_a_study_of_another_law_draws_its_own_noise(network: FragileNetwork) -> None:
    story = network.ask(counts("another law", epsilon="41"))

    assert story.end == "done", story.words
    assert source(story) == "de-a, de-b, de-c draw the noise together"


def test_after_a_node_was_killed_all_discard_and_the_next_studies_are_answered(
    network: FragileNetwork,
) -> None:
    old = {name: sealed(network, name) for name in COMPUTING}
    orphans = network.kill("de-b")
    assert sealed(network, "de-b") == old["de-b"]  # left behind, and nobody has the keys

    network.restart("de-b")
    network.make_whole(FOUR)
    first = network.ask(asked("after the restart"))
    fill(network)
    second = network.ask(asked("from the new bank"))

    assert orphans
    assert (first.end, second.end) == ("done", "done")
    assert source(first) == "de-a, de-b, de-c draw the noise together"
    assert source(second) == "de-a, de-b, de-c take it from their noise bank"
    for name in COMPUTING:
        assert not old[name] & sealed(network, name)


def test_without_the_bank_of_one_registry_the_noise_is_drawn_directly(
    network: FragileNetwork,
) -> None:
    folder = network.party_folder("de-c")
    network.kill("de-c")
    text = (folder / "party.toml").read_text("utf-8")
    (folder / "party.toml").write_text(text.partition("[bank]")[0], "utf-8")
    try:
        network.restart("de-c")
        network.make_whole(FOUR)

        story = network.ask(asked("one registry keeps none"))

        assert story.end == "done", story.words
        assert source(story) == "de-a, de-b, de-c draw the noise together"
        assert ready(network, "de-c") == 0
    finally:
        network.kill("de-c")
        (folder / "party.toml").write_text(text, "utf-8")


def test_a_fill_gives_way_to_a_study(network: FragileNetwork) -> None:
    assert network.ask(counts("a law that has no bank yet", epsilon="42")).end == "done"
    wait_for(
        lambda: len(network.workers("de-c")) == 2, within_s=FILLED_S, what="a fill has its worker"
    )
    network.freeze(network.workers("de-c")[1])  # so that the fill cannot end by itself

    story = network.ask(counts("asked while a fill hangs", epsilon="42"), within_s=10)

    assert story.end == "done", story.words
    assert source(story) == "de-a, de-b, de-c draw the noise together"
    wait_for(
        lambda: all(ready(network, name) >= 2 * CELLS - SEGMENT_CELLS for name in COMPUTING),
        within_s=FILLED_S,
        what="the fill was tried again",
    )


def test_every_bank_file_is_for_the_nodes_user_alone(network: FragileNetwork) -> None:
    folder = network.party_folder("de-a") / "state" / "bank"

    assert folder.stat().st_mode & 0o077 == 0
