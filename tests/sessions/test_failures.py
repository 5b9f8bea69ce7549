"""Something breaks in the middle of a study: it ends in time, in words, and the books are right.

One network of three computing registries and a contributing one serves all tests; each makes it
whole again first. A session is held at a chosen step by freezing one worker (SIGSTOP), so that no
test depends on who is faster:

* a frozen computing worker holds the session before any charge is spent;
* a frozen contributing worker holds it after all computing registries have spent and shared;
* a frozen node (its server) lets its worker compute, but its output is neither stored nor sent.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fragile_network import FOUR, POLICY, FragileNetwork, alive, counts, data_of, wait_for

pytestmark = [pytest.mark.parties, pytest.mark.slow]

PATIENCE_S = 5
BOUND_S = 40.0  # no study below may take longer to end, whatever breaks


@pytest.fixture(scope="module")
def shared_network() -> Iterator[FragileNetwork]:
    policies = {name: replace(POLICY, silence_s=PATIENCE_S) for name in FOUR}
    policies["fr-a"] = replace(policies["fr-a"], computes=False)
    with FragileNetwork(
        data=data_of(*FOUR), overlap=1, policy=POLICY, policies=policies
    ) as network:
        yield network


@pytest.fixture
def network(shared_network: FragileNetwork) -> FragileNetwork:
    shared_network.make_whole(FOUR)
    return shared_network


def test_a_node_killed_before_sharing_costs_nobody_anything(network: FragileNetwork) -> None:
    study = counts("killed before sharing")
    held = network.workers("de-c")[0]
    orphans: list[int] = []

    def kill() -> None:
        network.freeze(held)
        assert network.all_charges(study) == {name: ["reserved"] for name in FOUR}
        orphans.extend(network.kill("de-b"))

    story = network.ask(study, within_s=BOUND_S, when={"noise": kill})

    assert story.end == "failed"
    assert "de-b" in story.words
    network.wait_for_charges(study, de_a="released", de_c="released", fr_a="released")
    assert network.charges("de-b", study) == ["reserved"]
    network.restart("de-b")
    network.wait_for_charges(study, de_b="released")
    wait_for(lambda: not any(map(alive, orphans)), within_s=5, what="its workers end with it")


def test_a_node_killed_between_sharing_and_opening_is_refunded_when_all_have_signed(
    network: FragileNetwork,
) -> None:
    study = counts("killed between sharing and opening")
    held = network.workers("fr-a")[0]

    def kill() -> None:
        network.freeze(held)
        network.wait_for_charges(study, de_a="spent", de_b="spent", de_c="spent")
        orphans.extend(network.kill("de-b"))

    orphans: list[int] = []
    story = network.ask(study, within_s=BOUND_S, when={"noise": kill})

    assert story.end == "failed"
    assert story.words.endswith("what was charged stays charged")
    # fr-a had not shared yet, so it needs nobody's word.
    network.wait_for_charges(study, de_a="spent", de_b="spent", de_c="spent", fr_a="released")
    network.restart("de-b")  # its word was missing; now all three have signed
    network.wait_for_charges(
        study, de_a="released", de_b="released", de_c="released", fr_a="released"
    )
    wait_for(lambda: not any(map(alive, orphans)), within_s=5, what="its workers end with it")


def test_a_node_killed_during_opening_leaves_an_answer_of_two_shares_that_says_so(
    network: FragileNetwork,
) -> None:
    study = counts("killed during opening")
    held = network.workers("fr-a")[0]

    def kill() -> None:
        network.freeze(held)
        network.wait_for_charges(study, de_a="spent", de_b="spent", de_c="spent")
        time.sleep(0.3)  # the server has told its worker to go on
        network.freeze(network.processes["de-c"].pid)
        network.thaw(held)
        network.wait_for_charges(study, de_a="settled", de_b="settled")
        network.kill("de-c")

    story = network.ask(study, within_s=BOUND_S, when={"noise": kill})

    assert story.end == "done"
    assert story.result is not None
    label = story.result.label()
    assert (label["shares"], label["shares_checked"]) == (2, False)
    network.restart("de-c")
    network.wait_until_attending(study)
    network.wait_for_charges(study, de_a="settled", de_b="settled", fr_a="settled", de_c="spent")


def test_one_output_alone_opens_nothing_and_keeps_everybody_charged(
    network: FragileNetwork,
) -> None:
    study = counts("two killed during opening")
    held = network.workers("fr-a")[0]

    def kill() -> None:
        network.freeze(held)
        network.wait_for_charges(study, de_a="spent", de_b="spent", de_c="spent")
        time.sleep(0.3)
        network.freeze(network.processes["de-b"].pid)
        network.freeze(network.processes["de-c"].pid)
        network.thaw(held)
        network.wait_for_charges(study, de_a="settled")
        network.kill("de-b")
        network.kill("de-c")

    story = network.ask(study, within_s=BOUND_S, when={"noise": kill})

    assert story.end == "failed"
    assert story.words.endswith("what was charged stays charged")
    assert network.charges("fr-a", study) == ["spent"]
    network.restart("de-b")
    network.restart("de-c")
    network.wait_until_attending(study)
    network.wait_for_charges(study, de_a="settled", de_b="spent", de_c="spent", fr_a="spent")


def test_a_contributing_node_killed_before_it_shares_costs_nobody_anything(
    network: FragileNetwork,
) -> None:
    study = counts("contributing node killed")
    held = network.workers("fr-a")[0]

    def kill() -> None:
        network.freeze(held)
        network.wait_for_charges(study, de_a="spent", de_b="spent", de_c="spent")
        network.kill("fr-a")
        network.thaw(held)

    story = network.ask(study, within_s=BOUND_S, when={"noise": kill})

    assert story.end == "failed"
    assert "fr-a" in story.words
    network.wait_for_charges(study, de_a="released", de_b="released", de_c="released")
    network.restart("fr-a")
    network.wait_for_charges(study, fr_a="released")


def test_a_silent_peer_is_given_up_in_the_stated_time(network: FragileNetwork) -> None:
    study = counts("silent peer")
    held = network.workers("fr-a")[0]
    start = time.monotonic()

    story = network.ask(study, within_s=BOUND_S, when={"noise": lambda: network.freeze(held)})

    assert story.end == "failed"
    assert f"fr-a was silent for {PATIENCE_S} s" in story.words
    assert time.monotonic() - start < PATIENCE_S + 10
    network.wait_for_charges(study, **{n.replace("-", "_"): "released" for n in FOUR})
    wait_for(lambda: not alive(held), within_s=5, what="the silent worker is ended")


def test_after_a_failure_the_same_question_can_be_asked_again(network: FragileNetwork) -> None:
    study = counts("asked again after a failure")
    held = network.workers("de-c")[0]

    def kill() -> None:
        network.freeze(held)
        network.kill("de-b")

    assert network.ask(study, within_s=BOUND_S, when={"noise": kill}).end == "failed"
    network.make_whole(FOUR)

    story = network.ask(study, within_s=BOUND_S)

    assert story.end == "done"
    assert network.charges("de-a", study) == ["released", "settled"]


def test_a_second_study_waits_for_the_first_and_both_finish(network: FragileNetwork) -> None:
    first, second = counts("the first of two"), counts("the second of two")
    held = network.workers("fr-a")[0]

    def submit_second() -> None:
        network.freeze(held)
        network.submit(second)
        for event in network.follow(second, within_s=BOUND_S):
            if "another study is running" in event.text:
                break
        network.thaw(held)

    assert network.ask(first, within_s=BOUND_S, when={"noise": submit_second}).end == "done"

    *_, last = network.follow(second, within_s=BOUND_S)
    assert last.phase == "done"


def test_the_same_study_submitted_twice_at_once_is_one_session_and_one_charge(
    network: FragileNetwork,
) -> None:
    study = counts("twice at once")

    known = [network.submit(study), network.submit(study)]
    *_, last = network.follow(study, within_s=BOUND_S)

    assert known == [False, True]
    assert last.phase == "done"
    assert [len(network.charges(name, study)) for name in FOUR] == [1, 1, 1, 1]


def test_a_platform_killed_during_a_study_says_so_after_its_restart(
    network: FragileNetwork,
) -> None:
    study = counts("the platform is killed")
    held = network.workers("fr-a")[0]
    network.submit(study)
    for event in network.follow(study, within_s=BOUND_S):
        if event.phase == "noise":
            network.freeze(held)
            break

    network.kill("platform")
    network.start_platform()
    network.thaw(held)
    network.make_whole(FOUR)
    *_, last = network.follow(study, within_s=10)

    assert (last.phase, last.text) == ("failed", "the platform was restarted")
    again = counts("after the platform's restart")
    assert network.ask(again, within_s=BOUND_S).end == "done"


def test_a_platform_restarted_still_has_the_answers(network: FragileNetwork) -> None:
    study = counts("answered before the restart")
    first = network.ask(study)
    assert first.result is not None

    network.kill("platform")
    network.make_whole(FOUR)
    again = network.ask(study)

    assert again.result is not None
    assert "stored" in again.phases
    assert again.result.noisy.tobytes() == first.result.noisy.tobytes()
    assert [len(network.charges(name, study)) for name in FOUR] == [1, 1, 1, 1]


def test_a_restarted_node_answers_again(network: FragileNetwork) -> None:
    network.kill("de-a")
    network.make_whole(FOUR)

    assert network.ask(counts("after a node's restart")).end == "done"


def test_a_second_node_on_one_folder_is_refused(network: FragileNetwork) -> None:
    attending = network.processes["de-a"]
    network.start_node("de-a")
    second = network.processes["de-a"]
    network.processes["de-a"] = attending

    assert second.wait(timeout=20) == 1
    second.communicate()
    assert (
        network.log("de-a")
        .strip()
        .endswith("upcare: error: a node is running on this folder already [input.config]")
    )
    assert network.ask(counts("beside a second node")).end == "done"
