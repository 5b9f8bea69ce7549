"""Serving an ASGI application from a command: TLS or loopback, and connections that end.

Without a certificate what is served is for this machine, or for a web server on it that speaks TLS
and forwards.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from upcare_mpc.errors import ConfigError

__all__ = ["Place", "serve_app"]

_LOOK_S = 20.0
_PIECE_BYTES = 64 << 10
_SEND_BYTES = 256 << 10
_HEADER_BYTES = 16 << 10
_PATIENCE_S = 3  # with answers under way, when stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an application is served.

    Attributes:
        host: Address to listen on.
        port: 0 is any free one.
        certificate: Certificate chain, PEM; None without TLS.
        key: Its unencrypted private key, PEM.
    """

    host: str
    port: int
    certificate: Path | None
    key: Path | None

    @classmethod
    def of(cls, listen: str, certificate: Path | None, key: Path | None) -> "Place":
        """Read what a command's options say.

        Raises:
            ConfigError: They do not fit together, or others could listen in.
        """
        if (certificate is None) != (key is None):
            raise ConfigError("wanted --certificate and --key, both or neither")
        host, port = _address(listen)
        if certificate is None and not _is_loopback(host):
            raise ConfigError(
                f"--listen: without --certificate and --key wanted an address of this machine like "
                f"127.0.0.1, got {host}"
            )
        return cls(host=host, port=port, certificate=certificate, key=key)

    @contextlib.contextmanager
    def listening(self) -> Iterator[tuple[socket.socket, str]]:
        """Listen; the socket and its URL, without a path.

        Raises:
            ConfigError: It cannot be listened there.
        """
        inet6 = ":" in self.host
        try:
            waiting = socket.create_server(
                (self.host, self.port), family=socket.AF_INET6 if inet6 else socket.AF_INET
            )
        except OSError as error:
            raise ConfigError(f"--listen: cannot listen there: {error.strerror}") from None
        scheme = "http" if self.certificate is None else "https"
        shown = f"[{self.host}]" if inet6 else self.host
        with waiting:
            # Connections inherit it; else the second piece of an answer waits 40 ms for the first.
            waiting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # And what a slow client takes is soon seen; left alone, the kernel buffers megabytes.
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
            yield waiting, f"{scheme}://{shown}:{waiting.getsockname()[1]}"


async def serve_app(app: object, place: Place, waiting: socket.socket, *, connections: int) -> None:
    """Serve until cancelled.

    Args:
        app: ASGI application.
        place: Where.
        waiting: Its socket.
        connections: So many at once; others are turned away.

    Raises:
        ConfigError: The certificate or the key is not usable.
    """
    server = _Server(_config(app, place, connections))
    serving = asyncio.ensure_future(server.serve([waiting]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    """Leaves signals to `run_until_stopped`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Impatient(H11Protocol):
    """Ends every connection: else a few that say or read nothing would take all there are.

    It looks at its connection every 20 s. From the first look on the answer under way is the last
    one, and a client that takes nothing from one look to the next is cut off. How long an answer
    may take to be made is the application's to say.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        transport.set_write_buffer_limits(_PIECE_BYTES)
        self._stuck = False
        self.loop.call_later(_LOOK_S, self._look)

    def resume_writing(self) -> None:
        self._stuck = False
        super().resume_writing()

    def _look(self) -> None:
        lost = self not in self.connections
        if lost or (self.scheme == "https" and self.transport.is_closing()):
            return  # under TLS asyncio cuts off who does not take the rest, after 30 s
        untaken = self.transport.get_write_buffer_size() > 0
        if untaken and self._stuck:
            self.transport.abort()
            return
        self._stuck = untaken
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
        else:
            self.transport.close()
        self.loop.call_later(_LOOK_S, self._look)


def _in_pieces(app: Any) -> Any:
    """Hand answers over in pieces, each when the client has taken most of those before.

    In one piece an answer would count as given, and wait in memory, while the client still reads.
    """

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        async def pieces(message: Any) -> None:
            body = message.get("body", b"")
            last = max(0, len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES
            for start in range(0, last, _PIECE_BYTES):
                piece = body[start : start + _PIECE_BYTES]
                await send({"type": message["type"], "body": piece, "more_body": True})
            await send({**message, "body": body[last:]} if last else message)

        await app(scope, receive, pieces)

    return serve


def _config(app: object, place: Place, connections: int) -> uvicorn.Config:
    config = uvicorn.Config(
        _in_pieces(app),
        http=_Impatient,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=connections,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_PATIENCE_S,
        ssl_certfile=place.certificate,
        ssl_keyfile=place.key,
        ssl_keyfile_password="none",  # noqa: S106 - so that nobody is asked for one
    )
    try:
        config.load()
    except (ssl.SSLError, OSError):
        raise ConfigError(
            "--certificate, --key: wanted a certificate chain and its unencrypted key, in PEM"
        ) from None
    return config


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or len(port) > len("65535") or int(port) > 65535:
        raise ConfigError(f"--listen: wanted HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
