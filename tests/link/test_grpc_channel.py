"""Real gRPC with mutual TLS on loopback: whole frames, refusals in words, and no endless wait."""

import asyncio
import contextlib
import datetime
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest

from upcare_mpc._proto.upcare.link.v1 import link_pb2, link_pb2_grpc
from upcare_mpc.errors import LinkError, ProtocolError, UpcareError
from upcare_mpc.link import grpc_channel
from upcare_mpc.link.certificates import Network, new_authority
from upcare_mpc.link.grpc_channel import MAX_FRAME_BYTES, PIECE_BYTES, QUEUE_BYTES

NOW = datetime.datetime.now(datetime.UTC)
Story = Callable[[AsyncExitStack], Awaitable[None]]


def play(story: Story, *, within_s: float = 15) -> float:
    """Run a story to its end, close its links, and say how long it took."""

    async def run() -> float:
        started = time.monotonic()
        async with AsyncExitStack() as stack:
            await asyncio.wait_for(story(stack), within_s)
            return time.monotonic() - started

    return asyncio.run(run())


async def listening(lab: Any, stack: AsyncExitStack, **changed: Any) -> tuple[Any, int, Any]:
    """A party that listens and waits for de-b; what becomes of its links is the last value."""
    changed.setdefault("roster", ["de-a", "de-b"])
    channel = lab.channel(0, **changed)
    port = await channel.listen("127.0.0.1", [0])
    stack.push_async_callback(channel.close)
    connecting = asyncio.ensure_future(channel.connect({}))
    stack.callback(connecting.cancel)
    return channel, port, connecting


async def status_after_hello(call: Any, hello: Any) -> grpc.StatusCode:
    """How a stream ended that was to be turned away."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await call.write(hello)
        await call.read()
    return await call.code()


async def error_of(waiting: Awaitable[Any]) -> UpcareError:
    with pytest.raises(UpcareError) as caught:
        await waiting
    return caught.value


# -- good links -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES]
)
def test_a_frame_of_any_size_arrives_whole_in_both_directions(lab: Any, size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def story(stack: AsyncExitStack) -> None:
        listener, dialler = await lab.pair(stack)
        listener.send(1, 7, payload)
        dialler.send(0, 7, payload[::-1])
        assert await dialler.receive(0, 7) == payload
        assert await listener.receive(1, 7) == payload[::-1]
        assert listener.bytes_sent == dialler.bytes_sent == size

    play(story)


@pytest.mark.parametrize("size", [8, PIECE_BYTES, 2 * PIECE_BYTES + 8])
def test_a_frame_is_copied_when_it_is_sent_and_cannot_be_changed_when_it_is_read(
    lab: Any, size: int
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, dialler = await lab.pair(stack)
        buffer = bytearray(b"a" * size)
        listener.send(1, 7, memoryview(buffer))
        buffer[:] = b"b" * size  # nothing has left yet
        received = await dialler.receive(0, 7)
        assert received == b"a" * size
        assert received.readonly

    play(story)


def test_labels_of_any_kind_arrive_in_any_order(lab: Any) -> None:
    labels = [-1, -5, 0, 1, (1 << 63) - 1, -(1 << 63)]

    async def story(stack: AsyncExitStack) -> None:
        listener, dialler = await lab.pair(stack)
        for label in labels:
            listener.send(1, label, b"%d" % label)
        for label in reversed(labels):
            assert await dialler.receive(0, label) == b"%d" % label

    play(story)


def test_five_parties_link_and_contributors_only_with_computing_ones(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        channels = [lab.channel(index) for index in range(5)]
        ports = [await channel.listen("127.0.0.1", [0]) for channel in channels[:3]]
        stack.push_async_callback(lambda: asyncio.gather(*[c.close() for c in channels]))
        endpoints = {i: f"127.0.0.1:{port}" for i, port in enumerate(ports)}
        await asyncio.gather(*[channel.connect(endpoints) for channel in channels])

        for sender in range(5):
            for receiver in range(5):
                if sender != receiver and min(sender, receiver) < 3:
                    channels[sender].send(receiver, 1, b"%d%d" % (sender, receiver))
        for sender in range(5):
            for receiver in range(5):
                if sender != receiver and min(sender, receiver) < 3:
                    got = await channels[receiver].receive(sender, 1)
                    assert got == b"%d%d" % (sender, receiver)
        with pytest.raises(KeyError):
            channels[3].send(4, 1, b"")

    play(story)


def test_what_was_queued_before_closing_arrives(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        for closing_first in (0, 1):
            async with AsyncExitStack() as inner:
                pair = await lab.pair(inner)
                pair[closing_first].send(1 - closing_first, 1, bytes(3 << 20))
                ending = asyncio.ensure_future(pair[closing_first].close())
                got = await pair[1 - closing_first].receive(closing_first, 1)
                assert len(got) == 3 << 20
                await pair[1 - closing_first].close()
                await ending

    play(story)


def test_a_frame_above_the_limit_is_refused_before_it_is_sent(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, _ = await lab.pair(stack)
        with pytest.raises(ProtocolError, match="at most"):
            listener.send(1, 1, bytes(MAX_FRAME_BYTES + 1))

    play(story)


def test_drain_waits_while_much_is_queued_and_ends_when_the_peer_has_read(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, dialler = await lab.pair(stack)
        await asyncio.wait_for(listener.drain(), 0.1)
        for label in range(10):
            listener.send(1, label, bytes(2 << 20))
        draining = asyncio.ensure_future(listener.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        for label in range(10):
            await dialler.receive(0, label)
        await asyncio.wait_for(draining, 5)
        assert listener._peers[1].queued <= QUEUE_BYTES

    play(story)


# -- who may link -----------------------------------------------------------------------------


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


# -- what a peer may send ---------------------------------------------------------------------


@pytest.mark.parametrize("first", ["frame", "nothing", "empty", "long hello"])
def test_nothing_is_read_before_hello(lab: Any, hello: Any, frame: Any, first: str) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, port, connecting = await listening(lab, stack)
        call = await lab.raw(stack, port, lab.identity("de-b"))
        if first == "frame":
            await call.write(frame(1, b"early"))
        elif first == "empty":
            await call.write(link_pb2.ExchangeRequest())
        elif first == "long hello":
            await call.write(hello(session_digest=bytes(5000)))
        error = await error_of(connecting)
        expected = LinkError if first == "nothing" else ProtocolError
        assert isinstance(error, expected)
        assert "Hello" in str(error) or "did not connect" in str(error)
        assert not listener._peers[1].mailbox._arrived

    play(story)


async def linked_raw(
    lab: Any, stack: AsyncExitStack, hello: Any, **changed: Any
) -> tuple[Any, Any]:
    """A listening party linked with a raw peer that may write anything."""
    listener, port, connecting = await listening(lab, stack, **changed)
    call = await lab.raw(stack, port, lab.identity("de-b"))
    await call.write(hello())
    await call.read()
    await connecting
    return listener, call


def bad_streams() -> dict[str, tuple[str, list[tuple[Any, ...]]]]:
    mib = bytes(PIECE_BYTES)
    return {
        "a total above the limit": ("announced a frame", [(1, b"x", MAX_FRAME_BYTES + 1)]),
        "the largest total there is": ("announced a frame", [(1, b"x", (1 << 28) - 1)]),
        "more than announced": ("wrong length", [(1, b"xyz", 2)]),
        "less than announced": ("wrong length", [(1, b"x", 2)]),
        "an empty piece of more": ("wrong length", [(1, b"", 5)]),
        "more than announced in the second piece": (
            "wrong length",
            [(1, mib, PIECE_BYTES + 1), (1, b"xy", PIECE_BYTES + 1)],
        ),
        "a short piece before the last": (
            "wrong length",
            [(1, mib[:-1], 2 * PIECE_BYTES)],
        ),
        "two frames mixed": ("mixed", [(1, mib, 2 * PIECE_BYTES), (2, mib, 2 * PIECE_BYTES)]),
        "a label used twice": ("second frame", [(1, b"x", 1), (1, b"x", 1)]),
        "an empty label used twice": ("second frame", [(1, b"", 0), (1, b"", 0)]),
    }


@pytest.mark.parametrize("case", bad_streams())
def test_a_frame_outside_the_rules_ends_the_link_in_words(
    lab: Any, hello: Any, frame: Any, case: str
) -> None:
    words, frames = bad_streams()[case]

    async def story(stack: AsyncExitStack) -> None:
        listener, call = await linked_raw(lab, stack, hello)
        pending = listener.receive(1, 99)
        for label, piece, total in frames:
            await call.write(frame(label, piece, total))
        error = await error_of(pending)
        assert isinstance(error, ProtocolError)
        assert words in str(error)
        assert "de-b" in str(error)

    assert play(story) < 5


@pytest.mark.parametrize(
    "what", ["second hello", "neither", "short varints", "a byte more", "a byte less"]
)
def test_anything_but_frames_after_hello_is_refused(
    lab: Any, hello: Any, frame: Any, what: str
) -> None:
    later = {
        "second hello": hello(),
        "neither": link_pb2.ExchangeRequest(),
        "short varints": link_pb2.ExchangeRequest(frame=link_pb2.Frame(label=99, total=1)),
        "a byte more": frame(99, b"x") + b"x",
        "a byte less": frame(99, b"x")[:-1],
    }

    async def story(stack: AsyncExitStack) -> None:
        listener, call = await linked_raw(lab, stack, hello)
        pending = listener.receive(1, 99)
        await call.write(later[what])
        assert "something else than a frame" in str(await error_of(pending))

    play(story)


def test_a_message_above_the_size_limit_is_not_parsed(lab: Any, hello: Any, frame: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, call = await linked_raw(lab, stack, hello)
        pending = listener.receive(1, 99)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call.write(frame(1, bytes(2 << 20)))
        assert isinstance(await error_of(pending), LinkError)

    play(story)


def test_a_second_stream_of_a_peer_is_turned_away_and_the_first_lives(
    lab: Any, hello: Any, frame: Any
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, call = await linked_raw(lab, stack, hello)
        second = await lab.raw(stack, listener._test_port, lab.identity("de-b"))
        assert await status_after_hello(second, hello()) == grpc.StatusCode.INVALID_ARGUMENT
        await call.write(frame(5, b"alive"))
        assert await listener.receive(1, 5) == b"alive"

    original = grpc_channel.GrpcChannel.listen

    async def listen(self: Any, host: str, ports: Any) -> int:
        self._test_port = await original(self, host, ports)
        return int(self._test_port)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpc_channel.GrpcChannel, "listen", listen)
        play(story)


# -- peers that go, or say nothing ------------------------------------------------------------


KILLED = """
import asyncio, sys, json, datetime
from pathlib import Path
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello

async def main():
    folder, role, port = sys.argv[1:]
    me = Identity.load(Path(folder), now=datetime.datetime.now(datetime.UTC))
    hello = SessionHello(session_digest=b"s" * 32, study_digest=b"q" * 32, program_digest=b"p" * 32)
    channel = GrpcChannel(me, ["de-a", "de-b"], parties=3, index=int(role), hello=hello)
    if role == "0":
        print(await channel.listen("127.0.0.1", [0]), flush=True)
    await channel.connect({0: "127.0.0.1:" + port})
    channel.send(1 - int(role), 1, b"here")
    print("linked", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parties
@pytest.mark.parametrize("role", ["listener", "dialler"])
def test_a_killed_peer_fails_pending_receives_at_once(lab: Any, tmp_path: Any, role: str) -> None:
    other = lab.identity("de-a" if role == "listener" else "de-b")
    for name, content in (
        ("ca.pem", lab.network.ca_pem),
        ("party.pem", other.certificate_pem),
        ("party.key", other.key_pem),
    ):
        (tmp_path / name).write_bytes(content)

    async def story(stack: AsyncExitStack) -> None:
        mine = lab.channel(1 if role == "listener" else 0, roster=["de-a", "de-b"], silence_s=60)
        stack.push_async_callback(mine.close)
        port = 0 if role == "listener" else await mine.listen("127.0.0.1", [0])
        place = "0" if role == "listener" else "1"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(tmp_path), place, str(port), stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            if role == "listener":
                port = int(await process.stdout.readline())
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(grpc_channel, "CONNECT_S", 10.0)
                await mine.connect({0: f"127.0.0.1:{port}"})
            assert await mine.receive(int(place), 1) == b"here"
            pending = [mine.receive(int(place), label) for label in (2, 3)]
            await asyncio.sleep(0.1)
            assert not any(wait.done() for wait in pending)
            started = time.monotonic()
            process.kill()
            for wait in pending:
                assert isinstance(await error_of(wait), LinkError)
            assert time.monotonic() - started < 2
            assert isinstance(await error_of(mine.receive(int(place), 4)), LinkError)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            transport = process._transport
            transport.close()

    play(story, within_s=30)


def test_a_silent_peer_fails_pending_receives_within_the_stated_time(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, _ = await lab.pair(stack, silence_s=1.0)
        await asyncio.sleep(0.7)  # silence does not count while nothing is awaited
        started = time.monotonic()
        error = await error_of(listener.receive(1, 1))
        assert 0.9 < time.monotonic() - started < 2.5
        assert isinstance(error, LinkError)
        assert "de-b was silent for 1 s" in str(error)

    play(story)


def test_a_slow_frame_is_not_silence(lab: Any, hello: Any, frame: Any) -> None:
    """Its pieces come one by one, each in time, the whole not."""

    async def story(stack: AsyncExitStack) -> None:
        listener, call = await linked_raw(lab, stack, hello, silence_s=1.0)
        pending = listener.receive(1, 1)
        for _ in range(4):
            await asyncio.sleep(0.6)
            await call.write(frame(1, bytes(PIECE_BYTES), 4 * PIECE_BYTES))
        assert len(await pending) == 4 * PIECE_BYTES

    play(story)


def test_a_peer_that_reads_nothing_does_not_hold_a_sender_for_ever(lab: Any, hello: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        listener, _ = await linked_raw(lab, stack, hello, silence_s=1.0)
        for label in range(12):
            listener.send(1, label, bytes(2 << 20))
        await asyncio.wait_for(listener.drain(), 5)
        assert "took nothing" in str(await error_of(listener.receive(1, 1)))

    play(story)


def test_a_peer_that_says_goodbye_fails_what_is_still_awaited_from_it(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        for leaving in (0, 1):
            async with AsyncExitStack() as inner:
                pair = await lab.pair(inner)
                pending = pair[1 - leaving].receive(leaving, 1)
                ending = asyncio.ensure_future(pair[leaving].close())
                # A dialler's goodbye is seen at once; a listener waits for ours, up to 3 s.
                error = await error_of(pending)
                assert isinstance(error, LinkError)
                await ending

    play(story)


# -- ports ------------------------------------------------------------------------------------


def test_the_first_free_port_is_taken(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        with socket.socket() as taken, socket.socket() as free:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            free.bind(("127.0.0.1", 0))
            wanted = free.getsockname()[1]
            free.close()
            channel = lab.channel(0)
            stack.push_async_callback(channel.close)
            assert await channel.listen("127.0.0.1", [taken.getsockname()[1], wanted]) == wanted

    play(story)


def test_no_free_port_is_said_in_words(lab: Any) -> None:
    async def story(stack: AsyncExitStack) -> None:
        first, second = lab.channel(0), lab.channel(0)
        stack.push_async_callback(first.close)
        port = await first.listen("127.0.0.1", [0])
        with pytest.raises(LinkError, match=r"no port of \[link\]\.ports is free"):
            await second.listen("127.0.0.1", [port, port])

    play(story)
