"""A study's story as server-sent events: it ends, it beats, and nobody holds it open for ever."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Final

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from upcare_mpc.api.limits import Limits
from upcare_mpc.api.problems import code_of, document
from upcare_mpc.client.platform import Event
from upcare_mpc.errors import UpcareError

__all__ = ["EVENTS_CONTENT", "EventStream", "Story"]

EVENTS_CONTENT: Final = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "description": "One event.",
            "properties": {
                "id": {"type": "string"},
                "event": {"type": "string", "enum": ["message", "problem"]},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": "#/components/schemas/EventItem"},
                },
            },
        }
    }
}
"""For OpenAPI 3.1, which has no word for a stream: what one of its events is."""

Story = AsyncGenerator[tuple[int, Event], None]
_GRACE_S = 5.0


class EventStream(StreamingResponse):
    """Sends a story, then closes it; also if nobody reads."""

    media_type = "text/event-stream"

    def __init__(
        self,
        story: Story,
        first: tuple[int, Event],
        *,
        after: int,
        limits: Limits,
        left: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            story: The rest of it.
            first: What was heard of it already.
            after: Number of the last event that is not wanted.
            limits: How long it may take.
            left: Called once, at the end.
        """
        self._story = story
        self._limits = limits
        self._told = self._lines(first, after)
        super().__init__(self._told)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A client that reads nothing is cut off, which ends the connection."""
        try:
            async with asyncio.timeout(self._limits.stream_s + _GRACE_S):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            pass
        finally:
            self._left()
            await self._told.aclose()  # first: it may be in the middle of the story
            await self._story.aclose()

    async def _lines(self, first: tuple[int, Event], after: int) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.stream_s
        yield ": the story of a study\n\n"
        number, event = first
        while True:
            if number > after:
                yield _block(number, event)
            if event.last:
                return
            coming = asyncio.ensure_future(anext(self._story))
            try:
                while not coming.done():
                    left = min(self._limits.beat_s, end - loop.time())
                    if left <= 0:
                        yield ": to be continued\n\n"
                        return
                    await asyncio.wait({coming}, timeout=left)
                    if not coming.done():
                        yield ": waiting\n\n"
            finally:
                coming.cancel()
                await asyncio.wait({coming})
            try:
                number, event = coming.result()
            except StopAsyncIteration:
                return
            except UpcareError as error:
                failure = json.dumps(document(code_of(error), str(error)))
                yield f"event: problem\ndata: {failure}\n\n"
                return


def _block(number: int, event: Event) -> str:
    content = {
        "sequence": number,
        "time": event.time,
        "phase": event.phase,
        "text": event.text,
        "last": event.last,
    }
    return f"id: {number}\ndata: {json.dumps(content)}\n\n"
