"""A small network with its certificates, its parties' links, and raw peers that misbehave."""

import asyncio
import datetime
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from upcare_mpc._proto.upcare.link.v1 import link_pb2
from upcare_mpc.link import grpc_channel
from upcare_mpc.link.certificates import Authority, Identity, Network, Role, new_authority
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello

sys.path.insert(0, str(Path(__file__).parent))  # for links.py

NOW = datetime.datetime.now(datetime.UTC)
ROSTER = ["de-a", "de-b", "de-c", "fr-a", "fr-b"]
HELLO = {"session_digest": b"s" * 32, "study_digest": b"q" * 32, "program_digest": b"p" * 32}


class Lab:
    """Parties of one network, and links between them on loopback."""

    def __init__(self) -> None:
        self.authority = new_authority("test", now=NOW - datetime.timedelta(days=730))
        self.network = Network(self.authority.certificate_pem)
        self._identities: dict[str, Identity] = {}

    def identity(self, name: str) -> Identity:
        if name not in self._identities:
            self._identities[name] = self.admit(name)
        return self._identities[name]

    def admit(
        self,
        name: str,
        *,
        role: Role = "registry",
        authority: Authority | None = None,
        now: datetime.datetime = NOW,
        days: int = 30,
        trusts: Network | None = None,
    ) -> Identity:
        """An identity that need not be valid in this network."""
        issuer = authority or self.authority
        certificate, key = issuer.admit(name, role, now=now, days=days)
        party, _ = Network(issuer.certificate_pem).verify(certificate.decode(), now=now)
        return Identity(
            party=party,
            network=trusts or self.network,
            certificate_pem=certificate,
            key_pem=key,
        )

    def channel(
        self,
        index: int,
        *,
        identity: Identity | None = None,
        roster: list[str] = ROSTER,
        parties: int = 3,
        silence_s: float = 10.0,
        **hello: bytes,
    ) -> GrpcChannel:
        return GrpcChannel(
            identity or self.identity(roster[index]),
            roster,
            parties=parties,
            index=index,
            hello=SessionHello(**{**HELLO, **hello}),
            silence_s=silence_s,
        )

    async def pair(self, stack: AsyncExitStack, **changed: Any) -> tuple[GrpcChannel, GrpcChannel]:
        """Two linked parties, ended with the stack."""
        listener = self.channel(0, roster=ROSTER[:2], **changed)
        dialler = self.channel(1, roster=ROSTER[:2], **changed)
        port = await listener.listen("127.0.0.1", [0])
        stack.push_async_callback(lambda: asyncio.gather(listener.close(), dialler.close()))
        await asyncio.gather(listener.connect({}), dialler.connect({0: f"127.0.0.1:{port}"}))
        return listener, dialler

    async def raw(
        self, stack: AsyncExitStack, port: int, identity: Identity, *, name: str = "de-a"
    ) -> Any:
        """A stream to a listening party, with nothing said yet."""
        credentials = grpc.ssl_channel_credentials(
            root_certificates=identity.network.ca_pem,
            private_key=identity.key_pem,
            certificate_chain=identity.certificate_pem,
        )
        options = [
            ("grpc.ssl_target_name_override", f"{name}.registry.upcare"),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
        ]
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
        await stack.enter_async_context(channel)
        return channel.stream_stream(
            "/upcare.link.v1.Link/Exchange",
            request_serializer=_as_bytes,
            response_deserializer=link_pb2.ExchangeResponse.FromString,
        )()


def _as_bytes(message: Any) -> bytes:
    """A message as it is on the wire; bytes are sent as they are."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def _four_byte_varint(value: int) -> bytes:
    low = [value >> shift & 0x7F | 0x80 for shift in (0, 7, 14)]
    return bytes([*low, value >> 21])


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture
def hello() -> Callable[..., Any]:
    """A first message; any field may be changed."""

    def make(index: int = 1, **changed: Any) -> Any:
        return link_pb2.ExchangeRequest(hello=link_pb2.Hello(index=index, **{**HELLO, **changed}))

    return make


@pytest.fixture
def frame() -> Callable[..., bytes]:
    """A later message in the one form that is accepted; label, total and piece may be any."""

    def make(label: int, piece: bytes, total: int | None = None) -> bytes:
        inner = b"\x09" + label.to_bytes(8, "little", signed=True)
        inner += b"\x10" + _four_byte_varint(len(piece) if total is None else total)
        inner += b"\x1a" + _four_byte_varint(len(piece)) + piece
        return b"\x12" + _four_byte_varint(len(inner)) + inner

    return make


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds in place of a quarter of a minute, where a test waits for nothing to happen."""
    monkeypatch.setattr(grpc_channel, "CONNECT_S", 2.0)
