"""A key ceremony with real processes over TLS: killed, gone on with, and handed over."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import upcare

from upcare_mpc.access.committees import fingerprint
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client.committees import committee_in_force
from upcare_mpc.config import DataFiles
from upcare_mpc.errors import RefusedError
from upcare_mpc.link.board import ResearcherBoard

pytestmark = [pytest.mark.parties, pytest.mark.slow]

NAMES = ("de-a", "de-b", "de-c")
FILE = Path(__file__).parents[2] / "parties" / "de-a" / "data" / "DE-A_oBDS_3.0.4.xml"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[LocalNetwork]:
    """The platform runs; no node does."""
    data = DataFiles(files=(FILE,))
    network = LocalNetwork(
        data=dict.fromkeys((*NAMES, "fr-a"), data),
        overlap=1,
        policy=LocalPolicy(purposes=["DUO:0000007"]),
        folder=tmp_path / "network",
    )
    network.folder.mkdir()
    network.found()
    network.start_platform()
    deadline = time.monotonic() + 30
    while "researchers at" not in network.log("platform"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield network
    network.__exit__()


def joining(network: LocalNetwork, name: str, topic: str) -> "subprocess.Popen[str]":
    arguments = ("join", topic, "--party", str(network.party_folder(name)), "--patience", "90")
    return subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc", "authority", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def proposed(network: LocalNetwork, *members: str, hand_over: bool = False) -> str:
    ran = upcare(
        *("authority", "propose", "--threshold", "1", *["--hand-over"] * hand_over),
        *(word for name in members for word in ("--member", name)),
        *("--party", str(network.party_folder("de-a"))),
    )
    assert ran.status == 0, ran.err
    return ran.out.strip()


def to_the_end(network: LocalNetwork, topic: str, *names: str) -> None:
    running = {name: joining(network, name, topic) for name in names}
    for name, process in running.items():
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, (name, err)


def shown(network: LocalNetwork, name: str) -> dict[str, object]:
    ran = upcare("authority", "show", "--json", "--party", str(network.party_folder(name)))
    assert ran.status == 0, ran.err
    return dict(json.loads(ran.out))


def test_killed_again_and_again_a_ceremony_comes_to_one_end(network: LocalNetwork) -> None:
    topic = proposed(network, *NAMES)
    others = [joining(network, name, topic) for name in NAMES[1:]]

    for seconds in (0.7, 0.9, 1.1, 1.3, 1.5):
        process = joining(network, "de-a", topic)
        time.sleep(seconds)
        process.kill()
        process.communicate()
    platform = network.processes["platform"]
    platform.kill()
    platform.wait()
    assert platform.stdin is not None
    platform.stdin.close()
    network.start_platform()
    to_the_end(network, topic, "de-a")
    for other in others:
        _, err = other.communicate(timeout=120)
        assert other.returncode == 0, err

    seen = [shown(network, name) for name in NAMES]
    assert [each["shares"] for each in seen] == [[1], [1], [1]]
    assert seen[0]["committee"] == seen[1]["committee"] == seen[2]["committee"]
    researcher = network.researcher
    with ResearcherBoard(researcher.platform, researcher.network, researcher.signing) as board:
        papers = board.ceremonies()[bytes.fromhex(topic)]
    kinds = [(paper.sender, paper.kind) for paper in papers if paper.kind != "proposal"]
    assert len(kinds) == len(set(kinds)) == 4 * 3  # nobody said anything twice


def test_the_key_is_handed_on_and_a_researcher_sees_the_same_one(network: LocalNetwork) -> None:
    researcher = network.researcher
    folder = network.folder / "researcher"

    def seen_by_her() -> tuple[int, tuple[str, ...], str]:
        with ResearcherBoard(researcher.platform, researcher.network, researcher.signing) as board:
            committee = committee_in_force(
                board, researcher.network, researcher.agreement.name, folder=folder
            )
        return committee.generation, committee.members, fingerprint(committee)

    with pytest.raises(RefusedError, match="the network has no key yet"):
        seen_by_her()
    to_the_end(network, proposed(network, *NAMES), *NAMES)
    generation, members, key = seen_by_her()
    assert (generation, members) == (1, NAMES)
    topic = proposed(network, "de-a", "de-b", "fr-a", hand_over=True)
    to_the_end(network, topic, *NAMES, "fr-a")

    assert seen_by_her() == (2, ("de-a", "de-b", "fr-a"), key)
    assert (folder / "key.pin").read_text().strip() == key
    for name, shares in (("de-a", [2]), ("de-b", [2]), ("de-c", []), ("fr-a", [2])):
        at_registry = shown(network, name)
        assert at_registry["shares"] == shares
        assert at_registry["ceremonies"] == []
        ledger = upcare("ledger", "verify", "--party", str(network.party_folder(name)))
        assert ledger.status == 0, ledger.err
