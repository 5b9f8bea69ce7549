"""Waiting for a study: every wait ends, and a lost connection loses nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_platform import DONE, FakeNetwork, FakePlatform, story, study_of
from registries import registries
from test_result import NOISY
from test_result import Answer as Sealed

from upcare_mpc.client import Job, job
from upcare_mpc.errors import LinkError, RefusedError, SessionError, StudyError


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    network = registries(tmp_path_factory.mktemp("registries"))
    yield Sealed(network)
    network.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_PAUSE_S", 0.001)


def submitted(fake: FakePlatform) -> Job:
    return FakeNetwork(fake).submit(study_of(fake.sealed))


def test_a_job_is_followed_to_its_answer(sealed: Sealed) -> None:
    waiting = submitted(FakePlatform(sealed))

    result = waiting.wait(quiet=True)

    assert result.noisy.tolist() == NOISY.tolist()
    assert waiting.state == "done"
    assert waiting.digest == sealed.study.digest.hex()


def test_a_lost_connection_is_made_again_and_each_event_is_told_once(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, breaks_after=[2, 0, 4])

    told = [event.phase for event in submitted(fake).events()]

    assert told == list(DONE)
    assert fake.listened == 4


def test_a_platform_that_stays_away_ends_the_wait(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, breaks_after=[0] * 50)

    with pytest.raises(LinkError, match="cannot be reached"):
        submitted(fake).wait(quiet=True)

    assert fake.listened == job.RETRIES + 1


def test_a_word_from_the_platform_begins_the_count_anew(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, breaks_after=[0, 0, 0, 0, 1, 0, 0, 0, 0, 2])

    assert submitted(fake).wait(quiet=True).noisy.tolist() == NOISY.tolist()


def test_a_platform_that_breaks_off_after_every_word_does_not_hold_us_for_ever(
    sealed: Sealed,
) -> None:
    fake = FakePlatform(sealed, breaks_after=[1] * 10_000)

    with pytest.raises(LinkError):
        submitted(fake).wait(quiet=True)


def test_a_story_that_stops_before_its_end_is_listened_to_again(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, events=story(*DONE)[:3])

    with pytest.raises(LinkError, match="ended the story before"):
        submitted(fake).wait(quiet=True)


def test_a_wait_ends_when_its_time_is_over(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, silent=True)
    waiting = submitted(fake)
    begun = time.monotonic()

    with pytest.raises(LinkError, match=r"^the study has not ended within 0\.2 s; it goes on"):
        waiting.wait(0.2, quiet=True)

    assert time.monotonic() - begun < 10  # a guard
    assert waiting.state == "opening"
    assert fake.connections == 0
    fake.silent = False
    assert waiting.wait(quiet=True).noisy.tolist() == NOISY.tolist()


def test_a_wait_ends_also_while_the_answer_is_fetched(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, holds_result=True)
    waiting = submitted(fake)
    begun = time.monotonic()

    with pytest.raises(LinkError, match=r"^the answer has not arrived in time; it is kept"):
        waiting.wait(0.2, quiet=True)
    with pytest.raises(LinkError, match="has not arrived in time"):
        waiting.result(0.2)

    assert time.monotonic() - begun < 10  # a guard
    assert waiting.state == "done"
    assert fake.connections == 0
    fake.holds_result = False
    assert waiting.result(60).noisy.tolist() == NOISY.tolist()


def test_lost_answers_are_fetched_again_until_the_time_is_over(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, lost_results=3)

    assert submitted(fake).wait(60, quiet=True).noisy.tolist() == NOISY.tolist()
    fake.lost_results = 100
    with pytest.raises(LinkError, match="cannot be reached"):
        submitted(fake).result(60)


def test_a_study_asked_again_after_a_failure_is_followed_to_its_new_end(sealed: Sealed) -> None:
    """The platform then tells the new story from its own beginning."""
    fake = FakePlatform(sealed, breaks_after=[3])
    telling = submitted(fake).events()
    assert [next(telling).phase for _ in range(3)] == list(DONE[:3])

    fake.events = story("stored", "done")

    assert [event.phase for event in telling] == ["stored", "done"]


def test_a_refusal_is_an_error_in_the_words_of_who_refused(sealed: Sealed) -> None:
    with pytest.raises(RefusedError, match=r"^refused it is$"):
        submitted(FakePlatform(sealed, events=story("submitted", "refused"))).wait(quiet=True)


def test_a_study_that_collects_is_closed_and_then_answered(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, events=story("submitted", "collecting"))
    waiting = submitted(fake)
    with pytest.raises(RefusedError, match=r"collecting it is; close\(\) ends that"):
        waiting.wait(quiet=True)

    assert waiting.close(without=["de-b"]) == 5

    assert waiting.wait(quiet=True).noisy.tolist() == NOISY.tolist()
    assert fake.closed == [(sealed.study.digest, ("de-b",))]


def test_a_failure_is_an_error(sealed: Sealed) -> None:
    with pytest.raises(SessionError, match=r"^failed it is$"):
        submitted(FakePlatform(sealed, events=story("submitted", "failed"))).wait(quiet=True)


def test_an_answer_that_is_lost_on_its_way_is_fetched_again(sealed: Sealed) -> None:
    fake = FakePlatform(sealed, lost_results=3)

    assert submitted(fake).wait(quiet=True).noisy.tolist() == NOISY.tolist()
    fake.lost_results = 100
    with pytest.raises(LinkError):
        submitted(fake).result()


def test_the_story_is_told_on_standard_error(
    sealed: Sealed, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(FakePlatform(sealed)).wait()

    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.err.splitlines()] == list(DONE)
    assert captured.out == ""


def test_an_error_while_listening_reaches_whoever_waits(sealed: Sealed) -> None:
    class Faulty(FakePlatform):
        def watch(self, study: bytes) -> Iterator[object]:  # type: ignore[override]
            raise ZeroDivisionError
            yield

    with pytest.raises(ZeroDivisionError):
        submitted(Faulty(sealed)).wait(quiet=True)


def test_a_study_that_the_network_cannot_answer_is_not_submitted(
    sealed: Sealed, tmp_path: Path
) -> None:
    fake = FakePlatform(sealed)
    network = FakeNetwork(fake)
    agreed = network.researcher.agreement.overlap
    asked = study_of(sealed)
    network.researcher = type("Other", (), {"agreement": type("A", (), {"overlap": agreed + 5})})()

    with pytest.raises(StudyError, match="overlap: wanted at least"):
        network.submit(asked)

    assert fake.submitted == []
