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

_CONNECTION_S = 20.0  # of each, unless an answer is under way
_FLUSH_S = 30.0  # for the client to take it; under TLS asyncio waits as long
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
    """Closes a connection after a while: else a few that say nothing would take all there are."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._close_later()

    def _close_later(self) -> None:
        self.loop.call_later(_CONNECTION_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        cycle: Any = self.cycle  # None before the first request
        if self.transport.is_closing():
            return
        if cycle is not None and not cycle.response_complete:
            self._close_later()
            return
        if self.transport.get_write_buffer_size():  # the rest of an answer, to be taken
            self.loop.call_later(_FLUSH_S, self.transport.abort)
        self.transport.close()


def _config(app: object, place: Place, connections: int) -> uvicorn.Config:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's own type of an application, which ours is
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
