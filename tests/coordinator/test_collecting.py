"""A study that takes deposits: it collects, is closed, runs, and can be tried again."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collecting_world import NAMES, World
from fake_holders import FakeHolder, Said

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.coordinator import collecting as module
from upcare_mpc.coordinator import collections
from upcare_mpc.coordinator.lifecycle import State
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.findings import Findings, freeze
from upcare_mpc.deposits.key import HolderKey
from upcare_mpc.errors import ConfigError, ProtocolError, RefusedError, StudyError
from upcare_mpc.link.signers import verifier
from upcare_mpc.mpc.programs.contract import WITH_DEPOSITS
from upcare_mpc.study.descriptor import Descriptor

Quote = coordinator_pb2.Quote


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for wait in ("GRACE_S", "WORDS_S"):
        monkeypatch.setattr(f"upcare_mpc.coordinator.run.{wait}", 0.1)
    made = World(tmp_path)
    yield made
    made.database.close()


def phases(story: list[tuple[str, str]]) -> list[str]:
    return [phase for phase, _ in story]


# --- from submission to result --------------------------------------------------------------------


def test_a_study_collects_until_it_is_closed_and_then_runs(world: World) -> None:
    world["de-b"].refuses = {1: "proof"}

    async def story(platform: Platform) -> list[Any]:
        await platform.submit(world.request())
        first = await world.story(platform)
        collection = world.collection
        for _ in range(3):
            world.deposit()
        assert world.state is State.COLLECTING
        return [first, collection, await world.closes(platform), world.result(platform)]

    first, collection, second, result = world.run(story)

    assert phases(first) == ["submitted", "key", "collecting"]
    assert first[-1][1].endswith(f"UTC: collection {collection.digest.hex()[:12]}")
    assert second[0] == ("closing", "3 deposits, checked by de-a, de-b, de-c, de-d")
    assert second[1] == ("closing", "2 deposits enter, 1 refused (1 proof)")
    assert phases(second)[2:] == ["approvals", "opening", "done"]
    descriptor = Descriptor.from_canonical(result[0].descriptor)
    assert [member.name for member in descriptor.roster] == list(NAMES)
    assert descriptor.program.endswith(WITH_DEPOSITS)
    (shown,) = [part.collection for part in result if part.collection]
    assert shown == collection.canonical()
    signed = [part.findings for part in result if part.HasField("findings")]
    frozen = freeze(
        Collection.from_canonical(shown),
        [Findings.from_canonical(s.findings, s.signature) for s in signed],
        verifier({n: h.identity.certificate_pem.decode() for n, h in world.holders.items()}),
    )
    assert (frozen.digest, frozen.accepted) == (descriptor.deposits, (0, 2))
    for holder in world.holders.values():
        (proposal,) = holder.proposals
        assert proposal.collection == shown
        assert list(proposal.findings) == signed
        assert holder.discarded == [collection.digest]
    assert world.deposits.get(collection.digest).state == "over"  # type: ignore[union-attr]
    assert not (world.folder / "deposits" / collection.digest.hex()).exists()
    assert len(world.deposits.digests(collection.digest)) == 3


def test_the_collection_says_what_the_study_says(world: World) -> None:
    world["de-b"].computes = False
    collection = world.run(world.collects)

    assert collection.names == ("de-a", "de-c", "de-d")
    assert (collection.threshold, collection.envelope) == (1, "sealed")
    assert collection.depositors == ("fr-a",)
    assert set(collection.vouchers) == {*NAMES, "fr-a"}
    assert collection.closes - collection.opened == 3 * 24 * 3600
    assert collection.study == world.study.digest
    assert collection.signing_key == world.me.signing_key


def test_a_collection_without_deposits_runs_too(world: World) -> None:
    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        return await world.closes(platform)

    events = world.run(story)

    assert events[1] == ("closing", "0 deposits enter, 0 refused")
    assert phases(events)[-1] == "done"


def test_asking_again_attaches_to_what_collects_and_finds_what_is_done(world: World) -> None:
    async def story(platform: Platform) -> list[bool]:
        collection = await world.collects(platform)
        known = [(await platform.submit(world.request()))[1]]
        assert world.collection == collection
        await world.closes(platform, without=["de-d"])
        known.append((await platform.submit(world.request()))[1])
        return known

    assert world.run(story) == [True, True]
    assert world.state is State.DONE


# --- a key that is not dealt ----------------------------------------------------------------------


def silent(_start: Any) -> Said:
    return []


def other_name(holder: FakeHolder) -> Any:
    def say(start: coordinator_pb2.Start) -> Said:
        key = HolderKey(
            collection=start.session_digest, holder="de-b", public=b"", sealing=bytes(32)
        )
        signed = key.signed(holder.identity.sign)
        return [{"key": deposit_pb2.SignedKey(collection=key.collection, key=signed.to_bytes())}]

    return say


def unsigned(start: coordinator_pb2.Start) -> Said:
    key = HolderKey(collection=start.session_digest, holder="de-a", public=b"", sealing=bytes(32))
    return [{"key": deposit_pb2.SignedKey(collection=key.collection, key=key.to_bytes())}]


@pytest.mark.parametrize(
    ("breaks", "state", "why"),
    [
        (lambda h: {"on_collection": lambda _: h.fails(b"", "no")}, State.REFUSED, "de-a: no"),
        (lambda h: {"on_collection": lambda _: []}, State.REFUSED, "de-a: did not answer"),
        (lambda h: {"on_start": silent}, State.FAILED, "de-a: did not answer in time"),
        (
            lambda h: {"on_start": lambda s: h.fails(s.session_digest, "has lost its worker")},
            State.FAILED,
            "de-a: has lost its worker",
        ),
        (lambda h: {"on_start": other_name(h)}, State.FAILED, "de-a: a holder signs the key for"),
        (lambda h: {"on_start": unsigned}, State.FAILED, "a signature is not the named party's"),
    ],
)
def test_a_key_that_is_not_dealt_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, breaks: Any, state: State, why: str
) -> None:
    monkeypatch.setattr(collections, "KEY_S", 0.2)
    monkeypatch.setattr("upcare_mpc.coordinator.attendance.APPROVAL_S", 0.2)
    for method, says in breaks(world["de-a"]).items():
        setattr(world["de-a"], method, says)

    async def story(platform: Platform) -> Any:
        await platform.submit(world.request())
        return await world.story(platform)

    events = world.run(story)

    assert world.state is state
    assert why in events[-1][1]
    (over,) = world.deposits.over()
    assert all(holder.discarded == [over.collection.digest] for holder in world.holders.values())
    assert list((world.folder / "deposits").iterdir()) == []


def test_a_holder_that_is_lost_while_the_key_is_dealt_ends_it_at_once(world: World) -> None:
    world["de-a"].on_start = silent  # type: ignore[method-assign]

    async def story(platform: Platform) -> Any:
        await platform.submit(world.request())
        await world["de-a"].hears("start")
        await world.lose("de-a")
        return await world.story(platform)

    assert world.run(story)[-1] == ("failed", "no key was dealt: de-a: was lost")


def test_too_few_registries_that_compute_hold_no_key(world: World) -> None:
    for name in ("de-a", "de-b"):
        world[name].computes = False

    async def story(platform: Platform) -> Any:
        await platform.submit(world.request())
        return await world.story(platform)

    assert world.run(story)[-1][0] == "refused"
    assert world.deposits.over() == ()


def test_one_researcher_has_so_many_collections_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upcare_mpc.deposits.collection.MAX_AT_ONCE", 1)
    second = replace(world.study, title="Another")

    async def ending(platform: Platform, who: Researcher) -> tuple[str, str]:
        await platform.submit(world.request(who, second))
        asked = who.authorize(second.digest, "watch", now=world.now.timestamp())
        return [(event.kind, event.text) async for event, _ in platform.watch(asked)][-1]

    async def story(platform: Platform) -> list[tuple[str, str]]:
        await world.collects(platform)
        refused = await ending(platform, world.me)
        others = await ending(platform, world.other)
        await world.closes(platform)
        return [refused, others, await ending(platform, world.me)]

    refused, others, after = world.run(story)

    assert refused[0] == "refused"
    assert refused[1] == (
        "wanted at most 1 collections of one researcher at once, and 1 are not over: "
        "close one first"
    )
    assert world["de-a"].heard.count("collection") == 3
    assert [others[0], after[0]] == ["collecting", "collecting"]


# --- closing --------------------------------------------------------------------------------------


def test_only_its_researcher_closes_and_with_a_new_request(world: World) -> None:
    async def story(platform: Platform) -> None:
        request = world.request()
        await platform.submit(request)
        await world.story(platform)
        with pytest.raises(StudyError, match="has not submitted such a study"):
            await platform.close(world.closing(world.other), ())
        with pytest.raises(ProtocolError, match="signed to close, not 'submit'"):
            await platform.close(request, ())
        now, other = time.time(), os.urandom(32)
        elsewhere = world.me.request(world.study, "close", now=now, collection=other)
        with pytest.raises(RefusedError, match="closes another collection"):
            await platform.close(elsewhere, ())
        altered = world.closing()
        altered.nonce = bytes(16)
        with pytest.raises(ProtocolError, match="not signed by the key"):
            await platform.close(altered, ())
        with pytest.raises(StudyError, match="wanted registries of the study: de-a, de-b"):
            await platform.close(world.closing(), ["fr-a"])
        assert world.state is State.COLLECTING
        assert world.deposit() == b"receipt 0"
        await world.closes(platform)
        with pytest.raises(RefusedError, match="not collecting, it is done"):
            await platform.close(world.closing(), ())

    world.run(story)


def test_a_study_without_deposits_is_not_closed(world: World) -> None:
    async def story(platform: Platform) -> None:
        with pytest.raises(StudyError, match="has not submitted"):
            await platform.close(world.closing(), ())

    world.run(story)


@pytest.mark.parametrize("how", ["lost", "unwilling", "pending"])
def test_a_registry_that_does_not_take_part_keeps_it_open_unless_it_is_named(
    world: World, how: str
) -> None:
    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        if how == "lost":
            await world.lose("de-d")
        world["de-d"].verdict = Quote.VERDICT_NO if how == "unwilling" else Quote.VERDICT_PENDING
        with pytest.raises(RefusedError, match=r"^de-d: (is not connected|says no)"):
            await platform.close(world.closing(), ())
        assert world.state is State.COLLECTING
        world.deposit()
        return await world.closes(platform, without=["de-d"])

    events = world.run(story)

    assert events[0] == ("closing", "1 deposits, checked by de-a, de-b, de-c")
    assert phases(events)[-1] == "done"
    (session,) = world["de-a"].sessions
    assert [member.name for member in session.roster] == ["de-a", "de-b", "de-c"]
    assert world["de-d"].sessions == []


def test_fewer_than_2t_1_holders_close_nothing(world: World) -> None:
    async def story(platform: Platform) -> None:
        await world.collects(platform)
        with pytest.raises(RefusedError, match="3 of de-a, de-b, de-c, de-d have to take part"):
            await platform.close(world.closing(), ["de-a", "de-b"])
        assert world.deposit() == b"receipt 0"

    world.run(story)


def test_of_two_that_close_at_once_one_does(world: World) -> None:
    async def story(platform: Platform) -> list[Any]:
        await world.collects(platform)
        closing = [platform.close(world.closing(), ()) for _ in range(2)]
        done = await asyncio.gather(*closing, return_exceptions=True)
        await world.story(platform)
        return done

    done = world.run(story)

    assert sorted(type(one).__name__ for one in done) == ["RefusedError", "tuple"]
    assert len(world["de-a"].sessions) == 1


def test_nobody_deposits_once_it_is_closed(world: World) -> None:
    async def story(platform: Platform) -> None:
        await world.collects(platform)
        world.deposit()
        _, count = await platform.close(world.closing(), ())
        assert count == 1
        with pytest.raises(RefusedError, match="this collection is closed"):
            world.deposit()
        await world.story(platform)

    world.run(story)


# --- holders that are lost, or find other things --------------------------------------------------


@pytest.mark.parametrize("how", ["leaves", "fails", "is silent", "signs for another"])
def test_a_holder_lost_while_it_checks_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(collections, "FINDINGS_S", 0.3)
    lost = world["de-a"]
    honest = lost.on_closing

    def closing(message: deposit_pb2.Closing) -> Said:
        if how == "leaves":
            lost.leave()
        if how == "fails":
            return lost.fails(message.collection, "its disk is full")
        if how == "signs for another":
            (said,) = honest(message)
            found = Findings.from_canonical(said["findings"].findings, b"")
            return lost.finds(replace(found, holder="de-b"))
        return []

    lost.on_closing = closing  # type: ignore[method-assign]

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        return await world.closes(platform)

    events = world.run(story)

    assert world["de-b"].heard.count("closing") == 2
    if how == "leaves":  # it was to contribute, too
        assert events[-1][0] == "collecting"
        assert "de-a: is not connected" in events[-1][1]
        assert world["de-b"].sessions == []
        return
    assert events[-1][0] == "done"
    (session,) = world["de-b"].sessions
    assert [member.name for member in session.roster] == ["de-b", "de-c", "de-d", "de-a"]


def test_findings_from_before_a_holder_was_lost_do_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """de-b answers the first round late, with another word on a deposit, and then the second."""
    late: list[Said] = []
    slow = world["de-b"]
    honest = slow.on_closing

    def closing(message: deposit_pb2.Closing) -> Said:
        slow.refuses = {0: "form"} if len(message.present) == 4 else {}
        if len(message.present) == 4:
            late.append(honest(message))
            return []
        return [*late[0], *honest(message)]

    slow.on_closing = closing  # type: ignore[method-assign]
    world["de-d"].on_closing = lambda m: world["de-d"].fails(m.collection, "no")  # type: ignore[method-assign]

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        return await world.closes(platform)

    events = world.run(story)

    assert ("closing", "1 deposits enter, 0 refused") in events
    assert events[-1][0] == "done"


def test_with_too_few_holders_it_stays_closed_and_is_closed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = {name: world[name].on_closing for name in ("de-a", "de-b")}
    for name in honest:
        holder = world[name]
        holder.on_closing = lambda m, h=holder: h.fails(m.collection, "its disk is full")  # type: ignore[method-assign, misc]

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        first = await world.closes(platform)
        assert world.state is State.COLLECTING
        with pytest.raises(RefusedError, match="this collection is closed"):
            world.deposit()
        for name, says in honest.items():
            world[name].on_closing = says  # type: ignore[method-assign]
        return first, await world.closes(platform)

    first, second = world.run(story)

    phase, text = first[-1]
    assert phase == "collecting"
    assert text.startswith("3 holders have to check the deposits, 2 are left: ")
    assert text.endswith("its disk is full; close it again, sessions that may still be tried: 3")
    assert phases(second)[-1] == "done"


def test_holders_with_different_deposits_convert_none(world: World) -> None:
    lied = world["de-c"]

    def closing(message: deposit_pb2.Closing) -> Said:
        message.deposits = bytes(32)
        return FakeHolder.on_closing(lied, message)

    lied.on_closing = closing  # type: ignore[method-assign]

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        return await world.closes(platform)

    events = world.run(story)

    assert events[-1][0] == "collecting"
    assert "the holders do not have the same deposits; none is converted" in events[-1][1]
    assert all(holder.proposals == [] for holder in world.holders.values())


def test_findings_that_the_holder_did_not_sign_convert_none(world: World) -> None:
    def closing(message: deposit_pb2.Closing) -> Said:
        (said,) = FakeHolder.on_closing(world["de-c"], message)
        said["findings"].signature = bytes(70)
        return [said]

    world["de-c"].on_closing = closing  # type: ignore[method-assign]

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        return await world.closes(platform)

    assert "a signature is not the named party's" in world.run(story)[-1][1]
    assert world["de-a"].proposals == []


# --- attempts -------------------------------------------------------------------------------------


def test_a_session_that_fails_is_tried_three_times_with_the_same_deposits(world: World) -> None:
    world["de-a"].outputs = world["de-b"].outputs = False

    async def story(platform: Platform) -> list[Any]:
        await world.collects(platform)
        world.deposit()
        endings = [(await world.closes(platform))[-1] for _ in range(3)]
        with pytest.raises(RefusedError, match="not collecting, it is failed"):
            await platform.close(world.closing(), ())
        return endings

    first, second, third = world.run(story)

    assert first[0] == second[0] == "collecting"
    assert first[1].endswith("close it again, sessions that may still be tried: 2")
    assert second[1].endswith("close it again, sessions that may still be tried: 1")
    assert third[0] == "failed"
    sessions = world["de-a"].sessions
    assert len({session.digest for session in sessions}) == 3
    assert len({session.deposits for session in sessions}) == 1
    assert all(len(holder.discarded) == 1 for holder in world.holders.values())


def test_a_share_that_is_bad_for_one_holder_counts_when_it_is_lost_after_a_failed_attempt(
    world: World,
) -> None:
    """The keys are pinned to the set without it, and so the set stays that one."""
    world["de-d"].refuses = {1: "share"}
    world["de-a"].outputs = world["de-b"].outputs = False

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        for _ in range(2):
            world.deposit()
        await world.closes(platform)
        await world.lose("de-d")
        world["de-a"].outputs = world["de-b"].outputs = True
        return await world.closes(platform, without=["de-d"]), world.result(platform)

    events, result = world.run(story)

    assert events[:2] == [
        ("closing", "2 deposits, checked by de-a, de-b, de-c"),
        ("closing", "1 deposits enter, 1 refused (1 share)"),
    ]
    assert phases(events)[-1] == "done"
    first, second = world["de-a"].proposals
    assert [list(one.findings) for one in (first, second)] == [list(first.findings)] * 2
    sessions = world["de-a"].sessions
    assert [len(session.roster) for session in sessions] == [4, 3]
    assert sessions[0].deposits == sessions[1].deposits
    assert [part.findings for part in result if part.HasField("findings")] == list(first.findings)


def test_a_set_that_no_session_was_proposed_on_binds_nobody(world: World) -> None:
    world["de-d"].refuses = {1: "share"}

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        for _ in range(2):
            world.deposit()
        refuses_once_it_has_checked(world["de-b"])
        await world.closes(platform)
        world["de-b"].verdict = Quote.VERDICT_YES
        del world["de-b"].on_closing  # type: ignore[attr-defined]
        return await world.closes(platform, without=["de-d"])

    events = world.run(story)

    assert events[1] == ("closing", "2 deposits enter, 0 refused")
    assert phases(events)[-1] == "done"


def test_a_set_that_stays_wants_2t_1_of_those_who_found_it(world: World) -> None:
    """de-d was away; then de-c, which alone could not open a share. Nobody converts without it."""
    world["de-c"].refuses = {1: "share"}
    world["de-a"].outputs = world["de-b"].outputs = False

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        for _ in range(2):
            world.deposit()
        await world.closes(platform, without=["de-d"])
        return await world.closes(platform, without=["de-c"])

    phase, text = world.run(story)[-1]

    assert phase == "collecting"
    assert text.startswith("a study needs 3 registries that compute, 2 of those named are willing")


def refuses_once_it_has_checked(holder: FakeHolder) -> None:
    """Another study takes what was left of its budget while the deposits are checked."""

    def closing(message: deposit_pb2.Closing) -> Said:
        holder.verdict = Quote.VERDICT_NO
        return FakeHolder.on_closing(holder, message)

    holder.on_closing = closing  # type: ignore[method-assign]


def test_a_ledger_that_refuses_uses_up_no_attempt(world: World) -> None:
    refuses_once_it_has_checked(world["de-b"])

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        return await world.closes(platform)

    phase, text = world.run(story)[-1]

    assert phase == "collecting"
    assert text == "de-b: says no; close it again, sessions that may still be tried: 3"
    assert all(holder.proposals == [] for holder in world.holders.values())


def test_after_a_failed_attempt_another_one_can_have_the_answer(world: World) -> None:
    world["de-a"].outputs = world["de-b"].outputs = False

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        await world.closes(platform)
        world["de-a"].outputs = True
        return await world.closes(platform)

    events = world.run(story)

    assert phases(events)[0] == "closing"
    assert phases(events)[-1] == "done"


def test_who_was_lost_when_it_had_approved_hears_on_its_return_that_it_is_over(
    world: World,
) -> None:
    """Else it waits for a start, and its key with it, and refuses all that come after."""
    away = world["de-c"]

    def approves_and_leaves(_: Any) -> list[Any]:
        away.leave()
        return []

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        away.on_proposal = approves_and_leaves  # type: ignore[method-assign]
        phase, text = (await world.closes(platform))[-1]
        assert (phase, text.split(";")[0]) == ("collecting", "de-c: did not answer")
        assert "abort" not in away.heard
        world.attend(platform, "de-c")
        await away.hears("recall")

    world.run(story)


def test_who_is_back_while_the_others_words_are_awaited_hears_that_it_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upcare_mpc.coordinator.run.WORDS_S", 5.0)
    world["de-a"].outputs = world["de-b"].outputs = False
    away = world["de-c"]

    def leaves(start: Any) -> list[Any]:
        if not away.proposals:
            return away.signs_key(start.session_digest)
        away.leave()
        return []

    away.on_start = leaves  # type: ignore[method-assign]

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        await platform.close(world.closing(), ())
        await world["de-a"].hears("abort")
        assert "abort" not in away.heard
        world.attend(platform, "de-c")
        await away.hears("abort")

    world.run(story)


def test_where_too_few_can_have_the_key_it_is_over(world: World) -> None:
    """They have erased it, and the answer was lost: no closing can succeed any more."""
    world["de-a"].outputs = world["de-b"].outputs = False

    async def story(platform: Platform) -> Any:
        collection = await world.collects(platform)
        await world.closes(platform)
        for name in ("de-a", "de-b"):
            holder = world[name]
            holder.on_closing = lambda m, h=holder: h.fails(  # type: ignore[method-assign, misc]
                m.collection, "holds no key of this collection", code="refused.erased"
            )
        ending = (await world.closes(platform))[-1]
        assert world["de-d"].discarded == [collection.digest]
        await platform.submit(world.request())
        *_, (phase, _) = await world.story(platform)
        return ending, phase

    ending, phase = world.run(story)

    assert ending == (
        "failed",
        "de-a, de-b hold no key of this collection any more: it has to be collected anew",
    )
    assert phase == "collecting"


def test_one_that_has_no_key_any_more_is_left_out(world: World) -> None:
    forgetful = world["de-b"]
    forgetful.on_closing = lambda m: forgetful.fails(  # type: ignore[method-assign]
        m.collection, "holds no key of this collection", code="refused.erased"
    )

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        return await world.closes(platform)

    assert phases(world.run(story))[-1] == "done"


def test_what_fails_while_it_is_closed_leaves_it_to_be_closed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: bytes) -> None:
        raise ConfigError("the database has been locked by another program for 10 s")

    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        for method in ("close", "digests"):
            with monkeypatch.context() as patched:
                patched.setattr(world.deposits, method, locked)
                with pytest.raises(ConfigError):
                    await platform.close(world.closing(), ())
            assert world.state is State.COLLECTING
        return await world.closes(platform)

    assert phases(world.run(story))[-1] == "done"


def test_late_outputs_of_a_failed_attempt_are_the_answer(world: World) -> None:
    world["de-a"].outputs = world["de-b"].outputs = False

    async def story(platform: Platform) -> Any:
        collection = await world.collects(platform)
        await world.closes(platform)
        assert world.state is State.COLLECTING
        for name in ("de-a", "de-b"):
            holder = world[name]
            holder.outputs = True
            for said in holder.outputs_of(holder.sessions[0]):
                holder.say(**said)
        await asyncio.sleep(0.1)
        assert world["de-c"].discarded == [collection.digest]
        return world.result(platform)

    assert len([part for part in world.run(story) if part.HasField("output")]) == 3
    assert world.state is State.DONE


def test_a_fault_of_the_platform_keeps_the_deposits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(platform: Platform) -> Any:
        await world.collects(platform)
        world.deposit()
        with monkeypatch.context() as patched:
            patched.setattr(platform._collecting, "_session", None)
            await platform.close(world.closing(), ())
            (task,) = platform._tasks
            with pytest.raises(TypeError):
                await task
        assert world.state is State.COLLECTING
        return await world.closes(platform)

    assert phases(world.run(story))[-1] == "done"


# --- time and restarts ----------------------------------------------------------------------------


def test_a_restarted_platform_goes_on_collecting(world: World) -> None:
    async def begins(platform: Platform) -> Collection:
        collection = await world.collects(platform)
        world.deposit()
        return collection

    collection = world.run(begins)

    async def goes_on(platform: Platform) -> Any:
        assert world.collection == collection
        assert world.deposit() == b"receipt 1"
        assert phases(await world.story(platform))[-1] == "collecting"
        return await world.closes(platform)

    events = world.run(goes_on)

    assert events[0][1].startswith("2 deposits")
    assert events[-1][0] == "done"


def test_a_platform_that_was_stopped_while_it_ran_can_close_again(world: World) -> None:
    for holder in world.holders.values():
        holder.on_closing = silent  # type: ignore[method-assign]

    async def stopped(platform: Platform) -> None:
        await world.collects(platform)
        world.deposit()
        await platform.close(world.closing(), ())
        await asyncio.sleep(0.05)
        assert world.state is State.RUNNING

    world.run(stopped)
    for holder in world.holders.values():
        del holder.on_closing  # type: ignore[attr-defined]

    async def goes_on(platform: Platform) -> Any:
        (begin, *_) = await world.story(platform)
        with pytest.raises(RefusedError, match="this collection is closed"):
            world.deposit()
        return begin, await world.closes(platform)

    begin, events = world.run(goes_on)

    assert begin[0] == "closing"
    assert events[0][1].startswith("1 deposits")
    assert events[-1][0] == "done"


def test_a_platform_that_was_stopped_while_the_key_was_dealt_has_failed(world: World) -> None:
    for holder in world.holders.values():
        holder.on_start = silent  # type: ignore[method-assign]

    async def stopped(platform: Platform) -> None:
        await platform.submit(world.request())
        await world["de-a"].hears("start")

    world.run(stopped)
    world.studies.move(world.key, State.SUBMITTED, sources=set(State), time=world.now)
    with world.database.write() as connection:  # as a process that is killed leaves it
        connection.exec_driver_sql("UPDATE collections SET state = 'dealing'")
    for holder in world.holders.values():
        holder.discarded.clear()

    async def later(platform: Platform) -> Any:
        return await world.story(platform)

    assert world.run(later)[-1] == ("failed", "the platform was restarted")
    assert all(len(holder.discarded) == 1 for holder in world.holders.values())


def test_what_is_not_closed_in_time_is_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(platform: Platform) -> Any:
        collection = await world.collects(platform)
        world.deposit()
        platform.tend()
        assert world.state is State.COLLECTING
        late = collection.closes + module.UNCLOSED_S + 1
        monkeypatch.setattr(module.time, "time", lambda: late)
        platform.tend()
        monkeypatch.undo()
        await asyncio.sleep(0)
        return await world.story(platform)

    assert world.run(story)[-1] == ("failed", "it was not closed in time")
    assert all(len(holder.discarded) == 1 for holder in world.holders.values())
    assert world.deposits.live() == ()


def test_a_holder_that_was_away_hears_what_is_over(world: World) -> None:
    async def story(platform: Platform) -> None:
        collection = await world.collects(platform)
        await world.lose("de-d")
        await world.closes(platform, without=["de-d"])
        assert world["de-d"].discarded == []
        world.attend(platform, "de-d")
        await asyncio.sleep(0.05)
        assert world["de-d"].discarded == [collection.digest]

    world.run(story)


def test_a_new_attempt_after_a_failed_one_is_a_new_collection(world: World) -> None:
    async def story(platform: Platform) -> list[Collection]:
        world["de-a"].on_start = silent  # type: ignore[method-assign]
        await platform.submit(world.request())
        await world["de-a"].hears("start")
        await world.lose("de-a")
        await world.story(platform)
        (failed,) = world.deposits.over()
        del world["de-a"].on_start  # type: ignore[attr-defined]
        world.attend(platform, "de-a")
        await asyncio.sleep(0)
        return [failed.collection, await world.collects(platform)]

    failed, made = world.run(story)

    assert failed.study == made.study
    assert failed.digest != made.digest
