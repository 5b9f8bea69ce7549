"""A researcher's folder: made once, kept from others, and refused in words when it is broken."""

import stat
from pathlib import Path

import pytest

from upcare_mpc.cli.network import found_network
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found_network(tmp_path / "net", name="test", overlap=2, committee=3)
    new_researcher(tmp_path / "me", identity_folder=tmp_path / "net", platform="localhost:7444")
    return tmp_path / "me"


def test_a_folder_is_read_back(folder: Path) -> None:
    researcher = Researcher.load(folder)

    assert researcher.platform == "localhost:7444"
    assert researcher.agreement.overlap == 2
    assert len(researcher.signing_key) == len(researcher.sealing_key) == 32


def test_the_private_keys_are_hers_alone(folder: Path) -> None:
    assert stat.S_IMODE((folder / "researcher.key").stat().st_mode) == 0o600


def test_no_key_is_shown(folder: Path) -> None:
    researcher = Researcher.load(folder)
    private = (folder / "researcher.key").read_text()

    assert not any(word in private for word in repr(researcher).split('"') if len(word) == 64)
    assert "signing=" not in repr(researcher)


def test_keys_are_not_overwritten(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not overwritten"):
        new_researcher(folder, identity_folder=folder.parent / "net", platform="localhost:1")


@pytest.mark.parametrize("name", ["researcher.key", "researcher.pub", "ca.pem", "network.toml"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ConfigError, match=name):
        Researcher.load(folder)


@pytest.mark.parametrize(
    "content", ["", "signing = 1", 'signing = "zz"\nsealing = "zz"', "not toml", "\x00"]
)
def test_broken_key_files_are_refused_without_showing_them(folder: Path, content: str) -> None:
    (folder / "researcher.key").write_text(content)

    with pytest.raises(ConfigError, match="the researcher's key files cannot be read"):
        Researcher.load(folder)
