"""A platform that sends a catalogue which no platform can have: one error, no crash."""

import datetime

import pytest

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.client.platform import entry_of
from upcare_mpc.errors import ProtocolError

Entry = coordinator_pb2.CatalogueEntry
SAID = coordinator_pb2.Availability(variables=["sex"], first_year=1999, last_year=2023)


def test_an_entry_is_read() -> None:
    read = entry_of(Entry(registry="de-a", attending=True, since=0.0, availability=SAID))

    assert (read.registry, read.attending) == ("de-a", True)
    assert read.since == datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert read.availability is not None
    assert read.availability.years == (1999, 2023)


def test_a_registry_that_states_nothing_has_no_statement() -> None:
    assert entry_of(Entry(registry="de-a")).availability is None


@pytest.mark.parametrize("since", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_time_that_is_none_is_refused(since: float) -> None:
    with pytest.raises(ProtocolError, match="wanted the time"):
        entry_of(Entry(registry="de-a", since=since))


def test_a_name_cannot_steer_the_terminal() -> None:
    assert entry_of(Entry(registry="de-a\x1b[2J\nfr-a")).registry == "de-a [2J fr-a"


def test_a_statement_is_held_against_the_limits_again() -> None:
    said = coordinator_pb2.Availability(note="two\nlines")
    said.MergeFrom(SAID)

    with pytest.raises(ProtocolError, match="note: wanted one line"):
        entry_of(Entry(registry="de-a", availability=said))
