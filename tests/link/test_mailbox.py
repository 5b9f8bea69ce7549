"""What has arrived from one peer and what is awaited: once, bounded, and never pending for ever."""

import asyncio

import pytest

from upcare_mpc.errors import LinkError, ProtocolError
from upcare_mpc.link import mailbox as module
from upcare_mpc.link.mailbox import Mailbox
from upcare_mpc.link.memory import connect


def test_a_frame_is_received_whether_awaited_before_or_after_it_arrives() -> None:
    async def story() -> tuple[bytes, bytes]:
        mailbox = Mailbox("de-b")
        early = mailbox.receive(1)
        mailbox.deliver(1, b"one")
        mailbox.deliver(2, b"two")
        return await early, await mailbox.receive(2)

    assert asyncio.run(story()) == (b"one", b"two")


def test_frames_are_told_apart_by_label_not_by_order() -> None:
    async def story() -> list[bytes]:
        mailbox = Mailbox("de-b")
        for label in (3, -5, 1 << 62):
            mailbox.deliver(label, b"%d" % label)
        return [await mailbox.receive(label) for label in (1 << 62, 3, -5)]

    assert asyncio.run(story()) == [b"%d" % (1 << 62), b"3", b"-5"]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_second_frame_under_a_label_is_refused(claimed: bool) -> None:
    async def story() -> None:
        mailbox = Mailbox("de-b")
        mailbox.deliver(1, b"one")
        if claimed:
            await mailbox.receive(1)
        with pytest.raises(ProtocolError, match="de-b sent a second frame under one label"):
            mailbox.deliver(1, b"one")

    asyncio.run(story())


def test_a_replay_after_the_awaited_frame_is_refused_too() -> None:
    async def story() -> None:
        mailbox = Mailbox("de-b")
        future = mailbox.receive(1)
        mailbox.deliver(1, b"one")
        with pytest.raises(ProtocolError):
            mailbox.deliver(1, b"two")
        assert await future == b"one"

    asyncio.run(story())


def test_a_label_is_awaited_once() -> None:
    async def story() -> None:
        mailbox = Mailbox("de-b")
        mailbox.receive(1)
        with pytest.raises(AssertionError):
            mailbox.receive(1)

    asyncio.run(story())


def test_failure_reaches_pending_and_later_receives_with_the_first_error() -> None:
    async def story() -> list[str]:
        mailbox = Mailbox("de-b")
        pending = mailbox.receive(1)
        mailbox.fail(ProtocolError("the clear error"))
        mailbox.fail(LinkError("its echo"))
        texts = []
        for future in (pending, mailbox.receive(2)):
            with pytest.raises(ProtocolError) as caught:
                await future
            texts.append(str(caught.value))
        return texts

    assert asyncio.run(story()) == ["the clear error"] * 2


def test_a_failure_without_a_reason_is_a_lost_link() -> None:
    async def story() -> None:
        mailbox = Mailbox("de-b")
        mailbox.fail()
        with pytest.raises(LinkError, match="the link to de-b is lost"):
            await mailbox.receive(1)

    asyncio.run(story())


def test_what_arrived_before_the_end_can_still_be_received() -> None:
    async def story() -> bytes:
        mailbox = Mailbox("de-b")
        mailbox.deliver(1, b"last words")
        mailbox.fail()
        return await mailbox.receive(1)

    assert asyncio.run(story()) == b"last words"


def test_a_receive_that_was_cancelled_does_not_disturb_the_frame() -> None:
    async def story() -> None:
        mailbox = Mailbox("de-b")
        mailbox.receive(1).cancel()
        mailbox.deliver(1, b"one")
        mailbox.receive(2).cancel()
        mailbox.fail()

    asyncio.run(story())


def test_bytes_that_nobody_asked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNCLAIMED_BYTES", 10_000)

    async def story() -> None:
        mailbox = Mailbox("de-b")
        for label in range(4):
            mailbox.deliver(label, bytes(2000))
        with pytest.raises(ProtocolError, match="more than anyone asked for"):
            mailbox.deliver(4, bytes(2000))

    asyncio.run(story())


def test_empty_frames_that_nobody_asked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are free to send but not to keep: without a cost of their own a peer could send
    them until memory is full."""
    monkeypatch.setattr(module, "MAX_UNCLAIMED_BYTES", 100_000)

    async def story() -> int:
        mailbox = Mailbox("de-b")

        def flood() -> None:
            for label in range(1_000_000):
                mailbox.deliver(label, b"")

        with pytest.raises(ProtocolError, match="more than anyone asked for"):
            flood()
        return len(mailbox._arrived)

    assert asyncio.run(story()) < 1000


def test_received_frames_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNCLAIMED_BYTES", 10_000)

    async def story() -> None:
        mailbox = Mailbox("de-b")
        for label in range(100):
            mailbox.deliver(label, bytes(9000))
            await mailbox.receive(label)
            awaited = mailbox.receive(1000 + label)
            mailbox.deliver(1000 + label, bytes(9000))
            await awaited

    asyncio.run(story())


def test_waiting_says_whether_a_frame_is_owed() -> None:
    async def story() -> list[bool]:
        mailbox = Mailbox("de-b")
        seen = [mailbox.waiting]
        mailbox.receive(1)
        seen.append(mailbox.waiting)
        mailbox.deliver(1, b"")
        seen.append(mailbox.waiting)
        return seen

    assert asyncio.run(story()) == [False, True, False]


def test_memory_links_carry_frames_between_the_right_parties() -> None:
    async def story() -> None:
        ends = connect(3)
        ends[0].send(2, 1, b"from 0")
        ends[1].send(2, 1, b"from 1")
        assert await ends[2].receive(0, 1) == b"from 0"
        assert await ends[2].receive(1, 1) == b"from 1"
        assert (ends[0].bytes_sent, ends[2].bytes_sent) == (6, 0)

    asyncio.run(story())


def test_a_frame_sent_in_memory_is_a_copy_that_its_receiver_cannot_change() -> None:
    async def story() -> None:
        ends = connect(2)
        buffer = bytearray(b"before")
        ends[0].send(1, 1, memoryview(buffer))
        buffer[:] = b"after!"
        received = await ends[1].receive(0, 1)
        assert received == b"before"
        assert received.readonly

    asyncio.run(story())


def test_a_party_lost_in_memory_fails_all_waits_for_it_and_no_others() -> None:
    async def story() -> None:
        ends = connect(3)
        waits = [ends[peer].receive(2, 1) for peer in (0, 1)]
        other = ends[0].receive(1, 1)
        ends[2].lose()
        for wait in waits:
            with pytest.raises(LinkError, match="party 2"):
                await wait
        assert not other.done()

    asyncio.run(story())
