"""A server that ends: connections that say nothing, and clients that do not take the answer."""

import asyncio
import socket
import ssl
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
    monkeypatch.setattr(https, "_CONNECTION_S", 0.2)
    monkeypatch.setattr(https, "_FLUSH_S", 0.05)
    if request.param == "http":
        return Place.of("127.0.0.1:0", None, None)
    found_network(tmp_path / "net", name="net", overlap=1, committee=3)
    admit_party(tmp_path / "net", "api", role="platform", out=tmp_path / "api")
    return Place.of("127.0.0.1:0", tmp_path / "api" / "party.pem", tmp_path / "api" / "party.key")


async def talk(place: Place, said: bytes, answer: str, *, reads: bool) -> bytes:
    """Say something to a server, and wait until it has no connection any more; what is heard."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with place.listening() as (waiting, url):
        server = https._Server(https._config(PlainTextResponse(answer), place, connections=8))
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
    heard = asyncio.run(talk(place, said, "hello", reads=True))

    assert heard.endswith(b"hello" if b"host" in said else b"")


def test_a_client_that_goes_is_no_complaint(place: Place) -> None:
    said = HELLO.replace(b"host", b"connection: close\r\nhost")

    assert asyncio.run(talk(place, said, "hello", reads=True)).endswith(b"hello")


@pytest.mark.parametrize("place", ["http"], indirect=True)  # under TLS asyncio sees to it
def test_a_client_that_does_not_take_the_answer_is_cut_off(place: Place) -> None:
    assert asyncio.run(talk(place, HELLO, "x" * LARGE, reads=False)) == b""


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = Place.of(f"127.0.0.1:{taken.getsockname()[1]}", None, None)
        with pytest.raises(ConfigError, match="cannot listen there"), place.listening():
            pass
