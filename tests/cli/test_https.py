"""A server that ends: connections that say nothing, and clients that do not take the answer."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from upcare_mpc.cli import https
from upcare_mpc.cli.https import Place
from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.errors import ConfigError

LARGE = 32 << 20  # more than the buffers of a connection hold
HELLO = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(params=["http", "https"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An impatient place, without TLS and with it."""
    monkeypatch.setattr(https, "_LOOK_S", 0.2)
    monkeypatch.setattr(asyncio.constants, "SSL_SHUTDOWN_TIMEOUT", 0.2)
    if request.param == "http":
        return Place.of("127.0.0.1:0", None, None)
    found_network(tmp_path / "net", name="net", overlap=1, committee=3)
    admit_party(tmp_path / "net", "api", role="platform", out=tmp_path / "api")
    return Place.of("127.0.0.1:0", tmp_path / "api" / "party.pem", tmp_path / "api" / "party.key")


async def talk(
    place: Place, said: bytes, app: Callable[..., Any], *, reads: bool, keep_alive_s: int = 5
) -> bytes:
    """Say something to a server, and wait until it has no connection any more; what is heard."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with place.listening() as (waiting, url):
        config = https._config(app, place, connections=8)
        config.timeout_keep_alive = keep_alive_s
        server = https._Server(config)
        serving = asyncio.ensure_future(server.serve([waiting]))
        tls = trusting if url.startswith("https://127.0.0.1:") else None
        reader, writer = await asyncio.open_connection(*waiting.getsockname(), limit=1024, ssl=tls)
        writer.write(said)
        connections = server.server_state.connections
        async with asyncio.timeout(10):
            while not connections:  # noqa: ASYNC110  uvicorn rings no bell
                await asyncio.sleep(0)
            heard = await reader.read() if reads else b""
            while connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()
        await asyncio.sleep(0.5)  # what was to be done later is done
        server.should_exit = True
        await serving
    assert complaints == []
    return heard


@pytest.mark.parametrize("said", [b"", b"GET / HT", HELLO + b"GET"])
def test_a_connection_that_waits_is_closed(place: Place, said: bytes) -> None:
    """Else a few of them would shut the service for everybody."""
    heard = asyncio.run(talk(place, said, PlainTextResponse("hello"), reads=True))

    assert heard.endswith(b"hello" if b"host" in said else b"")


def test_a_client_that_goes_is_no_complaint(place: Place) -> None:
    said = HELLO.replace(b"host", b"connection: close\r\nhost")

    heard = asyncio.run(talk(place, said, PlainTextResponse("hello"), reads=True))

    assert heard.endswith(b"hello")


@pytest.mark.parametrize("keep_alive_s", [5, 0], ids=["open", "closing"])
def test_a_client_that_does_not_take_the_answer_is_cut_off(place: Place, keep_alive_s: int) -> None:
    large = PlainTextResponse("x" * LARGE)

    heard = asyncio.run(talk(place, HELLO, large, reads=False, keep_alive_s=keep_alive_s))

    assert heard == b""


def test_a_client_that_sends_requests_and_reads_nothing_is_cut_off(place: Place) -> None:
    """One answer after another waits for it, and there is always one under way."""
    answer = PlainTextResponse("x" * (64 << 10))

    assert asyncio.run(talk(place, HELLO * 1000, answer, reads=False)) == b""


def test_a_client_that_always_has_a_request_under_way_is_given_one_last_answer(
    place: Place,
) -> None:
    answered = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        answered.append(1)
        await asyncio.sleep(0.15)
        await PlainTextResponse("hello")(scope, receive, send)

    heard = asyncio.run(talk(place, HELLO * 100, slow, reads=True))

    assert heard.count(b"hello") == len(answered) < 10
    assert heard.endswith(b"hello")


def test_a_client_that_takes_its_time_gets_all_of_the_answer(place: Place) -> None:
    """More time than a connection without a request has, and one that is closed."""
    heard = bytearray()

    async def story() -> None:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with place.listening() as (waiting, url):
            app = PlainTextResponse("x" * (8 << 20))
            serving = asyncio.ensure_future(https.serve_app(app, place, waiting, connections=8))
            tls = trusting if url.startswith("https") else None
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
            slow.connect(waiting.getsockname())
            reader, writer = await asyncio.open_connection(
                sock=slow, ssl=tls, server_hostname="" if tls else None, limit=64 << 10
            )
            writer.write(HELLO)
            async with asyncio.timeout(20):
                while piece := await reader.read(64 << 10):
                    heard.extend(piece)
                    await asyncio.sleep(0.01)
            writer.close()
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    asyncio.run(story())

    assert len(heard.partition(b"\r\n\r\n")[2]) == 8 << 20


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = Place.of(f"127.0.0.1:{taken.getsockname()[1]}", None, None)
        with pytest.raises(ConfigError, match="cannot listen there"), place.listening():
            pass
