"""The operator's word: for one question on one snapshot, used up by one run."""

import datetime

import pytest

from upcare_mpc.errors import RefusedError
from upcare_mpc.journal import GENESIS, Entry, Event, append
from upcare_mpc.node.approval import Standing, grant, refuse, standing, use

QUESTION, OTHER, SNAPSHOT, SESSION = (bytes([n]) * 32 for n in range(4))
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def journal(*events: Event) -> tuple[Entry, ...]:
    head, entries = GENESIS, []
    for event in events:
        entries.append(append(head, event, time=NOW))
        head = entries[-1].head
    return tuple(entries)


def said(*events: Event, question: bytes = QUESTION, snapshot: bytes = SNAPSHOT) -> Standing:
    return standing(journal(*events), question=question, snapshot=snapshot)[0]


YES = grant(question=QUESTION, snapshot=SNAPSHOT)
NO = refuse(question=QUESTION, snapshot=SNAPSHOT, reason="too few intervals")


def test_nothing_said_is_no_approval() -> None:
    assert said() is Standing.NONE
    with pytest.raises(RefusedError, match="has not approved"):
        use(journal(), question=QUESTION, snapshot=SNAPSHOT, session=SESSION)


def test_a_yes_is_for_its_question_and_snapshot_alone() -> None:
    assert said(YES) is Standing.GRANTED
    assert said(YES, question=OTHER) is Standing.NONE
    assert said(YES, snapshot=OTHER) is Standing.NONE


def test_a_yes_is_used_up_by_one_run() -> None:
    used = use(journal(YES), question=QUESTION, snapshot=SNAPSHOT, session=SESSION)

    assert said(YES, used) is Standing.NONE
    with pytest.raises(RefusedError):
        use(journal(YES, used), question=QUESTION, snapshot=SNAPSHOT, session=SESSION)


def test_the_latest_word_counts() -> None:
    assert said(YES, NO) is Standing.REFUSED
    assert said(NO, YES) is Standing.GRANTED


def test_a_no_comes_with_its_reason() -> None:
    assert standing(journal(NO), question=QUESTION, snapshot=SNAPSHOT)[1] == "too few intervals"


def test_entries_of_other_kinds_are_passed_over() -> None:
    other = Event(kind="ledger.reserve", body={"study": QUESTION.hex()})

    assert said(other, YES, other) is Standing.GRANTED
