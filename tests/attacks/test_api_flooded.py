"""Whoever reaches the public interface sends too much, too slowly, or nothing at all.

The interface is a real process on loopback; there is no platform behind it. It reads no more than
160 KiB, waits no longer than 10 s for a body and 20 s for a head, and answers everybody else
meanwhile. Adversary: one address, without a key.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from upcare_mpc.cli.network import found_network

pytestmark = pytest.mark.parties


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A process of the interface, without TLS."""
    folder = tmp_path_factory.mktemp("api")
    found_network(folder / "net", name="test", overlap=1, committee=3)
    arguments = ["--network", str(folder / "net"), "--platform", "127.0.0.1:9", "--with-parent"]
    with subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc", "api", "serve", *arguments],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", process.stderr.readline())
        assert found
        yield int(found[1])
        process.stdin.close()
        assert process.wait(10) == 0


def alive(port: int) -> bool:
    answer = httpx.get(f"http://127.0.0.1:{port}/v1/kinds", timeout=5, trust_env=False)
    return answer.status_code == 200


def said(connection: socket.socket, *, within_s: float) -> tuple[int, str]:
    """Status and code of the answer, read to the end of the connection."""
    connection.settimeout(within_s)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


@contextlib.contextmanager
def sending(port: int, *parts: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
        yield connection


POST = b"POST /v1/studies HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def test_a_body_that_says_it_is_large_is_not_awaited(port: int) -> None:
    with sending(port, POST + b"Content-Length: 1000000000\r\n\r\n") as connection:
        assert said(connection, within_s=5) == (413, "too_large")
    assert alive(port)


def test_a_body_that_does_not_say_how_large_it_is_is_cut(port: int) -> None:
    piece = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    with sending(port, POST + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(6):  # 192 KiB
                connection.sendall(piece)
        assert said(connection, within_s=5) == (413, "too_large")
    assert alive(port)


def test_a_length_that_is_none_is_refused(port: int) -> None:
    for length in (b"-1", b"1e9", "\u0661".encode(), b"9" * 5000):
        with sending(port, POST + b"Content-Length: " + length + b"\r\n\r\n{}") as connection:
            connection.settimeout(15)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(4096)[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 413", b""}
    assert alive(port)


@pytest.mark.slow
def test_a_body_drop_by_drop_is_given_up(port: int) -> None:
    begun = time.monotonic()
    with sending(port, POST + b"Content-Length: 100\r\n\r\n{") as connection:
        assert said(connection, within_s=20) == (408, "slow")
    assert 8 < time.monotonic() - begun < 15


def test_a_large_head_is_refused(port: int) -> None:
    with sending(port, b"GET /v1/kinds HTTP/1.1\r\nHost: a\r\nX: ") as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"x" * (1 << 20) + b"\r\n\r\n")
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(4096)[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 431", b""}
    assert alive(port)


@pytest.mark.slow
def test_many_connections_that_say_nothing_shut_nobody_out(port: int) -> None:
    with contextlib.ExitStack() as open_ones:
        silent = [open_ones.enter_context(sending(port)) for _ in range(150)]
        assert alive(port)
        silent[0].settimeout(40)
        begun = time.monotonic()
        assert silent[0].recv(1) == b""  # it is closed
        assert time.monotonic() - begun < 30
    assert alive(port)


def test_too_many_requests_wait_and_say_how_long(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", trust_env=False) as client:
        answers = [client.get("/nothing") for _ in range(400)]
        refused = [answer for answer in answers if answer.status_code == 429]

        assert {answer.status_code for answer in answers} == {404, 429}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        time.sleep(1.5)
        assert client.get("/kinds").status_code == 200


def test_a_web_server_in_front_says_for_whom(port: int) -> None:
    """Else the first flood would shut out everybody behind it."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", trust_env=False) as client:
        flood = [
            client.get("/nothing", headers={"X-Forwarded-For": "192.0.2.1"}) for _ in range(300)
        ]
        other = client.get("/nothing", headers={"X-Forwarded-For": "192.0.2.2"})

    assert 429 in {answer.status_code for answer in flood}
    assert other.status_code == 404


def test_without_a_platform_it_says_so(port: int) -> None:
    time.sleep(1.0)  # the bucket of the test above fills again
    answer = httpx.get(f"http://127.0.0.1:{port}/v1/health", timeout=10, trust_env=False)

    assert answer.json()["status"] == "no platform"
