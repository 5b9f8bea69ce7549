"""The coordinator's tables: entered once, moved atomically, events in order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from upcare_mpc.errors import ProtocolError, RefusedError, StudyError
from upcare_mpc.storage import studies as studies_module
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 13, tzinfo=UTC)
STUDY = b"s" * 32
SESSION = b"t" * 32


@pytest.fixture
def studies(tmp_path: Path) -> Iterator[Studies]:
    with Database(f"sqlite:///{tmp_path / 'coordinator.db'}", COORDINATOR) as database:
        yield Studies(database)


def enter(
    studies: Studies, digest: bytes = STUDY, *, request: bytes = b"signed", time: datetime = NOON
) -> bool:
    return studies.add(
        digest=digest,
        researcher="key-1",
        canonical=b"{}",
        request=request,
        state="submitted",
        time=time,
    )


def test_a_study_is_entered_and_read_back(studies: Studies) -> None:
    assert enter(studies)

    study = studies.get(STUDY)

    assert (study.researcher, study.canonical, study.request) == ("key-1", b"{}", b"signed")
    assert (study.state, study.error) == ("submitted", None)


def test_the_same_study_again_changes_nothing(studies: Studies) -> None:
    enter(studies)

    assert not enter(studies, request=b"another")

    assert studies.get(STUDY).request == b"signed"


def test_two_who_submit_at_once_enter_one_study(studies: Studies) -> None:
    with ThreadPoolExecutor(4) as pool:
        entered = list(pool.map(lambda _: enter(studies), range(8)))

    assert sum(entered) == 1


def test_a_state_changes_only_from_where_it_was_expected(studies: Studies) -> None:
    enter(studies)
    studies.move(STUDY, "running", sources=["submitted"], time=LATER)

    with pytest.raises(RefusedError, match="to become running it must be submitted, it is running"):
        studies.move(STUDY, "running", sources=["submitted"], time=LATER)


def test_a_failure_is_kept_with_its_line(studies: Studies) -> None:
    enter(studies)

    studies.move(STUDY, "failed", sources=["submitted"], time=LATER, error="fr-a refuses")

    study = studies.get(STUDY)
    assert (study.state, study.error) == ("failed", "fr-a refuses")
    assert study.updated == "2026-11-22T13:00:00.000Z"


def test_events_are_numbered_and_can_be_followed(studies: Studies) -> None:
    enter(studies)
    for text in ("one", "two", "three"):
        studies.add_event(STUDY, kind="note", text=text, time=NOON)

    later = studies.events(STUDY, after=1)

    assert [(event.sequence, event.text) for event in later] == [(2, "two"), (3, "three")]


def test_only_the_latest_lines_are_kept_and_all_are_counted(
    studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies_module, "LINES", 3)
    enter(studies)
    enter(studies, b"another".ljust(32))
    studies.add_event(b"another".ljust(32), kind="note", text="its own", time=NOON)
    assert studies.lines(STUDY) == 0

    for n in range(1, 11):
        assert studies.add_event(STUDY, kind="note", text=str(n), time=NOON) == n

    assert [event.text for event in studies.events(STUDY)] == ["8", "9", "10"]
    assert studies.lines(STUDY) == 10
    assert len(studies.events(b"another".ljust(32))) == 1


def test_a_page_goes_on_only_after_a_study_of_the_same_researcher(studies: Studies) -> None:
    enter(studies)

    assert [row.digest for row in studies.page("key-1", limit=1)] == [STUDY]
    assert studies.page("key-1", after=STUDY, limit=1) == ()
    assert studies.page("key-2", limit=1) == ()
    with pytest.raises(StudyError, match="is another researcher's"):
        studies.page("key-2", after=STUDY, limit=1)


def test_a_paper_may_come_again_but_not_change(studies: Studies) -> None:
    studies.put_paper(SESSION, "output", "de-a", b"sealed")
    studies.put_paper(SESSION, "output", "de-a", b"sealed")

    with pytest.raises(ProtocolError, match="second, different output"):
        studies.put_paper(SESSION, "output", "de-a", b"other")

    assert studies.papers(SESSION, "output") == {"de-a": b"sealed"}


def test_another_attempt_keeps_the_question_and_its_story(studies: Studies) -> None:
    enter(studies)
    studies.attempt(STUDY, SESSION, time=NOON)
    studies.add_event(STUDY, kind="failed", text="a registry was lost", time=NOON)

    studies.renew(STUDY, request=b"signed again", state="submitted", time=LATER)

    study = studies.get(STUDY)
    assert (study.request, study.session) == (b"signed again", None)
    assert len(studies.events(STUDY)) == 1


def test_an_unknown_study_is_named(studies: Studies) -> None:
    with pytest.raises(StudyError, match="study 737373737373 is not known here"):
        studies.get(STUDY)


def test_nothing_is_attached_to_an_unknown_study(studies: Studies) -> None:
    with pytest.raises(StudyError):
        studies.add_event(STUDY, kind="note", text="one", time=NOON)


def test_studies_in_a_state_are_listed_oldest_first(studies: Studies) -> None:
    enter(studies, b"a" * 32, time=LATER)
    enter(studies, b"b" * 32, time=NOON)
    enter(studies, b"c" * 32, time=NOON)
    studies.move(b"c" * 32, "running", sources=["submitted"], time=LATER)

    assert [study.digest[:1] for study in studies.in_state("submitted", "done")] == [b"b", b"a"]
    assert [study.digest[:1] for study in studies.in_state("running")] == [b"c"]


def test_a_study_is_found_by_its_latest_session(studies: Studies) -> None:
    enter(studies, STUDY, time=NOON)
    studies.attempt(STUDY, b"1" * 32, time=NOON)
    studies.attempt(STUDY, b"2" * 32, time=LATER)

    found = studies.of_session(b"2" * 32)
    assert found is not None
    assert found.digest == STUDY
    assert studies.of_session(b"1" * 32) is None
