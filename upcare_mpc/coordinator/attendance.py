"""The registries that are in touch with the platform, and calls to them over their streams."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.coordinator.lifecycle import in_words
from upcare_mpc.errors import RefusedError

__all__ = ["Attendance"]

QUOTE_S = 20.0
APPROVAL_S = 1800.0  # counting takes a fixed time that grows with a registry's declared size
REASON_CHARACTERS = 300  # of what a registry gives as its reason; the rest is cut off

Request = coordinator_pb2.AttendRequest
Response = coordinator_pb2.AttendResponse


class Attendance:
    """Who attends, and what is still awaited from whom.

    Args:
        hear: Called with (registry, message) for everything that is not an answer to a call.
        joined: Called with a registry's name when it begins to attend.
        left: Called with a registry's name when it is gone.
    """

    def __init__(
        self,
        *,
        hear: Callable[[str, Request], None],
        joined: Callable[[str], None],
        left: Callable[[str], None],
    ) -> None:
        self._hear = hear
        self._joined = joined
        self._left = left
        self._outboxes: dict[str, asyncio.Queue[Response | None]] = {}
        self._calls: dict[int, tuple[str, asyncio.Future[Request | None]]] = {}
        self._numbers = itertools.count(1)

    @property
    def attending(self) -> frozenset[str]:
        """The registries that are in touch now."""
        return frozenset(self._outboxes)

    async def serve(self, name: str, stream: Any) -> None:
        """Keep one registry's stream until it ends or a newer one of the same registry comes."""
        outbox: asyncio.Queue[Response | None] = asyncio.Queue()
        if (older := self._outboxes.get(name)) is not None:
            older.put_nowait(None)
        self._outboxes[name] = outbox
        await stream.write(Response(call=0))  # tells the registry that it is heard
        self._joined(name)
        reading = asyncio.ensure_future(self._read(name, stream))
        reading.add_done_callback(lambda _: outbox.put_nowait(None))
        try:
            while (message := await outbox.get()) is not None:
                await stream.write(message)
        finally:
            reading.cancel()
            if self._outboxes.get(name) is outbox:
                del self._outboxes[name]
                for number, (callee, future) in list(self._calls.items()):
                    if callee == name and not future.done():
                        future.set_result(None)
                        self._calls.pop(number, None)
                self._left(name)

    def tell(self, names: Iterable[str], **message: Any) -> None:
        """Send one message to all of ``names`` that attend."""
        for name in names:
            if name in self._outboxes:
                self._outboxes[name].put_nowait(Response(**message))

    async def quotes(
        self, request: study_pb2.StudyRequest, names: Iterable[str], *, submitted: bool
    ) -> list[coordinator_pb2.Quote]:
        """Ask registries what they would do with a study; absent ones are marked so."""
        offer = coordinator_pb2.Offer(request=request, submitted=submitted)

        async def ask(name: str) -> coordinator_pb2.Quote:
            answer = await self._call(name, QUOTE_S, offer=offer)
            if answer is None or not answer.HasField("quote"):
                return coordinator_pb2.Quote(
                    registry=name,
                    verdict=coordinator_pb2.Quote.VERDICT_ABSENT,
                    reason="is not connected to the platform",
                )
            answer.quote.registry = name  # the certificate says who speaks
            answer.quote.reason = answer.quote.reason[:REASON_CHARACTERS]
            return answer.quote

        return list(await asyncio.gather(*[ask(name) for name in names]))

    async def approvals(
        self, names: Iterable[str], **proposal: Any
    ) -> list[tuple[str, Request | None]]:
        """Ask registries to approve something; each answers so, or with a failure."""

        async def ask(name: str) -> tuple[str, Request | None]:
            return name, await self._call(name, APPROVAL_S, **proposal)

        return list(await asyncio.gather(*[ask(name) for name in names]))

    async def all_approve(self, names: Iterable[str], **proposal: Any) -> list[study_pb2.Approval]:
        """Ask registries to approve one session or collection, and return their approvals.

        Raises:
            RefusedError: One refuses or does not answer.
        """
        approvals: list[study_pb2.Approval] = []
        refusals: list[tuple[str, str]] = []
        for name, answer in await self.approvals(names, **proposal):
            if answer is not None and answer.HasField("approval"):
                approvals.append(answer.approval)
            elif answer is not None and answer.HasField("failure"):
                refusals.append((name, answer.failure.text[:REASON_CHARACTERS]))
            else:
                refusals.append((name, "did not answer"))
        if refusals:
            raise RefusedError(in_words(refusals))
        return approvals

    async def _call(self, name: str, timeout_s: float, **message: Any) -> Request | None:
        if name not in self._outboxes:
            return None
        number = next(self._numbers)
        future: asyncio.Future[Request | None] = asyncio.get_running_loop().create_future()
        self._calls[number] = (name, future)
        self._outboxes[name].put_nowait(Response(call=number, **message))
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return None
        finally:
            self._calls.pop(number, None)

    async def _read(self, name: str, stream: Any) -> None:
        while isinstance(message := await stream.read(), Request):
            callee, future = self._calls.get(message.call, (None, None))
            if message.call and callee == name and future is not None and not future.done():
                future.set_result(message)
            else:
                self._hear(name, message)
