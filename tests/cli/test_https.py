"""A server that ends: connections that say nothing, and clients that do not take the answer."""

import asyncio
import socket

import pytest
from starlette.responses import PlainTextResponse

from upcare_mpc.cli import https

LARGE = 32 << 20  # more than the buffers of a connection hold


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "_CONNECTION_S", 0.05)
    monkeypatch.setattr(https, "_FLUSH_S", 0.05)


async def talk(said: bytes, answer: str, *, reads: bool) -> bytes:
    """Say something to a server, and wait until it has no connection any more; what is heard."""
    place = https.Place.of("127.0.0.1:0", None, None)
    with place.listening() as (waiting, url):
        assert url.startswith("http://127.0.0.1:")
        server = https._Server(https._config(PlainTextResponse(answer), place, connections=8))
        serving = asyncio.ensure_future(server.serve([waiting]))
        reader, writer = await asyncio.open_connection(*waiting.getsockname(), limit=1024)
        writer.write(said)
        connections = server.server_state.connections
        async with asyncio.timeout(10):
            while not connections:  # noqa: ASYNC110  uvicorn rings no bell
                await asyncio.sleep(0)
            heard = await reader.read() if reads else b""
            while connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()
        server.should_exit = True
        await serving
    return heard


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET"])
def test_a_connection_that_waits_is_closed(impatient: None, said: bytes) -> None:
    """Else a few of them would shut the service for everybody."""
    heard = asyncio.run(talk(said, "hello", reads=True))

    assert heard.endswith(b"hello" if b"host" in said else b"")


def test_a_client_that_does_not_take_the_answer_is_cut_off(impatient: None) -> None:
    said = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

    assert asyncio.run(talk(said, "x" * LARGE, reads=False)) == b""


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = https.Place.of(f"127.0.0.1:{taken.getsockname()[1]}", None, None)
        with pytest.raises(https.ConfigError, match="cannot listen there"), place.listening():
            pass
