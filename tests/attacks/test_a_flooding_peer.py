"""Story: a registry that is in the session, with a good certificate, sends what nobody asked for.

It cannot be refused at the door. But what waits unasked is bounded, in bytes and in frames, and
when it is too much the link ends in words; the other links, and their frames, are untouched.
"""

import asyncio
import contextlib
import datetime
from typing import Any

import grpc
import grpc.aio
import pytest

from upcare_mpc._proto.upcare.link.v1 import link_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link import mailbox
from upcare_mpc.link.certificates import Identity, Network, new_authority
from upcare_mpc.link.frames import write_piece
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = new_authority("test", now=NOW)
NETWORK = Network(AUTHORITY.certificate_pem)
ROSTER = ["de-a", "de-b", "de-c"]
HELLO = {"session_digest": b"s" * 32, "study_digest": b"q" * 32, "program_digest": b"p" * 32}


def identity(name: str) -> Identity:
    certificate, key = AUTHORITY.admit(name, "registry", now=NOW)
    party, _ = NETWORK.verify(certificate.decode(), now=NOW)
    return Identity(party=party, network=NETWORK, certificate_pem=certificate, key_pem=key)


def channel(index: int) -> GrpcChannel:
    return GrpcChannel(
        identity(ROSTER[index]), ROSTER, parties=3, index=index, hello=SessionHello(**HELLO)
    )


async def stream_as(name: str, index: int, port: int) -> tuple[Any, Any]:
    me = identity(name)
    credentials = grpc.ssl_channel_credentials(NETWORK.ca_pem, me.key_pem, me.certificate_pem)
    options = [("grpc.ssl_target_name_override", "de-a.registry.upcare")]
    connection = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
    call = connection.stream_stream("/upcare.link.v1.Link/Exchange")()  # plain bytes
    hello = link_pb2.ExchangeRequest(hello=link_pb2.Hello(index=index, **HELLO))
    await call.write(hello.SerializeToString())
    await call.read()
    return connection, call


def frame(label: int, piece: bytes) -> bytes:
    return write_piece(label, len(piece), memoryview(piece))


@pytest.mark.parametrize("piece", [b"", bytes(100_000)], ids=["empty frames", "full frames"])
def test_a_flood_ends_the_floods_link_and_no_other(
    monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    bound = 1 << 20
    monkeypatch.setattr(mailbox, "MAX_UNCLAIMED_BYTES", bound)

    async def story() -> None:
        victim = channel(0)
        port = await victim.listen("127.0.0.1", [0])
        connecting = asyncio.ensure_future(victim.connect({}))
        flood_connection, flood = await stream_as("de-b", 1, port)
        quiet_connection, quiet = await stream_as("de-c", 2, port)
        await connecting
        pending = victim.receive(1, -99)

        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for label in range(100_000):
                await flood.write(frame(label, piece))

        with pytest.raises(ProtocolError, match="de-b sent more than anyone asked for"):
            await pending
        kept = victim._peers[1].mailbox._arrived
        assert sum(map(len, kept.values())) <= bound
        assert len(kept) <= bound // 256
        await quiet.write(frame(1, b"my share"))
        assert await asyncio.wait_for(victim.receive(2, 1), 5) == b"my share"
        for connection in (flood_connection, quiet_connection):
            await connection.close()
        await victim.close()

    asyncio.run(asyncio.wait_for(story(), 30))
