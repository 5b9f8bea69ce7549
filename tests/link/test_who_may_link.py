"""Who is taken as a peer, over real mutual TLS on loopback: certificates, places, Hellos."""

import asyncio
import datetime
import socket
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from links import error_of, listening, play, status_after_hello

from upcare_mpc._proto.upcare.link.v1 import link_pb2, link_pb2_grpc
from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link.certificates import Network, new_authority

NOW = datetime.datetime.now(datetime.UTC)


def test_a_certificate_of_another_network_is_not_accepted(lab: Any) -> None:
    other = new_authority("other", now=NOW)

    async def story(stack: AsyncExitStack) -> None:
        _, port, connecting = await listening(lab, stack)
        stranger = lab.channel(
            1, identity=lab.admit("de-b", authority=other), roster=["de-a", "de-b"]
        )
        stack.push_async_callback(stranger.close)
        error = await error_of(stranger.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, LinkError)
        assert "de-b did not connect" in str(await error_of(connecting))

    play(story)


def test_a_listener_of_another_network_is_not_trusted(lab: Any) -> None:
    other = new_authority("other", now=NOW)

    async def story(stack: AsyncExitStack) -> None:
        impostor = lab.admit("de-a", authority=other, trusts=Network(other.certificate_pem))
        _, port, _ = await listening(lab, stack, identity=impostor)
        dialler = lab.channel(1, roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        error = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, LinkError)
        assert "certificate" in str(error)

    play(story)


@pytest.mark.parametrize("expired", ["listener", "dialler"])
def test_an_expired_certificate_is_not_accepted(lab: Any, expired: str) -> None:
    last_year = NOW - datetime.timedelta(days=365)

    async def story(stack: AsyncExitStack) -> None:
        old = {
            name: lab.admit(name, now=last_year, days=30) if role == expired else lab.identity(name)
            for name, role in (("de-a", "listener"), ("de-b", "dialler"))
        }
        _, port, connecting = await listening(lab, stack, identity=old["de-a"])
        dialler = lab.channel(1, identity=old["de-b"], roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        assert isinstance(await error_of(dialler.connect({0: f"127.0.0.1:{port}"})), LinkError)
        assert isinstance(await error_of(connecting), LinkError)

    play(story)


def test_a_listener_that_is_another_registry_is_not_taken_for_the_peer(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        _, port, _ = await listening(lab, stack, identity=lab.identity("fr-a"))
        dialler = lab.channel(1, roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        error = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, LinkError)
        assert "certificate" in str(error)

    play(story)


@pytest.mark.parametrize(
    ("name", "role"), [("fr-b", "registry"), ("de-b", "platform"), ("de-a", "registry")]
)
def test_a_valid_certificate_of_no_peer_of_the_session_is_turned_away(
    lab: Any, hello: Any, name: str, role: Any
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        _, port, connecting = await listening(lab, stack)
        call = await lab.raw(stack, port, lab.admit(name, role=role))
        assert await status_after_hello(call, hello()) == grpc.StatusCode.UNAUTHENTICATED
        assert not connecting.done()  # and the session goes on waiting for the real one

    play(story)


def test_a_caller_without_a_certificate_is_turned_away(lab: Any, hello: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        _, port, connecting = await listening(lab, stack)
        credentials = grpc.ssl_channel_credentials(root_certificates=lab.network.ca_pem)
        options = [("grpc.ssl_target_name_override", "de-a.registry.upcare")]
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
        await stack.enter_async_context(channel)
        call = link_pb2_grpc.LinkStub(channel).Exchange()
        assert await status_after_hello(call, hello()) == grpc.StatusCode.UNAVAILABLE
        assert not connecting.done()

    play(story)


def test_a_party_that_claims_another_place_is_refused(lab: Any, hello: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        _, port, connecting = await listening(lab, stack, roster=["de-a", "de-b", "de-c"])
        call = await lab.raw(stack, port, lab.identity("de-b"))
        await call.write(hello(index=2))
        error = await error_of(connecting)
        assert isinstance(error, ProtocolError)
        assert "de-b says it has place 2" in str(error)

    play(story)


@pytest.mark.parametrize(
    ("field", "word"),
    [("session_digest", "session"), ("study_digest", "study"), ("program_digest", "program")],
)
def test_parties_of_different_sessions_studies_or_programs_fail_at_once_in_words(
    lab: Any, field: str, word: str
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        _, port, connecting = await listening(lab, stack)
        dialler = lab.channel(1, roster=["de-a", "de-b"], **{field: b"x" * 32})
        stack.push_async_callback(dialler.close)
        started = time.monotonic()
        theirs = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        ours = await error_of(connecting)
        assert time.monotonic() - started < 1
        assert isinstance(ours, ProtocolError)
        assert f"de-b runs another {word}" in str(ours)
        assert isinstance(theirs, ProtocolError)
        assert "de-a refused the session" in str(theirs)

    play(story)


def test_the_dialling_party_checks_hello_as_well(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        wrong = link_pb2.Hello(
            index=0, session_digest=b"x" * 32, study_digest=b"q" * 32, program_digest=b"p" * 32
        )
        port = await raw_listener(lab, stack, [link_pb2.ExchangeResponse(hello=wrong)])
        dialler = lab.channel(1, roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        error = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, ProtocolError)
        assert "de-a runs another session" in str(error)

    play(story)


async def raw_listener(lab: Any, stack: AsyncExitStack, says: list[Any]) -> int:
    """A peer de-a that answers anything with the given messages, then waits."""

    class Servicer(link_pb2_grpc.LinkServicer):
        async def Exchange(self, request_iterator: Any, context: Any) -> None:
            for message in says:
                await context.write(message)
            await asyncio.sleep(60)

    me = lab.identity("de-a")
    credentials = grpc.ssl_server_credentials(
        [(me.key_pem, me.certificate_pem)],
        root_certificates=lab.network.ca_pem,
        require_client_auth=True,
    )
    server = grpc.aio.server()
    link_pb2_grpc.add_LinkServicer_to_server(Servicer(), server)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    stack.push_async_callback(server.stop, None)
    return int(port)


@pytest.mark.parametrize("kind", ["frame", "long hello"])
def test_a_listener_that_does_not_begin_with_hello_is_refused(lab: Any, kind: str) -> None:
    frame = link_pb2.ExchangeResponse(frame=link_pb2.Frame(label=1, total=1, piece=b"x"))
    long = link_pb2.ExchangeResponse(hello=link_pb2.Hello(session_digest=bytes(8192)))

    async def story(stack: AsyncExitStack) -> None:
        port = await raw_listener(lab, stack, [frame if kind == "frame" else long])
        dialler = lab.channel(1, roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        error = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, ProtocolError)
        assert "did not begin with a Hello" in str(error)

    play(story)


def test_a_listener_that_says_nothing_is_given_up(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        port = await raw_listener(lab, stack, [])
        dialler = lab.channel(1, roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        error = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, LinkError)

    assert play(story) < 6


def test_a_peer_that_is_not_there_is_reported(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        dialler = lab.channel(1, roster=["de-a", "de-b"])
        stack.push_async_callback(dialler.close)
        error = await error_of(dialler.connect({0: f"127.0.0.1:{port}"}))
        assert isinstance(error, LinkError)
        assert str(port) not in str(error)  # addresses stay out of error texts

    assert play(story) < 6
