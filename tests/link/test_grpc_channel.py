"""Real gRPC with mutual TLS on loopback: whole frames, peers that go, and no endless wait."""

import asyncio
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from links import error_of, linked_raw, play

from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link import grpc_channel
from upcare_mpc.link.grpc_channel import MAX_FRAME_BYTES, PIECE_BYTES, QUEUE_BYTES

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
