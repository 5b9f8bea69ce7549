"""The journal: appended entries verify, and any change of what was written is found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import PrivacyError
from upcare_mpc.journal import GENESIS, Entry, Event, Json, append, canonical_json, verify

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text(max_size=4), JSON, max_size=3)


def chain(*bodies: dict[str, Json]) -> list[Entry]:
    entries: list[Entry] = []
    for body in bodies:
        head = entries[-1].head if entries else GENESIS
        entries.append(append(head, Event(kind="test.note", body=body), time=NOON))
    return entries


@given(st.lists(BODIES, max_size=5))
def test_what_was_appended_verifies_and_reads_back(bodies: list[dict[str, Json]]) -> None:
    entries = chain(*bodies)

    head = verify(entries)

    assert head.sequence == len(bodies)
    assert [entry.fields() for entry in entries] == bodies
    assert all(entry.body == canonical_json(entry.fields()) for entry in entries)


@given(st.data())
def test_any_altered_byte_of_any_entry_is_found(data: st.DataObject) -> None:
    entries = chain({"a": 1}, {"b": [2, "x"]}, {"c": None})
    place = data.draw(st.integers(0, 2))
    field = data.draw(st.sampled_from(["time", "kind", "body", "previous", "digest"]))
    old = getattr(entries[place], field)
    raw = bytearray(old if isinstance(old, bytes) else old.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    new = bytes(raw) if isinstance(old, bytes) else raw.decode()
    entries[place] = replace(entries[place], **{field: new})

    with pytest.raises(PrivacyError, match=f"journal entry {place + 1}"):
        verify(entries)


@pytest.mark.parametrize("order", [[0, 2], [1, 2], [0, 0, 1, 2], [0, 2, 1], [1, 0, 2]], ids=str)
def test_entries_that_are_missing_repeated_or_swapped_are_found(order: list[int]) -> None:
    entries = chain({"a": 1}, {"a": 1}, {"a": 1})

    with pytest.raises(PrivacyError, match="wanted its number"):
        verify([entries[i] for i in order])


def test_an_entry_of_another_chain_does_not_fit() -> None:
    ours, theirs = chain({"a": 1}, {"b": 1}), chain({"a": 2}, {"b": 1})

    with pytest.raises(PrivacyError, match="journal entry 2: it does not follow"):
        verify([ours[0], theirs[1]])


def test_a_chain_that_was_cut_off_has_another_head() -> None:
    entries = chain({"a": 1}, {"b": 2})

    assert verify(entries[:1]) != verify(entries)


def test_a_later_part_verifies_from_a_remembered_head() -> None:
    entries = chain({"a": 1}, {"b": 2}, {"c": 3})

    assert verify(entries[1:], start=entries[0].head) == entries[2].head


def test_moving_text_between_fields_changes_the_digest() -> None:
    first = append(GENESIS, Event(kind="test.a", body={}), time=NOON)
    moved = replace(first, kind="test.a{", body="}")

    with pytest.raises(PrivacyError, match="was altered"):
        verify([moved])


def test_the_digest_of_version_one_is_pinned() -> None:
    entry = append(GENESIS, Event(kind="ledger.spend", body={"b": "1/2", "a": 1}), time=NOON)

    assert entry.body == '{"a":1,"b":"1/2"}'
    assert entry.time == "2026-11-22T12:00:00.000Z"
    assert entry.digest.hex() == "05c13fceb1ecc6ff99f1feb8193bd00df323b13007747d9cdcb26339124b36a8"


@pytest.mark.parametrize("body", [{"x": 0.5}, {"x": [1.0]}, {1: "x"}, {"x": b""}], ids=str)
def test_what_has_no_canonical_text_is_refused(body: dict[str, Json]) -> None:
    with pytest.raises(TypeError, match="canonical JSON"):
        chain(body)


@pytest.mark.parametrize(
    "time", [NOON.replace(tzinfo=None), NOON.replace(tzinfo=timezone(timedelta(hours=1)))]
)
def test_local_times_are_refused(time: datetime) -> None:
    with pytest.raises(ValueError, match="in UTC"):
        append(GENESIS, Event(kind="test.a", body={}), time=time)


@pytest.mark.parametrize("kind", ["", "Ledger.spend", "ledger.", "ledger spend", "l\n"])
def test_strange_kinds_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="journal kinds"):
        append(GENESIS, Event(kind=kind, body={}), time=NOON)
