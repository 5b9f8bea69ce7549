"""Stories over real links: with an end, listening, with a raw peer, ended in an error."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest

from upcare_mpc.errors import UpcareError

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
