"""The platform in this process, with nodes that answer over streams in memory."""

import asyncio
import datetime
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from registries import Registries, Registry, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.cli.network import admit_party
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.coordinator import platform as platform_module
from upcare_mpc.coordinator.lifecycle import State
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.coordinator.run import Run
from upcare_mpc.errors import RefusedError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import question_digest
from upcare_mpc.node.session import no_output
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies, StudyEvent


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Stream:
    """A registry's stream: what the platform writes, the node hears, and answers."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._answers: asyncio.Queue[Any] = asyncio.Queue()

    async def write(self, message: coordinator_pb2.AttendResponse) -> None:
        if self._registry is None or message.WhichOneof("message") is None:
            return
        await self._registry.node._handle(message)
        for answer in self._registry.said():
            self._answers.put_nowait(answer)

    async def read(self) -> Any:
        return await self._answers.get()

    def say(self, **message: Any) -> None:
        self._answers.put_nowait(coordinator_pb2.AttendRequest(**message))

    def end(self) -> None:
        self._answers.put_nowait(grpc.aio.EOF)


class Together:
    """A platform and the nodes that attend it."""

    def __init__(self, folder: Path) -> None:
        self.network: Registries = registries(folder)
        admit_party(folder / "net", "platform", role="platform", out=folder / "platform")
        self.identity = Identity.load(folder / "platform", now=now())
        self.database = Database(f"sqlite:///{folder / 'coordinator.db'}", COORDINATOR)
        self.studies = Studies(self.database)
        self.deposits = Deposits(self.database, folder / "deposits", room=0)

    def platform(self) -> Platform:
        return Platform(self.identity, self.network.agreement, self.studies, self.deposits)

    def run(self, story: Callable[[Platform], Coroutine[Any, Any, Any]]) -> Any:
        """Run a story with all registries attending."""

        async def attended() -> Any:
            platform = self.platform()
            serving = [
                asyncio.ensure_future(platform.attendance.serve(name, Stream(registry)))
                for name, registry in self.network.nodes.items()
            ]
            await asyncio.sleep(0)
            try:
                return await asyncio.wait_for(story(platform), 10)
            finally:
                for task in serving:
                    task.cancel()

        return asyncio.run(attended())

    def close(self) -> None:
        self.network.close()
        self.database.close()


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Together]:
    made = Together(tmp_path)
    yield made
    made.close()


async def story_of(platform: Platform, together: Together) -> list[StudyEvent]:
    researcher = together.network.researcher
    authorization = researcher.authorize(counts().digest, "watch", now=time.time())
    return [event async for event, _ in platform.watch(authorization)]


def enter(together: Together, state: State) -> bytes:
    """A question that an earlier process left in some state."""
    request = together.network.request(counts())
    key = question_digest(counts().digest, request.signing_key)
    together.studies.add(
        digest=key,
        researcher="",
        canonical=request.study,
        request=request.SerializeToString(deterministic=True),
        state=state,
        time=now(),
    )
    together.studies.add_event(key, kind="submitted", text="submitted", time=now())
    return key


def test_a_restarted_platform_ends_the_stories_of_what_was_running(together: Together) -> None:
    enter(together, State.RUNNING)

    events = together.run(lambda platform: story_of(platform, together))

    assert events[-1].kind == "failed"
    assert events[-1].text == "the platform was restarted"


def test_a_watcher_misses_nothing_that_happens_while_she_reads(together: Together) -> None:
    key = enter(together, State.DONE)
    researcher = together.network.researcher
    authorization = researcher.authorize(counts().digest, "watch", now=time.time())

    async def watch(platform: Platform) -> list[str]:
        seen = []
        async for event, last in platform.watch(authorization):
            seen.append(event.kind)
            if event.kind == "submitted":
                platform._note(key, "noise", "while she reads the first line")
            elif event.kind == "noise":
                platform._note(key, "done", "while she reads the second")
            if last:
                break
        return seen

    assert together.run(watch) == ["submitted", "noise", "done"]


def test_after_new_data_two_submissions_at_once_begin_one_new_attempt(together: Together) -> None:
    key = enter(together, State.RUNNING)
    descriptor, proposal = together.network.proposal(counts())
    for member, pem in zip(descriptor.roster, proposal.certificates, strict=True):
        together.studies.put_paper(descriptor.digest, "certificate", member.name, pem.encode())
    together.studies.attempt(key, descriptor.digest, time=now())
    together.studies.move(key, State.DONE, sources={State.RUNNING}, time=now())
    old = descriptor.canonical().replace(
        descriptor.roster[0].snapshot.hex().encode(), bytes(32).hex().encode()
    )
    together.studies.put_paper(descriptor.digest, "descriptor", "", old)
    begun = []

    async def twice(platform: Platform) -> list[bool]:
        async def answer(*_: object) -> None:
            begun.append(1)

        platform._answer = answer  # type: ignore[method-assign]
        request = together.network.request(counts())
        answers = await asyncio.gather(platform.submit(request), platform.submit(request))
        await asyncio.sleep(0)
        return [known for _, known in answers]

    assert sorted(together.run(twice)) == [False, True]
    assert begun == [1]


def test_a_registry_that_is_not_there_is_said_to_be_absent(together: Together) -> None:
    study = counts(names=("de-a", "de-b", "de-c", "fr-z"))

    async def preview(platform: Platform) -> list[coordinator_pb2.Quote]:
        return list(await platform.preview(together.network.request(study, "preview")))

    *_, absent = together.run(preview)

    assert (absent.registry, absent.reason) == ("fr-z", "is not connected to the platform")


def test_the_certificate_says_who_speaks_not_the_message(together: Together) -> None:
    async def preview(platform: Platform) -> list[coordinator_pb2.Quote]:
        stream = Stream(None)
        serving = asyncio.ensure_future(platform.attendance.serve("fr-z", stream))
        await asyncio.sleep(0)
        study = counts(names=("de-a", "de-b", "de-c", "fr-z"))
        asking = asyncio.ensure_future(platform.preview(together.network.request(study, "preview")))
        await asyncio.sleep(0.05)
        for call in range(1, 6):
            stream.say(call=call, quote=coordinator_pb2.Quote(registry="de-a", reason="forged"))
        quotes = list(await asking)
        stream.end()
        await serving
        return quotes

    quotes = {quote.registry: quote.reason for quote in together.run(preview)}

    assert quotes["de-a"] == ""
    assert quotes["fr-z"] == "forged"


def test_a_fault_of_the_platform_ends_the_study_in_words(together: Together) -> None:
    async def submit(platform: Platform) -> list[StudyEvent]:
        async def broken(*_: object, **__: object) -> None:
            raise KeyError("a fault")

        platform._run = broken  # type: ignore[method-assign]
        await platform.submit(together.network.request(counts()))
        events = await story_of(platform, together)
        (task,) = platform._tasks
        with pytest.raises(KeyError):
            await task
        return events

    *_, last = together.run(submit)

    assert (last.kind, last.text) == ("failed", "the platform has a fault: KeyError")


def test_only_the_words_of_computing_registries_about_themselves_count(
    together: Together,
) -> None:
    descriptor, proposal = together.network.proposal(counts())
    run = Run(
        descriptor=descriptor,
        certificates=list(proposal.certificates),
        attendance=together.platform().attendance,
        note=lambda _phase, _text: None,
        store=lambda _kind, _party, _content: None,
    )

    def word(speaker: str, about: str) -> None:
        no = no_output(together.network.identity(about), descriptor.digest)
        failure = coordinator_pb2.Failure(session_digest=descriptor.digest, no_output=no)
        run.hear(speaker, coordinator_pb2.AttendRequest(failure=failure))

    word("fr-a", "fr-a")
    word("de-a", "de-b")
    assert not run.words
    word("de-a", "de-a")
    assert set(run.words) == {"de-a"}


def stranger(together: Together, *, folder: Path) -> Researcher:
    """A researcher of this network whom no registry knows."""
    new_researcher(folder, identity_folder=together.network.folder / "net", platform="localhost:1")
    return Researcher.load(folder)


def test_nothing_is_kept_of_a_stranger(together: Together, tmp_path: Path) -> None:
    request = stranger(together, folder=tmp_path / "stranger").request(counts(), now=time.time())

    with pytest.raises(RefusedError, match="does not know this researcher's key"):
        together.run(lambda platform: platform.submit(request))

    assert together.studies.in_state(*State) == ()


def test_a_key_has_a_bounded_number_of_studies(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_module, "STUDIES_A_KEY", 1)

    async def submit(platform: Platform) -> list[bool]:
        async def answer(*_: object) -> None:
            return

        platform._answer = answer  # type: ignore[method-assign]
        first, second = (together.network.request(counts(title)) for title in ("one", "two"))
        known = [(await platform.submit(first))[1], (await platform.submit(first))[1]]
        with pytest.raises(RefusedError, match="a key has at most 1 studies"):
            await platform.submit(second)
        return known

    assert together.run(submit) == [False, True]
    assert len(together.studies.in_state(*State)) == 1


def test_a_study_is_tried_again_a_bounded_number_of_times(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_module, "LINES", 6)
    begun = []

    async def fails(_: object, key: bytes, *__: object) -> None:
        begun.append(key)
        platforms[0]._end(key, State.FAILED, "a registry was lost")

    platforms: list[Platform] = []

    async def submit(platform: Platform) -> None:
        platforms.append(platform)
        platform._answer = fails.__get__(platform)  # type: ignore[method-assign]
        while True:  # two lines an attempt
            await platform.submit(together.network.request(counts()))
            await asyncio.sleep(0)

    with pytest.raises(RefusedError, match=r"tried too often: wanted at most 6 lines .* title"):
        together.run(submit)
    assert len(begun) == 3


def test_an_answer_that_is_asked_for_again_adds_one_story_and_no_more(together: Together) -> None:
    key = enter(together, State.DONE)
    together.studies.add_event(key, kind=State.DONE, text="the result is ready", time=now())

    async def again(platform: Platform) -> list[str]:
        async def still(*_: object) -> bool:
            return True

        platform._still_answers = still  # type: ignore[method-assign]
        for _ in range(5):
            assert (await platform.submit(together.network.request(counts())))[1]
        return [event.kind for event in await story_of(platform, together)]

    assert together.run(again) == ["stored", "done"]
    assert together.studies.lines(key) == 4
