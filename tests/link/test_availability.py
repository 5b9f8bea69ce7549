"""A registry's statement on the wire: the same limits for platform and researcher."""

import pytest

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.availability import MAX_BYTES, availability_message, read_availability
from upcare_mpc.records.availability import MAX_TEXT, Availability
from upcare_mpc.records.variables import VARIABLES

LARGEST = Availability(
    variables=frozenset(VARIABLES),
    years=(1900, 2100),
    population="\U0001f30d" * MAX_TEXT,
    note="\u00fc" * MAX_TEXT,
)


def message(**changes: object) -> coordinator_pb2.Availability:
    said = coordinator_pb2.Availability(variables=["sex"], first_year=1999, last_year=2023)
    said.MergeFrom(coordinator_pb2.Availability(**changes))  # type: ignore[arg-type]
    return said


def test_the_largest_statement_fits_and_comes_back() -> None:
    sent = availability_message(LARGEST)

    assert sent.ByteSize() <= MAX_BYTES
    assert read_availability(sent) == LARGEST


def test_variables_of_a_later_version_are_left_out() -> None:
    assert read_availability(message(variables=["moon_phase"])).variables == {"sex"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (message(variables=["x" * MAX_BYTES]), "wanted at most 4096 bytes"),
        (coordinator_pb2.Availability(first_year=1999, last_year=2023), "at least one variable"),
        (message(first_year=2030), "years: wanted the first and the last year"),
        (coordinator_pb2.Availability(variables=["sex"]), "years: wanted"),
        (message(population="two\nlines"), "population: wanted one line"),
        (message(note="\x1b]0;title\x07"), "note: wanted one line"),
        (message(note="x" * (MAX_TEXT + 1)), "note: wanted one line of at most 200"),
    ],
)
def test_what_is_no_statement_is_refused(said: coordinator_pb2.Availability, words: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        read_availability(said)

    assert words in str(refused.value)
    assert str(refused.value).isprintable()


def test_fields_of_a_later_version_count_towards_the_limit() -> None:
    unknown = coordinator_pb2.Availability.FromString(
        message().SerializeToString() + b"\xa2\x06\x80\x20" + bytes(4096)
    )

    with pytest.raises(ProtocolError, match="at most 4096 bytes"):
        read_availability(unknown)
