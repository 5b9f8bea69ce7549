"""The registry's own list survives a restart as it was, or is refused."""

import os
from datetime import date

import numpy as np
import pytest
from vault_world import flipped

from upcare_mpc.errors import DataError
from upcare_mpc.vault.objects import SHELVED
from upcare_mpc.vault.state import RECORD, Departure, GroupState, State, pseudonym_order


def some_state(count: int = 50) -> State:
    records = np.frombuffer(os.urandom(count * RECORD.itemsize), RECORD)
    return State(
        registry="de-a",
        sequence=3,
        day=date(2026, 11, 23),
        groups=(GroupState(terms="use:hmb", rows=64), GroupState(terms="", rows=128)),
        departures=(Departure(pseudonym="ab" * 16, versions=2, block="cd" * 32),),
        blocks=np.frombuffer(os.urandom(4 * SHELVED.itemsize), SHELVED),
        records=records[pseudonym_order(records["pseudonym"])],
    )


def test_a_state_reads_back() -> None:
    for state in (some_state(), State.empty("de-a")):
        back = State.from_bytes(b"".join(state.pieces()))

        assert b"".join(back.pieces()) == b"".join(state.pieces())
        assert (back.groups, back.departures, back.day) == (
            state.groups,
            state.departures,
            state.day,
        )
        assert (back.records == state.records).all()


def test_a_damaged_state_is_refused() -> None:
    content = b"".join(some_state(2).pieces())

    for bit in range(0, 8 * len(content), 13):
        with pytest.raises(DataError, match="damaged"):
            State.from_bytes(flipped(content, bit))
    for length in (0, 31, 32, 40, len(content) - 1):
        with pytest.raises(DataError, match="damaged"):
            State.from_bytes(content[:length])


def test_records_are_found_by_their_pseudonym() -> None:
    state = some_state(1000)

    for at in range(0, 1000, 37):
        assert state.find(state.records["pseudonym"][at].tobytes()) == at
    assert state.find(os.urandom(16)) is None
    assert State.empty("de-a").find(bytes(16)) is None


def test_pseudonyms_with_zeros_and_equal_halves_are_told_apart() -> None:
    names = [bytes(16), bytes(15) + b"\1", b"\1" + bytes(15), b"\xff" * 16, b"\xff" * 8 + bytes(8)]
    records = np.zeros(len(names), RECORD)
    records["pseudonym"] = np.frombuffer(b"".join(names), "V16")
    order = pseudonym_order(records["pseudonym"])
    state = State(
        registry="de-a",
        sequence=0,
        day=None,
        groups=(),
        departures=(),
        blocks=np.zeros(0, SHELVED),
        records=records[order],
    )

    assert [names[at] for at in order] == sorted(names)
    assert [state.find(name) for name in sorted(names)] == list(range(5))
    assert state.find(bytes(8) + b"\1" * 8) is None


def test_nothing_of_a_state_is_shown() -> None:
    state = some_state()

    assert state.records["key"][0].tobytes().hex()[:8] not in repr(state)
    assert "records" not in repr(state)
