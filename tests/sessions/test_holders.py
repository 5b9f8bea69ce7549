"""Holders of a collection's key as real processes: what they keep over a crash, and what goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fragile_network import FIVE, POLICY, FragileNetwork, data_of, wait_for

from upcare_mpc.cli.local.deposits import collecting, deposit_all
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.study.spec import Study, parse

pytestmark = [pytest.mark.parties, pytest.mark.slow]

ONLINE = FIVE[:3]


def study_of(title: str, envelope: str) -> Study:
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(ONLINE)}\noverlap = 1\n"
        f'[deposits]\nenvelope = "{envelope}"\nregistries = ["fr-b"]\n'
        "[cohort]\nwhere = \"site = 'C50'\"\n[privacy]\nepsilon = 1\n"
        '[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


@pytest.fixture(scope="module")
def shared_network() -> Iterator[FragileNetwork]:
    with FragileNetwork(
        data=data_of(*ONLINE), offline=data_of("fr-b"), overlap=1, policy=POLICY
    ) as network:
        yield network


@pytest.fixture
def network(shared_network: FragileNetwork) -> FragileNetwork:
    shared_network.make_whole(ONLINE)
    return shared_network


def kept(network: FragileNetwork, name: str) -> tuple[list[str], list[str]]:
    """Names of the keys, and of the collections whose deposits a node has."""
    state = network.party_folder(name) / "state"

    def names(folder: Path) -> list[str]:
        return sorted(file.name for file in folder.iterdir()) if folder.exists() else []

    return names(state / "holdings"), names(state / "deposits")


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
def test_a_node_that_is_killed_while_deposits_are_taken_goes_on_and_erases_in_the_end(
    network: FragileNetwork, envelope: str
) -> None:
    study = study_of(f"killed, {envelope}", envelope)
    assert network.ask(study).end == "collecting"
    collection = collecting(network, study)
    assert [kept(network, name) for name in ONLINE] == [([collection.hex()], [])] * 3

    network.kill("de-a")
    deposit_all(network, collection)
    network.make_whole(ONLINE)
    assert kept(network, "de-a") == ([collection.hex()], [])
    with PlatformClient(network.researcher) as platform:
        platform.close(study, ())
    *_, last = network.follow(study, within_s=60)

    assert last.phase == "done", last.text
    with PlatformClient(network.researcher) as platform:
        assert platform.result(study).label()["deposits"]["registries"] == ["fr-b"]
    wait_for(
        lambda: [kept(network, name) for name in ONLINE] == [([], [])] * 3,
        within_s=20,
        what="keys and deposits are gone",
    )


def test_a_node_that_is_killed_in_the_session_can_be_asked_again_with_the_same_deposits(
    network: FragileNetwork,
) -> None:
    """The key is kept for the next attempt, and is still for this set alone."""
    study = study_of("killed in the session", "rlwe")
    assert network.ask(study).end == "collecting"
    collection = collecting(network, study)
    deposit_all(network, collection)
    with PlatformClient(network.researcher) as platform:
        platform.close(study, ())
    for event in network.follow(study, within_s=60):
        if event.phase == "approvals":
            network.kill("de-b")
    assert event.phase == "collecting", event.text
    assert kept(network, "de-b")[0] == [collection.hex()]

    network.make_whole(ONLINE)
    with PlatformClient(network.researcher) as platform:
        platform.close(study, ())
    *_, last = network.follow(study, within_s=60)

    assert last.phase == "done", last.text
    wait_for(
        lambda: [kept(network, name) for name in ONLINE] == [([], [])] * 3,
        within_s=20,
        what="keys and deposits are gone",
    )
