"""The examples of docs/api.md: curl against a real interface of a real network, over TLS."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fragile_network import data_of
from test_transcripts import Shell, _commands

from upcare_mpc.api.app import openapi
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.errors import LinkError, RefusedError
from upcare_mpc.study.spec import Study, parse

pytestmark = pytest.mark.parties

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
_BLOCK = re.compile(r"^```(console|toml|text)[ ]?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Served:
    """A network with its interface."""

    network: LocalNetwork
    url: str
    study: Study


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    text = next(text for _, name, text in blocks() if name == "study.toml")
    asked = parse(text, name="study.toml")
    policy = LocalPolicy(purposes=["DUO:0000007"])
    with LocalNetwork(data=data_of(*asked.registries), overlap=1, policy=policy) as network:
        url = network.start_api()
        network.wait_until_attending(asked)
        yield Served(network, url, asked)


def blocks() -> list[tuple[str, str, str]]:
    return _BLOCK.findall(DOCUMENT.read_text("utf-8"))


@pytest.mark.slow
def test_every_example_is_what_happens(served: Served, tmp_path: Path) -> None:
    shutil.copytree(served.network.folder / "researcher", tmp_path / "me")
    shell = Shell(tmp_path, {"7445": served.url.rpartition(":")[2]})
    try:
        for language, name, content in blocks():
            if language != "console":
                shell.write(name, content)
                continue
            for command, expected in _commands(content):
                shell.run(command, expected)
    finally:
        shell.end()


def test_every_route_has_an_example() -> None:
    shown = {
        path.replace("$(cat digest)", "{digest}")
        for path in re.findall(
            r"https://api\.platform\.upcare(/(?:\$\(cat digest\)|[^\s\"?])+)", DOCUMENT.read_text()
        )
    }

    assert set(openapi()["paths"]) <= shown


def test_it_gives_what_the_platform_gives(served: Served) -> None:
    me, asked = served.network.researcher, served.study
    with RestPlatform(served.url, me) as rest, PlatformClient(me) as direct:
        assert rest.submit(asked) in {True, False}
        story = list(rest.watch(asked.digest))
        over_rest, over_grpc = rest.result(asked), direct.result(asked)

        assert story == list(direct.watch(asked.digest))
        assert rest.submit(asked) is True
        assert (over_rest.noisy == over_grpc.noisy).all()
        assert over_rest.label() == over_grpc.label()
        assert rest.catalogue() == direct.catalogue()
        assert rest.preview(asked) == direct.preview(asked)


def test_a_stranger_is_refused_in_words(served: Served, tmp_path: Path) -> None:
    from upcare_mpc.client.researcher import Researcher, new_researcher

    network = served.network.folder / "network"
    new_researcher(tmp_path, identity_folder=network, platform="localhost:1")
    with RestPlatform(served.url, Researcher.load(tmp_path)) as rest:
        with pytest.raises(RefusedError, match="does not know"):
            rest.submit(served.study)
        with pytest.raises(RefusedError, match="not submitted"):
            list(rest.watch(served.study.digest))


def test_another_networks_researcher_does_not_trust_it(served: Served, tmp_path: Path) -> None:
    from upcare_mpc.cli.network import found_network
    from upcare_mpc.client.researcher import Researcher, new_researcher

    found_network(tmp_path / "other", name="other", overlap=1, committee=3)
    new_researcher(tmp_path / "her", identity_folder=tmp_path / "other", platform="localhost:1")
    with (
        RestPlatform(served.url, Researcher.load(tmp_path / "her")) as rest,
        pytest.raises(LinkError, match="certificate is not accepted"),
    ):
        rest.catalogue()


def test_the_platforms_own_certificate_is_not_the_interfaces(served: Served) -> None:
    """Whoever answers for the interface has to be certified as the interface."""
    url = f"https://{served.network.researcher.platform}"
    with (
        RestPlatform(url, served.network.researcher) as rest,
        pytest.raises(LinkError, match="certificate is not accepted"),
    ):
        rest.catalogue()
