"""`upcare patient`: codes, the page over TLS, and what the page says on a terminal."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Protocol

import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.cli.main import upcare as commands
from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.storage.patients import Visits
from upcare_mpc.storage.snapshot_rows import pseudonym_of_named

PARTIES = Path(__file__).parents[2] / "parties"
PATIENT = "DE-A-0001"


class Ran(Protocol):
    """How a command ended."""

    status: object
    out: str
    err: str


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's files, frozen once."""
    folder = tmp_path_factory.mktemp("party")
    text = (PARTIES / "de-a" / "party.toml").read_text("utf-8")
    text = re.sub(r"files = .*", 'snapshots = "frozen"', text)
    folder.joinpath("party.toml").write_text(re.sub(r"complete = .*", "", text), "utf-8")
    data, out = str(PARTIES / "de-a" / "data"), str(folder / "frozen")
    ran = CliRunner().invoke(commands, ["ingest", data, "--complete", "systemic", "--out", out])
    assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def party(frozen: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(frozen, tmp_path / "party"))


def test_a_code_is_printed_alone_on_standard_output(
    upcare: Callable[..., Ran], party: Path
) -> None:
    ran = upcare("patient", "code", PATIENT, "--party", str(party))

    assert ran.status == 0
    assert re.fullmatch(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}\n", ran.out)
    assert ran.err.startswith("valid once, until ")
    assert "no record" not in ran.err


def test_a_new_code_ends_the_visits_of_its_patient(upcare: Callable[..., Ran], party: Path) -> None:
    loaded = load_party(party)
    secret = snapshots_of(loaded.data, loaded.state_folder).secret()
    who, other = (pseudonym_of_named(secret, name) for name in (PATIENT, "DE-A-0002"))
    now = datetime.now(UTC)
    with open_database(loaded) as database:
        visits = Visits(database)
        codes = [visits.invite(one, life=timedelta(hours=1), now=now) for one in (who, other)]
        tokens = [visits.enter(code, now=now) for code in codes]
        assert upcare("patient", "code", PATIENT, "--party", str(party)).status == 0

        assert [visits.patient(token, now=now) for token in tokens] == [None, other]


def test_an_id_that_nobody_has_is_said(upcare: Callable[..., Ran], party: Path) -> None:
    ran = upcare("patient", "code", "DE-A-9999", "--json", "--party", str(party))

    assert json.loads(ran.out).keys() == {"code", "expires"}
    assert ran.err == "no record of this id is in force here; the code works all the same\n"


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["code", "\x1b[2J"], 1, "a patient id: wanted 1 to 200 characters that can be printed"),
        (["code", "\udcff"], 1, "a patient id: wanted 1 to 200 characters that can be printed"),
        (["code", ""], 1, "a patient id: wanted 1 to 200 characters that can be printed"),
        (["show", "x" * 201], 1, "a patient id: wanted 1 to 200 characters that can be printed"),
        (["code", "P", "--minutes", "14"], 2, "14 is not in the range 15<=x<=2880"),
        (["code", "P", "--minutes", "2881"], 2, "2881 is not in the range 15<=x<=2880"),
        (["serve", "--listen", "0.0.0.0:0"], 1, "wanted an address of this machine"),
        (["serve", "--listen", "page.example:8443"], 1, "wanted an address of this machine"),
        (["serve", "--listen", "127.0.0.1"], 1, "--listen: wanted HOST:PORT, got '127.0.0.1'"),
        (["serve", "--listen", "127.0.0.1:99999"], 1, "--listen: wanted HOST:PORT"),
        (["serve", "--certificate", "party.toml"], 1, "wanted --certificate and --key, both"),
        (
            ["serve", "--certificate", "party.toml", "--key", "party.toml"],
            1,
            "--certificate, --key: wanted a certificate chain and its unencrypted key, in PEM",
        ),
    ],
)
def test_a_mistake_is_one_line(
    upcare: Callable[..., Ran],
    party: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    text: str,
) -> None:
    monkeypatch.chdir(party)

    ran = upcare("patient", *arguments)

    assert ran.status == status
    assert ran.out == ""
    assert text in ran.err


def test_a_port_that_is_taken_is_one_line(upcare: Callable[..., Ran], party: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ran = upcare("patient", "serve", "--party", str(party), "--listen", f"127.0.0.1:{port}")

    assert ran.status == 1
    assert "--listen: cannot listen there: Address already in use" in ran.err


def test_a_registry_with_a_warehouse_has_no_page(upcare: Callable[..., Ran], party: Path) -> None:
    """Its table is counted whatever patients say, so nobody may be told otherwise."""
    file = party / "party.toml"
    there = 'warehouse = { url = "duckdb:///x", table = "cases" }'
    file.write_text(file.read_text("utf-8").replace('snapshots = "frozen"', there), "utf-8")

    for command in (["code", PATIENT], ["show", PATIENT], ["serve"]):
        ran = upcare("patient", *command, "--party", str(party))
        assert ran.status == 1
        assert "the patients' page is for a registry with snapshots" in ran.err


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("de", "Statistik: Erlaubt. Sie haben nicht widersprochen, also werden Sie mitgezählt."),
        ("fr", "Statistiques: Permis. Vous ne vous y êtes pas opposé(e), vous êtes donc"),
        ("en", "Statistics: Allowed. You have not objected, so you are counted."),
    ],
)
def test_the_terminal_says_what_the_page_says(
    upcare: Callable[..., Ran], party: Path, language: str, line: str
) -> None:
    ran = upcare("patient", "show", PATIENT, "--language", language, "--party", str(party))

    assert ran.status == 0
    assert line in ran.out
    assert "1984" in ran.out
    assert PATIENT not in ran.out


def test_the_page_is_served_over_tls(party: Path) -> None:
    certificate, key = _certificate(party)
    command = ["patient", "serve", "--party", str(party), "--with-parent"]
    files = ["--certificate", str(certificate), "--key", str(key)]
    with subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc", *command, *files],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        address = _address(process.stderr, "https")
        assert address
        trusted = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(verify=trusted, base_url=address[0], timeout=20) as client:
            answer = client.get("/de/")
        process.stdin.close()
        status = process.wait(timeout=20)

    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in answer.headers
    assert status == 0


def test_nobody_is_asked_for_the_password_of_a_key(party: Path) -> None:
    certificate, plain = _certificate(party)
    key = serialization.load_pem_private_key(plain.read_bytes(), None)
    plain.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    files = ["--certificate", str(certificate), "--key", str(plain)]

    ran = subprocess.run(
        [sys.executable, "-m", "upcare_mpc", "patient", "serve", "--party", str(party), *files],
        input="word\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        start_new_session=True,  # without a terminal
    )

    assert ran.returncode == 1
    assert "pass phrase" not in ran.stderr
    assert "its unencrypted key" in ran.stderr


def test_behind_a_web_server_the_cookie_is_for_tls_alone(party: Path) -> None:
    code = CliRunner().invoke(
        commands, ["patient", "code", PATIENT, "--json", "--party", str(party)]
    )
    typed = json.loads(code.stdout)["code"]
    command = ["patient", "serve", "--party", str(party), "--with-parent"]
    with subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc", *command],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        address = _address(process.stderr, "http")
        assert address
        with httpx.Client(base_url=address[0], timeout=20) as client:
            forwarded = {"x-forwarded-proto": "https"}
            answer = client.post("/de/", data={"code": typed}, headers=forwarded)
        process.stdin.close()
        assert process.wait(timeout=20) == 0

    assert answer.headers["location"] == "/de/me"
    assert answer.headers["set-cookie"].endswith("; Secure")
    assert "strict-transport-security" in answer.headers


def _address(log: IO[str], scheme: str) -> re.Match[str] | None:
    """The page's address, in one of the first lines."""
    lines = (log.readline() for _ in range(3))
    found = (re.search(rf"{scheme}://\S+", line) for line in lines)
    return next((match for match in found if match), None)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "page")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "page.pem", folder / "page.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
