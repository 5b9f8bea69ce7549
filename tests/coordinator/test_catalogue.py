"""What the platform keeps of the registries' statements, and for how long."""

import pytest

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.coordinator.catalogue import Catalogue
from upcare_mpc.errors import ProtocolError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def join(*variables: str, note: str = "") -> coordinator_pb2.Join:
    if not variables:
        return coordinator_pb2.Join(version="1")
    said = coordinator_pb2.Availability(
        variables=variables, first_year=1999, last_year=2023, note=note
    )
    return coordinator_pb2.Join(version="1", availability=said)


def test_a_statement_dates_from_when_it_was_first_heard() -> None:
    clock = Clock()
    catalogue = Catalogue(clock=clock)
    catalogue.hear("de-a", join("sex"))
    catalogue.hear("de-b", join())
    clock.now = 200.0
    for _ in range(2):  # each comes back as it was
        catalogue.hear("de-a", join("sex"))
        catalogue.hear("de-b", join())

    assert [entry.since for entry in catalogue.entries(attending=())] == [100.0, 100.0]

    catalogue.hear("de-a", join("age"))
    catalogue.hear("de-b", join("sex"))

    first, second = catalogue.entries(attending=())
    assert (first.since, list(first.availability.variables)) == (200.0, ["age"])
    assert (second.since, list(second.availability.variables)) == (200.0, ["sex"])


def test_a_registry_that_is_away_is_listed_as_away() -> None:
    catalogue = Catalogue(clock=Clock())
    catalogue.hear("fr-a", join("sex"))
    catalogue.hear("de-a", join("sex"))

    entries = catalogue.entries(attending={"fr-a", "fr-z"})

    assert [(entry.registry, entry.attending) for entry in entries] == [
        ("de-a", False),
        ("fr-a", True),
    ]


def test_a_registry_that_no_longer_states_anything_is_listed_so() -> None:
    catalogue = Catalogue(clock=Clock())
    catalogue.hear("de-a", join("sex"))
    catalogue.hear("de-a", join())

    (entry,) = catalogue.entries(attending=())

    assert not entry.HasField("availability")


def test_what_is_no_statement_is_refused_and_the_last_one_stays() -> None:
    catalogue = Catalogue(clock=Clock())
    catalogue.hear("de-a", join("sex"))

    with pytest.raises(ProtocolError):
        catalogue.hear("de-a", join("sex", note="two\nlines"))

    (entry,) = catalogue.entries(attending=())
    assert entry.availability.note == ""
