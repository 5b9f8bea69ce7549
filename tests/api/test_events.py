"""A story beats while it is silent, ends when its time is over, and lets go of what it held."""

import asyncio
from typing import Any

from interface import DONE, Interface, authorized, bearing, events, study, token

from upcare_mpc.api.limits import Limits
from upcare_mpc.client.platform import Event
from upcare_mpc.errors import LinkError

BRIEF = Limits(stream_s=0.5, beat_s=0.1)


def listened(interface: Interface) -> Any:
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "watch", study())
    return interface.ask("GET", f"/studies/{study().digest.hex()}/events", headers=headers)


def test_it_beats_and_ends_where_the_platform_is_silent() -> None:
    interface = Interface(BRIEF)
    interface.platform.silent_after = 3

    answer = listened(interface)

    assert tuple(event["phase"] for event in events(answer)) == DONE[:3]
    assert answer.text.count(": waiting") >= 2
    assert answer.text.endswith(": to be continued\n\n")
    assert interface.platform.watching == 0


def test_a_platform_that_is_lost_is_told_within_the_story() -> None:
    interface = Interface(BRIEF)
    told = interface.platform.watch

    async def lost(authorization: Any) -> Any:
        async for number, event in told(authorization):
            yield number, event
            if number == 2:
                raise LinkError("the platform cannot be reached, or did not answer in time")

    interface.platform.watch = lost  # type: ignore[method-assign, assignment]

    answer = listened(interface)

    assert answer.status_code == 200
    *before, last = events(answer)
    assert len(before) == 2
    assert "event: problem" in answer.text
    assert (last["code"], last["status"]) == ("link", 503)


def test_a_platform_that_ends_the_story_early_ends_the_stream() -> None:
    interface = Interface(BRIEF)

    async def short(authorization: Any) -> Any:
        yield 1, Event(phase="submitted", text="", time=1.0, last=False)

    interface.platform.watch = short  # type: ignore[method-assign, assignment]

    assert len(events(listened(interface))) == 1


def test_a_listener_who_leaves_is_let_go() -> None:
    interface = Interface()
    interface.submit()
    interface.platform.silent_after = 2
    headers = bearing(token(interface.me)) | authorized(interface.me, "watch", study())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": f"/v1/studies/{study().digest.hex()}/events",
        "raw_path": b"",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.7", 1),
        "server": ("api.test", 443),
    }

    async def story() -> int:
        sent: list[Any] = []
        asked, left = False, asyncio.Event()

        async def receive() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if b"id: 2" in message.get("body", b""):
                left.set()

        async with asyncio.timeout(5):
            await interface.app(scope, receive, send)
        return sum("body" in message for message in sent)

    assert interface.run(story()) >= 3
    assert interface.platform.watching == 0


def test_a_listener_who_reads_nothing_is_cut_off(monkeypatch: Any) -> None:
    monkeypatch.setattr("upcare_mpc.api.events._GRACE_S", 0.1)
    interface = Interface(Limits(stream_s=0.2, beat_s=0.05))
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "watch", study())

    async def story() -> None:
        never = asyncio.Event()
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/v1/studies/{study().digest.hex()}/events",
            "query_string": b"",
            "headers": [(n.lower().encode(), v.encode()) for n, v in headers.items()],
            "client": ("192.0.2.7", 1),
        }
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if asked:
                await never.wait()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await never.wait()

        async with asyncio.timeout(5):
            await interface.app(scope, receive, send)

    interface.run(story())
    assert interface.platform.watching == 0
