"""`upcare api` and what `upcare researcher` signs, as commands."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from upcare_mpc.cli.main import upcare
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.client.signed_json import read_authorization, read_request
from upcare_mpc.client.tokens import SCOPES, read_token
from upcare_mpc.errors import ConfigError, UpcareError
from upcare_mpc.link.statements import check_authorization, check_request
from upcare_mpc.study.spec import parse

STUDY = Path(__file__).parents[2] / "parties" / "study.toml"
ASKED = parse(STUDY.read_bytes(), name="study.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network and a researcher."""
    found_network(tmp_path / "net", name="test", overlap=1, committee=3)
    new_researcher(tmp_path / "me", identity_folder=tmp_path / "net", platform="localhost:1")
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(upcare, [*arguments], env={"UPCARE_RESEARCHER": str(folder / "me")})


def test_a_token_is_of_her_key_for_what_she_says(folder: Path) -> None:
    me = Researcher.load(folder / "me")

    def made(*arguments: str) -> str:
        return run(folder, "researcher", "token", *arguments).stdout.strip()

    network, now = me.network.fingerprint, time.time()
    whole = read_token(made(), network=network, now=now)
    narrow = read_token(
        made("--scope", "catalogue", "--scope", "results", "--hours", "24"),
        network=network,
        now=now,
    )

    assert whole.key == narrow.key == me.signing_key
    assert whole.scopes == frozenset(SCOPES)
    assert narrow.scopes == {"catalogue", "results"}
    assert abs(whole.expires - now - 3600) < 60
    assert abs(narrow.expires - now - 24 * 3600) < 60


@pytest.mark.parametrize("wrong", [("--hours", "25"), ("--hours", "0"), ("--scope", "all")])
def test_no_token_for_longer_or_for_more(folder: Path, wrong: tuple[str, str]) -> None:
    assert run(folder, "researcher", "token", *wrong).exit_code == 2


def test_a_question_is_signed(folder: Path) -> None:
    request = read_request(json.loads(run(folder, "researcher", "sign", str(STUDY)).stdout))

    check_request(request, "submit", now=time.time())
    assert request.study == ASKED.canonical()


@pytest.mark.parametrize("method", ["watch", "result", "list"])
def test_an_authorization_is_signed(folder: Path, method: str) -> None:
    about = () if method == "list" else (str(STUDY),)

    printed = run(folder, "researcher", "authorize", method, *about).stdout
    authorization = read_authorization(printed.strip())

    check_authorization(authorization, method, now=time.time())
    assert authorization.study_digest == (b"" if method == "list" else ASKED.digest)


@pytest.mark.parametrize(
    "wrong", [("watch",), ("result",), ("list", str(STUDY)), ("submit", str(STUDY))]
)
def test_an_authorization_wants_what_it_is_about(folder: Path, wrong: tuple[str, ...]) -> None:
    assert run(folder, "researcher", "authorize", *wrong).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "0.0.0.0:0"), "wanted an address of this machine"),
        (("--listen", "nonsense"), "wanted HOST:PORT"),
        (("--listen", "127.0.0.1:99999"), "wanted HOST:PORT"),
        (("--listen", "192.0.2.1:1", "--certificate", "c", "--key", "k"), "cannot listen there"),
        (("--certificate", "c"), "both or neither"),
        (("--certificate", "k", "--key", "c"), "wanted a certificate chain"),
    ],
)
def test_a_place_that_is_none_is_one_clear_line(
    folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    admit_party(folder / "net", "api", role="platform", out=folder / "api")
    files = {"c": str(folder / "api" / "party.pem"), "k": str(folder / "api" / "party.key")}
    given = [files.get(argument, argument) for argument in arguments]

    ran = run(
        folder,
        *("api", "serve", "--network", str(folder / "net"), "--platform", "127.0.0.1:9"),
        *given,
    )

    assert isinstance(ran.exception, ConfigError)
    assert words in str(ran.exception)


@pytest.mark.parametrize("missing", ["ca.pem", "network.toml"])
def test_a_folder_that_is_no_networks_is_one_clear_line(folder: Path, missing: str) -> None:
    (folder / "net" / missing).unlink()

    ran = run(folder, "api", "serve", "--network", str(folder / "net"), "--platform", "x:9")

    assert isinstance(ran.exception, UpcareError)
    assert missing in str(ran.exception)
