"""States of a question, and who computes."""

import pytest

from upcare_mpc.coordinator.lifecycle import SOURCES, State, choose_roster, in_words
from upcare_mpc.errors import RefusedError


def test_the_first_willing_registries_compute_and_all_take_part() -> None:
    seats = [("fr-a", False), ("de-a", True), ("de-b", True), ("fr-b", True), ("de-c", True)]

    assert choose_roster(seats, 3) == ["de-a", "de-b", "fr-b", "fr-a", "de-c"]


def test_too_few_willing_registries_are_refused_in_words() -> None:
    with pytest.raises(RefusedError, match="needs 3 registries that compute, 2 of those named"):
        choose_roster([("de-a", True), ("de-b", True), ("fr-a", False)], 3)


def test_no_step_leads_out_of_a_final_state_but_a_late_answer() -> None:
    steps = {(source, state) for state, sources in SOURCES.items() for source in sources}

    assert {step for step in steps if step[0].final} == {(State.FAILED, State.DONE)}


def test_every_state_has_its_sources_and_every_open_state_an_end() -> None:
    assert SOURCES.keys() == set(State)
    for state in State:
        if not state.final:
            assert state in SOURCES[State.FAILED]


def test_registries_with_the_same_reason_share_it() -> None:
    reasons = [("de-a", "is busy"), ("de-b", "says no"), ("de-c", "is busy")]

    assert in_words(reasons) == "de-a, de-c: is busy; de-b: says no"
