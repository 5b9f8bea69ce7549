"""The access path over a real platform: its traces at every registry, and how it fails.

The path as people walk it is ``access.md``.
"""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fragile_network import wait_for
from keyed_network import KeyedNetwork, background

from upcare_mpc.client.researcher import new_researcher

pytestmark = [pytest.mark.parties, pytest.mark.slow]

NOT_OPEN = "the sealed records do not open [protocol]"


@pytest.fixture(scope="module")
def network() -> Iterator[KeyedNetwork]:
    with KeyedNetwork.of_three() as network:
        network.seal("de-a", "DE-A-0001", "DE-A-0002")
        network.seal("de-b", "DE-B-0004")
        yield network


@pytest.fixture(scope="module")
def granted(network: KeyedNetwork) -> str:
    digest = network.ask("Survival after breast cancer")
    network.grant(digest)
    return digest


@pytest.fixture(scope="module")
def stranger(network: KeyedNetwork) -> Path:
    """A researcher whom no registry knows."""
    folder = network.folder / "stranger"
    new_researcher(
        folder,
        identity_folder=network.folder / "network",
        platform=network.researcher.platform,
    )
    return folder


def test_one_altered_object_and_nothing_is_written(
    network: KeyedNetwork, granted: str, tmp_path: Path
) -> None:
    """The platform changes one bit of what it holds; then it does no more."""
    vault = network.folder / "platform" / "state" / "vault" / "de-b"
    (block,) = [path for path in vault.iterdir() if path.read_bytes().startswith(b"UVB1")]
    whole = block.read_bytes()
    block.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    out = str(tmp_path / "records.parquet")

    assert network.refused_me("access", "fetch", granted) == NOT_OPEN
    assert "the records are not here yet" in network.refused_me(
        "access", "open", granted, "--out", out
    )
    assert list(tmp_path.iterdir()) == []
    block.write_bytes(whole)
    network.me("access", "fetch", granted)
    assert network.me("access", "open", granted, "--out", out).out.startswith("3 records")


def test_every_step_is_in_the_journal_of_every_registry_that_is_asked(
    network: KeyedNetwork, granted: str
) -> None:
    network.me("access", "fetch", granted)
    for name in ("de-a", "de-b", "de-c"):
        for _ in range(2):
            network.at(name, "access", "issue")

    for name, steps in {
        "de-a": ["approve", "release", "issued", "fetched"],
        "de-b": ["approve", "release", "issued", "fetched"],
        "de-c": ["issued"],  # in the committee; its records are not asked for
    }.items():
        found = [
            step
            for step in ("approve", "release", "issued", "fetched")
            for _ in network.journal(name, f"access.{step}", granted)
        ]
        assert found == steps


def test_a_stranger_is_approved_by_nobody(network: KeyedNetwork, stranger: Path) -> None:
    digest = network.ask("Whatever there is", folder=stranger)

    assert network.refused_at("de-a", "access", "approve", digest) == (
        "the researcher is not known here; a key belongs under [policy.researchers] [refused]"
    )
    listed = network.at("de-a", "access", "list").out
    assert "against it    the researcher is not known here" in listed


def test_anothers_request_is_not_shown_or_fetched(
    network: KeyedNetwork, granted: str, stranger: Path
) -> None:
    """She has a copy of the folder, key and all, and not the researcher's own key."""
    shutil.copytree(
        network.folder / "researcher" / "access", stranger / "access", dirs_exist_ok=True
    )

    for command in ("status", "fetch"):
        assert network.refused_me("access", command, granted, folder=stranger).endswith("[refused]")


def test_a_request_that_nobody_made(network: KeyedNetwork) -> None:
    assert network.refused_at("de-a", "access", "approve", "0" * 64) == (
        f"no request on the board begins with '{'0' * 64}' [input]"
    )
    assert network.refused_at("de-a", "access", "approve", "abc") == (
        "a request is named by 12 digits of it or more [input]"
    )
    assert network.refused_me("access", "status", "0" * 12).startswith("no request here begins")


def test_issuing_in_a_loop_outlives_the_platform(network: KeyedNetwork, granted: str) -> None:
    loops = [
        background("access", "issue", "--watch", "1", "--party", str(network.party_folder(name)))
        for name in ("de-a", "de-b")
    ]
    network.kill_platform()
    assert network.refused_me("access", "status", granted) == (
        "the platform cannot be reached, or did not answer in time [link]"
    )
    network.start_platform()
    network.wait_for_platform()
    digest = network.ask("Asked while registries watch")
    for name in ("de-a", "de-b"):
        network.at(name, "access", "approve", digest)

    def issued() -> bool:
        return "issued        de-a, de-b" in network.me("access", "status", digest).out

    wait_for(issued, within_s=60, what="both loops have issued")
    for loop in loops:
        assert loop.poll() is None
        loop.send_signal(signal.SIGTERM)
        assert loop.communicate(timeout=15)[1].endswith(b"upcare: error: interrupted\n")
