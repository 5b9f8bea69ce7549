"""A registry, its operator, the agreement or a certificate says no: one clear line, nothing lost.

One network of overlap 2 serves all tests: de-b asks its operator, fr-a accepts another purpose
only, fr-b came with an identity of another network, de-d's certificate ends a few seconds after
it was admitted, and another program has the one port that de-e's workers may use.
"""

import datetime
import json
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command import upcare
from fragile_network import FIVE, POLICY, FragileNetwork, Story, counts, data_of, wait_for

from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.errors import LinkError, RefusedError
from upcare_mpc.link.certificates import Authority

pytestmark = pytest.mark.parties

GERMAN = ("de-a", "de-b", "de-c")
SHORT_LIVED_S = 25


class WaryNetwork(FragileNetwork):
    """The network of this file."""

    busy_port: int
    started: float

    def found(self) -> None:
        """Make it, with one stranger and one certificate that ends soon."""
        super().found()
        other = self.folder / "other-network"
        found_network(other, name="other", overlap=2, committee=3)
        party_file = self.party_folder("de-e") / "party.toml"
        busy = f"[{self.busy_port}, {self.busy_port}]"
        party_file.write_text(party_file.read_text("utf-8").replace("[0]", busy), "utf-8")
        stranger = self.party_folder("fr-b") / "identity"
        shutil.rmtree(stranger)
        admit_party(other, "fr-b", role="registry", out=stranger)
        admit_for(
            SHORT_LIVED_S,
            "de-d",
            network=self.folder / "network",
            identity=self.party_folder("de-d") / "identity",
        )


def admit_for(seconds: int, name: str, *, network: Path, identity: Path) -> None:
    """Replace a party's certificate by one of the same network that ends soon."""
    authority = Authority(
        certificate_pem=(network / "ca.pem").read_bytes(),
        key_pem=(network / "ca.key").read_bytes(),
    )
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    certificate, key = authority.admit(
        name, "registry", now=end - datetime.timedelta(days=1), days=1
    )
    (identity / "party.pem").write_bytes(certificate)
    (identity / "party.key").write_bytes(key)


@pytest.fixture(scope="module")
def network() -> Iterator[WaryNetwork]:
    data = data_of(*FIVE)
    policies = {
        "de-b": replace(POLICY, approval="manual"),
        "fr-a": replace(POLICY, purposes=["DUO:0000042"]),
    }
    wary = WaryNetwork(
        data={**data, "de-d": data["de-a"], "de-e": data["de-b"]},
        overlap=2,
        policy=POLICY,
        policies=policies,
    )
    with socket.create_server(("127.0.0.1", 0)) as busy:
        wary.busy_port = busy.getsockname()[1]
        with wary:
            wary.started = time.monotonic()
            wary.wait_until_attending(counts("never submitted", names=(*GERMAN, "de-d"), overlap=2))
            yield wary


@pytest.fixture(scope="module")
def expired(network: WaryNetwork) -> WaryNetwork:
    """The network when de-d attends, and its certificate has ended."""
    time.sleep(max(0.0, SHORT_LIVED_S + 1 - (time.monotonic() - network.started)))
    return network


def ask_german(network: WaryNetwork, title: str, *decision: str) -> Story:
    """Ask the three German registries; when de-b waits, its operator types ``decision``."""
    study = counts(title, names=GERMAN, overlap=2)
    party = ("--party", str(network.party_folder("de-b")))

    def decide() -> None:
        report = json.loads(upcare("node", "status", "--json", *party).out)
        (digest,) = [
            waiting["question_digest"]
            for waiting in report["waiting"]
            if waiting["study"]["title"] == title
        ]
        assert upcare("node", decision[0], digest, *decision[1:], *party).status == 0

    return network.ask(study, when={"waiting": decide})


def test_a_study_waits_for_the_operator_and_runs_when_she_approves(network: WaryNetwork) -> None:
    story = ask_german(network, "approved by hand", "approve")

    assert story.events[1].text == "waits for the operators of de-b"
    assert story.end == "done"


def test_an_operators_refusal_reaches_the_researcher_in_her_words(network: WaryNetwork) -> None:
    study = counts("refused by hand", names=GERMAN, overlap=2)

    story = ask_german(network, "refused by hand", "refuse", "--reason", "see [/our] rules")

    assert story.end == "refused"
    assert story.words == "de-b: its operator refuses: see [/our] rules"
    assert network.all_charges(study) == {name: [] for name in GERMAN}


def test_an_approval_is_for_one_study_alone(network: WaryNetwork) -> None:
    ask_german(network, "the one approved", "approve")
    other = counts("another one", names=GERMAN, overlap=2)
    network.submit(other)

    phases = []
    for event in network.follow(other, within_s=20):
        phases.append(event.phase)
        if event.phase == "waiting":
            break

    assert phases == ["submitted", "waiting"]


def test_a_registry_that_does_not_accept_the_purpose_refuses_and_says_which_it_accepts(
    network: WaryNetwork,
) -> None:
    study = counts("another purpose", names=("de-a", "de-c", "fr-a"), overlap=2)

    story = network.ask(study)

    assert story.end == "refused"
    assert story.words == "fr-a: does not accept purpose DUO:0000007 (accepted: DUO:0000042)"
    assert network.all_charges(study) == {"de-a": [], "de-c": [], "fr-a": []}


def test_less_overlap_than_the_network_agreed_on_is_refused(network: WaryNetwork) -> None:
    with pytest.raises(RefusedError, match=r"overlap: wanted at least 2, .* got 1"):
        network.submit(counts("disjoint, we hope", names=GERMAN, overlap=1))


def test_a_registry_of_another_network_is_not_let_in(network: WaryNetwork) -> None:
    study = counts("with a stranger", names=("de-a", "de-c", "fr-b"), overlap=2)

    story = network.ask(study)

    assert story.words == "fr-b: is not connected to the platform"
    wait_for(
        lambda: "no trusted connection to the platform" in network.log("fr-b"),
        within_s=10,
        what="the stranger's own log says why",
    )


def test_too_few_registries_that_compute_are_refused(network: WaryNetwork) -> None:
    story = network.ask(counts("two registries", names=("de-a", "de-c"), overlap=2))

    assert story.end == "refused"
    assert story.words == ("a study needs 3 registries that compute, 2 of those named are willing")


def test_a_worker_that_finds_no_free_port_is_refused_in_words(network: WaryNetwork) -> None:
    names = ("de-a", "de-c", "de-e")
    study = counts("no port", names=names, overlap=2)

    story = network.ask(study)

    assert story.words == "de-e: no port of [link].ports is free"
    network.wait_for_charges(study, de_a="released", de_c="released", de_e="released")


def test_a_researcher_of_another_network_does_not_trust_the_platform(
    network: WaryNetwork, tmp_path: Path
) -> None:
    new_researcher(
        tmp_path / "me",
        identity_folder=network.folder / "other-network",
        platform=network.researcher.platform,
    )

    with (
        PlatformClient(Researcher.load(tmp_path / "me")) as platform,
        pytest.raises(LinkError, match="its certificate or ours is not accepted"),
    ):
        platform.preview(counts("in the wrong network", names=GERMAN, overlap=2))


def test_a_platform_that_is_not_there_is_said_in_one_line(
    network: WaryNetwork, tmp_path: Path
) -> None:
    new_researcher(
        tmp_path / "me", identity_folder=network.folder / "network", platform="localhost:1"
    )

    with (
        PlatformClient(Researcher.load(tmp_path / "me")) as platform,
        pytest.raises(LinkError, match="the platform cannot be reached"),
    ):
        platform.submit(counts("to nobody", names=GERMAN, overlap=2))


def test_a_registry_whose_certificate_has_ended_meanwhile_is_refused(expired: WaryNetwork) -> None:
    study = counts("with an expired one", names=("de-a", "de-c", "de-d"), overlap=2)

    story = expired.ask(study)

    assert story.end in {"failed", "refused"}
    assert "the certificate of de-d is not in force (it ended on " in story.words
    assert expired.all_charges(study) == {"de-a": [], "de-c": [], "de-d": []}


def test_a_node_with_an_expired_certificate_does_not_start(expired: WaryNetwork) -> None:
    expired.kill("de-d")

    ran = upcare("node", "serve", "--party", str(expired.party_folder("de-d")))

    assert ran.status == 1
    assert ran.err.startswith("upcare: error: the certificate of de-d is not in force")
    assert len(ran.err.splitlines()) == 1
