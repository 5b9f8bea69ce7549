"""What a linked peer may send, over real gRPC: whole frames by the rules, and nothing else."""

import contextlib
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from links import error_of, linked_raw, listening, play, status_after_hello

from upcare_mpc._proto.upcare.link.v1 import link_pb2
from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link import grpc_channel
from upcare_mpc.link.grpc_channel import MAX_FRAME_BYTES, PIECE_BYTES


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
