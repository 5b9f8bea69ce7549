"""Age groups and the populations that go with them."""

import pytest

from upcare_mpc.records.ages import (
    AGE_GROUPS,
    STANDARD_POPULATIONS,
    SURVIVAL_STANDARDS,
    age_group,
)


@pytest.mark.parametrize(
    ("age", "group"),
    [(0, "0-4"), (4, "0-4"), (5, "5-9"), (84, "80-84"), (85, "85+"), (120, "85+"), (None, None)],
)
def test_an_age_is_in_its_five_years(age: int | None, group: str | None) -> None:
    assert age_group(age) == group


def test_a_negative_age_is_unknown() -> None:
    assert age_group(-1) is None


@pytest.mark.parametrize("name", STANDARD_POPULATIONS)
def test_a_standard_population_has_every_group_and_100_000_persons(name: str) -> None:
    assert len(STANDARD_POPULATIONS[name]) == len(AGE_GROUPS) == 18
    assert sum(STANDARD_POPULATIONS[name]) == 100_000


@pytest.mark.parametrize("name", SURVIVAL_STANDARDS)
def test_a_standard_for_survival_adds_up_to_100_percent(name: str) -> None:
    assert sum(SURVIVAL_STANDARDS[name].values()) == 100
